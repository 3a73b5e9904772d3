"""A server with several users: the owner adds them, shares one workspace, and each asks for all of it by every door."""

from __future__ import annotations

import asyncio
import json
from typing import Any

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
