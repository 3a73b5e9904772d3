"""What becomes of each kind of message in each kind of room, of everybody who may send it: all there is of each, so that a
kind that is new, of message or of room, has no row here and fails. Against the wire, beside somebody who looks on."""

from __future__ import annotations

import asyncio
import enum
from typing import Any

import pytest
from pycrdt import Doc, Text
from tornado.httpclient import HTTPClientError

from syla_jupyter.server.rooms import GLOBAL
from syla_jupyter.server.yjs_wire import Kind

from .room_client import Page, in_room, room_of, sized
from .school import PEOPLE, School

FILE = "workspaces/class/a.txt"


class Where(enum.Enum):
    """`rooms` has what there is."""

    DOCUMENT = "of a file in workspace `class`"
    GLOBAL = "who is on this server"
    COPY = "a copy of that document, made by an admin"


MATRIX = {
    # in the order of PEOPLE: owner, editor, runner, viewer, a user who is no member, nobody
    (Where.DOCUMENT, Kind.ASKS): "answered answered answered answered refused refused",
    (Where.DOCUMENT, Kind.ANSWERS_NOTHING): "nothing nothing nothing nothing refused refused",
    (Where.DOCUMENT, Kind.WRITES): "written written told told refused refused",
    (Where.DOCUMENT, Kind.AWARENESS): "seen seen seen seen refused refused",
    (Where.DOCUMENT, Kind.SAVES): "success success failed failed refused refused",
    (Where.DOCUMENT, Kind.NOTHING): "nothing nothing nothing nothing refused refused",
    (Where.GLOBAL, Kind.ASKS): "answered answered answered answered answered refused",
    (Where.GLOBAL, Kind.ANSWERS_NOTHING): "nothing nothing nothing nothing nothing refused",
    (Where.GLOBAL, Kind.WRITES): "nothing nothing nothing nothing nothing refused",
    (Where.GLOBAL, Kind.AWARENESS): "seen seen seen seen seen refused",
    (Where.GLOBAL, Kind.SAVES): "failed failed failed failed failed refused",
    (Where.GLOBAL, Kind.NOTHING): "nothing nothing nothing nothing nothing refused",
    (Where.COPY, Kind.ASKS): "answered refused refused refused refused refused",
    (Where.COPY, Kind.ANSWERS_NOTHING): "nothing refused refused refused refused refused",
    (Where.COPY, Kind.WRITES): "written refused refused refused refused refused",
    (Where.COPY, Kind.AWARENESS): "seen refused refused refused refused refused",
    (Where.COPY, Kind.SAVES): "failed refused refused refused refused refused",
    (Where.COPY, Kind.NOTHING): "nothing refused refused refused refused refused",
}


def update_of(text: str) -> bytes:
    """Of a document that nobody else has, so that it can be applied anywhere."""
    doc: Doc[Any] = Doc()
    doc.get("source", type=Text).insert(0, text)
    return doc.get_update()


async def sent(kind: Kind, one: Page, watcher: Page, mark: str) -> str:
    """What has become of it; that it had no effect is known when what was sent after it was answered."""
    before, told = str(watcher.text), len(one.told)
    if kind is Kind.ASKS:
        await one.synced()
        return "answered"
    if kind is Kind.SAVES:
        return await one.save()
    if kind is Kind.AWARENESS:
        one.say({"user": {"name": "x"}, "cursors": [], "current": f"file:{FILE}"})
        await watcher.until(lambda: watcher.others.get(one.client))
        return "seen"
    messages = {
        Kind.ANSWERS_NOTHING: [b"\x00\x01" + sized(b"\x00\x00"), b"\x00\x02" + sized(b"\x00\x00")],
        Kind.WRITES: [b"\x00" + bytes([step]) + sized(update_of(f"<{mark} {step}>")) for step in (1, 2)],
        Kind.NOTHING: [b"\x00\x07\x01a", b"\x05", b"\x02\x04save"],
    }[kind]
    for message in messages:
        one.send(message)
    await one.synced()
    await watcher.synced()
    if str(watcher.text) != before:
        return "written" if all(f"<{mark} {step}>" in str(watcher.text) for step in (1, 2)) else "half written"
    return "told" if [row for row in one.told[told:] if row["type"] == "read-only"] else "nothing"


async def name_of(where: Where, school: School) -> tuple[str, str]:
    """(room, session)"""
    if where is Where.GLOBAL:
        return GLOBAL, ""
    name, session = await room_of(school, "owner", FILE)
    if where is Where.DOCUMENT:
        return name, session
    async with in_room(school, "owner", name, session):
        made = await school.made("owner", "PUT", f"/api/collaboration/fork/{name}", {"synchronize": False})
    return made["fork_roomid"], made["sessionId"]


@pytest.mark.parametrize("where", Where, ids=lambda where: where.name.lower())
async def test_every_message_of_everybody(school: School, where: Where) -> None:
    name, session = await name_of(where, school)
    found: dict[tuple[Where, Kind], list[str]] = {(where, kind): [] for kind in Kind}
    async with asyncio.timeout(120), in_room(school, "owner", name, session) as watcher:
        for who in PEOPLE:
            try:
                async with in_room(school, who, name, session) as one:
                    for kind in Kind:
                        found[where, kind].append(await sent(kind, one, watcher, f"{where.name} {who}"))
            except HTTPClientError as exc:
                for kind in Kind:
                    found[where, kind].append("refused" if exc.code == 403 else str(exc))
    expected = {key: row.split() for key, row in MATRIX.items() if key[0] is where}
    assert found == expected
