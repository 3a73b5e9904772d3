"""The guard: decides, and refuses: vaguely to who asks, with the reason in the log.

It keeps what the store said, under the store's version, which it reads before each decision: a role that was changed by
any process counts at the next question. A decision costs that one look (tens of microseconds with SQLite, a round trip
with PostgreSQL) and a few dictionary lookups. A store that does not answer refuses.

May be called from any thread; blocks as the store does.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from ..metadata.people_base import PeopleStore
from ..model.clock import Clock
from ..model.errors import Forbidden, UnknownUser, UnknownWorkspace
from ..model.people import Access, Permission, Principal, User
from .audit import Audit
from .audit_line import NOWHERE, Action, Entry, Origin
from .decide import Decision, decide, decide_host

KEPT_MAX = 10_000
SAME_SECONDS = 60.0
"""The same refusal is written once in this time: who is refused again and again does not fill the log."""
HOST = "host"
"""The target of what belongs to the server and to no workspace."""


class Guard:
    def __init__(self, *, people: PeopleStore, audit: Audit, clock: Clock) -> None:
        self._people, self._audit, self._clock = people, audit, clock
        self._lock = threading.Lock()
        self._version = -1
        self._users: dict[str, tuple[User | None, frozenset[str]]] = {}
        self._access: dict[str, Access] = {}
        self._refused: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    def version(self) -> int:
        """Of all that a decision depends on; grows."""
        return self._people.version()

    def principal(self, name: str, *, admin: bool = False, groups: Iterable[str] = ()) -> Principal | None:
        """Who somebody of that name is now; None: disabled.

        Parameters
        ----------
        admin : whether he is one anyway, as who started the server is.
        groups : teams that another identity service vouches for, besides ours.
        """
        user, teams = self._user(name)
        if user is not None and user.disabled and not admin:
            return None
        return Principal(name, teams | frozenset(groups), admin or (user is not None and user.admin))

    def display_name(self, name: str) -> str:
        user, _ = self._user(name)
        return user.display_name if user is not None else name

    def _user(self, name: str) -> tuple[User | None, frozenset[str]]:
        self._refresh()
        found = self._users.get(name)
        if found is None:
            version = self._version
            try:
                found = (self._people.user(name), self._people.teams_of(name))
            except UnknownUser:
                found = (None, frozenset())
            with self._lock:
                if version == self._version and len(self._users) < KEPT_MAX:
                    self._users[name] = found
        return found

    def access(self, workspace: str) -> Access:
        """By id, as it is now; `UnknownWorkspace`."""
        self._refresh()
        found = self._access.get(workspace)
        if found is None:
            version = self._version
            found = self._people.access(workspace)
            with self._lock:
                if version == self._version and len(self._access) < KEPT_MAX:
                    self._access[workspace] = found
        return found

    def decide(self, principal: Principal, permission: Permission, workspace: str) -> Decision:
        """Without a word to anybody. A workspace that there is not is nobody's."""
        try:
            return decide(principal, permission, self.access(workspace))
        except UnknownWorkspace:
            return Decision(False, "there is no such workspace")

    def require(self, principal: Principal, permission: Permission, workspace: str, origin: Origin = NOWHERE) -> None:
        """`Forbidden`; `UnknownWorkspace` to who may not even know that it is there."""
        decision = self.decide(principal, permission, workspace)
        if decision.allowed:
            return
        self.refuse(principal.name, workspace, f"{permission}: {decision.reason}", origin)
        if self.decide(principal, Permission.READ, workspace).allowed:
            raise Forbidden("not allowed", "Ask its owner for the permission")
        raise UnknownWorkspace("workspace", f"there is no workspace {workspace!r}")

    def require_host(self, principal: Principal, what: str, origin: Origin = NOWHERE) -> None:
        """`Forbidden` to all but admins of the server."""
        decision = decide_host(principal)
        if not decision.allowed:
            self.refuse(principal.name, HOST, f"{what}: {decision.reason}", origin)
            raise Forbidden("not allowed", "Ask an admin of this server")

    def refuse(self, actor: str, target: str, reason: str, origin: Origin) -> None:
        """Write down a refusal, unless the same one was written a moment ago."""
        key, now = (actor, target, reason), self._clock.monotonic()
        with self._lock:
            last = self._refused.pop(key, None)
            self._refused[key] = now if last is None or now - last >= SAME_SECONDS else last
            if len(self._refused) > KEPT_MAX:
                self._refused.popitem(last=False)
        if last is None or now - last >= SAME_SECONDS:
            self._audit.write(Entry(actor, Action.ACCESS_REFUSED, target, "refused", reason, origin))

    def _refresh(self) -> None:
        version = self._people.version()
        if version != self._version:
            with self._lock:
                if version > self._version:
                    self._users, self._access = {}, {}
                    self._version = version
