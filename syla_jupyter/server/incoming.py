"""What a page sends to a kernel, looked at before it is forwarded: what it is, and whether a person wants something.

Pages ask by themselves, too: whenever their websocket opens again, when a notebook comes to the front, for its history.
None of that is worth resuming a suspended workspace; whatever is not known to be so is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1

V1 = "v1.kernel.websocket.jupyter.org"
ASKED_BY_PAGES = frozenset({"comm_info_request", "history_request", "kernel_info_request"})
DEBUG = "debug_request"
DEBUG_STATE = "debugInfo"  # asked of every kernel that comes to the front; all others follow a click


def request_header(incoming: Any, subprotocol: str | None) -> Mapping[str, Any]:
    """Empty for what is no message; that is left to the real handler to refuse."""
    return _parts_of(incoming, subprotocol)[0]


def is_wanted(incoming: Any, subprotocol: str | None) -> bool:
    """Whether a person, as far as one can tell, has done something to send this."""
    header, content = _parts_of(incoming, subprotocol)
    type = header.get("msg_type")
    if type == DEBUG:
        return content.get("command") != DEBUG_STATE
    return type not in ASKED_BY_PAGES


def _parts_of(incoming: Any, subprotocol: str | None) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Header and content."""
    try:
        if subprotocol == V1:
            if int.from_bytes(incoming[:8], "little") > len(incoming) // 8:
                return {}, {}  # the number of parts, for which a list would be made
            _channel, parts = deserialize_msg_from_ws_v1(incoming)
            found = json.loads(parts[0]), json.loads(parts[3])
        else:
            message = json.loads(incoming)
            found = message["header"], message["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return {}, {}
    return found if isinstance(found[0], dict) and isinstance(found[1], dict) else ({}, {})
