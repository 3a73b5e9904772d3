"""Roles as sets of permissions, and who may give which. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ..model.errors import BadInput
from ..model.people import Permission, Role, check_given_role

_P = Permission
ROLES: Mapping[Role, frozenset[Permission]] = {
    Role.OWNER: frozenset(Permission),
    Role.ADMIN: frozenset(Permission) - {_P.DELETE},
    Role.EDITOR: frozenset({_P.READ, _P.WRITE, _P.EXECUTE}),
    Role.RUNNER: frozenset({_P.READ, _P.EXECUTE}),
    Role.VIEWER: frozenset({_P.READ}),
}
GIVEN = tuple(role for role in ROLES if role is not Role.OWNER)
_OF_PERMISSION = {_P.READ: Role.VIEWER, _P.EXECUTE: Role.RUNNER, _P.WRITE: Role.EDITOR, _P.ADMIN: Role.ADMIN}


def role_named(text: str) -> Role:
    """A role that can be given, by its name or by the permission it stands for: `write` is `editor`. `BadInput`."""
    for role in GIVEN:
        if text == role:
            return role
    for permission, stands_for in _OF_PERMISSION.items():
        if text == permission:
            return stands_for
    if text == Role.OWNER:
        check_given_role(Role.OWNER)
    raise BadInput("role", f"{text[:40]!r} is unknown", f"Use {', '.join(GIVEN)}, or read, execute, write")


def may_give(giver: frozenset[Permission], role: Role) -> bool:
    """Nobody gives, or takes, what is more than he has himself."""
    return role in GIVEN and _P.SHARE in giver and ROLES[role] <= giver
