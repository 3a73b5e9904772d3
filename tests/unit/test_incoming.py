"""Which messages of a page are worth resuming a suspended workspace for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jupyter_server.services.kernels.connection.base import serialize_msg_to_ws_v1

from syla_jupyter.server.incoming import V1, is_wanted, request_header


def message(type: str, content: Any) -> dict[str, Any]:
    header = {"msg_type": type, "msg_id": "1"}
    return {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}


@pytest.mark.parametrize(
    ("type", "content", "wanted"),
    [
        ("execute_request", {"code": "1"}, True),
        ("input_reply", {"value": "x"}, True),
        ("comm_msg", {"data": {}}, True),
        ("complete_request", {"code": "a"}, True),
        ("debug_request", {"command": "initialize"}, True),
        ("debug_request", {"command": "debugInfo"}, False),
        ("kernel_info_request", {}, False),
        ("comm_info_request", {}, False),
        ("history_request", {"n": 5}, False),
        ("one_of_the_future", {}, True),
    ],
)
def test_what_is_wanted(type: str, content: Any, wanted: bool) -> None:
    """What a person does, in both protocols; not what pages ask by themselves."""
    sent = message(type, content)
    binary = serialize_msg_to_ws_v1(sent, "shell", lambda part: json.dumps(part).encode())
    for incoming, protocol in ((json.dumps(sent), None), (binary, V1)):
        assert is_wanted(incoming, protocol) == wanted
        assert request_header(incoming, protocol)["msg_type"] == type


@pytest.mark.parametrize("incoming", ["", "{", "[]", "{}", '{"header": 1, "content": {}}', "[" * 100_000])
def test_what_is_no_message(incoming: str) -> None:
    """It is left to whoever refuses it."""
    for given, protocol in ((incoming, None), (incoming.encode(), V1), (b"\0" * 16, V1)):
        assert request_header(given, protocol) == {}
        assert is_wanted(given, protocol)
