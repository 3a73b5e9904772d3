"""Asking for a role on a real store: what is kept, who hears of it, and that whoever asks learns nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from syla_jupyter.access.asking import (
    OF_PERSON_MAX,
    OF_WORKSPACE_MAX,
    REFUSED_SECONDS,
    WAITS_SECONDS,
    Asked,
    Asking,
    why_not,
)
from syla_jupyter.access.attempts import FAILURES, WINDOW_SECONDS
from syla_jupyter.access.audit import Audit
from syla_jupyter.access.guard import Guard
from syla_jupyter.access.service import Caller, People
from syla_jupyter.access.sharing import Sharing
from syla_jupyter.metadata.happenings_sql import SqlHappenings
from syla_jupyter.metadata.people_sql import SqlPeople
from syla_jupyter.metadata.sql import SqlStore
from syla_jupyter.metadata.sql_transactions import open_engine
from syla_jupyter.model.errors import BadInput, Forbidden, TooMany, UnknownWorkspace
from syla_jupyter.model.happening import Happening, Kind
from syla_jupyter.model.people import AccessRequest, Principal, Role, SubjectKind
from syla_jupyter.testing.records import make_record
from syla_jupyter.workspaces.chronicle import Chronicle

from .clocks import HandClock

ROOT = Caller(Principal("root", admin=True))
NOW = 1e9


@dataclass
class Place:
    asking: Asking
    sharing: Sharing
    guard: Guard
    audit: Audit
    clock: HandClock
    id: str
    """A workspace of ana's."""
    heard: list[Asked]
    lines: SqlHappenings

    def caller(self, name: str) -> Caller:
        principal = self.guard.principal(name)
        assert principal is not None
        return Caller(principal)

    def waiting(self, name: str) -> list[tuple[str, str]]:
        return [(one.user, one.role) for one in self.asking.waiting(self.caller(name))]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    engine, clock = open_engine(tmp_path / "syla.db"), HandClock()
    people, store, audit = SqlPeople(engine), SqlStore(engine), Audit(tmp_path / "audit", clock)
    guard = Guard(people=people, audit=audit, clock=clock)
    users = People(people=people, guard=guard, audit=audit, clock=clock)
    for name in ("ana", "ben", "carla"):
        users.add_user(ROOT, name)
    heard: list[Asked] = []
    chronicle = Chronicle(lambda: lines, clock, "")

    def word(asked: Asked) -> Happening:
        heard.append(asked)
        return chronicle.word_asked(asked)

    lines = SqlHappenings(engine)
    asking = Asking(people=people, guard=guard, audit=audit, clock=clock, word=word)
    sharing = Sharing(people=people, guard=guard, audit=audit, clock=clock)
    yield Place(asking, sharing, guard, audit, clock, store.insert(make_record()).id, heard, lines)
    people.close()


def test_asked_and_granted(place: Place) -> None:
    """Its owner hears of it, nobody else; what is granted waits no more."""
    ben = place.caller("ben")
    place.asking.ask(ben, place.id, Role.RUNNER, "project")
    place.asking.ask(ben, place.id, Role.RUNNER, "project")
    assert [(one.actor, one.request.user, one.request.role) for one in place.heard] == [("ben", "ben", Role.RUNNER)]
    (line,) = place.lines.after(0)
    assert (line.kind, line.action, line.owner, line.actor) == (Kind.ACCESS, "asked", "ana", "ben")
    assert line.detail == {"subject": "ben", "role": "runner", "called": "project"}
    assert place.waiting("ana") == [("ben", Role.RUNNER)]
    assert place.waiting("ben") == place.waiting("carla") == []
    place.asking.ask(ben, place.id, Role.EDITOR, "project")
    assert place.waiting("ana") == [("ben", Role.EDITOR)]
    place.sharing.share(place.caller("ana"), place.id, SubjectKind.USER, "ben", Role.EDITOR)
    assert place.waiting("ana") == []
    place.asking.ask(ben, place.id, Role.VIEWER, "project")
    assert place.waiting("ana") == []
    assert len(place.heard) == 2


def test_a_refusal_is_remembered_for_a_while(place: Place) -> None:
    ben, ana = place.caller("ben"), place.caller("ana")
    place.asking.ask(ben, place.id, Role.VIEWER, "project")
    assert place.asking.refuse(ana, place.id, "carla") is False
    assert place.asking.refuse(ana, place.id, "ben") is True
    assert place.asking.refuse(ana, place.id, "ben") is False
    assert place.heard[-1].request.refused_at is not None
    assert [(one.action, one.actor) for one in place.lines.after(0)] == [("asked", "ben"), ("refused", "ana")]
    place.asking.ask(ben, place.id, Role.EDITOR, "project")
    assert place.waiting("ana") == []
    place.clock.move(REFUSED_SECONDS)
    place.asking.ask(ben, place.id, Role.EDITOR, "project")
    assert place.waiting("ana") == [("ben", Role.EDITOR)]
    for name, error in (("ben", UnknownWorkspace), ("carla", UnknownWorkspace)):
        with pytest.raises(error):
            place.asking.refuse(place.caller(name), place.id, "ben")
    place.sharing.share(ana, place.id, SubjectKind.USER, "carla", Role.EDITOR)
    with pytest.raises(Forbidden):
        place.asking.refuse(place.caller("carla"), place.id, "ben")
    assert place.waiting("carla") == []


def test_whoever_asks_learns_nothing(place: Place) -> None:
    """One answer for all cases, one line in the log for each, and so many a minute that no list of names is tried."""
    ben = place.caller("ben")
    nobody = Caller(Principal("somebody-without-an-account"))
    answers = {
        place.asking.ask(who, workspace, Role.VIEWER, "called")  # type: ignore[func-returns-value]
        for who, workspace in ((ben, place.id), (ben, None), (ben, "0" * 12), (ben, place.id), (nobody, place.id))
    }
    assert answers == {None}
    lines = [line for line in place.audit.newest() if line.action == "access.ask"]
    assert [line.result for line in lines] == ["done", "refused", "refused", "refused", "refused"]
    for _ in range(FAILURES - 4):
        place.asking.ask(ben, None, Role.VIEWER, "guess")
    for workspace in (place.id, None):
        with pytest.raises(TooMany):
            place.asking.ask(ben, workspace, Role.VIEWER, "guess")
    place.clock.move(WINDOW_SECONDS)
    place.asking.ask(ben, None, Role.VIEWER, "guess")
    with pytest.raises(BadInput):
        place.asking.ask(place.caller("carla"), place.id, Role.OWNER, "project")


def test_what_is_kept() -> None:
    """Bounded for a person and for a workspace; what is over does not count."""
    one = AccessRequest("w", "ben", Role.VIEWER, "w", NOW)
    assert why_not(one, [], NOW) == ""
    assert why_not(one, [one], NOW) == "waits already"
    assert why_not(one, [one], NOW + WAITS_SECONDS) == ""
    refused = dataclasses.replace(one, refused_at=NOW)
    assert why_not(one, [refused], NOW + REFUSED_SECONDS - 1) == "was refused"
    assert why_not(one, [refused], NOW + REFUSED_SECONDS) == ""
    his = [dataclasses.replace(one, workspace=f"w{n}") for n in range(OF_PERSON_MAX)]
    assert why_not(one, his[1:], NOW) == ""
    assert why_not(one, his, NOW) == f"has {OF_PERSON_MAX} requests"
    assert why_not(one, his, NOW + WAITS_SECONDS) == ""
    theirs = [dataclasses.replace(one, user=f"u{n}") for n in range(OF_WORKSPACE_MAX)]
    assert why_not(one, theirs, NOW) == f"the workspace has {OF_WORKSPACE_MAX} requests"
