"""What `archive_file` wrote, into directories again. It comes from anywhere, so it is hostile.

It is written beside its targets and put in place only when all of it was there: in order and safe (`manifest.Order`),
within the room that the disk has, each file with the hash that the last member names for it. Nothing is believed about
sizes: what an archive says is a bound for what is read, and no more is kept in memory than a piece. Long runs of zeros
become holes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from ..model.clock import Clock
from ..model.errors import BadInput, InsufficientResources, SnapshotDamaged
from . import manifest, tar_stream
from .archive_file import ABOUT, ABOUT_MAX_BYTES, PIECE_BYTES, SUMS, TYPES, ZEROS, parse_about, sum_line
from .exchange import begin, recover
from .placing import whole_step
from .progress import Meter, Report, never
from .tar_stream import Member, exactly, padding
from .tree import Entry, Notes, Said, shown
from .writer import TreeWriter, disk_errors

WINDOW_MAX_BYTES = 128 << 20  # of zstd
MARGIN_BYTES = 64 << 20
MEMBER_BYTES = 4096  # a file takes at least a block of the disk, and an inode
_KINDS = {type_: kind for kind, type_ in TYPES.items()}


@dataclass(frozen=True)
class Imported:
    config: Mapping[str, Any]
    """Of the workspace it was; as hostile as any input."""
    files: int
    bytes_total: int
    said: Said


def read_archive_config(source: BinaryIO) -> Mapping[str, Any]:
    """The configuration at the beginning of an archive, without reading on. `BadInput`, `SnapshotDamaged`."""
    with _opened(source) as tar:
        return _config(tar_stream.members(tar), tar, hashlib.sha256())


def import_archive(
    source: BinaryIO,
    targets: Mapping[str, Path],
    *,
    state_dir: Path,
    clock: Clock,
    owner: tuple[int, int] | None = None,
    progress: Report | None = None,
    cancelled: Callable[[], bool] = never,
) -> Imported:
    """Put an archive's parts at `targets`, in the place of what is there.

    Parameters
    ----------
    targets : directory for each part, by its name; need not be there, its parent must be.
    state_dir, owner : as for `restore`.

    Raises `SnapshotDamaged` (not complete, not safe, wrong hashes), `BadInput` (no archive of ours, a part without a
    target), `InsufficientResources`, `Cancelled`: then nothing was changed.
    """
    recover(state_dir)
    meter = Meter(progress, cancelled, clock)
    names = list(targets)
    journal = begin(state_dir, [targets[name] for name in names])
    try:
        with disk_errors(), ExitStack() as stack:
            notes = Notes()
            roots = {name.encode(): staging.open() for name, staging in zip(names, journal.stagings, strict=True)}
            for root in roots.values():
                stack.callback(os.close, root)
            writers = {name: stack.enter_context(TreeWriter(root, notes, owner)) for name, root in roots.items()}
            importing = _Import(writers, meter, _room(roots.values()))
            tar = stack.enter_context(_opened(source))
            config = importing.run(tar)
            steps = [whole_step(number, root) for number, root in enumerate(roots.values())]
        meter.tick()
        with disk_errors():
            failed = journal.commit(steps)
        for step, problem in failed:
            notes.add("not restored", names[step.staging].encode(), str(problem.strerror))
    finally:
        journal.end()
    meter.tick(last=True)
    return Imported(config, importing.files, importing.bytes_total, notes.said())


class _Tar:
    """The decompressed stream; what zstd does not like is damage."""

    def __init__(self, source: BinaryIO) -> None:
        decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_MAX_BYTES)
        self._reader: Any = decompressor.stream_reader(source, closefd=False)

    def __enter__(self) -> _Tar:
        return self

    def __exit__(self, kind: object, exc: object, trace: object) -> None:
        self._reader.close()

    def read(self, size: int, /) -> bytes:
        try:
            data: bytes = self._reader.read(size)
            return data
        except zstandard.ZstdError as exc:
            raise SnapshotDamaged(f"The archive is damaged: {exc}"[:300], "Copy it again") from exc


def _opened(source: BinaryIO) -> _Tar:
    return _Tar(source)


def _room(roots: Any) -> int:
    """Bytes that may be written: of the fullest disk."""
    free = []
    for root in roots:
        disk = os.statvfs(root)
        free.append(disk.f_bavail * disk.f_frsize - MARGIN_BYTES)
    return min(free, default=0)


def _config(members: Iterator[Member], tar: _Tar, total: Any) -> Mapping[str, Any]:
    first = next(members, None)
    if first is None or first.name != ABOUT or first.size > ABOUT_MAX_BYTES:
        raise BadInput("archive", "is none of a workspace", "Give what `syla workspace export` wrote")
    text = exactly(tar, first.size)
    exactly(tar, len(padding(first.size)))
    total.update(text)
    return parse_about(text)


class _Import:
    """One archive on its way."""

    def __init__(self, writers: Mapping[bytes, TreeWriter], meter: Meter, room: int) -> None:
        self.files = self.bytes_total = 0
        self._writers = writers
        self._meter = meter
        self._room = room
        self._order = manifest.Order()
        self._sums = hashlib.sha256()
        """Of the lines that the last member should have, so that it need not be kept."""
        self._directories: list[Entry] = []

    def run(self, tar: _Tar) -> Mapping[str, Any]:
        members = tar_stream.members(tar)
        total = hashlib.sha256()
        config = _config(members, tar, total)
        self._sums.update(sum_line(total.hexdigest(), ABOUT))
        complete = False
        for member in members:
            if complete:
                raise SnapshotDamaged("The archive goes on after its list of hashes")
            if member.name == SUMS:
                self._compare(tar, member)
                complete = True
                continue
            self._take(tar, member)
            self._meter.tick()
        if not complete:
            raise SnapshotDamaged("The archive has no list of hashes", "It is not complete: copy it again")
        missing = [name for name in self._writers if name not in {entry.path for entry in self._directories}]
        if missing:
            raise BadInput("targets", f"the archive has no part {missing[0].decode()!r}")
        for entry in reversed(self._directories):
            part, _, below = entry.path.partition(b"/")
            self._writers[part].finish_directory(below, entry)
        return config

    def _compare(self, tar: _Tar, member: Member) -> None:
        found, left = hashlib.sha256(), member.size
        while left:
            data = exactly(tar, min(left, PIECE_BYTES))
            found.update(data)
            left -= len(data)
            self._meter.tick()
        exactly(tar, len(padding(member.size)))
        if found.digest() != self._sums.digest():
            raise SnapshotDamaged("A file of the archive is not what its hash says", "Copy it again")

    def _take(self, tar: _Tar, member: Member) -> None:
        entry = self._order.admit(manifest.admissible(_entry(member)))
        part, _, below = entry.path.partition(b"/")
        writer = self._writers.get(part)
        if writer is None:
            raise BadInput("targets", f"none for the archive's part {shown(part)[:40]!r}")
        self._spend(MEMBER_BYTES)
        if member.type == tar_stream.DIRECTORY:
            writer.directory(below)
            self._directories.append(entry)
            return
        self.files += 1
        if member.type == tar_stream.SYMLINK:
            writer.symlink(below, entry)
        elif member.type == tar_stream.HARDLINK:
            writer.hardlink(below, entry.content.partition(b"/")[2])
        else:
            self._write(tar, writer, below, entry)
        self._meter.add(1, 0)

    def _spend(self, bytes_: int) -> None:
        self._room -= bytes_
        if self._room < 0:
            raise InsufficientResources("The archive holds more than the disk has room for", "Free some room first")

    def _write(self, tar: _Tar, writer: TreeWriter, below: bytes, entry: Entry) -> None:
        total, at = hashlib.sha256(), 0
        if entry.size <= PIECE_BYTES:
            data = exactly(tar, entry.size)
            self._spend(entry.size)
            total.update(data)
            writer.write_whole(below, entry, data)
            self._meter.add(0, entry.size)
        else:
            writer.begin(below, entry)
            while at < entry.size:
                data = exactly(tar, min(PIECE_BYTES, entry.size - at))
                total.update(data)
                if data != ZEROS[: len(data)]:
                    self._spend(len(data))
                    writer.write_piece(below, at, memoryview(data))
                at += len(data)
                self._meter.add(0, len(data))
                self._meter.tick()
            writer.finish_file(below, entry)
        exactly(tar, len(padding(entry.size)))
        self.bytes_total += entry.size
        self._sums.update(sum_line(total.hexdigest(), entry.path))


def _entry(member: Member) -> Entry:
    kind = int(_KINDS[member.type])
    directory = member.type == tar_stream.DIRECTORY
    if directory and not member.name.endswith(b"/"):
        raise SnapshotDamaged("The archive has a damaged header")
    path = member.name[:-1] if directory else member.name
    return Entry(path, kind, member.mode & 0o777, member.mtime_ns, member.size, member.target, xattrs=member.xattrs)
