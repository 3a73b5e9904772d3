"""Who has come to which workspace by its link."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def string(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "workspace_visit",
        sa.Column("workspace_id", string(32), nullable=False),
        sa.Column("user_name", string(255), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_visit_workspace", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("workspace_id", "user_name", name="pk_workspace_visit"),
    )
    op.create_index("ix_workspace_visit_user", "workspace_visit", ["user_name", "at"])
