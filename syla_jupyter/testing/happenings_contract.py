"""What every store of happenings promises; a test of an adapter inherits it and gives the fixture `happenings`, and
`workspaces` and `people`, stores in the same database, which write down what they do."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ..metadata.base import WorkspaceStore
from ..metadata.happenings_base import BODY_SECONDS, GONE_SECONDS, KEPT_EACH, MERGED_SECONDS, HappeningStore
from ..metadata.people_base import PeopleStore
from ..model.errors import BadInput, Conflict, NameTaken, UnknownUser
from ..model.happening import Happening, Kind
from ..model.people import AccessMode, AccessRequest, Grant, Invitation, Role, SubjectKind, User
from ..model.record import WorkspaceRecord
from .records import make_record

NOW = 1_800_000_000.0


def one(action: str = "suspend", *, workspace: str = "w", at: float = NOW, **more: Any) -> Happening:
    kind = more.pop("kind", Kind.WORKSPACE)
    return Happening(workspace, "ann", at, kind, action, **more)


class HappeningsContract:
    def test_in_order_and_whole(self, happenings: HappeningStore) -> None:
        """Each has the next number, and comes back as it was written; what cannot be stored is refused."""
        assert (happenings.newest(), list(happenings.after(0))) == (0, [])
        given = one(actor="ben", detail={"reason": "é \ud800"}, body={"record": {"name": "x"}})
        assert [happenings.add(given), happenings.add(one("resume"))] == [1, 2]
        first, second = happenings.after(0)
        assert (first.n, first.actor, first.detail, first.body) == (1, "ben", given.detail, given.body)
        assert [row.n for row in happenings.after(1)] == [second.n] == [happenings.newest()] == [2]
        assert [row.n for row in happenings.after(0, limit=1)] == [1]
        with pytest.raises(BadInput):
            happenings.add(one(actor="a\0"))

    def test_pages(self, happenings: HappeningStore) -> None:
        """Of one workspace, newest first, by kind and person, each row once, without bodies."""
        for number in range(5):
            happenings.add(one(actor=f"u{number % 2}", body={"x": 1}))
            happenings.add(one("save", kind=Kind.FILES, actor="u0"))
            happenings.add(one(workspace="other"))
        everything = happenings.page("w")
        assert [row.n for row in everything] == sorted((row.n for row in everything), reverse=True)
        assert (len(everything), {bool(row.body) for row in everything}) == (10, {False})
        half = happenings.page("w", limit=4)
        assert [*half, *happenings.page("w", before=half[-1].n)] == list(everything)
        assert {row.kind for row in happenings.page("w", kinds=[Kind.FILES])} == {Kind.FILES}
        assert len(happenings.page("w", kinds=[Kind.WORKSPACE], actor="u1")) == 2
        assert [happenings.page("w", actor="nobody"), happenings.page("\0")] == [[], []]

    def test_what_is_said_again(self, happenings: HappeningStore) -> None:
        """The same of the same person, soon after, is one line that counts; anything in between begins another."""
        save: dict[str, Any] = {"kind": Kind.FILES, "actor": "ben"}
        first = happenings.add(one("save", **save, detail={"count": 2, "names": ["a", "b"]}), merge=True)
        later = one("save", **save, at=NOW + 60, detail={"count": 1, "names": ["a"]})
        assert happenings.add(later, merge=True) == first
        (row,) = happenings.page("w")
        assert (row.detail, row.at) == ({"count": 3, "names": ["a", "b"]}, NOW + 60)
        assert happenings.add(one("save", kind=Kind.FILES, actor="ana"), merge=True) == first + 1
        assert happenings.add(one("save", **save, at=NOW + 61), merge=True) == first + 2
        assert happenings.add(one("save", **save, at=NOW + 61 + MERGED_SECONDS), merge=True) == first + 3

    def test_with_what_is_done(self, happenings: HappeningStore, workspaces: WorkspaceStore) -> None:
        """A line is there with the record that it tells of; of what was refused there is none, nor where none is."""

        def tell(action: str) -> Callable[[WorkspaceRecord], Happening]:
            return lambda record: one(action, workspace=record.id, body={"version": record.version})

        record = workspaces.insert(make_record(), tell=tell("create"))
        after = workspaces.replace(dataclasses.replace(record, reason="x"), tell=tell("suspend"))
        with pytest.raises(NameTaken):
            workspaces.insert(make_record(name=record.name), tell=tell("refused"))
        with pytest.raises(Conflict):
            workspaces.replace(record, tell=tell("refused"))
        with pytest.raises(ZeroDivisionError):
            workspaces.replace(after, admit=lambda others: 1 / 0, tell=tell("refused"))  # type: ignore[arg-type]
        workspaces.replace(after, tell=lambda record: None)
        assert [(row.n, row.action, row.body["version"]) for row in happenings.after(0)] == [
            (1, "create", 1),
            (2, "suspend", 2),
        ]
        for wanted in (True, False):
            gone = workspaces.remove(record.id, 3, tell=lambda removed: tell("delete")(record) if removed else None)
            assert gone is wanted
        assert [row.action for row in happenings.after(2)] == ["delete"]
        assert (happenings.newest(), workspaces.insert(make_record(), tell=tell("again")).version) == (3, 1)

    def test_what_cannot_be_stored_of_a_line_undoes_nothing(
        self, happenings: HappeningStore, workspaces: WorkspaceStore
    ) -> None:
        """The deed counts: its line has as much as there is room for."""
        actor = "é\0\ud800" * 1000
        big = {"x": "y" * (1 << 20)}
        record = workspaces.insert(
            make_record(),
            tell=lambda record: one("c" * 1000, workspace=record.id, actor=actor, detail=big, body=big),
        )
        (row,) = happenings.page(record.id)
        assert row.actor.startswith("é?é?")
        assert (row.action, dict(row.detail), dict(row.body)) == ("c" * 64, {}, {})

    def test_with_what_is_done_with_people(
        self, happenings: HappeningStore, workspaces: WorkspaceStore, people: PeopleStore
    ) -> None:
        """Each write of people that is of a workspace; whose it is by then is found out where it is written."""
        record = workspaces.insert(make_record(owner="ana"))
        for name in ("ana", "ben"):
            people.add_user(User(name, name, NOW))
        bens = Grant(record.id, SubjectKind.USER, "ben", Role.EDITOR, "ana", NOW)

        def said(action: str) -> Callable[[Any], Happening]:
            return lambda result: Happening(record.id, "", NOW, Kind.MEMBERS, action, "ana", {"is": str(result)[:40]})

        def if_so(action: str) -> Callable[[bool], Happening | None]:
            return lambda result: said(action)(result) if result else None

        people.put_request(AccessRequest(record.id, "ben", Role.EDITOR, "it", NOW), tell=said("asked"))
        people.grant(bens, tell=said("granted"))
        with pytest.raises(UnknownUser):
            people.grant(dataclasses.replace(bens, subject="nobody"), tell=said("refused"))
        for _ in range(2):
            people.withdraw(record.id, SubjectKind.USER, "ben", tell=if_so("withdrawn"))
        people.set_mode(record.id, AccessMode.LINK, tell=said("opened"))
        people.add_invitation(Invitation("0badcafe", record.id, Role.RUNNER, "ana", NOW, NOW + 60, 1), "digest")
        people.accept("digest", "ben", NOW, tell=lambda grant: said(f"is {grant.role}")(grant))
        people.transfer(record.id, "ben", Role.ADMIN, NOW, tell=said("transferred"))
        rows = happenings.after(0)
        assert [(row.action, row.owner) for row in rows] == [
            ("asked", "ana"), ("granted", "ana"), ("withdrawn", "ana"), ("opened", "ana"), ("is runner", "ana"),
            ("transferred", "ben"),
        ]  # fmt: skip
        assert [row.n for row in rows] == [1, 2, 3, 4, 5, 6]

    def test_it_is_bounded(self, happenings: HappeningStore, workspaces: WorkspaceStore) -> None:
        """Of each workspace the newest are kept, bodies for a while, of one that is gone for a day; no number twice."""
        record = workspaces.insert(make_record())
        for _ in range(KEPT_EACH + 3):
            happenings.add(one(workspace=record.id, body={"x": 1}))
        last = happenings.add(one(workspace="gone", body={"x": 1}))
        assert happenings.trim(NOW) == 3
        assert len(happenings.page(record.id, limit=1, before=5)) == 1
        assert [bool(row.body) for row in happenings.after(last - 1)] == [True]
        happenings.trim(NOW + BODY_SECONDS + 1)
        assert [bool(row.body) for row in happenings.after(last - 1)] == [False]
        happenings.trim(NOW + GONE_SECONDS + 1)
        assert happenings.newest() == last  # the newest stays, whosever it is
        assert happenings.add(one(workspace=record.id, at=NOW + GONE_SECONDS)) == last + 1
        happenings.trim(NOW + GONE_SECONDS + 2)
        assert [row.workspace for row in happenings.after(last - 1)] == [record.id]

    def test_writers_at_once(self, happenings: HappeningStore, workspaces: WorkspaceStore) -> None:
        """Whoever reads up to a number has missed nothing before it, whatever was done with the lines."""
        seen: list[int] = []

        def change(record: WorkspaceRecord) -> None:
            for _ in range(10):
                record = workspaces.replace(record, tell=lambda record: one(workspace=record.id))

        writers = [threading.Thread(target=lambda: [happenings.add(one()) for _ in range(10)]) for _ in range(2)]
        for name in ("a", "b"):
            writers.append(threading.Thread(target=change, args=[workspaces.insert(make_record(name=name))]))
        for writer in writers:
            writer.start()
        while len(seen) < 40 and (any(writer.is_alive() for writer in writers) or happenings.newest() > len(seen)):
            seen += [row.n for row in happenings.after(seen[-1] if seen else 0)]
        for writer in writers:
            writer.join()
        assert seen == list(range(1, 41))
