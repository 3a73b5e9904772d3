"""Two states of a notebook, cell by cell: which were added, removed, moved, what became of the others.

Pure. A cell is the same one by its id; where there is none (before nbformat 4.5), or another one, by what is in it, and
what then is left on both sides of the same place by what is nearly in it. Counts of executions and metadata are not
compared: they change whenever somebody looks.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from .line_diff import Line, Sign, lines_of, visible

ALIKE = 0.5
"""Of the characters of two cells in one place, so many in common make them one cell that was changed."""
TYPES = ("code", "markdown", "raw")


@dataclass(frozen=True)
class Cell:
    id: str
    type: str
    source: str
    outputs: str
    """To be compared, as JSON."""


@dataclass(frozen=True)
class CellChange:
    change: str
    """added, removed, changed, moved"""
    type: str
    type_before: str
    before: int | None
    """Its number, from 1, in the notebook before; None: it was not there."""
    after: int | None
    moved: bool
    """Past others that stayed, whatever else changed."""
    outputs: bool
    """Changed."""
    lines: list[Line]


def cells_of(text: str) -> list[Cell]:
    """`ValueError`, `RecursionError`: it is no notebook."""
    found = json.loads(text)
    cells = found.get("cells") if isinstance(found, dict) else None
    if not isinstance(cells, list) or found.get("nbformat") != 4:
        raise ValueError("no notebook")
    return [_cell(cell) for cell in cells]


def _cell(cell: Any) -> Cell:
    source = cell.get("source") if isinstance(cell, dict) else None
    parts: list[Any] = source if isinstance(source, list) else [source]
    if not all(isinstance(part, str) for part in parts) or cell.get("cell_type") not in TYPES:
        raise ValueError("no cell")
    outputs = cell.get("outputs")
    plain = [_without_count(output) for output in outputs] if isinstance(outputs, list) else []
    id = cell.get("id")
    return Cell(id if isinstance(id, str) else "", cell["cell_type"], "".join(parts), json.dumps(plain, sort_keys=True))


def _without_count(output: Any) -> Any:
    return {**output, "execution_count": None} if isinstance(output, dict) else output


def changes_of(old: Sequence[Cell], new: Sequence[Cell]) -> list[CellChange]:
    """In the order of `new`; what was removed stands behind what it stood behind."""
    pairs = paired(old, new)
    stayed = _rising([pairs[place] for place in sorted(pairs)])
    removed: dict[int, list[CellChange]] = defaultdict(list)  # by the place in `new` that it stood behind
    behind = -1
    for place, cell in enumerate(old):
        if place not in pairs:
            removed[behind].append(_one(cell, None, place, -1, moved=False))
        elif pairs[place] in stayed:
            behind = pairs[place]
    found, came = removed[-1], {after: before for before, after in pairs.items()}
    for place, cell in enumerate(new):
        if place not in came:
            found.append(_one(None, cell, -1, place, moved=False))
        else:
            one = _one(old[came[place]], cell, came[place], place, moved=place not in stayed)
            found += [one] if one.moved or one.change == "changed" else []
        found += removed[place]
    return found


def _one(before: Cell | None, after: Cell | None, old_place: int, new_place: int, *, moved: bool) -> CellChange:
    if before is None or after is None:
        cell = after or before
        assert cell is not None
        sign: Sign = "added" if before is None else "removed"
        lines = [Line(sign, visible(line)) for line in cell.source.split("\n") if cell.source]
        return CellChange(sign, cell.type, cell.type, old_place + 1 or None, new_place + 1 or None, False, False, lines)
    lines, outputs = lines_of(before.source, after.source), before.outputs != after.outputs
    other = lines or outputs or before.type != after.type
    change = "changed" if other else "moved"
    return CellChange(change, after.type, before.type, old_place + 1, new_place + 1, moved, outputs, lines)


def paired(old: Sequence[Cell], new: Sequence[Cell]) -> dict[int, int]:
    """By the place in `old` that in `new`; each of both at most once."""
    once = _once(old) & _once(new)
    places = {cell.id: place for place, cell in enumerate(new) if cell.id in once}
    pairs = {place: places[cell.id] for place, cell in enumerate(old) if cell.id in once}
    taken = set(pairs.values())
    by_content: dict[tuple[str, str], deque[int]] = defaultdict(deque)
    for place, cell in enumerate(new):
        if place not in taken:
            by_content[cell.type, cell.source].append(place)
    for place, cell in enumerate(old):
        same = by_content.get((cell.type, cell.source))
        if place not in pairs and same:
            pairs[place] = same.popleft()
    taken = set(pairs.values())
    for place, cell in enumerate(old):
        beside = pairs.get(place - 1, -1 if not place else None)
        if place in pairs or beside is None or beside + 1 >= len(new) or beside + 1 in taken:
            continue
        if _alike(cell, new[beside + 1]):
            pairs[place] = beside + 1
            taken.add(beside + 1)
    return pairs


def _once(cells: Iterable[Cell]) -> set[str]:
    return {id for id, count in Counter(cell.id for cell in cells).items() if id and count == 1}


def _alike(a: Cell, b: Cell) -> bool:
    return a.type == b.type and SequenceMatcher(None, a.source, b.source, autojunk=False).quick_ratio() >= ALIKE


def _rising(numbers: Sequence[int]) -> set[int]:
    """A longest selection of them, each greater than the one before: what stayed in place."""
    ends: list[int] = []  # of the best selections of each length
    at: list[int] = []
    for number in numbers:
        length = bisect_left(ends, number)
        ends[length : length + 1] = [number]
        at.append(length)
    kept, wanted = set[int](), len(ends) - 1
    for number, length in zip(reversed(numbers), reversed(at), strict=True):
        if length == wanted:
            kept.add(number)
            wanted -= 1
    return kept
