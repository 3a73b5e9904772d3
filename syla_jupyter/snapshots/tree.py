"""What a snapshot holds: the words that scanning, saving, restoring and comparing share.

A snapshot is a list of entries in the order of a walk: a directory before what is in it, names by their bytes. A path
is `part/name/name`, bytes, as the file system has it; its first name is the part's, and the part's own directory is an
entry, too. A hard link names the entry that has its content, earlier in the same part.
"""

from __future__ import annotations

import enum
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

DEPTH_MAX = 256  # names in a path; each is a descriptor while we are below it
NAME_MAX_BYTES = 255
PATH_MAX_BYTES = (DEPTH_MAX + 1) * (NAME_MAX_BYTES + 1)  # more than PATH_MAX: a walk goes by descriptors
TARGET_MAX_BYTES = 4095  # PATH_MAX less its NUL
FILE_BYTES_MAX = 1 << 53  # with holes; some file systems have more of them
TIME_NS_MAX = (1 << 63) - 1  # either way from the epoch, by 292 years
XATTRS_MAX_BYTES = 65536  # of one file, names and values
MODE_MASK = 0o7777


@dataclass(frozen=True)
class Part:
    """One directory of a snapshot, under a name of its own: lower-case letters, digits, `-` and `_`."""

    name: str
    directory: Path


class Kind(enum.IntEnum):
    DIRECTORY = 0
    FILE = 1
    SYMLINK = 2
    HARDLINK = 3


class Entry(NamedTuple):
    path: bytes
    kind: int
    mode: int
    """Permission bits, set-id bits included: a restore leaves those out."""
    mtime_ns: int
    size: int
    """Bytes of a file, holes included; 0 for anything else."""
    content: bytes = b""
    """A file's chunk ids, one after the other; where a link leads."""
    pieces: tuple[int, ...] = ()
    """(hole before it, length) of each chunk, in bytes, flat; empty: no hole, and one chunk or none."""
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    torn: bool = False
    """It changed each time it was read."""
    ctime_ns: int = 0
    """With `inode`, only for the next save; 0: not to be relied on."""
    inode: int = 0


ID_BYTES = 32


def chunk_ids(entry: Entry) -> list[bytes]:
    """Of a file, in order; empty for anything else."""
    if entry.kind != Kind.FILE:
        return []
    content = entry.content
    return [content[i : i + ID_BYTES] for i in range(0, len(content), ID_BYTES)]


def placed_chunks(entry: Entry) -> list[tuple[int, int, bytes]]:
    """(offset, length, id) of each chunk of a file."""
    if not entry.pieces:
        return [(0, entry.size, entry.content)] if entry.content and entry.kind == Kind.FILE else []
    ids = chunk_ids(entry)
    placed, offset = [], 0
    for hole, length, id_ in zip(entry.pieces[::2], entry.pieces[1::2], ids, strict=True):
        offset += hole
        placed.append((offset, length, id_))
        offset += length
    return placed


def modified_ns(info: os.stat_result) -> int:
    """A file's time as an entry can have it: some file systems take any."""
    return max(-TIME_NS_MAX, min(info.st_mtime_ns, TIME_NS_MAX))


def order_key(path: bytes) -> bytes:
    """Sorts paths as a walk meets them: `a`, `a/b`, `a.b`."""
    return path.replace(b"/", b"\0")


def shown(path: bytes) -> str:
    """For people and JSON: what is no UTF-8, and control characters, as escapes."""
    text = path.decode("utf-8", "backslashreplace")
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


@dataclass(frozen=True)
class Said:
    """What a save or restore could not do as asked: counted all, named the first ones."""

    counts: Mapping[str, int]
    """By kind: torn, unreadable, socket, …"""
    named: tuple[tuple[str, str, str], ...]
    """(kind, path for people, why), at most `NAMED_MAX`."""

    def paths(self, *kinds: str) -> list[str]:
        """The named ones."""
        return [path for kind, path, _ in self.named if kind in kinds]

    def lines(self, most: int = 20) -> list[str]:
        """For people, one each, and how many more there are."""
        lines = [f"{path}: {why or kind}" for kind, path, why in self.named[:most]]
        more = sum(self.counts.values()) - len(lines)
        return [*lines, f"{more} more"] if more else lines

    def count(self, kind: str) -> int:
        return self.counts.get(kind, 0)


NAMED_MAX = 1000


class Notes:
    """Collects what is to be said; bounded, whatever a hostile tree has in it. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._named: list[tuple[str, str, str]] = []

    def add(self, kind: str, path: bytes, why: str = "") -> None:
        with self._lock:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            if len(self._named) < NAMED_MAX:
                self._named.append((kind, shown(path)[:1000], why[:200]))

    def said(self) -> Said:
        return Said(dict(self._counts), tuple(self._named))
