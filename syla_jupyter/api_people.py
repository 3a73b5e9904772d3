"""People from Python: who may use an installation's server, and what is shared with whom.

    with Syla() as syla:
        syla.people.add("ben")
        print(syla.people.issue_token("ben").secret)      # seen this once
        syla.get("my-project").share("ben", "write")

Whoever can open an installation has its database, so he is an admin of it: the audit log names him as who did it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from .access.audit_line import Origin
from .access.roles import role_named
from .access.service import TOKEN_SECONDS, Caller, Issued
from .access.sharing import INVITATION_SECONDS, Invited, Members
from .metadata.happenings_base import HappeningStore
from .model.errors import BadInput
from .model.happening import Happening, Kind
from .model.people import AccessMode, AccessRequest, Grant, Principal, SubjectKind, Team, Token, User
from .rest_client import Server
from .servers import Participant, participants

if TYPE_CHECKING:
    from .access.access import Access


def caller(access: Access) -> Caller:
    """Who runs this installation."""
    return Caller(Principal(access.owner, admin=True), Origin("", "python"))


def _kind(team: bool) -> SubjectKind:
    return SubjectKind.TEAM if team else SubjectKind.USER


class People:
    """Users, their tokens, teams. Errors: `NameTaken`, `UnknownUser`, `UnknownTeam`, `BadInput`."""

    def __init__(self, access: Access) -> None:
        self._people, self._caller = access.people, caller(access)

    def add(self, name: str, *, display_name: str = "", admin: bool = False) -> User:
        return self._people.add_user(self._caller, name, display_name=display_name, admin=admin)

    def list(self) -> Sequence[User]:
        """By name."""
        return self._people.users(self._caller)

    def change(self, name: str, *, admin: bool | None = None, disabled: bool | None = None) -> User:
        """What is not said stays. Who is disabled is out at once."""
        return self._people.change_user(self._caller, name, admin=admin, disabled=disabled)

    def issue_token(self, user: str, *, label: str = "", life_seconds: float | None = TOKEN_SECONDS) -> Issued:
        """To log in with; None: until it is revoked. `secret` is seen this once."""
        return self._people.issue_token(self._caller, user, label=label, life_seconds=life_seconds)

    def tokens(self, user: str) -> Sequence[Token]:
        return self._people.tokens(self._caller, user)

    def revoke_token(self, id: str) -> Token:
        return self._people.revoke_token(self._caller, id)

    def add_team(self, name: str) -> Team:
        return self._people.add_team(self._caller, name)

    def teams(self) -> Sequence[Team]:
        return self._people.teams(self._caller)

    def remove_team(self, name: str) -> None:
        self._people.remove_team(self._caller, name)

    def set_member(self, team: str, user: str, member: bool = True) -> bool:
        """Whether that was a change."""
        return self._people.set_member(self._caller, team, user, member)


class SharedWorkspace:
    """What a workspace has about people. Roles are named as such, or by a permission: `write` is `editor`."""

    @property
    def id(self) -> str:
        raise NotImplementedError

    @property
    def _access(self) -> Access:
        raise NotImplementedError

    @property
    def _servers(self) -> Sequence[Server]:
        """That run now; `NoServer`."""
        raise NotImplementedError

    def activity(
        self, *, kinds: Collection[Kind | str] = (), user: str | None = None, before: int = 0, limit: int = 50
    ) -> list[Happening]:
        """Who did what, newest first. `before`: the `n` of the last one of the page before. `user` empty: what
        happened by itself."""
        try:
            wanted = [Kind(kind) for kind in kinds]
        except ValueError as exc:
            raise BadInput("kinds", str(exc), f"One of {', '.join(Kind)}") from exc
        return list(self._happenings.page(self.id, before=before, kinds=wanted, actor=user, limit=limit))

    @property
    def _happenings(self) -> HappeningStore:
        raise NotImplementedError

    def participants(self) -> list[Participant]:
        """Who has its documents open now, as a running server knows it. `NoServer` where none runs."""
        return participants(self._servers, self.id)

    def share(self, who: str, role: str = "viewer", *, team: bool = False) -> Grant:
        """In place of what the user, or team, has had. `UnknownUser`, `UnknownTeam`, `BadInput`."""
        access = self._access
        return access.sharing.share(caller(access), self.id, _kind(team), who, role_named(role))

    def unshare(self, who: str, *, team: bool = False) -> bool:
        """False: there was nothing to take. It counts at once."""
        return self._access.sharing.unshare(caller(self._access), self.id, _kind(team), who)

    def members(self) -> Members:
        return self._access.sharing.members(caller(self._access), self.id)

    def requests(self) -> Sequence[AccessRequest]:
        """Who asks for a role here, oldest first; `share` grants it."""
        found = self._access.asking.waiting(caller(self._access))
        return [one for one in found if one.workspace == self.id]

    def refuse(self, who: str) -> bool:
        """False: he asks for nothing. Else he asks in vain for a week."""
        return self._access.asking.refuse(caller(self._access), self.id, who)

    def set_access(self, mode: AccessMode | str) -> None:
        """`private`: its owner's alone, grants rest; `members`; `link`: every user may look."""
        if mode not in list(AccessMode):
            raise BadInput("mode", f"{mode!r} is unknown", f"One of {', '.join(AccessMode)}")
        self._access.sharing.set_mode(caller(self._access), self.id, AccessMode(mode))

    def invite(self, role: str = "viewer", *, uses: int = 1, life_seconds: float = INVITATION_SECONDS) -> Invited:
        """Whoever has its `secret`, which is seen this once, becomes a member."""
        access = self._access
        return access.sharing.invite(caller(access), self.id, role_named(role), uses=uses, life_seconds=life_seconds)
