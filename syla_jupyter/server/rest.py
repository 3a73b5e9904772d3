"""Our REST interface in one object: made once for a server, with what it answers from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..model.errors import SylaError
from ..workspaces.activity import Signals
from ..workspaces.executions import ExecutionCache
from ..workspaces.lifecycle import Verb
from ..workspaces.registry import Change
from .announcer import Announcer, RunChange
from .at_work import AtWork
from .cell_run import Run
from .endpoint import gates, rules
from .event_socket import SOCKETS
from .events import EventHub
from .gates import Gate
from .handlers import Services
from .join_page import PATTERN as JOIN_PATTERN
from .join_page import JoinPageHandler
from .queue_handlers import Desk
from .rooms import Presences
from .route import PREFIX
from .routes import ROUTES

if TYPE_CHECKING:
    from ..app import Application


log = logging.getLogger("syla.server")


class Rest:
    """Listens to the registry and to sharing from its construction on.

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
        self.desk, self.presences = Desk(), Presences()
        self._services = Services(
            application, root, base_url, self.announcer, self._executions, self._at_work, self.desk, self.presences
        )
        self._tellers = ThreadPoolExecutor(1, thread_name_prefix="syla-runs")
        application.registry().listeners.append(self._changed)
        application.version_listeners.append(self.announcer.saved)
        application.access().sharing.listeners.append(self.announcer.people)

    def handlers(self) -> list[tuple[str, type, dict[str, Any]]]:
        """For `ExtensionApp.handlers`; the last of them takes everything else below `/syla`."""
        return [(JOIN_PATTERN, JoinPageHandler, {}), *rules(ROUTES, self._services, SOCKETS)]

    def gates(self) -> list[Gate]:
        """Who may pass to which of them."""
        return gates(ROUTES, SOCKETS)

    def activity(self) -> Mapping[str, Signals]:
        """By workspace id, what requests run; a source of the janitor."""
        return self._at_work.signals()

    def ran(self, workspace: str, run: Run, what: str) -> None:
        """Something happened to a cell that the server runs; told in this order, and nobody waits for it."""
        if not workspace:
            return
        if what == "completed":
            self._executions.put(workspace, run.execution())
        happened = RunChange(what, run.asked, run.status)
        self._tellers.submit(self._tell_run, workspace, happened)

    def _tell_run(self, workspace: str, happened: RunChange) -> None:
        try:
            record = self._services.application.registry().catalog.by_id(workspace)
            self.announcer.ran(record, happened)
        except SylaError as exc:
            log.warning("what happened to a cell is not announced: %s", exc)

    def aside(self, workspace: str, id: str) -> str:
        """Where all output of an execution is, for who sees only a part of it."""
        return f"; GET {PREFIX}/workspaces/{workspace}/executions/{id} has them for a while" if workspace else ""

    def _changed(self, change: Change) -> None:
        if change.verb == Verb.DELETE:
            self._executions.forget(change.record.id)
        self.announcer.changed(change)
