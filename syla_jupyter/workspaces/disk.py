"""How much space workspaces take on disk, found out a little at a time.

There is no cheap way to ask a file system without quotas for the size of a tree, and a full walk each minute would
cost more than the workspace. So a walk goes on for a bounded time per sweep and stands still in between; the workspace
whose size is oldest is walked next. What grows fast is caught by the free space of the host, which is one call
(`free_bytes`).

The tree was written by the container. A directory is opened name by name beneath the root, no link is followed, no
other file system entered, a file with several names counted once, and allocated blocks are what counts. What it costs
in memory is bounded: what is deeper than `DEPTH_MAX`, or in more directories than `PENDING_MAX` that wait to be looked
into, is not counted; files with several names are counted again from the `LINKS_MAX`th on.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..model.clock import Clock
from ..model.errors import NoSpace
from ..model.workspace import readable_bytes

BLOCK_BYTES = 512  # st_blocks is in these, whatever the file system's are; stat(2)
DEPTH_MAX = 128
LINKS_MAX = 200_000
PENDING_MAX = 50_000
PAUSE_ENTRIES = 200
"""So often a walk can stand still."""
BUDGET_SECONDS = 0.5
OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Measured:
    bytes: int
    grown_bytes: int
    """Since the walk before; 0 at the first."""


class DiskMeter:
    def __init__(self, *, clock: Clock, budget_seconds: float = BUDGET_SECONDS) -> None:
        self._clock, self._budget = clock, budget_seconds
        self._walk: tuple[str, Iterator[int], int] | None = None
        self._last: dict[str, tuple[float, int]] = {}

    def measure(
        self,
        wanted: Mapping[str, Sequence[Path]],
        budget_seconds: float | None = None,
        known: Mapping[str, int] | None = None,
    ) -> dict[str, Measured]:
        """Walk on for one budget; id -> size of those whose walk ended in it, and of those whose bytes are `known`.

        `wanted`: the directories of each workspace; one that is not named any more is forgotten.
        """
        until = self._clock.monotonic() + (self._budget if budget_seconds is None else budget_seconds)
        known = known or {}
        for id in self._last.keys() - wanted.keys() - known.keys():
            del self._last[id]
        found = {id: self._ended(id, total) for id, total in known.items()}
        while True:
            if self._walk is None or self._walk[0] not in wanted:
                waiting = [id for id in wanted if id not in found]
                if not waiting:
                    return found
                id = min(waiting, key=lambda one: self._last.get(one, (0.0, 0))[0])
                self._walk = (id, walked(wanted[id]), 0)
            id, walk, total = self._walk
            for number in walk:
                total += number
                if self._clock.monotonic() >= until:
                    self._walk = (id, walk, total)
                    return found
            self._walk = None
            found[id] = self._ended(id, total)

    def _ended(self, id: str, total: int) -> Measured:
        now = max(self._clock.monotonic(), 1e-9)
        before = self._last.get(id)
        self._last[id] = (now, total)
        return Measured(total, 0 if before is None else total - before[1])


def walked(roots: Sequence[Path]) -> Iterator[int]:
    """The bytes of some entries at a time, until all that is beneath the roots was counted; no error ever."""
    links: set[tuple[int, int]] = set()
    for root in roots:
        pending: list[tuple[str, ...]] = [()]
        device: int | None = None
        while pending:
            names = pending.pop()
            with contextlib.suppress(OSError), opened(root, names) as fd:
                device = os.fstat(fd).st_dev if device is None else device
                count, seen = 0, 0
                with os.scandir(fd) as entries:
                    for entry in entries:
                        size, below = _entry(entry, device, links)
                        if below and len(names) < DEPTH_MAX and len(pending) < PENDING_MAX:
                            pending.append((*names, entry.name))
                        count, seen = count + size, seen + 1
                        if seen % PAUSE_ENTRIES == 0:
                            yield count
                            count = 0
                yield count


def _entry(entry: os.DirEntry[str], device: int, links: set[tuple[int, int]]) -> tuple[int, bool]:
    """(bytes, is a directory to look into)."""
    try:
        details = entry.stat(follow_symlinks=False)
    except OSError:
        return 0, False
    if details.st_dev != device:
        return 0, False
    if stat.S_ISDIR(details.st_mode):
        return details.st_blocks * BLOCK_BYTES, True
    if details.st_nlink > 1:
        if (details.st_dev, details.st_ino) in links:
            return 0, False
        if len(links) < LINKS_MAX:
            links.add((details.st_dev, details.st_ino))
    return details.st_blocks * BLOCK_BYTES, False


@contextlib.contextmanager
def opened(root: Path, names: Sequence[str]) -> Iterator[int]:
    """To list it: a directory at `names` beneath the root, no link followed."""
    fd = os.open(root, OPEN)
    try:
        for name in names:
            below = os.open(name, OPEN, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def free_bytes(place: Path) -> tuple[int, int]:
    """(device, bytes that can still be written) of the file system of a place, which may not be there yet."""
    for existing in (place, *place.parents):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            numbers = os.statvfs(existing)
            return os.stat(existing).st_dev, numbers.f_bavail * numbers.f_frsize
    raise FileNotFoundError(place)


def check_free(places: Sequence[Path], floor_bytes: int) -> None:
    """`NoSpace` where less than `floor_bytes` is free beneath one of the places."""
    for place in places:
        try:
            free = free_bytes(place)[1]
        except OSError:
            continue  # whoever uses the place says what is wrong with it
        if free < floor_bytes:
            raise NoSpace(
                f"only {readable_bytes(free)} are free at {place}, and {readable_bytes(floor_bytes)} stay reserved",
                "Delete files or archived workspaces on this machine, then start it again",
            )
