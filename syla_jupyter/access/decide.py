"""The decision. Pure: a principal, a permission, what the workspace says; and the reason, for the log.

    owner -> admin of the server -> private? no -> explicit grant -> grants of teams together -> link -> deny

The first that speaks decides. So an explicit grant also narrows what a team has; and a workspace that was made private
is closed to its members until it is opened again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..model.people import Access, AccessMode, Permission, Principal, Role
from .roles import ROLES

BY_LINK = "open by link"
NOBODY: frozenset[Permission] = frozenset()


@dataclass(frozen=True)
class Decision:
    allowed: bool
    reason: str
    """For the log; who is refused is not told."""
    by_link: bool = False
    """Allowed to every user, and to this one as no more than that."""


def decide(principal: Principal, permission: Permission, access: Access) -> Decision:
    held, why = permissions_of(principal, access)
    allowed = permission in held
    return Decision(allowed, f"{why}: {'has' if allowed else 'has no'} {permission}", allowed and why == BY_LINK)


def decide_host(principal: Principal) -> Decision:
    """What belongs to the server itself, and to no workspace."""
    if principal.admin:
        return Decision(True, "admin of the server")
    return Decision(False, "not an admin of the server")


def permissions_of(principal: Principal, access: Access) -> tuple[frozenset[Permission], str]:
    """(what he has, where from)."""
    if principal.name == access.owner:
        return ROLES[Role.OWNER], "owner"
    if principal.admin:
        return ROLES[Role.OWNER], "admin of the server"
    if access.mode is AccessMode.PRIVATE:
        return NOBODY, "private"
    explicit = access.users.get(principal.name)
    if explicit is not None:
        return ROLES[explicit], f"granted {explicit}"
    teams = sorted(principal.teams & access.teams.keys())
    if teams:
        held = NOBODY.union(*(ROLES[access.teams[team]] for team in teams))
        return held, f"teams {', '.join(f'{team} ({access.teams[team]})' for team in teams)}"
    if access.mode is AccessMode.LINK:
        return ROLES[Role.VIEWER], BY_LINK
    return NOBODY, "no grant"


def role_of(principal: Principal, access: Access) -> Role | None:
    """The name for what he has; of several teams the strongest. None: nothing."""
    held, _ = permissions_of(principal, access)
    return next((role for role, permissions in ROLES.items() if permissions <= held), None)


def comes_by_link(principal: Principal, access: Access) -> bool:
    """He may read as every user may, and has no more than that; what he may as an admin of the server aside."""
    _, why = permissions_of(replace(principal, admin=False), access)
    return why == BY_LINK
