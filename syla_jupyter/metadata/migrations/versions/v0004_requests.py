"""Who asks for a role on a workspace."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def string(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def foreign(column: str, to: str, name: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [to], name=name, ondelete="CASCADE")


def upgrade() -> None:
    op.create_table(
        "access_request",
        sa.Column("workspace_id", string(32), nullable=False),
        sa.Column("user_name", string(255), nullable=False),
        sa.Column("role", string(32), nullable=False),
        sa.Column("called", string(255), nullable=False),
        sa.Column("asked_at", sa.Double, nullable=False),
        sa.Column("refused_at", sa.Double),
        foreign("workspace_id", "workspace.id", "fk_request_workspace"),
        foreign("user_name", "user_account.name", "fk_request_user"),
        sa.PrimaryKeyConstraint("workspace_id", "user_name", name="pk_access_request"),
    )
    op.create_index("ix_access_request_user", "access_request", ["user_name"])
