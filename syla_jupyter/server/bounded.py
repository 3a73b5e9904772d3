"""How much a kernel can make the server hold: a hostile one sends without end, and messages of any size.

    a frame                  `FRAME_BYTES_MAX`; whoever sends more is cut off, and the page told
    waiting to be read       `QUEUED_MAX` messages for each socket; what comes after them waits in the container
    waiting for a browser    `UNSENT_BYTES_MAX` for each websocket; one more message, and its page has to open another
    while no page is open    `KEPT_BYTES_MAX` for each kernel: the oldest go

libzmq gives a connection up for good over a frame that is too large, without a word but that it has ended. Another
end is followed by another attempt at once, this one is not: then the connection is made anew here.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

import zmq
from tornado.ioloop import IOLoop
from zmq.eventloop.zmqstream import ZMQStream
from zmq.utils.monitor import parse_monitor_message

from .frames import parent_of

MIB = 1 << 20
FRAME_BYTES_MAX = 128 * MIB
QUEUED_MAX = 16
UNSENT_BYTES_MAX = 128 * MIB
KEPT_BYTES_MAX = 64 * MIB
MESSAGE_BYTES = 1000
"""What a message takes besides its frames."""
RETRY_SECONDS = 0.5
"""libzmq says at once that it tries again; later than this it does not."""
TOO_LARGE = (
    f"The kernel sent more than {FRAME_BYTES_MAX // MIB} MB in one piece, which is not passed on. "
    "Write it to a file, or show less of it."
)
MISSED = "Some output is missing here: the kernel sent more than this page, or the server for it, could hold."


def bound(context: zmq.Context[Any]) -> None:
    """For all sockets that are made with it from now on."""
    context.setsockopt(zmq.MAXMSGSIZE, FRAME_BYTES_MAX)
    context.setsockopt(zmq.RCVHWM, QUEUED_MAX)


EVENTS = zmq.EVENT_DISCONNECTED | zmq.EVENT_CONNECT_RETRIED | zmq.EVENT_MONITOR_STOPPED
_numbers = itertools.count(1)


class Watch:
    """Connects a stream again whose kernel has sent what is too large, and calls `told`; ends with the stream."""

    def __init__(self, stream: Any, told: Callable[[], None] = lambda: None) -> None:
        self._stream, self.told = stream, told
        self._late: object | None = None
        place = f"inproc://syla-watch-{next(_numbers)}"  # never one that a socket before it may still have
        stream.socket.monitor(place, EVENTS)
        monitor = stream.socket.context.socket(zmq.PAIR, socket_class=zmq.Socket)  # what a ZMQStream takes
        monitor.connect(place)
        self._events = ZMQStream(monitor, stream.io_loop)
        self._events.on_recv(self._heard)

    def _heard(self, frames: Any) -> None:
        loop = IOLoop.current()
        if self._late is not None:
            loop.remove_timeout(self._late)
            self._late = None
        event = parse_monitor_message(frames)["event"]
        if event == zmq.EVENT_MONITOR_STOPPED:
            self._events.close(0)  # not before: libzmq's own thread waits for whoever is to hear of an event
        elif event == zmq.EVENT_DISCONNECTED:
            self._late = loop.call_later(RETRY_SECONDS, self._connect_again)

    def _connect_again(self) -> None:
        self._late = None
        if self._stream.closed():
            return
        place = self._stream.socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._stream.socket.disconnect(place)
        self._stream.socket.connect(place)
        self.told()


class Kept(list[Any]):
    """(channel, frames) that came while no page was open: the newest of them."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = 0
        self.lost = False

    def append(self, row: Any) -> None:
        super().append(row)
        self._bytes += _size(row)
        while self._bytes > KEPT_BYTES_MAX:
            self._bytes -= _size(self.pop(0))
            self.lost = True

    def first_parent(self) -> dict[str, Any]:
        """Of the oldest that is left; empty where it has none that makes sense."""
        try:
            parent = json.loads(parent_of(self[0][1]))
        except (ValueError, RecursionError, IndexError):
            return {}
        return parent if isinstance(parent, dict) else {}


def _size(row: Any) -> int:
    return MESSAGE_BYTES + sum(map(len, row[1]))


class Unsent:
    """Bytes that were written to a websocket and that nobody has taken yet."""

    def __init__(self) -> None:
        self._bytes = 0

    def has_room(self, size: int, write: asyncio.Future[None] | None) -> bool:
        """Whether there was, for a message that was written; `write`: None when the system has taken it already."""
        if write is None:
            return True
        had_room = self._bytes <= UNSENT_BYTES_MAX
        self._bytes += size + MESSAGE_BYTES
        write.add_done_callback(lambda done: self._taken(size, done))
        return had_room

    def _taken(self, size: int, write: asyncio.Future[None]) -> None:
        self._bytes -= size + MESSAGE_BYTES
        if not write.cancelled():
            write.exception()  # a websocket that was closed is told of elsewhere
