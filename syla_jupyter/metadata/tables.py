"""The tables, once for SQLite and PostgreSQL; what a database on disk becomes is told in `migrations/`.

A change here comes with a migration and another `REVISION`; a test compares what both make, index by index.

**A page is one walk along one index.** For each order a list can have there is an index that begins with it, with and
without the owner before, and that carries every column a list looks at: only the rows of the page itself are read.
Labels are JSON in the row, and once more in a table that is an index of them: a filter by a rare label begins there.

Text is ordered by code point everywhere (PostgreSQL: collation "C"), so that both databases page alike.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    or_,
)
from sqlalchemy.types import TypeEngine

REVISION = "0005"
"""Of the last migration: the one this version of the package works with."""
REVISION_TABLE = "syla_revision"

metadata = MetaData()


def sized(length: int) -> TypeEngine[str]:
    return String(length).with_variant(String(length, collation="C"), "postgresql")


workspace = Table(
    "workspace",
    metadata,
    Column("id", sized(32)),
    Column("owner", sized(255), nullable=False),
    Column("name", sized(255), nullable=False),
    Column("name_key", sized(1024), nullable=False),
    Column("type", sized(32), nullable=False),
    Column("state", sized(32), nullable=False),
    Column("template", sized(255), nullable=False),
    Column("limits", Text, nullable=False),
    Column("network", sized(32), nullable=False),
    Column("policy", Text, nullable=False),
    Column("files", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("state_since", Double, nullable=False),
    Column("last_activity_at", Double, nullable=False),
    Column("masked", Text, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("shared", Boolean, nullable=False),
    Column("labels", Text, nullable=False),
    Column("execution", sized(64), nullable=False),
    Column("extended_until", Double, nullable=False),
    Column("warned_at", Double, nullable=False),
    Column("reason", Text, nullable=False),
    Column("disk_bytes", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="pk_workspace"),
    UniqueConstraint("owner", "name_key", name="uq_workspace_name"),
)

HAS_EXECUTION = workspace.c.execution > ""
RUNNING = or_(workspace.c.state == "active", HAS_EXECUTION)
"""Holds what it was given: running, or frozen."""
Index("ix_workspace_execution", workspace.c.execution)

SORT_COLUMNS = {
    "name": workspace.c.name_key,
    "created": workspace.c.created_at,
    "activity": workspace.c.last_activity_at,
    "size": workspace.c.disk_bytes,
}
LISTED = ("id", "name_key", "state", "type", "owner", "last_activity_at", "created_at", "disk_bytes")
"""All that a list is filtered or ordered by."""


def _index(name: str, *first: str) -> None:
    columns = (*first, *(column for column in LISTED if column not in first))
    Index(f"ix_workspace_{name}", *(workspace.c[column] for column in columns))


_index("state", "state")
for _order, _column in SORT_COLUMNS.items():
    _index(_order, _column.name)
    _index(f"owner_{_order}", "owner", _column.name)

workspace_label = Table(
    "workspace_label",
    metadata,
    Column("workspace_id", sized(32), ForeignKey("workspace.id", name="fk_label_workspace", ondelete="CASCADE")),
    Column("key", sized(255)),
    Column("value", sized(255), nullable=False),
    PrimaryKeyConstraint("workspace_id", "key", name="pk_workspace_label"),
    Index("ix_workspace_label_value", "key", "value", "workspace_id"),
    sqlite_with_rowid=False,
)

workspace_look = Table(
    "workspace_look",
    metadata,
    Column("workspace_id", sized(32), ForeignKey("workspace.id", name="fk_look_workspace", ondelete="CASCADE")),
    Column("version", BigInteger, nullable=False),
    Column("next_look", Double),
    PrimaryKeyConstraint("workspace_id", name="pk_workspace_look"),
    Index("ix_workspace_look_next", "next_look", "workspace_id"),
    sqlite_with_rowid=False,
)
"""When a policy can act on that version of a record. Apart from it, because it is narrow and written far more often."""

active_workspace = Table(
    "active_workspace",
    metadata,
    Column("owner", sized(255)),
    Column("session", sized(255)),
    Column(
        "workspace_id",
        sized(32),
        ForeignKey("workspace.id", name="fk_active_workspace", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("set_at", Double, nullable=False),
    PrimaryKeyConstraint("owner", "session", name="pk_active_workspace"),
    Index("ix_active_workspace_id", "workspace_id"),
    sqlite_with_rowid=False,
)
