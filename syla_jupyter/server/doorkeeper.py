"""Every request passes here, before the handler that it is for has done anything: who asks, which gate, may he.

The server's handler classes are replaced, one request after the other, by subclasses that ask first: in `prepare`, so
also before websockets are opened, and before what a handler makes in its own `prepare`. What is refused has had no
effect. Admins pass everywhere; for anybody else a request that is not understood is refused. Refused is 403, whatever
the reason; the audit log has it.

A websocket is asked about for as long as it is open (`open_sockets`): it is closed, or its handler lets less through.

Jupyter's own questions (`@authorized`) come later, and are answered with what was decided here.
"""

from __future__ import annotations

import asyncio
import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import isawaitable
from types import MappingProxyType
from typing import Any

from jupyter_server.auth.authorizer import Authorizer
from jupyter_server.base.handlers import JupyterHandler
from tornado import web
from tornado.websocket import WebSocketHandler

from ..access.acting import acts
from ..access.audit_line import Origin
from ..access.guard import HOST, Guard
from ..model.errors import BadInput, SylaError
from ..model.people import Permission, Principal
from .auth import NamedUser, origin_of
from .errors import describe
from .gates import Ask, Gate, Gates, Level, Rule, Source, rule_of
from .naming import NOWHERE, Naming, Request, body_of, is_listed
from .open_sockets import OpenSockets

FindSession = Callable[[str], Any]
DENIED = "not allowed"
NOT_ALLOWED = 1008  # "policy violation", RFC 6455
CLOSE_SECONDS = 0.2


@dataclass(frozen=True)
class Asked:
    """A request, as it can be asked about again."""

    user: Any
    """As the identity provider gave it."""
    gate: Gate | None
    rule: Rule
    request: Request
    what: str
    """Method and path, for the log."""
    origin: Origin


@dataclass(frozen=True)
class Passed:
    """What was decided about a request that may go on."""

    gate: Gate | None
    principal: Principal | None
    """None: it needs no name."""
    full: bool = True
    """Whether he may have all of it (`Gate.full`)."""
    lasting: bool = False
    """It is the server's owner: nothing that happens to people changes it."""
    asked: Asked | None = None
    """None: there is nothing to ask again."""


class Doorkeeper:
    """
    Parameters
    ----------
    open_routes : patterns of paths, below the server's base, that any user may ask for: of other extensions.
    hub_owner : whose server it is where JupyterHub says who asks; empty elsewhere.
    find_session : coroutine function, by id; gives Jupyter's model, or raises `HTTPError`.
    holds : (user, version of the store) -> whether what proved who he is still does; may block.
    came : called with a user's name and a workspace's id when he was let in because every user is; may block.
    own : of a gate that says so, has a handler serve what belongs to the user of that name; `HTTPError`.
    """

    def __init__(
        self,
        *,
        gates: Gates,
        naming: Naming,
        guard: Guard,
        find_session: FindSession,
        base_url: str,
        open_routes: Sequence[str] = (),
        hub_owner: str = "",
        holds: Callable[[Any, int], bool] = lambda user, version: True,
        came: Callable[[str, str], None] = lambda user, workspace: None,
        own: Callable[[web.RequestHandler, str], None] | None = None,
    ) -> None:
        self._gates, self._naming, self._guard, self._find_session = gates, naming, guard, find_session
        base = re.escape(base_url.rstrip("/"))
        self._open = [re.compile(f"{base}{pattern}") for pattern in open_routes]
        self._hub_owner, self._holds, self._came, self._own = hub_owner, holds, came, own
        self.sockets = OpenSockets(version=guard.version, holds=self._still_known, again=self._again)

    def _principal(self, user: Any) -> Principal | None:
        """Blocks. Of anybody else than the server's owner. None: disabled."""
        hub = getattr(user, "hub_user", None) or {}
        return self._guard.principal(user.username, groups=hub.get("groups", ()))

    def _owns(self, user: Any) -> bool:
        """Whether the server is his, whatever the database says."""
        if isinstance(user, NamedUser):
            return user.owner
        return bool(self._hub_owner) and bool(user.username == self._hub_owner)

    async def ask(self, handler: web.RequestHandler, cls: type) -> Passed:
        """`HTTPError` when it may not go on."""
        method, path = str(handler.request.method), handler.request.path
        gate = self._gates.find(cls.__name__, path)
        rule = rule_of(gate, method)
        if rule is Level.PUBLIC:
            return Passed(gate, None)
        user = await _authenticated(handler)
        if user is None:
            return _without_name(handler, gate)
        if self._owns(user):
            return Passed(gate, Principal(user.username, admin=True), lasting=True)
        principal = await asyncio.to_thread(self._principal, user)
        if principal is None:
            raise web.HTTPError(403, DENIED)
        if gate is None and any(pattern.fullmatch(path) for pattern in self._open):
            rule = Level.USER
        asks = isinstance(rule, tuple) and not principal.admin
        session = await self._session(handler, rule) if asks else None
        request = Request(principal, _names(handler), body_of(handler.request.body) if asks else {}, session)
        asked = Asked(user, gate, rule, request, f"{method} {path}", origin_of(handler))
        try:
            passed = await asyncio.to_thread(self._entered, asked)
        except SylaError as exc:
            raise web.HTTPError(describe(exc)[0], DENIED) from exc
        if passed is None:
            raise web.HTTPError(403, DENIED)
        return passed

    def _entered(self, asked: Asked) -> Passed | None:
        """As `_decided`, for the first time."""
        by_link = set[str]()
        passed = self._decided(asked, by_link)
        for workspace in by_link if passed is not None else ():
            self._came(asked.request.principal.name, workspace)
        return passed

    def _decided(self, asked: Asked, by_link: set[str] | None = None) -> Passed | None:
        """Blocks. None: he may not; the reason is in the log then. To `by_link` goes what he may as every user may."""
        gate, principal = asked.gate, asked.request.principal
        if principal.admin or asked.rule is Level.USER:
            return Passed(gate, principal, asked=asked)
        target, why = HOST, f"{asked.what}: for admins of the server"
        if isinstance(asked.rule, tuple):
            target, why = self._why_not(asked.rule, asked.request, asked.what, by_link)
        if why:
            self._guard.refuse(principal.name, target, why, asked.origin)
            return None
        full = gate is None or not self._why_not(gate.full, asked.request, asked.what)[1]
        return Passed(gate, principal, full, asked=asked)

    def _again(self, passed: Passed) -> Passed | None:
        """Blocks. The same request by the same user, as things are now."""
        asked = passed.asked
        assert asked is not None
        principal = self._principal(asked.user)
        if principal is None:
            return None
        return self._decided(replace(asked, request=replace(asked.request, principal=principal)))

    def _still_known(self, passed: Passed, version: int) -> bool:
        return passed.asked is not None and self._holds(passed.asked.user, version)

    def give_own(self, handler: web.RequestHandler, passed: Passed) -> None:
        """What everybody else than the owner has of his own is put in the place of the owner's."""
        if passed.gate is None or not passed.gate.own or passed.lasting or passed.principal is None:
            return
        if self._own is None:
            raise web.HTTPError(403, DENIED)
        self._own(handler, passed.principal.name)

    def may_list(self, principal: Principal, listing: str, row: Any) -> bool:
        """Whether a row of a list is for somebody's eyes."""
        naming = self._naming
        if listing == "contents":
            path = row.get("path", "")
            return is_listed(path) or self._may_read(principal, naming.at(path))
        if listing == "kernels":
            return self._may_read(principal, naming.kernel_workspace(str(row.get("id", ""))))
        if listing == "terminals":
            return self._may_read(principal, naming.of_terminal(str(row.get("name", ""))))
        return all(self._may_read(principal, id) for id in naming.of_session(row))

    def _may_read(self, principal: Principal, workspace: str) -> bool:
        return workspace != NOWHERE and self._guard.decide(principal, Permission.READ, workspace).allowed

    def _why_not(
        self, asks: tuple[Ask, ...], request: Request, what: str, by_link: set[str] | None = None
    ) -> tuple[str, str]:
        """Blocks. (of which workspace, why); no reason: he may."""
        for one in asks:
            try:
                workspaces = list(self._naming.workspaces(one.source, request))
            except BadInput as exc:
                return NOWHERE, str(exc)
            for workspace in workspaces:
                if workspace == NOWHERE:
                    return NOWHERE, f"{what}: {one.source.name.lower()} names no workspace"
                decision = self._guard.decide(request.principal, one.permission, workspace)
                if not decision.allowed:
                    return workspace, f"{what}: {one.permission}: {decision.reason}"
                if decision.by_link and by_link is not None:
                    by_link.add(workspace)
        return NOWHERE, ""

    async def _session(self, handler: web.RequestHandler, rule: Rule) -> Any:
        if not isinstance(rule, tuple) or all(one.source is not Source.SESSION for one in rule):
            return None
        try:
            return await self._find_session(_names(handler).get("session_id", ""))
        except web.HTTPError:
            return None


async def _authenticated(handler: web.RequestHandler) -> Any:
    """As `JupyterHandler.prepare` does a moment later, with the same outcome: it is remembered by the handler."""
    if not isinstance(handler, JupyterHandler):
        return None
    user = handler.identity_provider.get_user(handler)
    if isawaitable(user):
        user = await user
    if user is not None:
        handler.current_user = handler._jupyter_current_user = user
    return user


def _without_name(handler: web.RequestHandler, gate: Gate | None) -> Passed:
    """Jupyter sends whoever is not logged in to the login page, or refuses; not where a handler lets everybody in."""
    method = getattr(handler, str(handler.request.method).lower(), None)
    open_to_all = getattr(method, "__allow_unauthenticated", False) and not (gate is not None and gate.checks_login)
    if open_to_all or not isinstance(handler, JupyterHandler):
        raise web.HTTPError(403, DENIED)
    return Passed(gate, None)


def _names(handler: web.RequestHandler) -> dict[str, str]:
    """Parts of the address, decoded as the handler gets them."""
    named = {name: value for name, value in handler.path_kwargs.items() if value is not None}
    return {**{str(n): value for n, value in enumerate(handler.path_args) if value is not None}, **named}


# -- in force --------------------------------------------------------------------------------------------------------


class GuardedHandler:
    """What handler classes get in front; the class that is made of both is named like the handler's."""

    _keeper: Doorkeeper
    _kept: type
    _passed: Passed | None = None

    async def prepare(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            self._passed = await self._keeper.ask(self, self._kept)
            acts(self._passed.principal.name if self._passed.principal is not None else "")
            self._keeper.give_own(self, self._passed)
        except web.HTTPError as exc:
            if not hasattr(self, "postpone"):
                raise
            self.postpone(exc)  # of a request whose body is still coming
        done = super().prepare(*args, **kwargs)  # type: ignore[misc]
        return await done if isawaitable(done) else done

    def finish(self: Any, chunk: Any = None) -> Any:
        passed = self._passed
        if passed is not None and passed.principal is not None and not passed.principal.admin and chunk:
            gate = passed.gate
            if gate is not None and gate.lists and self.request.method == "GET" and self.get_status() == 200:
                chunk = self._keeper_filtered(gate.lists, chunk, passed.principal, passed.full)
        return super().finish(chunk)  # type: ignore[misc]

    def _keeper_filtered(self: Any, listing: str, chunk: Any, principal: Principal, full: bool) -> str:
        model = json.loads(chunk) if isinstance(chunk, str | bytes) else chunk
        may = functools.partial(self._keeper.may_list, principal, listing)
        if isinstance(model, list):
            model = [row for row in model if may(row)]
        elif isinstance(model, dict) and isinstance(model.get("content"), list) and is_listed(model.get("path", "")):
            model["content"] = [row for row in model["content"] if may(row)]
        if listing == "contents" and not full:
            model["writable"] = False
        return json.dumps(model)


class GuardedSocket(GuardedHandler):
    """A websocket: open for as long as who opened it may have it."""

    _loud = True

    def open(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._passed is not None and self._passed.asked is not None:
            self._keeper.sockets.add(self)
        self.set_nodelay(True)  # else what is said next waits for the page's answer to what was said before
        self._loud = _is_loud(self._passed)
        return super().open(*args, **kwargs) if self._loud else None  # type: ignore[misc]

    def on_message(self: Any, message: Any) -> Any:
        """What a client sends that was refused meanwhile, and does not go, is not heard."""
        return None if self._passed is None else super().on_message(message)  # type: ignore[misc]

    def on_close(self: Any) -> None:
        self._keeper.sockets.discard(self)
        super().on_close()  # type: ignore[misc]

    def ask_again(self: Any) -> None:
        """Soon: what it is about is somewhere else now."""
        if self._passed is not None and self._passed.asked is not None:
            self._keeper.sockets.add(self)

    @property
    def passed(self) -> Passed | None:
        return self._passed

    def decided(self: Any, passed: Passed | None) -> None:
        """As things are now; None: he may not have it any more."""
        if passed is not None and _is_loud(passed) != self._loud:
            passed = None  # its page opens another one
        self._passed = passed
        if passed is None:
            self.close(NOT_ALLOWED, DENIED)
            if (stream := getattr(self.ws_connection, "stream", None)) is not None:  # whether it answers or not
                asyncio.get_running_loop().call_later(CLOSE_SECONDS, stream.close)
        elif hasattr(self, "people_changed"):
            self.people_changed()


def _is_loud(passed: Passed | None) -> bool:
    if passed is None or passed.gate is None or not passed.gate.quiet:
        return True
    return passed.principal is not None and passed.principal.admin


def put_in_force(
    web_app: web.Application, keeper: Doorkeeper, behind: Mapping[str, type] = MappingProxyType({})
) -> None:
    """From the next request on, whatever routes are added later.

    Parameters
    ----------
    behind : class name -> what its handlers get in front besides, behind the doorkeeper.
    """
    plain = web_app.get_handler_delegate

    @functools.cache
    def guarded(cls: type) -> type:
        members = {"_keeper": keeper, "_kept": cls, "__module__": cls.__module__, "__doc__": cls.__doc__}
        front = GuardedSocket if issubclass(cls, WebSocketHandler) else GuardedHandler
        between = (behind[cls.__name__],) if cls.__name__ in behind else ()
        return type(cls.__name__, (front, *between, cls), members)

    def delegate(request: Any, target_class: type, *args: Any, **kwargs: Any) -> Any:
        return plain(request, guarded(target_class), *args, **kwargs)

    web_app.get_handler_delegate = delegate  # type: ignore[method-assign]
    web_app.settings["syla_doorkeeper"] = (keeper, delegate)
    web_app.settings["allow_unauthenticated_access"] = False


def out_of_force(web_app: web.Application) -> str:
    """Why requests do not pass by the doorkeeper; empty: they do."""
    kept = web_app.settings.get("syla_doorkeeper")
    if kept is None or vars(web_app).get("get_handler_delegate") is not kept[1]:
        return "requests are not checked before their handlers"
    if web_app.settings.get("allow_unauthenticated_access"):
        return "allow_unauthenticated_access is on"
    return ""


class WorkspaceAuthorizer(Authorizer):
    """Says what the doorkeeper has decided; no to whatever has not been there."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return getattr(handler, "_passed", None) is not None
