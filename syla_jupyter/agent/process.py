"""A process of the container as the agent knows it, and how its end is told.

Its standard error (and output, for kernels) goes into a pipe of which the last bytes are kept, so that a
kernel that dies at once says why. What a process leaves behind in its process group is killed with it.
"""

from __future__ import annotations

import os
import signal
from typing import Callable, Dict, Optional

from . import cgroup
from .loop import Loop
from .protocol import Message

TAIL_MAX = 4096


class Process:
    """`id` is the host's name for it; `ended` is called once, with the event to send."""

    def __init__(self, loop: Loop, id: str, ended: Callable[["Process", Message], None]) -> None:
        self._loop = loop
        self.id = id
        self.pid: Optional[int] = None
        self.exit: Optional[Message] = None
        self._ended = ended
        self._tail = bytearray()
        self._pipe: Optional[int] = None
        self._oom_before = cgroup.oom_kills()
        self._killed_by_us = False

    def keep_tail(self) -> int:
        """Make the pipe; gives the writing end, to be closed by the caller after the start."""
        self._pipe, writing = os.pipe()
        os.set_blocking(self._pipe, False)
        self._loop.watch(self._pipe, self._read_tail)
        return writing

    def started(self, pid: int) -> None:
        self.pid = pid

    def signal(self, number: int) -> bool:
        """To its process group; False when there is nobody left."""
        if self.pid is None or self.exit is not None:
            return False
        if number == signal.SIGKILL:
            self._killed_by_us = True
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            try:  # before its setsid()
                os.kill(self.pid, number)
            except ProcessLookupError:
                return False
        except PermissionError:
            return False
        return True

    def status(self, raw: int) -> None:
        """The wait status arrived."""
        if self.exit is not None:
            return
        self._read_tail()
        event: Dict[str, object] = {"event": "exit", "process": self.id, "code": None, "signal": None}
        if os.WIFSIGNALED(raw):
            event["signal"] = os.WTERMSIG(raw)
        else:
            event["code"] = os.WEXITSTATUS(raw)
        killed = event["signal"] == signal.SIGKILL and not self._killed_by_us
        event["out_of_memory"] = killed and cgroup.oom_kills() > self._oom_before
        event["detail"] = self._tail.decode(errors="replace")[-1000:]
        self.exit = event
        if self.pid is not None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        self._close_pipe()
        self._ended(self, event)

    def _read_tail(self) -> None:
        if self._pipe is None:
            return
        try:
            data = os.read(self._pipe, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close_pipe()
            return
        self._tail += data
        del self._tail[:-TAIL_MAX]

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            self._loop.watch(self._pipe, None)
            os.close(self._pipe)
            self._pipe = None
