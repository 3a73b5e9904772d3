"""The list of a snapshot's entries as bytes: msgpack, cut into chunks so that a small change costs little.

A chunk is `[FORMAT, [record, …]]`, a record `[[path, kind, mode, mtime_ns, size, content, pieces, xattrs, torn],
ctime_ns, inode]`: the inner list is what the tree hash covers. A file of many pieces goes on in records of kind `MORE`
with the same path and the size of these pieces. Chunks end after a record whose path (or last piece) says so, hence at
the same places next time.

What is read is hostile until `entries` has looked at it: anything that could be written outside its part, twice, or
through a link is refused before anybody has written anything. Pure: no files, no clock.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgpack
from blake3 import blake3

from ..model.errors import SnapshotDamaged
from .tree import (
    DEPTH_MAX,
    FILE_BYTES_MAX,
    ID_BYTES,
    NAME_MAX_BYTES,
    PATH_MAX_BYTES,
    TARGET_MAX_BYTES,
    TIME_NS_MAX,
    XATTRS_MAX_BYTES,
    Entry,
    Kind,
    order_key,
    shown,
)

FORMAT = 1
MORE = 4
ENTRIES_MAX = 10_000_000
PIECE_BYTES_MAX = 8 << 20
CHUNK_MIN_BYTES, CHUNK_MAX_BYTES = 4096, 256 << 10
CHUNK_MASK = 0x7F  # of a path's CRC: a chunk ends after about 128 entries
PIECES_MAX = 1024
_PART = re.compile(rb"[a-z0-9_-]{1,32}")


def encoded(entries: Iterable[Entry]) -> tuple[list[bytes], str]:
    """The chunks of a manifest whose entries are in order, and the tree's hash.

    That is the same for two trees that a restore would make alike; inodes and the like are not in it.
    """
    tree = blake3()
    return list(_encode(entries, tree.update)), str(tree.hexdigest())


def encode(entries: Iterable[Entry]) -> list[bytes]:
    return encoded(entries)[0]


def _encode(entries: Iterable[Entry], update: Callable[[bytes], object]) -> Iterator[bytes]:
    pack = msgpack.Packer(autoreset=True).pack
    records: list[bytes] = []
    size = 0
    for entry in entries:
        for part, end in _records(entry):
            stable = pack(part[:9])
            update(stable)
            record = b"\x93%s%s%s" % (stable, pack(part[9]), pack(part[10]))
            records.append(record)
            size += len(record)
            if size >= CHUNK_MAX_BYTES or (size >= CHUNK_MIN_BYTES and end & CHUNK_MASK == 0):
                yield _chunk(records)
                records, size = [], 0
    if records:
        yield _chunk(records)


def _chunk(records: Sequence[bytes]) -> bytes:
    header = msgpack.Packer().pack_array_header(len(records))
    return b"".join((b"\x92", msgpack.packb(FORMAT), header, *records))


def _records(entry: Entry) -> Iterator[tuple[tuple[Any, ...], int]]:
    """The entry in records of at most `PIECES_MAX` pieces, each with the number that decides on a cut after it."""
    end = zlib.crc32(entry.path)
    if len(entry.pieces) <= 2:
        yield entry, end
        return
    kind, first, pieces = entry.kind, 0, len(entry.pieces) // 2
    for last in range(1, pieces + 1):
        ends_here = entry.content[(last - 1) * ID_BYTES] == 0  # one in 256, wherever it stands in the file
        if last == pieces or ends_here or last - first == PIECES_MAX:
            content = entry.content[first * ID_BYTES : last * ID_BYTES]
            some = entry._replace(kind=kind, content=content, pieces=entry.pieces[2 * first : 2 * last])
            if kind == MORE:  # nothing in it that a change elsewhere in the file would change
                some = Entry(entry.path, MORE, 0, 0, sum(some.pieces), some.content, some.pieces)
            yield some, end if last == pieces else 0
            kind, first = MORE, last


def references(chunk: bytes) -> list[bytes]:
    """Ids of the data chunks that one chunk of a manifest names."""
    found: list[bytes] = []
    for entry in decode(chunk):
        if entry.kind in (Kind.FILE, MORE):
            found.extend(entry.content[i : i + ID_BYTES] for i in range(0, len(entry.content), ID_BYTES))
    return found


def decode(chunk: bytes) -> list[Entry]:
    """The records of one chunk, each looked at by itself; `SnapshotDamaged`."""
    try:
        document = msgpack.unpackb(chunk, use_list=False, raw=False)
    except Exception as exc:  # whatever the unpacker makes of hostile bytes
        raise _refused("is no msgpack") from exc
    if not (type(document) is tuple and len(document) == 2 and type(document[1]) is tuple):
        raise _refused("is no list of entries")
    if document[0] != FORMAT:
        raise SnapshotDamaged(f"The list of files has format {document[0]!r}"[:200], "A newer version can")
    return [_entry(record) for record in document[1]]


def _entry(record: Any) -> Entry:
    try:
        (path, kind, mode, mtime_ns, size, content, pieces, xattrs, torn), ctime_ns, inode = record
    except (TypeError, ValueError) as exc:
        raise _refused("has a record of a wrong shape") from exc
    return admissible(Entry(path, kind, mode, mtime_ns, size, content, pieces, xattrs, torn, ctime_ns, inode))


def admissible(entry: Entry) -> Entry:
    """The entry, whose fields may be anything, when each for itself is right; `SnapshotDamaged`."""
    path, kind, mode, mtime_ns, size, content, pieces, xattrs, torn, ctime_ns, inode = entry
    if not (
        type(path) is bytes
        and type(content) is bytes
        and type(kind) is int
        and type(mode) is int
        and type(mtime_ns) is int
        and type(size) is int
        and type(ctime_ns) is int
        and type(inode) is int
        and type(torn) is bool
        and type(pieces) is tuple
        and type(xattrs) is tuple
        and 0 <= mode <= 0o7777
        and 0 <= size <= FILE_BYTES_MAX
        and -TIME_NS_MAX - 1 <= mtime_ns <= TIME_NS_MAX
    ):
        raise _refused("has a record of a wrong type", path)
    if kind == Kind.FILE or kind == MORE:
        _check_content(entry)
    elif kind == Kind.SYMLINK or kind == Kind.HARDLINK:
        longest = TARGET_MAX_BYTES if kind == Kind.SYMLINK else PATH_MAX_BYTES
        if not 0 < len(content) <= longest or b"\0" in content or pieces or size:
            raise _refused("has a link to nowhere", path)
    elif kind != Kind.DIRECTORY or content or pieces or size:
        raise _refused("has an entry of an unknown kind", path)
    if xattrs:
        _check_xattrs(entry)
    return entry


def _check_content(entry: Entry) -> None:
    """Of one record: lengths are what the sum over all records is made of."""
    ids, odd = divmod(len(entry.content), ID_BYTES)
    if odd or (not entry.pieces and (ids > 1 or (ids == 1 and not 0 < entry.size <= PIECE_BYTES_MAX))):
        raise _refused("has a file whose content does not fit", entry.path)
    if entry.pieces and (
        len(entry.pieces) != 2 * ids
        or any(type(n) is not int or n < 0 for n in entry.pieces)
        or any(not 0 < n <= PIECE_BYTES_MAX for n in entry.pieces[1::2])
        or sum(entry.pieces) > entry.size
    ):
        raise _refused("has a file of pieces that do not fit", entry.path)


def _check_xattrs(entry: Entry) -> None:
    total = 0
    for pair in entry.xattrs:
        if not (type(pair) is tuple and len(pair) == 2 and all(type(x) is bytes for x in pair)):
            raise _refused("has a wrong attribute", entry.path)
        name, value = pair
        total += len(name) + len(value)
        if not name.startswith(b"user.") or b"\0" in name or len(name) > NAME_MAX_BYTES or total > XATTRS_MAX_BYTES:
            raise _refused("has an attribute that nobody may set", entry.path)


def entries(read: Callable[[bytes], bytes], root: Sequence[bytes]) -> Iterator[Entry]:
    """The entries of a snapshot, in order, each safe to write below its part's directory.

    Raises `SnapshotDamaged` at the first that is not, or that its predecessors do not allow; what came before it is
    good by itself. Who writes takes them all first.
    """
    order = Order()
    whole: Entry | None = None
    contents: list[bytes] = []
    pieces: list[int] = []
    for id_ in root:
        for entry in decode(read(id_)):
            if entry.kind == MORE:
                if whole is None or whole.kind != Kind.FILE or whole.path != entry.path:
                    raise _refused("has pieces of no file", entry.path)
                contents.append(entry.content)
                pieces.extend(entry.pieces)
                continue
            if whole is not None:
                yield order.admit(_joined(whole, contents, pieces))
            whole, contents, pieces = entry, [], []
    if whole is not None:
        yield order.admit(_joined(whole, contents, pieces))


def _joined(entry: Entry, contents: list[bytes], pieces: list[int]) -> Entry:
    if contents:
        entry = entry._replace(content=b"".join([entry.content, *contents]), pieces=entry.pieces + tuple(pieces))
        if sum(entry.pieces) > entry.size or len(entry.pieces) * ID_BYTES != 2 * len(entry.content):
            raise _refused("has a file of pieces that do not fit", entry.path)
    return entry


def own_entries(chunks: Iterable[bytes]) -> Iterator[Entry]:
    """As `entries`, of chunks that this repository's own id shows to be what a save of ours had put there.

    To compare with, not to write from. Raises what wrong bytes make msgpack or unpacking raise.
    """
    whole: Entry | None = None
    contents: list[bytes] = []
    pieces: list[int] = []
    for chunk in chunks:
        for stable, ctime_ns, inode in msgpack.unpackb(chunk, use_list=False)[1]:
            if stable[1] == MORE:
                contents.append(stable[5])
                pieces.extend(stable[6])
                continue
            if whole is not None:
                yield _joined(whole, contents, pieces) if contents else whole
                if contents:
                    contents, pieces = [], []
            whole = tuple.__new__(Entry, (*stable, ctime_ns, inode))  # `_make` without its checks
    if whole is not None:
        yield _joined(whole, contents, pieces)


class Order:
    """Admits entries in order: below a directory that is an entry, once, and links only to what was there before."""

    def __init__(self) -> None:
        self._last = b""
        self._directories: list[bytes] = []
        """Paths of the directories that the walk is in, with a slash at the end."""
        self._files: set[bytes] = set()
        self._count = 0

    def admit(self, entry: Entry) -> Entry:
        path = entry.path
        key = order_key(path)
        self._count += 1
        if self._count > ENTRIES_MAX:
            raise _refused(f"has more than {ENTRIES_MAX} entries")
        if key <= self._last:
            raise _refused("has an entry twice, or in a wrong place", path)
        while self._directories and not path.startswith(self._directories[-1]):
            self._directories.pop()
        above = self._directories[-1] if self._directories else b""
        name = path[len(above) :]
        if not name or len(name) > NAME_MAX_BYTES or b"/" in name or b"\0" in name or name in (b".", b".."):
            raise _refused("has an entry that is in no directory of it", path)
        if not above and not (_PART.fullmatch(path) and entry.kind == Kind.DIRECTORY):
            raise _refused("has a part that is no directory", path)
        if entry.kind == Kind.DIRECTORY:
            self._directories.append(path + b"/")
            if len(self._directories) > DEPTH_MAX:
                raise _refused("has a path that is too deep", path)
        elif entry.kind == Kind.FILE:
            self._files.add(path)
        elif entry.kind == Kind.HARDLINK and (
            entry.content not in self._files or entry.content.partition(b"/")[0] != path.partition(b"/")[0]
        ):
            raise _refused("has a hard link to what is not in it", path)
        self._last = key
        return entry


def _refused(why: str, path: object = b"") -> SnapshotDamaged:
    where = f" ({shown(path)[:200]})" if isinstance(path, bytes) and path else ""
    return SnapshotDamaged(f"The list of files {why}{where}", "Nothing of it was written; choose another")
