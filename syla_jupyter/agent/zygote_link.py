"""The agent's side of the zygote: starts it, restarts it when it dies, asks it to fork and to preload.

Records on a SOCK_SEQPACKET pair, JSON, one a packet:

    agent -> zygote   {"fork": n, "prefix": p} + [channel, stderr]   {"preload": module}
    zygote -> agent   {"ready": true} {"forked": n, "pid": p} {"failed": n, "message": m}
                      {"exit": pid, "status": wait status} {"preloaded": module, "ok": bool, "reason": r}
"""

from __future__ import annotations

import json
import os
import signal
import socket
from typing import Callable, List, Optional

from . import launch
from .loop import Loop
from .protocol import Message

PACKET_MAX = 64 * 1024
RESTART_SECONDS = (0.0, 0.5, 2.0, 10.0)


class ZygoteLink:
    def __init__(self, loop: Loop, on_packet: Callable[[Message], None], on_death: Callable[[], None]) -> None:
        self._loop, self._on_packet, self._on_death = loop, on_packet, on_death
        self._socket: Optional[socket.socket] = None
        self._deaths = 0
        self._pid = 0
        self.ready = False

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)

    def adopt(self, pid: int, fd: int) -> None:
        """One that has been launched."""
        self._pid = pid
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)
        self.ready = False
        self._loop.watch(self._socket, self._readable)
        self._loop.child(pid, self._died)

    def start(self) -> None:
        self.adopt(*launch.zygote())

    def send(self, packet: Message, fds: Optional[List[int]] = None) -> bool:
        """False when the zygote is not there to take it."""
        if self._socket is None:
            return False
        try:
            socket.send_fds(self._socket, [json.dumps(packet).encode()], fds or [])
        except OSError:
            return False
        return True

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(PACKET_MAX)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.watch(self._socket, None)
            return
        try:
            packet = json.loads(data.decode())
        except (ValueError, RecursionError):
            return
        if isinstance(packet, dict):
            if packet.get("ready"):
                self.ready, self._deaths = True, 0
            self._on_packet(packet)

    def _died(self, _status: int) -> None:
        if self._socket is not None:
            self._loop.watch(self._socket, None)
            self._socket.close()
            self._socket = None
        self.ready = False
        delay = RESTART_SECONDS[min(self._deaths, len(RESTART_SECONDS) - 1)]
        self._deaths += 1
        self._on_death()
        self._loop.later(delay, self.start)
