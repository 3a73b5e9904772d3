"""A repository for each workspace in the object store, the entries to find them by, and their second copies.

What there is of a workspace in the stores is looked at, copied, let go and erased here; what goes in and comes out is
the vault's (`vault`). A backup that does not answer stops nothing: it is told, and the next save completes the copy.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..model.clock import Clock
from ..model.errors import Conflict, KeyRefused, ObjectMissing, SnapshotDamaged, SylaError, UnknownVersion
from ..model.record import WorkspaceRecord
from ..model.snapshot import VerifyReport, Version
from ..objects.base import ObjectStore
from .entries import Entries, Entry
from .places import Places
from .replica import replicate

if TYPE_CHECKING:
    from ..snapshots.keys import MasterKey
    from ..snapshots.repository import Repository

log = logging.getLogger("syla.snapshots")
DETAILS = ("packages", "image", "variables")


class Repositories:
    """Parameters
    ----------
    backup : a second store; None: there is none.
    installation : id of this one, as the holder of what it saves.
    owner : user and group id that restored files belong to; None: whoever this process is.
    image_of : the image that the containers of a template are made of now.
    """

    def __init__(
        self,
        *,
        objects: ObjectStore,
        backup: ObjectStore | None,
        master: MasterKey,
        places: Places,
        clock: Clock,
        installation: str,
        owner: tuple[int, int] | None,
        image_of: Callable[[str], str],
    ) -> None:
        self._image_of = image_of
        self.objects, self.backup, self.master = objects, backup, master
        self.entries = Entries(objects, master)
        self._places, self._clock, self._installation, self._owner = places, clock, installation, owner

    @contextlib.contextmanager
    def repository(self, id: str, *, make: bool = False, from_backup: bool = False) -> Iterator[Repository]:
        """`UnknownVersion` when the workspace has none and none is to be made."""
        from ..snapshots.repository import Repository

        objects, cache = self.objects, self._places.snapshots(id)
        if from_backup:
            assert self.backup is not None
            objects, cache = self.backup, cache / "backup"
        try:
            opened = Repository.open(objects, id, self.master, clock=self._clock, cache_dir=cache)
        except ObjectMissing:
            if not make:
                raise UnknownVersion("version", "this workspace has no snapshots", "`syla snapshot take`") from None
            if self.backup is not None:  # the first store has lost it: the copy has the key of what there was
                try:
                    replicate(self.backup, objects, prefix(id))
                except SylaError as exc:
                    log.warning("workspace %s: whether a backup has versions of it is not known: %s", id, exc)
            with contextlib.suppress(Conflict):  # it is there now, or somebody else makes it in this moment
                Repository.create(objects, id, self.master, clock=self._clock, cache_dir=cache).close()
            opened = Repository.open(objects, id, self.master, clock=self._clock, cache_dir=cache)
        try:
            yield opened
        finally:
            opened.close()

    def versions(self, id: str) -> list[Version]:
        """Oldest first; none when nothing was ever saved."""
        try:
            with self.repository(id) as repository:
                return repository.versions()
        except UnknownVersion:
            return []

    def version(self, id: str, number: int | None = None) -> Version:
        """None: the newest. `UnknownVersion`."""
        with self.repository(id) as repository:
            return chosen(repository, number)

    def newest_details(self, id: str) -> dict[str, Any]:
        """Of the newest version, without what the save itself has put there; empty where there is none."""
        versions = self.versions(id)
        details = dict(versions[-1].details) if versions else {}
        return {name: value for name, value in details.items() if name in DETAILS}

    def has(self, id: str) -> bool:
        return bool(self.versions(id))

    def check_recoverable(self, id: str) -> None:
        """`UnknownVersion` where neither store has a version; what else is wrong shows when it is read."""
        trouble: SylaError | None = None
        for from_backup in (False, True)[: 1 if self.backup is None else 2]:
            try:
                with self.repository(id, from_backup=from_backup) as opened:
                    if opened.versions():
                        return
            except UnknownVersion:
                pass
            except SylaError as exc:
                trouble = trouble or exc
        raise trouble or UnknownVersion(
            "version", "there is no version of this workspace", "Look into its directories by hand"
        )

    # -- holder and copies -----------------------------------------------------------------------------------------

    def check_holder(self, record: WorkspaceRecord) -> None:
        entry = self.entries.read(record.id)
        if entry is not None and entry.holder != self._installation:
            raise Conflict(
                f"workspace {record.name!r} was recovered by another installation, which has its versions now",
                "Export it, or clone what is here by hand; then delete it: the versions are left alone",
            )

    def register(self, record: WorkspaceRecord) -> None:
        """Say in the store that this installation has the workspace, whoever had it before."""
        entry = Entry(record, self._installation, self._clock.now())
        self.entries.write(entry)
        if self.backup is not None:
            with self._told(record):
                Entries(self.backup, self.master).write(entry)

    def copy(self, record: WorkspaceRecord, *, remove: bool = False) -> None:
        if self.backup is None:
            return
        with self._told(record):
            replicate(self.objects, self.backup, prefix(record.id), remove=remove)

    @contextlib.contextmanager
    def _told(self, record: WorkspaceRecord) -> Iterator[None]:
        try:
            yield
        except SylaError as exc:
            where = self.backup.description if self.backup else ""
            log.warning("workspace %s: its backup in %s is behind: %s", record.name, where, exc)

    # -- upkeep ----------------------------------------------------------------------------------------------------

    def verify(self, record: WorkspaceRecord, *, data: bool | float = False) -> VerifyReport:
        with self.repository(record.id) as repository:
            return repository.verify(data=data)

    def forget(self, record: WorkspaceRecord, numbers: Sequence[int]) -> None:
        with self.repository(record.id) as repository:
            repository.forget(numbers)
        self.copy(record)

    def pruned(self, record: WorkspaceRecord) -> None:
        """After a prune: the backup lets go of what the first store has, if that is whole."""
        if self.backup is not None and self.verify(record).ok:
            self.copy(record, remove=True)

    def erase(self, id: str) -> None:
        """All versions, for good, unless another installation has the workspace by now. The key goes first."""
        from ..snapshots.repository import Repository

        if self._may_erase(id):
            for store in filter(None, (self.objects, self.backup)):
                Repository.destroy(store, id)
                Entries(store, self.master).remove(id)
        self._places.forget_snapshots(id)

    def _may_erase(self, id: str) -> bool:
        try:
            entry = self.entries.read(id)
        except (SnapshotDamaged, KeyRefused) as exc:
            log.warning("the versions of workspace %s are left in %s: %s", id, self.objects.description, exc)
            return False
        return entry is None or entry.holder == self._installation


def chosen(repository: Repository, number: int | None) -> Version:
    """`UnknownVersion` says which there are."""
    versions = repository.versions()
    for version in reversed(versions):
        if number in (None, version.number):
            return version
    newest = f"The newest is {versions[-1].number}" if versions else "Take one first"
    raise UnknownVersion("version", f"there is no version {number}" if number else "there is no version", newest)


def prefix(id: str) -> str:
    return f"workspaces/{id}/"
