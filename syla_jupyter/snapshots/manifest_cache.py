"""The previous version's list of files, kept beside the machine that made it: a save compares with it.

The file is the host's own, and still only a cache: what is in it is checked by its ids, and whatever is wrong with it
means that the repository is asked instead.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgpack

from ..model.errors import SnapshotDamaged
from ..model.snapshot import Version
from . import manifest
from .tree import Entry

if TYPE_CHECKING:
    from .repository import Repository


class ManifestCache:
    def __init__(self, repository: Repository, directory: Path | None) -> None:
        self._repository = repository
        self.whole = False
        """All of the last list was here."""
        self._file = directory / "manifest" if directory else None

    def entries(self, version: Version) -> Mapping[bytes, Entry]:
        """By path. `SnapshotDamaged` never: an unreadable list is an empty one, and everything is read again."""
        try:
            held = self._held(version.root)
            self.whole = all(id_ in held for id_ in version.root)
            chunks = (held.get(id_) or self._repository.read(id_) for id_ in version.root)
            return {entry.path: entry for entry in manifest.own_entries(chunks)}
        except (SnapshotDamaged, ValueError, TypeError, IndexError):
            return {}

    def _held(self, root: Sequence[bytes]) -> dict[bytes, bytes]:
        if self._file is None:
            return {}
        try:
            chunks = msgpack.unpackb(self._file.read_bytes())
            wanted = set(root)
            return {id_: chunk for chunk in chunks if (id_ := self._repository.chunk_id(chunk)) in wanted}
        except (OSError, ValueError, TypeError):
            return {}

    def keep(self, root: Sequence[bytes], chunks: Sequence[bytes]) -> None:
        if self._file is None:
            return
        fresh = self._file.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(fd, "wb") as file:
                file.write(msgpack.packb(list(chunks)))
            fresh.rename(self._file)
