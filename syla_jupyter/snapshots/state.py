"""What a repository holds after its first n log records, and what each kind of record does to that. Pure.

| kind | says |
|---|---|
| snapshot | a new version, and the index objects that came with it |
| forget | numbers of versions that are no more |
| tag | the tags of one version, all of them |
| index | index objects that take the place of others |
| collect | the same, and keys of objects (`dead`) that are about to be deleted; and (`gone`) of those that were |

Nothing of packs or index objects is ever deleted before a record has named it. Who wants to commit has read every
record before his own, and so knows whether something he relies on is about to go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..model.errors import SnapshotDamaged
from ..model.snapshot import Version
from .format import ID_BYTES, decode_version, encode_version, split_ids

RECENT = 128
"""Hashes of so many last records are known: more than lie between two checkpoints."""
SNAPSHOT, FORGET, TAG, INDEX, COLLECT = "snapshot", "forget", "tag", "index", "collect"


@dataclass
class State:
    sequence: int = 0
    """Number of the last record."""
    recent: tuple[bytes, ...] = ()
    """Hashes of the last records, the last one last; empty bytes for one that cannot be read."""
    next_number: int = 1
    versions: dict[int, Version] = field(default_factory=dict)
    lost: tuple[int, ...] = ()
    """Numbers of versions whose record is gone."""
    indexes: dict[bytes, int] = field(default_factory=dict)
    """Id of an index object -> its size in bytes."""
    tombstones: dict[str, int] = field(default_factory=dict)
    """Key of an object that is dead -> the record that said so."""
    collections: int = 0
    """How many collect records there were."""

    @property
    def head(self) -> bytes:
        return self.recent[-1] if self.recent else b""

    def copy(self) -> State:
        """One that later records do not change."""
        return replace(self, versions=dict(self.versions), indexes=dict(self.indexes), tombstones=dict(self.tombstones))

    def hash_of(self, sequence: int) -> bytes:
        """Empty where it is not known."""
        back = self.sequence - sequence
        return self.recent[-1 - back] if 0 <= back < len(self.recent) else b""

    def advance(self, hash: bytes) -> None:
        self.sequence += 1
        self.recent = (*self.recent, hash)[-RECENT:]

    def apply(self, record: Mapping[str, Any]) -> None:
        """`SnapshotDamaged` for what is no record; the state is as before then."""
        try:
            kind = record["kind"]
            if kind == SNAPSHOT:
                version = decode_version(record["version"])
                added = _indexes(record["index"])
                self.lost += tuple(range(self.next_number, version.number))
                self.versions[version.number] = version
                self.next_number = max(self.next_number, version.number + 1)
                self.indexes |= added
            elif kind == FORGET:
                for number in [int(number) for number in record["numbers"]]:
                    self.versions.pop(number, None)
            elif kind == TAG:
                number, tags = int(record["number"]), tuple(str(tag) for tag in record["tags"])
                if number in self.versions:
                    self.versions[number] = replace(self.versions[number], tags=tags)
            elif kind in (INDEX, COLLECT):
                self._reindex(record, collect=kind == COLLECT)
            else:
                raise SnapshotDamaged(f"a log record of kind {kind!r:.40} was written by a newer version")
        except (KeyError, TypeError, ValueError) as exc:
            raise SnapshotDamaged(f"a log record is damaged ({type(exc).__name__}: {exc})") from None

    def _reindex(self, record: Mapping[str, Any], *, collect: bool) -> None:
        added, dropped = _indexes(record["index"]), split_ids(record["drop"])
        dead = [str(key) for key in record["dead"]] if collect else []
        gone = [str(key) for key in record["gone"]] if collect else []
        for id in dropped:
            self.indexes.pop(id, None)
        self.indexes |= added
        for key in gone:
            self.tombstones.pop(key, None)
        self.tombstones |= dict.fromkeys(dead, self.sequence + 1)
        self.collections += collect

    def encode(self) -> dict[str, Any]:
        return {
            "sequence": self.sequence,
            "recent": list(self.recent),
            "next_number": self.next_number,
            "versions": [encode_version(version) for version in self.versions.values()],
            "lost": list(self.lost),
            "indexes": encode_indexes(self.indexes),
            "tombstones": [[key, sequence] for key, sequence in self.tombstones.items()],
            "collections": self.collections,
        }

    @classmethod
    def decode(cls, value: Mapping[str, Any]) -> State:
        try:
            versions = [decode_version(version) for version in value["versions"]]
            return cls(
                sequence=int(value["sequence"]),
                recent=tuple(bytes(hash) for hash in value["recent"]),
                next_number=int(value["next_number"]),
                versions={version.number: version for version in versions},
                lost=tuple(int(number) for number in value["lost"]),
                indexes=_indexes(value["indexes"]),
                tombstones={str(key): int(sequence) for key, sequence in value["tombstones"]},
                collections=int(value["collections"]),
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise SnapshotDamaged(f"a checkpoint is damaged ({type(exc).__name__}: {exc})") from None


def encode_indexes(indexes: Mapping[bytes, int]) -> list[list[Any]]:
    return [[id, size] for id, size in indexes.items()]


def _indexes(value: Any) -> dict[bytes, int]:
    result = {bytes(id): int(size) for id, size in value}
    if any(len(id) != ID_BYTES for id in result):
        raise ValueError("the id of an index object has an odd length")
    return result
