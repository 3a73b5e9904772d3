"""The adapter of what has happened (`outbox` has how a line is written)."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, select, update

from ..model.happening import Happening, Kind
from .encoding import storable
from .happenings_base import (
    AFTER_MAX,
    BODY_SECONDS,
    GONE_SECONDS,
    KEPT_EACH,
    KEPT_SECONDS,
    MERGED_SECONDS,
    PAGE_MAX,
)
from .happenings_table import happening
from .outbox import NEWEST, append, take_turn, to_row
from .sql_transactions import Transactions
from .tables import workspace

NAMES_MAX = 20
_c = happening.c
_ROW = (_c.workspace_id, _c.owner, _c.at, _c.kind, _c.action, _c.actor, _c.detail)


class SqlHappenings:
    """As `HappeningStore` says. `engine`: of a database at this version's schema."""

    def __init__(self, engine: Engine) -> None:
        transactions = Transactions(engine)
        self._read, self._write = transactions.read, transactions.write

    def add(self, happening_: Happening, *, merge: bool = False) -> int:
        row = to_row(happening_)

        def work(conn: Connection) -> int:
            take_turn(conn)
            if merge and (n := _merged(conn, happening_)):
                return n
            append(conn, row)
            return int(conn.execute(NEWEST).scalar_one())

        return self._write(work, "write down what has happened")

    def newest(self) -> int:
        return self._read(lambda conn: int(conn.execute(NEWEST).scalar() or 0), "read what has happened")

    def after(self, n: int, limit: int = AFTER_MAX) -> Sequence[Happening]:
        statement = select(*_ROW, _c.n, _c.body).where(_c.n > n).order_by(_c.n).limit(limit)
        rows = self._read(lambda conn: conn.execute(statement).all(), "read what has happened")
        return [_from_row(row[:-2], row.n, row.body) for row in rows]

    def page(
        self,
        workspace: str,
        *,
        before: int = 0,
        kinds: Collection[Kind] = (),
        actor: str | None = None,
        limit: int = 50,
    ) -> Sequence[Happening]:
        if not storable(workspace, actor or ""):
            return []
        wanted = [_c.workspace_id == workspace]
        wanted += [_c.n < before] if before else []
        wanted += [_c.kind.in_([str(kind) for kind in kinds])] if kinds else []
        wanted += [] if actor is None else [_c.actor == actor]
        statement = select(*_ROW, _c.n).where(*wanted).order_by(_c.n.desc()).limit(min(limit, PAGE_MAX))
        rows = self._read(lambda conn: conn.execute(statement).all(), "read what has happened")
        return [_from_row(row[:-1], row.n, "") for row in rows]

    def trim(self, now: float) -> int:
        def work(conn: Connection) -> int:
            newest = int(conn.execute(NEWEST).scalar() or 0)  # stays, so that no number comes twice
            old = delete(happening).where(_c.n < newest)
            count = conn.execute(old.where(_c.at < now - KEPT_SECONDS)).rowcount
            gone = _c.workspace_id.not_in(select(workspace.c.id))
            count += conn.execute(old.where(gone, _c.at < now - GONE_SECONDS)).rowcount
            many = select(_c.workspace_id).group_by(_c.workspace_id).having(func.count() > KEPT_EACH)
            for id in conn.execute(many).scalars().all():
                here = _c.workspace_id == id
                last = select(_c.n).where(here).order_by(_c.n.desc()).offset(KEPT_EACH).limit(1)
                count += conn.execute(old.where(here, _c.n <= last.scalar_subquery())).rowcount
            bodies = update(happening).where(_c.at < now - BODY_SECONDS, _c.body != "")
            conn.execute(bodies.values(body=""))
            return count

        return self._write(work, "forget what happened long ago")


def _merged(conn: Connection, new: Happening) -> int:
    """Number of the row that has it now; 0: none has."""
    statement = select(*_ROW, _c.n).where(_c.workspace_id == new.workspace).order_by(_c.n.desc()).limit(1)
    row = conn.execute(statement).first()
    if row is None:
        return 0
    last = _from_row(row[:-1], row.n, "")
    if (last.kind, last.action, last.actor) != (new.kind, new.action, new.actor):
        return 0
    if not 0 <= new.at - last.at < MERGED_SECONDS:
        return 0
    detail = json.dumps(merged(last.detail, new.detail))
    conn.execute(update(happening).where(_c.n == row.n).values(detail=detail, at=new.at))
    return int(row.n)


def merged(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """`count` of both together, and `names` of both, the newest last, not all of many."""
    names = dict.fromkeys([*before.get("names", ()), *after.get("names", ())])
    count = int(before.get("count", 1)) + int(after.get("count", 1))
    return {**before, **after, "count": count, **({"names": list(names)[-NAMES_MAX:]} if names else {})}


def _from_row(row: Sequence[Any], n: int, body: str) -> Happening:
    workspace_id, owner, at, kind, action, actor, detail = row
    return Happening(workspace_id, owner, at, Kind(kind), action, actor, _object(detail), _object(body), n)


def _object(text: str) -> Mapping[str, Any]:
    found = json.loads(text) if text else {}
    return found if isinstance(found, dict) else {}
