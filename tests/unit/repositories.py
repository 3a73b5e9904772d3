"""Repositories for tests: a version is a list of byte strings, its manifest the list of their ids."""

from __future__ import annotations

from collections.abc import Sequence

from syla_jupyter.model.errors import SnapshotDamaged
from syla_jupyter.model.snapshot import Version
from syla_jupyter.objects.base import ObjectStore
from syla_jupyter.snapshots.format import index_key
from syla_jupyter.snapshots.keys import LocalKey
from syla_jupyter.snapshots.repository import Repository

from .clocks import HandClock

KEY = LocalKey(bytes(range(32)))
WORKSPACE = "0123456789ab"
PREFIX = f"workspaces/{WORKSPACE}/"


def references(chunk: bytes) -> list[bytes]:
    if len(chunk) % 32:
        raise SnapshotDamaged("this is no manifest")
    return [chunk[at : at + 32] for at in range(0, len(chunk), 32)]


def create(objects: ObjectStore, **more: object) -> Repository:
    return Repository.create(objects, WORKSPACE, KEY, **{"clock": HandClock(), "references": references, **more})


def reopen(objects: ObjectStore, **more: object) -> Repository:
    return Repository.open(objects, WORKSPACE, KEY, **{"clock": HandClock(), "references": references, **more})


def save(repository: Repository, pieces: Sequence[bytes], message: str = "") -> Version:
    with repository.session() as session:
        root = session.add([b"".join(session.add(pieces))], metadata=True)
        return session.commit({"message": message, "root": root, "files": len(pieces)})


def content(repository: Repository, version: Version) -> list[bytes]:
    """What was saved; read one by one, and compared with what `fetch` gives."""
    ids = [id for root in version.root for id in references(repository.read(root))]
    together = {id: bytes(data) for id, data in repository.fetch(ids)}
    one_by_one = [repository.read(id) for id in ids]
    assert one_by_one == [together[id] for id in ids]
    return one_by_one


def assert_clean(objects: ObjectStore, repository: Repository) -> None:
    """Nothing lies in the store that no version needs."""
    keys = {info.key.removeprefix(PREFIX) for info in objects.list(PREFIX)}
    packs = {pack.key for pack in repository.index.packs.values()}
    assert {key for key in keys if key.startswith("packs/")} == packs
    assert {key for key in keys if key.startswith("index/")} == {index_key(id) for id in repository.log.state.indexes}
    assert not {key for key in keys if key.startswith("pending/")}
