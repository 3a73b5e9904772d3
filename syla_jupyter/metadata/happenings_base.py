"""The port of what has happened: appended by any process, read in one order by all.

What is done in one transaction of this database is written down in that same transaction: the stores of workspaces and
of people take a `Tell` with their writes. So what was done is told, wherever its process dies, and what was not done is
not. All else is appended afterwards, by `add`.

Threads, processes, forks, durability, waiting and errors are as `base.py` says. Numbers grow in the order in which
transactions end: who has read up to a number has missed nothing before it. It is bounded by `trim`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol, TypeVar

from ..model.happening import Happening, Kind

PAGE_MAX = 200
AFTER_MAX = 500
KEPT_EACH = 500
"""Of one workspace, the newest."""
KEPT_SECONDS = 90 * 86400.0
BODY_SECONDS = 3600.0
GONE_SECONDS = 86400.0
"""Of a workspace that there is no more."""
MERGED_SECONDS = 300.0
T = TypeVar("T")
Tell = Callable[[T], Happening | None]
"""Given what a write gives back: the line that goes with it, or none. It is asked in the transaction, perhaps more than
once, so it changes nothing, waits for nothing and does not raise. An empty `owner` is filled in: whose workspace it is
by then. What cannot be stored of its texts is left out, rather than that the deed were not done."""


class HappeningStore(Protocol):
    def add(self, happening: Happening, *, merge: bool = False) -> int:
        """Its number; `BadInput` where a text cannot be stored.

        `merge`: where the newest one of that workspace says the same of the same person, and is younger than
        `MERGED_SECONDS`, its `count` grows by this one's, its `names` come to these, and the number stays.
        """

    def newest(self) -> int:
        """Number of the last; 0: none. One look at an index."""

    def after(self, n: int, limit: int = AFTER_MAX) -> Sequence[Happening]:
        """In order, those with greater numbers."""

    def page(
        self,
        workspace: str,
        *,
        before: int = 0,
        kinds: Collection[Kind] = (),
        actor: str | None = None,
        limit: int = 50,
    ) -> Sequence[Happening]:
        """Newest first, without bodies; `before`: those with smaller numbers; 0: from the newest."""

    def trim(self, now: float) -> int:
        """Forget what is over the bounds above; how many."""
