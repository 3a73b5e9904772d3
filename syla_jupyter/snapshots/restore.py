"""A version into directories: looked at as a whole, written beside, then put in place.

Nothing is written before all entries have been read and found safe (`manifest.entries`) and the disk has room. Blocks
come in the repository's order and go to writers in threads of their own. What is in place stays as it is until the new
tree is complete and on disk (`exchange`); a restore that is cancelled or killed changes nothing, and what it left is
cleared by the next one.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..model.clock import Clock
from ..model.errors import BadPath, InsufficientResources, SnapshotDamaged
from ..model.snapshot import Version
from . import manifest
from .exchange import Staging, Step, begin, recover
from .placing import child_steps, path_steps, whole_step
from .progress import Meter, Report, never, nothing
from .restore_plan import Plan, Use, plan_of, selected
from .tree import Entry, Kind, Notes, Said, placed_chunks, shown
from .writer import TreeWriter, disk_errors

if TYPE_CHECKING:
    from .repository import Repository

__all__ = ["RestoreReport", "find_file", "read_entry", "recover", "restore"]

WRITERS = 3
BATCH_BYTES, BATCH_CHUNKS = 1 << 20, 128
WAITING = 16  # batches on their way to the writers
SYNC_EACH = 50  # files and directories; for more, writing out the whole disk is quicker
MARGIN_BYTES = 64 << 20  # of the disk that stays free


@dataclass(frozen=True)
class RestoreReport:
    version: int
    files: int
    bytes_total: int
    said: Said
    """What did not come back as it was."""
    seconds: float

    def lines(self) -> list[str]:
        """For people: one for each thing that did not come back as it was, at most 20 and how many more."""
        return self.said.lines()


def restore(
    repository: Repository,
    version: Version,
    targets: Mapping[str, Path],
    *,
    state_dir: Path,
    clock: Clock,
    paths: Sequence[str] = (),
    keep: Collection[str] = (),
    owner: tuple[int, int] | None = None,
    partial: bool = False,
    progress: Report | None = None,
    cancelled: Callable[[], bool] = never,
    decided: Callable[[], None] = nothing,
) -> RestoreReport:
    """Put a version's parts, or some paths of them, in the place of what is in `targets` now.

    Parameters
    ----------
    targets : directory for each part wanted, by its name; need not be there, its parent must be.
    state_dir : of the host alone: journals.
    paths : `part/a/b`, each put in place by itself in the directories as they are; none: whole parts, whose
        directory is another one afterwards (unless something in it is kept).
    keep : `part/name`: stays in a whole part as it is.
    owner : uid and gid of what is written; None: ours.
    partial : put in place what is there when the repository has lost some of it.
    decided : called when all of it is written, before anything is exchanged: the last that can stop it, by raising.

    Raises `BadPath` for a path that the version has not, `SnapshotDamaged` for one not safe to write or not complete,
    `InsufficientResources`, `Cancelled`, and what the object store raises: then nothing was changed.
    """
    recover(state_dir)
    meter, notes = Meter(progress, cancelled, clock), Notes()
    wanted = [os.fsencode(path.strip("/")) for path in paths]
    plan = plan_of(manifest.entries(repository.read, version.root), list(targets), wanted)
    meter.files_total, meter.bytes_total = plan.files, plan.bytes_data
    meter.tick()
    parts = [part for part in targets if part.encode() in plan.parts]
    _check_room(plan, {part: targets[part] for part in parts})
    journal = begin(state_dir, [targets[part] for part in parts])
    try:
        with (
            disk_errors(),
            _Writing(plan, dict(zip(parts, journal.stagings, strict=True)), notes, owner, meter) as writing,
        ):
            lost = writing.run(repository)
            if lost and not partial:
                raise _lost(version, lost)
            left_out = version.details.get("exclude", ())  # what the version never had is not to be removed
            steps = list(writing.steps(wanted, [os.fsencode(path) for path in (*keep, *left_out)]))
        meter.tick()
        decided()
        with disk_errors():
            failed = journal.commit(steps, on_disk=writing.on_disk)
        for step, problem in failed:
            notes.add("not restored", os.fsencode(f"{parts[step.staging]}/{step.path}"), str(problem.strerror))
    finally:
        journal.end()
    meter.tick(last=True)
    return RestoreReport(version.number, plan.files, plan.bytes_total, notes.said(), meter.seconds)


def _lost(version: Version, paths: Sequence[bytes]) -> SnapshotDamaged:
    names = ", ".join(shown(path) for path in paths[:3])
    return SnapshotDamaged(
        f"{len(paths)} files of version {version.number} are lost: {names}",
        "Restore all others with partial, or choose another version",
    )


def find_file(repository: Repository, version: Version, path: str) -> Entry:
    """`BadPath` when the version has no such file."""
    wanted = os.fsencode(path.strip("/"))
    entries = {e.path: e for e in selected(manifest.entries(repository.read, version.root), [wanted])}
    entry = entries.get(wanted)
    if entry is None or entry.kind != Kind.FILE:
        raise BadPath("path", f"version {version.number} has no file {shown(wanted)}")
    return entry


def read_entry(repository: Repository, entry: Entry) -> bytes:
    """All of a file, however long. `SnapshotDamaged`."""
    data = bytearray(entry.size)
    for offset, length, id_ in placed_chunks(entry):
        chunk = repository.read(id_)
        if len(chunk) != length:
            raise SnapshotDamaged(f"A piece of {shown(entry.path)} has a wrong length")
        data[offset : offset + length] = chunk
    return bytes(data)


def _check_room(plan: Plan, targets: Mapping[str, Path]) -> None:
    """Parts on one file system need room for both."""
    needed: dict[int, tuple[int, int, Path]] = {}
    for part, target in targets.items():
        # Of a target with a quota of its own the kernel says what is left of that, and not of the disk.
        place = target if os.path.ismount(target) else target.parent
        try:
            device = os.stat(place).st_dev
        except OSError as exc:
            raise BadPath("targets", f"{place}: {exc.strerror}") from exc
        bytes_, files, _ = needed.get(device, (0, 0, place))
        more, count = plan.needs[part.encode()]
        needed[device] = bytes_ + more, files + count, place
    for bytes_, files, place in needed.values():
        disk = os.statvfs(place)
        free = disk.f_bavail * disk.f_frsize
        if bytes_ + MARGIN_BYTES > free or (disk.f_files and files > disk.f_favail):
            raise InsufficientResources(
                f"The restore needs {bytes_ / 1e9:.1f} GB and {files} files at {place}, {free / 1e9:.1f} GB are free",
                "Free some room, or restore fewer paths",
            )


class _Writing:
    """The staging directories being filled."""

    def __init__(
        self, plan: Plan, stagings: Mapping[str, Staging], notes: Notes, owner: tuple[int, int] | None, meter: Meter
    ) -> None:
        self._plan = plan
        self._stagings = {part.encode(): staging for part, staging in stagings.items()}
        self._roots: dict[bytes, int] = {}
        self._notes = notes
        self._owner = owner
        self._meter = meter
        self.on_disk = plan.files + len(plan.directories) <= SYNC_EACH
        self._local = threading.local()
        self._writers: list[TreeWriter] = []
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(WRITERS, "syla-restore")
        self._lost: set[int] = set()
        """Slots of files that are not complete."""

    def __enter__(self) -> _Writing:
        for part, staging in self._stagings.items():
            self._roots[part] = staging.open()
        return self

    def __exit__(self, kind: object, exc: object, trace: object) -> None:
        if exc is not None:
            self._meter.stopped.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for writer in self._writers:
            writer.close()
        for root in self._roots.values():
            os.close(root)

    def _writer(self, part: bytes) -> TreeWriter:
        """Of this thread."""
        writers: dict[bytes, TreeWriter] | None = getattr(self._local, "writers", None)
        if writers is None:
            writers = self._local.writers = {}
        if part not in writers:
            writer = TreeWriter(self._roots[part], self._notes, self._owner, sync=self.on_disk)
            with self._lock:
                self._writers.append(writer)
            writers[part] = writer
        return writers[part]

    def run(self, repository: Repository) -> list[bytes]:
        """Everything but the exchange; paths of files that the repository has lost."""
        plan = self._plan
        for entry in plan.directories:
            part, below = _split_part(entry.path)
            self._writer(part).directory(below)
        self._prepare()
        self._fill(repository)
        for entry in plan.links:
            part, below = _split_part(entry.path)
            self._writer(part).symlink(below, entry)
        self._meter.tick()
        lost = sorted(plan.entries[slot].path for slot in self._lost)
        for path in lost:
            part, below = _split_part(path)
            self._writer(part).remove(below)
        self._hardlinks(set(lost))
        for entry in reversed(plan.directories):
            part, below = _split_part(entry.path)
            if not below:
                with suppress(OSError):  # the target's own directory keeps its mode
                    mode = stat.S_IMODE(os.stat(self._stagings[part].target, follow_symlinks=False).st_mode)
                    entry = entry._replace(mode=mode)
            self._writer(part).finish_directory(below, entry)
        return lost

    def _prepare(self) -> None:
        """Files of several pieces, so that these can come in any order, and files without any."""
        for slot, left in self._plan.pieces_left.items():
            entry = self._plan.entries[slot]
            part, below = _split_part(entry.path)
            if left:
                self._writer(part).begin(below, entry)
            else:
                self._writer(part).write_whole(below, entry, b"")
                self._meter.add(1, 0)

    def _fill(self, repository: Repository) -> None:
        waiting: set[Future[None]] = set()
        batch: list[tuple[bytes, memoryview]] = []
        size = 0
        for id_, view in self._chunks(repository):
            batch.append((id_, view))
            size += len(view)
            if size < BATCH_BYTES and len(batch) < BATCH_CHUNKS:
                continue
            waiting.add(self._pool.submit(self._write_batch, batch))
            batch, size = [], 0
            while len(waiting) >= WAITING:
                waiting = self._settled(waiting)
            self._meter.tick()
        waiting.add(self._pool.submit(self._write_batch, batch))
        while waiting:
            waiting = self._settled(waiting)

    def _settled(self, waiting: set[Future[None]]) -> set[Future[None]]:
        done, left = wait(waiting, 0.2, FIRST_COMPLETED)
        for future in done:
            future.result()
        self._meter.tick()
        return left

    def _chunks(self, repository: Repository) -> Iterator[tuple[bytes, memoryview]]:
        """All that are needed; files whose chunks are lost are marked, and all others come nevertheless."""
        damaged: dict[bytes, str] = {}
        yield from repository.fetch(self._plan.uses, damaged=damaged)
        for id_, why in damaged.items():
            self._lose(self._plan.uses[id_], why)

    def _lose(self, uses: Iterable[Use], why: str) -> None:
        with self._lock:
            for use in uses:
                if use.slot not in self._lost:
                    self._lost.add(use.slot)
                    self._notes.add("lost", self._plan.entries[use.slot].path, why)

    def _write_batch(self, batch: Sequence[tuple[bytes, memoryview]]) -> None:
        plan = self._plan
        for id_, view in batch:
            if self._meter.stopped.is_set():
                return
            for use in plan.uses[id_]:
                entry = plan.entries[use.slot]
                if len(view) != use.length:
                    self._lose([use], "a piece of it has a wrong length")
                    continue
                part, below = _split_part(entry.path)
                writer = self._writer(part)
                if use.whole:
                    writer.write_whole(below, entry, view)
                    self._meter.add(1, len(view))
                    continue
                writer.write_piece(below, use.offset, view)
                with self._lock:
                    plan.pieces_left[use.slot] -= 1
                    last = not plan.pieces_left[use.slot]
                if last:
                    writer.finish_file(below, entry)
                self._meter.add(last, len(view))

    def _hardlinks(self, lost: set[bytes]) -> None:
        for entry in self._plan.hardlinks:
            if entry.content in lost:
                self._notes.add("lost", entry.path, "its content is lost")
                continue
            part, below = _split_part(entry.path)
            self._writer(part).hardlink(below, _split_part(entry.content)[1])

    def steps(self, wanted: Sequence[bytes], keep: Collection[bytes]) -> Iterator[Step]:
        for number, (part, root) in enumerate(self._roots.items()):
            staging = self._stagings[part]
            kept = {_split_part(path)[1] for path in keep if _in(part, path)}
            if wanted:
                yield from path_steps(number, staging, root, [_split_part(p)[1] for p in wanted if _in(part, p)])
            elif kept or staging.inside:
                yield from child_steps(number, staging, root, kept)
            else:
                yield whole_step(number, root)


def _in(part: bytes, path: bytes) -> bool:
    return path.partition(b"/")[0] == part


def _split_part(path: bytes) -> tuple[bytes, bytes]:
    part, _, below = path.partition(b"/")
    return part, below
