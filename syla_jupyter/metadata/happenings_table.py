"""The table of what has happened, in the same database as the workspaces (`tables.py`), with the same rules.

A workspace's rows outlive it for a while, so nothing points at its record: that it was deleted has to be told, too.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, PrimaryKeyConstraint, Table, Text

from .tables import metadata, sized

happening = Table(
    "happening",
    metadata,
    Column("n", BigInteger, autoincrement=False),
    Column("workspace_id", sized(32), nullable=False),
    Column("owner", sized(255), nullable=False),
    Column("at", Double, nullable=False),
    Column("kind", sized(32), nullable=False),
    Column("action", sized(64), nullable=False),
    Column("actor", sized(255), nullable=False),
    Column("detail", Text, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("n", name="pk_happening"),
    Index("ix_happening_workspace", "workspace_id", "n"),
    Index("ix_happening_at", "at"),
)
