"""Use cases on workspaces that have a record: made, started, suspended, archived, deleted, by any process.

Each verb is: lock -> read -> ask the table (`lifecycle`) -> act -> write. The lock is a file lock per workspace, which
ends with its process; the write names the version that was read. A process can die between any two steps, which are
numbered in `STEPS`, so the order is always such that what is left over is either nobody's (`reconcile` removes it) or
asked for by the record (`finish` completes it):

    start     container, then record, then no owner    before the record the container is nobody's once we are dead
    suspend   frozen, then record                      a frozen container of an active workspace is thawed
    resume    thawed, then record                      a running one of a suspended workspace is frozen
    stop, archive, delete     record, then the rest    the record says what is to be: `finish` does the rest again
    recover   files back, then record                  an archived record puts them away again

A container that has ended by itself (its lease, out of memory, the engine) leaves a record that names it: whoever reads
the record under the lock writes that first (`_settled`).
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ..metadata.base import Allocation, WorkspaceStore
from ..model.clock import Clock
from ..model.errors import BadInput, Conflict, SylaError, UnknownWorkspace, WorkspaceLost
from ..model.policy import Policy
from ..model.record import State, WorkspaceRecord
from ..model.settings import Settings
from ..model.workspace import MIB, Limits
from ..runtimes.base import Runtime
from .capacity import Admission, host_admission
from .catalog import ENDED, Catalog, Reach
from .changes import STEPS, Change, Level
from .disk import check_free
from .engine import Engine
from .lifecycle import Verb, next_state
from .live import LiveWorkspace
from .locks import Locks
from .moves import moved
from .places import Places
from .service import WorkspaceService

__all__ = ["STEPS", "Change", "Level", "Registry"]
log = logging.getLogger("syla.workspaces")
T = TypeVar("T")
NOTED_BYTES = MIB


class Registry:
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
        admission: Admission | None = None,
    ) -> None:
        self.catalog = catalog
        self._admission = admission or host_admission(settings)
        self._store, self._containers = store, containers
        self._engine = Engine(runtime, settings.run_dir)
        self._settings, self._places, self._clock, self._reach = settings, places, clock, reach
        self._locks = Locks(settings.data_dir / "locks")
        self._live: dict[str, LiveWorkspace] = {}
        self._lock = threading.Lock()
        self.listeners: list[Callable[[Change], None]] = []

    # -- verbs -------------------------------------------------------------------------------------------------

    def create(self, name: str, **described: Any) -> WorkspaceRecord:
        """As `Catalog.create`; the container comes with the first use."""
        began = self._clock.now()
        return self._changed("create", self.catalog.create(name, **described), began)

    def open(self, id: str) -> LiveWorkspace:
        """The running workspace, started or thawed when it is not; one maker at a time."""
        record = self._store.get(id)
        live = self._current(record)
        if live is not None and record.state is State.ACTIVE and not live.frozen:
            return live
        return self._resume(id)[1]

    def resume(self, id: str) -> tuple[WorkspaceRecord, str]:
        """Have it running; the record and the `Level` it came from."""
        record, _, level = self._resume(id)
        return record, level

    def attach(self, id: str, execution: str, ask: Callable[[LiveWorkspace], T]) -> T:
        """What `ask` says of a container that is running already, frozen or not; it is as before afterwards.

        `WorkspaceLost` when the record names no container, or another one.
        """
        with self._locks.only(id):
            record = self._settled(self._store.get(id))
            if not execution or record.execution != execution:
                raise WorkspaceLost(f"the container of workspace {record.name!r} has ended", record.reason)
            frozen = record.frozen or self._engine.is_frozen(record)
            if frozen:
                self._engine.thaw(record)
            try:
                live = self._current(record) or self._containers.connect(
                    record.spec(self._places.home(record)), execution
                )
                with self._lock:
                    self._live[id] = live
                return ask(live)
            finally:
                if frozen:
                    self._engine.freeze(record)

    def suspend(
        self,
        id: str,
        *,
        stop: bool = False,
        execution: str | None = None,
        version: int | None = None,
        reason: str = "asked to",
    ) -> WorkspaceRecord:
        """Freeze it with all its kernels; with `stop` end its container, and the kernels' variables with it.

        `execution`, `version`: refuse with `Conflict` if it has another one by now; here and in the other verbs.
        """
        if stop:
            return self._put_down(id, Verb.STOP, execution, version, reason)
        began = self._clock.now()
        with self._locks.only(id):
            record = self._read(id, version)
            after = self._moved(record, Verb.SUSPEND, reason, execution=execution)
            if after is record:
                return record
            self._engine.freeze(record)
            self._reach("suspend", "frozen")
            record = self._store.replace(after)
            self._reach("suspend", "record")
        return self._changed("suspend", record, began)

    def archive(
        self, id: str, *, execution: str | None = None, version: int | None = None, reason: str = "asked to"
    ) -> WorkspaceRecord:
        """Put it away: no container, its directory out of sight; nothing is lost but variables."""
        return self._put_down(id, Verb.ARCHIVE, execution, version, reason)

    def _put_down(
        self, id: str, verb: Verb, execution: str | None, version: int | None, reason: str
    ) -> WorkspaceRecord:
        began = self._clock.now()
        with self._locks.only(id):
            record = self._read(id, version)
            after = self._moved(record, verb, reason, execution=execution)
            if after is record:
                return record
            ended, record = record.execution, self._store.replace(after)
            self._reach(verb, "record")
            self._engine.end(ended)
            self._reach(verb, "container")
            if verb is Verb.ARCHIVE:
                self._places.put_away(record)
                self._reach(verb, "files")
        return self._changed(verb, record, began)

    def recover(self, id: str, *, reason: str = "asked to") -> WorkspaceRecord:
        """Bring an archived one back, stopped."""
        began = self._clock.now()
        with self._locks.only(id):
            record = self._store.get(id)
            after = self._moved(record, Verb.RECOVER, reason)
            if after is record:
                return record
            self._places.bring_back(record)
            self._reach("recover", "files")
            record = self._store.replace(after)
            self._reach("recover", "record")
        return self._changed("recover", record, began)

    def delete(
        self,
        id: str,
        *,
        execution: str | None = None,
        version: int | None = None,
        confirmed: bool = False,
        reason: str = "asked to",
    ) -> None:
        """For good: container, files, home, record. Only from the archive, unless `confirmed`."""
        began = self._clock.now()
        with self._locks.only(id):
            record = self._read(id, version)
            after = self._moved(record, Verb.DELETE, reason, execution=execution, confirmed=confirmed)
            ended, record = record.execution, record if after is record else self._store.replace(after)
            self._reach("delete", "record")
            self._engine.end(ended)
            self._reach("delete", "container")
            self._erase(record)
        self._changed("delete", record, began)

    def touch(self, id: str, seconds: float) -> WorkspaceRecord:
        """No policy acts for that long, up to the hard cap."""
        if not 0 < seconds <= 365 * 86400:
            raise BadInput("seconds", f"{seconds:g} is not a time to extend by", "Give more than 0, a year at most")
        now = self._clock.now()
        with self._locks.only(id):
            record = dataclasses.replace(self._store.get(id), extended_until=now + seconds, last_activity_at=now)
            record = self._store.replace(record)
        return self._changed("touch", record, now)

    def change(
        self,
        id: str,
        *,
        limits: Limits | None = None,
        policy: Policy | None = None,
        labels: Mapping[str, str] | None = None,
        version: int | None = None,
    ) -> WorkspaceRecord:
        """Other limits (of a running container too), policy or labels."""
        began = self._clock.now()
        with self._locks.only(id):
            record = self._read(id, version)
            after = dataclasses.replace(
                record,
                limits=limits or record.limits,
                policy=policy or record.policy,
                labels=record.labels if labels is None else dict(labels),
                warned_at=0.0 if policy else record.warned_at,  # that warning was of the other policy
            )
            if limits is None or not record.execution:
                record = self._store.replace(after)
            else:  # the record says no before the container has more; and not more than the container has
                record = self._store.replace(after, admit=lambda others: self._admission.check(after, limits, others))
                self._engine.change_limits(record, limits)
        return self._changed("change", record, began)

    def warn(self, id: str, *, version: int, reason: str) -> WorkspaceRecord:
        """Note that its people are told what comes next; `Conflict` if it was changed since that version."""
        began = self._clock.now()
        with self._locks.only(id):
            record = self._read(id, version)
            record = self._store.replace(dataclasses.replace(record, warned_at=self._clock.now()))
        return self._changed("warn", record, began, reason)

    def note_disk(self, id: str, disk_bytes: int) -> WorkspaceRecord:
        """What its files and home take."""
        with self._locks.only(id):
            record = self._store.get(id)
            if record.disk_bytes // NOTED_BYTES == disk_bytes // NOTED_BYTES:
                return record  # not worth a new version
            return self._store.replace(dataclasses.replace(record, disk_bytes=disk_bytes))

    def connected(self) -> dict[str, LiveWorkspace]:
        """By id: the containers this process is connected to."""
        with self._lock:
            return {id: live for id, live in self._live.items() if not live.lost}

    def finish(self, *, quick: bool = False) -> list[str]:
        """Complete what a process that died had begun; one line for each thing done.

        `quick`: where a container or a deletion is concerned, which costs next to nothing where nothing is wrong.
        """
        done = []
        for record in self.catalog.unsettled() if quick else self.catalog.all():
            if quick and not self._looks_wrong(record):
                continue
            try:
                done += self._finish(record)
            except (SylaError, OSError) as exc:
                log.warning("workspace %s is left for the next time: %s", record.name, exc)
        return done

    def _looks_wrong(self, record: WorkspaceRecord) -> bool:
        if record.state is State.DELETED:
            return True
        return not self._engine.run(record).listens() or record.frozen is not self._engine.is_frozen(record)

    def detach(self) -> None:
        """Let go of every container; they go on."""
        with self._lock:
            workspaces, self._live = list(self._live.values()), {}
        for live in workspaces:
            if not live.lost:
                live.detach()

    # -- steps -------------------------------------------------------------------------------------------------

    def _resume(self, id: str) -> tuple[WorkspaceRecord, LiveWorkspace, str]:
        began = self._clock.now()
        with self._locks.only(id):
            record = self._settled(self._store.get(id))
            next_state(record, Verb.START)
            live, level = self._current(record), Level.RUNNING
            if record.execution and (record.frozen or self._engine.is_frozen(record)):
                self._engine.thaw(record)
                level = Level.THAWED if record.frozen else level
                self._reach("resume", "thawed")
            if record.execution and live is None:
                live = self._containers.connect(record.spec(self._places.home(record)), record.execution)
            if live is None:
                level = Level.RESTARTED
                record, live = self._start(record)
            elif record.frozen:
                record = self._store.replace(self._moved(record, Verb.RESUME, "in use"))
                self._reach("resume", "record")
            with self._lock:
                self._live[id] = live
        if level is not Level.RUNNING:
            self._changed(Verb.RESUME if level is Level.THAWED else Verb.START, record, began)
        return record, live, level

    def _start(self, record: WorkspaceRecord) -> tuple[WorkspaceRecord, LiveWorkspace]:
        def fits(others: Sequence[Allocation]) -> None:
            self._admission.check(record, record.limits, others)

        check_free((record.files.parent, self._places.home(record)), self._settings.disk_floor_bytes)
        with self._admission.starting(record, self._store.allocations) as recording:
            self._places.make(record)
            live = self._containers.start(record.spec(self._places.home(record)))
            try:
                self._reach("start", "container")
                after = self._moved(record, Verb.START, "in use", started=live.run.id)
                with recording():
                    record = self._store.replace(after, admit=fits)
            except BaseException:
                live.close()
                raise
        self._reach("start", "record")
        live.run.disown()
        self._reach("start", "disowned")
        return record, live

    def _finish(self, record: WorkspaceRecord) -> list[str]:
        with self._locks.only(record.id):
            try:
                before = self._store.get(record.id)
            except UnknownWorkspace:
                return []
            record = self._settled(before)
            if record is not before:
                return [f"workspace {record.name}: {record.reason}"]
            if record.state is State.ACTIVE and record.execution:
                if self._engine.is_frozen(record):
                    self._engine.thaw(record)
                    return [f"workspace {record.name}: was frozen, and nobody had suspended it"]
            elif record.frozen:
                if not self._engine.is_frozen(record):
                    self._engine.freeze(record)
                    return [f"workspace {record.name}: ran on, though it is suspended"]
            elif record.state is State.ARCHIVED and not self._places.is_put_away(record):
                self._places.put_away(record)
                return [f"workspace {record.name}: its files were put away"]
            elif record.state is State.DELETED:
                self._erase(record)
                return [f"workspace {record.name}: deleted"]
        return []

    def _read(self, id: str, version: int | None) -> WorkspaceRecord:
        record = self._store.get(id)
        if version is not None and version != record.version:
            raise Conflict(f"workspace {record.name!r} was changed since version {version}", "Read it again")
        return self._settled(record)

    def _settled(self, record: WorkspaceRecord) -> WorkspaceRecord:
        """The record, after it was corrected where its container has ended."""
        if not record.execution or self._engine.run(record).listens():
            return record
        self._engine.end(record.execution)
        return self._store.replace(self._moved(record, Verb.LOST, ENDED))

    def _current(self, record: WorkspaceRecord) -> LiveWorkspace | None:
        """This process's connection to the container that the record names."""
        with self._lock:
            live = self._live.get(record.id)
        return live if live is not None and not live.lost and live.run.id == record.execution else None

    def _erase(self, record: WorkspaceRecord) -> None:
        self._places.erase_files(record)
        self._reach("delete", "files")
        self._places.erase_home(record)
        self._reach("delete", "home")
        self._store.remove(record.id, record.version)
        self._locks.forget(record.id)
        self._reach("delete", "forgotten")

    def _moved(self, record: WorkspaceRecord, verb: Verb, reason: str, **how: Any) -> WorkspaceRecord:
        return moved(record, verb, now=self._clock.now(), reason=reason, **how)

    def _changed(self, verb: str, record: WorkspaceRecord, began: float, reason: str = "") -> WorkspaceRecord:
        change = Change(verb, record, reason or record.reason, max(0.0, self._clock.now() - began))
        for listener in self.listeners:
            listener(change)
        return record
