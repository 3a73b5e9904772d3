"""A workspace stands still while it is saved, and goes back to a version of itself.

**Standing still** is short: a container is frozen while its files are read, for `STILL_SECONDS` at most, and thawed at
once when somebody has a message for it. What is read after that may change meanwhile, which the save notices, tries
again and says. So nobody waits for a snapshot, and small ones, which most are, are of one moment.

**Going back** first writes the version beside what is there, then saves that, then exchanges the two. Until the save is
committed it can be taken back, and nothing has happened then. A whole version ends the container, because directories
change places beneath it, and it stands still from the beginning; the kernels that come next have that version's
variables. Single paths are exchanged beneath a container that runs on: kernels keep their variables, and see the files
when they open them again.

    saved      what is overwritten, as a version of its own
    record     stopped; only for a whole version
    container  ended
    files      back
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..model.errors import BadInput, SylaError, WrongState
from ..model.record import State, WorkspaceRecord
from ..model.snapshot import Reason, Version
from .endings import Endings
from .held import log
from .lifecycle import Verb
from .vault import QUIET, Restored, Vault, Watch, nothing

STILL_SECONDS = 2.0


@dataclass(frozen=True)
class Standing:
    record: WorkspaceRecord
    details: Mapping[str, Any] = field(default_factory=dict)
    """Of the version that is saved now."""
    still: Callable[[], bool] = lambda: True
    """Whether nothing in it has moved since."""


@dataclass(frozen=True)
class Rewound:
    record: WorkspaceRecord
    restored: Restored
    before: Version | None
    """What was overwritten; None: it was the same as the newest version."""
    notes: tuple[str, ...]
    """One line each, for a person."""


@dataclass
class _Going:
    """What becomes of a workspace while it goes back."""

    record: WorkspaceRecord
    saved: Version | None = None


class Rewinding(Endings):
    @contextlib.contextmanager
    def standing_still(self, id: str, *, seconds: float = STILL_SECONDS) -> Iterator[Standing]:
        """For a save; `WrongState` for a workspace that has nothing on this machine."""
        with self._locks.only(id):
            record = self._settled(self._store.get(id))
            if record.state in (State.ARCHIVED, State.DELETED):
                raise WrongState(f"{record.name!r} is {record.state}", "Recover it first")
            details = self._described(record)
            runs = record.state is State.ACTIVE and bool(record.execution)
            if runs:
                self._engine.freeze(record)
        timer = threading.Timer(seconds, self._go_on, [record])
        timer.daemon, timer.name = True, "syla-thaw"
        try:
            if runs:
                timer.start()
            yield Standing(record, details, lambda: not runs or self._engine.is_frozen(record))
        finally:
            timer.cancel()
            if runs:
                self._go_on(record)

    @contextlib.contextmanager
    def alone(self, id: str) -> Iterator[WorkspaceRecord]:
        """The record, which nobody changes meanwhile."""
        with self._locks.only(id):
            yield self._store.get(id)

    def rewind(
        self,
        id: str,
        number: int,
        *,
        author: str,
        paths: Sequence[str] = (),
        partial: bool = False,
        watch: Watch = QUIET,
    ) -> Rewound:
        """Back to a version, or `paths` of it (`files/a/b` each), after saving what is overwritten.

        `partial`: what is left of a damaged version. `UnknownVersion`; `BadInput` for all of a default workspace, whose
        files are not its own.
        """
        began = self._clock.now()
        with self._locks.only(id):
            record = self._settled(self._store.get(id))
            if record.state in (State.ARCHIVED, State.DELETED):
                raise WrongState(f"{record.name!r} is {record.state}", "Recover it first")
            if record.is_default and not paths:
                raise BadInput(
                    "paths",
                    "the files of the default workspace are the server's root directory, which is not exchanged",
                    "Name paths such as files/notebook.ipynb, or restore into a new workspace",
                )
            if not paths:
                self._places.check_unmounted(record)
            vault = self._vault()
            vault.version(id, number)
            going = _Going(record)
            if partial and vault.backup is None:
                vault.repair(id, watch)
                # What the store has lost and the workspace still has is stored again, before it is looked for.
                going.saved = self._save_overwritten(vault, record, number, author, replace(watch, decided=nothing))

            def overwrite() -> None:
                going.saved = self._save_overwritten(vault, record, number, author, watch) or going.saved
                self._reach("restore", "saved")
                if not paths and record.execution:
                    going.record = self._end_for(record, f"version {number} was restored")

            with self._held_still(record) if not paths else contextlib.nullcontext():
                restored = vault.put_back(
                    record, number, paths=paths, partial=partial, watch=replace(watch, decided=overwrite)
                )
            record = going.record
            self._reach("restore", "files")
        self._changed("restore", record, began, f"version {number} was restored")
        told = vault.told(record, restored, whole=not paths)
        return Rewound(record, restored, going.saved, tuple(told))

    def _save_overwritten(
        self, vault: Vault, record: WorkspaceRecord, number: int, author: str, watch: Watch
    ) -> Version | None:
        """Whoever wants to take the restore back does so before this is committed."""
        saved = vault.save(
            record,
            Reason.PRE_RESTORE,
            author=author,
            message=f"before version {number} was restored",
            details=self._described(record),
            if_changed=True,
            watch=watch,
        )
        watch.decided()  # where nothing was new, the save has not
        return saved.version

    def _end_for(self, record: WorkspaceRecord, reason: str) -> WorkspaceRecord:
        ended, record = record.execution, self._store.replace(self._moved(record, Verb.STOP, reason))
        self._reach("restore", "record")
        self._engine.end(ended)
        self._reach("restore", "container")
        return record

    @contextlib.contextmanager
    def _held_still(self, record: WorkspaceRecord) -> Iterator[None]:
        """Its container, if one runs, under the workspace's lock; going on where this fails before it is ended."""
        if record.state is not State.ACTIVE or not record.execution:
            yield
            return
        self._engine.freeze(record)
        try:
            yield
        except BaseException:
            if self._store.get(record.id).execution == record.execution:
                self._engine.thaw(record)
            raise

    def _go_on(self, record: WorkspaceRecord) -> None:
        """Thaw what a save has frozen, unless somebody else has frozen it for good meanwhile."""
        try:
            with self._locks.only(record.id):
                now = self._store.get(record.id)
                if now.state is State.ACTIVE and now.execution == record.execution and self._engine.is_frozen(now):
                    self._engine.thaw(now)
        except SylaError as exc:
            log.warning("workspace %s: still frozen after a snapshot: %s", record.name, exc)  # `finish` thaws it
