"""An object store in memory, for tests that write a lot. It passes `ObjectsContract`, but that a fork copies it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

from ..model.errors import BadInput, ObjectExists, ObjectMissing, ObjectsRefused
from ..objects.base import Data, ObjectInfo, check_key


class MemoryObjects:
    """`now`: the store's own clock, seconds since the epoch. `conditional=False` overwrites, as some stores do."""

    description = "memory"

    def __init__(self, now: Callable[[], float] = lambda: 1.7e9, *, conditional: bool = True) -> None:
        self.conditional = conditional
        self.objects: dict[str, tuple[bytes, float]] = {}
        self._now, self._lock = now, threading.Lock()

    def put(self, key: str, data: Data, *, if_absent: bool = False) -> None:
        content = bytes(data)
        with self._lock:
            if if_absent and self.conditional and check_key(key) in self.objects:
                raise ObjectExists(f"{key} is there")
            self.objects[check_key(key)] = (content, self._now())

    def get(self, key: str, *, start: int = 0, length: int | None = None, max_bytes: int = 1 << 30) -> bytes:
        if length is not None and length < 0:
            raise BadInput("length", f"{length} is negative")
        content = self._object(key)[0]
        first = start if start >= 0 else max(0, len(content) + start)
        content = content[first : None if length is None else first + length]
        if len(content) > max_bytes:
            raise ObjectsRefused(f"{key} has more than {max_bytes} bytes")
        return content

    def head(self, key: str) -> ObjectInfo:
        content, modified_at = self._object(key)
        return ObjectInfo(key, len(content), modified_at)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        if "/" in prefix:
            check_key(prefix.rpartition("/")[0])
        with self._lock:
            found = sorted(item for item in self.objects.items() if item[0].startswith(prefix) and item[0] > after)
        return iter([ObjectInfo(key, len(content), modified_at) for key, (content, modified_at) in found])

    def delete(self, keys: Iterable[str]) -> None:
        for key in list(keys):
            with self._lock:
                self.objects.pop(check_key(key), None)

    def close(self) -> None:
        pass

    def copy(self) -> MemoryObjects:
        """The same content, from now on apart."""
        other = MemoryObjects(self._now, conditional=self.conditional)
        with self._lock:
            other.objects = dict(self.objects)
        return other

    def _object(self, key: str) -> tuple[bytes, float]:
        with self._lock:
            found = self.objects.get(check_key(key))
        if found is None:
            raise ObjectMissing(f"{key} is not there")
        return found
