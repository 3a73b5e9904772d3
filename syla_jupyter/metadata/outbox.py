"""Lines of what has happened, written on the connection and in the transaction of what is done, or in one of their own.

One writer at a time gives the numbers, so that they are seen in their order: SQLite has one anyway, in PostgreSQL a
lock is taken last and held until the transaction ends. Who has it waits for nobody, so it is in no circle.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select

from ..model.happening import Happening
from .encoding import TEXT_MAX, check_text
from .happenings_table import happening
from .tables import workspace

_LOCK = 0x73796C63  # of PostgreSQL's advisory locks
DETAIL_MAX = 8 * 1024
BODY_MAX = 64 * 1024
ACTION_MAX = 64
NEWEST = select(happening.c.n).order_by(happening.c.n.desc()).limit(1)
_NEXT = select(func.coalesce(func.max(happening.c.n), 0) + 1).scalar_subquery()
_GIVEN: dict[str, Any] = {column.name: bindparam(column.name) for column in happening.c if column.name != "n"}
_APPEND = insert(happening).values({"n": _NEXT, **_GIVEN}).inline()


def take_turn(conn: Connection) -> None:
    """From here on, until the transaction ends, nobody else gives a number."""
    if conn.dialect.name == "postgresql":
        conn.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def append(conn: Connection, row: dict[str, Any]) -> None:
    """It is the newest then; it is this one's turn."""
    conn.execute(_APPEND, row)


def write_down(conn: Connection, one: Happening) -> None:
    """As `happenings_base.Tell` says: with what else is done in this transaction, which it never fails."""
    row = _columns(one)
    if not one.owner:
        owner = conn.execute(select(workspace.c.owner).where(workspace.c.id == one.workspace)).scalar()
        if owner is None:  # deleted meanwhile, and nobody is there to be told
            return
        row["owner"] = owner
    row["actor"] = _fitting(one.actor)
    take_turn(conn)
    append(conn, row)


def to_row(one: Happening) -> dict[str, Any]:
    """`BadInput` for what cannot be stored."""
    for field in ("workspace", "owner", "action", "actor"):
        check_text(field, getattr(one, field))
    return _columns(one)


def _columns(one: Happening) -> dict[str, Any]:
    row = {"workspace_id": one.workspace, "owner": one.owner, "at": one.at, "kind": str(one.kind)}
    row |= {"action": one.action[:ACTION_MAX], "actor": one.actor}
    detail, body = (json.dumps(value, default=str) if value else "" for value in (one.detail, one.body))
    # JSON escapes whatever is not ASCII, so any text can be stored; what is too long says nothing.
    return {**row, "detail": detail if len(detail) <= DETAIL_MAX else "", "body": body if len(body) <= BODY_MAX else ""}


def _fitting(text: str) -> str:
    """As much of it as a column takes."""
    return text.replace("\0", "").encode(errors="replace")[:TEXT_MAX].decode(errors="ignore")
