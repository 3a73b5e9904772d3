"""What is in a file, as chunks: a small one whole, a large one cut where its content says so, without its holes.

A file may change while it is read: it is the same before and after, or it is read again, at most `ATTEMPTS` times;
then what was read last is kept and marked torn. Nothing is mapped into memory: a file cut short by its owner would
kill us. Cut points are FastCDC's with the repository's seed, so the same data gives the same chunks for ever.
"""

from __future__ import annotations

import os
import queue
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol

import pyfastcdc

from .special import extents, read_attributes
from .tree import Entry, Kind

LARGE_BYTES = 1 << 20
ATTEMPTS = 3
WINDOW_BYTES = 8 << 20  # more than the longest chunk: each window has at least one whole chunk in it
WINDOWS = 4
SEED_MASK = (1 << 63) - 1  # what pyfastcdc takes


class Cutting(Protocol):
    """Parameters of FastCDC, frozen in the repository's configuration; lengths in bytes."""

    @property
    def seed(self) -> int: ...
    @property
    def min_bytes(self) -> int: ...
    @property
    def avg_bytes(self) -> int: ...
    @property
    def max_bytes(self) -> int: ...


def cutter(cutting: Cutting) -> pyfastcdc.FastCDC:
    """For one thread."""
    return pyfastcdc.FastCDC(
        cutting.avg_bytes, min_size=cutting.min_bytes, max_size=cutting.max_bytes, normalized_chunking=1,
        seed=cutting.seed & SEED_MASK,
    )  # fmt: skip


def same(a: os.stat_result, b: os.stat_result) -> bool:
    return a.st_size == b.st_size and a.st_mtime_ns == b.st_mtime_ns and a.st_ctime_ns == b.st_ctime_ns


def file_entry(path: bytes, info: os.stat_result, fd: int, racy_ns: int) -> Entry:
    """All but its content. What changed after `racy_ns` may have changed again unseen: the next save reads it."""
    ctime_ns = info.st_ctime_ns if info.st_ctime_ns < racy_ns else 0
    return Entry(
        path, Kind.FILE, stat.S_IMODE(info.st_mode), info.st_mtime_ns, info.st_size, xattrs=read_attributes(fd),
        ctime_ns=ctime_ns, inode=info.st_ino,
    )  # fmt: skip


class Whole(NamedTuple):
    """A small file: its data, and its entry without the chunk's id. `data` None: it is no small file any more."""

    entry: Entry
    data: bytes | None


def read_small(fd: int, path: bytes, racy_ns: int) -> Whole:
    """`OSError` for what is no regular file."""
    for _ in range(ATTEMPTS):
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode):
            raise OSError(0, "is no file any more")
        if before.st_size >= LARGE_BYTES:
            return Whole(file_entry(path, before, fd, racy_ns), None)
        data = os.pread(fd, before.st_size + 1, 0)
        after = os.fstat(fd)
        if len(data) == before.st_size and same(before, after):
            return Whole(file_entry(path, after, fd, racy_ns), data)
    data = data[:LARGE_BYTES]
    return Whole(file_entry(path, after, fd, racy_ns)._replace(size=len(data), torn=True, ctime_ns=0), data)


class Piece(NamedTuple):
    offset: int
    length: int


Store = Callable[[Sequence[memoryview]], "Future[list[bytes]]"]
"""Stores chunks in the background; their buffer is free when it is done."""


class LargeReader:
    """Reads large files, one after the other, in windows that `store` works on meanwhile; for one thread.

    Memory: `WINDOWS` windows, whatever the files are.
    """

    def __init__(self, cutting: Cutting, store: Store, tick: Callable[[int], None]) -> None:
        self._cutter = cutter(cutting)
        self._store = store
        self._tick = tick
        self._free: queue.Queue[memoryview] = queue.Queue()
        self._made = 0

    def read(self, fd: int, path: bytes, racy_ns: int) -> Layout:
        """The file's entry without its content, and the chunks that become it. `OSError`."""
        for attempt in range(ATTEMPTS):
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                raise OSError(0, "is no file any more")
            if attempt:
                self._tick(0)
            layout = Layout(file_entry(path, before, fd, racy_ns))
            layout.complete = self._chunks(fd, before.st_size, layout)
            if layout.complete and same(before, os.fstat(fd)):
                return layout
        layout.entry = layout.entry._replace(torn=True, ctime_ns=0)
        return layout

    def _chunks(self, fd: int, size: int, layout: Layout) -> bool:
        """Whether all of it was there."""
        window, filled, batch = self._window(), 0, list[tuple[Piece, memoryview]]()
        counted = 0
        for start, end in extents(fd, size):
            position = start
            begin = filled  # of what is not cut yet, in the window
            while position < end:
                try:
                    wanted = min(end - position, WINDOW_BYTES - filled)
                    got = os.preadv(fd, [window[filled : filled + wanted]], position)
                except OSError:
                    self._give(window, [], layout)
                    raise
                if not got:
                    self._give(window, [], layout)
                    return False
                filled, position = filled + got, position + got
                if position < end and filled < WINDOW_BYTES:
                    continue
                rest = self._cut(window[begin:filled], position, batch, final=position == end)
                if filled == WINDOW_BYTES:
                    fresh = self._window()
                    fresh[: len(rest)] = rest
                    self._give(window, batch, layout)
                    window, batch, filled = fresh, [], len(rest)
                begin = filled - len(rest)
                self._tick(position - counted)
                counted = position
        self._give(window, batch, layout)
        return True

    def _cut(
        self, data: memoryview, position: int, batch: list[tuple[Piece, memoryview]], *, final: bool
    ) -> memoryview:
        """Adds the whole chunks of `data`, which ends at `position` of the file; what is left for the next window."""
        cuts = [(chunk.offset, chunk.length) for chunk in self._cutter.cut_buf(data)]
        rest = data[:0]
        if not final:
            offset, length = cuts.pop()
            rest = data[offset : offset + length]
        first = position - len(data)
        batch.extend((Piece(first + at, length), data[at : at + length]) for at, length in cuts)
        return rest

    def _window(self) -> memoryview:
        if self._made < WINDOWS:
            self._made += 1
            return memoryview(bytearray(WINDOW_BYTES))
        while True:
            try:
                return self._free.get(timeout=0.2)
            except queue.Empty:
                self._tick(0)

    def _give(self, window: memoryview, batch: Sequence[tuple[Piece, memoryview]], layout: Layout) -> None:
        if not batch:
            self._free.put(window)
            return
        future = self._store([view for _, view in batch])
        layout.add([piece for piece, _ in batch], future)
        future.add_done_callback(lambda _: self._free.put(window))


class Layout:
    """A large file on its way: where its chunks are, and their ids as soon as they are stored."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.complete = True
        self._batches: list[tuple[list[Piece], Future[list[bytes]]]] = []

    def add(self, pieces: list[Piece], ids: Future[list[bytes]]) -> None:
        self._batches.append((pieces, ids))

    def futures(self) -> Iterator[Future[list[bytes]]]:
        for _, ids in self._batches:
            yield ids

    def finished(self) -> Entry:
        """The entry with its content. Waits; raises what storing raised."""
        flat, contents, end = list[int](), list[bytes](), 0
        for pieces, future in self._batches:
            for piece, id_ in zip(pieces, future.result(), strict=True):
                flat += (piece.offset - end, piece.length)
                contents.append(id_)
                end = piece.offset + piece.length
        size = self.entry.size if self.complete else end
        plain = len(contents) == 1 and flat == [0, size]
        return self.entry._replace(content=b"".join(contents), pieces=() if plain else tuple(flat), size=size)
