"""How a workspace is put down and comes back: stopped, archived, recovered, deleted; and what a dead process had begun.

**Archiving** keeps the workspace in the object store and frees this machine. Nothing is removed before the store has
all of it: committed, whole by its index, and to be found from elsewhere. A store that does not answer refuses the verb,
and the workspace is as it was.

    saved      its variables into its home; frozen; a version of files and home, safe (`Vault.make_safe`)
    record     from here on it is archived, whoever dies
    container  ended
    files      renamed out of sight; saved once more if somebody on the host had written meanwhile; erased
    home       erased, last: while it is there, archiving is not complete (`finish`)

**Recovering** goes the other way, and is marked while it lasts: what is half there then is no work of anybody's and
is removed without being saved.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from ..model.errors import Conflict, SylaError, UnknownWorkspace
from ..model.record import State, WorkspaceRecord
from ..model.snapshot import Reason
from .held import Held, log
from .inventory import with_due
from .lifecycle import Verb
from .vault import QUIET, Vault, Watch

NOT_SAVED = ("torn", "unreadable", "vanished", "other file system")
NOT_SAVED_SHOWN = 3
VARIABLES_SECONDS = 120.0
"""A bound and no wait: most kernels need less than one. Who waits for the workspace meanwhile is told to try again."""


class Endings(Held):
    def archive(
        self,
        id: str,
        *,
        execution: str | None = None,
        version: int | None = None,
        reason: str = "asked to",
        watch: Watch = QUIET,
    ) -> WorkspaceRecord:
        """Off this machine, into the object store; nothing is lost. `ObjectsFailed` when that does not take it."""
        began = self._clock.now()
        with self._locks.only(id):
            record = self._read(id, version)
            after = self._moved(record, Verb.ARCHIVE, reason, execution=execution)
            if after is record:
                return record
            self._places.check_unmounted(record)
            vault = self._vault()
            details = self._described(record)
            runs = record.state is State.ACTIVE and bool(record.execution)
            if runs:
                self._engine.freeze(record)
            try:
                self._save_all(vault, record, reason, details, watch)
                watch.decided()  # where nothing was new, the save has not
                vault.register(after)
                # Left by who died when all of a recovery but this was done: what is here is the workspace's own.
                self._places.unmark_recovering(record)
                self._reach("archive", "saved")
                ended, record = record.execution, self._store.replace(after, tell=self._tell("archive", began))
            except BaseException:
                if runs:
                    self._engine.thaw(record)
                raise
            self._reach("archive", "record")
            self._engine.end(ended)
            self._reach("archive", "container")
            self._free(vault, record)
        return self._changed("archive", record, began)

    def recover(
        self, id: str, *, reason: str = "asked to", partial: bool = False, watch: Watch = QUIET
    ) -> WorkspaceRecord:
        """Bring an archived one back, stopped: files, packages, and variables for the kernels that come.

        `SnapshotDamaged` where the store has lost some of it; `partial`: what is left, then.
        """
        began = self._clock.now()
        with self._locks.only(id):
            record = self._settled(self._store.get(id))
            after = self._moved(record, Verb.RECOVER, reason)
            if after is record:
                return record
            vault = self._vault()
            self._complete(vault, record)
            vault.check_recoverable(id)
            self._places.check_free(record)
            self._places.mark_recovering(record)
            try:
                self._places.make(record)
                restored = vault.put_back(record, partial=partial, watch=watch)
            except BaseException:  # nothing is in place then; of a process that was killed `finish` clears what is
                self._places.unmake_empty(record)
                raise
            self._reach("recover", "files")
            record = self._store.replace(after, tell=self._tell("recover", began))
            self._reach("recover", "record")
            self._places.unmark_recovering(record)
            for line in vault.told(record, restored):
                watch.note(line)
            with contextlib.suppress(SylaError):  # the next save says it again
                vault.register(record)
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
        """For good: container, files, home, all versions, record. Only from the archive, unless `confirmed`.

        A store that does not answer fails it after all but its versions is gone; `finish` goes on.
        """
        began = self._clock.now()
        with self._locks.only(id):
            record = self._read(id, version)
            after = self._moved(record, Verb.DELETE, reason, execution=execution, confirmed=confirmed)
            self._places.check_unmounted(record)
            ended, record = record.execution, record if after is record else self._store.replace(after)
            self._reach("delete", "record")
            self._engine.end(ended)
            self._reach("delete", "container")
            self._erase(record, began)
        self._changed("delete", record, began)

    def finish(self, *, quick: bool = False) -> list[str]:
        """Complete what a process that died had begun; one line for each thing done.

        `quick`: where a container or a deletion is concerned, which costs next to nothing where nothing is wrong.
        """
        done = []
        for record in self.catalog.unsettled() if quick else self.catalog.all():
            try:
                if not quick:
                    done += self._mend(record)
                if self._looks_wrong(record):
                    done += self._finish(record)
            except (SylaError, OSError) as exc:
                log.warning("workspace %s is left for the next time: %s", record.name, exc)
        return done

    # -- steps -------------------------------------------------------------------------------------------------

    def _stop(
        self, id: str, execution: str | None, version: int | None, reason: str
    ) -> tuple[WorkspaceRecord, Mapping[str, Any]]:
        """The record, and what became of its variables."""
        began = self._clock.now()
        with self._locks.only(id):
            record = self._read(id, version)
            after = self._moved(record, Verb.STOP, reason, execution=execution)
            if after is record:
                return record, {}
            variables = self._keep_variables(record)
            ended, record = record.execution, self._store.replace(after, tell=self._tell("stop", began))
            self._reach("stop", "record")
            self._engine.end(ended)
            self._reach("stop", "container")
        self._containers.expect(record.spec(self._places.home(record)))
        return self._changed("stop", record, began), variables

    def _vault(self) -> Vault:
        return self._open_vault()

    def _save_all(
        self, vault: Vault, record: WorkspaceRecord, reason: str, details: Mapping[str, Any], watch: Watch
    ) -> None:
        """All that there is, safe; `Conflict` names what could not be read as it was."""
        report = vault.save(
            record, Reason.ARCHIVE, author=record.owner, message=reason, details=details, if_changed=True, watch=watch
        )
        missed = sum(report.said.count(kind) for kind in NOT_SAVED)
        if missed:
            named = ", ".join(report.said.paths(*NOT_SAVED)[:NOT_SAVED_SHOWN])
            raise Conflict(
                f"{missed} files of {record.name!r} could not be saved, so nothing is removed: {named}",
                "See to it that they can be read and that nobody writes to them, then archive it again",
            )
        vault.make_safe(record, report.version or vault.version(record.id))

    def _free(self, vault: Vault, record: WorkspaceRecord) -> None:
        """Nothing of it on this machine; safe already, but for what was written from outside of its container."""
        self._places.put_away(record)
        late = vault.save(
            record,
            Reason.ARCHIVE,
            author=record.owner,
            message="written while it was archived",
            details=vault.newest_details(record.id),
            files=self._places.archived(record),
            if_changed=True,
        )
        if late.version is not None:
            vault.make_safe(record, late.version)
        self._places.erase_archived(record)
        self._reach("archive", "files")
        self._erase_home(record)
        self._reach("archive", "home")

    def _complete(self, vault: Vault, record: WorkspaceRecord) -> list[str]:
        """Of an archived one: leave nothing here, whatever was interrupted."""
        if self._places.is_recovering(record):
            self._places.put_away(record)
            self._places.erase_archived(record)
            self._erase_home(record)
            self._places.unmark_recovering(record)
            return [f"workspace {record.name}: what a recovery had begun was removed"]
        if self._places.is_put_away(record) or not vault.has(record.id):
            return []
        self._free(vault, record)
        return [f"workspace {record.name}: its files were removed; the object store has them"]

    def _mend(self, record: WorkspaceRecord) -> list[str]:
        """A restore that somebody's death has interrupted: done or undone."""
        state_dir = self._places.known_snapshots(record.id)
        if state_dir is None:
            return []
        from ..snapshots.exchange import recover

        with self._locks.only(record.id):
            return [f"workspace {record.name}: {line}" for line in recover(state_dir)]

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
                if self._stands_still(record):
                    self._engine.thaw(record)
                    return [f"workspace {record.name}: was frozen, and nobody had suspended it"]
            elif record.frozen:
                if not self._engine.is_frozen(record):
                    self._engine.freeze(record)
                    return [f"workspace {record.name}: ran on, though it is suspended"]
            elif record.state is State.ARCHIVED and not self._places.is_put_away(record):
                return self._complete(self._vault(), record)
            elif record.state is State.DELETED:
                self._erase(record, record.state_since)
                return [f"workspace {record.name}: deleted"]
        return []

    def _looks_wrong(self, record: WorkspaceRecord) -> bool:
        """Seen without the lock: whoever finishes it looks again."""
        if record.state is State.DELETED:
            return True
        if record.execution:
            return not self._engine.run(record).listens() or record.frozen is not self._stands_still(record)
        return record.state is State.ARCHIVED and not self._places.is_put_away(record)

    def _erase(self, record: WorkspaceRecord, began: float) -> None:
        with self._lock:
            self._live.pop(record.id, None)
        self._places.erase_files(record)
        self._reach("delete", "files")
        self._erase_home(record)
        self._reach("delete", "home")
        self._vault().erase(record.id)
        self._reach("delete", "versions")
        tell = self._tell("delete", began)
        self._store.remove(record.id, record.version, tell=lambda removed: tell(record) if removed else None)
        self._locks.forget(record.id)
        self._reach("delete", "forgotten")

    def _erase_home(self, record: WorkspaceRecord) -> None:
        from .variables_due import Due

        Due(self._places.home(record)).replace(())
        self._places.erase_home(record)

    # -- variables -------------------------------------------------------------------------------------------------

    def _described(self, record: WorkspaceRecord) -> dict[str, Any]:
        """Details of a version that is about to be saved; its kernels' variables are in its home by then, and what is
        typed into open documents in its files."""
        for write in self.before_saves:
            write(record)
        return self._described_with(record, self._keep_variables(record))

    def _described_with(self, record: WorkspaceRecord, variables: Mapping[str, Any]) -> dict[str, Any]:
        from .variables_due import Due

        vault, due = self._vault(), Due(self._places.home(record)).keys()
        before = vault.newest_details(record.id).get("variables") if due else None
        return {**vault.described(record), "variables": with_due(variables, due, before)}

    def _keep_variables(self, record: WorkspaceRecord) -> dict[str, Any]:
        """Of a container that runs or is frozen, which it is again afterwards: into its home, as far as that goes.

        By kernel, what became of each; empty where there were none. A kernel that goes wrong here stops nothing.
        """
        if not record.execution:
            return {}
        from .variables import save

        frozen = record.frozen or self._stands_still(record)
        try:
            if frozen:
                self._engine.thaw(record)
            try:
                report = save(self._connected(record), seconds=VARIABLES_SECONDS, clock=self._clock)
            finally:
                if frozen:
                    self._engine.freeze(record)
        except SylaError as exc:
            log.warning("workspace %s: variables of its kernels were not saved: %s", record.name, exc)
            return {}
        for line in report.lines():
            log.info("workspace %s: %s", record.name, line)
        return report.details()
