"""Writes entries below a directory that somebody hostile may own: each name new, by descriptor, never through a link.

A file is created exclusively, so nothing that stands there is ever written to; holes stay holes; attributes, owner,
mode and times come last, on the descriptor. Set-id and sticky bits are left out. Directories get theirs after all that
is in them, deepest first. A writer is for one thread; several may write below one root.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from ..model.errors import BadPath, InsufficientResources
from .descent import CREATE_FLAGS, WRITE_FLAGS, Cursor, split
from .special import write_attributes
from .tree import Entry, Kind, Notes

MODE_MASK = 0o777
WRITE_BYTES = 8 << 20


class TreeWriter:
    """
    Parameters
    ----------
    root : descriptor of the directory; stays the caller's. Paths are below it (`a/b`, empty: itself).
    owner : uid and gid of everything written; None: the caller's own.
    sync : each file and directory is on disk when it is finished.
    """

    def __init__(self, root: int, notes: Notes, owner: tuple[int, int] | None, *, sync: bool = False) -> None:
        self._sync = sync
        self._cursor, self._other = Cursor(root), Cursor(root)
        self._notes = notes
        self._owner = None if owner == _owner_of_new(root) else owner
        self._granted = _granted_bits(root)

    def directory(self, path: bytes) -> None:
        """Makes it, and what is missing above; open to the caller alone until `finish_directory`."""
        self._cursor.directory(path, create=True)

    def write_whole(self, path: bytes, entry: Entry, data: memoryview | bytes) -> None:
        """A file of one piece or none."""
        mode = entry.mode & MODE_MASK
        granted = not mode & ~self._granted
        fd = self._create(path, mode if granted else 0o600)
        try:
            _write(fd, data, 0)
            if len(data) != entry.size:
                os.ftruncate(fd, entry.size)
            self._finish(fd, entry, mode=not granted)
        finally:
            os.close(fd)

    def begin(self, path: bytes, entry: Entry) -> None:
        """A file whose pieces come later: nothing but a hole of its size."""
        fd = self._create(path)
        try:
            os.ftruncate(fd, entry.size)
        finally:
            os.close(fd)

    def write_piece(self, path: bytes, offset: int, data: memoryview | bytes) -> None:
        fd = self._open(path)
        try:
            _write(fd, data, offset)
        finally:
            os.close(fd)

    def finish_file(self, path: bytes, entry: Entry) -> None:
        """After all its pieces."""
        fd = self._open(path)
        try:
            self._finish(fd, entry)
        finally:
            os.close(fd)

    def remove(self, path: bytes) -> None:
        """A file of which not everything came."""
        above, name = split(path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._cursor.directory(above))

    def _open(self, path: bytes) -> int:
        above, name = split(path)
        return os.open(name, WRITE_FLAGS, dir_fd=self._cursor.directory(above))

    def symlink(self, path: bytes, entry: Entry) -> None:
        above, name = split(path)
        fd = self._cursor.directory(above)
        os.symlink(entry.content, name, dir_fd=fd)
        try:
            if self._owner is not None:
                os.chown(name, *self._owner, dir_fd=fd, follow_symlinks=False)
            os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=fd, follow_symlinks=False)
        except OSError as exc:
            self._notes.add("owner or times", entry.path, str(exc.strerror))

    def hardlink(self, path: bytes, first: bytes) -> None:
        """Another name for a file that was written before."""
        first_above, first_name = split(first)
        above, name = split(path)
        source = self._other.directory(first_above)
        sink = self._cursor.directory(above)
        os.link(first_name, name, src_dir_fd=source, dst_dir_fd=sink, follow_symlinks=False)

    def finish_directory(self, path: bytes, entry: Entry) -> None:
        self._finish(self._cursor.directory(path), entry)

    def _create(self, path: bytes, mode: int = 0o600) -> int:
        above, name = split(path)
        return os.open(name, CREATE_FLAGS, mode, dir_fd=self._cursor.directory(above))

    def _finish(self, fd: int, entry: Entry, *, mode: bool = True) -> None:
        """`mode`: it does not have its own yet."""
        if entry.xattrs and (problem := write_attributes(fd, entry.xattrs)):
            self._notes.add("attributes", entry.path, problem)
        try:
            if self._owner is not None:
                os.fchown(fd, *self._owner)
            if mode:
                os.fchmod(fd, entry.mode & MODE_MASK)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        except OSError as exc:
            self._notes.add("owner, mode or times", entry.path, str(exc.strerror))
        if entry.mode & ~MODE_MASK and entry.kind == Kind.FILE:
            self._notes.add("mode", entry.path, "set-id bits are left out")
        if self._sync:
            os.fsync(fd)

    def close(self) -> None:
        self._cursor.close()
        self._other.close()

    def __enter__(self) -> TreeWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextlib.contextmanager
def disk_errors() -> Iterator[None]:
    """What the disk says about a tree being written, in our words."""
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise InsufficientResources(f"The disk does not take it: {exc.strerror}", "Free some room first") from exc
        raise BadPath("targets", f"cannot be written: {exc.strerror}") from exc


def _owner_of_new(root: int) -> tuple[int, int] | None:
    """Whose a new file below it is, and it is itself; None where that is not sure."""
    info, ours = os.fstat(root), (os.geteuid(), os.getegid())
    return ours if (info.st_uid, info.st_gid) == ours else None


def _granted_bits(root: int) -> int:
    """Permission bits that a new file below it has as they were asked for; none where a default ACL decides."""
    with contextlib.suppress(OSError):
        os.getxattr(root, "system.posix_acl_default")
        return 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = Path("/proc/self/status").read_text()  # umask(2) would change it for all threads
        return MODE_MASK & ~int(text.split("Umask:")[1].split()[0], 8)
    return 0


def _write(fd: int, data: memoryview | bytes, offset: int) -> None:
    done = os.pwrite(fd, data, offset) if data else 0
    while done < len(data):
        done += os.pwrite(fd, memoryview(data)[done : done + WRITE_BYTES], offset + done)
