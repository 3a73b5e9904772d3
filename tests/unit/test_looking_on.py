"""What somebody who may only look on is told, for each message that a page could send. Pure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jupyter_server.services.kernels.connection.base import serialize_binary_message, serialize_msg_to_ws_v1

from syla_jupyter.server.looking_on import NAME, READ_MAX, Heard, answer, heard, is_sound, looks_on, session_of

HEADER = {"msg_id": "m1", "session": "s1", "username": "u", "date": "d", "version": "5.3"}
INFO = {"status": "ok", "protocol_version": "5.3"}


def forms(channel: str, header: Any) -> dict[str, tuple[str | bytes, bool]]:
    """The same message by each protocol: (as sent, whether it is v1)."""
    parts: dict[str, Any] = {"header": header, "parent_header": {}, "metadata": {}, "content": {"code": "1"}}
    raw = [json.dumps(part).encode() for part in parts.values()]
    whole = {**parts, "channel": channel}
    return {
        "v1": (serialize_msg_to_ws_v1(raw, channel), True),
        "text": (json.dumps(whole), False),
        "binary": (serialize_binary_message({**whole, "buffers": [b"abc"]}), False),
    }


@pytest.mark.parametrize("form", ["v1", "text", "binary"])
def test_a_message_is_read_by_every_protocol(form: str) -> None:
    message, v1 = forms("control", HEADER | {"msg_type": "debug_request"})[form]
    assert heard(message, v1) == Heard("control", HEADER | {"msg_type": "debug_request"})


@pytest.mark.parametrize("form", ["v1", "text", "binary"])
@pytest.mark.parametrize("header", [None, [], {}, {"msg_type": "x"}, {"msg_id": "m", "msg_type": 7}])
def test_what_is_no_message(form: str, header: Any) -> None:
    message, v1 = forms("shell", header)[form]
    assert heard(message, v1) is None


@pytest.mark.parametrize(
    ("message", "v1"),
    [
        ("", False), ("{", False), ("[" * 100_000, False), ("7", False), ("x", True), (b"", True), (b"\xff" * 64, True),
        (b"\xff" * 64, False), (b"\x7f\xff\xff\xff" + b"x" * 60, False), ((3).to_bytes(8, "little"), True),
        ((1 << 60).to_bytes(8, "little") + b"x" * 100, True), (b"x" * (READ_MAX + 1), True),
        (json.dumps({"header": HEADER | {"msg_type": "x_request"}, "channel": "iopub"}), False),
    ],
)  # fmt: skip
def test_what_a_hostile_client_sends(message: str | bytes, v1: bool) -> None:
    """Counts that nobody can have sent, nesting, lengths, channels that are none: nothing, and at once."""
    assert heard(message, v1) is None


def test_counts_are_looked_at_before_they_are_believed() -> None:
    """A runner's message is the kernel's to read; how many parts it has is for us to believe."""
    sent, v1 = forms("shell", HEADER)["v1"]
    assert is_sound(sent, v1)
    assert not is_sound((1 << 40).to_bytes(8, "little") + b"x" * 100, True)
    assert not is_sound("text", True)
    assert is_sound("text", False)
    assert is_sound(*forms("shell", HEADER)["binary"])
    assert not is_sound(b"\x7f\xff\xff\xff" + b"x" * 60, False)


@pytest.mark.parametrize(
    ("channel", "type", "told"),
    [
        ("shell", "kernel_info_request", ["shell kernel_info_reply ok", "status idle"]),
        ("control", "kernel_info_request", ["control kernel_info_reply ok", "status idle"]),
        ("shell", "execute_request", ["shell execute_reply error", "error", "status idle"]),
        ("control", "execute_request", ["control execute_reply error", "error", "status idle"]),
        ("shell", "complete_request", ["shell complete_reply error", "status idle"]),
        ("shell", "inspect_request", ["shell inspect_reply error", "status idle"]),
        ("shell", "history_request", ["shell history_reply error", "status idle"]),
        ("shell", "is_complete_request", ["shell is_complete_reply error", "status idle"]),
        ("shell", "comm_info_request", ["shell comm_info_reply error", "status idle"]),
        ("shell", "comm_open", ["error", "status idle"]),
        ("shell", "comm_msg", ["error", "status idle"]),
        ("shell", "comm_close", ["error", "status idle"]),
        ("stdin", "input_reply", ["error", "status idle"]),
        ("stdin", "execute_request", ["error", "status idle"]),
        ("control", "shutdown_request", ["control shutdown_reply error", "status idle"]),
        ("control", "interrupt_request", ["control interrupt_reply error", "status idle"]),
        ("control", "debug_request", ["control debug_reply error", "status idle"]),
        ("control", "create_subshell_request", ["control create_subshell_reply error", "status idle"]),
        ("shell", "whatever", ["error", "status idle"]),
    ],
)
def test_what_is_answered(channel: str, type: str, told: list[str]) -> None:
    """The reply where there is one, on its channel; else an error as output; in the end it is idle."""
    rows = answer(Heard(channel, HEADER | {"msg_type": type}), INFO, "idle")
    shown = []
    for row in rows:
        content = row.content
        words = {"status": [row.type, content.get("execution_state", "")], "error": [row.type]}
        shown.append(" ".join(words.get(row.type) or [row.channel, row.type, content["status"]]))
        assert row.channel == "iopub" or content is INFO or content["ename"] == NAME
    assert shown == told


def test_a_page_goes_on_showing_that_the_kernel_is_busy() -> None:
    """The end of one's own message is not the end of what the kernel does."""
    rows = answer(Heard("shell", HEADER | {"msg_type": "execute_request"}), {}, "busy")
    assert [row.content["execution_state"] for row in rows if row.type == "status"] == ["idle", "busy"]
    unknown = answer(Heard("shell", HEADER | {"msg_type": "kernel_info_request"}), {}, "starting")
    assert unknown[0].content["status"] == "error"


def test_nobody_names_the_session_of_another() -> None:
    """The same id, said by two people, or by one in two roles; who looks on is known by it."""
    ids = [session_of("ben", "s", True), session_of("carla", "s", True), session_of("ben", "s", False)]
    assert len(set(ids)) == 3
    assert ids[0] == session_of("ben", "s", True)
    assert all(len(id) < 64 for id in ids)
    assert [looks_on(f"kernel:{id}") for id in ids] == [False, False, True]
    assert not looks_on("kernel:" + "s" * 36)
    session_of("ben", "\ud800", True)
