"""How far a long verb is, said at most ten times a second, and where it notices that nobody wants it any more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ..model.clock import Clock
from ..model.errors import Cancelled

EVERY_SECONDS = 0.1


@dataclass(frozen=True)
class Progress:
    files_done: int
    files_total: int | None
    """None: still counting."""
    bytes_done: int
    bytes_total: int | None
    elapsed_seconds: float
    unit: str = "files"
    """What is counted, for people."""

    @property
    def bytes_per_second(self) -> float:
        return self.bytes_done / self.elapsed_seconds if self.elapsed_seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """None: nobody can tell yet."""
        if self.bytes_total is None or not self.bytes_done:
            return None
        return max(0, self.bytes_total - self.bytes_done) / max(1.0, self.bytes_per_second)


Report = Callable[[Progress], None]


def never() -> bool:
    return False


def nothing() -> None:
    """Of whoever wants to know no more."""


class Meter:
    """Counts from any thread; `tick`, in the caller's thread, reports and raises `Cancelled`."""

    def __init__(
        self, report: Report | None, cancelled: Callable[[], bool], clock: Clock, *, unit: str = "files"
    ) -> None:
        self._unit = unit
        self.files_total: int | None = None
        self.bytes_total: int | None = None
        self.stopped = threading.Event()
        """Workers look here: whatever they do now is for nobody."""
        self._report = report
        self._cancelled = cancelled
        self._clock = clock
        self._started = clock.monotonic()
        self._due = self._started
        self._files = self._bytes = 0
        self._lock = threading.Lock()

    def add(self, files: int, bytes_: int) -> None:
        with self._lock:
            self._files += files
            self._bytes += bytes_

    def expect(self, files: int, bytes_: int) -> None:
        """So many more than are done by now, from here on."""
        self.files_total, self.bytes_total = self._files + files, self._bytes + bytes_

    @property
    def seconds(self) -> float:
        return self._clock.monotonic() - self._started

    def tick(self, *, last: bool = False) -> None:
        if not last and self._cancelled():
            self.stopped.set()
            raise Cancelled("Cancelled")
        now = self._clock.monotonic()
        if self._report is not None and (last or now >= self._due):
            self._due = now + EVERY_SECONDS
            self._report(
                Progress(self._files, self.files_total, self._bytes, self.bytes_total, now - self._started, self._unit)
            )
