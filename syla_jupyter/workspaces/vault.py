"""Where versions of workspaces are: a repository for each in the object store, a second copy where there is a backup.

Knows directories and stores; no container. What it is given stands still or does not, that is the caller's affair
(`versions`, `registry`). A version is *safe* when it is committed, its chunks are all in the index, and the entry that
lets another installation find it is written: only then may somebody remove what it holds.

What the first store has lost, or gives damaged, is read from the backup. A backup that does not answer stops no save.
Listeners are told of every version, whoever had it taken; one that fails undoes nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..model.errors import (
    BadPath,
    Conflict,
    ObjectsFailed,
    SnapshotDamaged,
    SylaError,
    UnknownVersion,
)
from ..model.record import WorkspaceRecord
from ..model.snapshot import Reason, RepairReport, Version
from .inventory import packages, variable_lines
from .repositories import Repositories, chosen

if TYPE_CHECKING:
    from ..snapshots.progress import Progress
    from ..snapshots.repository import Repository
    from ..snapshots.restore import RestoreReport
    from ..snapshots.save import SaveReport

log = logging.getLogger("syla.snapshots")
FILES, HOME = "files", "home"
SAVES = 2
"""Attempts, where a collector has removed what a save relied on."""


def never() -> bool:
    return False


def nothing() -> None:
    """Of whoever wants to know no more."""


@dataclass(frozen=True)
class Watch:
    """Of a long verb: who is told how far it is, and who is asked whether to go on."""

    progress: Callable[[Progress], None] | None = None
    cancelled: Callable[[], bool] = never
    """Asked often, until it is decided."""
    decided: Callable[[], None] = nothing
    """Called where it cannot be taken back any more, perhaps more than once; raises `Cancelled` where it is to be."""
    note: Callable[[str], None] = lambda line: None
    """One line for a person: what did not come back, and why."""


QUIET = Watch()


@dataclass(frozen=True)
class Restored:
    version: Version
    report: RestoreReport
    notes: tuple[str, ...] = ()
    """One line each, for a person."""


@dataclass(frozen=True)
class Saved:
    """What listeners are told."""

    record: WorkspaceRecord
    version: Version
    report: SaveReport
    seconds: float
    """From the first file to the last copy."""


class Vault(Repositories):
    listeners: Sequence[Callable[[Saved], None]] = ()
    """Called with the workspace's lock held."""

    # -- save ------------------------------------------------------------------------------------------------------

    def save(
        self,
        record: WorkspaceRecord,
        reason: Reason,
        *,
        author: str,
        message: str = "",
        details: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
        files: Path | None = None,
        if_changed: bool = False,
        watch: Watch = QUIET,
    ) -> SaveReport:
        """A version of files and home as they are now; committed, and copied to the backup, on return.

        `files`: where they are, when not at their place. `if_changed`: none where the newest version is the same.
        `BadPath` where they are gone, lest a disk that is not mounted make a version without them; one that is taken
        before they are brought back has what there is.
        """
        from ..snapshots.save import save
        from ..snapshots.tree import Part

        if files is None and reason is not Reason.PRE_RESTORE and not os.path.lexists(record.files):
            raise BadPath("files", f"{record.files} is not there", "Mount its disk, or go back to a version")
        began = self._clock.monotonic()
        self.check_holder(record)
        self._places.make_home(record)
        parts = [Part(FILES, files or record.files), Part(HOME, self._places.home(record))]
        for attempt in range(SAVES):
            try:
                with self.repository(record.id, make=True) as repository:
                    report = save(
                        repository,
                        [part for part in parts if os.path.lexists(part.directory)],
                        author=author,
                        message=message,
                        reason=reason,
                        details=dict(details or {}),
                        tags=tags,
                        exclude=[f"{FILES}/{name}" for name in record.masked],
                        if_changed=if_changed,
                        progress=watch.progress,
                        cancelled=watch.cancelled,
                        decided=watch.decided,
                        clock=self._clock,
                        cache_dir=self._places.snapshots(record.id),
                    )
                break
            except Conflict:
                if attempt == SAVES - 1:
                    raise
        if report.version is not None:
            self.register(record)
            self.copy(record)
            self._tell(Saved(record, report.version, report, self._clock.monotonic() - began))
        return report

    def _tell(self, saved: Saved) -> None:
        for listener in self.listeners:
            try:
                listener(saved)
            except Exception:
                log.exception("a listener of snapshots failed")

    def make_safe(self, record: WorkspaceRecord, version: Version) -> None:
        """Raises unless the store has all that the version holds."""
        with self.repository(record.id) as repository:
            found = repository.verify(numbers=[version.number])
            lost = version.number in found.lost or version.number not in {v.number for v in repository.versions()}
            if lost or any(damage.key.startswith("index/") for damage in found.damage):
                raise SnapshotDamaged(
                    f"version {version.number} of {record.name!r} is not whole in {self.objects.description}",
                    "`syla snapshot repair`, then try again",
                )

    def repair(self, id: str, watch: Watch) -> RepairReport:
        """Take damaged objects anew from the backup, save what else can be saved, name what is lost.

        A backup that does not answer stops it: what only that has would be left out for good.
        """
        from ..snapshots.heal import heal
        from ..snapshots.lost import lost_files

        healed: tuple[str, ...] = ()
        progress, cancelled = watch.progress, watch.cancelled
        for data in (False, False, True):
            if self.backup is None:
                break
            # What the log names is seen when the log is whole; so is what the index names.
            with self.repository(id) as repository:
                damage = repository.verify(data=data, progress=progress, cancelled=cancelled).damage
                healed += heal(repository, self.backup, id, damage)
        with self.repository(id) as repository:
            report = repository.repair(progress=progress, cancelled=cancelled)
            return replace(report, healed=healed, lost_files=lost_files(repository, report.lost))

    def described(self, record: WorkspaceRecord) -> dict[str, Any]:
        """Of a version that is saved now: packages by name, and the image below them."""
        return {"packages": packages(self._places.home(record)), "image": self._image(record)}

    # -- files that travel -----------------------------------------------------------------------------------------

    def export(self, id: str, number: int | None, config: Mapping[str, Any], out: BinaryIO, watch: Watch) -> Version:
        """A version (None: the newest) as one file that needs no key."""
        from ..snapshots.archive_file import export

        with self.repository(id) as repository:
            version = chosen(repository, number)
            export(
                repository,
                version,
                config,
                out,
                clock=self._clock,
                progress=watch.progress,
                cancelled=watch.cancelled,
            )
        return version

    def receive(self, record: WorkspaceRecord, source: BinaryIO, watch: Watch) -> list[str]:
        """What `export` wrote, into the empty directories of a workspace; lines for a person. It may be anybody's."""
        from ..snapshots.archive_import import import_archive

        self._places.make_home(record)
        with self._places.exchanged(record):
            imported = import_archive(
                source,
                {FILES: record.files, HOME: self._places.home(record)},
                state_dir=self._places.snapshots(record.id),
                clock=self._clock,
                owner=self._owner,
                progress=watch.progress,
                cancelled=watch.cancelled,
            )
        return imported.said.lines()

    # -- back ------------------------------------------------------------------------------------------------------

    def put_back(
        self,
        record: WorkspaceRecord,
        number: int | None = None,
        *,
        of: str | None = None,
        paths: Sequence[str] = (),
        partial: bool = False,
        watch: Watch = QUIET,
    ) -> Restored:
        """Have a version (None: the newest) in the workspace's directories, or the `paths` of it, `files/a/b` each.

        `of`: the workspace whose version it is, when it is another one. `partial`: what is left of a damaged one.
        `watch.decided` is called when all of it is beside what is there, and nothing is in its place yet.
        """
        source = of or record.id
        try:
            with self.repository(source) as repository:
                return self._put_back(repository, record, number, paths, partial and self.backup is None, watch)
        except (SnapshotDamaged, ObjectsFailed, UnknownVersion) as exc:
            if self.backup is None:
                raise
            try:
                with self.repository(source, from_backup=True) as repository:
                    restored = self._put_back(repository, record, number, paths, partial, watch)
            except UnknownVersion:
                raise exc from None
            note = f"read from the backup, because of the first store: {exc}"
            log.warning("workspace %s: %s", record.name, note)
            return Restored(restored.version, restored.report, (*restored.notes, note))

    def _put_back(
        self,
        repository: Repository,
        record: WorkspaceRecord,
        number: int | None,
        paths: Sequence[str],
        partial: bool,
        watch: Watch,
    ) -> Restored:
        from ..snapshots.restore import restore

        version = chosen(repository, number)
        targets = {FILES: record.files, HOME: self._places.home(record)}
        parts = version.details.get("parts")
        if not paths and isinstance(parts, list):  # one that was taken while a directory was gone
            targets = {part: target for part, target in targets.items() if part in parts}
        # Paths come beneath a container that runs, which keeps its limit.
        with contextlib.nullcontext() if paths else self._places.exchanged(record):
            report = restore(
                repository,
                version,
                targets,
                paths=paths,
                partial=partial,
                progress=watch.progress,
                cancelled=watch.cancelled,
                decided=watch.decided,
                owner=self._owner,
                clock=self._clock,
                state_dir=self._places.snapshots(record.id),
            )
        if not paths:
            self.due(record, version.details.get("variables"))
        return Restored(version, report)

    def due(self, record: WorkspaceRecord, variables: Any) -> None:
        """The kernels that start next have these variables; `variables`: a version's details of them."""
        from .variables_due import Due, keys_of

        Due(self._places.home(record)).replace(keys_of(variables))

    def told(self, record: WorkspaceRecord, restored: Restored, *, whole: bool = True) -> list[str]:
        """What a person should know after a version was put back: one line each. Not `whole`: paths of it."""
        lines = [*restored.notes, *restored.report.lines()]
        if not whole:
            return lines  # kernels go on, with the variables and packages they have
        lines += variable_lines(restored.version.details.get("variables"))
        then, now = restored.version.details.get("image", ""), self._image(record)
        if then and now and then != now:
            lines.append(f"it was saved on image {then} and starts on {now} now: installed packages may not fit")
        return lines

    def _image(self, record: WorkspaceRecord) -> str:
        try:
            return self._image_of(record.template)
        except SylaError:
            return ""
