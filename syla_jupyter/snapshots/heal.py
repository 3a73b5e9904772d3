"""Damaged objects of a repository, taken anew from a second copy of it, each after it was found genuine.

A pack or index object is named by its hash, and what stands in the log is sealed under its name: whatever the other
store gives, nothing but what was written here once takes a damaged object's place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..model.errors import ObjectMissing, SnapshotDamaged
from ..model.snapshot import Damage
from ..objects.base import ObjectStore
from .crypto import SEALED_MAX_BYTES, Keys, object_hash, unseal
from .log import BASE, RECORD
from .subtree import Subtree

if TYPE_CHECKING:
    from .repository import Repository


def heal(repository: Repository, backup: ObjectStore, workspace_id: str, damage: Iterable[Damage]) -> tuple[str, ...]:
    """Keys of the objects that are whole again; open the repository anew to see them. What the stores raise."""
    copy = Subtree(backup, workspace_id)
    healed: list[str] = []
    for one in damage:
        try:
            data = copy.get(one.key, max_bytes=SEALED_MAX_BYTES)
        except ObjectMissing:
            continue
        if _genuine(repository.keys, one.key, data):
            repository.objects.put(one.key, data)
            healed.append(one.key)
    return tuple(healed)


def _genuine(keys: Keys, key: str, data: bytes) -> bool:
    kind, _, name = key.partition("/")
    if kind in ("packs", "index"):
        return object_hash(data).hex() == name.rpartition("/")[2]
    if kind != "log":
        return False  # the config: `repair` writes it
    try:
        unseal(keys, BASE if name.startswith("base-") else RECORD, key, data)
    except SnapshotDamaged:
        return False
    return True
