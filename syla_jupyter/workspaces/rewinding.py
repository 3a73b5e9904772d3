"""A workspace stands still while it is saved, and goes back to a version of itself.

**Standing still** is short: a container is frozen while its files are read, for `STILL_SECONDS` at most, and thawed at
once when somebody has a message for it. What is read after that may change meanwhile, which the save notices, tries
again and says. So nobody waits for a snapshot, and small ones, which most are, are of one moment.

**Going back** first saves what is there. A whole version ends the container, because directories change places
beneath it; the kernels that come next have that version's variables. Single paths are exchanged beneath a container
that runs on: kernels keep their variables, and see the files when they open them again.

    saved      what is overwritten, as a version of its own
    record     stopped; only for a whole version
    container  ended
    files      back
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..model.errors import BadInput, SylaError, WrongState
from ..model.record import State, WorkspaceRecord
from ..model.snapshot import Reason, Version
from .endings import Endings
from .held import log
from .lifecycle import Verb
from .vault import QUIET, Restored, Watch

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
            details = self._described(record)
            if partial and vault.backup is None:
                vault.repair(id, watch)  # the save that follows relies on no content that is damaged
            saved = vault.save(
                record,
                Reason.PRE_RESTORE,
                author=author,
                message=f"before version {number} was restored",
                details=details,
                if_changed=True,
                watch=watch,
            )
            self._reach("restore", "saved")
            if not paths and record.execution:
                ended = record.execution
                record = self._store.replace(self._moved(record, Verb.STOP, f"version {number} was restored"))
                self._reach("restore", "record")
                self._engine.end(ended)
                self._reach("restore", "container")
            restored = vault.put_back(record, number, paths=paths, partial=partial, watch=watch)
            self._reach("restore", "files")
        self._changed("restore", record, began, f"version {number} was restored")
        told = vault.told(record, restored, whole=not paths)
        return Rewound(record, restored, saved.version, tuple(told))

    def _go_on(self, record: WorkspaceRecord) -> None:
        """Thaw what a save has frozen, unless somebody else has frozen it for good meanwhile."""
        try:
            with self._locks.only(record.id):
                now = self._store.get(record.id)
                if now.state is State.ACTIVE and now.execution == record.execution and self._engine.is_frozen(now):
                    self._engine.thaw(now)
        except SylaError as exc:
            log.warning("workspace %s: still frozen after a snapshot: %s", record.name, exc)  # `finish` thaws it
