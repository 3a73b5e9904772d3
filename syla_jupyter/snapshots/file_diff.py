"""What changed in one file, for a page to show: a notebook cell by cell, a text line by line, bounded in every way.

Both contents are anybody's. They are taken apart and compared in a process of its own (`apart`), which says no more
than `LINES_MAX` lines of `line_diff.LINE_MAX` characters.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from .apart import compared_apart, read_both
from .cell_diff import CellChange, cells_of, changes_of
from .line_diff import Line, lines_of

FILE_MAX_BYTES = 8 << 20
CELLS_MAX = 500
LINES_MAX = 2000


@dataclass(frozen=True)
class FileDiff:
    kind: str
    """notebook, text; none: it is not shown, `why` says why: too_large, too_slow, no_text."""
    why: str
    bytes_before: int
    bytes: int
    cells: list[CellChange]
    """Of a notebook."""
    lines: list[Line]
    """Of a text."""
    omitted: int = 0
    """Lines and cells that are too many."""


def file_diff(old: bytes, new: bytes, *, notebook: bool) -> FileDiff:
    """`notebook`: by its name; what is none is compared as a text."""
    output = compared_apart(__name__, old, new, *["notebook"] * notebook)
    if output is None:
        return not_shown("too_slow", len(old), len(new))
    found = json.loads(output)
    cells = [CellChange(**{**cell, "lines": [Line(*line) for line in cell["lines"]]}) for cell in found.pop("cells")]
    lines = [Line(*line) for line in found.pop("lines")]
    return FileDiff(**found, bytes_before=len(old), bytes=len(new), cells=cells, lines=lines)


def not_shown(why: str, bytes_before: int, bytes: int) -> FileDiff:
    return FileDiff("none", why, bytes_before, bytes, [], [])


def compared(old: bytes, new: bytes, *, notebook: bool) -> dict[str, Any]:
    """The fields of a `FileDiff` but for the sizes. Pure."""
    found: dict[str, Any] = {"kind": "none", "why": "no_text", "cells": [], "lines": [], "omitted": 0}
    if b"\0" in old + new:
        return found
    try:
        before, after = old.decode(), new.decode()
    except UnicodeDecodeError:
        return found
    if notebook:
        with contextlib.suppress(ValueError, RecursionError):
            cells = changes_of(cells_of(before), cells_of(after))
            return {**found, "kind": "notebook", "why": "", **_bounded(cells)}
    lines = lines_of(before, after)
    omitted = sum(line.number for line in lines[LINES_MAX:])
    return {**found, "kind": "text", "why": "", "lines": lines[:LINES_MAX], "omitted": omitted}


def _bounded(cells: Sequence[CellChange]) -> dict[str, Any]:
    left, shown = LINES_MAX, list[CellChange]()
    for cell in cells[:CELLS_MAX]:
        shown.append(replace(cell, lines=cell.lines[:left]))
        left -= len(shown[-1].lines)
    hidden = sum(len(cell.lines) for cell in cells) - (LINES_MAX - left)
    return {"cells": [asdict(cell) for cell in shown], "omitted": hidden + max(0, len(cells) - CELLS_MAX)}


def main() -> None:
    """In that process."""
    old, new = read_both()
    json.dump(compared(old, new, notebook="notebook" in sys.argv[1:]), sys.stdout)


if __name__ == "__main__":
    main()
