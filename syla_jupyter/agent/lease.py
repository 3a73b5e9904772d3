"""When the container has to end: pure, the clock is handed in.

A container lives while somebody **holds** it: a host connection that asked to, and is open. The kernel closes
the connections of a process however it dies, so a killed holder is noticed at once. After the last holder is
gone, and from the start until the first one comes, the lease runs for `seconds`; where the last holder said
`empty_seconds`, that is how long it runs once nothing of a user's runs any more, if that is sooner. A **deadline**
ends the container whoever holds it.
"""

from __future__ import annotations

from typing import Optional, Set, Tuple

LEASE_OVER = 75
DEADLINE_OVER = 76


class Lease:
    def __init__(self, seconds: float, deadline_seconds: Optional[float], now: float) -> None:
        self._seconds = seconds
        self._empty_seconds: Optional[float] = None
        self._left = now
        self._until: Optional[float] = now + seconds
        self._deadline = None if deadline_seconds is None else now + deadline_seconds
        self._holders: Set[int] = set()

    @property
    def held(self) -> bool:
        return bool(self._holders)

    def hold(self, holder: int, seconds: float, empty_seconds: Optional[float] = None) -> None:
        """`holder` holds; when the last holder goes, the lease runs for `seconds`."""
        self._holders.add(holder)
        self._seconds, self._empty_seconds = seconds, empty_seconds
        self._until = None

    def renew(self, seconds: float, now: float) -> None:
        """Without holding: at least `seconds` from now."""
        if self._until is not None:
            self._until = max(self._until, now + seconds)

    def drop(self, holder: int, now: float) -> None:
        if holder in self._holders:
            self._holders.discard(holder)
            if not self._holders:
                self._left = now
                self._until = now + self._seconds

    def end_in(self, seconds: float, now: float) -> None:
        """Set the deadline, whatever it was."""
        self._deadline = now + seconds

    def due(self, now: float, empty_since: Optional[float] = None) -> Tuple[Optional[int], Optional[float]]:
        """(exit code if it is time to end else None, seconds until it may be).

        `empty_since`: since when nothing of a user's runs; None while something does.
        """
        times = [(t, c) for t, c in ((self._until, LEASE_OVER), (self._deadline, DEADLINE_OVER)) if t is not None]
        if self._until is not None and self._empty_seconds is not None and empty_since is not None:
            times.append((max(self._left, empty_since) + self._empty_seconds, LEASE_OVER))
        if not times:
            return None, None
        when, code = min(times)
        if now >= when:
            return code, 0.0
        return None, when - now
