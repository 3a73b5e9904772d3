"""Which chunks the versions need: their manifests' chunks, and what those name. Each manifest chunk is read once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..model.errors import SnapshotDamaged
from ..model.snapshot import Version
from .format import ID_BYTES, split_ids

if TYPE_CHECKING:
    from .repository import Repository


@dataclass
class Reached:
    names: dict[bytes, bytes] = field(default_factory=dict)
    """A manifest's chunk -> the ids it names, one after the other."""
    unreadable: dict[bytes, str] = field(default_factory=dict)
    """Chunks of manifests that cannot be read, and why."""

    def ids(self) -> set[bytes]:
        """All of them, the manifests' own included."""
        found = set(self.names) | set(self.unreadable)
        for joined in self.names.values():
            found.update(joined[at : at + ID_BYTES] for at in range(0, len(joined), ID_BYTES))
        return found

    def of(self, version: Version) -> Iterable[bytes]:
        for id in version.root:
            yield id
            yield from split_ids(self.names.get(id, b""))


def reach(repository: Repository, versions: Iterable[Version], known: Reached | None = None) -> Reached:
    """`known`: what was reached before, and is not read again."""
    reached = known or Reached()
    wanted = {id for version in versions for id in version.root} - reached.names.keys()
    for id, chunk in repository.fetch(wanted, damaged=reached.unreadable):
        try:
            reached.names[id] = b"".join(repository.references(bytes(chunk)))
        except SnapshotDamaged as exc:
            reached.unreadable[id] = exc.message
    return reached
