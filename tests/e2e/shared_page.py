"""A page's side of a shared notebook: it has the document by jupyter-collaboration, and asks the server to run cells."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import nbformat
from jupyter_ydoc import YNotebook
from pycrdt import YMessageType, create_sync_message, create_update_message, handle_sync_message
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from syla_jupyter.server.yjs_wire import clock_of
from tests.lab import HEADERS, Lab

SECONDS = 60.0


def config_of(directory: Path) -> str:
    """A configuration directory in which documents are shared, whoever uses the server."""
    config = directory / "sharing"
    config.mkdir(exist_ok=True)
    (config / "jupyter_server_config.json").write_text(json.dumps({"YDocExtension": {"disable_rtc": False}}))
    return str(config)


def write_notebook(path: Path, *cells: str) -> None:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number}"
    path.write_text(nbformat.writes(made))


class SharedPage:
    def __init__(self, lab: Lab, room: str) -> None:
        self.lab, self.room = lab, room
        self.notebook: Any = YNotebook()
        self._news = asyncio.Event()
        self._socket: Any = None

    async def read(self, socket: Any) -> None:
        self._socket = socket
        await socket.write_message(create_sync_message(self.notebook.ydoc), binary=True)
        while (message := await socket.read_message()) is not None:
            if message[0] == YMessageType.SYNC:
                reply = handle_sync_message(message[1:], self.notebook.ydoc)
                if reply is not None:
                    await socket.write_message(reply, binary=True)
                self._news.set()

    @property
    def edits(self) -> dict[str, int]:
        """How far the changes are that were made here."""
        doc = self.notebook.ydoc
        return {"client": doc.client_id, "clock": clock_of(doc.get_state(), doc.client_id)}

    async def send(self) -> None:
        """The changes that were made here."""
        await self._socket.write_message(create_update_message(self.notebook.ydoc.get_update()), binary=True)

    def cell(self, number: int) -> dict[str, Any]:
        return dict(self.notebook.get_cell(number))

    def state(self, number: int) -> str:
        return str(self.notebook.ycells[number]["execution_state"])

    def text(self, number: int) -> str:
        """All streams of a cell."""
        return "".join(one["text"] for one in self.cell(number)["outputs"] if one["output_type"] == "stream")

    async def until(self, condition: Callable[[], Any]) -> Any:
        loop = asyncio.get_running_loop()
        until = loop.time() + SECONDS
        while not (value := condition()):
            assert loop.time() < until, [str(cell.to_py())[:1000] for cell in self.notebook.ycells]
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), 0.5)
        return value

    async def ended(self, number: int) -> dict[str, Any]:
        """The cell, once it does not run any more."""
        await self.until(lambda: self.state(number) == "idle" and "execution" in self.cell(number)["metadata"])
        return self.cell(number)


async def room_of(lab: Lab, path: str) -> tuple[str, str]:
    """(room, session) of a notebook."""
    status, made = await lab.fetch(f"/api/collaboration/session/{path}", "PUT", {"format": "json", "type": "notebook"})
    assert status in (200, 201), made
    return f"json:notebook:{made['fileId']}", made["sessionId"]


@contextlib.asynccontextmanager
async def shared_page(lab: Lab, path: str) -> AsyncIterator[SharedPage]:
    """With all of the document."""
    room, session = await room_of(lab, path)
    url = f"ws://127.0.0.1:{lab.port}/api/collaboration/room/{room}?sessionId={session}"
    socket = await websocket_connect(HTTPRequest(url, headers=HEADERS))
    page = SharedPage(lab, room)
    reader = asyncio.create_task(page.read(socket))
    try:
        await page.until(lambda: len(page.notebook.ycells))
        yield page
    finally:
        socket.close()
        await reader


def joined(outputs: Sequence[Any]) -> list[dict[str, Any]]:
    """As a notebook's reader sees them: neighbours of one stream are one, and no time is told."""
    rows: list[dict[str, Any]] = []
    for output in outputs:
        row = {name: value for name, value in dict(output).items() if name != "transient"}
        if row["output_type"] == "stream" and rows and rows[-1].get("name") == row["name"]:
            rows[-1]["text"] += row["text"]
        else:
            rows.append(row)
    return rows
