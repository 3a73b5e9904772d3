"""The events of all workspaces that a user may read, or of one, over a websocket: one JSON object a message, the
first a *hello*.

A client that has the list and wants to stay current listens first, then reads the list. One that comes back names the
last event it has. It sends nothing itself. Pings are Jupyter's; one that is too slow is closed with 1013.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

from jupyter_server.auth.decorator import authorized, ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado import web
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from ..model.errors import SylaError
from . import errors, event_wire, shown, wire
from .endpoint import JsonErrors, caller_of, in_pool, parsed_query
from .events import Listener, Published
from .handlers import Services, find
from .route import RESOURCE
from .routes import ONE

TOO_SLOW = 1013  # "try again later", RFC 6455 registry
INCOMING_MAX = 1024  # bytes


Method = TypeVar("Method", bound=Callable[..., Any])
_readers: Callable[[Method], Method] = authorized(action="read", resource=RESOURCE)


class EventSocket(JsonErrors, WebSocketMixin, WebSocketHandler, JupyterHandler):
    METHODS = ("GET",)
    SUPPORTED_METHODS = ("GET",)
    max_message_size = INCOMING_MAX

    def initialize(self, services: Services) -> None:
        self._services = services
        self._listener: Listener | None = None
        self._only = ""
        """Id of the workspace whose events these are; empty: all."""
        self._sender: asyncio.Task[None] | None = None

    @ws_authenticated
    @_readers
    async def get(self, workspace: str = "") -> None:
        try:
            principal = self._principal = caller_of(self).principal
            query: wire.EventsQuery = parsed_query(wire.EventsQuery, self.request.query_arguments)
            self._after = query.last_event_id
            if workspace:
                self._only = (await in_pool(lambda: find(self._services, workspace, principal))).id
        except Exception as exc:
            self._refuse(*errors.describe(exc))
            return
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            self.set_header("Upgrade", "websocket")
            self._refuse(426, errors.plain(426))
            return
        await self._services.telling.settled()
        await super().get()

    def _refuse(self, status: int, body: wire.ErrorAnswer) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(body.model_dump_json())

    def open(self, workspace: str = "") -> None:
        super().open()
        self._listener, id, reset = self._services.announcer.hub.listen(self._wanted(), self._after)
        hello = event_wire.HelloEvent(id=id, reset=reset).model_dump_json()
        self._sender = asyncio.create_task(self._send(self._listener, hello))
        self._services.telling.watch(self._services.announcer.hub.has_listeners)

    def on_message(self, message: Any) -> None:
        """Nothing is expected."""

    def people_changed(self) -> None:
        """Called by the doorkeeper when what somebody else than the owner may do was decided anew."""
        line = event_wire.PeopleEvent(time=shown.time(self._services.application.clock.now())).model_dump_json()
        with contextlib.suppress(WebSocketClosedError):
            self.write_message(line)

    def on_close(self) -> None:
        if self._listener is not None:
            self._services.announcer.hub.forget(self._listener)
        if self._sender is not None:
            self._sender.cancel()
        super().on_close()

    def _wanted(self) -> Callable[[Published], bool]:
        """Each event is asked about when it happens: who was a member hears nothing more."""
        principal, only, guard = self._principal, self._only, self._services.application.access().guard

        def wanted(event: Published) -> bool:
            if only and only != event.workspace_id:
                return False
            if event.to:
                return event.to == principal.name
            if event.owner == principal.name:
                return True
            try:
                now = guard.principal(principal.name, admin=principal.admin)
                return now is not None and guard.decide(now, event.needs, event.workspace_id).allowed
            except SylaError:
                return False  # who publishes it has nothing to do with the store's trouble

        return wanted

    async def _send(self, listener: Listener, hello: str) -> None:
        """Each line waits until the one before has left this process; meanwhile the listener's queue fills."""
        with contextlib.suppress(WebSocketClosedError):
            await self.write_message(hello)
            while (event := await listener.next()) is not None:
                await self.write_message(event.line)
            self.close(TOO_SLOW, "too slow: connect again with last_event_id")


SOCKETS: dict[str, type[web.RequestHandler]] = {"events": EventSocket, f"{ONE}/events": EventSocket}
