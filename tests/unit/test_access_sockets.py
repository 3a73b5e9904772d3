"""Websockets that are open while roles, users and tokens change, through a real Tornado application."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketHandler, websocket_connect

from syla_jupyter.metadata.people_users import SqlUsers
from syla_jupyter.model.errors import StoreFailed
from syla_jupyter.model.people import AccessMode, Permission, Role, SubjectKind
from syla_jupyter.server.doorkeeper import NOT_ALLOWED
from syla_jupyter.server.gates import Ask, Gate, Source
from syla_jupyter.server.open_sockets import OpenSockets

from .test_access_passing import ONE, ROOT, Site, running_site

USER = SubjectKind.USER
SECONDS = 2.0
GATE = Gate(
    "Listening", r"/listening/(.*)", {"GET": (Ask(Permission.READ, Source.PATH),)},
    full=(Ask(Permission.EXECUTE, Source.PATH),),
)  # fmt: skip


class Listening(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """Says to each message whether its sender may do everything."""

    heard = 0

    @ws_authenticated
    async def get(self, path: str) -> None:
        await super().get(path)

    def on_message(self, message: Any) -> None:
        Listening.heard += 1
        self.write_message(str(self._passed.full))  # type: ignore[attr-defined]


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    Listening.heard = 0
    async with running_site(tmp_path, monkeypatch, [GATE], [(r"/listening/(.*)", Listening)]) as site:
        yield site


def sockets_of(site: Site) -> OpenSockets[Any]:
    sockets: OpenSockets[Any] = site.server.web_app.settings["syla_doorkeeper"][0].sockets
    return sockets


async def listening(site: Site, who: str) -> WebSocketClientConnection:
    headers = {"Authorization": f"token {site.tokens[who]}"}
    url = site.url.replace("http", "ws", 1) + "/listening/workspaces/one/a.txt"
    return await websocket_connect(HTTPRequest(url, headers=headers))


async def said(socket: WebSocketClientConnection) -> Any:
    await socket.write_message("?")
    return await asyncio.wait_for(socket.read_message(), SECONDS)


async def test_what_a_role_may_do_changes_while_it_is_open(site: Site) -> None:
    """Less and more, with no new connection; who has no name or no role gets none."""
    ben, carla = await listening(site, "ben"), await listening(site, "carla")
    assert (await said(ben), await said(carla)) == ("True", "False")
    site.sharing.share(ROOT, ONE, USER, "ben", Role.VIEWER)
    site.sharing.share(ROOT, ONE, USER, "carla", Role.RUNNER)
    await sockets_of(site).look()
    assert (await said(ben), await said(carla)) == ("False", "True")
    with pytest.raises(HTTPClientError):
        await websocket_connect(site.url.replace("http", "ws", 1) + "/listening/workspaces/one/a.txt")


ENDS: dict[str, Callable[[Site], Any]] = {
    "no member any more": lambda site: site.sharing.unshare(ROOT, ONE, USER, "ben"),
    "private": lambda site: site.sharing.set_mode(ROOT, ONE, AccessMode.PRIVATE),
    "token revoked": lambda site: site.people.revoke_token(ROOT, site.people.tokens(ROOT, "ben")[0].id),
    "token over": lambda site: site.clock.move(91 * 86400),
    "disabled": lambda site: site.people.change_user(ROOT, "ben", disabled=True),
}


@pytest.mark.parametrize("why", ENDS)
async def test_it_is_closed_by_itself(site: Site, why: str) -> None:
    """Within a second or so, whatever it was; what is still sent is not heard; the owner's stays."""
    ben, owner = await listening(site, "ben"), await listening(site, "root")
    assert (await said(ben), await said(owner)) == ("True", "True")
    assert len(sockets_of(site)) == 1
    ENDS[why](site)
    assert await asyncio.wait_for(ben.read_message(), SECONDS) is None
    assert ben.close_code == NOT_ALLOWED
    assert await said(owner) == "True"
    assert len(sockets_of(site)) == 0


async def test_who_does_not_go_is_not_heard(site: Site) -> None:
    """A client that does not answer the farewell, and goes on sending."""
    ben = await listening(site, "ben")
    await said(ben)
    sockets = sockets_of(site)
    ENDS["disabled"](site)
    await sockets.look()
    protocol: Any = ben.protocol
    protocol.server_terminated = True  # it has not understood
    with pytest.raises(Exception):  # noqa: B017 # closed under its hands, at one moment or another
        while True:
            await protocol._write_frame(True, 0x1, b"?")
            await asyncio.sleep(0)
    assert Listening.heard == 1


async def test_a_look_asks_the_store_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many websockets there are: it may be at the other end of a network."""
    asked: list[int] = []
    version = SqlUsers.version

    def counted(store: Any) -> int:
        asked.append(threading.get_ident())
        return version(store)

    monkeypatch.setattr(SqlUsers, "version", counted)
    for who in ("ben", "ben", "ben", "carla"):
        await said(await listening(site, who))
    sockets = sockets_of(site)
    await sockets.look()
    rows = [(socket, socket.passed, decided_at) for socket, decided_at in sockets._open.items()]
    asked.clear()
    assert len(rows) == 4
    assert sockets._changed(rows)[1] == []
    assert asked.count(threading.get_ident()) == 1


async def test_a_store_that_does_not_answer_allows_nothing() -> None:
    """Not at once: a database that is restarted closes nothing."""

    class Socket:
        passed: str | None = "yes"
        closed = asyncio.Event()

        def decided(self, passed: str | None) -> None:
            if passed is None:
                self.closed.set()

    answers = [1, 1]

    def version() -> int:
        if not answers:
            raise StoreFailed("gone", "wait")
        return answers.pop()

    socket = Socket()
    sockets: OpenSockets[str] = OpenSockets(
        version=version, holds=lambda passed, version: bool(passed), again=str, period_seconds=0.01, silent_seconds=0.05
    )
    sockets.add(socket)
    began = asyncio.get_running_loop().time()
    await asyncio.wait_for(socket.closed.wait(), SECONDS)
    assert asyncio.get_running_loop().time() - began >= 0.05
    assert len(sockets) == 0
