"""One connection from the host: frames in, frames out, file descriptors that came along.

Only a peer outside the container's process namespace is served: for it `SO_PEERCRED` gives pid 0. (An agent
that is not process 1 is not in a container, and serves anybody: that is how it is run in unit tests.)
"""

from __future__ import annotations

import array
import os
import socket
import struct
from typing import Callable, List, Optional

from .loop import Loop
from .protocol import FrameReader, Message, ProtocolError, encode

OUT_MAX = 4 * 1024 * 1024  # bytes a slow host may leave unread before it is dropped
FDS_MAX = 8


def is_outside(connection: socket.socket) -> bool:
    """Whether the peer is outside this container."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid = struct.unpack("3i", raw)[0]
    return pid == 0 or os.getpid() != 1


class Connection:
    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        on_message: Callable[["Connection", Message], None],
        on_close: Callable[["Connection"], None],
    ) -> None:
        self._loop, self._socket = loop, sock
        self._on_message, self._on_close = on_message, on_close
        self._reader = FrameReader()
        self._out = bytearray()
        self._fds: List[int] = []
        self.greeted = False
        self.closed = False
        sock.setblocking(False)
        loop.watch(sock, self._readable)

    @property
    def id(self) -> int:
        return id(self)

    def take_fds(self, count: int) -> Optional[List[int]]:
        """The oldest `count` descriptors received, now the caller's; None when there are fewer."""
        if len(self._fds) < count:
            return None
        taken, self._fds = self._fds[:count], self._fds[count:]
        return taken

    def send(self, message: Message) -> None:
        if self.closed:
            return
        self._out += encode(message)
        self._flush()

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._loop.watch(self._socket, None)
        self._socket.close()
        for fd in self._fds:
            os.close(fd)
        self._fds = []
        self._on_close(self)

    def _readable(self) -> None:
        try:
            data, ancillary, _flags, _ = self._socket.recvmsg(65536, socket.CMSG_SPACE(FDS_MAX * 4))
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
                self._fds.extend(fds)
        if not data or len(self._fds) > FDS_MAX:
            self.close()
            return
        try:
            messages = self._reader.feed(data)
        except ProtocolError:
            self.close()
            return
        for message in messages:
            if self.closed:
                return
            self._on_message(self, message)

    def _flush(self) -> None:
        try:
            while self._out:
                sent = self._socket.send(self._out)
                del self._out[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if len(self._out) > OUT_MAX:
            self.close()
            return
        self._loop.watch(self._socket, self._readable, self._flush if self._out else None)
