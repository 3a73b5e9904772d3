"""How long an edit takes from one person's page to everybody else's, beside plain jupyter-collaboration.

Both servers run at once, each with as many people in one notebook: on ours everybody is a user of his own, an editor,
so that each message passes by the guard; on the plain one all have the server's token, as it knows no other. One
writes at a time, with a cursor that moves, as pages do; the next begins when all have heard it. A sample is the 95th
percentile of what all hearers of a round of edits waited.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pycrdt import Array, Doc, create_sync_message, create_update_message, handle_sync_message
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from syla_jupyter.server.yjs_wire import Presence, awareness

from ..client import REPLY_SECONDS, now_ms
from ..measure import Bench, Sample, interleave
from ..model import OURS, Outcome, Row, Target
from ..server import Server, serving

PLAIN = "plain jupyter-collaboration"
CROWDS = (2, 10, 30)
EDITS = 40
"""Of a round."""
TYPING_SECONDS = 0.02
"""Between two edits of somebody."""
RATIO_MAX = 1.1
CELLS = 20
SHARED = ("--YDocExtension.disable_rtc=False",)
UPDATE = b"\x00\x02"
NAME = "together.ipynb"


class Ear:
    """Who has heard the edit that is under way."""

    def __init__(self) -> None:
        self.waited: list[float] = []
        self._marker, self._begun, self._missing = b"", 0.0, 0
        self._all = asyncio.Event()

    def begin(self, marker: str, hearers: int) -> None:
        self._all.clear()
        self._marker, self._missing, self._begun = marker.encode(), hearers, now_ms()

    def hear(self, message: bytes) -> None:
        if self._marker and message[:2] == UPDATE and self._marker in message:
            self.waited.append(now_ms() - self._begun)
            self._missing -= 1
            if not self._missing:
                self._all.set()

    async def all(self) -> None:
        async with asyncio.timeout(REPLY_SECONDS):
            await self._all.wait()


class Person:
    """One page: the notebook as it was when he came, and what he writes himself."""

    def __init__(self, number: int, socket: WebSocketClientConnection, ear: Ear) -> None:
        self.doc: Any = Doc()
        self._number, self._socket, self._ear, self._clock = number + 1, socket, ear, 0
        self._synced = asyncio.Event()

    async def read(self) -> None:
        while (message := await self._socket.read_message()) is not None:
            assert isinstance(message, bytes)
            self._ear.hear(message)
            if message[0] == 0 and message[1] < 2:
                answer = handle_sync_message(message[1:], self.doc)
                if answer is not None:
                    await self._socket.write_message(answer, binary=True)
                if message[1] == 1:
                    self._synced.set()

    async def arrive(self) -> None:
        await self._socket.write_message(create_sync_message(self.doc), binary=True)
        async with asyncio.timeout(REPLY_SECONDS):
            await self._synced.wait()

    async def write(self, marker: str, hearers: int) -> None:
        before = self.doc.get_state()
        self.doc.get("cells", type=Array)[0]["source"].insert(0, marker)
        update = create_update_message(self.doc.get_update(before))
        self._clock += 1
        state = {"user": {"name": "somebody"}, "cursors": [{"head": self._clock}]}
        self._ear.begin(marker, hearers)
        await self._socket.write_message(update, binary=True)
        await self._socket.write_message(awareness([Presence(self._number, self._clock, state)]), binary=True)


@contextlib.asynccontextmanager
async def _together(server: Server, tokens: Sequence[str]) -> AsyncIterator[tuple[Ear, list[Person]]]:
    made = await server.call("PUT", f"api/collaboration/session/{NAME}", {"format": "json", "type": "notebook"})
    room = f"api/collaboration/room/json:notebook:{made['fileId']}?sessionId={made['sessionId']}"
    ear, people, sockets, readers = Ear(), [], [], []
    try:
        for number, token in enumerate(tokens):
            url = server.url.replace("http", "ws", 1) + room
            sockets.append(await websocket_connect(HTTPRequest(url, headers={"Authorization": f"token {token}"})))
            people.append(Person(number, sockets[-1], ear))
            readers.append(asyncio.create_task(people[-1].read()))
            await people[-1].arrive()
        yield ear, people
    finally:
        for socket in sockets:
            socket.close()
        await asyncio.gather(*readers)


async def _round(ear: Ear, people: Sequence[Person], names: AsyncIterator[str]) -> float:
    """Milliseconds that at most a twentieth waited longer."""
    ear.waited.clear()
    for number in range(EDITS):
        await people[number % len(people)].write(await anext(names), len(people) - 1)
        await ear.all()
        await asyncio.sleep(TYPING_SECONDS)
    waited = sorted(ear.waited)
    return waited[int(0.95 * (len(waited) - 1))]


async def _names() -> AsyncIterator[str]:
    for number in range(1_000_000):
        yield f"edit-{number:06d} "


async def _editors(server: Server, count: int) -> list[str]:
    """Tokens of users who may write in the server's directory."""
    tokens = []
    for number in range(count):
        name = f"editor-{number}"
        await server.call("POST", "syla/v1/users", {"name": name})
        await server.call("PUT", f"syla/v1/workspaces/default/members/{name}", {"role": "editor"})
        tokens.append((await server.call("POST", f"syla/v1/users/{name}/tokens", {}))["secret"])
    return tokens


def _root(bench: Bench, name: str) -> Path:
    root = Path(tempfile.mkdtemp(prefix=f"propagation-{name}-", dir=bench.lab / "work"))
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "id": f"cell-{n}", "metadata": {}, "outputs": [], "source": "", "execution_count": None}
        for n in range(CELLS)
    ]
    (root / NAME).write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return root


async def _run(bench: Bench, people: int) -> Outcome:
    ours_root, plain_root = _root(bench, "ours"), _root(bench, "plain")
    async with (
        serving(bench.lab, os.environ, root=ours_root, options=SHARED) as ours,
        serving(bench.lab, os.environ, root=plain_root, plain=True, options=SHARED) as plain,
    ):
        await bench.calm.wait(live=1, kernels=0)
        tokens = await _editors(ours, people)
        async with _together(ours, tokens) as at_ours, _together(plain, [plain.token] * people) as at_plain:
            variants: dict[str, Sample] = {
                OURS: partial(_round, *at_ours, _names()),
                PLAIN: partial(_round, *at_plain, _names()),
            }
            return Outcome(await interleave(variants, bench.n), extra={"people": people, "edits": EDITS})


def _row(people: int) -> Row:
    return Row(
        f"propagation_{people}",
        f"an edit to everybody, {people} people in a notebook, 95th percentile",
        "ms",
        partial(_run, people=people),
        Target(f"≤ {RATIO_MAX:g}× plain", lambda m, _: PLAIN in m and m[OURS] <= RATIO_MAX * m[PLAIN]),
        baseline=PLAIN,
    )


ROWS = tuple(_row(people) for people in CROWDS)
