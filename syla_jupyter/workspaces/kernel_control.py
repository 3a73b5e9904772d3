"""Questions to a kernel on its control channel, where it answers while it runs a cell.

The other end is the container's: a message has a largest size, what makes no sense is left out, a wait has an end, and
nothing is unpickled: the wire format is JSON. (Output and replies to cells: `kernel_client`.)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import zmq
from jupyter_client.session import Session

from ..model.clock import Clock

MESSAGE_BYTES_MAX = 8 << 20
INVALID_MAX = 100


class ControlClient:
    """Connected from construction to `close`. Not for several threads."""

    def __init__(self, prefix: Path, key: bytes, clock: Clock) -> None:
        self._clock = clock
        self._context = zmq.Context()
        self._session = Session(key=key, signature_scheme="hmac-sha256", username="syla")
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MESSAGE_BYTES_MAX)
        self._socket.setsockopt(zmq.IDENTITY, self._session.bsession)
        self._socket.connect(f"ipc://{prefix}-4")

    def close(self) -> None:
        self._context.destroy(linger=0)

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def ask(self, type: str, content: Mapping[str, Any], *, seconds: float) -> Mapping[str, Any] | None:
        """The content of the answer to `<type>_request`; None when there is none in time, or none that makes sense."""
        return self.first_of({type: content}, seconds=seconds).get(type)

    def first_of(self, asked: Mapping[str, Mapping[str, Any]], *, seconds: float) -> Mapping[str, Mapping[str, Any]]:
        """Ask several at once; the one that is answered first, {} when none is in time."""
        expected = {}
        for type, content in asked.items():
            message = self._session.msg(f"{type}_request", dict(content))
            try:
                self._session.send(self._socket, message)
            except zmq.ZMQError:
                return {}
            expected[message["header"]["msg_id"]] = type
        until, invalid = self._clock.monotonic() + seconds, 0
        while (left := until - self._clock.monotonic()) > 0 and invalid < INVALID_MAX:
            if not self._socket.poll(int(left * 1000) + 1):
                continue
            try:
                _, answer = self._session.recv(self._socket, zmq.NOBLOCK)
                if answer is not None:
                    wanted = expected.get(answer["parent_header"].get("msg_id"))
                    if wanted and answer["msg_type"] == f"{wanted}_reply" and isinstance(answer["content"], dict):
                        return {wanted: answer["content"]}
            except Exception:  # whatever unpacking makes of bytes from there
                pass
            invalid += 1
        return {}
