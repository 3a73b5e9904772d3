"""Use cases of sharing: who is a member of a workspace, with which role; invitations; leaving; another owner.

Nobody gives or takes what is more than he has: an editor shares nothing, and an admin of a workspace cannot make
somebody its owner. Everything here is decided by the guard, and written down.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..metadata.happenings_base import Tell
from ..metadata.people_base import PeopleStore
from ..model.clock import Clock
from ..model.errors import BadInput, Forbidden, UnknownWorkspace
from ..model.happening import Happening
from ..model.people import Access, AccessMode, Grant, Invitation, Permission, Role, SubjectKind, check_given_role
from . import secret
from .audit import Audit
from .audit_line import Action, Entry
from .decide import permissions_of, role_of
from .guard import Guard
from .roles import may_give
from .service import Caller

INVITATION_SECONDS = 7 * 86400.0
INVITATION_SECONDS_MAX = 366 * 86400.0
USES_MAX = 1000
INVITATIONS_MAX = 100
"""Of one workspace."""
GRANTS_MAX = 1000


@dataclass(frozen=True)
class Invited:
    invitation: Invitation
    secret: str = dataclasses.field(repr=False)
    """Seen here and never again."""


@dataclass(frozen=True)
class Members:
    access: Access
    grants: Sequence[Grant]


@dataclass(frozen=True)
class PeopleChange:
    """What has happened to who may use a workspace."""

    workspace: str
    action: Action
    actor: str
    subject: str = ""
    """The user or team that it is about; empty: all."""
    role: Role | None = None
    """What the subject has now."""


class Sharing:
    """Workspaces are named by id.

    Parameters
    ----------
    word : the line that is written down with a change, in its transaction.
    news : called when something was changed here, in this process; raises nothing.
    """

    def __init__(
        self,
        *,
        people: PeopleStore,
        guard: Guard,
        audit: Audit,
        clock: Clock,
        word: Callable[[PeopleChange], Happening | None] = lambda change: None,
        news: Callable[[], None] = lambda: None,
    ) -> None:
        self._people, self._guard, self._audit, self._clock = people, guard, audit, clock
        self._word, self._news = word, news

    def members(self, caller: Caller, workspace: str) -> Members:
        self._require(caller, Permission.READ, workspace)
        return Members(self._people.access(workspace), self._people.grants(workspace))

    def shared_with(self, caller: Caller, after: str = "") -> Iterator[tuple[Access, Role]]:
        """Workspaces of others that the caller is a member of by a grant that does not rest, his own or a team's, or
        that he has come to by a link (`visits`), and his role there; in order of id, those after that one. One that is
        deleted meanwhile is left out."""
        plain = dataclasses.replace(caller.principal, admin=False)  # an admin may do all with all
        for id in self._people.shared_with(plain.name, plain.teams):
            with contextlib.suppress(UnknownWorkspace):
                access = self._guard.access(id)
                role = role_of(plain, access)
                if id > after and role is not None and access.owner != plain.name:
                    yield access, role

    def share(self, caller: Caller, workspace: str, kind: SubjectKind, subject: str, role: Role) -> Grant:
        """In place of what the subject has had. A private workspace is its members' from then on
        (so it is once somebody is invited).

        `Forbidden`, `UnknownUser`, `UnknownTeam`, `BadInput`.
        """
        check_given_role(role)
        access = self._require_giving(caller, workspace, role, self._held(workspace, kind, subject))
        if kind is SubjectKind.USER and subject == access.owner:
            raise BadInput("user", f"{subject} is its owner", "An owner has every permission already")
        if len(access.users) + len(access.teams) >= GRANTS_MAX:
            raise BadInput("user", f"the workspace has {GRANTS_MAX} members", "Share it with a team")
        grant = Grant(workspace, kind, subject, role, caller.principal.name, self._clock.now())
        self._people.grant(grant, tell=self._tell(caller, Action.SHARE, workspace, subject, role))
        self._note(caller, Action.SHARE, workspace, f"{kind} {subject} is {role}")
        self._open(caller, access)
        self._news()
        return grant

    def unshare(self, caller: Caller, workspace: str, kind: SubjectKind, subject: str) -> bool:
        """False: there was nothing to take."""
        self._require_giving(caller, workspace, None, self._held(workspace, kind, subject))
        tell = self._tell(caller, Action.UNSHARE, workspace, subject)
        taken = self._people.withdraw(workspace, kind, subject, tell=lambda taken: tell(taken) if taken else None)
        if taken:
            self._note(caller, Action.UNSHARE, workspace, f"{kind} {subject}")
            self._news()
        return taken

    def set_mode(self, caller: Caller, workspace: str, mode: AccessMode) -> None:
        self._require(caller, Permission.ADMIN, workspace)
        self._people.set_mode(workspace, mode, tell=self._tell(caller, Action.MODE, workspace))
        self._note(caller, Action.MODE, workspace, str(mode))
        self._news()

    def leave(self, caller: Caller, workspace: str) -> bool:
        """False: there was no grant by name; one that a team has stays the team's."""
        name = caller.principal.name
        tell = self._tell(caller, Action.LEAVE, workspace, name)
        left = self._people.withdraw(workspace, SubjectKind.USER, name, tell=lambda left: tell(left) if left else None)
        if left:
            self._note(caller, Action.LEAVE, workspace)
            self._news()
        return left

    def transfer(self, caller: Caller, workspace: str, to: str) -> None:
        """By its owner, or an admin of the server; who had it stays as an admin of the workspace."""
        access = self._guard.access(workspace)
        if caller.principal.name != access.owner and not caller.principal.admin:
            self._require(caller, Permission.READ, workspace)  # unknown to who may not see it
            self._refuse(caller, workspace, "only its owner transfers it")
        tell = self._tell(caller, Action.TRANSFER, workspace, to, Role.OWNER)
        self._people.transfer(workspace, to, Role.ADMIN, self._clock.now(), tell=tell)
        self._note(caller, Action.TRANSFER, workspace, f"from {access.owner} to {to}")
        self._news()

    # -- invitations -------------------------------------------------------------------------------------------

    def invite(
        self, caller: Caller, workspace: str, role: Role, *, uses: int = 1, life_seconds: float = INVITATION_SECONDS
    ) -> Invited:
        check_given_role(role)
        access = self._require_giving(caller, workspace, role, None)
        if not 1 <= uses <= USES_MAX:
            raise BadInput("uses", f"{uses} is out of range", f"Give 1 to {USES_MAX}")
        if not 0 < life_seconds <= INVITATION_SECONDS_MAX:
            raise BadInput("expires", f"{life_seconds:g} seconds are out of range", "Give a year at most")
        if len(self._people.invitations(workspace)) >= INVITATIONS_MAX:
            raise BadInput("workspace", f"it has {INVITATIONS_MAX} invitations", "Revoke some first")
        now, text = self._clock.now(), secret.new_invitation()
        made = Invitation(secret.new_public_id(), workspace, role, caller.principal.name, now, now + life_seconds, uses)
        self._people.add_invitation(made, secret.digest(text))
        self._note(caller, Action.INVITE, workspace, f"invitation {made.id}: {role}, {uses} times")
        self._open(caller, access)
        return Invited(made, text)

    def invitations(self, caller: Caller, workspace: str) -> Sequence[Invitation]:
        self._require(caller, Permission.SHARE, workspace)
        return self._people.invitations(workspace)

    def uninvite(self, caller: Caller, workspace: str, id: str) -> bool:
        self._require(caller, Permission.SHARE, workspace)
        removed = self._people.remove_invitation(workspace, id)
        if removed:
            self._note(caller, Action.UNINVITE, workspace, f"invitation {id}")
        return removed

    def join(self, caller: Caller, text: str) -> Grant:
        """Become a member by the secret of an invitation. `UnknownInvitation`, whatever is wrong with it."""
        name = caller.principal.name

        def tell(grant: Grant) -> Happening | None:
            return self._word(PeopleChange(grant.workspace, Action.JOIN, name, name, grant.role))

        grant = self._people.accept(secret.digest(text), name, self._clock.now(), tell=tell)
        self._note(caller, Action.JOIN, grant.workspace, f"is {grant.role}")
        self._news()
        return grant

    def _open(self, caller: Caller, access: Access) -> None:
        """Who shares a private workspace means it. (Who joins one that was closed since waits until it is open.)"""
        if access.mode is AccessMode.PRIVATE:
            self._people.set_mode(access.workspace, AccessMode.MEMBERS)
            self._note(caller, Action.MODE, access.workspace, str(AccessMode.MEMBERS))

    # -- rules -------------------------------------------------------------------------------------------------

    def _require(self, caller: Caller, permission: Permission, workspace: str) -> None:
        self._guard.require(caller.principal, permission, workspace, caller.origin)

    def _require_giving(self, caller: Caller, workspace: str, role: Role | None, held: Role | None) -> Access:
        """Both what is given and what the subject has now have to be within what the caller has."""
        self._require(caller, Permission.SHARE, workspace)
        access = self._guard.access(workspace)
        mine, _ = permissions_of(caller.principal, access)
        for one in (role, held):
            if one is not None and not may_give(mine, one):
                self._refuse(caller, workspace, f"may not give or take {one}")
        return access

    def _held(self, workspace: str, kind: SubjectKind, subject: str) -> Role | None:
        access = self._guard.access(workspace)
        return (access.users if kind is SubjectKind.USER else access.teams).get(subject)

    def _refuse(self, caller: Caller, workspace: str, reason: str) -> None:
        self._guard.refuse(caller.principal.name, workspace, reason, caller.origin)
        raise Forbidden("not allowed", "Ask its owner for the permission")

    def _note(self, caller: Caller, action: Action, target: str, reason: str = "") -> None:
        self._audit.write(Entry(caller.principal.name, action, target, reason=reason, origin=caller.origin))

    def _tell(
        self, caller: Caller, action: Action, workspace: str, subject: str = "", role: Role | None = None
    ) -> Tell[Any]:
        change = PeopleChange(workspace, action, caller.principal.name, subject, role)
        return lambda _: self._word(change)
