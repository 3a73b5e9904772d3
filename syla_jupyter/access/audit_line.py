"""One line of the audit log: what it says, its form, and how it hangs on the line before. Pure.

    {"n":7,"at":1800000000.0,"actor":"ana","action":"workspace.share","target":"…","result":"done","reason":"…",
     "address":"…","agent":"…","previous":"<64 hex>","hash":"<64 hex>"}

`hash` is SHA-256 over the line's own JSON without it, keys sorted; `previous` is the hash of the line before, in the
file before where it is a file's first. So a line that was changed, removed or put in between shows at its successor.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

BEGINNING = "0" * 64
TEXT_MAX = 300  # characters of each field: many come from outside


class Action(enum.StrEnum):
    """All that is ever written. A new one is a new line here."""

    LOGIN = "login"
    LOGIN_REFUSED = "login.refused"
    ACCESS_REFUSED = "access.refused"
    USER_ADD = "user.add"
    USER_CHANGE = "user.change"
    TOKEN_ISSUE = "token.issue"
    TOKEN_REVOKE = "token.revoke"
    TEAM_ADD = "team.add"
    TEAM_REMOVE = "team.remove"
    TEAM_JOIN = "team.join"
    TEAM_LEAVE = "team.leave"
    SHARE = "workspace.share"
    UNSHARE = "workspace.unshare"
    MODE = "workspace.mode"
    TRANSFER = "workspace.transfer"
    JOIN = "workspace.join"
    LEAVE = "workspace.leave"
    ASK = "access.ask"
    TURN_AWAY = "access.turn_away"
    INVITE = "invitation.make"
    UNINVITE = "invitation.revoke"


Result = Literal["done", "refused", "failed"]


@dataclass(frozen=True)
class Origin:
    """Where a request came from. No secret is ever in it: the address has no query."""

    address: str = ""
    agent: str = ""


NOWHERE = Origin()


@dataclass(frozen=True)
class Line:
    n: int
    at: float
    """Seconds since the epoch."""
    actor: str
    action: Action
    target: str
    result: Result
    reason: str
    address: str
    agent: str
    previous: str
    hash: str


@dataclass(frozen=True)
class Entry:
    """What happened, before it has its place in the log."""

    actor: str
    action: Action
    target: str
    result: Result = "done"
    reason: str = ""
    origin: Origin = NOWHERE


def write(entry: Entry, *, n: int, at: float, previous: str) -> tuple[bytes, str]:
    """(the line with its line feed, its hash)."""
    fields: dict[str, Any] = {
        "n": n,
        "at": at,
        "actor": _short(entry.actor),
        "action": str(entry.action),
        "target": _short(entry.target),
        "result": entry.result,
        "reason": _short(entry.reason),
        "address": _short(entry.origin.address),
        "agent": _short(entry.origin.agent),
        "previous": previous,
    }
    fields["hash"] = _hash(fields)
    return (json.dumps(fields) + "\n").encode(), fields["hash"]


def read(text: bytes) -> Line:
    """`ValueError` for what was not written by `write`, in any character."""
    fields = json.loads(text)
    if not isinstance(fields, dict) or set(fields) != set(Line.__dataclass_fields__):
        raise ValueError("it has not the fields of a line")
    line = Line(**{**fields, "action": Action(fields["action"])})
    if _hash({name: value for name, value in fields.items() if name != "hash"}) != line.hash:
        raise ValueError("it was changed")
    return line


def _hash(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _short(text: str) -> str:
    return text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 1]}…"
