"""The entries of directories as they are now: taken over from the previous version, or read.

One thread walks and compares with the previous version: what has the same size, times and inode is not read again (an
entry from the last two seconds before a save is never trusted, the clock of a file system is coarse). What lies in a
directory that has only another name is recognised by inode, size and both times. The time of the last change counts,
because nobody can set it: a file system gives the inodes of what was removed to what is made next, and unpacked files
have the same sizes and times again.

Meanwhile workers read small files in batches, and one thread the large ones, whose pieces workers hash, compress and
encrypt. A large file that has changed, or only its name, is read along its former pieces (`former`). Memory is bounded
by windows and batches, apart from the list of entries itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ..model.errors import BadInput, Cancelled
from . import manifest
from .contents import LARGE_BYTES, LargeReader, Layout, file_entry, read_small
from .descent import DIRECTORY_FLAGS, READ_FLAGS, Cursor, split
from .former import Former
from .progress import Meter
from .scan import Found, Scan
from .special import problem, read_attributes
from .tree import ID_BYTES, TARGET_MAX_BYTES, Entry, Kind, Notes, Part, modified_ns, shown

if TYPE_CHECKING:
    from .repository import Repository
    from .session import Session

BATCH_FILES, BATCH_BYTES = 512, 1 << 20
WORKERS = 2
LOOK_EACH = 256  # entries


class _Small(NamedTuple):
    slot: int
    path: bytes
    renamed: Entry | None
    """An entry of the previous version that may be this file under its former name."""


class TreeReader:
    """One save's run over its parts; for one thread, the workers are its own."""

    def __init__(
        self, session: Session, repository: Repository, meter: Meter, previous: Mapping[bytes, Entry], racy_ns: int
    ) -> None:
        self.notes = Notes()
        self.files_read = 0
        self._session = session
        self._known = repository.index.ids()
        self._meter = meter
        self._previous = previous
        self._racy_ns = racy_ns
        self._slots: list[Entry | None] = []
        """In the order of the walk; None: not read yet, or lost."""
        self._taken = self._taken_bytes = 0
        """Taken over, and not yet told the meter."""
        self._linked: dict[int, bytes] = {}
        self._has_links = False
        self._roots: dict[bytes, int] = {}
        self._batch: list[_Small] = []
        self._batch_bytes = 0
        self._layouts: list[tuple[int, Layout]] = []
        self._jobs: list[Future[None]] = []
        self._pool = ThreadPoolExecutor(WORKERS, "syla-save")
        self._large_jobs: list[Future[None]] = []
        self._large_pool = ThreadPoolExecutor(1, "syla-large")
        self._chunk_id = repository.chunk_id
        self._reader = LargeReader(repository.chunking, self._store, self._large_tick)

    def __enter__(self) -> TreeReader:
        return self

    def __exit__(self, kind: object, exc: object, trace: object) -> None:
        self._meter.stopped.set()
        self._large_pool.shutdown(wait=True, cancel_futures=True)
        self._pool.shutdown(wait=True, cancel_futures=True)
        for root in self._roots.values():
            os.close(root)

    # The walk.

    def walk(self, part: Part, exclude: Collection[bytes]) -> None:
        try:
            root = os.open(part.directory, DIRECTORY_FLAGS)
        except OSError as exc:
            raise BadInput("parts", f"{part.directory}: {exc.strerror}") from exc
        self._roots[part.name.encode()] = root
        self._linked.clear()
        for count, found in enumerate(Scan(part.name, root, self.notes, exclude)):
            if count % LOOK_EACH == 0:
                self._count_taken()
                self._meter.tick()
                if len(self._slots) > manifest.ENTRIES_MAX - LOOK_EACH:
                    raise BadInput("parts", f"{part.directory} has more than {manifest.ENTRIES_MAX} files")
            if found.kind is Kind.FILE:
                self._file(found.path, found.info)
            else:
                self._meet(found)
        self._count_taken()
        self._send()

    def _count_taken(self) -> None:
        self._meter.add(self._taken, self._taken_bytes)
        self._taken = self._taken_bytes = 0

    def _meet(self, found: Found) -> None:
        info, path = found.info, found.path
        if found.kind is Kind.SYMLINK:
            if len(found.target) > TARGET_MAX_BYTES:
                self.notes.add("unreadable", path, "leads too far")
            else:
                self._slots.append(Entry(path, Kind.SYMLINK, 0o777, modified_ns(info), 0, found.target))
        else:
            old = self._previous.get(path)
            if old is None or old.kind != Kind.DIRECTORY or not _unchanged(old, info):
                ctime_ns = info.st_ctime_ns if info.st_ctime_ns < self._racy_ns else 0
                old = Entry(
                    path, Kind.DIRECTORY, stat.S_IMODE(info.st_mode), modified_ns(info), 0,
                    xattrs=read_attributes(found.fd), ctime_ns=ctime_ns, inode=info.st_ino,
                )  # fmt: skip
            self._slots.append(old)

    @cached_property
    def _by_inode(self) -> dict[int, Entry]:
        return {entry.inode: entry for entry in self._previous.values() if entry.kind == Kind.FILE}

    def _file(self, path: bytes, info: os.stat_result) -> None:
        if info.st_nlink > 1:
            first = self._linked.setdefault(info.st_ino, path)
            if first != path:
                self._has_links = True
                mode = stat.S_IMODE(info.st_mode)
                self._slots.append(Entry(path, Kind.HARDLINK, mode, modified_ns(info), 0, first))
                return
        old = self._previous.get(path)
        if old is not None and old.kind == Kind.FILE and _unchanged(old, info) and self._stored(old):
            self._slots.append(old)
            self._taken += 1
            self._taken_bytes += old.size
            return
        self._slots.append(None)
        slot = len(self._slots) - 1
        former = self._by_inode.get(info.st_ino) if old is None else None
        if former is not None and (not _unchanged(former, info) or not self._stored(former)):
            old, former = former, None  # another name, and a change: perhaps of nothing else
        self.files_read += former is None
        if info.st_size >= LARGE_BYTES and former is None:
            self._send_large(slot, path, old)
            return
        self._batch.append(_Small(slot, path, former))
        self._batch_bytes += info.st_size if former is None else 0
        if len(self._batch) >= BATCH_FILES or self._batch_bytes >= BATCH_BYTES:
            self._send()

    def _stored(self, entry: Entry) -> bool:
        """Whether the repository still has all of it."""
        content, known = entry.content, self._known
        if len(content) == ID_BYTES:
            return content in known
        return all(content[i : i + ID_BYTES] in known for i in range(0, len(content), ID_BYTES))

    def _send(self) -> None:
        if self._batch:
            self._jobs.append(self._pool.submit(self._read_batch, self._batch))
        self._batch, self._batch_bytes = [], 0

    def _send_large(self, slot: int, path: bytes, old: Entry | None) -> None:
        """`old`: what the previous version has of it, as far as anybody can guess."""
        self._large_jobs.append(self._large_pool.submit(self._read_large, slot, path, old))

    # In the workers.

    def _read_batch(self, batch: Sequence[_Small]) -> None:
        whole: list[tuple[int, Entry]] = []
        datas: list[bytes] = []
        read = 0
        part, cursor = b"", None
        try:
            for small in batch:
                if self._meter.stopped.is_set():
                    return
                name, _, below = small.path.partition(b"/")
                if cursor is None or name != part:
                    if cursor is not None:
                        cursor.close()
                    part, cursor = name, Cursor(self._roots[name])
                entry, data = self._read_one(small, cursor, below)
                if entry is not None and data:
                    whole.append((small.slot, entry))
                    datas.append(data)
                    read += len(data)
                elif entry is not None:
                    self._slots[small.slot] = entry
        finally:
            if cursor is not None:
                cursor.close()
        ids = self._session.add(datas) if datas else []
        for (slot, entry), id_ in zip(whole, ids, strict=True):
            self._slots[slot] = entry._replace(content=id_)
        self._meter.add(len(batch), read)

    def _read_one(self, small: _Small, cursor: Cursor, below: bytes) -> tuple[Entry | None, bytes | None]:
        """The entry, None when there is none, and what has to be stored for it."""
        above, name = split(below)
        try:
            fd = os.open(name, READ_FLAGS, dir_fd=cursor.directory(above))
            try:
                if small.renamed is not None:
                    info = os.fstat(fd)
                    old = small.renamed
                    if _unchanged(old, info):
                        entry = file_entry(small.path, info, fd, self._racy_ns)
                        return entry._replace(content=old.content, pieces=old.pieces), None
                whole = read_small(fd, small.path, self._racy_ns)
            finally:
                os.close(fd)
        except OSError as exc:
            self.notes.add("vanished" if isinstance(exc, FileNotFoundError) else "unreadable", small.path, problem(exc))
            return None, None
        if whole.data is None:
            self._send_large(small.slot, small.path, None)
            return None, None
        if whole.entry.torn:
            self.notes.add("torn", small.path, "changed each time it was read")
        return whole.entry, whole.data

    def _store(self, views: Sequence[memoryview]) -> Future[list[bytes]]:
        return self._pool.submit(self._session.add, views)

    # In the thread for large files.

    def _read_large(self, slot: int, path: bytes, old: Entry | None) -> None:
        guess = None
        if old is not None and old.kind == Kind.FILE and old.size >= LARGE_BYTES and self._stored(old):
            guess = partial(Former, old, self._chunk_id)
        part, _, below = path.partition(b"/")
        above, name = split(below)
        try:
            with Cursor(self._roots[part]) as cursor:
                fd = os.open(name, READ_FLAGS, dir_fd=cursor.directory(above))
            try:
                layout = self._reader.read(fd, path, self._racy_ns, guess)
            finally:
                os.close(fd)
        except OSError as exc:
            self.notes.add("vanished" if isinstance(exc, FileNotFoundError) else "unreadable", path, problem(exc))
            return
        if layout.entry.torn:
            self.notes.add("torn", path, "changed each time it was read")
        self._layouts.append((slot, layout))
        self._meter.add(1, 0)

    def _large_tick(self, bytes_: int) -> None:
        if self._meter.stopped.is_set():
            raise Cancelled("Cancelled")
        self._meter.add(0, bytes_)

    # The end.

    def read_rest(self) -> None:
        """Until everything that the walk has met is read; small files that had grown are the last large ones."""
        self._meter.files_total = sum(1 for slot in self._slots if slot is None or slot.kind == Kind.FILE)
        self._wait(self._jobs)
        self._wait(self._large_jobs)

    def _wait(self, futures: Iterable[Future[Any]]) -> None:
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, 0.2, FIRST_EXCEPTION)
            for future in done:
                future.result()
            self._meter.tick()

    def finished(self) -> list[Entry]:
        """All entries, in order; links whose file was lost are lost with it."""
        self._wait([future for _, layout in self._layouts for future in layout.futures()])
        for slot, layout in self._layouts:
            self._slots[slot] = layout.finished()
        entries = [entry for entry in self._slots if entry is not None]
        if not self._has_links:
            return entries
        files = {entry.path for entry in entries if entry.kind == Kind.FILE}
        lost = [entry for entry in entries if entry.kind == Kind.HARDLINK and entry.content not in files]
        for entry in lost:
            self.notes.add("unreadable", entry.path, f"its content, {shown(entry.content)[:100]}, was not read")
        return [entry for entry in entries if entry.kind != Kind.HARDLINK or entry.content in files]


def _unchanged(old: Entry, info: os.stat_result) -> bool:
    return (
        old.ctime_ns == info.st_ctime_ns
        and old.mtime_ns == info.st_mtime_ns
        and old.inode == info.st_ino
        and (old.size == info.st_size or old.kind == Kind.DIRECTORY)
        and old.ctime_ns != 0
    )
