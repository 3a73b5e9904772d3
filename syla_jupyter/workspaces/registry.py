"""Use cases on workspaces that have a record: made, started, suspended, archived, deleted, by any process.

Each verb is: lock -> read -> ask the table (`lifecycle`) -> act -> write. The lock is a file lock per workspace, which
ends with its process; the write names the version that was read. A process can die between any two steps, which are
numbered in `STEPS`, so the order is always such that what is left over is either nobody's (`reconcile` removes it) or
asked for by the record (`finish` completes it):

    claim     ours, then its directories, then opened  a container of the pool: as before the record of a start
    start     container, then record, then no owner    before the record the container is nobody's once we are dead
    suspend   frozen, then record                      a frozen container of an active workspace is thawed
    resume    thawed, then record                      a running one of a suspended workspace is frozen
    stop, delete    record, then the rest              the record says what is to be: `finish` does the rest again
    archive, recover, restore                          see `endings` and `rewinding`

A container that has ended by itself (its lease, out of memory, the engine) leaves a record that names it: whoever reads
the record under the lock writes that first (`_settled`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ..metadata.base import Admit, Allocation
from ..metadata.happenings_base import Tell
from ..model.errors import BadInput, SylaError, WorkspaceLost
from ..model.happening import Happening
from ..model.policy import Policy
from ..model.record import State, WorkspaceRecord
from ..model.snapshot import Reason
from ..model.workspace import MIB, Limits
from .changes import STEPS, Change, Level
from .disk import check_free
from .held import log
from .lifecycle import Verb, next_state
from .live import LiveWorkspace
from .retention import saved_by_itself
from .rewinding import Rewinding
from .vault import QUIET, Watch

__all__ = ["STEPS", "Change", "Level", "Registry"]
T = TypeVar("T")
NOTED_BYTES = MIB
CHANGEABLE = ("limits", "policy", "labels")


class Registry(Rewinding):
    # -- verbs -------------------------------------------------------------------------------------------------

    def create(self, name: str, **described: Any) -> WorkspaceRecord:
        """As `Catalog.create`; the container comes with the first use."""
        began = self._clock.now()
        record = self.catalog.create(name, tell=lambda verb: self._tell(verb, began), **described)
        return self._changed("create", record, began)

    def tell_adopted(self, record: WorkspaceRecord) -> Happening | None:
        """What is written down where a record is made of a workspace that another installation had."""
        return self._tell("create", self._clock.now(), "of another installation")(record)

    def open(self, id: str) -> LiveWorkspace:
        """The running workspace, started or thawed when it is not; one maker at a time."""
        record = self._store.get(id)
        live = self._current(record)
        if live is not None and record.state is State.ACTIVE and not live.frozen:
            return live
        return self._resume(id)[1]

    def resume(self, id: str, *, watch: Watch = QUIET) -> tuple[WorkspaceRecord, str]:
        """Have it running, an archived one too; the record and the `Level` it came from."""
        archived = self._store.get(id).state is State.ARCHIVED
        if archived:
            self.recover(id, watch=watch)
        record, _, level = self._resume(id)
        if archived:
            return record, Level.RECOVERED
        return record, level

    def attach(self, id: str, execution: str, ask: Callable[[LiveWorkspace], T]) -> T:
        """What `ask` says of a container that is running already, frozen or not; it is as before afterwards.

        `WorkspaceLost` when the record names no container, or another one.
        """
        with self._locks.only(id):
            record = self._settled(self._store.get(id))
            if not execution or record.execution != execution:
                raise WorkspaceLost(f"the container of workspace {record.name!r} has ended", record.reason)
            frozen = record.frozen or self._stands_still(record)
            if frozen:
                self._engine.thaw(record)
            try:
                return ask(self._connected(record))
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
        """Freeze it with all its kernels; with `stop` end its container, its variables saved for the next kernels.

        A stopped one is saved as a version, as far as the object store answers: its files stay here in any case.

        `execution`, `version`: refuse with `Conflict` if it has another one by now; here and in the other verbs.
        """
        if stop:
            record, variables = self._stop(id, execution, version, reason)
            self._save_stopped(record, variables)
            return record
        began = self._clock.now()
        with self._locks.only(id):
            record = self._read(id, version)
            after = self._moved(record, Verb.SUSPEND, reason, execution=execution)
            if after is record:
                return record
            self._engine.freeze(record)
            self._reach("suspend", "frozen")
            record = self._store.replace(after, tell=self._tell("suspend", began))
            self._reach("suspend", "record")
        return self._changed("suspend", record, began)

    def touch(self, id: str, seconds: float) -> WorkspaceRecord:
        """No policy acts for that long, up to the hard cap."""
        if not 0 < seconds <= 365 * 86400:
            raise BadInput("seconds", f"{seconds:g} is not a time to extend by", "Give more than 0, a year at most")
        now = self._clock.now()
        with self._locks.only(id):
            record = dataclasses.replace(self._store.get(id), extended_until=now + seconds, last_activity_at=now)
            record = self._store.replace(record, tell=self._tell("touch", now))
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
            record = before = self._read(id, version)
            after = dataclasses.replace(
                record,
                limits=limits or record.limits,
                policy=policy or record.policy,
                labels=record.labels if labels is None else dict(labels),
                warned_at=0.0 if policy else record.warned_at,  # that warning was of the other policy
            )
            changes = tuple(name for name in CHANGEABLE if getattr(before, name) != getattr(after, name))
            tell = self._tell("change", began, changes=changes)
            if limits is None or not record.execution:
                record = self._store.replace(after, tell=tell)
            else:  # the record says no before the container has more
                admit: Admit = lambda others: self.admission.check(after, limits, others)  # noqa: E731
                record = self._store.replace(after, admit=admit, tell=tell)
                try:
                    self._engine.change_limits(record, limits)
                except BaseException:  # nor does it say what the container has not
                    undone = self._tell("change", began, "it could not be done", changes)
                    self._store.replace(dataclasses.replace(before, version=record.version), tell=undone)
                    raise
            if limits is not None:
                self._places.limit(record)
        return self._changed("change", record, began, changes=changes)

    def warn(self, id: str, *, version: int, message: str) -> WorkspaceRecord:
        """Tell its people what comes next, in one line; `Conflict` if it was changed since that version."""
        began = self._clock.now()
        with self._locks.only(id):
            record = self._read(id, version)
            warned = dataclasses.replace(record, warned_at=self._clock.now())
            record = self._store.replace(warned, tell=self._tell("warn", began, message))
        return self._changed("warn", record, began, message)

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
            if record.execution and (record.frozen or self._stands_still(record)):
                self._engine.thaw(record)
                level = Level.THAWED if record.frozen else level
                self._reach("resume", "thawed")
            if record.execution and live is None:
                try:
                    live = self._connected(record)
                except WorkspaceLost:  # its lease was over when it was thawed: nobody held it, nothing ran in it
                    record = self._ended(record)
            if live is None:
                level = Level.RESTARTED
                record, live = self._start(record, self._tell(Verb.START, began))
            elif record.frozen:
                after = self._moved(record, Verb.RESUME, "in use")
                record = self._store.replace(after, tell=self._tell(Verb.RESUME, began))
                self._reach("resume", "record")
            with self._lock:
                self._live[id] = live
        if level is not Level.RUNNING:
            self._changed(Verb.RESUME if level is Level.THAWED else Verb.START, record, began)
        return record, live, level

    def _save_stopped(self, record: WorkspaceRecord, variables: Mapping[str, Any]) -> None:
        """What a person sees is the workspace stopped, whatever becomes of this."""
        if record.state is not State.SUSPENDED or record.execution or not saved_by_itself(record):
            return
        try:
            self._vault().save(
                record,
                Reason.SUSPEND,
                author=record.owner,
                message=record.reason,
                details=self._described_with(record, variables),
                if_changed=True,
            )
        except (SylaError, OSError) as exc:
            log.warning("workspace %s is stopped, and no version of it was saved: %s", record.name, exc)

    def _start(self, record: WorkspaceRecord, tell: Tell[WorkspaceRecord]) -> tuple[WorkspaceRecord, LiveWorkspace]:
        def fits(others: Sequence[Allocation]) -> None:
            self.admission.check(record, record.limits, others)

        check_free((record.files.parent, self._places.home(record).parent), self._settings.disk_floor_bytes)
        with self.admission.starting(record, self._store.allocations) as recording:
            self._places.make(record)
            spec = record.spec(self._places.home(record))
            live = self._containers.start(spec, taken=lambda: self._reach("claim", "taken"))
            try:
                self._reach("start", "container")
                after = self._moved(record, Verb.START, "in use", started=live.run.id)
                with recording():
                    record = self._store.replace(after, admit=fits, tell=tell)
            except BaseException:
                live.close()
                raise
        self._reach("start", "record")
        live.run.disown()
        self._reach("start", "disowned")
        return record, live
