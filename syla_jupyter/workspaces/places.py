"""A workspace's directories on the host: its files, and its home.

    <root>/workspaces/<name>            files, seen by people and by Jupyter
    <root>/workspaces/.archived/<id>    the same while they are being removed: a rename away, so they vanish at once
    <data>/homes/<id>                   home
    <data>/snapshots/<id>               what is remembered of its snapshots; a cache, and journals of running restores

An archived workspace has none of them. Its home goes last: while it is there, an archived workspace is not yet off this
machine, and whoever comes next goes on. Where it is gone, whatever stands in the place of the files is somebody else's.

What is in them was written by the container: nothing here follows a link that could be of its making. Where the file
system offers it, files and home have a limit (`disk_quota`) from when they are made until they are removed.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ..model.errors import BadPath, NotConfirmed
from ..model.record import WorkspaceRecord
from ..runtimes.mounts import mounts_below
from ..runtimes.removal import remove_tree
from .disk_quota import DiskQuotas

ARCHIVED_DIR = ".archived"
RECOVERING = "recovering"


class Places:
    """`quotas`: None: as the file systems offer."""

    def __init__(self, data_dir: Path, quotas: DiskQuotas | None = None) -> None:
        self._data_dir = data_dir
        self._quotas = quotas or DiskQuotas()

    def home(self, record: WorkspaceRecord) -> Path:
        return self._data_dir / "homes" / record.id

    def archived(self, record: WorkspaceRecord) -> Path:
        return record.files.parent / ARCHIVED_DIR / record.id

    def snapshots(self, id: str) -> Path:
        """Made when it is missing."""
        directory = self._data_dir / "snapshots" / id
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return directory

    def known_snapshots(self, id: str) -> Path | None:
        """The same where it is; None: nothing was ever saved or restored here."""
        directory = self._data_dir / "snapshots" / id
        return directory if directory.is_dir() else None

    def make(self, record: WorkspaceRecord) -> None:
        """Where the files are to be is a directory, and no link leads there; `BadPath` when it cannot be."""
        if not record.is_default:
            self._make_files(record)
        self._hold(record)

    def _make_files(self, record: WorkspaceRecord) -> None:
        try:
            for directory in (record.files.parent, record.files):
                with contextlib.suppress(FileExistsError):
                    directory.mkdir(parents=directory == record.files.parent)
                if not stat.S_ISDIR(directory.lstat().st_mode):
                    raise BadPath("files", f"{directory} is not a directory", "Move it away, or choose another name")
        except OSError as exc:
            raise BadPath("files", f"{record.files} cannot be made: {exc.strerror}") from exc

    def make_home(self, record: WorkspaceRecord) -> None:
        self.home(record).mkdir(mode=0o700, parents=True, exist_ok=True)

    def counted(self, record: WorkspaceRecord) -> list[Path]:
        """What its limit on disk is about; of the default workspace the home alone: its files were there before."""
        return [self.home(record)] if record.is_default else [record.files, self.home(record)]

    def _hold(self, record: WorkspaceRecord) -> None:
        if any(self._quotas.at(directory.parent).hard for directory in self.counted(record)):
            self.make_home(record)
            self._quotas.hold(record.id, self.counted(record), record.limits.disk_bytes)

    @contextlib.contextmanager
    def exchanged(self, record: WorkspaceRecord) -> Iterator[None]:
        """While the host puts other trees in place of all of it, and no container runs: its limit is in no way."""
        self._hold(record)
        with self._quotas.lifted(record.id, self.counted(record)):
            yield

    def limit(self, record: WorkspaceRecord) -> None:
        """Has the limit that the record says, where it has one."""
        self._quotas.change(record.id, self.counted(record), record.limits.disk_bytes)

    def used_bytes(self, record: WorkspaceRecord) -> int | None:
        """What the file system counts of it; None where it has no limit there, and nobody counts."""
        return self._quotas.used_bytes(record.id, self.counted(record))

    def disks(self, record: WorkspaceRecord) -> list[Path]:
        """Where to ask what is free on the disks that it is on."""
        return [self._quotas.disk_of(record.id, directory) for directory in (record.files, self.home(record))]

    def check_unmounted(self, record: WorkspaceRecord) -> None:
        """Before its directories are removed: `BadPath` where somebody has mounted something in them.

        No version holds what is on another file system, and removing it is nobody's wish.
        """
        for place in (record.files, self.archived(record), self.home(record)):
            if mounted := mounts_below(place):
                raise BadPath("files", f"{mounted[0]} is mounted inside the workspace", "Unmount it, then try again")

    def put_away(self, record: WorkspaceRecord) -> None:
        """By a rename within one file system: whole or not at all; no error when it is done already."""
        self._quotas.release(record.id, self.counted(record))
        place = self.archived(record)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.path.lexists(place):
            return
        with contextlib.suppress(FileNotFoundError):
            record.files.rename(place)

    def is_put_away(self, record: WorkspaceRecord) -> bool:
        """Nothing of it is on this machine."""
        return not os.path.lexists(self.home(record)) and not os.path.lexists(self.archived(record))

    def mark_recovering(self, record: WorkspaceRecord) -> None:
        (self.snapshots(record.id) / RECOVERING).touch(mode=0o600)
        self.make_home(record)

    def unmake_empty(self, record: WorkspaceRecord) -> None:
        """After a recovery that failed: the directories that were made for it, and its mark, if they are empty."""
        for directory in (record.files, self.home(record)):
            with contextlib.suppress(FileNotFoundError):
                try:
                    directory.rmdir()
                except OSError:
                    return
        self.unmark_recovering(record)

    def is_recovering(self, record: WorkspaceRecord) -> bool:
        return (self.snapshots(record.id) / RECOVERING).exists()

    def unmark_recovering(self, record: WorkspaceRecord) -> None:
        (self.snapshots(record.id) / RECOVERING).unlink(missing_ok=True)

    def check_free(self, record: WorkspaceRecord) -> None:
        """`NotConfirmed` when something stands where its files belong; an empty directory is nothing."""
        with contextlib.suppress(OSError):
            record.files.rmdir()
        if os.path.lexists(record.files):
            raise NotConfirmed(
                "files", f"{record.files} is there already", "Move it elsewhere: the workspace's own files belong there"
            )

    def erase_files(self, record: WorkspaceRecord) -> None:
        self._quotas.release(record.id, self.counted(record))
        for place in (record.files, self.archived(record)):
            remove_tree(place)

    def erase_archived(self, record: WorkspaceRecord) -> None:
        remove_tree(self.archived(record))

    def erase_home(self, record: WorkspaceRecord) -> None:
        remove_tree(self.home(record))

    def forget_snapshots(self, id: str) -> None:
        remove_tree(self._data_dir / "snapshots" / id)
