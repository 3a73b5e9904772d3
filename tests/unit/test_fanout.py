"""One message to everybody in a room, over real websockets: the same bytes, in order, to who may hear them and takes them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application
from tornado.websocket import WebSocketHandler, websocket_connect

from syla_jupyter.server import bounded
from syla_jupyter.server.bounded import Unsent
from syla_jupyter.server.fanout import framed, give
from syla_jupyter.server.room_socket import RoomSocket

SIZES = (0, 1, 125, 126, 127, 65_535, 65_536, 300_000)
SHAKE = (
    "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Hearing(WebSocketHandler):
    hand = RoomSocket.hand
    _room_id = "room"
    _passed: object | None = object()

    def initialize(self, hearers: list[Any]) -> None:
        self._hearers = hearers

    def check_origin(self, origin: str) -> bool:
        return True

    def open(self, *args: str, **kwargs: str) -> None:
        self._unsent = Unsent()
        self._hearers.append(self)


@contextlib.asynccontextmanager
async def room() -> AsyncIterator[tuple[int, list[Any]]]:
    hearers: list[Any] = []
    listening, port = bind_unused_port()
    server = HTTPServer(Application([("/", Hearing, {"hearers": hearers})]))
    server.add_socket(listening)
    try:
        yield port, hearers
    finally:
        server.stop()
        await server.close_all_connections()


async def test_everybody_hears_the_same() -> None:
    """Whatever its length, and between what is said to one alone."""
    messages = [bytes([n]) * size for n, size in enumerate(SIZES)]
    async with asyncio.timeout(60), room() as (port, hearers):
        pages = [await websocket_connect(f"ws://127.0.0.1:{port}/") for _ in range(3)]
        for message in messages:
            give(message, hearers)
            hearers[0].write_message(b"alone", binary=True)
        assert [await pages[1].read_message() for _ in messages] == messages
        assert [await pages[2].read_message() for _ in messages] == messages
        assert [await pages[0].read_message() for _ in 2 * messages] == [m for one in messages for m in (one, b"alone")]


async def test_who_may_not_hear_it_any_more() -> None:
    async with asyncio.timeout(60), room() as (port, hearers):
        refused, closed, stays = [await websocket_connect(f"ws://127.0.0.1:{port}/") for _ in range(3)]
        hearers[0]._passed = None
        hearers[1].close()
        give(b"secret", hearers)
        assert await stays.read_message() == b"secret"
        assert await closed.read_message() is None
        hearers[0].close()
        assert await refused.read_message() is None


async def test_a_page_that_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up when so much waits for it; what others hear is whole."""
    monkeypatch.setattr(bounded, "UNSENT_BYTES_MAX", 1 << 20)
    message = b"x" * (64 << 10)
    async with asyncio.timeout(60), room() as (port, hearers):
        deaf = socket.create_connection(("127.0.0.1", port))
        with contextlib.closing(deaf):
            deaf.sendall(SHAKE.encode())
            page = await websocket_connect(f"ws://127.0.0.1:{port}/")
            while len(hearers) < 2:  # noqa: ASYNC110 # the handshake of the other
                await asyncio.sleep(0.01)
            sent = 0
            while not any(one.ws_connection is None or one.ws_connection.is_closing() for one in hearers):
                give(message, hearers)
                sent += 1
                assert await page.read_message() == message
                assert sent < 1000
            give(b"last", hearers)
            assert await page.read_message() == b"last"


def test_a_frame_is_as_the_standard_has_it() -> None:
    assert framed(b"ab") == b"\x82\x02ab"
    assert framed(b"a" * 126)[:4] == b"\x82\x7e\x00\x7e"
    assert framed(b"a" * 65_536)[:10] == b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"
