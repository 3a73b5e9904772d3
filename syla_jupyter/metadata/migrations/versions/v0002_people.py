"""Users, their tokens, teams, and what workspaces grant to whom."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def string(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def points_at(column: str, length: int = 255) -> sa.Column[str]:
    return sa.Column(column, string(length), nullable=False)


def foreign(column: str, to: str, name: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [to], name=name, ondelete="CASCADE")


def upgrade() -> None:
    make_version()
    make_users()
    make_teams()
    make_grants("workspace_user", "user_grant_user", "user_account.name")
    make_grants("workspace_team", "team_grant_team", "team.name")
    make_access()
    make_invitations()


def make_version() -> None:
    op.create_table(
        "people_version",
        sa.Column("id", sa.Integer, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_people_version"),
    )
    op.execute("INSERT INTO people_version (id, version) VALUES (1, 1)")


def make_users() -> None:
    op.create_table(
        "user_account",
        sa.Column("name", string(255)),
        sa.Column("display_name", string(255), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("admin", sa.Boolean, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_user_account"),
    )
    op.create_table(
        "user_token",
        sa.Column("id", string(32)),
        points_at("user_name"),
        sa.Column("digest", string(64), nullable=False),
        sa.Column("label", string(255), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_user_token"),
        sa.UniqueConstraint("digest", name="uq_token_digest"),
        foreign("user_name", "user_account.name", "fk_token_user"),
    )
    op.create_index("ix_token_user", "user_token", ["user_name"])


def make_teams() -> None:
    op.create_table(
        "team",
        sa.Column("name", string(255)),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_team"),
    )
    op.create_table(
        "team_member",
        points_at("team_name"),
        points_at("user_name"),
        foreign("team_name", "team.name", "fk_member_team"),
        foreign("user_name", "user_account.name", "fk_member_user"),
        sa.PrimaryKeyConstraint("team_name", "user_name", name="pk_team_member"),
    )
    op.create_index("ix_team_member_user", "team_member", ["user_name"])


def make_grants(table: str, constraint: str, subject: str) -> None:
    op.create_table(
        table,
        points_at("workspace_id", 32),
        points_at("subject"),
        sa.Column("role", string(32), nullable=False),
        sa.Column("granted_by", string(255), nullable=False),
        sa.Column("granted_at", sa.Double, nullable=False),
        foreign("workspace_id", "workspace.id", f"fk_{constraint.rpartition('_')[0]}_workspace"),
        foreign("subject", subject, f"fk_{constraint}"),
        sa.PrimaryKeyConstraint("workspace_id", "subject", name=f"pk_{table}"),
    )
    op.create_index(f"ix_{table}_subject", table, ["subject"])


def make_access() -> None:
    op.create_table(
        "workspace_access",
        points_at("workspace_id", 32),
        sa.Column("mode", string(32), nullable=False),
        foreign("workspace_id", "workspace.id", "fk_access_workspace"),
        sa.PrimaryKeyConstraint("workspace_id", name="pk_workspace_access"),
    )


def make_invitations() -> None:
    op.create_table(
        "invitation",
        sa.Column("id", string(32)),
        points_at("workspace_id", 32),
        sa.Column("digest", string(64), nullable=False),
        sa.Column("role", string(32), nullable=False),
        sa.Column("created_by", string(255), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("uses_left", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_invitation"),
        sa.UniqueConstraint("digest", name="uq_invitation_digest"),
        foreign("workspace_id", "workspace.id", "fk_invitation_workspace"),
    )
    op.create_index("ix_invitation_workspace", "invitation", ["workspace_id"])
