"""An object store that tells of each request: what it was, how long it took, how many bytes, how it ended.

Below `RetryingObjects` it sees every attempt, above it what callers see. A list is one request, told of when it has
ended or is given up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from ..model.clock import Clock, SystemClock
from ..model.errors import SylaError
from .base import Data, ObjectInfo, ObjectStore

Operation = Literal["put", "get", "head", "list", "delete"]
OPERATIONS: tuple[Operation, ...] = ("put", "get", "head", "list", "delete")


@dataclass(frozen=True)
class Request:
    operation: Operation
    seconds: float
    sent_bytes: int
    """Of objects; without headers."""
    received_bytes: int
    result: str
    """`ok`, or the error's code; `error` for what is none of ours."""


Observe = Callable[[Request], object]


class MeteredObjects:
    def __init__(self, objects: ObjectStore, observe: Observe, *, clock: Clock | None = None) -> None:
        self._objects, self._observe, self._clock = objects, observe, clock or SystemClock()

    @property
    def description(self) -> str:
        return self._objects.description

    @property
    def conditional(self) -> bool:
        return self._objects.conditional

    def put(self, key: str, data: Data, *, if_absent: bool = False) -> None:
        with self._measured("put") as measured:
            measured.sent_bytes = memoryview(data).nbytes
            self._objects.put(key, data, if_absent=if_absent)

    def get(self, key: str, *, start: int = 0, length: int | None = None, max_bytes: int = 1 << 30) -> bytes:
        with self._measured("get") as measured:
            data = self._objects.get(key, start=start, length=length, max_bytes=max_bytes)
            measured.received_bytes = len(data)
            return data

    def head(self, key: str) -> ObjectInfo:
        with self._measured("head"):
            return self._objects.head(key)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        return self._list(self._objects.list(prefix, after=after))

    def _list(self, entries: Iterator[ObjectInfo]) -> Iterator[ObjectInfo]:
        with self._measured("list"):
            yield from entries

    def delete(self, keys: Iterable[str]) -> None:
        with self._measured("delete"):
            self._objects.delete(keys)

    def close(self) -> None:
        self._objects.close()

    def _measured(self, operation: Operation) -> _Measured:
        return _Measured(operation, self._observe, self._clock)


class _Measured:
    def __init__(self, operation: Operation, observe: Observe, clock: Clock) -> None:
        self._operation, self._observe, self._clock = operation, observe, clock
        self.sent_bytes = self.received_bytes = 0

    def __enter__(self) -> _Measured:
        self._began = self._clock.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = self._clock.monotonic() - self._began
        result = "ok" if exc is None or kind is GeneratorExit else exc.code if isinstance(exc, SylaError) else "error"
        self._observe(Request(self._operation, seconds, self.sent_bytes, self.received_bytes, result))
