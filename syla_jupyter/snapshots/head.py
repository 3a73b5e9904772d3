"""The newest head of the log that this machine has seen, in a small file: a store that goes back in time is noticed."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path

from ..model.errors import SnapshotDamaged
from .state import State

Seen = tuple[int, bytes]


class Head:
    """`directory`: None remembers nothing. The file is a help, not a record: an unreadable one counts as none."""

    def __init__(self, directory: Path | None) -> None:
        self._file = directory / "head" if directory else None
        self._written: Seen = (0, b"")

    def read(self) -> Seen:
        if self._file:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                value = json.loads(self._file.read_bytes()[:1000])
                return int(value["sequence"]), bytes.fromhex(value["hash"])
        return 0, b""

    def check(self, seen: Seen, state: State) -> None:
        sequence, hash = seen
        known = state.hash_of(sequence)
        if sequence > state.sequence or (known and hash and known != hash):
            raise SnapshotDamaged(
                f"The object store has gone back: its log ends at {state.sequence}, this machine has seen {sequence}",
                f"Put back the newer copy; to go on with the older one, delete {self._file}",
            )

    def write(self, state: State) -> None:
        seen = (state.sequence, state.head)
        if self._file is None or seen == self._written or not state.head:
            return
        with contextlib.suppress(OSError):  # a full disk of the cache must not stop a commit
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = self._file.with_name(f"head.{os.getpid()}.{secrets.token_hex(4)}")
            temporary.write_text(json.dumps({"sequence": seen[0], "hash": seen[1].hex()}))
            temporary.replace(self._file)
            self._written = seen
