"""Directories into a version: walk, read what is new, store it, commit.

A version is committed with whatever could be read; what could not is in the report and in the version's details.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..model.clock import Clock
from ..model.snapshot import Reason, SessionStats, Version
from . import manifest
from .manifest_cache import ManifestCache
from .progress import Meter, Report, never, nothing
from .tree import Entry, Kind, Part, Said
from .tree_reader import TreeReader

if TYPE_CHECKING:
    from .repository import Repository
    from .session import Session

RACY_NS = 2_000_000_000
NAMED_IN_VERSION = 20


@dataclass(frozen=True)
class SaveReport:
    version: Version | None
    """None: nothing has changed since the parent, and that was all right (`if_changed`)."""
    files: int
    bytes_total: int
    files_read: int
    """New or changed; all others were taken over from the parent."""
    said: Said
    stats: SessionStats
    seconds: float

    @property
    def torn(self) -> list[str]:
        """Paths; they changed each time they were read, and are kept as they were the last time."""
        return self.said.paths("torn")

    @property
    def unreadable(self) -> list[str]:
        return self.said.paths("unreadable", "vanished")

    @property
    def skipped(self) -> list[str]:
        """Kinds of files that no snapshot holds, and what was left out on purpose."""
        return self.said.paths("socket", "pipe", "device", "special file", "other file system", "excluded")


def save(
    repository: Repository,
    parts: Sequence[Part],
    *,
    author: str,
    message: str,
    reason: Reason,
    clock: Clock,
    details: Mapping[str, Any] | None = None,
    tags: Sequence[str] = (),
    progress: Report | None = None,
    cancelled: Callable[[], bool] = never,
    decided: Callable[[], None] = nothing,
    exclude: Collection[str] = (),
    if_changed: bool = False,
    cache_dir: Path | None = None,
) -> SaveReport:
    """A new version of what is in the parts' directories now.

    Parameters
    ----------
    decided : called before the version is committed; from there on it cannot be taken back. What it raises stops it.
    exclude : paths (`part/a/b`) that are left out with all below them, beside caches.
    if_changed : make no version when the tree equals the newest one, of which nothing is lost.
    cache_dir : of the host alone; remembers the last list of files, so that the next save need not fetch it.

    Raises `BadInput` for a part that is no directory, `Cancelled`, `Conflict` when a collector removed meanwhile what
    this version needs (repeat it), and what the object store raises. Nothing of a save that raised is to be seen.
    """
    meter = Meter(progress, cancelled, clock)
    with repository.session() as session:
        parent = max(repository.versions(), key=lambda version: version.number, default=None)
        cache = ManifestCache(repository, cache_dir)
        previous = cache.entries(parent) if parent else {}
        with TreeReader(session, repository, meter, previous, int(clock.now() * 1e9) - RACY_NS) as run:
            for part in sorted(parts, key=lambda part: part.name):
                run.walk(part, frozenset(os.fsencode(path.rstrip("/")) for path in exclude))
            run.read_rest()
            entries = run.finished()
        same = _same(repository, parent, previous, entries) if cache.whole else None
        chunks, tree = ([], same.details["tree"]) if same else manifest.encoded(entries)
        files = sum([entry.kind != Kind.DIRECTORY for entry in entries])
        bytes_total = sum([entry.size for entry in entries])
        said, lost = run.notes.said(), session.stats.new_chunks  # of an unchanged tree, and stored again
        if if_changed and parent is not None and parent.details.get("tree") == tree and not lost:
            session.abort()
            return SaveReport(None, files, bytes_total, run.files_read, said, session.stats, meter.seconds)
        root = list(same.root) if same else _added(session, chunks)
        meter.tick()
        record = {
            "author": author, "message": message, "reason": reason, "root": root, "files": files,
            "bytes_total": bytes_total, "parent": parent.number if parent else 0, "tags": list(tags),
            "details": {**(details or {}), "tree": tree, "exclude": sorted(exclude), **_short(parts, said)},
        }  # fmt: skip
        version = session.commit(record, tick=meter.tick, decided=decided)
        if not same:
            cache.keep(root, chunks)
        stats = session.stats
    meter.tick(last=True)
    return SaveReport(version, files, bytes_total, run.files_read, said, stats, meter.seconds)


def _same(
    repository: Repository, parent: Version | None, previous: Mapping[bytes, Entry], entries: list[Entry]
) -> Version | None:
    """The parent, where its list of files is this one's, as it was written."""
    if parent is None or not isinstance(parent.details.get("tree"), str):
        return None
    return parent if list(previous.values()) == entries and all(map(repository.has, parent.root)) else None


def _added(session: Session, chunks: Sequence[bytes]) -> list[bytes]:
    ids: list[bytes] = []
    for first in range(0, len(chunks), 64):
        ids += session.add(chunks[first : first + 64], metadata=True)
    return ids


def _short(parts: Sequence[Part], said: Said) -> dict[str, Any]:
    """What belongs into the version's details: the parts, and what was said: all counts, a few names."""
    short: dict[str, Any] = {"parts": [part.name for part in parts]}
    if said.counts:
        short["said"] = {"counts": dict(said.counts), "named": [list(named) for named in said.named[:NAMED_IN_VERSION]]}
    return short
