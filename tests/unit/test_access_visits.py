"""Who has come to what every user may see: remembered once, listed while it is open, taken from the list."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Engine

from syla_jupyter.access.audit import Audit
from syla_jupyter.access.guard import Guard
from syla_jupyter.access.visits import AGAIN_SECONDS, KEPT_MAX, Visit, Visits
from syla_jupyter.metadata.people_sql import SqlPeople
from syla_jupyter.metadata.sql import SqlStore
from syla_jupyter.metadata.sql_transactions import open_engine
from syla_jupyter.model.errors import StoreFailed
from syla_jupyter.model.people import AccessMode
from syla_jupyter.testing.records import make_record

from .clocks import HandClock


class CountingPeople(SqlPeople):
    """Counts how often it is asked, and can be out of order."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.asked, self.broken = 0, False

    def add_visit(self, workspace_id: str, user: str, now: float, keep: int) -> bool:
        self.asked += 1
        if self.broken:
            raise StoreFailed("it is away", "Try again")
        return super().add_visit(workspace_id, user, now, keep)


@dataclass
class Place:
    people: CountingPeople
    visits: Visits
    clock: HandClock
    id: str
    heard: list[Visit] = field(default_factory=list)

    def listed(self, user: str = "sam") -> bool:
        return self.id in self.people.shared_with(user, frozenset())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    engine, clock = open_engine(tmp_path / "syla.db"), HandClock()
    people = CountingPeople(engine)
    guard = Guard(people=people, audit=Audit(tmp_path / "audit", clock), clock=clock)
    id = SqlStore(engine).insert(make_record()).id
    people.set_mode(id, AccessMode.LINK)
    found = Place(people, Visits(people=people, guard=guard, clock=clock), clock, id)
    found.visits.listeners.append(found.heard.append)
    yield found
    people.close()


def test_who_comes_again_costs_nothing(place: Place) -> None:
    """The store is asked once, and after a while once more; she hears of it once, nobody else does."""
    assert not place.listed()
    for _ in range(3):
        place.visits.came("sam", place.id)
    assert place.people.asked == 1
    place.clock.move(AGAIN_SECONDS)
    place.visits.came("sam", place.id)
    assert place.people.asked == 2
    assert place.heard == [Visit(place.id, "ana", "sam")]
    assert place.listed()
    assert not place.listed("ben")


def test_what_is_taken_from_the_list_comes_back_by_coming_again(place: Place) -> None:
    place.visits.came("sam", place.id)
    assert place.visits.forget("sam", place.id) is True
    assert place.visits.forget("sam", place.id) is False
    assert not place.listed()
    assert len(place.heard) == 2
    place.visits.came("sam", place.id)
    assert place.listed()


def test_a_store_that_does_not_answer_refuses_nobody(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Nor is it asked by each request, nor does a workspace that is gone stop anybody."""
    place.people.broken = True
    with caplog.at_level(logging.WARNING, "syla.server"):
        place.visits.came("sam", place.id)
        place.visits.came("sam", place.id)
        place.people.broken = False
        place.visits.came("sam", "0" * 12)
    assert place.people.asked == 2
    assert ["it is away" in one.message for one in caplog.records] == [True, False]
    assert place.heard == []


def test_what_is_kept_in_memory_is_bounded(place: Place) -> None:
    place.people.broken = True
    logging.getLogger("syla.server").disabled = True
    try:
        for number in range(KEPT_MAX + 1):
            place.visits.came(f"user{number}", place.id)
    finally:
        logging.getLogger("syla.server").disabled = False
    place.visits.came(f"user{KEPT_MAX}", place.id)
    assert place.people.asked == KEPT_MAX + 1
    place.visits.came("user0", place.id)
    assert place.people.asked == KEPT_MAX + 2
