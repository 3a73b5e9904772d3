"""What every verb on a record stands on: its lock, the record as it really is, and who is told afterwards."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from ..metadata.base import WorkspaceStore
from ..metadata.happenings_base import Tell
from ..model.clock import Clock
from ..model.errors import Conflict
from ..model.happening import Happening
from ..model.record import WorkspaceRecord
from ..model.settings import Settings
from ..runtimes.base import Runtime
from .capacity import Admission, host_admission
from .catalog import ENDED, Catalog, Reach
from .changes import Change
from .engine import Engine
from .lifecycle import Verb
from .live import LiveWorkspace
from .locks import Locks
from .moves import moved
from .places import Places
from .service import WorkspaceService
from .vault import Vault

log = logging.getLogger("syla.workspaces")


class Held:
    """Parameters
    ----------
    vault : opened at the first call.
    word : the line that is written down with a change, in its transaction (`chronicle`).
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        store: WorkspaceStore,
        containers: WorkspaceService,
        runtime: Runtime,
        settings: Settings,
        places: Places,
        clock: Clock,
        reach: Reach = lambda verb, step: None,
        vault: Callable[[], Vault],
        admission: Admission | None = None,
        word: Callable[[Change], Happening | None] = lambda change: None,
    ) -> None:
        self.catalog = catalog
        self.admission = admission or host_admission(settings)
        self._store, self._containers = store, containers
        self._engine = Engine(runtime, settings.run_dir)
        self._settings, self._places, self._clock, self._reach = settings, places, clock, reach
        self._locks = Locks(settings.data_dir / "locks")
        self._live: dict[str, LiveWorkspace] = {}
        self._lock = threading.Lock()
        self._open_vault, self._word = vault, word
        self.listeners: list[Callable[[Change], None]] = []
        self.before_saves: list[Callable[[WorkspaceRecord], None]] = []
        """Each writes into its files what belongs there and is in memory only. Blocks for a while, never raises."""

    def _read(self, id: str, version: int | None) -> WorkspaceRecord:
        record = self._store.get(id)
        if version is not None and version != record.version:
            raise Conflict(f"workspace {record.name!r} was changed since version {version}", "Read it again")
        return self._settled(record)

    def _settled(self, record: WorkspaceRecord) -> WorkspaceRecord:
        """The record, after it was corrected where its container has ended."""
        if not record.execution or self._engine.run(record).listens():
            return record
        return self._ended(record)

    def _ended(self, record: WorkspaceRecord) -> WorkspaceRecord:
        self._engine.end(record.execution)
        return self._store.replace(self._moved(record, Verb.LOST, ENDED), tell=self._tell(Verb.LOST, self._clock.now()))

    def _current(self, record: WorkspaceRecord) -> LiveWorkspace | None:
        """This process's connection to the container that the record names."""
        with self._lock:
            live = self._live.get(record.id)
        return live if live is not None and not live.lost and live.run.id == record.execution else None

    def _stands_still(self, record: WorkspaceRecord) -> bool:
        """Frozen by one of us; or by somebody at the engine, which whoever is connected to it sees."""
        live = self._current(record)
        return self._engine.is_frozen(record) or (live is not None and live.frozen)

    def _connected(self, record: WorkspaceRecord) -> LiveWorkspace:
        """The same, made where there is none; the container must not be frozen."""
        live = self._current(record) or self._containers.connect(
            record.spec(self._places.home(record)), record.execution
        )
        with self._lock:
            self._live[record.id] = live
        return live

    def _moved(self, record: WorkspaceRecord, verb: Verb, reason: str, **how: Any) -> WorkspaceRecord:
        return moved(record, verb, now=self._clock.now(), reason=reason, **how)

    def _changed(
        self, verb: str, record: WorkspaceRecord, began: float, reason: str = "", changes: tuple[str, ...] = ()
    ) -> WorkspaceRecord:
        """Tell this process, once all of it is done."""
        change = self._change(verb, record, began, reason, changes)
        for listener in self.listeners:
            listener(change)
        return record

    def _tell(self, verb: str, began: float, reason: str = "", changes: tuple[str, ...] = ()) -> Tell[WorkspaceRecord]:
        """For the write that makes it so: from then on it has happened, though some of it may be left to do."""
        return lambda record: self._word(self._change(verb, record, began, reason, changes))

    def _change(
        self, verb: str, record: WorkspaceRecord, began: float, reason: str, changes: tuple[str, ...]
    ) -> Change:
        return Change(verb, record, reason or record.reason, max(0.0, self._clock.now() - began), changes)
