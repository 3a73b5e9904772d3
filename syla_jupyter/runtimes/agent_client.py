"""The host end of the agent's protocol: the only importer of `syla_jupyter.agent` on the host.

One connection per container, one reader thread per connection. Calls are plain futures, so both a blocking
caller and any event loop can wait for them; nothing here belongs to a loop. The connection *holds the lease*: if
this process dies, the kernel closes it and the agent ends the container.

What arrives is untrusted: frames are bounded, answers without a question are dropped, every wait has a limit,
and a peer that breaks the protocol is treated as lost.
"""

from __future__ import annotations

import array
import itertools
import math
import os
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Any

from ..agent.protocol import VERSION, FrameReader, ProtocolError, encode
from ..model.errors import AgentError, AgentRefused, AgentTimeout, WorkspaceLost

CALL_SECONDS = 10.0
SEND_SECONDS = 5.0

Event = Mapping[str, Any]


def connect(path: Path, timeout: float) -> socket.socket:
    """Connect to the socket at `path`, following no link at its end.

    The name may have been made in the container: it is opened as a place (O_PATH), checked, and only that place
    is connected to.
    """
    try:
        place = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as exc:
        raise WorkspaceLost(f"the agent's socket is not there ({exc.strerror})") from exc
    try:
        if not stat.S_ISSOCK(os.fstat(place).st_mode):
            raise AgentRefused("the agent's socket is not a socket")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(math.ceil(timeout)))
        try:
            sock.connect(f"/proc/self/fd/{place}")  # waits for room: its queue may be full when it was just thawed
        except OSError as exc:
            sock.close()
            raise WorkspaceLost("the agent does not answer", "its container has ended") from exc
        return sock
    finally:
        os.close(place)


class AgentClient:
    """Connected and greeted on construction; `AgentRefused` for another version or when `claim` comes too late,
    `WorkspaceLost` when nobody is there. With `hold_seconds` it holds the lease until closed and that long after, or
    `empty_seconds` after the last kernel and command, if that is sooner.

    `on_event` is called from the reader thread, `on_lost` once, from it too, when the connection ends.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_event: Callable[[Event], None] = lambda event: None,
        on_lost: Callable[[], None] = lambda: None,
        timeout: float = CALL_SECONDS,
        claim: bool = False,
        hold_seconds: float | None = None,
        empty_seconds: float | None = None,
    ) -> None:
        self._on_event, self._on_lost = on_event, on_lost
        self._socket = connect(path, timeout)
        self._send_lock = threading.Lock()
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._calls: dict[int, Future[Event]] = {}
        self._closed = False
        self.peer_pid = struct.unpack(
            "3i", self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        )[0]
        """The agent's process id as the host sees it: the kernel's word, not the agent's."""
        self._socket.settimeout(None)
        seconds = int(SEND_SECONDS)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(seconds))
        self._reader = threading.Thread(target=self._read, name="syla-agent", daemon=True)
        self._reader.start()
        try:
            given = {"seconds": hold_seconds, "empty_seconds": empty_seconds}
            extra: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
            self.hello = self.call("hello", version=VERSION, claim=claim, timeout=timeout, **extra)
        except AgentError:
            self.close()
            raise

    @property
    def closed(self) -> bool:
        return self._closed

    def submit(self, operation: str, fds: Sequence[int] = (), **arguments: Any) -> Future[Event]:
        """Send a request; the future gives its answer, AgentRefused, or WorkspaceLost."""
        future: Future[Event] = Future()
        with self._lock:
            if self._closed:
                raise WorkspaceLost("the workspace's container has ended")
            number = next(self._ids)
            self._calls[number] = future
        try:
            frame = encode({"id": number, "op": operation, **arguments})
        except (ProtocolError, TypeError, ValueError) as exc:
            with self._lock:
                self._calls.pop(number, None)
            raise AgentRefused(f"{operation}: {exc}") from exc
        try:
            with self._send_lock:
                self._send(frame, fds)
        except OSError:
            self._lose()
        return future

    def call(
        self, operation: str, *, timeout: float = CALL_SECONDS, fds: Sequence[int] = (), **arguments: Any
    ) -> Event:
        """`submit` and wait at most `timeout` seconds."""
        try:
            return self.submit(operation, fds, **arguments).result(timeout)
        except FutureTimeout:
            raise AgentTimeout(f"the agent did not answer {operation!r} within {timeout:g} s") from None

    def close(self) -> None:
        """Let go; the lease starts to run. `on_lost` is not called."""
        self._on_lost = lambda: None
        self._lose()

    def _send(self, frame: bytes, fds: Sequence[int]) -> None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sent = self._socket.sendmsg([frame], ancillary)
        if sent < len(frame):
            self._socket.sendall(frame[sent:])

    def _read(self) -> None:
        reader = FrameReader()
        try:
            while data := self._socket.recv(65536):
                for message in reader.feed(data):
                    self._receive(message)
        except (OSError, ProtocolError):
            pass
        finally:  # whatever went wrong: nobody waits for an answer that nobody reads
            self._lose()
            self._socket.close()  # here only, whoever let go first: nobody else may still be reading from it

    def _receive(self, message: Event) -> None:
        if "event" in message:
            self._on_event(message)
            return
        number = message.get("id")
        with self._lock:
            future = self._calls.pop(number, None) if isinstance(number, int) else None
        if future is None:
            return
        if message.get("ok") is True:
            future.set_result(message)
        else:
            error = AgentRefused(shown(message.get("message"))[:1000])
            error.code = shown(message.get("code"))[:100]  # type: ignore[misc]
            future.set_exception(error)

    def _lose(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            calls, self._calls = list(self._calls.values()), {}
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        for future in calls:
            future.set_exception(WorkspaceLost("the workspace's container has ended"))
        self._on_lost()


def wait_for_agent(path: Path, *, timeout: float, gone: Callable[[], bool], **arguments: Any) -> AgentClient:
    """Connect as soon as the agent listens; WorkspaceLost when `gone()` says the container has ended."""
    until = time.monotonic() + timeout  # noqa: TID251  waits for another process, not for a policy
    checked = 0
    while True:
        if path.exists():
            return AgentClient(path, **arguments)
        checked += 1
        if checked % 100 == 0 and gone():
            raise WorkspaceLost("the container ended before its agent listened")
        if time.monotonic() > until:  # noqa: TID251
            raise AgentTimeout(f"the agent did not listen within {timeout:g} s")
        time.sleep(0.002)


def shown(said: object) -> str:
    """The agent's words in one line that a terminal or a log shows and does not obey."""
    return "".join(c if c.isprintable() else " " for c in str(said))


def _timeval(seconds: int) -> bytes:
    return array.array("l", [seconds, 0]).tobytes()
