"""Who has come to a workspace and who has left, from who is in its documents: one person, however many pages.

A page that is loaded again, or whose network fails for a moment, is gone and back. So somebody has left when nothing of
his was there for `GRACE_SECONDS`, and who comes back before has neither left nor joined. Names are those that the
doorkeeper found out (`rooms.Participant.username`); what pages say of themselves has no part in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass

from ..model.clock import Clock
from .rooms import Presences

GRACE_SECONDS = 10.0


@dataclass(frozen=True, order=True)
class Who:
    workspace: str
    user: str


class Attendance:
    """Pure, but for what it remembers."""

    def __init__(self, grace_seconds: float = GRACE_SECONDS) -> None:
        self._grace_seconds = grace_seconds
        self._here: dict[Who, float | None] = {}
        """Since when somebody is missed; None: he is there."""

    def look(self, present: Collection[Who], now: float) -> tuple[list[Who], list[Who], float | None]:
        """(who has joined, who has left, in how many seconds to look again; None: when something has happened)."""
        joined = sorted(set(present) - self._here.keys())
        missed = {who: now if since is None else since for who, since in self._here.items() if who not in present}
        left = sorted(who for who, since in missed.items() if now - since >= self._grace_seconds)
        self._here = dict.fromkeys(present) | {who: since for who, since in missed.items() if who not in left}
        waiting = [since for since in self._here.values() if since is not None]
        return joined, left, max(0.0, min(waiting) + self._grace_seconds - now) if waiting else None


class Attending:
    """Looks when a page has come or gone, and when a grace is over; nothing runs otherwise. In the loop's thread.

    Parameters
    ----------
    tell : told (workspace id, user, whether he joined); must not wait.
    """

    def __init__(self, presences: Presences, clock: Clock, tell: Callable[[str, str, bool], None]) -> None:
        self._presences, self._clock, self._tell = presences, clock, tell
        self._attendance = Attendance()
        self._later: asyncio.TimerHandle | None = None

    def look(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        present = {Who(one.connection.workspace, one.username) for one in self._presences.everybody()}
        present = {who for who in present if who.workspace}
        joined, left, seconds = self._attendance.look(present, self._clock.monotonic())
        for whoever, has_joined in ((joined, True), (left, False)):
            for who in whoever:
                self._tell(who.workspace, who.user, has_joined)
        if seconds is not None:
            self._later = asyncio.get_running_loop().call_later(seconds, self.look)
