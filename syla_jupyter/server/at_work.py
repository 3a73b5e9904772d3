"""Which workspaces run code for requests, so that none is taken for idle meanwhile."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator, Mapping

from ..workspaces.activity import Signals


class AtWork:
    def __init__(self) -> None:
        self._running: Counter[str] = Counter()
        self._ended: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def on(self, workspace_id: str) -> Iterator[None]:
        with self._lock:
            self._running[workspace_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[workspace_id] -= 1
                self._ended[workspace_id] += 1

    def signals(self) -> Mapping[str, Signals]:
        """By workspace id, those that have run code since the last call; a source of the janitor."""
        with self._lock:
            running, self._running = self._running, +self._running
            ended, self._ended = self._ended, Counter()
        return {id: Signals(kernels_busy=running[id], executions=ended[id]) for id in {*+running, *ended}}
