"""A process of the container as the agent knows it, and how its end is told.

Its standard error (and output, for kernels) goes into a pipe of which the last bytes are kept, so that a
kernel that dies at once says why. What a process leaves behind in its process group is killed with it; `end_session`
ends all that was ever started from it, in whatever group or session it is now.
"""

from __future__ import annotations

import os
import signal
from typing import Callable, Dict, Optional, Set

from . import cgroup
from .loop import Loop
from .protocol import Message

TAIL_MAX = 4096
HANG_UP_SECONDS = 0.5  # for programs to save what they have, then the same again for the shell they ran in
HANG_UP_CHECK_SECONDS = 0.02
HANG_UP_AGAIN_SECONDS = 0.1
SWEEPS_MAX = 100  # a fork bomb loses well before


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
        self._ending = False

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

    def end_session(self) -> None:
        """Hang up all that was started from it, then itself, as a terminal does that is closed; kill what stays.

        Itself comes last: it is the reaper of what left its session (`procself.reap_orphans`), and alone then.
        """
        if self.pid is None or self.exit is not None or self._ending:
            return
        self._ending = True
        for pid in below(self.pid):
            _hang_up(pid)
        self._end_others(self._loop.now() + HANG_UP_SECONDS)

    def _end_others(self, until: float) -> None:
        if self.pid is None or self.exit is not None:
            return
        if self._loop.now() < until and any(state != "Z" for state in below(self.pid).values()):
            self._loop.later(HANG_UP_CHECK_SECONDS, lambda: self._end_others(until))
            return
        kill_below(self.pid)
        self._end_itself(self._loop.now() + HANG_UP_SECONDS)

    def _end_itself(self, until: float) -> None:
        if self.pid is None or self.exit is not None:
            return
        if self._loop.now() < until:
            _hang_up(self.pid)  # again and again: bash misses one that comes just before it reads
            self._loop.later(HANG_UP_AGAIN_SECONDS, lambda: self._end_itself(until))
            return
        kill_below(self.pid)
        self.signal(signal.SIGKILL)

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
            if self._ending:
                kill_below(self.pid)  # what it started in its last moment
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


def below(root: int) -> Dict[int, str]:
    """{pid: state} of the descendants of `root` and of its session's members, without itself; proc(5)."""
    states: Dict[int, str] = {}
    children: Dict[int, Set[int]] = {}
    wanted = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name, "rb") as file:
                state, parent, _group, session = file.read(4096).rpartition(b")")[2].split()[:4]
        except (OSError, ValueError):
            continue  # it has ended
        states[int(name)] = state.decode()
        children.setdefault(int(parent), set()).add(int(name))
        if int(session) == root:
            wanted.append(int(name))
    wanted.append(root)
    found: Dict[int, str] = {}
    while wanted:
        pid = wanted.pop()
        if pid not in found:
            found[pid] = states.get(pid, "Z")
            wanted += children.get(pid, ())
    del found[root]
    return found


def kill_below(root: int) -> None:
    """Kill all of `below`, again until nobody new turns up; `root` is stopped, so that it starts nobody meanwhile."""
    _send(root, signal.SIGSTOP)
    known: Set[int] = set()
    for _ in range(SWEEPS_MAX):
        fresh = below(root).keys() - known
        if not fresh:
            return
        for pid in fresh:
            _send(pid, signal.SIGKILL)
        known |= fresh


def _hang_up(pid: int) -> None:
    _send(pid, signal.SIGHUP)
    _send(pid, signal.SIGCONT)  # a stopped one could not end


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass
