"""The tables of people and grants, in the same database as the workspaces (`tables.py`), with the same rules.

Of tokens and invitations only a digest of the secret is here. `people_version` has one row: it counts the transactions
that changed any of these tables, or an owner, so that who keeps copies knows in one look whether they still hold.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)

from .tables import metadata, sized

DIGEST = 64  # characters: SHA-256 in hexadecimal


def _points_at(column: str, to: str, name: str, length: int = 255) -> Column[str]:
    return Column(column, sized(length), ForeignKey(to, name=name, ondelete="CASCADE"), nullable=False)


people_version = Table(
    "people_version",
    metadata,
    Column("id", Integer, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="pk_people_version"),
)

user_account = Table(
    "user_account",
    metadata,
    Column("name", sized(255)),
    Column("display_name", sized(255), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("admin", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False),
    PrimaryKeyConstraint("name", name="pk_user_account"),
)

user_token = Table(
    "user_token",
    metadata,
    Column("id", sized(32)),
    _points_at("user_name", "user_account.name", "fk_token_user"),
    Column("digest", sized(DIGEST), nullable=False),
    Column("label", sized(255), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    PrimaryKeyConstraint("id", name="pk_user_token"),
    UniqueConstraint("digest", name="uq_token_digest"),
    Index("ix_token_user", "user_name"),
)

team = Table(
    "team",
    metadata,
    Column("name", sized(255)),
    Column("created_at", Double, nullable=False),
    PrimaryKeyConstraint("name", name="pk_team"),
)

team_member = Table(
    "team_member",
    metadata,
    _points_at("team_name", "team.name", "fk_member_team"),
    _points_at("user_name", "user_account.name", "fk_member_user"),
    PrimaryKeyConstraint("team_name", "user_name", name="pk_team_member"),
    Index("ix_team_member_user", "user_name"),
)

workspace_access = Table(
    "workspace_access",
    metadata,
    _points_at("workspace_id", "workspace.id", "fk_access_workspace", 32),
    Column("mode", sized(32), nullable=False),
    PrimaryKeyConstraint("workspace_id", name="pk_workspace_access"),
)
"""Of workspaces whose mode was ever set; others are private."""

workspace_user = Table(
    "workspace_user",
    metadata,
    _points_at("workspace_id", "workspace.id", "fk_user_grant_workspace", 32),
    _points_at("subject", "user_account.name", "fk_user_grant_user"),
    Column("role", sized(32), nullable=False),
    Column("granted_by", sized(255), nullable=False),
    Column("granted_at", Double, nullable=False),
    PrimaryKeyConstraint("workspace_id", "subject", name="pk_workspace_user"),
    Index("ix_workspace_user_subject", "subject"),
)

workspace_team = Table(
    "workspace_team",
    metadata,
    _points_at("workspace_id", "workspace.id", "fk_team_grant_workspace", 32),
    _points_at("subject", "team.name", "fk_team_grant_team"),
    Column("role", sized(32), nullable=False),
    Column("granted_by", sized(255), nullable=False),
    Column("granted_at", Double, nullable=False),
    PrimaryKeyConstraint("workspace_id", "subject", name="pk_workspace_team"),
    Index("ix_workspace_team_subject", "subject"),
)

access_request = Table(
    "access_request",
    metadata,
    _points_at("workspace_id", "workspace.id", "fk_request_workspace", 32),
    _points_at("user_name", "user_account.name", "fk_request_user"),
    Column("role", sized(32), nullable=False),
    Column("called", sized(255), nullable=False),
    Column("asked_at", Double, nullable=False),
    Column("refused_at", Double),
    PrimaryKeyConstraint("workspace_id", "user_name", name="pk_access_request"),
    Index("ix_access_request_user", "user_name"),
)

workspace_visit = Table(
    "workspace_visit",
    metadata,
    _points_at("workspace_id", "workspace.id", "fk_visit_workspace", 32),
    Column("user_name", sized(255), nullable=False),
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("workspace_id", "user_name", name="pk_workspace_visit"),
    Index("ix_workspace_visit_user", "user_name", "at"),
)
"""By whoever was let in: he needs no account of ours."""

invitation = Table(
    "invitation",
    metadata,
    Column("id", sized(32)),
    _points_at("workspace_id", "workspace.id", "fk_invitation_workspace", 32),
    Column("digest", sized(DIGEST), nullable=False),
    Column("role", sized(32), nullable=False),
    Column("created_by", sized(255), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("uses_left", Integer, nullable=False),
    PrimaryKeyConstraint("id", name="pk_invitation"),
    UniqueConstraint("digest", name="uq_invitation_digest"),
    Index("ix_invitation_workspace", "workspace_id"),
)
