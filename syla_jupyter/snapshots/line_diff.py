"""Two texts, line by line, as a person reads them: what was added and removed, a few lines around it, the rest counted.

Pure; the texts are anybody's. What would not be seen, or would change how its line looks (control characters, marks
that turn the direction of writing), is shown as an escape.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

AROUND = 3
"""Lines beside a change that are shown as they are."""
LINE_MAX = 1000  # characters
JOINERS = "\u200c\u200d"  # without which Persian and some drawn signs look otherwise


Sign = Literal["added", "removed", "same", "skipped"]


class Line(NamedTuple):
    sign: Sign
    text: str
    number: int = 1
    """Of `skipped`: so many are the same and not shown."""


def lines_of(old: str, new: str) -> list[Line]:
    """Nothing where they are the same."""
    if old == new:
        return []
    before, after = (text.split("\n") if text else [] for text in (old, new))
    if before[-1:] == after[-1:] == [""]:  # most texts end with a line's end; behind it is no line
        before, after = before[:-1], after[:-1]
    return list(_lines(before, after))


def _lines(old: Sequence[str], new: Sequence[str]) -> Iterator[Line]:
    shown, first = 0, True  # of `old`, so far
    for old_from, old_to, new_from, new_to in _changes(old, new):
        yield from _between(old[shown:old_from], first=first, last=False)
        yield from (Line("removed", visible(line)) for line in old[old_from:old_to])
        yield from (Line("added", visible(line)) for line in new[new_from:new_to])
        shown, first = old_to, False
    yield from _between(old[shown:], first=False, last=True)


def _between(same: Sequence[str], *, first: bool, last: bool) -> Iterator[Line]:
    """Those around a change, and how many there are besides."""
    before, after = 0 if first else AROUND, 0 if last else AROUND
    hidden = len(same) - before - after
    if hidden <= 1:  # no shorter without it
        yield from (Line("same", visible(line)) for line in same)
        return
    yield from (Line("same", visible(line)) for line in same[:before])
    yield Line("skipped", "", hidden)
    yield from (Line("same", visible(line)) for line in same[len(same) - after :])


def _changes(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """From and to, in both; what begins and ends alike, most of most files, is not searched for."""
    begin, end, least = 0, 0, min(len(old), len(new))
    while begin < least and old[begin] == new[begin]:
        begin += 1
    while end < least - begin and old[-1 - end] == new[-1 - end]:
        end += 1
    matcher = SequenceMatcher(None, old[begin : len(old) - end], new[begin : len(new) - end])
    for kind, *places in matcher.get_opcodes():
        if kind != "equal":
            old_from, old_to, new_from, new_to = (place + begin for place in places)
            yield old_from, old_to, new_from, new_to


def visible(line: str) -> str:
    text = line[:LINE_MAX]
    if not text.isprintable():
        text = "".join(one if _is_seen(one) else one.encode("unicode-escape").decode() for one in text)[:LINE_MAX]
    return text + "…" * (len(line) > LINE_MAX)


def _is_seen(one: str) -> bool:
    return one == "\t" or one in JOINERS or unicodedata.category(one)[0] not in "C"
