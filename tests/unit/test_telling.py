"""What is written down is told: one's own and of other processes, in order, once; many small things as one. And the
catalogue of events: each has a schema, and comes with its fields."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from syla_jupyter.access.acting import AND, acting
from syla_jupyter.access.asking import Asked
from syla_jupyter.access.audit_line import Action
from syla_jupyter.access.sharing import PeopleChange
from syla_jupyter.metadata.happenings_sql import SqlHappenings
from syla_jupyter.metadata.sql import open_store
from syla_jupyter.metadata.sql_transactions import open_engine
from syla_jupyter.model.clock import SystemClock
from syla_jupyter.model.errors import StoreFailed
from syla_jupyter.model.happening import Happening, Kind
from syla_jupyter.model.people import AccessRequest, Role
from syla_jupyter.model.snapshot import Reason, SessionStats, Version
from syla_jupyter.server.announcer import Announcer, RunChange
from syla_jupyter.server.cell_queue import Asked as Wanted
from syla_jupyter.server.events import EventHub
from syla_jupyter.server.openapi import document
from syla_jupyter.server.route import PREFIX
from syla_jupyter.server.routes import ROUTES
from syla_jupyter.server.telling import Telling
from syla_jupyter.snapshots.save import SaveReport
from syla_jupyter.snapshots.tree import Said
from syla_jupyter.workspaces.changes import Change
from syla_jupyter.workspaces.chronicle import Chronicle
from syla_jupyter.workspaces.vault import Saved

from .records import NOW, a_record

CLOCK = SystemClock()
SECONDS = 30.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlHappenings]:
    engine = open_engine(tmp_path / "syla.db")
    yield SqlHappenings(engine)
    engine.dispose()


@pytest.fixture
def told() -> list[Happening]:
    return []


@pytest.fixture
def telling(store: SqlHappenings, told: list[Happening]) -> Iterator[Telling]:
    chronicle = Chronicle(lambda: store, CLOCK, "")
    telling = Telling(chronicle, CLOCK, told.append, lambda id: "ann")
    chronicle.write = telling.note
    telling.workspace_at = lambda path: path.partition("/")[0]
    yield telling
    telling.close()


def suspended(who: str = "", **record: Any) -> Happening:
    return Happening("w", "ann", NOW, Kind.WORKSPACE, "suspend", who, record)


async def test_of_all_processes_in_order_and_once(
    store: SqlHappenings, telling: Telling, told: list[Happening]
) -> None:
    """What another process has written before comes before; all of it when somebody begins to listen."""
    other = Chronicle(lambda: store, CLOCK, "root")
    other.write_now(suspended("cli 1"))
    telling.note(suspended("here 1"))
    telling.settle()
    other.write_now(suspended("cli 2"))
    other.write_now(suspended("cli 3"))
    await telling.settled()
    telling.note(suspended("here 2"))
    telling.settle()
    assert [one.actor for one in told] == ["cli 1", "here 1", "cli 2", "cli 3", "here 2"]
    assert [one.n for one in told] == [1, 2, 3, 4, 5]


def test_what_was_written_with_a_deed_is_told_at_once(
    tmp_path: Path, store: SqlHappenings, telling: Telling, told: list[Happening]
) -> None:
    """The registry's line is there before its verb returns; nothing is written or told twice, and a restore after it."""
    chronicle, workspaces = telling._chronicle, open_store(tmp_path / "syla.db")
    chronicle.news = telling.news
    created, restored = (Change(verb, a_record(), "", 0.0) for verb in ("create", "restore"))
    workspaces.insert(a_record(), tell=lambda record: chronicle.word(created))
    chronicle.changed(created)
    assert chronicle.word(restored) is None
    chronicle.changed(restored)
    telling._thread.submit(lambda: None).result(SECONDS)
    workspaces.close()
    assert [one.action for one in told] == ["create", "restore"] == [one.action for one in store.after(0)]


async def test_it_looks_while_somebody_listens(store: SqlHappenings, telling: Telling, told: list[Happening]) -> None:
    """And not longer."""
    listens = True
    telling.watch(lambda: listens)
    store.add(suspended("cli"))
    async with asyncio.timeout(SECONDS):
        while not told:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        listens = False
        assert telling._watching is not None
        await telling._watching


def test_what_was_there_before_is_no_news(store: SqlHappenings, told: list[Happening]) -> None:
    store.add(suspended())
    telling = Telling(Chronicle(lambda: store, CLOCK, ""), CLOCK, told.append, lambda id: "ann")
    telling.settle()
    telling.close()
    assert told == []


async def test_many_small_things_are_one(store: SqlHappenings, telling: Telling, told: list[Happening]) -> None:
    """Files by person and what was done, executions by person; each who edited one document is named; then it goes on
    in the line that there is."""
    for number in range(100):
        with acting(f"ana{AND}ben"):
            telling.file_changed("save", f"w/{number % 30}.txt")
        telling.executed("w", "ana")
    telling.file_changed("delete", "no workspace at all".replace(" ", ""))
    telling.workspace_at = lambda path: "w" if path.startswith("w/") else ""
    telling.settle()
    by = {(one.kind, one.action, one.actor): one.detail for one in told}
    assert set(by) == {(Kind.FILES, "save", "ana"), (Kind.FILES, "save", "ben"), (Kind.EXECUTION, "execute", "ana")}
    assert {detail["count"] for detail in by.values()} == {100}
    assert len(by[Kind.FILES, "save", "ben"]["names"]) == 20
    telling.executed("w", "ana")
    telling.settle()
    assert len(told) == 4
    assert store.page("w", kinds=[Kind.EXECUTION])[0].detail["count"] == 101


async def test_a_tally_is_told_without_being_asked_for(telling: Telling, told: list[Happening]) -> None:
    telling.loop = asyncio.get_running_loop()
    telling.file_changed("save", "w/a.txt")
    async with asyncio.timeout(SECONDS):
        while not told:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert told[0].detail == {"count": 1, "names": ["w/a.txt"]}


class _Failing(SqlHappenings):
    def add(self, happening_: Happening, *, merge: bool = False) -> int:
        raise StoreFailed("no room", "")


def test_a_store_that_fails(tmp_path: Path, told: list[Happening]) -> None:
    """Undoes nothing, and who listens is told what happens here all the same."""
    engine = open_engine(tmp_path / "syla.db")
    chronicle = Chronicle(lambda: _Failing(engine), CLOCK, "")
    telling = Telling(chronicle, CLOCK, told.append, lambda id: "ann")
    chronicle.write = telling.note
    chronicle.changed(Change("restore", a_record(), "version 1", 0.0))
    telling.executed(a_record().id, "ana")
    telling.settle()
    telling.close()
    engine.dispose()
    assert [one.action for one in told] == ["restore", "execute"]


# -- the catalogue -----------------------------------------------------------------------------------------------

CATALOGUE: dict[str, tuple[str, dict[str, Any]]] = {
    "Created": ("ChangeEvent", {"event": "change", "verb": "create"}),
    "Updated": ("ChangeEvent", {"event": "change", "verb": "change", "changes": ["limits", "labels"]}),
    "Deleted": ("ChangeEvent", {"event": "change", "verb": "delete"}),
    "Shared": ("PeopleEvent", {"event": "people", "action": "workspace.share", "subject": "ben", "role": "editor"}),
    "Asked": ("AccessEvent", {"event": "access", "what": "asked", "user": "ben", "role": "editor"}),
    "Refused": ("AccessEvent", {"event": "access", "what": "refused", "user": "ben", "workspace_id": None}),
    "Answered": ("AccessEvent", {"event": "access", "what": "answered", "user": "ben"}),
    "Joined": ("PresenceEvent", {"event": "presence", "what": "joined", "user": "ben", "role": "editor"}),
    "Left": ("PresenceEvent", {"event": "presence", "what": "left", "user": "ben"}),
    "FileChanged": ("FilesEvent", {"event": "files", "action": "save", "user": "ben", "paths": ["a.txt"]}),
    "ExecutionStarted": ("RunEvent", {"event": "run", "what": "started", "user": "ben"}),
    "ExecutionCompleted": ("RunEvent", {"event": "run", "what": "completed", "status": "ok"}),
    "Suspended": ("ChangeEvent", {"event": "change", "verb": "suspend", "actor": "ben"}),
    "Resumed": ("ChangeEvent", {"event": "change", "verb": "resume"}),
    "SnapshotTaken": ("SnapshotEvent", {"event": "snapshot", "seconds": 1.5}),
    "Lost": ("ChangeEvent", {"event": "change", "verb": "lost", "actor": ""}),
    "Restored": ("ChangeEvent", {"event": "change", "verb": "restore"}),
    "Warning": ("WarningEvent", {"event": "warning", "kind": "disk", "message": "nearly full"}),
}
"""The events that there have to be: schema, and what one of them has."""


def with_it(store: SqlHappenings, line: Happening | None) -> None:
    """As it is written with what was done."""
    assert line is not None
    store.add(line)


async def test_every_event_of_the_catalogue(store: SqlHappenings) -> None:
    """Each goes through what is written down, as another process would have written it, and comes as its schema says."""
    announcer = Announcer(EventHub(), CLOCK, Path("/srv"))
    chronicle = Chronicle(lambda: store, CLOCK, "")
    record = a_record()
    version = Version(3, NOW, "ben", "a \ud800", Reason.MANUAL, 2, (b"x",), tags=("t",), details={"b": b"y"})
    with acting("ben"):
        chronicle.changed(Change("restore", record, "why", 0.5))
        for verb in ("create", "delete", "suspend", "resume"):
            with_it(store, chronicle.word(Change(verb, record, "why", 0.5)))
        with_it(store, chronicle.word(Change("change", record, "", 0.5, ("limits", "labels"))))
        with_it(store, chronicle.word(Change("lost", record, "its container has ended", 0.0)))
    people = chronicle.word_people(PeopleChange(record.id, Action.SHARE, "ann", "ben", Role.EDITOR))
    with_it(store, dataclasses.replace(people, owner="ann"))
    request = AccessRequest(record.id, "ben", Role.EDITOR, "proj", NOW)
    for one in (Asked(request, "ben"), Asked(dataclasses.replace(request, refused_at=NOW), "ann")):
        with_it(store, dataclasses.replace(chronicle.word_asked(one), owner="ann"))
    chronicle.saved(Saved(record, version, SaveReport(version, 1, 1, 1, Said({}, ()), SessionStats(), 1.0), 1.5))
    chronicle.warned(record, "nearly full", "disk")
    here = (record.id, "ann", NOW)
    for action in ("joined", "left"):
        chronicle.write_now(Happening(*here, Kind.PRESENCE, action, "ben", {"role": "editor", "display_name": "Ben"}))
    chronicle.write_now(Happening(*here, Kind.FILES, "save", "ben", {"count": 1, "names": ["a.txt"]}))
    listener, *_ = announcer.hub.listen(lambda event: True)
    for one in store.after(0):
        announcer.told(one)
    for what in ("started", "completed"):
        announcer.ran(
            record, RunChange(what, Wanted("x", "ben", "room", "cell", NOW), "ok" if what == "completed" else "")
        )
    events = []
    async with asyncio.timeout(SECONDS):
        while len(events) < len(CATALOGUE):
            event = await listener.next()
            assert event is not None
            events.append(json.loads(event.line))
    schemas = document(ROUTES, PREFIX)["components"]["schemas"]
    missing = []
    for name, (schema, fields) in CATALOGUE.items():
        found = [event for event in events if fields.items() <= event.items()]
        if len(found) != 1:
            missing.append(name)
            continue
        whole = {**schemas[schema], "components": {"schemas": schemas}}
        Draft202012Validator(whole).validate(found[0])
        assert found[0]["id"]
        assert found[0]["time"]
        assert found[0].get("workspace_id", record.id) == (None if name == "Refused" else record.id)
    assert missing == []
    assert {schema for schema, _ in CATALOGUE.values()} <= set(schemas)


def test_who_reads_the_table_sees_no_code_and_no_content(store: SqlHappenings) -> None:
    """All columns of what is kept about a person's doings, with everything that could be in a record."""
    change = Change("change", a_record(labels={"secret": "label"}), "", 0.0)
    with_it(store, Chronicle(lambda: store, CLOCK, "").word(change))
    (row,) = store.page(a_record().id)
    assert "label" not in json.dumps(row.detail)
