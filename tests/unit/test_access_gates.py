"""The table of gates against the server's own routes, and what a request names. No server runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp

from syla_jupyter.metadata.people_sql import SqlPeople
from syla_jupyter.metadata.sql import SqlStore
from syla_jupyter.metadata.sql_transactions import open_engine
from syla_jupyter.model.people import AccessMode, Grant, Principal, Role, SubjectKind, User
from syla_jupyter.server.gates import JUPYTER, Gates, Level, Source, rule_of
from syla_jupyter.server.naming import NOWHERE, Naming, Request, body_of, is_listed
from syla_jupyter.testing.records import NOW, make_record

KERNEL = "0e0cd5ea-b85b-4a4c-8e5f-0b6ea2e3cd01"
METHODS = ("get", "head", "post", "put", "patch", "delete")


def routes_of(rules: Any) -> Iterator[tuple[str, str, list[str]]]:
    """(class, pattern without end mark, methods) of a tornado router's rules, nested ones too."""
    for rule in rules:
        if hasattr(rule.target, "rules"):
            yield from routes_of(rule.target.rules)
        elif hasattr(rule.matcher, "regex"):
            cls = rule.target
            own = [m.upper() for m in METHODS if "_unimplemented" not in getattr(cls, m).__qualname__]
            yield cls.__name__, rule.matcher.regex.pattern.rstrip("$"), own


@pytest.fixture
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str, list[str]]]]:
    """Of a server with JupyterLab and nothing of ours."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    ServerApp.clear_instance()
    server = ServerApp.instance()
    extensions = {"jupyterlab": True, "syla_jupyter": False, "nbdime": False, "jupyter_lsp": False}
    extensions |= {"jupyter_server_terminals": False, "notebook_shim": False}
    server.initialize(
        [f"--ServerApp.jpserver_extensions={extensions}", f"--ServerApp.root_dir={tmp_path}"], new_httpserver=False
    )
    yield list(routes_of(server.web_app.default_router.rules))
    ServerApp.clear_instance()


def test_every_route_of_jupyter_has_a_gate(routes: list[tuple[str, str, list[str]]]) -> None:
    """Class, pattern and methods: one that a new version adds, or moves, fails here (and is for admins until then)."""
    known = {(gate.handler, gate.pattern): gate for gate in JUPYTER}
    assert len(routes) > 50
    missing = [
        (handler, pattern, method)
        for handler, pattern, methods in routes
        for method in methods
        if (handler, pattern) not in known or method not in known[handler, pattern].rules
    ]
    assert missing == []


def test_what_is_open_to_all_is_this() -> None:
    """Login (the hub's too), redirections, static files, the version: a new public route is a decision."""
    public = {gate.handler for gate in JUPYTER for rule in gate.rules.values() if rule is Level.PUBLIC}
    assert public == {
        "APIVersionHandler", "JoinPageHandler", "LoginFormHandler", "LogoutHandler", "MainHandler", "TrailingSlashHandler", "Template404",
        "FileFindHandler", "PublicStaticFileHandler", "ThemesHandler",
        "JupyterHubLogoutHandler", "JupyterHubOAuthCallbackHandler",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("handler", "path", "method", "level"),
    [
        ("ContentsHandler", "/base/api/contents/a", "GET", None),
        ("ContentsHandler", "/base/api/contents/a", "TRACE", Level.HOST),
        ("ContentsHandler", "/base/api/contents/a", "OPTIONS", Level.PUBLIC),
        ("ContentsHandler", "/api/contents/a", "GET", Level.HOST),
        ("ContentsHandler", "/basex/api/contents/a", "GET", Level.HOST),
        ("FileFindHandler", "/base/secrets/a", "GET", Level.HOST),
        ("StrangeHandler", "/base/api/contents/a", "GET", Level.HOST),
        ("StrangeHandler", "/base/api/contents/a", "OPTIONS", Level.HOST),
        ("BuildHandler", "/base/lab/api/build", "POST", Level.HOST),
        ("LoginFormHandler", "/base/login", "POST", Level.PUBLIC),
    ],
)
def test_what_is_not_in_the_table_is_for_admins(handler: str, path: str, method: str, level: Level | None) -> None:
    """A class, a path and a method have to be the ones expected, all three."""
    rule = rule_of(Gates(JUPYTER, "/base/").find(handler, path), method)
    assert rule is level if level is not None else isinstance(rule, tuple)


# -- what a request names ----------------------------------------------------------------------------------------

BEN = Principal("ben")


@pytest.fixture
def naming(tmp_path: Path) -> Iterator[Naming]:
    """Workspaces `one` and `two` of ana's, `one` shared with ben; the default workspace is the root."""
    engine = open_engine(tmp_path / "syla.db")
    store, people = SqlStore(engine), SqlPeople(engine)
    root = tmp_path / "root"
    for name, id in (("one", "1" * 12), ("two", "2" * 12)):
        store.insert(make_record(name, id=id, files=root / "workspaces" / name))
    people.add_user(User("ben", "Ben", NOW))
    people.grant(Grant("1" * 12, SubjectKind.USER, "ben", Role.EDITOR, "ana", NOW))
    people.set_mode("1" * 12, AccessMode.MEMBERS)
    yield Naming(
        store=store,
        people=people,
        root=root,
        default_id=lambda: "d" * 12,
        kernel_workspace={KERNEL: "1" * 12}.get,  # type: ignore[arg-type]
        terminal_directory={"t1": root / "workspaces" / "two", "t2": Path("/etc")}.get,
    )
    people.close()


ONE, TWO, DEFAULT = "1" * 12, "2" * 12, "d" * 12


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("workspaces/one/a.ipynb", ONE), ("/workspaces/one", ONE), ("workspaces/one/", ONE), ("workspaces/two/x", TWO),
        ("workspaces//one/a", ONE), ("workspaces/./one/a", ONE), ("workspaces/two/../one/a", ONE),
        ("x/../workspaces/two/a", TWO), ("workspaces/one/../two/a", TWO), ("workspaces/one/../../a", DEFAULT),
        ("", DEFAULT), ("a.ipynb", DEFAULT), ("/", DEFAULT), ("workspaces", NOWHERE), ("workspaces/three/a", NOWHERE),
        ("workspaces/.archived/x", NOWHERE), ("../etc", NOWHERE), ("workspaces/../../etc", NOWHERE),
        ("a\0b", NOWHERE), ("\ud800", NOWHERE), (None, NOWHERE), (7, NOWHERE), (["workspaces/one"], NOWHERE),
        ("Workspaces/one/a", DEFAULT), ("workspaces/ONE/a", NOWHERE),
    ],
)  # fmt: skip
def test_which_workspace_a_path_is_in(naming: Naming, path: Any, expected: str) -> None:
    """As the contents manager reads it, whatever tricks are in it; what is not understood is nowhere."""
    assert naming.at(path) == expected


@pytest.mark.parametrize(
    ("source", "names", "body", "expected"),
    [
        (Source.PATH, {"path": "/workspaces/one/a"}, {}, [ONE]),
        (Source.PATH, {"0": "workspaces/one/a"}, {}, [ONE]),
        (Source.PATH, {}, {}, [DEFAULT]),
        (Source.LISTED_PATH, {"path": ""}, {}, []),
        (Source.LISTED_PATH, {"path": "/workspaces/"}, {}, []),
        (Source.LISTED_PATH, {"path": "/x/../workspaces"}, {}, []),
        (Source.LISTED_PATH, {"path": "/a"}, {}, [DEFAULT]),
        (Source.LISTED_PATH, {"path": "/workspaces/two"}, {}, [TWO]),
        (Source.BODY_PATH, {}, {"path": "workspaces/two/a"}, [TWO]),
        (Source.BODY_PATH, {}, {"path": "workspaces/one/a", "notebook": {"path": "workspaces/two/a"}}, [ONE, TWO]),
        (Source.BODY_PATH, {}, {"path": ["workspaces/one"]}, [NOWHERE]),
        (Source.BODY_PATH, {}, {}, []),
        (Source.NEW_PATH, {}, {}, [DEFAULT]),
        (Source.NEW_PATH, {}, {"path": "workspaces/one/console-1-x"}, [ONE]),
        (Source.COPIED_PATH, {}, {"copy_from": "workspaces/two/a"}, [TWO]),
        (Source.COPIED_PATH, {}, {"copy_from": ["a"]}, [NOWHERE]),
        (Source.COPIED_PATH, {}, {"type": "file"}, []),
        (Source.BODY_KERNEL, {}, {"kernel": {"name": "syla-python"}}, []),
        (Source.BODY_KERNEL, {}, {"kernel": {"id": KERNEL}}, [ONE]),
        (Source.TERMINAL, {"0": "t1"}, {}, [TWO]),
        (Source.TERMINAL, {"0": "t2"}, {}, [NOWHERE]),
        (Source.TERMINAL, {"0": "none"}, {}, [NOWHERE]),
        (Source.BODY_CWD, {}, {"cwd": "workspaces/one"}, [ONE]),
        (Source.BODY_CWD, {}, {}, [DEFAULT]),
        (Source.BODY_CWD, {}, {"cwd": "/etc"}, [DEFAULT]),
        (Source.BODY_CWD, {}, {"cwd": "workspaces/one/../two"}, [NOWHERE]),
        (Source.BODY_CWD, {}, {"cwd": 7}, [NOWHERE]),
        (Source.WORKSPACE, {"workspace": "one"}, {}, [ONE]),
        (Source.WORKSPACE, {"workspace": TWO}, {}, [TWO]),
        (Source.WORKSPACE, {"workspace": "two"}, {}, [NOWHERE]),
        (Source.SESSION, {}, {}, [NOWHERE]),
    ],
)  # fmt: skip
def test_what_a_request_names(
    naming: Naming, source: Source, names: dict[str, str], body: dict[str, Any], expected: list[str]
) -> None:
    """Every workspace that it could concern, those in the body too; by name one's own and what is shared."""
    assert list(naming.workspaces(source, Request(BEN, names, body, None))) == expected


def test_a_session_is_its_path_and_its_kernel(naming: Naming) -> None:
    """Whoever attaches another workspace's kernel to a notebook of his needs both."""
    session = {"path": "workspaces/two/a.ipynb", "kernel": {"id": KERNEL}}
    assert list(naming.workspaces(Source.SESSION, Request(BEN, {}, {}, session))) == [TWO, ONE]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'"a"', b"null"])
def test_bodies_that_name_nothing(content: bytes) -> None:
    assert body_of(content) == {}
    assert not is_listed("\0")
