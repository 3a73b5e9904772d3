"""Who somebody is, and what a workspace says about him. Times are seconds since the epoch.

Whoever asks is a `Principal`; what a workspace grants is its `Access`. Names of users and teams are lower case and
never given to somebody else's aliases: two names are one only when they are equal.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .errors import BadInput

_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")


class Permission(enum.StrEnum):
    READ = "read"
    WRITE = "write"
    EXECUTE = "execute"
    SHARE = "share"
    DELETE = "delete"
    ADMIN = "admin"


class Role(enum.StrEnum):
    OWNER = "owner"
    """Of the record; never granted, only transferred."""
    ADMIN = "admin"
    EDITOR = "editor"
    RUNNER = "runner"
    VIEWER = "viewer"


class AccessMode(enum.StrEnum):
    PRIVATE = "private"
    """Its owner's alone; grants are kept, and rest."""
    MEMBERS = "members"
    LINK = "link"
    """And every other user of this server who has its address is a viewer."""


class SubjectKind(enum.StrEnum):
    USER = "user"
    TEAM = "team"


@dataclass(frozen=True)
class User:
    name: str
    display_name: str
    created_at: float
    admin: bool = False
    """Of the server: every workspace, and what belongs to the host."""
    disabled: bool = False
    """Nothing of his is accepted, and nothing of his is lost."""


@dataclass(frozen=True)
class Token:
    """What is remembered of a token; the token itself is seen once, by whom it was made for."""

    id: str
    """8 hexadecimal digits, no secret: names it in lists."""
    user: str
    label: str
    created_at: float
    expires_at: float | None
    """None: never."""

    def in_force(self, now: float) -> bool:
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True)
class Team:
    name: str
    created_at: float
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grant:
    workspace: str
    """Its id."""
    kind: SubjectKind
    subject: str
    role: Role
    granted_by: str
    granted_at: float

    def __post_init__(self) -> None:
        check_given_role(self.role)


@dataclass(frozen=True)
class Invitation:
    """Whoever has its secret becomes a member, so many times and so long."""

    id: str
    """8 hexadecimal digits, no secret."""
    workspace: str
    role: Role
    created_by: str
    created_at: float
    expires_at: float
    uses_left: int

    def __post_init__(self) -> None:
        check_given_role(self.role)

    def in_force(self, now: float) -> bool:
        return self.uses_left > 0 and now < self.expires_at


@dataclass(frozen=True)
class AccessRequest:
    """Somebody asks for a role that he has not; what was refused is remembered, so that it is not asked again soon."""

    workspace: str
    user: str
    role: Role
    called: str
    """By what he named the workspace, which is all that he has to know of it."""
    asked_at: float
    refused_at: float | None = None
    """None: it waits for an answer."""

    def __post_init__(self) -> None:
        check_given_role(self.role)


@dataclass(frozen=True)
class Access:
    """Of one workspace, all that a decision needs."""

    workspace: str
    owner: str
    mode: AccessMode = AccessMode.PRIVATE
    users: Mapping[str, Role] = field(default_factory=dict)
    teams: Mapping[str, Role] = field(default_factory=dict)


@dataclass(frozen=True)
class Principal:
    """Somebody whose name has been proved."""

    name: str
    teams: frozenset[str] = frozenset()
    admin: bool = False


def check_name(field: str, name: str) -> str:
    """Given back when a user or team can have it; `BadInput`."""
    if not _NAME.fullmatch(name):
        raise BadInput(
            field,
            f"{name[:80]!r} cannot be a name",
            "Use lower-case letters, digits and . _ @ + -, a letter or digit first, 64 at most",
        )
    return name


def check_given_role(role: Role) -> Role:
    if role is Role.OWNER:
        raise BadInput("role", "a workspace has one owner", "Transfer it, or give admin, editor, runner or viewer")
    return role
