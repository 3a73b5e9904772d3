"""What a kernel's websocket says to somebody who may look on and not execute. Pure.

Nothing that he sends reaches the kernel: not only code does things there (`complete` and `inspect` run what a value's
class says, a comm message runs a callback), and whatever the kernel answers is published under the id that the sender
chose, which may be the id of somebody else's cell. So pages, which ask what kernel it is before anything else, are
answered from what the server knows, and all else is refused as the kernel would refuse it: an error as the reply to
that message, and as the output of what has no reply or is shown in a cell; then `idle`, which ends the waiting.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_server.services.kernels.connection.base import deserialize_binary_message, deserialize_msg_from_ws_v1

READ_MAX = 1 << 20  # bytes; what is longer is not even refused
HEADER_FIELDS = ("msg_id", "msg_type", "session", "username", "date", "version")
CHANNELS = ("shell", "control", "stdin")
REQUEST, REPLY = "_request", "_reply"
KERNEL_INFO = "kernel_info_request"
EXECUTE = "execute_request"
ONLOOKER = "onlooker-"
NAME = "PermissionError"
TEXT = "you may look on here, and not run anything; ask who shares this workspace to make you a runner"


@dataclass(frozen=True)
class Heard:
    channel: str
    header: Mapping[str, str]
    """Of what was sent: the parent of the answer. Has a `msg_type`."""


@dataclass(frozen=True)
class Told:
    channel: str
    type: str
    content: Mapping[str, Any]


def is_sound(message: str | bytes, v1: bool) -> bool:
    """Whether it can be taken apart in no more time and memory than its length: counts in it are numbers of parts that
    a reader believes."""
    if isinstance(message, str):
        return not v1
    if v1:
        return len(message) >= 8 and 3 <= int.from_bytes(message[:8], "little") <= len(message) // 8
    return len(message) >= 4 and 1 <= int.from_bytes(message[:4], "big") <= len(message) // 4


def heard(message: str | bytes, v1: bool) -> Heard | None:
    """None: too long, or no message at all."""
    if len(message) > READ_MAX or not is_sound(message, v1):
        return None
    try:
        if v1:
            channel, parts = deserialize_msg_from_ws_v1(message)
            header = json.loads(parts[0])
        else:
            read = deserialize_binary_message(message) if isinstance(message, bytes) else json.loads(message)
            channel, header = read.get("channel") or "shell", read["header"]
        fields = {name: header[name] for name in HEADER_FIELDS if isinstance(header.get(name), str)}
    except Exception:  # whatever else it is
        return None
    if channel not in CHANNELS or not {"msg_id", "msg_type"} <= fields.keys():
        return None
    return Heard(channel, fields)


def answer(message: Heard, kernel_info: Mapping[str, Any], state: str) -> list[Told]:
    """What the sender is told, and nobody else.

    Parameters
    ----------
    kernel_info : content of the kernel's `kernel_info_reply`; empty: not known.
    state : of the kernel, as it is.
    """
    type, told = message.header["msg_type"], []
    refusal = {"status": "error", "ename": NAME, "evalue": TEXT, "traceback": [f"{NAME}: {TEXT}"]}
    if type == KERNEL_INFO and kernel_info and message.channel != "stdin":
        told.append(Told(message.channel, "kernel_info_reply", kernel_info))
    elif type.endswith(REQUEST) and message.channel != "stdin":
        told.append(Told(message.channel, type.removesuffix(REQUEST) + REPLY, refusal))
    if type == EXECUTE or not type.endswith(REQUEST) or message.channel == "stdin":
        told.append(Told("iopub", "error", {key: refusal[key] for key in ("ename", "evalue", "traceback")}))
    return [*told, Told("iopub", "status", {"execution_state": "idle"}), *_truth(state)]


def _truth(state: str) -> list[Told]:
    """A page shows the last state that it heard of, whatever it was about."""
    return [Told("iopub", "status", {"execution_state": state})] if state == "busy" else []


def session_of(name: str, given: str, full: bool) -> str:
    """A session id, which is an address at the kernel's sockets too, that nobody else can name: pages choose theirs,
    and everybody who reads output sees them."""
    digest = hashlib.sha256(f"{name}\0{given}".encode(errors="replace")).hexdigest()
    return f"{'member-' if full else ONLOOKER}{digest[:40]}"


def looks_on(session_key: str) -> bool:
    """Of `<kernel id>:<session id>`, as Jupyter keeps what a session has missed."""
    return session_key.partition(":")[2].startswith(ONLOOKER)
