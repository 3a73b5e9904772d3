"""A proxy on the loopback interface that spoils what a real HTTP server and a client of it say to each other.

Each request is read whole, then a plan decides by its index, method and path what becomes of it. Towards the server
one connection per request, so that the end of an answer is the end of its connection.
"""

from __future__ import annotations

import contextlib
import enum
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

HEAD_MAX = 1 << 16
STEP_SECONDS = 30.0


class Spoil(enum.Enum):
    RESET_BEFORE = "the server never sees the request"
    RESET_AFTER = "the server has done it, the client never hears of it"
    HALF_REQUEST = "the server sees half of the body, then the client's end"
    HALF_ANSWER = "the client sees half of the answer's body, then the server's end"
    HANG = "nobody answers until the client goes away"
    PAGE = "somebody's friendly page with status 200"


@dataclass(frozen=True)
class Status:
    """An answer of S3's kind, without asking the server."""

    code: int
    name: str


@dataclass(frozen=True)
class Seen:
    index: int
    method: str
    path: str


Plan = Callable[[Seen], Spoil | Status | None]


@dataclass
class FaultProxy:
    server_port: int
    plan: Plan = lambda seen: None
    seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name="fault-proxy", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def first(self, spoil: Spoil | Status, *, times: int = 1, method: str = "") -> None:
        """Spoil the next requests of that method."""
        left = [times]

        def plan(seen: Seen) -> Spoil | Status | None:
            if left[0] and seen.method.startswith(method):
                left[0] -= 1
                return spoil
            return None

        with self._lock:
            self.plan = plan

    def always(self, spoil: Spoil | Status | None) -> None:
        with self._lock:
            self.plan = lambda seen: spoil

    def close(self) -> None:
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(STEP_SECONDS)
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="fault-proxy-client", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """One request per connection: every answer says that it closes."""
        client.settimeout(STEP_SECONDS)
        with client, contextlib.suppress(OSError):
            head = _read_head(client)
            if not head:
                return
            if re.search(rb"(?im)^expect:", head):
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                head = re.sub(rb"(?im)^expect:[^\r]*\r\n", b"", head)
            body = _read_exactly(client, _length(head))
            method, path, _ = head.split(b" ", 2)
            with self._lock:
                seen = Seen(len(self.seen), method.decode(), path.decode())
                self.seen.append(seen)
                spoil = self.plan(seen)
            self._answer(client, head, body, spoil)

    def _answer(self, client: socket.socket, head: bytes, body: bytes, spoil: Spoil | Status | None) -> None:
        if isinstance(spoil, Status):
            text = f"<?xml version='1.0'?><Error><Code>{spoil.name}</Code><Message>spoiled</Message></Error>".encode()
            client.sendall(
                _plain(f"{spoil.code} {spoil.name}", "application/xml", text, is_head=head.startswith(b"HEAD"))
            )
        elif spoil is Spoil.PAGE:
            client.sendall(
                _plain("200 OK", "text/html", b"<html>Please log in</html>", is_head=head.startswith(b"HEAD"))
            )
        elif spoil is Spoil.HANG:
            client.recv(1)
        elif spoil is Spoil.RESET_BEFORE:
            _reset(client)
        elif spoil is Spoil.HALF_REQUEST:
            with socket.create_connection(("127.0.0.1", self.server_port), STEP_SECONDS) as server:
                server.sendall(head + body[: len(body) // 2])
                _reset(server)
            _reset(client)
        else:
            answer = self._forward(head, body)
            if spoil is Spoil.RESET_AFTER:
                _reset(client)
            elif spoil is Spoil.HALF_ANSWER:
                begin = answer.index(b"\r\n\r\n") + 4
                client.sendall(answer[: begin + (len(answer) - begin) // 2])
            else:
                client.sendall(answer)

    def _forward(self, head: bytes, body: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.server_port), STEP_SECONDS) as server:
            server.sendall(head[:-2] + b"Connection: close\r\n\r\n" + body)
            return b"".join(iter(lambda: server.recv(1 << 20), b""))


@contextlib.contextmanager
def running_proxy(server_port: int) -> Iterator[FaultProxy]:
    proxy = FaultProxy(server_port)
    try:
        yield proxy
    finally:
        proxy.close()


def _read_head(client: socket.socket) -> bytes:
    """Up to and with the empty line; byte by byte, so that nothing of the body is taken. Empty at the end."""
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        piece = client.recv(1)
        if not piece or len(head) > HEAD_MAX:
            return b""
        head += piece
    return bytes(head)


def _read_exactly(client: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = client.recv(min(1 << 20, size - len(data)))
        if not piece:
            raise ConnectionError("the client went away")
        data += piece
    return bytes(data)


def _length(head: bytes) -> int:
    found = re.search(rb"(?im)^content-length: *(\d+)", head)
    return int(found[1]) if found else 0


def _plain(status: str, kind: str, body: bytes, *, is_head: bool) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + (b"" if is_head else body)


def _reset(end: socket.socket) -> None:
    """Not a polite end: RST."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()
