"""The limits of workspaces' directories that the file system itself keeps, where it can (`project_quota`).

Files and home of a workspace have one project, on each file system that they are on. It is theirs once its limit is
set, which is the last thing: a taking-in that was interrupted is begun again. What is there already is taken in while
no container of the workspace runs, that is at its creation and before each start.

Nothing here stops a workspace: where the kernel refuses, the log says so, and the workspace is measured as it would be
elsewhere.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..runtimes import projects
from .project_quota import FIRST_ID, DiskFacts, InForce, candidates, in_force, is_ours, mount_of

log = logging.getLogger("syla.workspaces")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def facts_at(place: Path) -> DiskFacts:
    """Of a directory of the host, or the nearest above it that is there."""
    place = next(above for above in (place.resolve(), *place.resolve().parents) if above.is_dir())
    mount = mount_of(place, Path("/proc/self/mountinfo").read_text(errors="surrogateescape"))
    own, answers = 0, False
    with contextlib.suppress(OSError), _opened(place) as fd:
        own = projects.project(fd).id
        projects.used(fd, FIRST_ID)
        answers = True
    return DiskFacts(mount, own, projects.may_set_limits(), answers, os.uname().machine)


class DiskQuotas:
    """Of one process; several may work on the same workspaces, each under the workspace's lock."""

    def __init__(self, decide: Callable[[Path], InForce] = lambda place: in_force(facts_at(place))) -> None:
        self._decide = decide
        self._decisions: dict[Path, InForce] = {}

    def hold(self, id: str, directories: Sequence[Path], limit_bytes: int) -> bool:
        """Whether all of them are kept within the limit from now on. No container may be writing there."""
        if any([self._is_new(id, directory) for directory in directories]):
            self.release(id, directories)  # were we to die on the way, it is begun again
            if not all([self._taken_in(id, directory, directories) for directory in directories]):
                return False
        return all([self._limited(id, directory, limit_bytes) for directory in directories])

    def change(self, id: str, directories: Sequence[Path], limit_bytes: int) -> None:
        """Another limit for those that have one, whatever runs in them."""
        for directory in directories:
            with self._described(directory), self._own(id, directory) as (fd, project):
                if project and projects.used(fd, project).limit_bytes:
                    projects.limit(fd, project, limit_bytes)

    @contextlib.contextmanager
    def lifted(self, id: str, directories: Sequence[Path]) -> Iterator[None]:
        """No limit while the host exchanges one tree for another: both are there for a while.

        It is back afterwards; were we to die, the next start sets it.
        """
        limits: list[tuple[Path, int]] = []
        for directory in directories:
            with self._described(directory), self._own(id, directory) as (fd, project):
                if project and (before := projects.used(fd, project).limit_bytes):
                    projects.limit(fd, project, 0)
                    limits.append((directory, before))
        try:
            yield
        finally:
            for directory, before in limits:
                with self._described(directory), self._own(id, directory) as (fd, project):
                    if project:
                        projects.limit(fd, project, before)

    def release(self, id: str, directories: Sequence[Path]) -> None:
        """Before they are removed: no limit is left of them, and with their last file the project's number is free."""
        for directory in directories:
            with self._described(directory), self._own(id, directory) as (fd, project):
                if project:
                    projects.limit(fd, project, 0)

    def disk_of(self, id: str, directory: Path) -> Path:
        """A directory that tells what is free on the disk; of one with a limit the kernel says what is left of that."""
        with contextlib.suppress(OSError), self._own(id, directory) as (_, project):
            return directory.parent if project else directory
        return directory

    def used_bytes(self, id: str, directories: Sequence[Path]) -> int | None:
        """What they take, as the file system counts; None where one of them is not held, and has to be measured."""
        found: dict[int, int] = {}
        try:
            for directory in directories:
                with self._own(id, directory) as (fd, project):
                    taken = projects.used(fd, project) if project else None
                    if taken is None or not taken.limit_bytes:
                        return None
                    found[os.fstat(fd).st_dev] = taken.bytes
        except OSError:
            return None
        return sum(found.values())

    def at(self, place: Path) -> InForce:
        """What is in force for a directory that is made in that one, which may be missing yet.

        Remembered: a file system that is mounted otherwise later refuses, and what is there is measured then.
        """
        if place not in self._decisions:
            try:
                self._decisions[place] = self._decide(place)
            except OSError as exc:
                return InForce(False, f"{place}: {exc.strerror}")
        return self._decisions[place]

    # -- steps -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _own(self, id: str, directory: Path) -> Iterator[tuple[int, int]]:
        """(descriptor, project; 0: none of the workspace's, or no quotas in force there)"""
        with _opened(directory) as fd:
            given = projects.project(fd) if self._hard(directory, fd) else projects.Project(0, False)
            yield fd, given.id if given.inherited and given.id in candidates(id) else 0

    def _hard(self, directory: Path, fd: int) -> bool:
        """A directory that has something of its own mounted on it is not what was decided about."""
        return self.at(directory.parent).hard and os.fstat(fd).st_dev == os.stat(directory.parent).st_dev

    def _is_new(self, id: str, directory: Path) -> bool:
        """It is to be taken in; not so one that cannot be, or that is somebody else's."""
        with contextlib.suppress(OSError), self._own(id, directory) as (fd, project):
            if project:
                return not projects.used(fd, project).limit_bytes
            return self._hard(directory, fd) and _may_be_ours(fd, directory)
        return False

    def _taken_in(self, id: str, directory: Path, directories: Sequence[Path]) -> bool:
        """Whether nothing went wrong; where something did, a part of it is not in the project."""
        try:
            with self._own(id, directory) as (fd, project):
                if project or (self._hard(directory, fd) and _may_be_ours(fd, directory)):
                    projects.take_in(fd, project or self._beside(id, fd, directories) or _unused(fd, id))
        except FileNotFoundError:
            pass
        except OSError as exc:
            log.warning("no disk quota for %s, which is measured instead: %s", directory, exc)
            return False
        return True

    def _limited(self, id: str, directory: Path, limit_bytes: int) -> bool:
        limited = False
        with self._described(directory), self._own(id, directory) as (fd, project):
            if project:
                projects.limit(fd, project, limit_bytes)
                limited = True
        return limited

    def _beside(self, id: str, fd: int, directories: Sequence[Path]) -> int:
        """The project that another of its directories has on the same file system; 0: none."""
        device = os.fstat(fd).st_dev
        for directory in directories:
            with contextlib.suppress(OSError), self._own(id, directory) as (other, project):
                if project and os.fstat(other).st_dev == device:
                    return project
        return 0

    @contextlib.contextmanager
    def _described(self, place: Path) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            pass
        except OSError as exc:
            log.warning("no disk quota for %s, which is measured instead: %s", place, exc)


def _may_be_ours(fd: int, directory: Path) -> bool:
    given = projects.project(fd).id
    if given and not is_ours(given):
        log.info("%s is left in project %d, which is somebody else's", directory, given)
        return False
    return True


def _unused(fd: int, id: str) -> int:
    for number in candidates(id):
        taken = projects.used(fd, number)
        if not taken.bytes and not taken.inodes:
            return number
    raise OSError("no project number is free for it")


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[int]:
    fd = os.open(directory, _DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)
