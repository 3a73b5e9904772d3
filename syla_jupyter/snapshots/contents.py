"""What is in a file, as chunks: a small one whole, a large one cut where its content says so, without its holes.

A file may change while it is read: it is the same before and after, or it is read again, at most `ATTEMPTS` times;
then what was read last is kept and marked torn. Nothing is mapped into memory: a file cut short by its owner would
kill us. Cut points are FastCDC's with the repository's seed, so the same data gives the same chunks for ever.
"""

from __future__ import annotations

import errno
import os
import queue
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from itertools import accumulate
from typing import NamedTuple, Protocol

import pyfastcdc

from .former import Former
from .special import extents, read_attributes
from .tree import FILE_BYTES_MAX, Entry, Kind, modified_ns

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
        path, Kind.FILE, stat.S_IMODE(info.st_mode), modified_ns(info), info.st_size, xattrs=read_attributes(fd),
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

    Memory: `WINDOWS` windows and one more, whatever the files are.
    """

    def __init__(self, cutting: Cutting, store: Store, tick: Callable[[int], None]) -> None:
        self.cutter = cutter(cutting)
        self.store = store
        self.tick = tick
        self.scratch = memoryview(bytearray())
        self._free: queue.Queue[memoryview] = queue.Queue()
        self._made = 0

    def read(self, fd: int, path: bytes, racy_ns: int, guess: Callable[[], Former] | None = None) -> Layout:
        """The file's entry without its content, and the chunks that become it. `OSError`.

        `guess` makes a guess of its pieces, for each attempt a new one.
        """
        for attempt in range(ATTEMPTS):
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                raise OSError(0, "is no file any more")
            if before.st_size > FILE_BYTES_MAX:
                raise OSError(errno.EFBIG, "")  # nobody could read its entry again
            if attempt:
                self.tick(0)
            layout = Layout(file_entry(path, before, fd, racy_ns))
            layout.complete = self._chunks(fd, before.st_size, layout, guess() if guess else None)
            if layout.complete and same(before, os.fstat(fd)):
                return layout
        layout.entry = layout.entry._replace(torn=True, ctime_ns=0)
        return layout

    def _chunks(self, fd: int, size: int, layout: Layout, former: Former | None) -> bool:
        """Whether all of it was there."""
        if former is not None and not self.scratch:
            self.scratch = memoryview(bytearray(WINDOW_BYTES))
        reading = _Reading(self, fd, layout, former)
        try:
            complete = all(reading.extent(start, end) for start, end in extents(fd, size))
        except BaseException:
            reading.close(keep=False)
            raise
        reading.close()
        return complete

    def window(self) -> memoryview:
        if self._made < WINDOWS:
            self._made += 1
            return memoryview(bytearray(WINDOW_BYTES))
        while True:
            try:
                return self._free.get(timeout=0.2)
            except queue.Empty:
                self.tick(0)

    def give(self, window: memoryview, batch: Sequence[tuple[Piece, memoryview]], layout: Layout) -> None:
        if not batch:
            self._free.put(window)
            return
        future = self.store([view for _, view in batch])
        layout.add([piece for piece, _ in batch], future)
        future.add_done_callback(lambda _: self._free.put(window))


class _Reading:
    """One file on its way through the windows. A window may hold several extents, and what is left of one before."""

    def __init__(self, reader: LargeReader, fd: int, layout: Layout, former: Former | None) -> None:
        self._reader, self._fd, self._layout, self._former = reader, fd, layout, former
        self._window, self._filled = reader.window(), 0
        self._batch: list[tuple[Piece, memoryview]] = []

    def extent(self, position: int, end: int) -> bool:
        """Whether all of it was there."""
        begin = self._filled  # of what is not cut yet, in the window
        while position < end:
            counted = position - (self._filled - begin)
            if begin == self._filled and (reached := self._follow(position, end)) > position:
                position, begin = reached, self._filled
                continue
            wanted = min(end - position, WINDOW_BYTES - self._filled)
            got = os.preadv(self._fd, [self._window[self._filled : self._filled + wanted]], position)
            if not got:
                return False
            self._filled, position = self._filled + got, position + got
            if position < end and self._filled < WINDOW_BYTES:
                continue
            rest, found = self._cut(begin, position, final=position == end)
            if found:
                position, self._filled, rest = position - rest, self._filled - rest, 0
            if found or self._filled == WINDOW_BYTES:
                self._turn(rest)
            begin = self._filled - rest
            self._reader.tick(position - rest - counted)
        return True

    def close(self, *, keep: bool = True) -> None:
        self._reader.give(self._window, self._batch if keep else [], self._layout)

    def _follow(self, position: int, end: int) -> int:
        """How far the guess is right."""
        former, scratch = self._former, self._reader.scratch
        while former is not None and former.ready and position < end:
            got = os.preadv(self._fd, [scratch[: end - position]], position)
            pieces = former.follow(scratch[:got], final=position + got == end)
            if not pieces:
                break
            self._turn(0)
            self._layout.add_known(position, pieces)
            length = sum(length for length, _ in pieces)
            position += length
            self._reader.tick(length)
        return position

    def _cut(self, begin: int, position: int, *, final: bool) -> tuple[int, bool]:
        """Adds the whole chunks of the window from `begin`, which ends at `position` of the file.

        Bytes that are left of it, and whether there is a guess again of what begins with them.
        """
        data = self._window[begin : self._filled]
        cuts = [(chunk.offset, chunk.length) for chunk in self._reader.cutter.cut_buf(data)]
        rest = 0 if final else cuts.pop()[1]
        first = position - len(data)
        self._batch.extend((Piece(first + at, length), data[at : at + length]) for at, length in cuts)
        former = self._former
        return rest, former is not None and bool(rest and cuts) and former.resume(self._batch[-1][1])

    def _turn(self, rest: int) -> None:
        """Another window, that begins with the last bytes of this one; nothing where there is nothing to give."""
        if not self._batch and not self._filled:
            return
        fresh = self._reader.window()
        fresh[:rest] = self._window[self._filled - rest : self._filled]
        self._reader.give(self._window, self._batch, self._layout)
        self._window, self._batch, self._filled = fresh, [], rest


class Layout:
    """A large file on its way: where its chunks are, and their ids as soon as they are stored."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.complete = True
        self._batches: list[tuple[list[Piece], Future[list[bytes]]]] = []

    def add(self, pieces: list[Piece], ids: Future[list[bytes]]) -> None:
        self._batches.append((pieces, ids))

    def add_known(self, offset: int, pieces: Sequence[tuple[int, bytes]]) -> None:
        """(length, id) of chunks that are stored already, one behind the other."""
        known: Future[list[bytes]] = Future()
        known.set_result([id_ for _, id_ in pieces])
        ends = accumulate((length for length, _ in pieces), initial=offset)
        self.add([Piece(at, length) for at, (length, _) in zip(ends, pieces, strict=False)], known)

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
