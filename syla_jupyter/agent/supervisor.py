"""The supervisor: listens, answers requests, and ends the container when its lease is over.

    hello {version[, claim, seconds]}   first of all; {version, python}. `claim`: this container is mine, which is
                                        said yes to exactly once; `seconds`: hold it, `empty_seconds`: see lease
    open {}                             directories are attached, make spares
    ready {}                            answered when the preload list is done and the spares are bound; before `open`:
                                        when the zygote is there
    renew {seconds} / deadline {seconds}
    start {process, key, cwd, env[, argv]}   a kernel; {pid, prefix}
    command {process, argv, cwd, env[, tty]} + three descriptors
    signal {process, number}            to its process group; {delivered}
    end_session {process}               hang up, then kill, all that was started from it and itself; {ending}
    guard_session {process} + one descriptor   the near end of its terminal: end_session when this connection is gone
    processes {}                        {running: [id], ended: [exit event]}, the newest of those that ended
    usage {}                            cpu, memory, processes, kernels, spares
    stop {}                             end the container now

A request that is not of this form is answered with `bad_request` and changes nothing.
"""

from __future__ import annotations

import os
import platform
import socket
from typing import Any, Callable, Dict, Optional, Tuple

from . import cgroup, procself
from .guard import Guards
from .kernels import Kernels, refused
from .lease import Lease
from .link import Connection, is_outside
from .loop import Loop
from .protocol import VERSION, Message, ProtocolError

CONNECTIONS_MAX = 64
TEXT_MAX = 64 * 1024


class BadRequest(Exception):
    pass


def want(message: Message, name: str, kind: Any) -> Any:
    value = message.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BadRequest("%s is missing or of the wrong type" % name)
    return value


def want_seconds(message: Message, name: str = "seconds") -> float:
    seconds = want(message, name, (int, float))
    if not 0 <= seconds <= 10 * 365 * 86400:  # before float(), which an integer may be too long for
        raise BadRequest("%s is out of range" % name)
    return float(seconds)


def check_start(message: Message) -> None:
    want(message, "process", str)
    want(message, "cwd", str)
    for name, value in dict(message.get("env") or {}).items():
        if not isinstance(value, str) or "\0" in name + value or "=" in name or not name:
            raise BadRequest("env is not a table of text")
    argv = message.get("argv")
    if argv is not None and not (isinstance(argv, list) and argv and all(isinstance(a, str) for a in argv)):
        raise BadRequest("argv is not a list of text")


class Supervisor:
    def __init__(self, config: Dict[str, Any], zygote: Optional[Tuple[int, int]]) -> None:
        self._loop = Loop()
        self._config = config
        self._zygote = zygote
        self._lease = Lease(config["lease_seconds"], config.get("deadline_seconds"), self._loop.now())
        self._connections: Dict[int, Connection] = {}
        self._holders: Dict[int, Connection] = {}
        self._claimed = False
        self._guards = Guards()
        self._kernels = Kernels(self._loop, config["dir"], int(config["spares"]), list(config["preload"]), self._emit)
        self._kernels.on_empty = self._check_lease
        self._operations: Dict[str, Callable[[Connection, Message, Callable[[Message], None]], None]] = {
            "open": self._open,
            "ready": self._ready,
            "renew": self._renew,
            "deadline": self._deadline,
            "start": self._start,
            "command": self._command,
            "signal": self._signal,
            "end_session": self._end_session,
            "guard_session": self._guard_session,
            "processes": self._processes,
            "usage": self._usage,
            "stop": self._stop,
        }

    def run(self) -> int:
        procself.set_dumpable(False)
        procself.reap_orphans()
        if self._zygote is not None:
            self._kernels.adopt_zygote(*self._zygote)
        path = os.path.join(self._config["dir"], "agent")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path + ".new")
        listener.listen(CONNECTIONS_MAX)
        listener.setblocking(False)
        os.rename(path + ".new", path)  # whoever sees the name can connect
        self._loop.watch(listener, lambda: self._accept(listener))
        if self._config["open"]:
            self._kernels.open()
        self._check_lease()
        return self._loop.run()

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        if len(self._connections) >= CONNECTIONS_MAX or not is_outside(sock):
            sock.close()
            return
        connection = Connection(self._loop, sock, self._request, self._gone)
        self._connections[connection.id] = connection

    def _gone(self, connection: Connection) -> None:
        self._connections.pop(connection.id, None)
        for process in self._guards.of(connection.id):
            self._kernels.end_session(process)
        if self._holders.pop(connection.id, None):
            self._lease.drop(connection.id, self._loop.now())
            self._check_lease()

    def _check_lease(self) -> None:
        code, seconds = self._lease.due(self._loop.now(), self._kernels.empty_since)
        if code is not None:
            self._emit({"event": "ending", "code": code})
            self._loop.stop(code)
        elif seconds is not None:
            self._loop.later(seconds + 0.001, self._check_lease)

    def _emit(self, event: Message) -> None:
        if event["event"] == "exit":
            self._guards.release(str(event["process"]))
        for connection in list(self._holders.values()):
            connection.send(event)

    def _request(self, connection: Connection, message: Message) -> None:
        number = message.get("id")

        def answer(reply: Message) -> None:
            try:
                connection.send({"ok": True, **reply, "id": number})
            except ProtocolError:
                connection.close()

        operation = message.get("op")
        if not connection.greeted:
            if operation != "hello" or message.get("version") != VERSION:
                answer(refused("version", "this agent speaks version %d" % VERSION))
                connection.close()
                return
            if message.get("claim") is True and self._claimed:
                answer(refused("claimed", "this container has been claimed"))
                connection.close()
                return
            try:
                if "seconds" in message:
                    empty = want_seconds(message, "empty_seconds") if "empty_seconds" in message else None
                    self._holds(connection, want_seconds(message), empty)
            except BadRequest as exc:
                answer(refused("bad_request", str(exc)))
                return
            self._claimed = self._claimed or message.get("claim") is True
            connection.greeted = True
            answer({"version": VERSION, "python": platform.python_version()})
            return
        handler = self._operations.get(operation) if isinstance(operation, str) else None
        try:
            if handler is None:
                raise BadRequest("no such operation")
            handler(connection, message, answer)
        except (BadRequest, TypeError, ValueError) as exc:
            answer(refused("bad_request", str(exc)))

    # -- operations --------------------------------------------------------------------------------------------

    def _open(self, _c: Connection, _m: Message, answer: Callable[[Message], None]) -> None:
        self._kernels.open()
        answer({})

    def _ready(self, _c: Connection, _m: Message, answer: Callable[[Message], None]) -> None:
        self._kernels.when_ready(answer)

    def _holds(self, connection: Connection, seconds: float, empty_seconds: Optional[float]) -> None:
        """It holds the lease, and gets the events."""
        self._lease.hold(connection.id, seconds, empty_seconds)
        self._holders[connection.id] = connection

    def _renew(self, _c: Connection, message: Message, answer: Callable[[Message], None]) -> None:
        self._lease.renew(want_seconds(message), self._loop.now())
        self._check_lease()
        answer({})

    def _deadline(self, _c: Connection, message: Message, answer: Callable[[Message], None]) -> None:
        self._lease.end_in(want_seconds(message), self._loop.now())
        self._check_lease()
        answer({})

    def _start(self, _c: Connection, message: Message, answer: Callable[[Message], None]) -> None:
        check_start(message)
        bytes.fromhex(want(message, "key", str))
        self._kernels.start(message, answer)

    def _command(self, connection: Connection, message: Message, answer: Callable[[Message], None]) -> None:
        check_start(message)
        want(message, "argv", list)
        fds = connection.take_fds(3)
        if fds is None:
            raise BadRequest("a command comes with three descriptors")
        try:
            self._kernels.command(message, fds, answer)
        finally:
            for fd in fds:
                os.close(fd)

    def _signal(self, _c: Connection, message: Message, answer: Callable[[Message], None]) -> None:
        number = want(message, "number", int)
        if not 0 <= number <= 64:
            raise BadRequest("number is not a signal")
        answer({"delivered": self._kernels.signal(want(message, "process", str), number)})

    def _processes(self, _c: Connection, _m: Message, answer: Callable[[Message], None]) -> None:
        answer(self._kernels.processes())

    def _end_session(self, _c: Connection, message: Message, answer: Callable[[Message], None]) -> None:
        answer({"ending": self._kernels.end_session(want(message, "process", str))})

    def _guard_session(self, connection: Connection, message: Message, answer: Callable[[Message], None]) -> None:
        process = want(message, "process", str)
        fds = connection.take_fds(1)
        if fds is None:
            raise BadRequest("a terminal is guarded with a descriptor of it")
        running = process in self._kernels.processes()["running"]
        if running:
            self._guards.keep(process, connection.id, fds[0])
        else:
            os.close(fds[0])
        answer({"guarded": running})

    def _usage(self, _c: Connection, _m: Message, answer: Callable[[Message], None]) -> None:
        answer({**cgroup.usage(), **self._kernels.counts()})

    def _stop(self, _c: Connection, _m: Message, answer: Callable[[Message], None]) -> None:
        answer({})
        self._loop.later(0.0, lambda: self._loop.stop(0))
