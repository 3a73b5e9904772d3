"""Our REST interface in one object: made once for a server, with what it answers from."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..access.decide import role_of
from ..model.errors import StoreFailed, SylaError, UnknownWorkspace
from ..model.happening import Happening, Kind
from ..workspaces.activity import Signals
from ..workspaces.executions import ExecutionCache
from ..workspaces.lifecycle import Verb
from ..workspaces.placement import WORKSPACES_DIR
from ..workspaces.recent import changed_since
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
from .operations import Operation, Operations
from .queue_handlers import Desk
from .rooms import Presences
from .route import PREFIX
from .routes import ROUTES
from .shared_cell import clean
from .shown import api_path
from .telling import Telling
from .trust import TrustLedger, digest_of
from .where import Whereabouts
from .written import Written

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
        self.trust = TrustLedger(application.settings.data_dir / "trust.db", application.clock)
        chronicle = application.chronicle()
        self.telling = Telling(chronicle, application.clock, self._tell, self._owner_of)
        self.written = Written(application.clock, self._tell_written)
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
            self.written,
            Operations(application.clock, self._tell_operation),
            self.trust,
        )
        self.presences.listeners.append(Whereabouts(self._tell_where).moved)
        application.registry().listeners.append(self._changed)
        chronicle.write, chronicle.news, chronicle.by_default = self.telling.note, self.telling.news, ""
        application.access().visits.listeners.append(self.announcer.visited)

    def handlers(self) -> list[tuple[str, type, dict[str, Any]]]:
        """For `ExtensionApp.handlers`; the last of them takes everything else below `/syla`."""
        return [(JOIN_PATTERN, JoinPageHandler, {}), *rules(ROUTES, self._services, SOCKETS)]

    def gates(self) -> list[Gate]:
        """Who may pass to which of them."""
        return gates(ROUTES, SOCKETS)

    def activity(self) -> Mapping[str, Signals]:
        """By workspace id, what requests run; a source of the janitor."""
        return self._at_work.signals()

    def vouched(self, user: str, run: str, displays: Sequence[Mapping[str, Any]]) -> None:
        """Somebody has run what displays this; blocks."""
        try:
            if digest := digest_of(clean(displays)):
                self.trust.replace(user, run, digest)
        except StoreFailed as exc:  # he can say "Trust Notebook" later
            log.warning("%s", exc)

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

    def _tell_operation(self, one: Operation) -> None:
        self.telling.submit(self.announcer.working, one)

    def conflicted(self, workspace: str, path: str, kept: str) -> None:
        """Both versions of a document are there now."""
        self.telling.submit(self._tell_conflict, workspace, path, kept)

    def _tell_conflict(self, workspace: str, path: str, kept: str) -> None:
        with contextlib.suppress(SylaError):
            owner = self._services.application.access().guard.access(workspace).owner
            self.announcer.conflicted(workspace, owner, path, kept)

    def file_changed(self, action: str, path: str) -> None:
        """By a door of this server."""
        self.written.saved(path)
        self.telling.file_changed(action, path)

    def _tell_written(self, workspace: str, since: float) -> None:
        with contextlib.suppress(SylaError):  # deleted meanwhile
            record = self._services.application.store().get(workspace)
            root = self._services.root
            above = api_path(record.files, root)
            if above is None:
                return
            prefix = f"{above}/" if above else ""
            saved = {path.removeprefix(prefix) for path in self.written.saved_since(since) if path.startswith(prefix)}
            barred = WORKSPACES_DIR if record.files == root else ""
            found = changed_since(record.files, since, self._services.application.clock, barred=barred, known=saved)
            if found.count:
                paths = [f"{prefix}{path}" if path else above for path in found.paths]
                self.announcer.wrote(record, paths, found.count)

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
