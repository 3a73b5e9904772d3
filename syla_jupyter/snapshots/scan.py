"""One walk over a part: everything in it in the order of a manifest, by descriptors, never through a link.

The tree belongs to somebody who may change it meanwhile. What is met is looked at by `fstatat` without following; a
directory that was exchanged for a link cannot be opened; another file system is not entered. What vanishes, cannot be
read, or is no kind that a snapshot holds is said, and the walk goes on.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from typing import NamedTuple

from .descent import DIRECTORY_FLAGS
from .special import kind_of, problem
from .tree import DEPTH_MAX, Kind, Notes

DEFAULT_EXCLUDES = (".cache/pip", ".local/share/jupyter/runtime")
"""Below any part. Whatever says by a `CACHEDIR.TAG` that it can be made again is left out, too."""
TAG, TAG_SIGNATURE = "CACHEDIR.TAG", b"Signature: 8a477f597d28d172789f06886806bc55"
OWN_PREFIX = ".syla-restore-"
"""Staging of a restore that could not be beside its target."""


class Found(NamedTuple):
    path: bytes
    kind: Kind
    info: os.stat_result
    fd: int
    """Of a directory, open until the next one is asked for; -1 for anything else."""
    target: bytes
    """Of a symbolic link."""


class Scan:
    """
    Parameters
    ----------
    part : its name, first in every path.
    root : descriptor of its directory; stays the caller's.
    exclude : paths (`part/a/b`) of what is left out with all below it.
    """

    def __init__(self, part: str, root: int, notes: Notes, exclude: Collection[bytes] = ()) -> None:
        self._part = part.encode()
        self._root = root
        self._notes = notes
        self._exclude = frozenset(exclude) | {b"%s/%s" % (self._part, p.encode()) for p in DEFAULT_EXCLUDES}
        self._device = os.fstat(root).st_dev

    def __iter__(self) -> Iterator[Found]:
        info = os.fstat(self._root)
        fd = os.open(".", DIRECTORY_FLAGS, dir_fd=self._root)
        stack = [fd]
        levels: list[Iterator[tuple[bytes, os.DirEntry[str]]]] = []
        try:
            yield Found(self._part, Kind.DIRECTORY, info, fd, b"")
            levels.append(self._listed(self._part, fd))
            while levels:
                for path, item in levels[-1]:
                    found = self._looked_at(path, item, stack[-1])
                    if found is None:
                        continue
                    if found.fd >= 0:
                        stack.append(found.fd)
                        yield found
                        levels.append(self._listed(path, found.fd))
                        break
                    yield found
                else:
                    levels.pop()
                    os.close(stack.pop())
        finally:
            for fd in stack:
                os.close(fd)

    def _listed(self, path: bytes, fd: int) -> Iterator[tuple[bytes, os.DirEntry[str]]]:
        """What is in a directory, by name."""
        try:
            with os.scandir(fd) as found:
                items = list(found)
        except OSError as exc:
            self._notes.add("unreadable", path, problem(exc))
            return iter(())
        if not items:
            return iter(())
        above = path + b"/"
        names = os.fsencode("\0".join([item.name for item in items])).split(b"\0")  # one call for all of them
        return iter(sorted(zip([above + name for name in names], items, strict=True)))

    def _looked_at(self, path: bytes, item: os.DirEntry[str], above: int) -> Found | None:
        try:
            info = item.stat(follow_symlinks=False)
            mode = info.st_mode
            if stat.S_ISREG(mode):
                if path not in self._exclude:
                    return Found(path, Kind.FILE, info, -1, b"")
                self._notes.add("excluded", path)
            elif stat.S_ISDIR(mode):
                return self._opened(path, item.name, above)
            elif stat.S_ISLNK(mode):
                target = os.fsencode(os.readlink(item.name, dir_fd=above))
                return Found(path, Kind.SYMLINK, info, -1, target)
            else:
                self._notes.add(kind_of(mode), path, "is not kept")
        except FileNotFoundError:
            self._notes.add("vanished", path)
        except OSError as exc:
            self._notes.add("unreadable", path, problem(exc))
        return None

    def _opened(self, path: bytes, name: str, above: int) -> Found | None:
        if path in self._exclude or name.startswith(OWN_PREFIX):
            self._notes.add("excluded", path)
            return None
        if path.count(b"/") >= DEPTH_MAX:
            self._notes.add("unreadable", path, f"more than {DEPTH_MAX} directories deep")
            return None
        fd = os.open(name, DIRECTORY_FLAGS, dir_fd=above)
        try:
            info = os.fstat(fd)
            if info.st_dev != self._device:
                self._notes.add("other file system", path, "is not kept")
            elif is_cache(fd):
                self._notes.add("excluded", path, "a cache, by its CACHEDIR.TAG")
            else:
                fd, kept = -1, fd
                return Found(path, Kind.DIRECTORY, info, kept, b"")
        finally:
            if fd >= 0:
                os.close(fd)
        return None


def is_cache(directory: int) -> bool:
    """Whether its CACHEDIR.TAG says so. A virtual environment may have one, and is what somebody installed."""
    try:
        fd = os.open(TAG, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode) or os.read(fd, len(TAG_SIGNATURE)) != TAG_SIGNATURE:
            return False
    except OSError:
        return False
    finally:
        os.close(fd)
    try:
        os.stat("pyvenv.cfg", dir_fd=directory, follow_symlinks=False)
    except OSError:
        return True
    return False
