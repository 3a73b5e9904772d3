"""What the object store says of whole workspaces: one encrypted entry each, so that another data directory with the
same store and master key can bring them back.

    catalog/<id>    JSON: a fresh key wrapped by the master key, a nonce, the record sealed with that key

An entry also names its *holder*, the installation that has the workspace now. Who recovers it elsewhere becomes the
holder; a former holder that deletes its own record leaves the versions alone. What a store gives is not trusted: an
entry that does not open, or speaks of another workspace, is left out of the list and refused by name.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..metadata.encoding import COLUMNS, from_row, to_row
from ..model.errors import ObjectMissing, SnapshotDamaged, SylaError
from ..model.record import State, WorkspaceRecord
from ..objects.base import ObjectStore

if TYPE_CHECKING:
    from ..snapshots.keys import MasterKey

PREFIX = "catalog/"
ENTRY_MAX_BYTES = 1 << 20
KEY_BYTES, NONCE_BYTES = 32, 12
FORMAT = 1


@dataclass(frozen=True)
class Entry:
    record: WorkspaceRecord
    """As it was when this was written; its files are those of the holder."""
    holder: str
    """Id of an installation."""
    written_at: float
    """Seconds since the epoch."""


class Entries:
    def __init__(self, objects: ObjectStore, master: MasterKey) -> None:
        self._objects, self._master = objects, master

    def write(self, entry: Entry) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        content = {"row": to_row(entry.record), "holder": entry.holder, "written_at": entry.written_at}
        key, nonce, where = os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES), _key(entry.record.id)
        sealed = AESGCM(key).encrypt(nonce, json.dumps(content).encode(), where.encode())
        envelope = {"format": FORMAT, "key": self._master.wrap(key, where), "nonce": _text(nonce)}
        self._objects.put(where, json.dumps({**envelope, "sealed": _text(sealed)}).encode())

    def read(self, id: str) -> Entry | None:
        """None: there is none. `SnapshotDamaged`, `KeyRefused`."""
        try:
            content = self._objects.get(_key(id), max_bytes=ENTRY_MAX_BYTES)
        except ObjectMissing:
            return None
        return self._opened(id, content)

    def all(self) -> Iterator[tuple[str, Entry | SylaError]]:
        """(workspace id, its entry or why it cannot be read), by id."""
        for info in self._objects.list(PREFIX):
            id = info.key.removeprefix(PREFIX)
            try:
                entry = self.read(id)
            except SylaError as exc:
                yield id, exc
                continue
            if entry is not None:
                yield id, entry

    def remove(self, id: str) -> None:
        self._objects.delete([_key(id)])

    def _opened(self, id: str, content: bytes) -> Entry:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        where = _key(id)
        try:
            envelope = json.loads(content)
            key = self._master.unwrap(dict(envelope["key"]), where)
            plain = json.loads(
                AESGCM(key).decrypt(_bytes(envelope["nonce"]), _bytes(envelope["sealed"]), where.encode())
            )
            record = from_row([plain["row"][name] for name in COLUMNS])
            entry = Entry(record, str(plain["holder"]), float(plain["written_at"]))
        except (ValueError, KeyError, TypeError, RecursionError, InvalidTag) as exc:
            raise SnapshotDamaged(
                f"the entry {where} of the object store cannot be read: {type(exc).__name__}"
            ) from exc
        if entry.record.id != id:
            raise SnapshotDamaged(f"the entry {where} of the object store speaks of another workspace")
        return entry


def adopted(entry: Entry, *, owner: str, files: Path, now: float) -> WorkspaceRecord:
    """The record of an installation that takes the workspace over: archived, its files to be in `files`."""
    record = entry.record
    since = record.state_since if record.state is State.ARCHIVED else now
    return dataclasses.replace(
        record,
        owner=owner,
        state=State.ARCHIVED,
        state_since=since,
        files=files,
        execution="",
        warned_at=0.0,
        reason="found in the object store",
        is_default=False,
        version=0,
    )


def _key(id: str) -> str:
    return f"{PREFIX}{id}"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: Any) -> bytes:
    return base64.b64decode(text, validate=True)
