"""Kernels: forked from the zygote through a spare, or started from an argv; and commands.

A zygote kernel's life:  asked -> forked -> bound (a spare) -> claimed -> ended.  Spares are made ahead, one
start wants one; when none is ready the start waits for the next. While starts wait, at most one fork per core
is under way, and nothing is forked ahead until the machine has been left alone for a moment: the kernel that
somebody waits for comes first.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
from collections import deque
from typing import Callable, Deque, Dict, List, Optional, Tuple

from . import connection_file, procself
from .loop import Loop
from .process import Process
from .protocol import Message
from .spare import LATER
from .zygote_link import ZygoteLink

BOOTING_MAX = max(2, os.cpu_count() or 1)
REFILL_SECONDS = 0.4  # after the last start, before a spare is made ahead
FAILED_SECONDS = 10.0  # after a spare that could not be made, before the next one nobody waits for is tried
BIND_SECONDS = 60.0  # for an argv kernel to bind its sockets
SPARE_SECONDS = 20.0  # for a forked kernel to be ready; a fork can inherit a lock nobody will release
PRELOAD_SECONDS = 40.0  # for the zygote to try and import one module
BIND_CHECK_SECONDS = 0.005
SOCKET_COUNT = 5
ENDED_MAX = 64

Answer = Callable[[Message], None]


def refused(code: str, message: str) -> Message:
    return {"ok": False, "code": code, "message": message}


class Spare(Process):
    def __init__(self, loop: Loop, number: int, prefix: str, ended: Callable[[Process, Message], None]) -> None:
        super().__init__(loop, "spare-%d" % number, ended)
        self.number, self.prefix = number, prefix
        self.channel: Optional[socket.socket] = None
        self.bound = False
        self.answer: Optional[Answer] = None
        """Set while a claim is on its way; called with the kernel's word."""


class Kernels:
    def __init__(
        self, loop: Loop, directory: str, spares: int, preload: List[str], emit: Callable[[Message], None]
    ) -> None:
        self._loop, self._dir, self._wanted_spares, self._emit = loop, directory, spares, emit
        self._preload: Deque[str] = deque([LATER, *preload])
        self._numbers = itertools.count(1)
        self._processes: Dict[str, Process] = {}
        self._prefixes: Dict[str, str] = {}
        self._spares: Dict[int, Spare] = {}
        self._waiting: Deque[Tuple[Message, Answer]] = deque()
        self._early_exits: Dict[int, int] = {}
        self._zygote: Optional[ZygoteLink] = None
        self._opened = False
        self._last_start = 0.0
        self._no_spare_before = 0.0
        self._preloading = False
        self._ready_answers: List[Answer] = []
        self._ended_last: Deque[Message] = deque(maxlen=ENDED_MAX)
        self._emptied = loop.now()
        self.on_empty: Callable[[], None] = lambda: None

    # -- what the supervisor calls -------------------------------------------------------------------------

    def adopt_zygote(self, pid: int, fd: int) -> None:
        self._zygote = ZygoteLink(self._loop, self._from_zygote, self._zygote_died)
        self._zygote.adopt(pid, fd)

    def open(self) -> None:
        """Directories are in place: kernels may be made."""
        self._opened, self._last_start = True, self._loop.now()  # whoever opens it is about to start one
        self._work()

    def when_ready(self, answer: Answer) -> None:
        self._ready_answers.append(answer)
        self._work()

    @property
    def empty_since(self) -> Optional[float]:
        """Since when no kernel and no command runs; None while one does or is waited for."""
        return None if self._processes or self._waiting else self._emptied

    def processes(self) -> Message:
        """For a host process that comes later: what runs, and how what it may have missed ended."""
        return {"running": sorted(self._processes), "ended": list(self._ended_last)}

    def counts(self) -> Message:
        return {
            "kernels": len(self._processes),
            "spares_ready": sum(1 for s in self._spares.values() if s.bound),
            "waiting": len(self._waiting),
        }

    def start(self, request: Message, answer: Answer) -> None:
        """Claim a spare for request {process, key, cwd, env, restore_variables}; or start request["argv"]."""
        self._emptied = self._loop.now()
        if self._known(request["process"]):
            answer(refused("exists", "process %s is running" % request["process"]))
        elif request.get("argv"):
            self._start_argv(request, answer)
        elif self._zygote is None:
            answer(refused("no_zygote", "this image has no zygote; say argv"))
        else:
            self._last_start = self._loop.now()
            self._waiting.append((request, answer))
            self._work()

    def _known(self, id: str) -> bool:
        return id in self._processes or any(request["process"] == id for request, _ in self._waiting)

    def signal(self, id: str, number: int) -> bool:
        process = self._processes.get(id)
        return process.signal(number) if process else False

    def end_session(self, id: str) -> bool:
        process = self._processes.get(id)
        if process is not None:
            process.end_session()
        return process is not None

    # -- spares ----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        self._make()
        if self._ready_answers and self._is_ready():
            answers, self._ready_answers = self._ready_answers, []
            for answer in answers:
                answer({})

    def _is_ready(self) -> bool:
        """All is done that can be done ahead: until directories are in place nothing is forked or preloaded."""
        if self._zygote is None or not self._opened:
            return self._zygote is None or self._zygote.ready
        bound = sum(1 for s in self._spares.values() if s.bound)
        return not self._waiting and not self._preload and bound >= self._wanted_spares

    def _make(self) -> None:
        """Hand ready spares to who waits; fork what is missing; then preload; then fork ahead."""
        if not self._opened or self._zygote is None:
            return
        for spare in [s for s in self._spares.values() if s.bound and s.answer is None]:
            if not self._waiting:
                break
            self._claim(spare, *self._waiting.popleft())
        if not self._zygote.ready:
            return
        booting = sum(1 for s in self._spares.values() if not s.bound)
        for _ in range(min(len(self._waiting), BOOTING_MAX) - booting):
            self._fork()
        if self._waiting or self._preloading:
            return
        quiet = self._loop.now() - self._last_start
        if self._last_start and quiet < REFILL_SECONDS:
            self._loop.later(REFILL_SECONDS - quiet + 0.001, self._work)
        elif self._preload:
            module = self._preload[0]
            self._preloading = self._zygote.send({"preload": module})
            self._loop.later(PRELOAD_SECONDS, lambda: self._give_up_preload(module))
        elif len(self._spares) < self._wanted_spares:
            if self._loop.now() >= self._no_spare_before:
                self._fork()

    def _fork(self) -> None:
        assert self._zygote is not None
        number = next(self._numbers)
        spare = Spare(self._loop, number, os.path.join(self._dir, "k%d" % number), self._ended)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stderr = spare.keep_tail()
        request = {"fork": number, "prefix": spare.prefix}
        try:
            if not self._zygote.send(request, [theirs.fileno(), stderr]):
                ours.close()
                return
        finally:
            theirs.close()
            os.close(stderr)
        ours.setblocking(False)
        spare.channel = ours
        self._spares[number] = spare
        self._loop.watch(ours, lambda: self._from_spare(spare))
        self._loop.later(SPARE_SECONDS, lambda: self._check_bound(spare))

    def _check_bound(self, spare: Spare) -> None:
        if not spare.bound:
            spare.signal(signal.SIGKILL)

    def _claim(self, spare: Spare, request: Message, answer: Answer) -> None:
        assert spare.channel is not None
        claim = {name: request.get(name) for name in ("key", "cwd", "env", "restore_variables")}
        del self._spares[spare.number]
        spare.id = request["process"]
        self._processes[spare.id] = spare
        self._prefixes[spare.id] = spare.prefix
        spare.answer = answer
        try:
            spare.channel.send(json.dumps(claim).encode())
        except OSError:
            self._drop_channel(spare)
            spare.signal(signal.SIGKILL)

    def _from_spare(self, spare: Spare) -> None:
        assert spare.channel is not None
        try:
            data = spare.channel.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop_channel(spare)
            return
        try:
            word = json.loads(data.decode())
        except ValueError:
            word = {}
        if not isinstance(word, dict):
            return
        if word.get("bound"):
            spare.bound = True
        elif spare.answer is not None:
            answer, spare.answer = spare.answer, None
            self._last_start = self._loop.now()  # what comes next is its first request, however long this took
            if word.get("ok") is True:
                given = {"prefix": os.path.basename(spare.prefix), "restored": word.get("restored")}
                answer({"ok": True, "pid": spare.pid, **given})
            else:
                answer(refused("start_failed", str(word.get("message"))[:1000]))
        self._work()

    def _not_made(self, why: str) -> None:
        """A spare ended before anybody had it: whoever waits is told, and nothing is tried ahead for a while."""
        self._no_spare_before = self._loop.now() + FAILED_SECONDS
        self._loop.later(FAILED_SECONDS + 0.001, self._work)
        if self._waiting:
            self._waiting.popleft()[1](refused("start_failed", why))

    def _drop_channel(self, spare: Spare) -> None:
        if spare.channel is not None:
            self._loop.watch(spare.channel, None)
            spare.channel.close()
            spare.channel = None

    def _from_zygote(self, packet: Message) -> None:
        if "forked" in packet:
            spare = self._spares.get(packet["forked"])
            if spare is not None:
                spare.started(packet["pid"])
                status = self._early_exits.pop(packet["pid"], None)
                self._loop.child(packet["pid"], spare.status)  # if the zygote dies, it becomes our child
                if status is not None:
                    spare.status(status)
        elif "failed" in packet:
            spare = self._spares.pop(packet["failed"], None)
            if spare is not None:
                self._drop_channel(spare)
                self._not_made(str(packet.get("message")))
        elif "exit" in packet:
            process = next((p for p in self._all() if p.pid == packet["exit"]), None)
            if process is not None:
                self._loop.forget(packet["exit"])
                process.status(packet["status"])
            else:
                self._early_exits[packet["exit"]] = packet["status"]
        elif "preloaded" in packet:
            self._preloading = False
            if self._preload and self._preload[0] == packet["preloaded"]:
                self._preload.popleft()
            done = {name: packet[name] for name in ("ok", "reason")}
            self._emit({"event": "preload", "module": packet["preloaded"], **done})
        self._work()

    def _give_up_preload(self, module: str) -> None:
        """A module that takes for ever costs the zygote its life, and its place on the list."""
        if self._preloading and self._preload and self._preload[0] == module and self._zygote is not None:
            self._preload.popleft()
            self._emit({"event": "preload", "module": module, "ok": False, "reason": "importing it takes too long"})
            self._zygote.kill()

    def _zygote_died(self) -> None:
        self._preloading = False
        for spare in list(self._spares.values()):
            if spare.pid is None:
                del self._spares[spare.number]
                self._drop_channel(spare)
        self._emit({"event": "zygote_died"})

    # -- kernels from an argv, and commands --------------------------------------------------------------------

    def _start_argv(self, request: Message, answer: Answer) -> None:
        prefix = os.path.join(self._dir, "k%d" % next(self._numbers))
        file = connection_file.write(prefix, request["key"])
        argv = [part.replace("{connection_file}", file) for part in request["argv"]]
        process = Process(self._loop, request["process"], self._ended)
        tail = process.keep_tail()
        failed = self._spawn(process, argv, request, [subprocess.DEVNULL, tail, tail])
        os.close(tail)
        if failed:
            answer(failed)
            return
        self._prefixes[process.id] = prefix
        self._await_sockets(process, prefix, answer, self._loop.now() + BIND_SECONDS)

    def _await_sockets(self, process: Process, prefix: str, answer: Answer, until: float) -> None:
        if process.exit is not None:
            answer(refused("start_failed", "the kernel ended before it listened: %s" % process.exit["detail"]))
        elif all(os.path.exists("%s-%d" % (prefix, n)) for n in range(1, SOCKET_COUNT + 1)):
            answer({"ok": True, "pid": process.pid, "prefix": os.path.basename(prefix)})
        elif self._loop.now() > until:
            process.signal(signal.SIGKILL)
            answer(refused("start_failed", "the kernel did not listen within %d s" % BIND_SECONDS))
        else:
            self._loop.later(BIND_CHECK_SECONDS, lambda: self._await_sockets(process, prefix, answer, until))

    def command(self, request: Message, fds: List[int], answer: Answer) -> None:
        """Run request["argv"] on the three descriptors; its end is an exit event."""
        if self._known(request["process"]):
            answer(refused("exists", "process %s is running" % request["process"]))
            return
        self._emptied = self._loop.now()
        process = Process(self._loop, request["process"], self._ended)
        failed = self._spawn(process, request["argv"], request, fds)
        answer(failed or {"ok": True, "pid": process.pid})

    def _spawn(self, process: Process, argv: List[str], request: Message, stdio: List[int]) -> Optional[Message]:
        def in_child() -> None:
            procself.set_dumpable(True)
            procself.set_oom_score(procself.OOM_SCORE)
            if request.get("tty"):
                import fcntl
                import termios

                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
                procself.reap_orphans()  # for `end_session` to find what leaves its session

        environment = {**os.environ, **(request.get("env") or {})}
        environment["PWD"] = request["cwd"]
        try:
            child = subprocess.Popen(
                argv,
                stdin=stdio[0],
                stdout=stdio[1],
                stderr=stdio[2],
                cwd=request["cwd"],
                env=environment,
                start_new_session=True,
                preexec_fn=in_child,
            )
        except FileNotFoundError as exc:
            return refused("not_found", "%s: no such file or command in the container" % exc.filename)
        except (OSError, ValueError, subprocess.SubprocessError) as exc:
            return refused("start_failed", "%s: %s" % (argv[0], getattr(exc, "strerror", None) or exc))
        process.started(child.pid)
        self._loop.child(child.pid, process.status)
        child.returncode = 0  # the loop reaps it; keeps the destructor quiet
        self._processes[process.id] = process
        return None

    # -- ends ------------------------------------------------------------------------------------------------

    def _all(self) -> List[Process]:
        return [*self._processes.values(), *self._spares.values()]

    def _ended(self, process: Process, event: Message) -> None:
        prefix = self._prefixes.pop(process.id, None)
        if isinstance(process, Spare):
            self._drop_channel(process)
            self._spares.pop(process.number, None)
            prefix = process.prefix
        if prefix:
            for name in [prefix + ".json"] + ["%s-%d" % (prefix, n) for n in range(1, SOCKET_COUNT + 1)]:
                try:
                    os.unlink(name)
                except OSError:
                    pass
        if self._processes.pop(process.id, None) is not None:
            answer = getattr(process, "answer", None)
            if answer is not None:
                process.answer = None  # type: ignore[attr-defined]
                answer(refused("start_failed", "the kernel ended while it started: %s" % event["detail"]))
            else:
                self._ended_last.append(event)
                self._emit(event)
            self._emptied = self._loop.now()
            self.on_empty()
        elif event["code"] != 0 and event["signal"] != signal.SIGKILL:  # 0: it left, killed: another try may do better
            self._not_made("no kernel came up: %s" % event["detail"])
        self._work()
