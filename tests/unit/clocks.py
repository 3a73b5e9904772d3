"""A clock that a test moves by hand."""

from __future__ import annotations

from .records import NOW


class HandClock:
    def __init__(self, now: float = NOW) -> None:
        self._now, self._monotonic = now, 1000.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def move(self, seconds: float) -> None:
        self._now += seconds
        self._monotonic += max(0.0, seconds)

    def jump(self, seconds: float) -> None:
        """Somebody sets the clock: the time of day only."""
        self._now += seconds
