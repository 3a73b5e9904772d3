"""Use cases of people: users, tokens, teams. For admins of the server, but for what is somebody's own.

What was done is in the audit log, by whom and to whom, never a secret.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from ..metadata.people_base import PeopleStore
from ..model.clock import Clock
from ..model.errors import BadInput, UnknownTeam
from ..model.people import Principal, Team, Token, User, check_name
from . import secret
from .audit import Audit
from .audit_line import NOWHERE, Action, Entry, Origin
from .guard import Guard

TOKEN_SECONDS = 90 * 86400.0
TOKEN_SECONDS_MAX = 10 * 366 * 86400.0
TOKENS_MAX = 100
"""Of one user."""


@dataclass(frozen=True)
class Issued:
    token: Token
    secret: str = dataclasses.field(repr=False)
    """Seen here and never again."""


@dataclass(frozen=True)
class Caller:
    """Who asks for it, and from where."""

    principal: Principal
    origin: Origin = NOWHERE


class People:
    def __init__(self, *, people: PeopleStore, guard: Guard, audit: Audit, clock: Clock) -> None:
        self._people, self._guard, self._audit, self._clock = people, guard, audit, clock

    # -- users -------------------------------------------------------------------------------------------------

    def add_user(self, caller: Caller, name: str, *, display_name: str = "", admin: bool = False) -> User:
        """`NameTaken`, `BadInput`, `Forbidden`."""
        self._host(caller, "users")
        user = User(check_name("user", name), display_name.strip() or name, self._clock.now(), admin)
        self._people.add_user(user)
        self._note(caller, Action.USER_ADD, name, "admin of the server" if admin else "")
        return user

    def users(self, caller: Caller) -> Sequence[User]:
        self._host(caller, "users")
        return self._people.users()

    def change_user(
        self, caller: Caller, name: str, *, admin: bool | None = None, disabled: bool | None = None
    ) -> User:
        """`UnknownUser`. Nobody disables himself, or stops being an admin himself: somebody has to be left."""
        self._host(caller, "users")
        user = self._people.user(name)
        if name == caller.principal.name and (disabled or admin is False):
            raise BadInput("user", "this is you", "Ask another admin")
        user = dataclasses.replace(
            user,
            admin=user.admin if admin is None else admin,
            disabled=user.disabled if disabled is None else disabled,
        )
        self._people.change_user(user)
        self._note(caller, Action.USER_CHANGE, name, f"admin: {user.admin}, disabled: {user.disabled}".lower())
        return user

    # -- tokens ------------------------------------------------------------------------------------------------

    def issue_token(
        self, caller: Caller, user: str, *, label: str = "", life_seconds: float | None = TOKEN_SECONDS
    ) -> Issued:
        """For oneself, or by an admin. `life_seconds` None: until it is revoked. `UnknownUser`, `Forbidden`."""
        self._own_or_host(caller, user, "tokens of others")
        if life_seconds is not None and not 0 < life_seconds <= TOKEN_SECONDS_MAX:
            raise BadInput("expires", f"{life_seconds:g} seconds are out of range", "Give ten years at most")
        if len(self._people.tokens(user)) >= TOKENS_MAX:
            raise BadInput("user", f"{user} has {TOKENS_MAX} tokens", "Revoke some with `syla user token revoke`")
        now, text = self._clock.now(), secret.new_token()
        expires_at = None if life_seconds is None else now + life_seconds
        token = Token(secret.new_public_id(), user, label[:100], now, expires_at)
        self._people.add_token(token, secret.digest(text))
        self._note(caller, Action.TOKEN_ISSUE, user, f"token {token.id}")
        return Issued(token, text)

    def tokens(self, caller: Caller, user: str) -> Sequence[Token]:
        self._own_or_host(caller, user, "tokens of others")
        return self._people.tokens(user)

    def revoke_token(self, caller: Caller, id: str) -> Token:
        """It and what was logged in with it. `BadInput` where there is none of that id that the caller may revoke."""
        found = next((token for token in self._people.tokens() if token.id == id), None)
        if found is None or (found.user != caller.principal.name and not caller.principal.admin):
            raise BadInput("token", f"there is no token {id[:40]!r}", "`syla user token list` names them")
        self._people.remove_token(id)
        self._note(caller, Action.TOKEN_REVOKE, found.user, f"token {id}")
        return found

    # -- teams -------------------------------------------------------------------------------------------------

    def add_team(self, caller: Caller, name: str) -> Team:
        self._host(caller, "teams")
        team = Team(check_name("team", name), self._clock.now())
        self._people.add_team(team)
        self._note(caller, Action.TEAM_ADD, name)
        return team

    def teams(self, caller: Caller) -> Sequence[Team]:
        """All to an admin; to anybody else those that he belongs to."""
        teams = self._people.teams()
        return [team for team in teams if caller.principal.admin or team.name in caller.principal.teams]

    def remove_team(self, caller: Caller, name: str) -> None:
        self._host(caller, "teams")
        if not self._people.remove_team(name):
            raise UnknownTeam("team", f"there is no team {name[:80]!r}", "`syla team list` names them")
        self._note(caller, Action.TEAM_REMOVE, name)

    def set_member(self, caller: Caller, team: str, user: str, member: bool) -> bool:
        """Whether that was a change. An admin's; anybody may leave. `UnknownTeam`, `UnknownUser`."""
        if member or user != caller.principal.name:
            self._host(caller, "teams")
        changed = self._people.set_member(team, user, member)
        if changed:
            self._note(caller, Action.TEAM_JOIN if member else Action.TEAM_LEAVE, team, f"user {user}")
        return changed

    # -- the log -----------------------------------------------------------------------------------------------

    def audit(self, caller: Caller) -> Audit:
        self._host(caller, "audit log")
        return self._audit

    def _host(self, caller: Caller, what: str) -> None:
        self._guard.require_host(caller.principal, what, caller.origin)

    def _own_or_host(self, caller: Caller, user: str, what: str) -> None:
        if user != caller.principal.name:
            self._host(caller, what)

    def _note(self, caller: Caller, action: Action, target: str, reason: str = "") -> None:
        self._audit.write(Entry(caller.principal.name, action, target, reason=reason, origin=caller.origin))
