"""What happens in a document's room, to everybody who is in it. What does not depend on who hears it is done once.

jupyter-collaboration makes a task for each message and hearer, and tornado another: with thirty people that is most of
what an edit costs. Here a message is made a frame once, and each hearer's stream is given the same bytes, in the order
in which things happened: a cursor never comes before the text that it stands in.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_server_ydoc.rooms import DocumentRoom
from pycrdt import create_update_message, read_message

from .keeping import Keeping
from .yjs_wire import AWARENESS

WHOLE_BINARY = 0x82  # RFC 6455, 5.2: the last part of a message, of bytes; a server masks nothing
GONE = b"null"
"""What a state in JSON ends with when somebody has gone, and no other does."""


class Hearer(Protocol):
    def hand(self, frame: bytes) -> None:
        """Does not wait, and raises nothing."""


def framed(message: bytes) -> bytes:
    size = len(message)
    if size < 126:
        return bytes((WHOLE_BINARY, size)) + message
    if size < 1 << 16:
        return struct.pack("!BBH", WHOLE_BINARY, 126, size) + message
    return struct.pack("!BBQ", WHOLE_BINARY, 127, size) + message


def give(message: bytes, hearers: Iterable[Hearer]) -> None:
    frame = framed(message)
    for hearer in list(hearers):  # who cannot be reached is taken out meanwhile
        hearer.hand(frame)


class FanoutRoom(DocumentRoom):  # type: ignore[misc]
    """Its clients are `Hearer`s."""

    if TYPE_CHECKING:
        ystore: Any
        clients: set[Any]
        _subscription: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._fresh: deque[bytes] = deque()
        """Updates that nobody has heard of yet."""
        super().__init__(*args, **kwargs)
        self._keeping = Keeping(self.ystore.write) if self.ystore is not None else None
        self.on_message = self._hear

    async def _watch_ready(self) -> None:
        await self.ready_event.wait()
        if self._subscription is None:  # else the room was begun again, after an error
            self._subscription = self.ydoc.observe(self._changed)
        self.ydoc_observed.set()

    def _changed(self, event: Any) -> None:
        self._fresh.append(event.update)
        if self._keeping is not None:
            self._keeping.made += 1
        if len(self._fresh) == 1:
            asyncio.get_running_loop().call_soon(self._pass_on)

    def _pass_on(self) -> None:
        while self._fresh:
            update = self._fresh.popleft()
            give(create_update_message(update), self.clients)
            if self._keeping is not None:
                self._keeping.put(update)

    def _hear(self, message: bytes) -> bool:
        """Whether all is done that it asks for. Of states, one comes at a time (`RoomSocket`)."""
        if message[0] != AWARENESS or message.endswith(GONE):
            return False
        self._pass_on()
        give(message, self.clients)
        self.awareness.apply_awareness_update(read_message(message[1:]), self)
        return True

    async def _broadcast_updates(self) -> None:
        """Called once, when the room is begun. Theirs sends what comes out of a stream, which is not used."""
        self._update_send_stream.close()
        self._update_receive_stream.close()
        if self._keeping is None:
            return
        async with self.ystore.start_lock:
            if not self.ystore.started.is_set():
                await self._task_group.start(self.ystore.start)
        await self._keeping.run()
