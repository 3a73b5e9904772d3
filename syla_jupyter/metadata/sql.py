"""The metadata adapter: SQLAlchemy Core, for SQLite and PostgreSQL.

Each method is one transaction (`sql_transactions`). A write
reads the row it changes first, locked (SQLite: the whole database is), decides, and writes; so who comes second sees
what the first has done.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from ..model.errors import Conflict, NameTaken, UnknownWorkspace
from ..model.record import State, WorkspaceRecord
from ..model.workspace import WorkspaceType
from . import sql_query
from .base import DUE_MAX, SESSIONS_MAX, TOTAL_MAX, Admit, Allocation, Count, Look, Page, Query, name_key
from .encoding import check_text, from_row, limits_of, storable, to_row
from .happenings_base import Tell
from .paging import Cursor, check_query, read_cursor, write_cursor
from .sql_errors import Broken, broken, translate
from .sql_transactions import Transactions, open_engine
from .tables import HAS_EXECUTION, RUNNING, active_workspace, workspace, workspace_label, workspace_look

_ADMISSION_LOCK = 0x73796C62  # of PostgreSQL's advisory locks


def open_store(database: str | Path) -> SqlStore:
    """The store in that database (`sql_transactions.open_engine`)."""
    return SqlStore(open_engine(database))


class SqlStore:
    """As `WorkspaceStore` says. `engine`: of a database at this version's schema."""

    def __init__(self, engine: Engine) -> None:
        transactions = Transactions(engine)
        self._read, self._write, self.close = transactions.read, transactions.write, transactions.close

    # -- records -----------------------------------------------------------------------------------------------

    def insert(self, record: WorkspaceRecord, *, tell: Tell[WorkspaceRecord] | None = None) -> WorkspaceRecord:
        record = dataclasses.replace(record, version=1)
        row = to_row(record)

        def work(conn: Connection) -> WorkspaceRecord:
            conn.execute(insert(workspace).values(row))
            conn.execute(insert(workspace_look).values(workspace_id=record.id, version=1, next_look=0.0))
            _insert_labels(conn, record)
            return record

        with self._unique(record):
            return self._write(work, "store a workspace", tell)

    def get(self, id: str) -> WorkspaceRecord:
        statement = select(*sql_query.RECORD).where(workspace.c.id == id)
        row = self._read(lambda conn: conn.execute(statement).first(), "read a workspace") if storable(id) else None
        if row is None:
            raise _unknown(id)
        return from_row(row)

    def find(self, owner: str, name: str) -> WorkspaceRecord | None:
        if not storable(owner, name):
            return None
        mine = (workspace.c.owner == owner, workspace.c.name_key == name_key(name))
        row = self._read(lambda conn: conn.execute(select(*sql_query.RECORD).where(*mine)).first(), "read a workspace")
        return None if row is None else from_row(row)

    def at(self, files: Path) -> WorkspaceRecord | None:
        c = workspace.c
        if not storable(files.name) or not storable(str(files)):
            return None
        here = (c.name_key == name_key(files.name), c.files == str(files), c.state != str(State.DELETED))
        statement = select(*sql_query.RECORD).where(*here).order_by(c.is_default, c.created_at, c.id).limit(1)
        row = self._read(lambda conn: conn.execute(statement).first(), "read a workspace")
        return None if row is None else from_row(row)

    def replace(
        self, record: WorkspaceRecord, *, admit: Admit | None = None, tell: Tell[WorkspaceRecord] | None = None
    ) -> WorkspaceRecord:
        row = to_row(record)

        def work(conn: Connection) -> WorkspaceRecord:
            if admit is not None and conn.dialect.name == "postgresql":
                conn.execute(select(func.pg_advisory_xact_lock(_ADMISSION_LOCK)))
            before = _locked(conn, record.id)
            if before is None:
                raise _unknown(record.id)
            if before.version != record.version:
                raise _conflict(record.id, record.version, before.version)
            if admit is not None:
                admit(_allocations(conn, besides=record.id))
            now = dataclasses.replace(
                record,
                version=record.version + 1,
                last_activity_at=max(record.last_activity_at, before.last_activity_at),
            )
            values = {**row, "version": now.version, "last_activity_at": now.last_activity_at}
            conn.execute(update(workspace).where(workspace.c.id == record.id).values(values))
            look = update(workspace_look).where(workspace_look.c.workspace_id == record.id)
            conn.execute(look.values(version=now.version, next_look=0.0))
            if row["labels"] != before.labels:
                conn.execute(delete(workspace_label).where(workspace_label.c.workspace_id == record.id))
                _insert_labels(conn, record)
            return now

        with self._unique(record):
            return self._write(work, "store a workspace", tell)

    def remove(self, id: str, version: int, *, tell: Tell[bool] | None = None) -> bool:
        def work(conn: Connection) -> bool:
            before = _locked(conn, id)
            if before is None:
                return False
            if before.version != version:
                raise _conflict(id, version, before.version)
            conn.execute(delete(workspace).where(workspace.c.id == id))
            return True

        return storable(id) and self._write(work, "remove a workspace", tell)

    # -- lists -------------------------------------------------------------------------------------------------

    def list(self, query: Query) -> Page:
        check_query(query)
        cursor, found = read_cursor(query), sql_query.conditions(query)

        def work(conn: Connection) -> tuple[Sequence[Any], int]:
            planned = conn.dialect.name != "sqlite"
            counts = None if planned else sql_query.counts(found)
            rare = None if counts is None else sql_query.rarest(found, conn.execute(counts).one())
            rows = conn.execute(sql_query.page(query, found, rare, cursor, planned=planned)).all()
            if cursor is not None:
                return rows, cursor.total
            if len(rows) <= query.limit:
                return rows, len(rows)
            return rows, conn.execute(sql_query.count(found, rare, TOTAL_MAX, planned=planned)).scalar_one()

        rows, total = self._read(work, "list workspaces")
        more, rows = len(rows) > query.limit, rows[: query.limit]
        records = [from_row(row[:-1]) for row in rows]
        after = write_cursor(query, Cursor(rows[-1].sort_value, records[-1].id, total)) if more else ""
        return Page(records, after, min(total, TOTAL_MAX))

    def due(self, before: float, limit: int = DUE_MAX) -> Sequence[WorkspaceRecord]:
        look = workspace_look.c
        statement = (
            select(*sql_query.RECORD)
            .join_from(workspace_look, workspace)
            .where(look.next_look < before, workspace.c.state != str(State.DELETED))
            .order_by(look.next_look, look.workspace_id)
            .limit(limit)
        )
        rows = self._read(lambda conn: conn.execute(statement).all(), "list workspaces")
        return [from_row(row) for row in rows]

    def plan_look(self, looks: Iterable[Look]) -> None:
        look = workspace_look.c
        statement = (
            update(workspace_look)
            .where(look.workspace_id == bindparam("look_id"), look.version == bindparam("look_version"))
            .values(next_look=bindparam("look_at"))
        )
        # In one order, so that of two planners one waits for the other, and not both.
        rows = [
            {"look_id": one.id, "look_version": one.version, "look_at": one.at}
            for one in sorted(looks, key=attrgetter("id"))
        ]
        if rows:
            self._write(lambda conn: conn.execute(statement, rows), "plan policies")

    def executions(self) -> Mapping[str, str]:
        statement = select(workspace.c.execution, workspace.c.id).where(HAS_EXECUTION)
        rows = self._read(lambda conn: conn.execute(statement).all(), "list workspaces")
        return {execution: id for execution, id in rows}

    def allocations(self) -> Sequence[Allocation]:
        return self._read(_allocations, "list workspaces")

    def counts(self) -> Sequence[Count]:
        c = workspace.c
        statement = (
            select(c.type, c.state, func.count(), func.sum(c.disk_bytes))
            .where(c.state != str(State.DELETED))
            .group_by(c.type, c.state)
        )
        rows = self._read(lambda conn: conn.execute(statement).all(), "count workspaces")
        return [Count(WorkspaceType(type), State(state), number, int(size or 0)) for type, state, number, size in rows]

    # -- sessions ----------------------------------------------------------------------------------------------

    def set_active(self, owner: str, session: str, id: str | None, now: float) -> None:
        check_text("owner", owner)
        check_text("session", session)
        if id is not None and not storable(id):
            raise _unknown(id)
        c = active_workspace.c
        mine = (c.owner == owner, c.session == session)

        def work(conn: Connection) -> None:
            if id is None:
                conn.execute(delete(active_workspace).where(*mine))
                return
            values = {"workspace_id": id, "set_at": now}
            if conn.execute(update(active_workspace).where(*mine).values(values)).rowcount:
                return
            conn.execute(insert(active_workspace).values(owner=owner, session=session, **values))
            old = select(c.session).where(c.owner == owner).order_by(c.set_at.desc(), c.session).offset(SESSIONS_MAX)
            if sessions := conn.execute(old).scalars().all():
                conn.execute(delete(active_workspace).where(c.owner == owner, c.session.in_(sessions)))

        try:
            self._write(work, "store the active workspace")
        except IntegrityError as exc:
            if broken(exc) is Broken.FOREIGN:
                raise _unknown(str(id)) from exc
            if broken(exc) is Broken.PRIMARY:  # set for the first time by another one just now
                return self._write(work, "store the active workspace")
            raise translate(exc, doing="store the active workspace") from exc

    def active(self, owner: str, session: str) -> str | None:
        c = active_workspace.c
        statement = select(c.workspace_id).where(c.owner == owner, c.session == session)
        if not storable(owner, session):
            return None
        return self._read(lambda conn: conn.execute(statement).scalar(), "read the active workspace")

    def touch_activity(self, id: str, at: float) -> None:
        statement = (
            update(workspace).where(workspace.c.id == id, workspace.c.last_activity_at < at).values(last_activity_at=at)
        )
        if storable(id):
            self._write(lambda conn: conn.execute(statement), "note activity")

    @contextlib.contextmanager
    def _unique(self, record: WorkspaceRecord) -> Iterator[None]:
        try:
            yield
        except IntegrityError as exc:
            if broken(exc) is Broken.UNIQUE:
                raise NameTaken(
                    "name", f"{record.owner} has a workspace {record.name!r} already", "Choose another, or use that one"
                ) from exc
            if broken(exc) is Broken.PRIMARY:
                raise Conflict(f"a workspace with the id {record.id} exists already", "Give it another id") from exc
            raise translate(exc, doing="store a workspace") from exc


def _locked(conn: Connection, id: str) -> Any:
    """`version`, `last_activity_at` and `labels` of a row that nobody else changes before this transaction ends."""
    c = workspace.c
    return conn.execute(select(c.version, c.last_activity_at, c.labels).where(c.id == id).with_for_update()).first()


def _insert_labels(conn: Connection, record: WorkspaceRecord) -> None:
    if record.labels:
        rows = [{"workspace_id": record.id, "key": key, "value": value} for key, value in record.labels.items()]
        conn.execute(insert(workspace_label), rows)


def _allocations(conn: Connection, besides: str = "") -> Sequence[Allocation]:
    c = workspace.c
    found: dict[str, Allocation] = {}
    held = conn.execute(select(c.owner, c.limits).where(RUNNING, c.id != besides))
    for (owner, text), count in sorted(Counter((owner, text) for owner, text in held).items()):
        limits, so_far = limits_of(text), found.get(owner, Allocation(owner, 0, 0.0, 0))
        found[owner] = Allocation(
            owner,
            so_far.workspaces + count,
            so_far.cpus + count * limits.cpus,
            so_far.memory_bytes + count * limits.memory_bytes,
        )
    return list(found.values())


def _unknown(id: str) -> UnknownWorkspace:
    return UnknownWorkspace("workspace", f"there is none with the id {id!r}", "`syla workspace list` shows them")


def _conflict(id: str, read: int, stored: int) -> Conflict:
    return Conflict(f"workspace {id} was changed since it was read (version {read}, now {stored})", "Read it again")
