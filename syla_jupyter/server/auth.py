"""Who asks: the server's owner by its own token or password, anybody else by a token of his own.

    owner    the one who started the server: what Jupyter prints when it starts, or what he configured. Has a name.
    users    `syla user add`, `syla user token`: in the header, in the address, or typed into the login form

Both get a cookie that names them. A user's says which token it was got with, and holds while that token does: who is
disabled, or whose token is revoked or over, is out at his next request. Wrong guesses at the owner's secret are counted
by address; users' tokens cannot be guessed, and are looked up before. No page has a token in it.

JupyterHub's own identity stays in force where it is; it knows who asks, and this is not used.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import math
from dataclasses import dataclass
from typing import Any

from jupyter_server.auth.identity import PasswordIdentityProvider, User
from tornado import web
from traitlets import default

from ..access.attempts import Attempts
from ..access.audit import Audit
from ..access.audit_line import Action, Entry, Origin
from ..access.guard import Guard
from ..access.identities import Identities
from ..model.errors import StoreFailed

log = logging.getLogger("syla.server")
HUB_PACKAGE = "jupyterhub"
COOKIE_FORM = 1


@dataclass
class NamedUser(User):
    owner: bool = False
    """Of the server: its admin, whatever the database says."""
    token_id: str = ""
    """Of the token that proved who he is; empty for the owner."""


@dataclass(frozen=True)
class Proofs:
    """What it takes to know somebody."""

    identities: Identities
    guard: Guard
    audit: Audit
    attempts: Attempts
    owner: str
    """Name of who runs the server."""


class WorkspaceIdentityProvider(PasswordIdentityProvider):
    _proofs: Proofs | None = None

    @default("updatable_fields")
    def _no_field(self) -> list[str]:
        """A name that somebody chose for himself proves nothing."""
        return []

    def keep(self, proofs: Proofs) -> None:
        """Call before the first request: until then nobody is known."""
        self._proofs = proofs

    @property
    def auth_enabled(self) -> bool:
        """A server without token and password is its owner's, to anybody who reaches it, until it has users."""
        if self._proofs is not None and self._proofs.identities.has_users():
            return True
        return bool(self.hashed_password or self.token)

    def generate_anonymous_user(self, handler: web.RequestHandler) -> User:
        """Whoever has the owner's secret is the owner, in every browser the same."""
        return self._owner()

    # -- tokens ------------------------------------------------------------------------------------------------

    async def get_user_token(self, handler: web.RequestHandler) -> User | None:
        given = self.get_token(handler)
        if not given:
            return None
        kept: Any = handler
        if not hasattr(kept, "_proved_user"):  # asked twice for each request, and a failure counts once
            origin = origin_of(handler)
            if self._is_owners_token(given) and not self._known().attempts.wait_seconds(origin.address):
                kept._proved_user = self._owner()  # most requests there are: neither a thread nor the database
            else:
                kept._proved_user = await asyncio.to_thread(self._proved, given, origin, False)
        proved: User | None = kept._proved_user
        return proved

    def process_login_form(self, handler: web.RequestHandler) -> User | None:
        """The form's one field takes a user's token, the owner's token, or his password."""
        given = handler.get_argument("password", default="")
        if not self.auth_enabled:
            return self._owner()
        user = self._proved(given, origin_of(handler), True)
        new = handler.get_argument("new_password", default="")
        if new and isinstance(user, NamedUser) and user.owner:
            super().process_login_form(handler)  # which changes it
        if user is not None and self._proofs is not None:
            self._proofs.audit.write(Entry(user.username, Action.LOGIN, "server", origin=origin_of(handler)))
        return user

    def _proved(self, given: str, origin: Origin, passwords: bool) -> NamedUser | None:
        """Blocks. `HTTPError` 429 for an address that has guessed too often, whether it is right now or not."""
        proofs = self._known()
        token = proofs.identities.by_secret(given)
        if token is not None:
            return self._named(token.user, token.id)
        if wait := proofs.attempts.wait_seconds(origin.address):
            error = web.HTTPError(429, "too many failed logins")
            log.warning("%s has failed to log in too often; it may try again in %g s", origin.address, math.ceil(wait))
            raise error
        if self._is_owners_token(given):
            return self._owner()
        if passwords and self.hashed_password and self.passwd_check(given):  # type: ignore[no-untyped-call]
            return self._owner()
        proofs.attempts.failed(origin.address)
        proofs.audit.write(Entry("", Action.LOGIN_REFUSED, "server", "refused", "wrong token or password", origin))
        return None

    def _is_owners_token(self, given: str) -> bool:
        return bool(self.token) and hmac.compare_digest(self.token.encode(), given.encode(errors="replace"))

    # -- cookies -----------------------------------------------------------------------------------------------

    def user_to_cookie(self, user: User) -> str:
        named = user if isinstance(user, NamedUser) else NamedUser(user.username)
        row = {"form": COOKIE_FORM, "name": named.username, "owner": named.owner, "token": named.token_id}
        return json.dumps(row)

    def user_from_cookie(self, cookie_value: str) -> User | None:
        """Whom it names; whether that still holds is found out by `get_user_cookie`."""
        row = json.loads(cookie_value)
        if row.get("form") != COOKIE_FORM:
            return None
        if row["owner"]:
            owner = self._owner()
            return owner if row["name"] == owner.username else None
        return NamedUser(str(row["name"]), token_id=str(row["token"]))

    async def get_user_cookie(self, handler: web.RequestHandler) -> User | None:
        user = super().get_user_cookie(handler)
        if not isinstance(user, NamedUser) or user.owner:
            return user if isinstance(user, NamedUser) else None
        return await asyncio.to_thread(self._still, user)

    def _still(self, user: NamedUser) -> NamedUser | None:
        token = self._known().identities.by_id(user.token_id)
        return self._named(user.username, token.id) if token is not None and token.user == user.username else None

    # -- users -------------------------------------------------------------------------------------------------

    def identity_model(self, user: User) -> dict[str, Any]:
        model: dict[str, Any] = super().identity_model(user)
        return {name: value for name, value in model.items() if name not in ("owner", "token_id")}

    def _named(self, name: str, token_id: str) -> NamedUser | None:
        proofs = self._known()
        if proofs.guard.principal(name) is None:
            return None  # disabled
        return NamedUser(name, name, proofs.guard.display_name(name), token_id=token_id)

    def _owner(self) -> NamedUser:
        name = self._known().owner
        return NamedUser(name, name, name, owner=True)

    def _known(self) -> Proofs:
        if self._proofs is None:
            raise StoreFailed("users are not known yet", "Try again")
        return self._proofs


def holds(identities: Identities, user: Any, version: int) -> bool:
    """May block. Whether the token that somebody was known by is in force. Whom JupyterHub knows has none of ours."""
    if not isinstance(user, NamedUser) or not user.token_id:
        return True
    token = identities.by_id(user.token_id, version)
    return token is not None and token.user == user.username


def out_of_force(provider: Any) -> str:
    """Why names that this provider gives prove nothing; empty: they do."""
    if isinstance(provider, WorkspaceIdentityProvider) or of_hub(provider):
        return ""
    return f"identity_provider_class is {type(provider).__name__}, not ours"


def of_hub(provider: Any) -> bool:
    """Whether JupyterHub says who asks."""
    return any(cls.__module__.partition(".")[0] == HUB_PACKAGE for cls in type(provider).__mro__)


def without_token(hook: Any) -> Any:
    """A `page_config_hook`: pages are shown to anybody who is logged in, and the token is the owner's."""

    def blank(handler: Any, page_config: dict[str, Any]) -> dict[str, Any]:
        if hook is not None:
            page_config = hook(handler, page_config)
        return {**page_config, "token": ""}

    return blank


def origin_of(handler: web.RequestHandler) -> Origin:
    return Origin(str(handler.request.remote_ip or ""), handler.request.headers.get("User-Agent", ""))
