"""Our REST interface in one object: made once for a server, with what it answers from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..workspaces.activity import Signals
from ..workspaces.executions import ExecutionCache
from ..workspaces.lifecycle import Verb
from ..workspaces.registry import Change
from .announcer import Announcer
from .at_work import AtWork
from .endpoint import gates, rules
from .event_socket import SOCKETS
from .events import EventHub
from .gates import Gate
from .handlers import Services
from .rooms import Presences
from .routes import ROUTES

if TYPE_CHECKING:
    from ..app import Application


class Rest:
    """Listens to the registry from its construction on.

    Parameters
    ----------
    root : of the server's files.
    base_url : below which the server is reached.
    """

    def __init__(self, application: Application, *, root: Path, base_url: str) -> None:
        root = root.resolve()
        self.announcer = Announcer(EventHub(), application.clock, root)
        self._executions = ExecutionCache()
        self._at_work = AtWork()
        self.presences = Presences()
        self._services = Services(
            application, root, base_url, self.announcer, self._executions, self._at_work, self.presences
        )
        application.registry().listeners.append(self._changed)
        application.version_listeners.append(self.announcer.saved)

    def handlers(self) -> list[tuple[str, type, dict[str, Any]]]:
        """For `ExtensionApp.handlers`; the last of them takes everything else below `/syla`."""
        return rules(ROUTES, self._services, SOCKETS)

    def gates(self) -> list[Gate]:
        """Who may pass to which of them."""
        return gates(ROUTES, SOCKETS)

    def activity(self) -> Mapping[str, Signals]:
        """By workspace id, what requests run; a source of the janitor."""
        return self._at_work.signals()

    def _changed(self, change: Change) -> None:
        if change.verb == Verb.DELETE:
            self._executions.forget(change.record.id)
        self.announcer.changed(change)
