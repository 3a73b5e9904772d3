"""REST and websocket of terminals: routes, answers and messages are Jupyter's own, so JupyterLab sees no difference.

On the websocket, to the client: ["setup", {}], ["stdout", text], ["disconnect", 1]; from the client: ["stdin", text],
["set_size", rows, columns, ...]. What is not of this form is ignored.
"""

from __future__ import annotations

import json
from asyncio import Future
from collections.abc import Callable
from typing import Any, TypeVar

from jupyter_server.auth.decorator import authorized, ws_authenticated
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado import web
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from ..model.errors import SylaError
from .errors import describe
from .terminal_pty import BACKLOG_MAX, SIDE_MAX, Terminal
from .terminals import WorkspaceTerminalManager

RESOURCE = "terminals"

Method = TypeVar("Method", bound=Callable[..., Any])


def _authorized(action: str) -> Callable[[Method], Method]:
    """Both said here: without, the decorator keeps those of whoever is asked about first."""
    decorate: Callable[[Method], Method] = authorized(action=action, resource=RESOURCE)
    return decorate


class TerminalsHandler(APIHandler):
    @web.authenticated
    @_authorized("read")
    def get(self) -> None:
        self.finish(json.dumps(_manager(self).list()))

    @web.authenticated
    @_authorized("write")
    def post(self) -> None:
        options = self.get_json_body() or {}
        if not isinstance(options, dict):
            raise web.HTTPError(400, "body: not an object. Give `name` and `cwd`, or nothing")
        try:
            model = _manager(self).create(**options)
        except SylaError as exc:
            raise web.HTTPError(describe(exc)[0], str(exc)) from exc
        self.finish(json.dumps(model))


class TerminalHandler(APIHandler):
    SUPPORTED_METHODS = ("GET", "DELETE", "OPTIONS")

    @web.authenticated
    @_authorized("read")
    def get(self, name: str) -> None:
        self.finish(json.dumps(_manager(self).get(name)))

    @web.authenticated
    @_authorized("write")
    async def delete(self, name: str) -> None:
        await _manager(self).terminate(name)
        self.set_status(204)
        self.finish()


class TerminalSocket(WebSocketMixin, JupyterHandler, WebSocketHandler):
    """A `terminal_pty.Client`."""

    size: tuple[int, int] | None = None
    backlog = 0
    _terminal: Terminal | None = None

    @ws_authenticated
    @_authorized("execute")
    async def get(self, name: str) -> None:
        if name not in _manager(self).terminals:
            raise web.HTTPError(404, f"Terminal not found: {name}")
        await super().get(name)

    def open(self, name: str) -> None:
        super().open(name)
        terminal = _manager(self).terminals.get(name)
        if terminal is None:  # ended meanwhile
            self.close()
            return
        self._terminal = terminal
        terminal.attach(self)

    async def on_message(self, message: str | bytes) -> None:
        kind, *values = _parsed(message)
        terminal = self._terminal
        if terminal is None:
            return
        if kind == "stdin" and values and isinstance(values[0], str):
            await terminal.write(values[0])
        elif kind == "set_size" and len(values) >= 2 and all(_is_side(value) for value in values[:2]):
            self.size = (values[0], values[1])
            terminal.resize()

    def on_close(self) -> None:
        if self._terminal is not None:
            self._terminal.detach(self)
        super().on_close()

    def send(self, *message: Any) -> None:
        text = json.dumps(message)
        try:
            written = self.write_message(text)
        except WebSocketClosedError:
            return
        self.backlog += len(text)
        written.add_done_callback(lambda done: self._sent(len(text), done))

    def _sent(self, length: int, done: Future[None]) -> None:
        """It has left; or the connection is gone, which `on_close` tells."""
        if not done.cancelled():
            done.exception()  # looked at, or the loop complains
        was_behind = self.backlog > BACKLOG_MAX
        self.backlog -= length
        if was_behind and self._terminal is not None:
            self._terminal.proceed()


def _manager(handler: JupyterHandler) -> WorkspaceTerminalManager:
    manager: WorkspaceTerminalManager = handler.settings["terminal_manager"]
    return manager


def _parsed(message: str | bytes) -> list[Any]:
    """The message's list, or one of an unknown kind."""
    try:
        values = json.loads(message)
    except (ValueError, RecursionError):
        return [None]
    return values if isinstance(values, list) and values else [None]


def _is_side(value: Any) -> bool:
    return type(value) is int and 0 < value <= SIDE_MAX


ROUTES: list[tuple[str, type[JupyterHandler]]] = [
    (r"/api/terminals", TerminalsHandler),
    (r"/api/terminals/(\w+)", TerminalHandler),
    (r"/terminals/websocket/(\w+)", TerminalSocket),
]
