"""Use cases of asking: somebody who has come to a workspace by its name asks for a role, its people answer.

Whoever asks hears the same, whether there is such a workspace, whether his request is kept, and whether he was refused
before: that there is one he learns from who answers him. So all that says no here is silent, but for asking too often.

A request is kept while it may come to something: not from who has that role already, not again while it waits, not for
`REFUSED_SECONDS` after a refusal, not more than so many of one person or for one workspace. One that nobody answers is
over after `WAITS_SECONDS`. To grant is to share (`sharing`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..metadata.people_base import PeopleStore
from ..model.clock import Clock
from ..model.errors import TooMany, UnknownUser, UnknownWorkspace
from ..model.happening import Happening
from ..model.people import AccessRequest, Permission, Role, check_given_role
from .attempts import FAILURES, Attempts
from .audit import Audit
from .audit_line import Action, Entry, Result
from .decide import permissions_of
from .guard import Guard
from .roles import ROLES
from .service import Caller

WAITS_SECONDS = 30 * 86400.0
REFUSED_SECONDS = 7 * 86400.0
OF_PERSON_MAX = 10
OF_WORKSPACE_MAX = 100


@dataclass(frozen=True)
class Asked:
    """A request was made, or refused."""

    request: AccessRequest
    actor: str
    """Who did."""


def why_not(request: AccessRequest, earlier: Sequence[AccessRequest], now: float) -> str:
    """Why it is not kept, for the log; empty: it is. Pure. `earlier`: all that there are."""
    waiting = [one for one in earlier if waits(one, now)]
    same = next((one for one in earlier if (one.workspace, one.user) == (request.workspace, request.user)), None)
    if same is not None and same.refused_at is not None and now - same.refused_at < REFUSED_SECONDS:
        return "was refused"
    if same is not None and same in waiting and same.role is request.role:
        return "waits already"
    others = [one for one in waiting if one is not same]
    if sum(one.user == request.user for one in others) >= OF_PERSON_MAX:
        return f"has {OF_PERSON_MAX} requests"
    if sum(one.workspace == request.workspace for one in others) >= OF_WORKSPACE_MAX:
        return f"the workspace has {OF_WORKSPACE_MAX} requests"
    return ""


def waits(request: AccessRequest, now: float) -> bool:
    """For an answer."""
    return request.refused_at is None and now - request.asked_at < WAITS_SECONDS


class Asking:
    """Workspaces are named by id.

    Parameters
    ----------
    word : the line that is written down with what is kept, in its transaction.
    news : called when something was; raises nothing.
    """

    def __init__(
        self,
        *,
        people: PeopleStore,
        guard: Guard,
        audit: Audit,
        clock: Clock,
        word: Callable[[Asked], Happening | None] = lambda asked: None,
        news: Callable[[], None] = lambda: None,
    ) -> None:
        self._people, self._guard, self._audit, self._clock = people, guard, audit, clock
        self._word, self._news = word, news
        self._attempts = Attempts(clock)

    def ask(self, caller: Caller, workspace: str | None, role: Role, called: str) -> None:
        """`workspace` None: there is none of that name. `TooMany`; nothing else tells one case from another."""
        check_given_role(role)
        name = caller.principal.name
        if seconds := self._attempts.wait_seconds(name):
            raise TooMany(f"{FAILURES} requests a minute are enough", f"Ask again in {seconds:.0f} s")
        self._attempts.failed(name)
        request = AccessRequest(workspace or "", name, role, called[:200], self._clock.now())
        why = self._why_not(caller, request)
        if not why:
            try:
                self._people.put_request(request, tell=lambda _: self._word(Asked(request, name)))
            except (UnknownUser, UnknownWorkspace) as exc:  # who has no account has no grants; gone meanwhile
                why = exc.message
        result: Result = "refused" if why else "done"
        reason = why or f"asks for {role}"
        self._audit.write(Entry(name, Action.ASK, workspace or request.called, result, reason, caller.origin))
        if not why:
            self._news()

    def _why_not(self, caller: Caller, request: AccessRequest) -> str:
        """Why it is not kept; empty: it is."""
        earlier = self._people.requests()
        try:
            access = self._guard.access(request.workspace)
        except UnknownWorkspace:
            return "there is no such workspace"
        held, _ = permissions_of(caller.principal, access)
        if held >= ROLES[request.role]:
            return "has that role"
        return why_not(request, earlier, self._clock.now())

    def waiting(self, caller: Caller) -> Sequence[AccessRequest]:
        """For an answer of the caller's, oldest first."""
        now = self._clock.now()
        return [one for one in self._people.requests() if waits(one, now) and self._may_answer(caller, one.workspace)]

    def _may_answer(self, caller: Caller, workspace: str) -> bool:
        return self._guard.decide(caller.principal, Permission.SHARE, workspace).allowed

    def refuse(self, caller: Caller, workspace: str, user: str) -> bool:
        """It is remembered for a while. False: nothing of his waits."""
        self._guard.require(caller.principal, Permission.SHARE, workspace, caller.origin)
        now = self._clock.now()
        mine = [one for one in self._people.requests() if (one.workspace, one.user) == (workspace, user)]
        if not mine or not waits(mine[0], now):
            return False
        asked = Asked(dataclasses.replace(mine[0], refused_at=now), caller.principal.name)
        self._people.put_request(asked.request, tell=lambda _: self._word(asked))
        reason = f"user {user}"
        self._audit.write(Entry(asked.actor, Action.TURN_AWAY, workspace, reason=reason, origin=caller.origin))
        self._news()
        return True
