"""Each verb's line is in the transaction that makes it so: of the whole registry, on a real store, without an engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from syla_jupyter.access.acting import acting
from syla_jupyter.metadata.happenings_sql import SqlHappenings
from syla_jupyter.metadata.sql_transactions import open_engine
from syla_jupyter.model.errors import Conflict, EngineError
from syla_jupyter.model.happening import Kind
from syla_jupyter.model.workspace import MIB
from syla_jupyter.workspaces.chronicle import Chronicle, record_of

from ..local_installation import Local, local_installation
from .clocks import HandClock


@dataclass
class Told:
    local: Local
    lines: SqlHappenings

    def since(self, n: int) -> list[tuple[str, str]]:
        return [(row.action, row.actor) for row in self.lines.after(n)]


@pytest.fixture
def told() -> Iterator[Told]:
    with local_installation(HandClock()) as local:
        engine = open_engine(local.settings.data_dir / "workspaces.db")
        lines = SqlHappenings(engine)
        chronicle = Chronicle(lambda: lines, local.clock, "ann")
        local.registry._word = chronicle.word
        local.registry.listeners.append(chronicle.changed)
        yield Told(local, lines)
        engine.dispose()


def test_each_verb_is_written_once(told: Told) -> None:
    """With the record as it is by then, and who did it; what happened by itself nobody did."""
    local, registry = told.local, told.local.registry
    record = local.create("proj")
    registry.open(record.id)
    registry.open(record.id)
    with acting("ben"):
        registry.suspend(record.id)
        registry.suspend(record.id)
    registry.open(record.id)
    registry.touch(record.id, 60.0)
    registry.change(record.id, labels={"a": "b"})
    with pytest.raises(Conflict):
        registry.change(record.id, labels={}, version=1)
    registry.warn(record.id, version=local.store.get(record.id).version, message="proj: suspend in 5 min")
    local.runtime.remove_all()
    registry.finish(quick=True)
    registry.open(record.id)
    registry.suspend(record.id, stop=True)
    registry.archive(record.id)
    registry.recover(record.id)
    (record.files / "a.txt").write_text("a")
    version = local.versions.take(record.id, author="ann").version
    assert version is not None
    registry.rewind(record.id, version.number, author="ann", paths=["files/a.txt"])
    registry.delete(record.id, confirmed=True)
    verbs = ["create", "start", "suspend", "resume", "touch", "change", "policy", "lost", "start", "stop", "archive"]
    verbs += ["recover", "restore", "delete"]
    rows = told.lines.after(0)
    assert [row.action for row in rows] == verbs
    assert {row.action: row.actor for row in rows if row.actor != "ann"} == {"suspend": "ben", "policy": "", "lost": ""}
    assert [row.action for row in rows if row.kind is Kind.WARNING] == ["policy"]
    versions = [found.version for row in rows if (found := record_of(row.body)) is not None]
    assert len(versions) == len(rows)
    assert versions == sorted(versions)


def test_what_is_undone_is_told_as_well(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that the container did not take, and a workspace whose directory could not be made: as they were."""
    local, registry = told.local, told.local.registry
    record = local.create("proj")
    registry.open(record.id)
    before, n = local.store.get(record.id), told.lines.newest()

    def refused(*_: object) -> None:
        raise EngineError("no", "")

    monkeypatch.setattr(registry._engine, "change_limits", refused)
    with pytest.raises(EngineError):
        registry.change(record.id, limits=dataclasses.replace(before.limits, memory_bytes=300 * MIB))
    assert told.since(n) == [("change", "ann")] * 2
    last = record_of(told.lines.after(n)[-1].body)
    assert last is not None
    assert last.limits == before.limits == local.store.get(record.id).limits
    n = told.lines.newest()
    monkeypatch.setattr(registry.catalog._places, "make", refused)
    with pytest.raises(EngineError):
        local.create("other")
    assert told.since(n) == [("create", "ann"), ("delete", "ann")]
