"""Messages of rooms, and who may say what of whom. Bytes in, bytes out; no library of Yjs is asked."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syla_jupyter.server.naming import NOWHERE
from syla_jupyter.server.room_socket import may_read
from syla_jupyter.server.rooms import GLOBAL, Participant, Presences, current_path, document_of, is_copy, vouched
from syla_jupyter.server.yjs_wire import Kind, Presence, awareness, kind_of, presences, save_number, told

from .clocks import HandClock

ID = "0e0cd5ea-b85b-4a4c-8e5f-0b6ea2e3cd01"
ANA = {"username": "ana", "name": "ana", "display_name": "Ana Maria Lopez", "avatar_url": None}


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (b"\x00\x00\x01\x00", Kind.ASKS), (b"\x00\x01\x02\x00\x00", Kind.ANSWERS_NOTHING),
        (b"\x00\x02\x02\x00\x00", Kind.ANSWERS_NOTHING), (b"\x00\x01\x02\x01\x00", Kind.WRITES),
        (b"\x00\x02\x03abc", Kind.WRITES), (b"\x00\x02\x02\x00\x00more", Kind.ANSWERS_NOTHING),
        (b"\x01\x01\x00", Kind.AWARENESS), (b"\x02\x04save\x07", Kind.SAVES), (b"\x02\x04save", Kind.NOTHING),
        (b"\x82\x00\x04save\x07", Kind.NOTHING), (b"\x80\x00\x02\x03abc", Kind.NOTHING), (b"\x00\x82\x00\x00", Kind.NOTHING),
        (b"\x00\x03\x01a", Kind.NOTHING), (b"\x00\x02\x09abc", Kind.NOTHING), (b"\x00", Kind.NOTHING),
        (b"", Kind.NOTHING), ("\x00\x02\x03abc", Kind.NOTHING), (None, Kind.NOTHING), (b"\x7d\x03abc", Kind.NOTHING),
    ],
)  # fmt: skip
def test_what_a_message_is(message: Any, kind: Kind) -> None:
    """Spelled as the library below reads it, or it is no message."""
    assert kind_of(message) is kind


@given(st.binary(max_size=64))
def test_whatever_comes_is_read_without_harm(data: bytes) -> None:
    kind_of(data)
    for prefix in (b"\x01", b"\x02\x04save"):
        presences(prefix + data)
        save_number(prefix + data)


@given(st.integers(0, 2**53 - 1), st.integers(0, 2**53 - 1), st.none() | st.dictionaries(st.text(), st.text()))
def test_states_go_there_and_back(client: int, clock: int, state: dict[str, Any] | None) -> None:
    rows = [Presence(client, clock, state), Presence(1, 2, None)]
    assert presences(awareness(rows)) == rows


@pytest.mark.parametrize(
    "state",
    [b"7", b"[]", b'"a"', b'{"a": NaN}', b"{", b"[" * 5000 + b"]" * 5000, b'{"a":"' + b"x" * 40_000 + b'"}', b"\xff"],
)
def test_states_that_pages_could_not_read(state: bytes) -> None:
    """What breaks a page goes to nobody."""
    length = len(state)
    sized = bytes([128 | (length & 127), 128 | ((length >> 7) & 127), length >> 14])
    body = b"\x01\x05\x01" + sized + state
    assert (
        presences(b"\x01" + bytes([128 | (len(body) & 127), 128 | ((len(body) >> 7) & 127), len(body) >> 14]) + body)
        == []
    )


def test_too_many_at_once() -> None:
    assert presences(awareness([Presence(n, 1, {}) for n in range(1001)])) == []


def test_what_a_page_is_told() -> None:
    message = told({"type": "save", "status": "failed"})
    assert message[0] == 2
    assert json.loads(message[2:]) == {"type": "save", "status": "failed"}


@pytest.mark.parametrize(
    "name",
    [
        "", "x", f"json:notebook:{ID}x", f"json:notebook:{ID.upper()}", "json:notebook:../../etc", f"yaml:notebook:{ID}",
        f"json::{ID}", f"json:notebook:{ID}:", f"%6Ason:notebook:{ID}", f"json:note book:{ID}", f"json:notebook:{ID}\n",
        GLOBAL, f"json:notebook:a/{ID}",
    ],
)  # fmt: skip
def test_names_that_are_no_document(name: str) -> None:
    assert document_of(name) is None
    assert not is_copy(name)


def test_names_of_rooms() -> None:
    found = document_of(f"json:notebook:{ID}")
    assert found is not None
    assert (found.format, found.type, found.file_id) == ("json", "notebook", ID)
    assert is_copy("0" * 32)


@pytest.mark.parametrize(
    ("current", "path"),
    [
        ("notebook:workspaces/a/b.ipynb", "workspaces/a/b.ipynb"), ("notebook:RTC:a.ipynb", "a.ipynb"),
        ("RTC:file:a:b", "a:b"), ("notebook:workspaces/private/x:workspaces/class/a", "workspaces/private/x:workspaces/class/a"),
        ("workspaces/private/x:workspaces/class/a", ""), (None, ""), (7, ""), ("", ""),
    ],
)  # fmt: skip
def test_which_document_somebody_says_he_is_in(current: Any, path: str) -> None:
    assert current_path({"current": current}) == path


def test_who_somebody_is_the_server_says() -> None:
    """And nothing that could be more than a colour comes from the page."""
    forged = {
        "username": "root",
        "name": "root",
        "display_name": "The Owner",
        "initials": "TO",
        "color": "#aabbcc",
        "x": 1,
    }
    state = vouched({"user": forged, "cursors": [1], "autosave": True}, ANA, True)
    assert state["user"] == {**ANA, "initials": "AM", "color": "#aabbcc"}
    assert (state["cursors"], state["autosave"]) == ([1], True)
    for color in ("red;background:url(//x)", "url(x)", 7, None, "#12", "var(--jp-x);"):
        assert vouched({"user": {"color": color}}, ANA, True)["user"]["color"] is None
    assert "autosave" not in vouched({"autosave": False}, ANA, False)
    assert vouched({"user": "root"}, ANA, True)["user"]["name"] == "ana"


def test_a_client_number_is_one_connections() -> None:
    """Nobody speaks for another, nor takes a number that is in use; he who comes back has his own again."""
    table = Presences()
    ana, ben, again = (Participant("room", name, object(), 0.0) for name in ("ana", "ben", "ana"))
    for one in (ana, ben):
        table.join(one)
    first = Presence(1, 1, {})
    assert table.own(ana, [first], 9) == first
    assert table.own(ben, [first], 9) is None
    assert table.own(ben, [Presence(9, 1, {})], 9) is None, "the server's own"
    assert table.own(ben, [Presence(2, 1, {}), Presence(3, 1, {})], 9) is None, "which of them is he?"
    assert table.own(ben, [Presence(2, 1, {})], 9) == Presence(2, 1, {})
    assert table.own(ben, [Presence(1, 5, None), Presence(2, 2, {})], 9) == Presence(2, 2, {})
    assert table.own(ben, [Presence(4, 1, {})], 9) is None, "one connection has one"
    table.join(again)
    assert table.own(again, [Presence(1, 2, {})], 9) == Presence(1, 2, {})
    assert table.own(ana, [Presence(2, 2, {})], 9) is None
    assert {one.client for one in table.in_room("room")} == {None, 1, 2}
    for one in (ana, ben, again):
        assert table.leave("room", one.connection) is one
    assert table.rooms() == []


def test_whose_a_path_is_is_asked_once_for_all_who_hear_of_it() -> None:
    """And again a second later, and for another path; whether somebody may read there is asked each time."""
    clock, asked, denied = HandClock(), list[str](), {"eve"}

    def at(path: str) -> str:
        asked.append(path)
        return {"a": "w1"}.get(path, NOWHERE)

    def decide(who: Any, permission: Any, workspace: str) -> Any:
        return SimpleNamespace(allowed=workspace == "w1" and who not in denied)

    may = may_read(SimpleNamespace(decide=decide), SimpleNamespace(at=at), clock)
    assert [may(who, "a") for who in ("ann", "eve", "ann")] == [True, False, True]
    denied.add("ann")
    assert not may("ann", "a")
    assert not may("bob", "b")
    assert asked == ["a", "b"]
    clock.move(1.0)
    assert may("bob", "a")
    assert asked == ["a", "b", "a"]
