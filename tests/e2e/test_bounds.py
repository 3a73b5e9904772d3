"""A kernel that sends too much: the server's memory has an end, its page is told, and everybody else is served."""

from __future__ import annotations

import asyncio
import json
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import pytest
import websocket
from jupyter_client.session import Session
from jupyter_server.services.kernels.connection.base import serialize_msg_to_ws_v1

from syla_jupyter.server.bounded import FRAME_BYTES_MAX, KEPT_BYTES_MAX, MIB, MISSED, TOO_LARGE, Kept
from syla_jupyter.server.incoming import V1
from tests.installation import wait_until
from tests.lab import HEADERS, Lab

MESSAGES, MESSAGE_BYTES = 140, 5 * MIB
FLOOD = f"for _ in range({MESSAGES}): display({{'text/plain': 'x' * {MESSAGE_BYTES}}}, raw=True)"
LARGE = f"display({{'text/plain': 'x' * {FRAME_BYTES_MAX + 1}}}, raw=True); print('after')"


def peak_bytes(lab: Lab) -> int:
    """The most memory that the server has had."""
    status = Path(f"/proc/{lab.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


async def test_a_message_that_is_too_large(lab_server: Lab) -> None:
    """It is not taken at all; the cell says so and ends, for every page; the kernel and its pages go on."""
    async with lab_server.notebook() as notebook, lab_server.connected(notebook.session, page="other") as other:
        assert await notebook.value("get_ipython().kernel.iopub_thread.socket.sndhwm") == "20000"
        before = peak_bytes(lab_server)
        for _ in range(2):
            cell = await notebook.begin(LARGE)
            await cell.says(TOO_LARGE, 60)
            await cell.ended(60)
            assert "x" * 100 not in str([m["content"] for m in notebook.messages])
            await notebook.ready()
            await other.ready()
            assert await notebook.value("6 * 7") == "42"
        assert peak_bytes(lab_server) - before < FRAME_BYTES_MAX
        await idle(lab_server, notebook.session)


def unread(lab: Lab, session: dict[str, Any], code: str) -> websocket.WebSocket:
    """A page that runs a cell and takes nothing of what it says."""
    url = f"ws://127.0.0.1:{lab.port}/api/kernels/{session['kernel']['id']}/channels?session_id={session['id']}"
    headers = [f"{name}: {value}" for name, value in HEADERS.items()]
    socket = websocket.create_connection(url, header=headers, subprotocols=[V1], timeout=60)
    asking = Session(session=uuid.uuid4().hex)
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    message = asking.msg("execute_request", {**content, "stop_on_error": True})
    socket.send_binary(serialize_msg_to_ws_v1(message, "shell", asking.pack))
    return socket


async def idle(lab: Lab, session: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{lab.port}/api/kernels/{session['kernel']['id']}", headers=HEADERS
    )

    def is_idle() -> bool:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bool(json.load(answer)["execution_state"] == "idle")

    await asyncio.to_thread(wait_until, is_idle, 120, "the kernel is idle")


async def test_a_flood_that_nobody_reads(lab_server: Lab) -> None:
    """The page that does not read is closed, what comes then is kept up to a limit, and the next page is told."""
    async with lab_server.notebook() as busy, lab_server.notebook("calm.ipynb") as calm:
        session = busy.session
        busy.socket.close()
        assert await calm.value("6 * 7") == "42"
        before = peak_bytes(lab_server)
        page = await asyncio.to_thread(unread, lab_server, session, FLOOD)
        try:
            await asyncio.to_thread(
                wait_until, lambda: "a page that takes none" in lab_server.log.read_text(), 120, "the page is given up"
            )
            assert await calm.value("6 * 7") == "42"
        finally:
            page.shutdown()
        await idle(lab_server, session)
        async with lab_server.connected(session) as again:
            await again.until(lambda: MISSED in str([m["content"] for m in again.messages[-50:]]), 120, "told of it")
            await again.ready(120)
            assert await again.value("6 * 7") == "42"
        assert peak_bytes(lab_server) - before < MESSAGES * MESSAGE_BYTES * 2 / 3


@pytest.mark.parametrize("size", [0, 5000])
def test_what_is_kept_for_a_page_that_is_away(size: int) -> None:
    """The newest, however small they are; the page is told about which request the oldest of them is."""
    kept, parts = Kept(), [b"topic", b"<IDS|MSG>", b"s", b"{}", b'{"msg_id": "p"}', b"{}", b"x" * size]
    count = KEPT_BYTES_MAX // (size + 1000) + 100
    for number in range(count):
        kept.append(("iopub", [*parts, str(number).encode()]))
    assert kept.lost
    assert kept[-1][1][-1] == str(count - 1).encode()
    assert count * 0.9 < len(kept) < count
    assert kept.first_parent() == {"msg_id": "p"}
    assert Kept().first_parent() == {}
