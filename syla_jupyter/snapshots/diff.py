"""What changed between two versions: both lists of files walked side by side. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..model.snapshot import Version
from . import manifest
from .tree import Entry, Kind, order_key, shown

if TYPE_CHECKING:
    from .repository import Repository


@dataclass(frozen=True)
class Change:
    """Of one path, for people (`tree.shown`); sizes in bytes, None: it was, or is, not there."""

    path: str
    kind: str
    """file, directory, symlink, hardlink; of what is there now, or was."""
    old_size: int | None
    new_size: int | None
    old_path: str = ""
    """Where it was, if that is another place."""


@dataclass(frozen=True)
class TreeDiff:
    added: tuple[Change, ...]
    removed: tuple[Change, ...]
    changed: tuple[Change, ...]
    """Other content, or another kind of file."""
    renamed: tuple[Change, ...]
    """The same content under another name."""
    attributes: tuple[Change, ...]
    """The same content with another mode, time of a file, or attribute."""


def diff(repository: Repository, a: Version, b: Version, *, without: bytes = b"") -> TreeDiff:
    """What makes `b` of `a`, but for what is in the directory `without`. `SnapshotDamaged`."""
    old, new = (manifest.entries(repository.read, version.root) for version in (a, b))
    return compare(_outside(without, old), _outside(without, new)) if without else compare(old, new)


def _outside(directory: bytes, entries: Iterable[Entry]) -> Iterator[Entry]:
    return (entry for entry in entries if not (entry.path + b"/").startswith(directory + b"/"))


def compare(old: Iterable[Entry], new: Iterable[Entry]) -> TreeDiff:
    added: list[Entry] = []
    removed: list[Entry] = []
    changed: list[Change] = []
    attributes: list[Change] = []
    for before, after in _paired(old, new):
        if before is None and after is not None:
            added.append(after)
        elif after is None and before is not None:
            removed.append(before)
        elif before is not None and after is not None and before[:9] != after[:9]:
            if before.kind != after.kind or _content(before) != _content(after):
                changed.append(_change(before, after))
            elif after.kind != Kind.DIRECTORY or before._replace(mtime_ns=0)[:9] != after._replace(mtime_ns=0)[:9]:
                attributes.append(_change(before, after))
    renamed = list(_renames(removed, added))
    gone, come = {id(before) for before, _ in renamed}, {id(after) for _, after in renamed}
    return TreeDiff(
        added=tuple(_change(None, entry) for entry in added if id(entry) not in come),
        removed=tuple(_change(entry, None) for entry in removed if id(entry) not in gone),
        changed=tuple(changed),
        renamed=tuple(_change(before, after) for before, after in renamed),
        attributes=tuple(attributes),
    )


def _paired(old: Iterable[Entry], new: Iterable[Entry]) -> Iterator[tuple[Entry | None, Entry | None]]:
    olds, news = iter(old), iter(new)
    before, after = next(olds, None), next(news, None)
    while before is not None or after is not None:
        if after is None or (before is not None and order_key(before.path) < order_key(after.path)):
            yield before, None
            before = next(olds, None)
        elif before is None or order_key(after.path) < order_key(before.path):
            yield None, after
            after = next(news, None)
        else:
            yield before, after
            before, after = next(olds, None), next(news, None)


def _content(entry: Entry) -> tuple[int, bytes, tuple[int, ...]]:
    return entry.size, entry.content, entry.pieces


def _renames(removed: Iterable[Entry], added: Iterable[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Pairs of files with the same content, and some; of several the one with the same last name, or the first."""
    lost: dict[tuple[int, bytes, tuple[int, ...]], list[Entry]] = {}
    for entry in removed:
        if entry.kind == Kind.FILE and entry.size:
            lost.setdefault(_content(entry), []).append(entry)
    for entry in added:
        candidates = lost.get(_content(entry), []) if entry.kind == Kind.FILE else []
        if candidates:
            name = entry.path.rpartition(b"/")[2]
            match = next((e for e in candidates if e.path.rpartition(b"/")[2] == name), candidates[0])
            candidates.remove(match)
            yield match, entry


def _change(before: Entry | None, after: Entry | None) -> Change:
    entry = after or before
    assert entry is not None
    moved = before is not None and after is not None and before.path != after.path
    return Change(
        shown(entry.path),
        Kind(entry.kind).name.lower(),
        before.size if before else None,
        after.size if after else None,
        shown(before.path) if moved and before is not None else "",
    )
