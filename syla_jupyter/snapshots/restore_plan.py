"""What a restore will write: the entries wanted, and for each chunk where it goes. Pure.

Entries come checked (`manifest.entries`). A hard link whose file is not among the paths wanted becomes that file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..model.errors import BadPath
from .tree import Entry, Kind, placed_chunks, shown

BLOCK_BYTES = 4096


class Use(NamedTuple):
    """One place of a chunk."""

    slot: int
    offset: int
    length: int
    whole: bool
    """The file has no other piece, and this one at its beginning."""


@dataclass
class Plan:
    entries: list[Entry] = field(default_factory=list)
    """Files; a slot is an index here."""
    directories: list[Entry] = field(default_factory=list)
    """Each after the one that it is in."""
    links: list[Entry] = field(default_factory=list)
    hardlinks: list[Entry] = field(default_factory=list)
    uses: dict[bytes, list[Use]] = field(default_factory=dict)
    pieces_left: dict[int, int] = field(default_factory=dict)
    """Pieces by slot, for files that are not one whole chunk."""
    needs: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    """(bytes on disk, files) by part."""
    bytes_total: int = 0
    bytes_data: int = 0
    """Without holes."""

    @property
    def parts(self) -> Collection[bytes]:
        return self.needs.keys()

    @property
    def files(self) -> int:
        return len(self.entries) + len(self.links) + len(self.hardlinks)

    def _count(self, entry: Entry, bytes_: int) -> None:
        part = entry.path.partition(b"/")[0]
        before, files = self.needs.get(part, (0, 0))
        self.needs[part] = (before + -(-bytes_ // BLOCK_BYTES) * BLOCK_BYTES, files + 1)

    def add(self, entry: Entry) -> None:
        if entry.kind != Kind.FILE:
            self._count(entry, BLOCK_BYTES if entry.kind == Kind.DIRECTORY else 0)
            lists = {Kind.DIRECTORY: self.directories, Kind.SYMLINK: self.links, Kind.HARDLINK: self.hardlinks}
            lists[Kind(entry.kind)].append(entry)
            return
        slot = len(self.entries)
        self.entries.append(entry)
        placed = placed_chunks(entry)
        whole = len(placed) == 1 and placed[0][0] == 0
        if not whole:
            self.pieces_left[slot] = len(placed)
        data = 0
        for offset, length, id_ in placed:
            self.uses.setdefault(id_, []).append(Use(slot, offset, length, whole))
            data += length
        self._count(entry, data)
        self.bytes_total += entry.size
        self.bytes_data += data


def plan_of(entries: Iterable[Entry], parts: Sequence[str], wanted: Sequence[bytes] = ()) -> Plan:
    """
    Parameters
    ----------
    parts : names of those that there is a target for.
    wanted : paths to restore, with the directories above them; none: all of the parts.

    Raises `BadPath` for a part or path that is not among the entries.
    """
    names = {part.encode() for part in parts}
    for path in wanted:
        if path.partition(b"/")[0] not in names or not path.partition(b"/")[2]:
            raise BadPath("paths", f"{shown(path)!r} names no part and what is in it", f"{sorted(names)[0].decode()}/…")
    plan = Plan()
    if not wanted:
        for entry in entries:
            if entry.path.partition(b"/")[0] in names:
                plan.add(entry)
        missing = [name for name in sorted(names) if name not in plan.parts]
        if missing:
            raise BadPath("targets", f"the version has no part {missing[0].decode()!r}")
        return plan
    found: set[bytes] = set()
    for entry in selected(entries, wanted):
        found.add(entry.path)
        plan.add(entry)
    for path in wanted:
        if path not in found:
            raise BadPath("paths", f"the version has no {shown(path)!r}")
    return plan


def selected(entries: Iterable[Entry], wanted: Sequence[bytes]) -> Iterator[Entry]:
    """Those at or below `wanted`, the directories above them, and links turned into files where theirs is not there."""
    exact = set(wanted)
    below = tuple(path + b"/" for path in wanted)
    above = {b"/".join(names[:n]) for path in wanted for names in [path.split(b"/")] for n in range(1, len(names))}
    others: dict[bytes, Entry] = {}
    stand_ins: dict[bytes, bytes] = {}
    for entry in entries:
        if not (entry.path in exact or entry.path in above or entry.path.startswith(below)):
            if entry.kind == Kind.FILE:
                others[entry.path] = entry
            continue
        if entry.kind == Kind.HARDLINK and entry.content in others:
            if entry.content in stand_ins:
                entry = entry._replace(content=stand_ins[entry.content])
            else:
                stand_ins[entry.content] = entry.path
                entry = others[entry.content]._replace(path=entry.path)
        yield entry
