"""What every store of happenings promises; a test of an adapter inherits it and gives the fixture `happenings`, and
`workspaces`, a store of workspaces in the same database."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from ..metadata.base import WorkspaceStore
from ..metadata.happenings_base import BODY_SECONDS, GONE_SECONDS, KEPT_EACH, MERGED_SECONDS, HappeningStore
from ..model.errors import BadInput
from ..model.happening import Happening, Kind
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

    def test_writers_at_once(self, happenings: HappeningStore) -> None:
        """Whoever reads up to a number has missed nothing before it."""
        seen: list[int] = []
        writers = [threading.Thread(target=lambda: [happenings.add(one()) for _ in range(10)]) for _ in range(4)]
        for writer in writers:
            writer.start()
        while len(seen) < 40 and (any(writer.is_alive() for writer in writers) or happenings.newest() > len(seen)):
            seen += [row.n for row in happenings.after(seen[-1] if seen else 0)]
        for writer in writers:
            writer.join()
        assert seen == list(range(1, 41))
