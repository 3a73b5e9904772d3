"""Workspaces, an index of their labels, when to look at them, and which one each session of a user points at."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def string(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    make_workspace()
    make_workspace_indexes()
    make_workspace_label()
    make_workspace_look()
    make_active_workspace()


def make_workspace() -> None:
    op.create_table(
        "workspace",
        sa.Column("id", string(32)),
        sa.Column("owner", string(255), nullable=False),
        sa.Column("name", string(255), nullable=False),
        sa.Column("name_key", string(1024), nullable=False),
        sa.Column("type", string(32), nullable=False),
        sa.Column("state", string(32), nullable=False),
        sa.Column("template", string(255), nullable=False),
        sa.Column("limits", sa.Text, nullable=False),
        sa.Column("network", string(32), nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("files", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("state_since", sa.Double, nullable=False),
        sa.Column("last_activity_at", sa.Double, nullable=False),
        sa.Column("masked", sa.Text, nullable=False),
        sa.Column("is_default", sa.Boolean, nullable=False),
        sa.Column("shared", sa.Boolean, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("execution", string(64), nullable=False),
        sa.Column("extended_until", sa.Double, nullable=False),
        sa.Column("warned_at", sa.Double, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("disk_bytes", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workspace"),
        sa.UniqueConstraint("owner", "name_key", name="uq_workspace_name"),
    )


def make_workspace_indexes() -> None:
    op.create_index("ix_workspace_execution", "workspace", ["execution"])
    listed = ["id", "name_key", "state", "type", "owner", "last_activity_at", "created_at", "disk_bytes"]
    beginnings = {
        "state": ["state"],
        "name": ["name_key"],
        "created": ["created_at"],
        "activity": ["last_activity_at"],
        "size": ["disk_bytes"],
        "owner_name": ["owner", "name_key"],
        "owner_created": ["owner", "created_at"],
        "owner_activity": ["owner", "last_activity_at"],
        "owner_size": ["owner", "disk_bytes"],
    }
    for name, first in beginnings.items():
        columns = [*first, *(column for column in listed if column not in first)]
        op.create_index(f"ix_workspace_{name}", "workspace", columns)


def make_workspace_label() -> None:
    op.create_table(
        "workspace_label",
        sa.Column("workspace_id", string(32)),
        sa.Column("key", string(255)),
        sa.Column("value", string(255), nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_label_workspace", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("workspace_id", "key", name="pk_workspace_label"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_workspace_label_value", "workspace_label", ["key", "value", "workspace_id"])


def make_workspace_look() -> None:
    op.create_table(
        "workspace_look",
        sa.Column("workspace_id", string(32)),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("next_look", sa.Double),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_look_workspace", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("workspace_id", name="pk_workspace_look"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_workspace_look_next", "workspace_look", ["next_look", "workspace_id"])


def make_active_workspace() -> None:
    op.create_table(
        "active_workspace",
        sa.Column("owner", string(255)),
        sa.Column("session", string(255)),
        sa.Column("workspace_id", string(32), nullable=False),
        sa.Column("set_at", sa.Double, nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_active_workspace", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("owner", "session", name="pk_active_workspace"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_active_workspace_id", "active_workspace", ["workspace_id"])
