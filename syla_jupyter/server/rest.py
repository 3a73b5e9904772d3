"""Our REST interface in one object: made once for a server, with what it answers from."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..access.decide import role_of
from ..model.errors import SylaError, UnknownWorkspace
from ..model.happening import Happening, Kind
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
from .telling import Telling
from .where import Whereabouts

if TYPE_CHECKING:
    from ..app import Application


log = logging.getLogger("syla.server")


class Rest:
    """From its construction on, what is written down of workspaces is told to clients.

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
        chronicle = application.chronicle()
        self.telling = Telling(chronicle, application.clock, self._tell, self._owner_of)
        self.also: Callable[[Happening], None] = lambda one: None
        """Told what clients are told."""
        self._services = Services(
            application,
            root,
            base_url,
            self.announcer,
            self._executions,
            self._at_work,
            self.desk,
            self.presences,
            self.telling,
        )
        self.presences.listeners.append(Whereabouts(self._tell_where).moved)
        application.registry().listeners.append(self._changed)
        chronicle.write, chronicle.by_default = self.telling.note, ""
        application.access().asking.listeners.append(self.announcer.asked)

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
        if what == "started":
            self.telling.executed(workspace, run.asked.user)
        happened = RunChange(what, run.asked, run.status)
        self.telling.submit(self._tell_run, workspace, happened)

    def attended(self, workspace: str, user: str, joined: bool) -> None:
        """Somebody is in a workspace's documents, or is not any more; nobody waits for it."""
        self.telling.submit(self._tell_attended, workspace, user, joined)

    def _tell_attended(self, workspace: str, user: str, joined: bool) -> None:
        application = self._services.application
        try:
            record, guard = application.registry().catalog.by_id(workspace), application.access().guard
            principal = guard.principal(user)
            role = None if principal is None else role_of(principal, guard.access(workspace))
            detail = {"display_name": guard.display_name(user), "role": None if role is None else str(role)}
            action, now = "joined" if joined else "left", application.clock.now()
            self.telling.note(Happening(record.id, record.owner, now, Kind.PRESENCE, action, user, detail))
        except UnknownWorkspace:
            pass  # it was deleted, and they with it
        except SylaError as exc:
            log.warning("who has come or gone is not announced: %s", exc)

    def _tell_run(self, workspace: str, happened: RunChange) -> None:
        try:
            record = self._services.application.registry().catalog.by_id(workspace)
            self.announcer.ran(record, happened)
        except SylaError as exc:
            log.warning("what happened to a cell is not announced: %s", exc)

    def _tell_where(self, workspace: str) -> None:
        self.telling.submit(self._tell_where_now, workspace)

    def _tell_where_now(self, workspace: str) -> None:
        with contextlib.suppress(SylaError):  # deleted meanwhile, say; pages hear of that
            self.announcer.where(workspace, self._services.application.access().guard.access(workspace).owner)

    def conflicted(self, workspace: str, path: str, kept: str) -> None:
        """Both versions of a document are there now."""
        self.telling.submit(self._tell_conflict, workspace, path, kept)

    def _tell_conflict(self, workspace: str, path: str, kept: str) -> None:
        with contextlib.suppress(SylaError):
            owner = self._services.application.access().guard.access(workspace).owner
            self.announcer.conflicted(workspace, owner, path, kept)

    def aside(self, workspace: str, id: str) -> str:
        """Where all output of an execution is, for who sees only a part of it."""
        return f"; GET {PREFIX}/workspaces/{workspace}/executions/{id} has them for a while" if workspace else ""

    def _changed(self, change: Change) -> None:
        if change.verb == Verb.DELETE:
            self._executions.forget(change.record.id)

    def _tell(self, one: Happening) -> None:
        self.announcer.told(one)
        self.also(one)

    def _owner_of(self, workspace: str) -> str:
        return self._services.application.access().guard.access(workspace).owner
