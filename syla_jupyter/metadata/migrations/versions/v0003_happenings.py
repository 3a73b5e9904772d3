"""What has happened to workspaces."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def string(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "happening",
        sa.Column("n", sa.BigInteger, autoincrement=False),
        sa.Column("workspace_id", string(32), nullable=False),
        sa.Column("owner", string(255), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", string(32), nullable=False),
        sa.Column("action", string(64), nullable=False),
        sa.Column("actor", string(255), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("n", name="pk_happening"),
    )
    op.create_index("ix_happening_workspace", "happening", ["workspace_id", "n"])
    op.create_index("ix_happening_at", "happening", ["at"])
