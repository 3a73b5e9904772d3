"""A room's websocket as a page has it, with a real Yjs document: through the wire, one byte string at a time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from pycrdt import Array, Doc, Map, Text, create_sync_message, handle_sync_message
from tornado.websocket import WebSocketClientConnection

from syla_jupyter.server.rooms import GLOBAL
from syla_jupyter.server.yjs_wire import Presence, awareness, presences

from .school import School

ROOM = "/api/collaboration/room"
SAVE = b"\x02\x04save"


@dataclass
class Page:
    socket: WebSocketClientConnection
    doc: Doc[Any] = field(default_factory=Doc)
    client: int = field(default_factory=lambda: random.getrandbits(31))
    others: dict[int, dict[str, Any] | None] = field(default_factory=dict)
    """Client -> state, as heard last."""
    told: list[dict[str, Any]] = field(default_factory=list)
    answers: int = 0
    """Step 2 messages that came."""
    asked: int = 0
    """Step 1 messages that came: with the first, the room is ready."""
    writes: bool = True
    """Whether what the document says by itself goes out."""
    clock: int = 0
    _from_server: bool = False

    def __post_init__(self) -> None:
        self._news = asyncio.Event()
        self._sent: list[asyncio.Future[None]] = []
        self.doc.observe(self._changed)

    def _changed(self, event: Any) -> None:
        if self.writes and not self._from_server:
            self.send_update(event.update)

    def send(self, message: bytes) -> None:
        self._sent.append(asyncio.ensure_future(self._written(message)))

    async def _written(self, message: bytes) -> None:
        with contextlib.suppress(Exception):  # it may have been closed
            await self.socket.write_message(message, binary=True)

    def send_update(self, update: bytes, kind: int = 2) -> None:
        self.send(bytes([0, kind]) + sized(update))

    def ask(self) -> None:
        self.send(create_sync_message(self.doc))

    def say(self, state: dict[str, Any] | None, client: int | None = None) -> None:
        self.clock += 1
        self.send(awareness([Presence(client or self.client, self.clock, state)]))

    async def read(self) -> None:
        while (message := await self.socket.read_message()) is not None:
            assert isinstance(message, bytes)
            self.take(message)
            self._news.set()
        self._news.set()

    def take(self, message: bytes) -> None:
        if message[0] == 1:
            self.others |= {row.client: row.state for row in presences(message)}
        elif message[0] == 2:
            self.told.append(json.loads(message[message.index(b"{") :]))
        else:
            self._from_server = True
            try:
                answer = handle_sync_message(message[1:], self.doc)
            finally:
                self._from_server = False
            self.answers += message[1] == 1
            self.asked += message[1] == 0
            if answer is not None:
                self.send(answer)

    async def until(self, condition: Callable[[], Any], seconds: float = 30) -> Any:
        async with asyncio.timeout(seconds):
            while not (value := condition()):
                self._news.clear()
                await self._news.wait()
        return value

    async def synced(self) -> None:
        """All that was sent has been heard by the server, and all that it has is here: it answers in order."""
        before = self.answers
        self.ask()
        await self.until(lambda: self.answers > before)

    async def save(self, number: int = 1) -> str:
        self.send(SAVE + bytes([number]))
        told = await self.until(lambda: [row for row in self.told if row.get("responseTo") == number])
        return str(told[0]["status"])

    # -- what is in it ------------------------------------------------------------------------------------------

    @property
    def text(self) -> Text:
        return self.doc.get("source", type=Text)

    @property
    def cells(self) -> Array[Any]:
        return self.doc.get("cells", type=Array)

    def add_cell(self, id: str, source: str) -> None:
        self.cells.append(
            Map({"id": id, "cell_type": "raw", "source": Text(source), "metadata": Map({})})
        )  # fmt: skip


def sized(data: bytes) -> bytes:
    length, head = len(data), bytearray()
    while length > 127:
        head.append(128 | (length & 127))
        length >>= 7
    return bytes([*head, length]) + data


async def room_of(school: School, who: str, path: str, format: str = "text", type: str = "file") -> tuple[str, str]:
    """(room's name, session) as a page asks for them."""
    made = await school.made(who, "PUT", f"/api/collaboration/session/{path}", {"format": format, "type": type})
    return f"{made['format']}:{made['type']}:{made['fileId']}", made["sessionId"]


@contextlib.asynccontextmanager
async def page(
    school: School, who: str, path: str, type: str = "file", doc: Doc[Any] | None = None, synced: bool = True
) -> AsyncIterator[Page]:
    """`path` empty: who is there on this server."""
    name, session = GLOBAL, ""
    if path:
        name, session = await room_of(school, who, path, "json" if type == "notebook" else "text", type)
    async with in_room(school, who, name, session, doc, synced) as one:
        yield one


@contextlib.asynccontextmanager
async def in_room(
    school: School, who: str, name: str, session: str = "", doc: Doc[Any] | None = None, synced: bool = True
) -> AsyncIterator[Page]:
    socket = await school.connected(who, f"{ROOM}/{name}?sessionId={session}")
    one = Page(socket, **({} if doc is None else {"doc": doc}))
    reader = asyncio.ensure_future(one.read())
    try:
        if synced:
            await one.until(lambda: one.asked)
            await one.synced()
        yield one
    finally:
        socket.close()
        await reader
