"""Requests through a real Tornado application with Jupyter's handlers: who gets in, and as whom. No socket is opened
but a local one for each test; no kernel, no container."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.serverapp import ServerApp
from tornado import web
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from traitlets.config import Config

from syla_jupyter.access.attempts import FAILURES, Attempts
from syla_jupyter.access.audit import Audit
from syla_jupyter.access.guard import Guard
from syla_jupyter.access.identities import Identities
from syla_jupyter.access.service import Caller, People
from syla_jupyter.access.sharing import Sharing
from syla_jupyter.metadata.people_sql import SqlPeople
from syla_jupyter.metadata.sql import SqlStore
from syla_jupyter.metadata.sql_transactions import open_engine
from syla_jupyter.model.people import Principal, Role, SubjectKind
from syla_jupyter.server.auth import Proofs, WorkspaceIdentityProvider, holds, of_hub, without_token
from syla_jupyter.server.auth import out_of_force as identity_out_of_force
from syla_jupyter.server.contents import WorkspaceContentsManager
from syla_jupyter.server.doorkeeper import Doorkeeper, WorkspaceAuthorizer, out_of_force, put_in_force
from syla_jupyter.server.gates import JUPYTER, Gate, Gates
from syla_jupyter.server.naming import Naming
from syla_jupyter.testing.records import make_record

from .clocks import HandClock

OWNER_TOKEN = "the-owners-token"
ROOT = Caller(Principal("root", admin=True))
ONE, TWO = "1" * 12, "2" * 12


class Strange(APIHandler):
    """Of another extension: only looks whether somebody is logged in."""

    done = 0

    @web.authenticated
    def get(self) -> None:
        type(self).done += 1
        self.finish("{}")


class Careless(JupyterHandler):
    """Does something before anybody has been asked."""

    done = 0

    async def prepare(self) -> None:  # type: ignore[override]
        Careless.done += 1
        await super().prepare()  # type: ignore[misc]

    @web.authenticated
    def get(self) -> None:
        self.finish("{}")


@dataclass
class Site:
    url: str
    people: People
    sharing: Sharing
    audit: Audit
    clock: HandClock
    server: ServerApp
    tokens: dict[str, str]

    async def ask(
        self, path: str, who: str = "", method: str = "GET", body: Any = None, headers: dict[str, str] | None = None
    ) -> HTTPResponse:
        sent = dict(headers or {})
        if who:
            sent["Authorization"] = f"token {self.tokens.get(who, who)}"
        content = None if method in ("GET", "HEAD", "DELETE") else json.dumps(body or {})
        return await AsyncHTTPClient().fetch(
            self.url + path, method=method, headers=sent, body=content, raise_error=False, follow_redirects=False
        )

    async def status(self, path: str, who: str = "", method: str = "GET", body: Any = None) -> int:
        return (await self.ask(path, who, method, body)).code


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    async with running_site(tmp_path, monkeypatch) as site:
        yield site


@asynccontextmanager
async def running_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more_gates: Sequence[Gate] = (), more_routes: Sequence[Any] = ()
) -> AsyncIterator[Site]:
    """Workspaces one and two of ana's; ben edits one, carla views one; files in both."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    root = tmp_path / "root"
    for name in ("one", "two"):
        (root / "workspaces" / name).mkdir(parents=True)
        (root / "workspaces" / name / "a.txt").write_text(name)
    (root / "secret.txt").write_text("of the owner")
    engine, clock = open_engine(tmp_path / "syla.db"), HandClock()
    store, people, audit = SqlStore(engine), SqlPeople(engine), Audit(tmp_path / "audit", clock)
    guard = Guard(people=people, audit=audit, clock=clock)
    users = People(people=people, guard=guard, audit=audit, clock=clock)
    sharing = Sharing(people=people, guard=guard, audit=audit, clock=clock)
    for name, id in (("one", ONE), ("two", TWO)):
        store.insert(make_record(name, id=id, files=root / "workspaces" / name))
    tokens = {"root": OWNER_TOKEN}
    for name in ("ana", "ben", "carla"):
        users.add_user(ROOT, name)
        tokens[name] = users.issue_token(ROOT, name).secret
    for name, role in (("ben", Role.EDITOR), ("carla", Role.VIEWER)):
        sharing.share(ROOT, ONE, SubjectKind.USER, name, role)
    identities = Identities(people, clock)
    ServerApp.clear_instance()
    config = Config()
    config.ServerApp.root_dir = str(root)
    config.ServerApp.jpserver_extensions = {}
    config.ServerApp.identity_provider_class = WorkspaceIdentityProvider
    config.ServerApp.authorizer_class = WorkspaceAuthorizer
    config.ServerApp.contents_manager_class = WorkspaceContentsManager
    config.IdentityProvider.token = OWNER_TOKEN
    server = ServerApp.instance(config=config)
    server.initialize([], find_extensions=False, new_httpserver=False)
    server.identity_provider.keep(Proofs(identities, guard, audit, Attempts(clock), "root"))
    naming = Naming(
        store=store, people=people, root=root.resolve(), default_id=lambda: "d" * 12,
        kernel_workspace=lambda id: "", terminal_directory=lambda name: None,
    )  # fmt: skip
    keeper = Doorkeeper(
        gates=Gates([*JUPYTER, *more_gates], "/"), naming=naming, guard=guard, base_url="/", open_routes=[r"/open/.*"],
        find_session=lambda id: server.session_manager.get_session(session_id=id),
        holds=lambda user, version: holds(identities, user, version),
    )  # fmt: skip
    put_in_force(server.web_app, keeper)
    server.web_app.add_handlers(
        ".*",
        [(r"/strange", Strange), (r"/open/strange", Strange), (r"/careless", Careless), (r"/api/shutdown", Strange),
         *more_routes],
    )  # fmt: skip
    socket, port = bind_unused_port()
    http = HTTPServer(server.web_app)
    http.add_socket(socket)
    Strange.done = Careless.done = 0
    yield Site(f"http://127.0.0.1:{port}", users, sharing, audit, clock, server, tokens)
    http.stop()
    await http.close_all_connections()
    people.close()
    ServerApp.clear_instance()


MATRIX = {
    # (method, path): statuses for root, ana, ben (editor of one), carla (viewer of one), nobody
    ("GET", "/api/contents/workspaces/one/a.txt"): (200, 200, 200, 200, 403),
    ("GET", "/api/contents/workspaces/two/a.txt"): (200, 200, 403, 403, 403),
    ("GET", "/api/contents/secret.txt"): (200, 403, 403, 403, 403),
    ("GET", "/api/contents/workspaces/one/../two/a.txt"): (200, 200, 403, 403, 403),
    ("GET", "/api/contents/workspaces%2Ftwo/a.txt"): (200, 200, 403, 403, 403),
    ("GET", "/api/contents/x/%2e%2e/workspaces/two/a.txt"): (200, 200, 403, 403, 403),
    ("GET", "/files/workspaces/one/a.txt"): (200, 200, 200, 200, 302),
    ("GET", "/files/workspaces/two/a.txt"): (200, 200, 403, 403, 302),
    ("PUT", "/api/contents/workspaces/one/b.txt"): (201, 200, 200, 403, 403),
    ("POST", "/api/contents/workspaces/one"): (201, 201, 201, 403, 403),
    ("GET", "/api/kernelspecs"): (200, 200, 200, 200, 403),
    ("GET", "/api/config/notebook"): (200, 200, 200, 200, 403),
    ("PUT", "/api/config/notebook"): (204, 403, 403, 403, 403),
    ("GET", "/api/status"): (200, 403, 403, 403, 403),
    ("GET", "/api/me"): (200, 200, 200, 200, 403),
    ("GET", "/api"): (200, 200, 200, 200, 200),
    ("GET", "/metrics"): (200, 403, 403, 403, 403),
    ("GET", "/strange"): (200, 403, 403, 403, 403),
    ("GET", "/open/strange"): (200, 200, 200, 200, 403),
    ("GET", "/careless"): (200, 403, 403, 403, 302),
    ("DELETE", "/api/kernels/0e0cd5ea-b85b-4a4c-8e5f-0b6ea2e3cd01"): (404, 403, 403, 403, 403),
    ("DELETE", "/api/sessions/0e0cd5ea-b85b-4a4c-8e5f-0b6ea2e3cd01"): (404, 403, 403, 403, 403),
    ("GET", "/no/such/page"): (404, 404, 404, 404, 302),
}
BODIES = {"PUT": {"type": "file", "format": "text", "content": "x"}, "POST": {"type": "file"}}


async def test_who_gets_in(site: Site) -> None:
    """Address, method and role, tricks with paths among them; nobody is sent to the login page or refused."""
    found = {}
    for method, path in MATRIX:
        body = {} if "config" in path else BODIES.get(method)
        people = ("root", "ana", "ben", "carla", "")
        found[method, path] = tuple([await site.status(path, who, method, body) for who in people])
    assert {key: value for key, value in found.items() if value != MATRIX[key]} == {}


async def test_nothing_has_happened_when_it_is_refused(site: Site) -> None:
    """Neither in a handler's `prepare`, nor in a route that asks for no permission; the log has it."""
    for who in ("ana", "ben"):
        assert await site.status("/careless", who) == await site.status("/strange", who) == 403
    assert (Careless.done, Strange.done) == (0, 0)
    refused = [line for line in site.audit.newest() if line.action == "access.refused"]
    assert {(line.actor, line.reason) for line in refused} >= {("ben", "GET /careless: for admins of the server")}
    assert site.tokens["ben"] not in "".join(map(str, site.audit.newest()))


async def test_second_paths_are_asked_for_too(site: Site) -> None:
    """A move, a copy, a notebook or a kernel of another workspace that a body names."""
    assert await site.status("/api/contents/workspaces/one/a.txt", "ben", "PATCH", {"path": "workspaces/two/b"}) == 403
    copy = {"copy_from": "workspaces/two/a.txt"}
    assert await site.status("/api/contents/workspaces/one", "ben", "POST", copy) == 403
    assert await site.status("/api/contents/workspaces/one/a.txt", "ben", "PATCH", {"path": "workspaces/one/b"}) == 200
    kernel = {"path": "workspaces/one/a.ipynb", "kernel": {"id": "0e0cd5ea-b85b-4a4c-8e5f-0b6ea2e3cd01"}}
    assert await site.status("/api/sessions", "ben", "POST", kernel) == 403
    hidden = {"path": "workspaces/one/a.ipynb", "notebook": {"path": "workspaces/two/a.ipynb"}, "type": "notebook"}
    assert await site.status("/api/sessions", "ben", "POST", hidden) == 403
    assert await site.status("/api/sessions", "carla", "POST", {"path": "workspaces/one/a.ipynb"}) == 403
    assert await site.status("/api/kernels", "ben", "POST", {}) == 403


async def test_lists_show_what_may_be_read(site: Site) -> None:
    async def listed(path: str, who: str) -> set[str]:
        model = json.loads((await site.ask(f"/api/contents{path}", who)).body)
        return {row["path"] for row in model["content"]}

    assert await listed("", "root") == {"workspaces", "secret.txt"}
    assert await listed("", "ben") == {"workspaces"}
    assert await listed("/workspaces", "ana") == {"workspaces/one", "workspaces/two"}
    assert await listed("/workspaces", "ben") == {"workspaces/one"}
    assert await listed("/x/../workspaces", "carla") == {"x/../workspaces/one"}
    assert json.loads((await site.ask("/api/sessions", "ben")).body) == []


async def test_a_file_says_who_may_write_it(site: Site) -> None:
    """In the model that JupyterLab goes by; the directory of all workspaces is nobody's but the owner's."""

    async def writable(path: str, who: str) -> bool:
        return bool(json.loads((await site.ask(f"/api/contents{path}", who)).body)["writable"])

    for path in ("/workspaces/one/a.txt", "/workspaces/one"):
        assert [await writable(path, who) for who in ("root", "ana", "ben", "carla")] == [True, True, True, False]
    assert [await writable("/workspaces", who) for who in ("root", "ana")] == [True, False]


async def test_who_somebody_is(site: Site) -> None:
    """Names that were proved, the same in every browser; no name that somebody gives himself; no token in a model."""
    for who in ("root", "ben"):
        answer = json.loads((await site.ask("/api/me", who)).body)["identity"]
        assert answer["username"] == who
        assert not {"owner", "token_id"} & answer.keys()
    assert (await site.ask("/api/me", "ben", "PATCH", {"name": "root"})).code >= 400
    assert await site.status(f"/api/me?token={site.tokens['ben']}") == 200
    assert without_token(None)(None, {"token": "x", "a": 1}) == {"token": "", "a": 1}


def cookies_of(answer: HTTPResponse) -> str:
    return "; ".join(line.partition(";")[0] for line in answer.headers.get_list("Set-Cookie"))


async def test_a_cookie_holds_while_its_token_does(site: Site) -> None:
    """Revoked, over, disabled: out at the next request; a cookie of another form names nobody."""
    for who, end in (
        ("ben", lambda: site.people.revoke_token(ROOT, site.people.tokens(ROOT, "ben")[0].id)),
        ("carla", lambda: site.people.change_user(ROOT, "carla", disabled=True)),
        ("ana", lambda: site.clock.move(91 * 86400)),
    ):
        cookie = {"Cookie": cookies_of(await site.ask("/api/me", who))}
        assert (await site.ask("/api/me", headers=cookie)).code == 200
        end()
        assert (await site.ask("/api/me", headers=cookie)).code == 403
        assert await site.status("/api/me", who) == 403
    owner = {"Cookie": cookies_of(await site.ask("/api/me", "root"))}
    assert json.loads((await site.ask("/api/me", headers=owner)).body)["identity"]["username"] == "root"


async def test_guessing_is_slowed_down(site: Site) -> None:
    """After so many wrong tokens the owner's is not looked at from there; a user's own still is. The log has no guess."""
    for n in range(FAILURES):
        assert await site.status("/api/me", f"guess-{n}") == 403
    assert await site.status("/api/me", "guess") == 429
    assert await site.status("/api/me", "root") == 429
    assert await site.status("/api/me", "ben") == 200
    site.clock.move(61)
    assert await site.status("/api/me", "root") == 200
    lines = [line for line in site.audit.newest() if line.action == "login.refused"]
    assert len(lines) == FAILURES
    assert "guess" not in "".join(map(str, lines))


async def test_the_login_form(site: Site) -> None:
    """Jupyter's own, with a user's token typed in."""
    form = await site.ask("/login")
    xsrf = cookies_of(form)
    value = xsrf.partition("_xsrf=")[2].partition(";")[0]

    async def log_in(secret: str) -> HTTPResponse:
        return await AsyncHTTPClient().fetch(
            f"{site.url}/login", method="POST", body=f"_xsrf={value}&password={secret}", raise_error=False,
            headers={"Cookie": xsrf}, follow_redirects=False,
        )  # fmt: skip

    assert (await log_in("wrong")).code == 401
    for who in ("ben", "root"):
        answer = await log_in(site.tokens[who])
        assert answer.code == 302
        cookie = {"Cookie": cookies_of(answer)}
        assert json.loads((await site.ask("/api/me", headers=cookie)).body)["identity"]["username"] == who
    assert ("ben", "login") in {(line.actor, str(line.action)) for line in site.audit.newest()}


def test_what_is_not_in_force_is_said(site: Site) -> None:
    """Another identity, another way to handlers, anonymous access: each is named; JupyterHub's identity is all right."""
    assert out_of_force(site.server.web_app) == ""
    site.server.web_app.settings["allow_unauthenticated_access"] = True
    assert "allow_unauthenticated_access" in out_of_force(site.server.web_app)
    del site.server.web_app.__dict__["get_handler_delegate"]
    assert "not checked" in out_of_force(site.server.web_app)
    assert "object" in identity_out_of_force(object())
    hub = type("HubIdentity", (), {"__module__": "jupyterhub.singleuser.extension"})
    assert of_hub(hub())
    assert identity_out_of_force(hub()) == ""
