"""A `Query` as statements. Only builds them; `sql.py` runs them.

A page is a walk along the index of its order (see `tables.py`), which ends when the page is full. Where few rows meet
one of the conditions the walk would be long: then those few are fetched and sorted instead. PostgreSQL knows from its
statistics which is the shorter way. SQLite does not, so the rows of each condition are counted, to `RARE` and no
further, and the form of the statement says with which one to begin: a column behind a `+` (which changes nothing) is
compared in passing, not looked up, and so is a label in a subquery, while one that is joined comes first.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Boolean, Column, ColumnElement, Select, and_, exists, func, literal_column, select, tuple_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import custom_op

from ..model.record import State
from .base import Query, name_key
from .encoding import COLUMNS
from .paging import Cursor
from .tables import SORT_COLUMNS, workspace, workspace_label

RARE = 4000
"""So many are fetched and sorted in the time that a walk along 100 000 rows takes (measured)."""
RECORD = [workspace.c[name] for name in COLUMNS]

Clause: TypeAlias = ColumnElement[bool]
Statement: TypeAlias = "Select[*tuple[Any, ...]]"


@dataclass(frozen=True, eq=False)
class Condition:
    passing: Clause
    """As a check of each row that is passed."""
    beginning: Clause | None = None
    """As the way to find rows; None: there is no index for it."""
    rows: Statement | None = None
    """One row for each that meets it: to count them."""
    column: Column[Any] | None = None
    """None: a label, or one that rows are never looked up by."""

    @property
    def is_label(self) -> bool:
        return self.rows is not None and self.column is None


def conditions(query: Query) -> list[Condition]:
    """All of the query but where the page begins; what lets few rows pass first, what is dear last."""
    c = workspace.c
    found: list[Condition] = []
    if query.name_part:
        found.append(Condition(_Contains(c.name_key, name_key(query.name_part))))
    if query.idle_for_seconds is not None:
        found.append(_sought(c.last_activity_at, operator.le, query.now - query.idle_for_seconds))
    if query.older_than_seconds is not None:
        found.append(_sought(c.created_at, operator.le, query.now - query.older_than_seconds))
    if query.owner is not None:
        found.append(_sought(c.owner, operator.eq, query.owner))
    if query.states:
        found.append(_sought(c.state, _is_one_of, [str(state) for state in query.states]))
    else:
        found.append(Condition(c.state != str(State.DELETED)))
    if query.types:
        found.append(Condition(c.type.in_([str(type_) for type_ in query.types])))
    return found + [_labelled(key, value) for key, value in query.labels.items()]


def counts(found: Sequence[Condition]) -> Statement | None:
    """One row: how many meet each condition that can be begun with, counted to one more than `RARE`.

    None where it does not matter: there is no other than the owner.
    """
    if all(c.beginning is None or c.column is workspace.c.owner for c in found):
        return None
    return select(*(_number(c.rows, RARE + 1).scalar_subquery() for c in found if c.rows is not None))


def rarest(found: Sequence[Condition], counted: Sequence[int]) -> Condition | None:
    """The condition that fewest rows meet, if they are few; `counted`: what `counts` gave."""
    sought = [c for c in found if c.rows is not None]
    number, condition = min(zip(counted, sought, strict=True), key=lambda pair: pair[0])
    return condition if number <= RARE else None


def page(
    query: Query, found: Sequence[Condition], rare: Condition | None, cursor: Cursor | None, *, planned: bool
) -> Statement:
    """One row more than the page has, to know whether another follows; the sort value is the last column.

    Which rows is found out in the index alone; then these are read.

    `planned`: by the database, which then may begin with whatever it likes.
    """
    column = SORT_COLUMNS[query.sort]
    walked = [c for c in found if c.column is not None and c.column in (workspace.c.owner, column)]
    order: list[Any] = [column, workspace.c.id]
    rows: Statement = select(workspace.c.id, column.label("sort_value")).limit(query.limit + 1)
    rows = _chosen(rows, found, None if planned else [rare] if rare else walked)
    if rare is not None and rare.column is not workspace.c.owner:
        order = [_in_passing(c) for c in order]  # sorted, not walked
    if cursor is not None:
        here, last = tuple_(*order), tuple_(cursor.value, cursor.id)
        rows = rows.where(here < last if query.descending else here > last)
    on_page = rows.order_by(*_directed(query, order)).subquery()
    statement = select(*RECORD, on_page.c.sort_value).join_from(on_page, workspace, workspace.c.id == on_page.c.id)
    return statement.order_by(*_directed(query, [on_page.c.sort_value, on_page.c.id]))


def count(found: Sequence[Condition], rare: Condition | None, most: int, *, planned: bool) -> Statement:
    """How many meet all conditions, counted to `most`. In any order, so that a label is always a way to begin."""
    labels = [c for c in found if c.is_label]
    owner = [c for c in found if c.column is workspace.c.owner]
    rows: Statement = select(literal_column("1")).select_from(workspace)
    return _number(_chosen(rows, found, None if planned else [rare] if rare else labels[:1] or owner), most)


def _directed(query: Query, order: list[Any]) -> list[Any]:
    return [c.desc() for c in order] if query.descending else order


def _number(rows: Statement, most: int) -> Statement:
    return select(func.count()).select_from(rows.limit(most).subquery())


def _chosen(rows: Statement, found: Sequence[Condition], begin: Sequence[Condition] | None) -> Statement:
    """Those of `rows` that meet all conditions, beginning with those; None: as the database likes."""
    for c in found:
        if begin is None:
            rows = rows.where(c.passing if c.is_label or c.beginning is None else c.beginning)
        elif c not in begin or c.beginning is None:
            rows = rows.where(c.passing)
        else:
            rows = (rows.join(workspace_label) if c.is_label else rows).where(c.beginning)
    return rows


def _sought(column: Column[Any], test: Callable[[Any, Any], Clause], value: Any) -> Condition:
    clause = test(column, value)
    return Condition(test(_in_passing(column), value), clause, select(literal_column("1")).where(clause), column)


def _is_one_of(column: ColumnElement[Any], values: Sequence[str]) -> Clause:
    return column.in_(values)


def _in_passing(column: Column[Any]) -> ColumnElement[Any]:
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


def _labelled(key: str, value: str) -> Condition:
    def has(label: Any) -> Clause:
        return and_(label.c.key == key, label.c.value == value) if value else label.c.key == key

    other = workspace_label.alias()  # in passing, while one may be joined
    return Condition(
        passing=exists().where(other.c.workspace_id == workspace.c.id, has(other)),
        beginning=has(workspace_label),
        rows=select(literal_column("1")).where(has(workspace_label)),
    )


class _Contains(FunctionElement[bool]):
    """Text in a text. LIKE takes three times as long: it looks at case."""

    inherit_cache = True
    type = Boolean()


@compiles(_Contains, "sqlite")
def _contains_in_sqlite(element: _Contains, compiler: Any, **how: Any) -> str:
    return f"instr({compiler.process(element.clauses, **how)}) > 0"


@compiles(_Contains, "postgresql")
def _contains_in_postgres(element: _Contains, compiler: Any, **how: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **how)}) > 0"
