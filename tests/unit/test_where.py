"""Who is where: who is told to look again, and which document is before somebody."""

from __future__ import annotations

from syla_jupyter.server.rooms import GLOBAL, IDLE_SECONDS, Participant, Presences
from syla_jupyter.server.where import CURSORS_MAX, Place, before_them, cursors_of


def test_who_moves_is_told_once() -> None:
    """When he comes, is in another document, is awake again, or goes; not for each thing that he does."""
    table, told = Presences(), list[str]()
    table.listeners.append(lambda one: told.append(one.room))
    a, b = (Participant(room, "ana", object(), 0.0) for room in ("a", "b"))
    for one in (a, b):
        table.join(one)
    for at in (1.0, 2.0, 3.0):
        table.acts(a, at)
    assert told == ["a"]
    table.acts(b, 4.0)
    table.acts(b, 5.0)
    table.acts(a, 6.0)
    assert told == ["a", "b", "a"]
    table.acts(a, 6.0 + IDLE_SECONDS)
    assert told[3:] == ["a"]
    table.turns(Participant(GLOBAL, "ana", object(), 0.0))
    assert told[4:] == ["a", "b"]
    assert (table.leave("a", a.connection), told[6:]) == (a, ["a"])
    assert table.leave("a", a.connection) is None
    assert told[7:] == []
    table.acts(b, 6.0 + IDLE_SECONDS)
    assert told[7:] == ["b"]


def test_the_document_before_somebody() -> None:
    """As his page says it; else where he has done something last. Another's word has no part in it."""
    places = [
        Place("w", path, Participant(path, user, object(), 0.0, active_at=at))
        for user, path, at in (("ana", "w/1", 5.0), ("ana", "w/2", 9.0), ("ben", "w/1", 1.0))
    ]

    def found(said: dict[str, str]) -> dict[str, str]:
        return {user: place.path for user, place in before_them(places, said).items()}

    assert found({}) == {"ana": "w/2", "ben": "w/1"}
    assert found({"ana": "w/1", "ben": "w/2"}) == {"ana": "w/1", "ben": "w/1"}
    assert found({"ana": "elsewhere"}) == {"ana": "w/2", "ben": "w/1"}


def test_cursors_are_a_page_s_word() -> None:
    """Shown as they are where they are little; anything else is none."""
    one = {"head": {"item": None}}
    assert cursors_of({"cursors": [one, "\ud800"]}) == [one, "?"]
    for said in ({}, {"cursors": 7}, {"cursors": {"a": 1}}, {"cursors": ["x" * CURSORS_MAX]}):
        assert cursors_of(said) == []
