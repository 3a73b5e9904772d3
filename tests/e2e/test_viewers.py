"""A kernel's websocket by role, written against the wire: every message, every role, both protocols; then what a viewer
hears, whom a prompt is for, and roles that change while it is open. One real server, real kernels."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from jupyter_server.services.kernels.connection.base import (
    deserialize_binary_message,
    deserialize_msg_from_ws_v1,
    serialize_binary_message,
    serialize_msg_to_ws_v1,
)
from tornado.websocket import WebSocketClientConnection

from syla_jupyter.server.looking_on import CHANNELS
from syla_jupyter.server.rooms import GLOBAL

from .room_client import ROOM
from .school import API, School

V1 = "v1.kernel.websocket.jupyter.org"
PROTOCOLS = ("v1", "text", "binary")
WITHIN_SECONDS = 1.5
"""A second, and what this machine takes for an answer."""
MEMBERS = f"{API}/workspaces/class/members"


@dataclass
class Page:
    socket: WebSocketClientConnection
    protocol: str
    session: str
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """(channel, message) each."""

    async def send(self, channel: str, type: str, content: Any, parent: Any = None) -> str:
        header = {"msg_id": uuid.uuid4().hex, "username": "u", "session": self.session, "msg_type": type}
        header |= {"version": "5.3", "date": "2026-01-01T00:00:00Z"}
        message = {"header": header, "parent_header": parent or {}, "metadata": {}, "content": content}
        if self.protocol == "v1":
            raw = [json.dumps(part).encode() for part in message.values()]
            await self.socket.write_message(serialize_msg_to_ws_v1(raw, channel), binary=True)
        elif self.protocol == "binary":
            whole = {**message, "channel": channel, "buffers": [b"buffer"]}
            await self.socket.write_message(serialize_binary_message(whole), binary=True)
        else:
            await self.socket.write_message(json.dumps({**message, "channel": channel, "buffers": []}))
        return str(header["msg_id"])

    async def read(self) -> tuple[str, dict[str, Any]] | None:
        """The next message; None: it is closed."""
        data = await self.socket.read_message()
        if data is None:
            return None
        if self.protocol == "v1":
            assert isinstance(data, bytes)
            channel, parts = deserialize_msg_from_ws_v1(data)
            names = ("header", "parent_header", "metadata", "content")
            message = {name: json.loads(part) for name, part in zip(names, parts, strict=False)}
        else:
            message = deserialize_binary_message(data) if isinstance(data, bytes) else json.loads(data)
            channel = message["channel"]
        self.seen.append((channel, message))
        return channel, message

    async def about(self, id: str, *types: str, seconds: float = 30) -> list[tuple[str, dict[str, Any]]]:
        """Messages whose parent that is, until each of these types is among them."""

        def found() -> list[tuple[str, dict[str, Any]]]:
            return [row for row in self.seen if row[1]["parent_header"].get("msg_id") == id]

        async with asyncio.timeout(seconds):
            while not set(types) <= {_name(message) for _, message in found()}:
                assert await self.read() is not None, self.seen[-5:]
        return found()

    async def run(self, code: str) -> dict[str, Any]:
        """The reply's content."""
        id = await self.send("shell", "execute_request", cell(code))
        rows = await self.about(id, "execute_reply", "idle")
        return next(dict(m["content"]) for _, m in rows if _name(m) == "execute_reply")


def _name(message: Any) -> str:
    type = message["header"]["msg_type"]
    return str(message["content"]["execution_state"] if type == "status" else type)


def cell(code: str) -> dict[str, Any]:
    return {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": True}


@asynccontextmanager
async def kernel_of(school: School) -> AsyncIterator[str]:
    body = {"path": "workspaces/class/n.ipynb", "name": "n", "type": "notebook", "kernel": {"name": "syla-python"}}
    made = await school.made("owner", "POST", "/api/sessions", body)
    try:
        yield made["kernel"]["id"]
    finally:
        await school.made("owner", "DELETE", f"/api/sessions/{made['id']}")


@asynccontextmanager
async def page(school: School, who: str, kernel: str, protocol: str = "v1", session: str = "") -> AsyncIterator[Page]:
    session = session or uuid.uuid4().hex
    path = f"/api/kernels/{kernel}/channels?session_id={session}"
    socket = await school.connected(who, path, *([V1] if protocol == "v1" else []))
    one = Page(socket, protocol, session)
    try:
        await one.about(await one.send("shell", "kernel_info_request", {}), "kernel_info_reply", "idle")
        yield one
    finally:
        socket.close()


MESSAGES: dict[tuple[str, str], tuple[Any, str]] = {
    # (channel, type): (content, what tells who may execute that it was done; "": not sent, for its effect)
    ("shell", "kernel_info_request"): ({}, "kernel_info_reply"),
    ("shell", "execute_request"): (cell("touched = touched + 1"), "execute_reply"),
    ("shell", "complete_request"): ({"code": "trap.", "cursor_pos": 5}, "complete_reply"),
    ("shell", "inspect_request"): ({"code": "trap", "cursor_pos": 4, "detail_level": 0}, "inspect_reply"),
    ("shell", "history_request"): ({"hist_access_type": "tail", "n": 1, "raw": True, "output": False}, "history_reply"),
    ("shell", "is_complete_request"): ({"code": "1"}, "is_complete_reply"),
    ("shell", "comm_info_request"): ({}, "comm_info_reply"),
    ("shell", "comm_open"): ({"comm_id": "c", "target_name": "target", "data": {}}, "idle"),
    ("shell", "comm_msg"): ({"comm_id": "c", "data": {}}, "idle"),
    ("shell", "comm_close"): ({"comm_id": "c", "data": {}}, "idle"),
    ("control", "kernel_info_request"): ({}, "kernel_info_reply"),
    ("control", "interrupt_request"): ({}, "interrupt_reply"),
    ("control", "debug_request"): ({"seq": 1, "type": "request", "command": "debugInfo"}, "debug_reply"),
    ("control", "shutdown_request"): ({"restart": False}, ""),
    ("control", "execute_request"): (cell("touched = touched + 100"), ""),
    ("stdin", "execute_request"): (cell("touched = touched + 100"), ""),
    ("stdin", "input_reply"): ({"value": "x", "status": "ok"}, ""),
}
ALLOWED_TO_LOOK = {"kernel_info_request"}
PREPARE = """
touched = 0
class Trap:
    def __dir__(self):
        globals()["touched"] += 100
        return []
    def __repr__(self):
        globals()["touched"] += 100
        return ""
trap = Trap()
def opened(comm, message):
    globals()["touched"] += 100
    comm.on_msg(lambda message: globals().update(touched=touched + 100))
get_ipython().kernel.comm_manager.register_target("target", opened)
"""


async def done(one: Page, channel: str, type: str) -> str:
    """`done`, or `refused`: by an error to that very message, on its channel where it has a reply."""
    content, ended = MESSAGES[channel, type]
    id = await one.send(channel, type, content)
    rows = await one.about(id, ended or "idle", "idle")
    errors = [(at, m) for at, m in rows if m["content"].get("ename") == "PermissionError"]
    if not errors:
        return "done"
    reply = type.replace("_request", "_reply") if type.endswith("_request") and channel != "stdin" else "error"
    where = channel if reply != "error" else "iopub"
    assert (where, reply) in {(at, m["header"]["msg_type"]) for at, m in errors}
    assert reply == "error" or all(m["content"].get("status", "error") == "error" for _, m in errors)
    return "refused"


async def test_every_message_by_role_and_protocol(school: School) -> None:
    """Who may execute says everything; who looks on is refused everything, and nothing has happened in the kernel."""
    assert {channel for channel, type in MESSAGES if type == "execute_request"} == set(CHANNELS)
    found: dict[tuple[str, str, str, str], str] = {}
    expected: dict[tuple[str, str, str, str], str] = {}
    async with kernel_of(school) as kernel, page(school, "owner", kernel) as owner:
        assert (await owner.run(PREPARE))["status"] == "ok"
        for protocol in PROTOCOLS:
            async with page(school, "vic", kernel, protocol) as viewer:
                await viewer.send("iopub", "execute_request", cell("touched = touched + 100"))  # is not answered at all
                for channel, type in MESSAGES:
                    found["vic", protocol, channel, type] = await done(viewer, channel, type)
                    looks = "done" if type in ALLOWED_TO_LOOK else "refused"
                    expected["vic", protocol, channel, type] = looks
        assert found == expected
        assert (await owner.run("assert touched == 0, touched"))["status"] == "ok"
        for who in ("eve", "rob"):
            for protocol in PROTOCOLS:
                async with page(school, who, kernel, protocol) as runner:
                    for (channel, type), (_, ended) in MESSAGES.items():
                        if ended:
                            found[who, protocol, channel, type] = await done(runner, channel, type)
        assert {key for key, value in found.items() if value == "refused" and key[0] != "vic"} == set()
        assert (await owner.run("assert touched >= 6, touched"))["status"] == "ok"


async def test_no_page_of_another_site_has_a_websocket(school: School) -> None:
    """Not with the cookie of who may do all, which the browser adds; one's own page has each of them."""
    cookies = [
        row.partition(";")[0] for row in (await school.ask("owner", "GET", "/lab")).headers.get_list("Set-Cookie")
    ]
    terminal = (await school.made("owner", "POST", "/api/terminals", {"cwd": "workspaces/class"}))["name"]
    async with kernel_of(school) as kernel:
        paths = [f"/api/kernels/{kernel}/channels", f"/terminals/websocket/{terminal}", "/api/events/subscribe"]
        paths += [f"{API}/events", f"{ROOM}/{GLOBAL}"]
        found = {}
        for path in paths:
            for origin in (f"http://127.0.0.1:{school.lab.port}", "http://evil.example", "null"):
                headers = {"Cookie": "; ".join(cookies), "Origin": origin}
                found[path, origin[:11]] = await school.opens_with(path, headers)
        own = "http://127.0"[:11]
        assert found == {(path, origin): 101 if origin == own else 403 for path, origin in found}
        assert len(found) == 3 * len(paths)
    await school.made("owner", "DELETE", f"/api/terminals/{terminal}")


async def test_a_viewer_hears_everything(school: School) -> None:
    """Output and states of others' cells, live; and what he gets wrong does not end it."""
    async with (
        kernel_of(school) as kernel,
        page(school, "eve", kernel) as editor,
        page(school, "vic", kernel, "text") as viewer,
        page(school, "vic", kernel) as second,
    ):
        for junk in (b"", b"\xff" * 40, (1 << 40).to_bytes(8, "little") + b"x" * 64):
            await second.socket.write_message(junk, binary=True)
        id = await editor.send("shell", "execute_request", cell("print('to all'); 1 / 0"))
        await editor.about(id, "execute_reply", "idle")
        for one in (viewer, second):
            rows = await one.about(id, "idle")
            assert {_name(m) for _, m in rows} >= {"busy", "execute_input", "stream", "error", "idle"}
            assert {at for at, _ in rows} == {"iopub"}


async def test_a_prompt_is_for_who_ran_the_cell(school: School) -> None:
    """Not for who looks on, nor for who says that his session is the other's: he neither takes nor ends it."""
    async with (
        kernel_of(school) as kernel,
        page(school, "eve", kernel) as editor,
        page(school, "vic", kernel, session=editor.session) as viewer,
        page(school, "rob", kernel, session=editor.session) as runner,
    ):
        id = await editor.send("shell", "execute_request", cell("given = input('name? ')"))
        rows = await editor.about(id, "input_request")
        prompt = next(m for _, m in rows if _name(m) == "input_request")
        answered = await viewer.send("stdin", "input_reply", {"value": "forged", "status": "ok"}, prompt["header"])
        await viewer.about(answered, "error", "idle")
        await editor.send("stdin", "input_reply", {"value": "real", "status": "ok"}, prompt["header"])
        await editor.about(id, "execute_reply", "idle")
        for one in (viewer, runner):
            await one.about(id, "idle")
            assert "input_request" not in {_name(m) for _, m in one.seen}
        assert (await editor.run("assert given == 'real', given"))["status"] == "ok"


async def until(one: Page, status: str) -> float:
    """Seconds from now until a cell ends like that."""
    began = time.monotonic()
    while (await one.run("1"))["status"] != status:
        assert time.monotonic() - began < 10
    return time.monotonic() - began


async def closed(sockets: Sequence[WebSocketClientConnection]) -> float:
    """Seconds until all have ended."""
    began = time.monotonic()
    async with asyncio.timeout(10):
        for socket in sockets:
            while await socket.read_message() is not None:
                pass
    return time.monotonic() - began


async def test_a_change_of_role_reaches_what_is_open(school: School) -> None:
    """A runner who becomes a viewer, and one again; who is no member any more: kernel, terminal and events end."""
    async with kernel_of(school) as kernel:
        async with page(school, "rob", kernel) as runner:
            assert (await runner.run("1"))["status"] == "ok"
            await school.made("owner", "PUT", f"{MEMBERS}/rob", {"role": "viewer"})
            assert await until(runner, "error") < WITHIN_SECONDS
            await school.made("owner", "PUT", f"{MEMBERS}/rob", {"role": "runner"})
            assert await until(runner, "ok") < WITHIN_SECONDS
        terminal = (await school.made("eve", "POST", "/api/terminals", {"cwd": "workspaces/class"}))["name"]
        sockets = [
            await school.connected("eve", f"/api/kernels/{kernel}/channels?session_id=x"),
            await school.connected("eve", f"/terminals/websocket/{terminal}"),
            await school.connected("eve", f"{API}/workspaces/class/events"),
        ]
        everything = await school.connected("eve", f"{API}/events")
        await school.made("owner", "DELETE", f"{MEMBERS}/eve")
        assert await closed(sockets) < WITHIN_SECONDS
        assert [socket.close_code for socket in sockets] == [1008] * 3
        for path in (f"/api/kernels/{kernel}/channels", f"/terminals/websocket/{terminal}"):
            assert await school.opens("eve", path) == 403
        await school.made("owner", "PATCH", f"{API}/users/eve", {"disabled": True})
        assert await closed([everything]) < WITHIN_SECONDS
        await school.made("owner", "PATCH", f"{API}/users/eve", {"disabled": False})
        await school.made("owner", "DELETE", f"/api/terminals/{terminal}")


async def test_looking_on_resumes_nothing(school: School) -> None:
    """A suspended workspace stays so, until somebody comes who may run code."""
    async with kernel_of(school) as kernel, page(school, "eve", kernel) as editor:
        await editor.run("kept = 1")
        await school.made("eve", "POST", f"{API}/workspaces/class/suspend", {})
        assert await school.opens("vic", f"/api/kernels/{kernel}/channels") == 503
        assert (await school.made("vic", "GET", f"{API}/workspaces/class"))["frozen"] is True
        assert (await editor.run("assert kept == 1"))["status"] == "ok"
        assert await school.opens("vic", f"/api/kernels/{kernel}/channels") == 101
