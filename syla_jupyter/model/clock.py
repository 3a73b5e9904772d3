"""The one place that reads the time. Ruff bans `time.time`, `time.monotonic` and `datetime.now` elsewhere
(the agent, which shares no code with the host, has its own)."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch: for records that other processes read."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back: for durations and time limits."""


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()
