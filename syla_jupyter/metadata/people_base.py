"""The port of people: users, tokens, teams, and what workspaces grant. In the database of the workspaces.

Threads, processes, forks, durability, waiting and errors are as `base.py` says. Each method is one transaction. One
that changes something moves `version` on in that same transaction: who reads a version, then reads and keeps what he
read, and finds the version unchanged later, has what holds now, whichever process wrote last.

`tell`: what is written down of it, in the same transaction.

Secrets never get here: tokens and invitations come as digests (`access/secret.py`). Every adapter passes
`syla_jupyter.testing.people_contract.PeopleContract`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..model.people import Access, AccessMode, AccessRequest, Grant, Invitation, Role, SubjectKind, Team, Token, User
from .happenings_base import Tell


class PeopleStore(Protocol):
    def version(self) -> int:
        """Of all that is here, and of who owns which workspace; grows. The cheapest of all methods: one row."""

    # -- users and tokens --------------------------------------------------------------------------------------

    def add_user(self, user: User) -> None:
        """`NameTaken`."""

    def user(self, name: str) -> User:
        """`UnknownUser`."""

    def users(self) -> Sequence[User]:
        """By name."""

    def change_user(self, user: User) -> None:
        """All but its name and when it was made. `UnknownUser`."""

    def add_token(self, token: Token, digest: str) -> None:
        """`UnknownUser`; `Conflict` where its id or its secret is another one's."""

    def token(self, digest: str) -> Token | None:
        """The one with that secret, in force or not."""

    def tokens(self, user: str | None = None) -> Sequence[Token]:
        """Of a user, or of all; oldest first."""

    def remove_token(self, id: str) -> Token | None:
        """None: there was none."""

    # -- teams -------------------------------------------------------------------------------------------------

    def add_team(self, team: Team) -> None:
        """Without members. `NameTaken`."""

    def teams(self) -> Sequence[Team]:
        """By name, with their members by name."""

    def remove_team(self, name: str) -> bool:
        """With its grants."""

    def set_member(self, team: str, user: str, member: bool) -> bool:
        """Whether that was a change. `UnknownTeam`, `UnknownUser`."""

    def teams_of(self, user: str) -> frozenset[str]: ...

    # -- what workspaces grant ---------------------------------------------------------------------------------

    def access(self, workspace: str) -> Access:
        """By id; `UnknownWorkspace`."""

    def grants(self, workspace: str) -> Sequence[Grant]:
        """Users first, by name."""

    def grant(self, grant: Grant, *, tell: Tell[None] | None = None) -> None:
        """In place of what the subject has had. `UnknownWorkspace`, `UnknownUser`, `UnknownTeam`."""

    def withdraw(self, workspace: str, kind: SubjectKind, subject: str, *, tell: Tell[bool] | None = None) -> bool:
        """False: there was nothing to take."""

    def set_mode(self, workspace: str, mode: AccessMode, *, tell: Tell[None] | None = None) -> None:
        """`UnknownWorkspace`."""

    def transfer(self, workspace: str, to: str, before: Role, now: float, *, tell: Tell[None] | None = None) -> None:
        """`to` is its owner, in the record's next version; the owner before is a member with that role, where he is a
        user. `UnknownWorkspace`, `UnknownUser`, `NameTaken` where `to` has a workspace of that name."""

    def shared_with(self, user: str, teams: frozenset[str]) -> Sequence[str]:
        """Ids of workspaces with a grant to the user or one of the teams that does not rest, and of those that are open
        by link and that the user has visited; in order of id."""

    # -- who has come by a link --------------------------------------------------------------------------------

    def add_visit(self, workspace: str, user: str, now: float, keep: int) -> bool:
        """Of his visits the newest `keep` stay. False: it was known already, and nothing is written. Of whoever that
        is, with an account or without; moves no version on. `UnknownWorkspace`."""

    def remove_visit(self, workspace: str, user: str) -> bool:
        """False: there was none. Moves no version on."""

    # -- who asks for a role -----------------------------------------------------------------------------------

    def put_request(self, request: AccessRequest, *, tell: Tell[None] | None = None) -> None:
        """In place of what the user has asked for there. `UnknownWorkspace`, `UnknownUser`."""

    def requests(self) -> Sequence[AccessRequest]:
        """Oldest first, refused ones as well. A grant to the user, however he came to it, removes his."""

    # -- invitations -------------------------------------------------------------------------------------------

    def add_invitation(self, invitation: Invitation, digest: str) -> None:
        """`UnknownWorkspace`; `Conflict` as `add_token`."""

    def invitations(self, workspace: str) -> Sequence[Invitation]:
        """Oldest first, those that are over as well."""

    def remove_invitation(self, workspace: str, id: str) -> bool: ...

    def accept(self, digest: str, user: str, now: float, *, tell: Tell[Grant] | None = None) -> Grant:
        """One use of it, and what the user has by it; of two who take the last use one is refused.

        Who has a role there keeps the role that he has, and no use is taken; so does its owner, whose grant says
        `admin`. `UnknownInvitation`: none, over, or used up. `UnknownUser`.
        """

    def close(self) -> None:
        """Let go of connections; opened again when needed."""
