"""Rooms by role, against the wire with real Yjs documents: every message, every role; then whoever has no business there,
forged names, and roles that change while a room is open. One real server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pycrdt import Doc, Text

from syla_jupyter import AsyncSyla
from syla_jupyter.server.rooms import GLOBAL
from tests.conftest import StartLab

from .room_client import ROOM, page, room_of
from .room_counts import ROUTE, environment
from .school import API, PEOPLE, School

MEMBERS = f"{API}/workspaces/class/members"
WITHIN_SECONDS = 1.5
"""A second, and what this machine takes for an answer."""
FILE = "workspaces/class/a.txt"


@pytest.fixture(scope="module")
def schools(start_lab: StartLab, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return [start_lab(**environment(tmp_path_factory.mktemp("counts") / "config"))]


async def counts(school: School) -> dict[str, Any]:
    found: dict[str, Any] = await school.made("owner", "GET", ROUTE)
    return found


def file_of(school: School, path: str = FILE) -> Path:
    return school.lab.root / path


def foreign_update(text: str) -> bytes:
    """Of a document that nobody else has, so that it can be applied anywhere."""
    doc: Doc[Any] = Doc()
    doc.get("source", type=Text).insert(0, text)
    return doc.get_update()


async def test_every_message_by_role(school: School) -> None:
    """Who may write says everything; others hear everything, say who they are, and nothing else has any effect."""
    async with page(school, "owner", FILE) as owner:
        for who, writes in (("owner", True), ("eve", True), ("rob", False), ("vic", False)):
            found, before = {}, str(owner.text)
            async with page(school, who, FILE) as one:
                assert str(one.text) == before
                found["hears"] = True
                for name, kind in (("update", 2), ("step 2", 1)):
                    one.send_update(foreign_update(f"<{who} {name}>"), kind)
                await one.synced()
                await owner.synced()
                for name in ("update", "step 2"):
                    found[name] = f"<{who} {name}>" in str(owner.text)
                one.say({"user": {"name": "x"}, "cursors": []})
                await owner.until(lambda one=one: one.client in owner.others)
                found["awareness"] = True
                found["save"] = await one.save() == "success"
                assert [row for row in one.told if row["type"] == "read-only"] == [] if writes else True
                if not writes:
                    assert len([row for row in one.told if row["type"] == "read-only"]) == 1
            expected = {"hears": True, "update": writes, "step 2": writes, "awareness": True, "save": writes}
            assert found == expected, who
            if not writes:
                assert str(owner.text) == before
        assert await owner.save(2) == "success"
    assert file_of(school).read_text() == str(owner.text)
    assert "vic" not in str(owner.text)


async def test_what_is_no_message(school: School) -> None:
    """Of anybody: it is not heard, or ends his own connection, and nobody else's."""
    junk = (
        b"",
        b"\x00",
        b"\x00\x09\x01a",
        b"\x02\x04save",
        b"\x82\x00\x04save\x01",
        b"\x01\xff\xff\xff\xff\xff",
        b"\x7d\x01a",
    )
    async with page(school, "owner", FILE) as owner:
        for who in ("vic", "eve"):
            async with page(school, who, FILE) as one:
                for message in junk:
                    one.send(message)
                one.socket.write_message("text")
                await one.synced()
        async with page(school, "eve", FILE) as broken:
            broken.send_update(b"\xff\xff\xff\xff\x0f\x01\x02\x03 nonsense")
            async with asyncio.timeout(30):
                while broken.socket.close_code is None:
                    broken.ask()
                    await asyncio.sleep(0.05)
            assert broken.socket.close_code == 1007
        async with page(school, "eve", FILE) as editor:
            editor.text.insert(0, "still here ")
            await owner.until(lambda: str(owner.text).startswith("still here "))


async def test_nobody_elses_room_is_made(school: School) -> None:
    """Not who is no member, nor from another site's page, nor a name that is none: and nothing was made for it."""
    (file_of(school, "workspaces/class/never.txt")).write_text("never opened")
    (file_of(school, "workspaces/private") / "p.txt").write_text("of the owner")
    never, _ = await room_of(school, "vic", "workspaces/class/never.txt")
    private, _ = await room_of(school, "owner", "workspaces/private/p.txt")
    id = never.rpartition(":")[2]
    other = f"{id[:-1]}{'1' if id[-1] == '0' else '0'}"
    async with page(school, "eve", FILE), page(school, "eve", ""):
        before = {**await counts(school), "here": {}}
    session = {"format": "text", "type": "file"}
    for who in ("sam", ""):
        for path in (FILE, "secret.txt", "workspaces/private/p.txt"):
            assert await school.status(who, "PUT", f"/api/collaboration/session/{path}", session) == 403
    for path in ("workspaces/class/none.txt", "workspaces/class/a.txt/x", "workspaces/class/../private/none.txt"):
        assert await school.status("vic", "PUT", f"/api/collaboration/session/{path}", session) in (403, 404)
    for name in (never, private):
        expected = [101, 101, 101, 101, 403, 403] if name == never else [101, 403, 403, 403, 403, 403]
        for who, code in zip(PEOPLE, expected, strict=True):
            if code == 403:
                assert await school.opens(who, f"{ROOM}/{name}") == 403
    bogus = [
        "x", f"text:file:{other}", f"text:nothing:{id}", f"{id}", "0" * 32, f"%74ext:file:{id}", f"text:file:{id}%00",
        f"text:file:..%2F{id}", f"a/text:file:{id}", f"text:file:{id}:x", "JupyterLab:other", "JupyterLab%3AglobalAwareness",
    ]  # fmt: skip
    for who in ("owner", "vic"):
        for name in bogus:
            assert await school.opens(who, f"{ROOM}/{name}") in (403, 404), (who, name)
    cookies = [row.partition(";")[0] for row in (await school.ask("eve", "GET", "/lab")).headers.get_list("Set-Cookie")]
    own = {"Cookie": "; ".join(cookies), "Origin": f"http://127.0.0.1:{school.lab.port}"}
    name, _ = await room_of(school, "eve", FILE)
    for origin, code in ((own["Origin"], 101), ("http://evil.example", 403), ("null", 403)):
        for room in (name, GLOBAL):
            assert await school.opens_with(f"{ROOM}/{room}", {**own, "Origin": origin}) == code
    assert await school.status("eve", "GET", f"{ROOM}/{never}") == 400  # no websocket
    for method, path in (("PUT", f"fork/{never}"), ("GET", f"timeline/{FILE}"), ("PUT", f"undo_redo/{never}")):
        assert await school.status("eve", method, f"/api/collaboration/{path}") == 403
    assert await school.status("eve", "GET", f"/api/fileid/path?id={private.rpartition(':')[2]}") == 403
    async with asyncio.timeout(60):
        while (now := await counts(school))["here"]:  # noqa: ASYNC110 # connections that were closed a moment ago
            await asyncio.sleep(0.1)
    assert now == before


async def test_who_somebody_is_cannot_be_forged(school: School) -> None:
    """Neither his name, nor another's state, nor that another has gone."""
    forged = {"user": {"username": "owner", "name": "owner", "display_name": "The Owner", "color": "#123456"}}
    async with (
        page(school, "eve", FILE) as editor,
        page(school, "vic", FILE) as viewer,
        page(school, "rob", FILE) as third,
    ):
        editor.say({"user": {"name": "eve"}, "cursors": [1]})
        await third.until(lambda: editor.client in third.others)
        viewer.say({**forged, "cursors": [2]})
        await third.until(lambda: viewer.client in third.others)
        shown = third.others[viewer.client]
        assert shown is not None
        assert (shown["user"]["username"], shown["user"]["display_name"], shown["user"]["color"]) == (
            "vic",
            "vic",
            "#123456",
        )
        for state in (None, forged):
            viewer.say(state, editor.client)
        viewer.say(forged, 77)
        viewer.say({**forged, "cursors": [3]})
        await third.until(lambda: (third.others[viewer.client] or {}).get("cursors") == [3])
        assert 77 not in third.others
        assert (third.others[editor.client] or {})["user"]["username"] == "eve"
        await viewer.synced()
        viewer.socket.close()
        await third.until(lambda: third.others[viewer.client] is None)


async def test_a_cursor_comes_after_its_text(school: School) -> None:
    """However close behind it was said: a page cannot show it before."""
    early: list[int] = []
    async with page(school, "eve", FILE) as editor, page(school, "vic", FILE) as hearer:
        take = hearer.take

        def heard(message: bytes) -> None:
            take(message)
            for number in (hearer.others.get(editor.client) or {}).get("cursors", []):
                if f"<cursor {number}>" not in str(hearer.text):
                    early.append(number)

        hearer.take = heard  # type: ignore[method-assign]
        for number in range(50):
            editor.text.insert(0, f"<cursor {number}>")
            editor.say({"user": {"name": "eve"}, "cursors": [number]})
        await hearer.until(lambda: (hearer.others.get(editor.client) or {}).get("cursors") == [49])
    assert early == []


async def test_participants(school: School) -> None:
    """Who is in which document now, under the name that the server knows; who may not look is not told."""
    here = f"{API}/workspaces/class/participants"
    async with page(school, "eve", FILE) as editor, page(school, "vic", FILE):
        editor.say({"user": {"name": "root", "color": "#00ff00"}, "cursors": [{"head": 1}]})
        await editor.synced()
        async with asyncio.timeout(60):
            while len(rows := (await school.made("vic", "GET", here))["participants"]) != 2:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        found = {row["user"]: row for row in rows}
        assert set(found) == {"eve", "vic"}
        assert (found["eve"]["role"], found["vic"]["role"]) == ("editor", "viewer")
        assert found["eve"]["path"] == FILE
        assert (found["eve"]["color"], found["eve"]["cursors"]) == ("#00ff00", [{"head": 1}])
        assert found["eve"]["joined_at"] <= found["eve"]["last_activity_at"]
        assert (found["eve"]["workspace_id"], found["eve"]["front"]) == (found["vic"]["workspace_id"], True)
        everywhere = (await school.made("vic", "GET", f"{API}/participants"))["participants"]
        assert [(row["user"], row.keys()) for row in everywhere] == [(row["user"], row.keys()) for row in rows]
        assert await school.status("sam", "GET", here) == 403
    async with asyncio.timeout(60):
        while (await school.made("vic", "GET", here))["participants"]:  # noqa: ASYNC110 # closed a moment ago
            await asyncio.sleep(0.1)


async def test_joining_and_leaving(school: School) -> None:
    """Once for a person, however many pages, and not for a page that is loaded again; told to who may read. Meanwhile
    command line and Python know who is there."""
    made, file = (
        await school.made("owner", "POST", f"{API}/workspaces", {"name": "attended"}),
        "workspaces/attended/a.txt",
    )
    for name, role in (("rob", "runner"), ("vic", "viewer")):
        await school.made("owner", "PUT", f"{API}/workspaces/attended/members/{name}", {"role": role})
    file_of(school, file).write_text("here")
    heard: dict[str, list[tuple[str, str, str | None]]] = {"vic": [], "sam": []}
    sockets = {who: await school.connected(who, f"{API}/events") for who in heard}

    async def until(who: str, **wanted: str) -> None:
        async with asyncio.timeout(90):
            while line := await sockets[who].read_message():
                event = json.loads(line)
                if event["event"] == "presence" and event["workspace_id"] == made["id"]:
                    heard[who].append((event["what"], event["user"], event["role"]))
                if wanted.items() <= event.items():
                    return
        raise AssertionError("the websocket was closed")

    environ = {**os.environ, "SYLA_HOME": str(school.lab.installation.home)}
    async with page(school, "rob", file) as first, page(school, "rob", file):
        await until("vic", event="presence", user="rob", workspace_id=made["id"])
        command = [sys.executable, "-m", "syla_jupyter.cli.main", "workspace", "participants", "attended", "--json"]
        done = await asyncio.to_thread(subprocess.run, command, env=environ, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        rows = json.loads(done.stdout)["participants"]
        assert [(row["user"], row["role"], row["path"]) for row in rows] == [("rob", "runner", file)] * 2
        async with AsyncSyla(school.lab.root, environ) as syla:
            found = await (await syla.get("attended")).participants()
            assert [(one.user, one.role) for one in found] == [("rob", "runner")] * 2
            assert await (await syla.create("nobody here")).participants() == []
        first.socket.close()
    async with page(school, "rob", file):
        pass
    await until("vic", event="presence", what="left", workspace_id=made["id"])
    assert heard["vic"] == [("joined", "rob", "runner"), ("left", "rob", "runner")]
    await school.made("owner", "PUT", f"{API}/workspaces/attended/members/sam", {"role": "viewer"})
    await until("sam", workspace_id=made["id"])
    assert heard["sam"] == []
    for socket in sockets.values():
        socket.close()


async def test_who_is_where(school: School) -> None:
    """In all workspaces that one may read, the document before each; and who listens hears when that has changed."""

    async def seen(who: str) -> list[tuple[str, str, bool, str | None]]:
        rows = (await school.made(who, "GET", f"{API}/participants"))["participants"]
        return sorted((row["user"], row["path"], row["front"], row["role"]) for row in rows)

    other, private = "workspaces/class/b.txt", "workspaces/private/p.txt"
    for path in (other, private):
        file_of(school, path).write_text("another")
    events = await school.connected("vic", f"{API}/events")

    async def moved() -> None:
        async with asyncio.timeout(30):
            while json.loads(str(await events.read_message()))["event"] != "where":
                pass

    async with page(school, "eve", FILE) as first, page(school, "eve", other) as second:
        for one in (first, second):
            one.say({"user": {"name": "x"}, "cursors": []})
            await one.synced()
            await moved()
        expected = [("eve", FILE, False, "editor"), ("eve", other, True, "editor")]
        assert await seen("vic") == expected
        async with page(school, "eve", "", synced=False) as everywhere, page(school, "owner", private) as hidden:
            hidden.say({"user": {"name": "x"}, "cursors": []})
            await hidden.synced()
            await everywhere.until(lambda: everywhere.asked)
            everywhere.say({"current": f"file:{FILE}"})
            await moved()
            assert await seen("vic") == [("eve", FILE, True, "editor"), ("eve", other, False, "editor")]
            assert len(await seen("owner")) == 3
        assert await seen("sam") == []
        assert await school.status("", "GET", f"{API}/participants") == 403
    await moved()
    async with asyncio.timeout(60):
        while await seen("vic"):  # noqa: ASYNC110 # closed a moment ago
            await asyncio.sleep(0.1)
    events.close()


async def test_who_is_where_is_shown_where_one_may_look(school: School) -> None:
    """On a server with many workspaces a user sees whom he shares a workspace with, and in that workspace only."""
    async with (
        page(school, "owner", "", synced=False) as owner,
        page(school, "vic", "", synced=False) as viewer,
        page(school, "sam", "", synced=False) as stranger,
    ):
        everybody = {"owner": owner, "viewer": viewer, "stranger": stranger}
        for one in everybody.values():
            await one.until(lambda one=one: one.asked)
        owner.say({"current": "file:workspaces/private/p.txt", "documents": ["file:secret.txt"]})
        await owner.until(lambda: owner.client in owner.others)
        owner.say({"current": f"file:{FILE}", "documents": ["file:secret.txt"]})
        await viewer.until(lambda: viewer.others.get(owner.client))
        seen = viewer.others[owner.client]
        assert seen is not None
        assert set(seen) == {"user", "current"}
        stranger.say({"current": f"file:{FILE}"})
        await stranger.until(lambda: stranger.others.get(stranger.client))
        assert stranger.others[owner.client] is None
        owner.say({"current": "file:workspaces/private/p.txt"})
        await viewer.until(lambda: viewer.others[owner.client] is None)
        stranger.send_update(foreign_update("fills memory"))
        await stranger.synced()
        assert len(stranger.doc.get_update()) < 50
    assert (await counts(school))["here"].get(GLOBAL, 0) == 0


async def test_a_change_of_role_reaches_open_rooms(school: School) -> None:
    """An editor who becomes a viewer, and one again; then who is no member any more hears nothing."""
    async with page(school, "owner", FILE) as owner, page(school, "eve", FILE) as editor:
        await school.take_roles({"eve": "viewer"})
        began = time.monotonic()
        while not [row for row in editor.told if row["type"] == "read-only"]:
            editor.text.insert(0, ".")
            await editor.synced()
            assert time.monotonic() - began < 60
        assert time.monotonic() - began < WITHIN_SECONDS
        before = str(owner.text)
        editor.text.insert(0, "as a viewer ")
        await editor.synced()
        await owner.synced()
        assert str(owner.text) == before
        await school.take_roles({"eve": "editor"})
        async with asyncio.timeout(60):
            while editor.socket.close_code is None:
                editor.text.insert(0, "-")
                await asyncio.sleep(0.05)
        assert editor.socket.close_code == 1012, "what came before is missing: it comes again, with all of it"
    async with page(school, "eve", FILE, doc=editor.doc) as again, page(school, "owner", FILE) as owner:
        assert str(again.text) == str(owner.text)
        assert "as a viewer" in str(owner.text)
        await school.take_roles({"eve": ""})
        async with asyncio.timeout(60):
            while again.socket.close_code is None:
                again.text.insert(0, "x")
                await asyncio.sleep(0.05)
        assert again.socket.close_code == 1008
        await owner.synced()
        before = str(owner.text)
        assert await school.opens("eve", f"{ROOM}/{(await room_of(school, 'owner', FILE))[0]}") == 403
        assert str(owner.text) == before
