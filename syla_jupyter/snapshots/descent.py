"""Directories below a root, reached by one name at a time and never through a link.

Whoever owns the tree may exchange any directory for a link at any moment: the kernel gets a descriptor and one name,
`O_NOFOLLOW`, so a walk ends with an error instead of somewhere else. The way down is kept open, because what is asked
for next is mostly near; that is at most `DEPTH_MAX` descriptors. A cursor is for one thread.
"""

from __future__ import annotations

import errno
import os
from types import TracebackType

from .tree import DEPTH_MAX

DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
CREATE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
WRITE_FLAGS = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Cursor:
    """Below `root`, a directory's descriptor that stays the caller's."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._path = b""
        self._names: list[bytes] = []
        self._fds: list[int] = []
        self._device = os.fstat(root).st_dev

    def directory(self, path: bytes, *, create: bool = False) -> int:
        """Descriptor of the directory at `path` (`a/b`; empty: the root), good until the next call.

        `create` makes what is missing (0700). `OSError`: ENOTDIR or ELOOP where something else stands in the way, EXDEV
        where another file system begins.
        """
        if path == self._path:
            return self._fds[-1] if self._fds else self._root
        names = path.split(b"/") if path else []
        if len(names) > DEPTH_MAX:
            raise OSError(errno.ENAMETOOLONG, f"more than {DEPTH_MAX} directories deep")
        same = 0
        for old, new in zip(self._names, names, strict=False):
            if old != new:
                break
            same += 1
        self._leave(same)
        for name in names[same:]:
            self._enter(name, create)
        self._path = path
        return self._fds[-1] if self._fds else self._root

    def _enter(self, name: bytes, create: bool) -> None:
        above = self._fds[-1] if self._fds else self._root
        try:
            fd = os.open(name, DIRECTORY_FLAGS, dir_fd=above)
        except FileNotFoundError:
            if not create:
                raise
            os.mkdir(name, 0o700, dir_fd=above)
            fd = os.open(name, DIRECTORY_FLAGS, dir_fd=above)
        if os.fstat(fd).st_dev != self._device:
            os.close(fd)
            raise OSError(errno.EXDEV, "another file system")
        self._fds.append(fd)
        self._names.append(name)
        self._path = b"/".join(self._names)

    def _leave(self, depth: int) -> None:
        while len(self._fds) > depth:
            self._names.pop()
            os.close(self._fds.pop())
        self._path = b"/".join(self._names)

    def close(self) -> None:
        self._leave(0)

    def __enter__(self) -> Cursor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def split(path: bytes) -> tuple[bytes, bytes]:
    """(directory, name)"""
    above, _, name = path.rpartition(b"/")
    return above, name
