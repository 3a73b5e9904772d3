"""The last executions by id, for who asks later: the least recently used go first, within a count and a size."""

from __future__ import annotations

import threading
from collections import OrderedDict

from .execution import Execution

COUNT_MAX = 1000
SIZE_MAX = 64 << 20  # characters of output


class ExecutionCache:
    """Safe to use from any thread; ends with its process."""

    def __init__(self, count_max: int = COUNT_MAX, size_max: int = SIZE_MAX) -> None:
        self._count_max, self._size_max = count_max, size_max
        self._kept: OrderedDict[tuple[str, str], tuple[Execution, int]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def put(self, workspace: str, execution: Execution) -> None:
        """One that is larger than all that may be kept is not kept."""
        size = execution.size
        with self._lock:
            self._drop((workspace, execution.id))
            if size > self._size_max:
                return
            self._kept[(workspace, execution.id)] = (execution, size)
            self._size += size
            while len(self._kept) > self._count_max or self._size > self._size_max:
                self._drop(next(iter(self._kept)))

    def get(self, workspace: str, id: str) -> Execution | None:
        """None: never there, or gone."""
        with self._lock:
            found = self._kept.get((workspace, id))
            if found is None:
                return None
            self._kept.move_to_end((workspace, id))
            return found[0]

    def forget(self, workspace: str) -> None:
        """All of a workspace that is gone."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == workspace]:
                self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        known = self._kept.pop(key, None)
        if known is not None:
            self._size -= known[1]
