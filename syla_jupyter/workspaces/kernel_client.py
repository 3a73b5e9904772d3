"""One client of one kernel, for a short conversation: who is answered, what is believed.

The other end is the container's: messages are signed with the kernel's key, which the code in it can read, so a
signature only keeps other containers out. Each message is looked at for form before it is used, and what makes no sense
is left out. It has a largest size: the connection of whoever sends more is cut (and the subscription made anew, with
`missed` set). Nothing is unpickled: the wire format is JSON. A wait has an end.

A subscriber gets what is published after its subscription has arrived, and nobody tells it when that is. So the
conversation is opened with harmless questions, until the answer to one comes both as a reply and as published: then
everything published will be heard, and the kernel is not busy with somebody else's code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import zmq
from jupyter_client.session import Session

from ..model.clock import Clock
from ..model.errors import AgentRefused

MESSAGE_BYTES_MAX = 16 << 20
QUEUED_MAX = 200
INVALID_MAX = 100
HEARD_SECONDS = 0.5
"""For what was published to arrive, once the reply has."""
DEAF_MAX = 3
"""Answers not heard until the subscription is made anew."""


@dataclass(frozen=True)
class Message:
    channel: str
    """`shell` or `iopub`."""
    type: str
    parent: str
    """Id of the request it belongs to."""
    content: Mapping[str, Any]


class KernelClient:
    """Connected from construction to `close`. Not for several threads."""

    def __init__(self, prefix: Path, key: bytes, clock: Clock) -> None:
        self._prefix, self._clock = prefix, clock
        self._context = zmq.Context()
        self._session = Session(key=key, signature_scheme="hmac-sha256", username="syla")
        self._shell = self._connected(zmq.DEALER, 1)
        self._iopub, self._cut = self._subscribed()
        self._invalid = 0
        self.missed = False
        """Something that was published was not taken."""

    def close(self) -> None:
        self._context.destroy(linger=0)

    def __enter__(self) -> KernelClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def send(self, type: str, content: Mapping[str, Any]) -> str:
        """Ask on the shell channel; gives the id that answers name as their parent."""
        message = self._session.msg(type, dict(content))
        self._session.send(self._shell, message)
        return str(message["header"]["msg_id"])

    def receive(self, seconds: float) -> Message | None:
        """The next message that makes sense; None when there was none in time. `AgentRefused` for a flood of others."""
        poller = zmq.Poller()
        for socket in (self._iopub, self._shell, self._cut):
            poller.register(socket, zmq.POLLIN)
        ready = dict(poller.poll(max(0, int(seconds * 1000))))
        if self._cut in ready and self._iopub not in ready:
            self.missed = True
            self._subscribe_again()
        # What was published before the reply was sent is to be seen before it.
        for channel, socket in (("iopub", self._iopub), ("shell", self._shell)):
            if socket in ready:
                found = self._read(channel, socket)
                if found is not None:
                    return found
        return None

    def hear(self, *, keep_waiting: Callable[[], None]) -> None:
        """Until the kernel has answered and is heard; `keep_waiting` raises to give up."""
        deaf = 0
        while True:
            asked = self.send("kernel_info_request", {})
            replied = heard = False
            until = float("inf")
            while not (replied and heard) and (now := self._clock.monotonic()) < until:
                keep_waiting()
                message = self.receive(min(HEARD_SECONDS, until - now))
                if message is None or message.parent != asked:
                    continue
                if message.channel == "iopub":
                    heard = True
                elif message.type == "kernel_info_reply":
                    replied, until = True, now + HEARD_SECONDS
            if heard:
                return
            deaf += 1
            if deaf % DEAF_MAX == 0:
                self._subscribe_again()

    def _subscribe_again(self) -> None:
        self._iopub.disable_monitor()
        self._iopub.close(linger=0)
        self._iopub, self._cut = self._subscribed()

    def _subscribed(self) -> tuple[Any, Any]:
        """A subscriber, and what is readable once its connection was cut: for a message too large it stays so."""
        socket = self._connected(zmq.SUB, 2)
        return socket, socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)

    def _connected(self, kind: int, number: int) -> Any:
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, MESSAGE_BYTES_MAX)
        socket.setsockopt(zmq.RCVHWM, QUEUED_MAX)
        if kind == zmq.SUB:
            socket.setsockopt(zmq.SUBSCRIBE, b"")
        else:
            socket.setsockopt(zmq.IDENTITY, self._session.bsession)
        socket.connect(f"ipc://{self._prefix}-{number}")
        return socket

    def _read(self, channel: str, socket: Any) -> Message | None:
        try:
            _, message = self._session.recv(socket, zmq.NOBLOCK)
        except zmq.ZMQError:
            return None
        except Exception:  # whatever unpacking makes of bytes from there: RecursionError, KeyError, ValueError
            self._not_believed()
            return None
        if message is None:
            return None
        header, parent, content = (message.get(part) for part in ("header", "parent_header", "content"))
        if not (isinstance(header, dict) and isinstance(parent, dict) and isinstance(content, dict)):
            self._not_believed()
            return None
        type, id = header.get("msg_type"), parent.get("msg_id", "")
        if not (isinstance(type, str) and isinstance(id, str)):
            self._not_believed()
            return None
        return Message(channel, type, id, content)

    def _not_believed(self) -> None:
        self._invalid += 1
        if self._invalid > INVALID_MAX:
            raise AgentRefused("the kernel's messages make no sense", "Restart it: `syla workspace suspend --stop`")
