"""The agent's event loop: one thread, a selector, timers, and children that are reaped.

Children are announced by SIGCHLD through a wake-up descriptor, so nothing polls for them. Process 1 reaps
whatever was orphaned to it as well; a pid nobody registered is reaped and forgotten.
"""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import signal
import socket
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

Callback = Callable[[], None]


class Loop:
    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: List[Tuple[float, int, Callback]] = []
        self._order = itertools.count()
        self._children: Dict[int, Callable[[int], None]] = {}
        self._stopped: Optional[int] = None
        self._wake_read, self._wake_write = socket.socketpair()
        for end in (self._wake_read, self._wake_write):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGINT):  # SIGINT from inside must not raise in process 1
            signal.signal(number, lambda *_: None)
        self.watch(self._wake_read, self._woken)

    @staticmethod
    def now() -> float:
        return time.monotonic()

    def watch(self, file: Any, readable: Optional[Callback], writable: Optional[Callback] = None) -> None:
        """Call back when `file` is ready; replaces what was registered. Both None: stop watching."""
        events = (selectors.EVENT_READ if readable else 0) | (selectors.EVENT_WRITE if writable else 0)
        known = file in self._selector.get_map()
        if not events:
            if known:
                self._selector.unregister(file)
        elif known:
            self._selector.modify(file, events, (readable, writable))
        else:
            self._selector.register(file, events, (readable, writable))

    def later(self, seconds: float, callback: Callback) -> None:
        heapq.heappush(self._timers, (self.now() + seconds, next(self._order), callback))

    def child(self, pid: int, ended: Callable[[int], None]) -> None:
        """Call `ended(wait status)` once when `pid` ends."""
        self._children[pid] = ended

    def forget(self, pid: int) -> None:
        """Somebody else reaped `pid`."""
        self._children.pop(pid, None)

    def stop(self, code: int) -> None:
        self._stopped = code

    def run(self) -> int:
        """Until `stop`; gives its code."""
        while self._stopped is None:
            timeout = None
            if self._timers:
                timeout = max(0.0, self._timers[0][0] - self.now())
            for key, events in self._selector.select(timeout):
                readable, writable = key.data
                if events & selectors.EVENT_WRITE and writable:
                    writable()
                if events & selectors.EVENT_READ and readable and key.fileobj in self._selector.get_map():
                    readable()
            now = self.now()
            while self._timers and self._timers[0][0] <= now:
                heapq.heappop(self._timers)[2]()
        return self._stopped

    def _woken(self) -> None:
        try:
            while self._wake_read.recv(4096):
                pass
        except BlockingIOError:
            pass
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            ended = self._children.pop(pid, None)
            if ended:
                ended(status)
