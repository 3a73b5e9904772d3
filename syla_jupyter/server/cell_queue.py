"""The cells that wait for one kernel, in the order in which they will run. Pure.

A page asks for many cells at once, over several connections, so that they arrive in no order: what one person asks for
in one document within `BURST_SECONDS` runs from top to bottom. All else runs in the order in which it was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BURST_SECONDS = 0.25
"""Nobody clicks on two cells so fast."""
QUEUED_MAX = 1000


@dataclass(frozen=True)
class Asked:
    """A cell that somebody wants to be run."""

    id: str
    """Of the execution: its request's id at the kernel, too."""
    user: str
    room: str
    """Of the document, as jupyter-collaboration names it."""
    cell: str
    asked_at: float
    """Seconds since the epoch."""
    owner: bool = False
    """It is the server's owner, who may whatever happens to people."""


class CellQueue:
    """`running` comes first; it is there from `start` to `end`."""

    def __init__(self) -> None:
        self.running: Asked | None = None
        self._waiting: list[tuple[int, Asked]] = []

    @property
    def waiting(self) -> Sequence[Asked]:
        return [asked for _, asked in self._waiting]

    def add(self, asked: Asked, place: int) -> None:
        """`place`: of the cell in its document, now."""
        at = len(self._waiting)
        while at and self._in_a_burst(self._waiting[at - 1][1], asked) and self._waiting[at - 1][0] > place:
            at -= 1
        self._waiting.insert(at, (place, asked))

    def has(self, room: str, cell: str) -> bool:
        """Whether it waits; one that runs may be asked for once more."""
        return any((one.room, one.cell) == (room, cell) for one in self.waiting)

    def start(self) -> Asked | None:
        """The next; None: there is none, or one is running."""
        if self.running is not None or not self._waiting:
            return None
        self.running = self._waiting.pop(0)[1]
        return self.running

    def end(self) -> None:
        self.running = None

    def drop(self, *, id: str = "", user: str = "", everything: bool = False) -> list[Asked]:
        """Those that will not run: one, all that one person waits for, or all."""
        gone = [one for one in self.waiting if everything or one.id == id or (user and one.user == user)]
        self._waiting = [(place, one) for place, one in self._waiting if one not in gone]
        return gone

    @staticmethod
    def _in_a_burst(before: Asked, asked: Asked) -> bool:
        same = (before.user, before.room) == (asked.user, asked.room)
        return same and asked.asked_at - before.asked_at < BURST_SECONDS
