"""An object store that tries again what may pass, for a limited time.

Waits grow and are jittered, so that many clients of a tired service do not come back together. What the store would
say again (`retryable` is false) is raised at once. A write that is repeated may find what its first attempt has left:
plain writes replace it, conditional ones say `ObjectExists` (see the port). A broken list goes on behind the last key
that was given.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from ..model.clock import Clock, SystemClock
from ..model.errors import ObjectsFailed
from .base import Data, ObjectInfo, ObjectStore

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    total_seconds: float = 90.0
    """No new attempt begins later than this after the first; an attempt has the adapter's own time limits."""
    first_seconds: float = 0.1
    longest_seconds: float = 8.0

    def __post_init__(self) -> None:
        if not 0 < self.first_seconds <= self.longest_seconds:
            raise ValueError("waits grow from first_seconds, more than 0, to longest_seconds")


def wait_seconds(failures: int, patience: Patience, chance: float) -> float:
    """Before the next attempt, after so many failures (from 1); `chance` from 0 to 1 takes off up to half of it."""
    full = min(patience.longest_seconds, patience.first_seconds * 2.0 ** min(failures - 1, 60))
    return full * (1 - chance / 2)


class RetryingObjects:
    def __init__(
        self,
        objects: ObjectStore,
        *,
        patience: Patience = Patience(),
        clock: Clock | None = None,
        wait: Callable[[float], object] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._objects, self._patience = objects, patience
        self._clock, self._wait, self._chance = clock or SystemClock(), wait, chance

    @property
    def description(self) -> str:
        return self._objects.description

    @property
    def conditional(self) -> bool:
        return self._patiently("connect", lambda: self._objects.conditional)

    def put(self, key: str, data: Data, *, if_absent: bool = False) -> None:
        self._patiently(f"write {key}", lambda: self._objects.put(key, data, if_absent=if_absent))

    def get(self, key: str, *, start: int = 0, length: int | None = None, max_bytes: int = 1 << 30) -> bytes:
        return self._patiently(
            f"read {key}", lambda: self._objects.get(key, start=start, length=length, max_bytes=max_bytes)
        )

    def head(self, key: str) -> ObjectInfo:
        return self._patiently(f"look at {key}", lambda: self._objects.head(key))

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        return self._list(prefix, after, self._objects.list(prefix, after=after))

    def _list(self, prefix: str, after: str, entries: Iterator[ObjectInfo]) -> Iterator[ObjectInfo]:
        attempts = _Attempts(self._patience, self._clock.monotonic())
        while True:
            try:
                for entry in entries:
                    after, attempts = entry.key, _Attempts(self._patience, self._clock.monotonic())
                    yield entry
                return
            except ObjectsFailed as exc:
                self._pause(f"list {prefix}", attempts, exc)
                entries = self._objects.list(prefix, after=after)

    def delete(self, keys: Iterable[str]) -> None:
        all_keys = tuple(keys)
        self._patiently("delete objects", lambda: self._objects.delete(all_keys))

    def close(self) -> None:
        self._objects.close()

    def _patiently(self, doing: str, call: Callable[[], T]) -> T:
        attempts = _Attempts(self._patience, self._clock.monotonic())
        while True:
            try:
                return call()
            except ObjectsFailed as exc:
                self._pause(doing, attempts, exc)

    def _pause(self, doing: str, attempts: _Attempts, exc: ObjectsFailed) -> None:
        """Returns when it is time for the next attempt; raises `exc` when there is to be none."""
        seconds = attempts.failed(exc, self._clock.monotonic(), self._chance())
        if seconds is None:
            raise exc
        _log.info("%s: %s again in %.1f s: %s", self.description, doing, seconds, exc.message)
        self._wait(seconds)


class _Attempts:
    def __init__(self, patience: Patience, now: float) -> None:
        self._patience, self._began, self._failures = patience, now, 0

    def failed(self, exc: ObjectsFailed, now: float, chance: float) -> float | None:
        self._failures += 1
        seconds = wait_seconds(self._failures, self._patience, chance)
        if not exc.retryable or now + seconds > self._began + self._patience.total_seconds:
            return None
        return seconds
