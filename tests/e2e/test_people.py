"""A server with several users: the owner adds them, shares one workspace, and each asks for all of it by every door."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from syla_jupyter import AsyncSyla
from syla_jupyter.server.jupyter_signals import SCHEMA_ID

from .school import API, PEOPLE, School

THEMES = "@jupyterlab/apputils-extension:themes"

MATRIX: dict[tuple[str, str], tuple[int, ...]] = {
    ("GET", "/api/contents/workspaces/class/a.txt"): (200, 200, 200, 200, 403, 403),
    ("GET", "/api/contents/workspaces/private"): (200, 403, 403, 403, 403, 403),
    ("GET", "/api/contents/secret.txt"): (200, 403, 403, 403, 403, 403),
    ("GET", "/files/workspaces/class/a.txt"): (200, 200, 200, 200, 403, 302),
    ("PUT", "/api/contents/workspaces/class/a.txt"): (200, 200, 403, 403, 403, 403),
    ("POST", "/api/terminals"): (200, 403, 403, 403, 403, 403),
    ("POST", "/api/shutdown?no"): (-1, 403, 403, 403, 403, 403),
    ("GET", "/api/status"): (200, 403, 403, 403, 403, 403),
    ("GET", "/lab"): (200, 200, 200, 200, 200, 302),
    ("GET", "/syla/join"): (200, 200, 200, 200, 200, 200),  # the same for all
    ("POST", "/syla/join"): (405, 405, 405, 405, 405, 405),
    ("GET", "/lab/api/settings"): (200, 200, 200, 200, 200, 403),
    ("GET", "/lab/api/settings/@jupyterlab/apputils-extension:themes"): (200, 200, 200, 200, 200, 403),
    ("GET", "/lab/api/settings/..%2F..%2Flabconfig:page_config"): (-1, 404, 404, 404, 404, 403),
    ("GET", "/lab/api/settings/%2Fetc%2Fdocker:daemon"): (-1, 404, 404, 404, 404, 403),
    ("PUT", "/lab/api/settings/..%2F..%2Fx:y"): (-1, 404, 404, 404, 404, 403),
    ("GET", "/lab/api/workspaces"): (200, 200, 200, 200, 200, 403),
    ("PUT", "/lab/api/workspaces"): (-1, 403, 403, 403, 403, 403),
    ("POST", "/lab/api/build"): (-1, 403, 403, 403, 403, 403),
    ("POST", "/api/events"): (-1, 403, 403, 403, 403, 403),
    ("GET", f"{API}/healthz"): (200, 200, 200, 200, 200, 200),
    ("GET", f"{API}/workspaces/class"): (200, 200, 200, 200, 403, 403),  # by name, what is shared with him
    ("GET", f"{API}/workspaces/ID"): (200, 200, 200, 200, 403, 403),
    ("GET", f"{API}/workspaces/ID/members"): (200, 200, 200, 200, 403, 403),
    ("GET", f"{API}/workspaces/ID/activity"): (200, 200, 200, 200, 403, 403),
    ("GET", f"{API}/workspaces/ID/invitations"): (200, 403, 403, 403, 403, 403),
    ("PATCH", f"{API}/workspaces/ID"): (200, 403, 403, 403, 403, 403),
    ("POST", f"{API}/workspaces/ID/touch"): (200, 200, 200, 403, 403, 403),
    ("POST", f"{API}/workspaces/ID/export"): (-1, -1, 403, 403, 403, 403),  # as it is now: saves a version
    ("GET", f"{API}/workspaces/ID/snapshots"): (200, 200, 200, 200, 403, 403),
    ("POST", f"{API}/workspaces/ID/snapshots"): (-1, -1, 403, 403, 403, 403),
    ("POST", f"{API}/workspaces/ID/snapshots/1/restore"): (-1, -1, 403, 403, 403, 403),
    ("DELETE", f"{API}/workspaces/ID/snapshots/1"): (-1, -1, 403, 403, 403, 403),
    ("GET", f"{API}/workspaces/ID/variables"): (409, 409, 409, 409, 403, 403),  # nothing runs there
    ("DELETE", f"{API}/workspaces/ID"): (-1, 403, 403, 403, 403, 403),
    ("PUT", f"{API}/workspaces/ID/members/sam"): (-1, 403, 403, 403, 403, 403),
    ("GET", f"{API}/workspaces/ID/participants"): (200, 200, 200, 200, 403, 403),
    ("GET", f"{API}/participants"): (200, 200, 200, 200, 200, 403),
    ("GET", f"{API}/operations"): (200, 200, 200, 200, 200, 403),
    ("DELETE", f"{API}/workspaces/ID/operations/none"): (404, 404, 404, 404, 403, 403),  # whose it is: test_operations
    ("GET", f"{API}/access-requests"): (200, 200, 200, 200, 200, 403),
    ("POST", f"{API}/workspaces/ID/access-requests"): (202, 202, 202, 202, 202, 403),
    ("POST", f"{API}/workspaces/none/access-requests"): (202, 202, 202, 202, 202, 403),
    ("DELETE", f"{API}/workspaces/ID/access-requests/sam"): (-1, 403, 403, 403, 403, 403),
    ("GET", f"{API}/users"): (200, 403, 403, 403, 403, 403),
    ("GET", f"{API}/users/eve/tokens"): (200, 200, 403, 403, 403, 403),
    ("GET", f"{API}/audit"): (200, 403, 403, 403, 403, 403),
    ("GET", f"{API}/teams"): (200, 200, 200, 200, 200, 403),
    ("GET", "/metrics"): (200, 403, 403, 403, 403, 403),
    ("GET", "/nothing/here"): (404, 404, 404, 404, 404, 302),
}


async def test_every_door_by_role(school: School) -> None:
    """What each may; -1 is not asked, because it would have an effect."""
    id = (await school.made("owner", "GET", f"{API}/workspaces/class"))["id"]
    found = {}
    for (method, path), expected in MATRIX.items():
        body: Any = {"type": "file", "format": "text", "content": "new"} if method == "PUT" else {}
        if path.endswith("/touch"):
            body = {"seconds": 60}
        asked = [(who, path.replace("ID", id)) for who in PEOPLE]
        statuses = [
            -1 if expected[n] == -1 else await school.status(who, method, real, body)
            for n, (who, real) in enumerate(asked)
        ]
        found[method, path] = tuple(statuses)
    assert {key: value for key, value in found.items() if value != MATRIX[key]} == {}


async def test_what_is_open_by_link(school: School) -> None:
    """Is in the list of whoever has come to it, under its name, for as long as it is open, or until she leaves."""
    mode, file, mine = (
        f"{API}/workspaces/class/access",
        "/api/contents/workspaces/class/a.txt",
        [("class", "viewer", "link")],
    )

    async def shared(who: str) -> list[tuple[str, str, str]]:
        rows = (await school.made(who, "GET", f"{API}/shared"))["workspaces"]
        return [(row["name"], row["role"], row["via"]) for row in rows]

    assert await school.status("sam", "GET", file) == 403
    await school.made("owner", "PATCH", mode, {"mode": "link"})
    try:
        assert await school.status("sam", "GET", "/api/contents/workspaces") == 200
        assert await shared("sam") == []
        socket = await school.connected("sam", f"{API}/events")
        assert await school.status("sam", "GET", file) == 200
        async with asyncio.timeout(30):
            while (event := json.loads(str(await socket.read_message())))["event"] != "people" or not event["id"]:
                pass
        socket.close()
        assert await shared("sam") == mine
        assert await school.status("sam", "GET", f"{API}/workspaces/class") == 200
        assert await shared("eve") == [("class", "editor", "member")]
        assert await shared("owner") == []
        await school.made("owner", "PATCH", mode, {"mode": "members"})
        assert await shared("sam") == []
        await school.made("owner", "PATCH", mode, {"mode": "link"})
        assert await shared("sam") == mine
        assert await school.status("sam", "DELETE", f"{API}/workspaces/class/members/sam") == 204
        assert await shared("sam") == []
        assert await school.status("sam", "GET", "/files/workspaces/class/a.txt") == 200
        assert await shared("sam") == mine
    finally:
        await school.made("owner", "PATCH", mode, {"mode": "members"})


async def test_kernels_by_role(school: School) -> None:
    """Who may execute starts them, who may read opens them; others neither see nor reach them; a change counts at once."""
    session = {"path": "workspaces/class/n.ipynb", "name": "n", "type": "notebook", "kernel": {"name": "syla-python"}}
    for who in ("vic", "sam", ""):
        assert await school.status(who, "POST", "/api/sessions", session) == 403
    made = await school.made("rob", "POST", "/api/sessions", session)
    kernel = made["kernel"]["id"]
    channels = f"/api/kernels/{kernel}/channels"
    assert [await school.opens(who, channels) for who in PEOPLE] == [101, 101, 101, 101, 403, 403]
    for listing in ("/api/kernels", "/api/sessions"):
        lengths = [len(await school.made(who, "GET", listing)) for who in PEOPLE[:5]]
        assert lengths == [1, 1, 1, 1, 0]
    id = (await school.made("owner", "GET", f"{API}/workspaces/class"))["id"]
    usages = [(await school.made(who, "GET", f"{API}/usage"))["running"] for who in PEOPLE[:5]]
    assert [id in {row["id"] for row in rows} for rows in usages] == [True, True, True, True, False]
    assert usages[4] == []
    assert await school.status("vic", "POST", f"/api/kernels/{kernel}/interrupt") == 403
    assert await school.status("sam", "DELETE", f"/api/sessions/{made['id']}") == 403
    await school.made("owner", "PUT", f"{API}/workspaces/class/members/rob", {"role": "viewer"})
    assert await school.status("rob", "POST", f"/api/kernels/{kernel}/interrupt") == 403
    await school.made("owner", "DELETE", f"{API}/workspaces/class/members/eve")
    assert await school.status("eve", "GET", f"/api/kernels/{kernel}") == 403
    await school.made("owner", "DELETE", f"/api/sessions/{made['id']}")
    assert len(await school.made("owner", "GET", "/api/kernels")) == 0


async def test_settings_and_layouts_are_ones_own(school: School) -> None:
    """Everybody has a set of both; nobody sees or changes another's, or the owner's, or fills the disk."""
    settings, layout = f"/lab/api/settings/{THEMES}", "/lab/api/workspaces/default"
    for who in ("owner", "vic"):
        await school.made(who, "PUT", settings, {"raw": json.dumps({"theme": f"of {who}"})})
        await school.made(who, "PUT", layout, {"data": {"of": who}, "metadata": {"id": "default"}})

    async def seen(who: str) -> tuple[str, Any, int]:
        theme = (await school.made(who, "GET", settings))["settings"].get("theme", "")
        rows = (await school.made(who, "GET", "/lab/api/workspaces"))["workspaces"]["values"]
        return theme, (await school.made(who, "GET", layout))["data"].get("of", ""), len(rows)

    assert await seen("owner") == ("of owner", "owner", 1)
    assert await seen("vic") == ("of vic", "vic", 1)
    assert await seen("sam") == ("", "", 0)
    found = await school.made("vic", "GET", "/lab/api/settings/@jupyterlab/apputils-extension:notification")
    assert found["schema"]["properties"]["checkForUpdates"]["default"] is False
    assert await school.status("vic", "PUT", settings, {"raw": json.dumps({"theme": "x" * (1 << 16)})}) == 413
    large = {"data": "x" * (1 << 20), "metadata": {"id": "default"}}
    assert await school.status("vic", "PUT", layout, large) == 413
    assert await school.status("vic", "DELETE", layout) == 204
    assert await seen("owner") == ("of owner", "owner", 1)
    pages = {who: (await school.ask(who, "GET", "/lab")).body.decode() for who in ("owner", "vic")}
    assert ['"buildAvailable": true' in pages[who] for who in ("owner", "vic")] == [True, False]


async def test_jupyters_own_events_are_for_admins(school: School) -> None:
    """They tell of everybody's files; the page of somebody else has a websocket on which it hears nothing."""
    path = "/api/events/subscribe"
    loud, quiet = await school.connected("owner", path), await school.connected("vic", path)
    try:
        await school.made(
            "owner", "PUT", "/api/contents/workspaces/class/b.txt", {"type": "file", "format": "text", "content": ""}
        )
        assert await asyncio.wait_for(loud.read_message(), 30)
        # What vic is told would have been sent by then: in the same turn of the loop.
        await school.made("owner", "PATCH", f"{API}/users/vic", {"admin": True})
        assert await asyncio.wait_for(quiet.read_message(), 30) is None  # closed, with nothing before
    finally:
        await school.made("owner", "PATCH", f"{API}/users/vic", {"admin": False})
        loud.close()


async def test_nobody_makes_up_what_happens_to_workspaces(school: School) -> None:
    """Jupyter's own websocket says what was done with which workspace, of no person; not even an admin forges it."""
    forged = {
        "schema_id": SCHEMA_ID,
        "version": "1",
        "data": {"workspace_id": "x", "kind": "workspace", "action": "stop"},
    }
    assert [await school.status(who, "POST", "/api/events", forged) for who in PEOPLE] == [403] * len(PEOPLE)
    socket = await school.connected("owner", "/api/events/subscribe")
    try:
        made = await school.made("owner", "POST", f"{API}/workspaces", {"name": "signalled"})
        async with asyncio.timeout(60):
            event: dict[str, Any] = {}
            while event.get("schema_id") != SCHEMA_ID:
                event = json.loads(await socket.read_message() or "null")
        said = {"workspace_id": made["id"], "kind": "workspace", "action": "create"}
        assert event == {"schema_id": SCHEMA_ID, **said}
    finally:
        socket.close()


async def test_changes_of_people_are_told_to_members(school: School) -> None:
    """With what was done to whoever may see the workspace then; who is out hears that something has changed, no more."""
    heard: dict[str, list[Any]] = {who: [] for who in ("owner", "vic", "sam")}
    sockets = {who: await school.connected(who, f"{API}/events") for who in heard}

    async def until(who: str, wanted: dict[str, Any]) -> None:
        while not any(wanted.items() <= event.items() for event in heard[who]):
            line = await asyncio.wait_for(sockets[who].read_message(), 30)
            assert line is not None
            heard[who].append(json.loads(line))

    try:
        for who in heard:
            await until(who, {"event": "hello"})
        await school.take_roles({"sam": "editor"})
        shared = {"event": "people", "action": "workspace.share", "subject": "sam", "role": "editor"}
        for who in heard:
            await until(who, shared)
        heard["sam"].clear()
        await school.take_roles({"sam": ""})
        out = {"event": "people", "action": "workspace.unshare", "subject": "sam", "role": None}
        for who in ("owner", "vic"):
            await until(who, out)
        await until("sam", {"event": "people", "id": None})
        await school.take_roles({"vic": "runner"})
        await until("vic", {"subject": "vic", "role": "runner"})
        sockets["sam"].close()
        while (line := await asyncio.wait_for(sockets["sam"].read_message(), 30)) is not None:
            heard["sam"].append(json.loads(line))
        assert {event.get("workspace_id") for event in heard["sam"]} == {None}
    finally:
        for socket in sockets.values():
            socket.close()


async def test_an_invitation_and_a_workspace_of_ones_own(school: School) -> None:
    """A user who joins is a member; what he makes is his; nobody's page has a token."""
    made = await school.made("owner", "POST", f"{API}/workspaces/class/invitations", {"role": "editor"})
    assert (await school.made("sam", "POST", f"{API}/join", {"secret": made["secret"]}))["role"] == "editor"
    assert await school.status("sam", "GET", "/api/contents/workspaces/class/a.txt") == 200
    assert await school.status("vic", "POST", f"{API}/join", {"secret": "nonsense"}) == 404
    own = await school.made("sam", "POST", f"{API}/workspaces", {"name": "own"})
    assert own["owner"] == "sam"
    assert await school.status("eve", "POST", f"{API}/workspaces", {"name": "own"}) == 409
    assert [await school.status(who, "GET", "/api/contents/workspaces/own") for who in PEOPLE] == [
        200, 403, 403, 403, 200, 403,
    ]  # fmt: skip
    assert [row["name"] for row in (await school.made("sam", "GET", f"{API}/workspaces"))["workspaces"]] == ["own"]
    shared = (await school.made("sam", "GET", f"{API}/shared"))["workspaces"]
    assert [(row["name"], row["role"]) for row in shared] == [("class", "editor")]
    assert (await school.made("owner", "GET", f"{API}/shared"))["workspaces"] == []
    for who in ("owner", "vic"):
        page = (await school.ask(who, "GET", "/lab")).body.decode()
        assert not any(token in page for token in school.tokens.values())
    lines = (await school.made("owner", "GET", f"{API}/audit"))["lines"]
    assert "workspace.join" in {line["action"] for line in lines}


class Heard:
    """A websocket of events."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self.rows: list[dict[str, Any]] = []

    def close(self) -> None:
        self._socket.close()

    async def until(self, **wanted: Any) -> dict[str, Any]:
        """The next one that has these."""
        async with asyncio.timeout(60):
            while line := await self._socket.read_message():
                self.rows.append(json.loads(line))
                if wanted.items() <= self.rows[-1].items():
                    return self.rows[-1]
        raise AssertionError(f"the websocket was closed; it said {self.rows}")


async def test_what_other_processes_do_is_told(school: School) -> None:
    """A command line beside the server: its doings come to who may read the workspace, in order and once, and are in the
    workspace's feed with who did them; so are files that somebody changes by way of the server, without what is in them."""
    root = {"SYLA_HOME": str(school.lab.installation.home), "SYLA_ROOT": str(school.lab.root)}

    async def syla(*arguments: str) -> Any:
        command = [sys.executable, "-m", "syla_jupyter.cli.main", "workspace", *arguments, "--json"]
        done = await asyncio.to_thread(
            subprocess.run, command, env={**os.environ, **root}, capture_output=True, timeout=90, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    sockets = {who: await school.connected(who, f"{API}/events") for who in ("owner", "vic", "sam")}
    heard = {who: Heard(socket) for who, socket in sockets.items()}
    for one in heard.values():
        await one.until(event="hello")
    made = await syla("create", "by hand", "--label", "a=b")
    created = await heard["owner"].until(event="change", verb="create")
    assert (created["workspace"]["id"], created["workspace"]["labels"]) == (made["id"], {"a": "b"})
    await syla("share", "by hand", "vic", "--permission", "read")
    await syla("set", "by hand", "--label", "c=d")
    changed = await heard["owner"].until(event="change", verb="change")
    assert (changed["changes"], changed["workspace"]["labels"]) == (["labels"], {"a": "b", "c": "d"})
    assert changed["actor"] == created["actor"] == made["owner"]
    of_it = [row for row in heard["owner"].rows if made["id"] in json.dumps(row) and row.get("id")]
    assert [row.get("verb") or row["action"] for row in of_it] == ["create", "workspace.share", "change"]
    await heard["vic"].until(event="change", verb="change")
    await school.made("owner", "PUT", f"{API}/workspaces/by%20hand/members/eve", {"role": "editor"})
    file = {"type": "file", "format": "text", "content": "secret of the content"}
    await school.made("eve", "PUT", "/api/contents/workspaces/by hand/one.txt".replace(" ", "%20"), file)
    saved = await heard["vic"].until(event="files")
    assert (saved["action"], saved["user"], saved["paths"]) == ("save", "eve", ["workspaces/by hand/one.txt"])
    feed = f"{API}/workspaces/by%20hand/activity"
    for who in ("vic", "sam"):
        assert (
            await school.status(who, "GET", f"{API}/workspaces/{made['id']}/activity") == {"vic": 200, "sam": 403}[who]
        )
    rows = (await school.made("vic", "GET", f"{API}/workspaces/{made['id']}/activity"))["activity"]
    owner = made["owner"]
    assert [(row["action"], row["user"]) for row in rows] == [
        ("save", "eve"), ("workspace.share", owner), ("change", owner), ("workspace.share", owner), ("create", owner),
    ]  # fmt: skip
    assert not any(word in json.dumps(rows) for word in ("127.0.0.1", "secret of the content"))
    first = await school.made("owner", "GET", f"{feed}?limit=2")
    second = await school.made("owner", "GET", f"{feed}?limit=4&before={first['next']}")
    assert [row["id"] for row in [*first["activity"], *second["activity"]]] == [row["id"] for row in rows]
    assert (first["next"], second["next"]) == (first["activity"][-1]["id"], 0)
    by_kind = await school.made("owner", "GET", f"{feed}?kind=members&kind=files&user=eve")
    assert [row["action"] for row in by_kind["activity"]] == ["save"]
    assert await school.status("owner", "GET", f"{feed}?kind=nothing") == 400
    shown = await syla("activity", "by hand", "--kind", "files")
    assert [(row["user"], row["names"]) for row in shown["activity"]] == [("eve", ["workspaces/by hand/one.txt"])]
    async with AsyncSyla(school.lab.root, {**os.environ, **root}) as python:
        found = await (await python.get("by hand")).activity(kinds=["workspace"], limit=1)
        assert [(one.action, one.actor) for one in found] == [("change", owner)]
    await school.made("owner", "DELETE", f"{API}/workspaces/{made['id']}?force=true&confirm=by%20hand")
    await heard["owner"].until(event="change", verb="delete")
    sockets["sam"].close()
    with pytest.raises(AssertionError, match="closed"):
        await heard["sam"].until(event="nothing")
    assert not [row for row in heard["sam"].rows if made["id"] in json.dumps(row)]
    for who in ("owner", "vic"):
        sockets[who].close()


async def killed(school: School, *arguments: str) -> None:
    """Another process does this, and dies when the database has it."""
    root = {"SYLA_HOME": str(school.lab.installation.home), "SYLA_ROOT": str(school.lab.root)}
    command = [sys.executable, str(Path(__file__).with_name("killed_after.py")), *arguments]
    done = await asyncio.to_thread(
        subprocess.run, command, env={**os.environ, **root}, capture_output=True, timeout=90, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


async def test_what_a_killed_process_has_done_is_told(school: School) -> None:
    """It says nothing after the transaction in which it has done it, and is heard of all the same: in order, and once on
    each connection."""
    heard = [Heard(await school.connected("owner", f"{API}/events")) for _ in range(2)]
    for one in heard:
        await one.until(event="hello")
    await killed(school, "create", "half made")
    created = [await one.until(event="change", verb="create") for one in heard]
    id = created[0]["workspace"]["id"]
    assert (created[0], created[0]["workspace"]["name"]) == (created[1], "half made")
    await killed(school, "share", "half made", "vic")
    for one in heard:
        shared = await one.until(event="people", workspace_id=id)
        assert (shared["subject"], shared["role"]) == ("vic", "viewer")
    await school.made("owner", "PATCH", f"{API}/workspaces/{id}", {"labels": {"a": "b"}})
    for one in heard:
        await one.until(event="change", verb="change")
        of_it = [row for row in one.rows if id in json.dumps(row) and row.get("id")]
        assert [row.get("verb") or row["action"] for row in of_it] == ["create", "workspace.share", "change"]
        assert [row["id"] for row in of_it] == sorted(
            {row["id"] for row in of_it}, key=lambda id: int(id.split("-")[1])
        )
        one.close()
    await school.made("owner", "DELETE", f"{API}/workspaces/{id}?force=true&confirm=half%20made")


async def asked_and_answered_by_command(school: School, owner: Any, asker: Any) -> None:
    """An answer of another process reaches who asked, though that process was killed as soon as it had given it; so does
    a grant."""
    id = (await school.made("owner", "GET", f"{API}/workspaces/private"))["id"]
    assert (
        await school.ask("sam", "POST", f"{API}/workspaces/private/access-requests", {"role": "viewer"})
    ).code == 202
    assert (await next_event(owner, "access"))["workspace_id"] == id
    await killed(school, "refuse", "private", "sam")
    event = await next_event(asker, "access")
    assert (event["what"], event["workspace_id"], event["called"]) == ("refused", None, "private")
    await school.made("owner", "PATCH", f"{API}/workspaces/private/access", {"mode": "members"})
    await killed(school, "share", "private", "sam")
    async with asyncio.timeout(60):
        while (event := await next_event(asker, "people")).get("workspace_id") != id:
            pass
    assert (event["action"], event["role"]) == ("workspace.share", "viewer")
    await school.made("owner", "DELETE", f"{API}/workspaces/private/members/sam")
    await school.made("owner", "PATCH", f"{API}/workspaces/private/access", {"mode": "private"})


async def next_event(socket: Any, kind: str) -> Any:
    async with asyncio.timeout(60):
        while (event := json.loads(str(await socket.read_message())))["event"] != kind:
            pass
    return event


async def test_asking_for_a_role(school: School) -> None:
    """Over the wire: one answer for all, the owner hears, the answer reaches who asked; no id is told to who is refused."""

    def asks(name: str) -> str:
        return f"{API}/workspaces/{name}/access-requests"

    found = await school.made("owner", "GET", f"{API}/workspaces/class")
    id, root = found["id"], found["owner"]
    owner, asker, viewer = [await school.connected(who, f"{API}/events") for who in ("owner", "sam", "vic")]
    for socket in (owner, asker, viewer):
        await next_event(socket, "hello")
    answers = [await school.ask("sam", "POST", asks(name), {"role": "editor"}) for name in ("class", "none", id, "..")]
    assert {(one.code, one.body) for one in answers} == {(202, b'{"asked":true}')}
    event = await next_event(owner, "access")
    assert (event["what"], event["workspace_id"], event["user"], event["role"]) == ("asked", id, "sam", "editor")
    (row,) = (await school.made("owner", "GET", f"{API}/access-requests"))["requests"]
    assert (row["workspace"], row["user"], row["role"]) == (id, "sam", "editor")
    for who in ("eve", "sam"):
        assert (await school.made(who, "GET", f"{API}/access-requests"))["requests"] == []
        assert await school.status(who, "DELETE", f"{asks('class')}/sam") == 403
    assert await school.status("owner", "DELETE", f"{asks('class')}/eve") == 404
    assert await school.status("owner", "DELETE", f"{asks('class')}/sam") == 204
    event = await next_event(asker, "access")
    assert (event["what"], event["workspace_id"], event["called"], event["user"]) == ("refused", None, "class", "sam")
    event = await next_event(owner, "access")
    assert (event["what"], event["workspace_id"]) == ("answered", id)
    feed = f"{API}/workspaces/class/activity"
    for who, lines in (("owner", [("refused", "sam", root), ("asked", "sam", "sam")]), ("vic", []), ("eve", [])):
        rows = (await school.made(who, "GET", f"{feed}?kind=access"))["activity"]
        assert [(row["action"], row["subject"], row["user"]) for row in rows[:2]] == lines  # newest first
        assert [
            row for row in (await school.made(who, "GET", f"{feed}?limit=200"))["activity"] if row["kind"] == "access"
        ] == rows
    await asked_and_answered_by_command(school, owner, asker)
    assert (await school.ask("sam", "POST", asks("class"), {})).code == 202
    assert (await school.made("owner", "GET", f"{API}/access-requests"))["requests"] == []
    assert await school.status("sam", "POST", asks("class"), {"role": "admin"}) == 400
    statuses = [await school.status("sam", "POST", asks("none"), {}) for _ in range(10)]
    assert statuses[-1] == 429
    await school.take_roles({"rob": "viewer"})
    told = []
    async with asyncio.timeout(30):
        while not told or told[-1].get("action") != "workspace.share":
            told.append(json.loads(str(await viewer.read_message())))
    assert "access" not in {event["event"] for event in told}
    for socket in (owner, asker, viewer):
        socket.close()
