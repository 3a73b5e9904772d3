"""A workspace's directories on the host: its files, where they are while it is archived, and its home.

    <root>/workspaces/<name>            files, seen by people and by Jupyter
    <root>/workspaces/.archived/<id>    the same while it is archived: on the same file system, so moving is a rename
    <data>/homes/<id>                   home

What is in them was written by the container: nothing here follows a link that could be of its making.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from ..model.errors import BadPath, NotConfirmed
from ..model.record import WorkspaceRecord
from ..runtimes.removal import remove_tree

ARCHIVED_DIR = ".archived"


class Places:
    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def home(self, record: WorkspaceRecord) -> Path:
        return self._data_dir / "homes" / record.id

    def archived(self, record: WorkspaceRecord) -> Path:
        return record.files.parent / ARCHIVED_DIR / record.id

    def make(self, record: WorkspaceRecord) -> None:
        """Where the files are to be is a directory, and no link leads there; `BadPath` when it cannot be."""
        if record.is_default:
            return
        try:
            for directory in (record.files.parent, record.files):
                with contextlib.suppress(FileExistsError):
                    directory.mkdir(parents=directory == record.files.parent)
                if not stat.S_ISDIR(directory.lstat().st_mode):
                    raise BadPath("files", f"{directory} is not a directory", "Move it away, or choose another name")
        except OSError as exc:
            raise BadPath("files", f"{record.files} cannot be made: {exc.strerror}") from exc

    def put_away(self, record: WorkspaceRecord) -> None:
        """By a rename within one file system: whole or not at all; no error when it is done already."""
        place = self.archived(record)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            record.files.rename(place)

    def is_put_away(self, record: WorkspaceRecord) -> bool:
        return not os.path.lexists(record.files)

    def bring_back(self, record: WorkspaceRecord) -> None:
        """No error when it is done already; `NotConfirmed` when something else is in its place."""
        if not os.path.lexists(self.archived(record)):
            return
        if os.path.lexists(record.files):
            raise NotConfirmed(
                "files", f"{record.files} is there already", "Move it elsewhere: the workspace's own files belong there"
            )
        self.archived(record).rename(record.files)

    def erase_files(self, record: WorkspaceRecord) -> None:
        for place in (record.files, self.archived(record)):
            remove_tree(place)

    def erase_home(self, record: WorkspaceRecord) -> None:
        remove_tree(self.home(record))
