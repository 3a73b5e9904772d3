"""Index objects as this machine keeps them: encrypted as they are in the store, and checked by their name each time."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Collection
from pathlib import Path

from ..model.errors import SnapshotDamaged
from ..objects.base import ObjectStore
from .crypto import SEALED_MAX_BYTES, object_hash
from .format import index_key


class IndexCache:
    """`directory`: None keeps nothing. Whatever goes wrong with it costs a request, no more."""

    def __init__(self, objects: ObjectStore, directory: Path | None) -> None:
        self._objects = objects
        self._directory = directory / "index" if directory else None

    def get(self, id: bytes) -> bytes:
        """`ObjectMissing`, `SnapshotDamaged`."""
        if self._directory:
            with contextlib.suppress(OSError):
                data = (self._directory / id.hex()).read_bytes()
                if object_hash(data) == id:
                    return data
        data = self._objects.get(index_key(id), max_bytes=SEALED_MAX_BYTES)
        if object_hash(data) != id:
            raise SnapshotDamaged("is not what was written")
        self.put(id, data)
        return data

    def put(self, id: bytes, data: bytes) -> None:
        if self._directory is None:
            return
        with contextlib.suppress(OSError):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = self._directory / f"{id.hex()}.{os.getpid()}.{secrets.token_hex(4)}"
            temporary.write_bytes(data)
            temporary.replace(self._directory / id.hex())

    def keep(self, ids: Collection[bytes]) -> None:
        """Forget all others."""
        names = {id.hex() for id in ids}
        if self._directory:
            with contextlib.suppress(OSError):
                for path in self._directory.iterdir():
                    if path.name.partition(".")[0] not in names:
                        path.unlink(missing_ok=True)
