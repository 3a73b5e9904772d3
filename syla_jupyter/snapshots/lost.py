"""Which files the lost chunks of versions belong to, as far as the versions' lists of files can be read."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from ..model.errors import SnapshotDamaged
from . import manifest
from .tree import ID_BYTES, Kind, shown

if TYPE_CHECKING:
    from .repository import Repository


def lost_files(repository: Repository, lost: Mapping[int, Collection[bytes]]) -> dict[int, tuple[str, ...]]:
    """Version -> paths for people, in order. `lost`: the chunks of each version that cannot be read.

    Where pieces of a list of files are lost themselves, a line about that comes first.
    """
    return {number: _of_version(repository, number, set(chunks)) for number, chunks in lost.items()}


def _of_version(repository: Repository, number: int, lost: set[bytes]) -> tuple[str, ...]:
    root = repository.version(number).root
    readable = [id for id in root if id not in lost]
    found: dict[bytes, list[bytes]] = {}
    damaged: dict[bytes, str] = {}
    with contextlib.closing(repository.fetch(readable, damaged=damaged)) as chunks:
        for id, chunk in chunks:
            try:
                found[id] = _paths(bytes(chunk), lost)
            except SnapshotDamaged as exc:
                damaged[id] = exc.message
    paths = [shown(path) for path in dict.fromkeys(path for id in root for path in found.get(id, ()))]
    if unreadable := sum(id not in found for id in root):
        paths.insert(0, f"whatever stands in {unreadable} of the {len(root)} pieces of its list of files")
    return tuple(paths)


def _paths(chunk: bytes, lost: set[bytes]) -> list[bytes]:
    """Of the entries that need one of them."""
    return [
        entry.path
        for entry in manifest.decode(chunk)
        if entry.kind in (Kind.FILE, manifest.MORE)
        and any(entry.content[at : at + ID_BYTES] in lost for at in range(0, len(entry.content), ID_BYTES))
    ]
