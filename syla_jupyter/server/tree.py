"""Copying and removing what may be a whole directory tree, by descriptors: links are copied or removed, not followed.

Both go down no deeper than DEPTH_MAX, because each level holds a descriptor or two, and neither goes on for ever while
somebody adds to the tree.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from collections.abc import Iterator

from .beneath import Place, Steps

DEPTH_MAX = 64
ENTRIES_MAX = 5_000_000
_CHUNK_BYTES = 8 * 1024 * 1024
_BATCH = 1000


class Allowance:
    """What a copy may still take; EFBIG when that is used up."""

    def __init__(self, data_bytes: int, entries: int = ENTRIES_MAX) -> None:
        self.data_bytes, self.entries = data_bytes, entries

    def take(self, data_bytes: int = 0, entries: int = 0) -> None:
        self.data_bytes -= data_bytes
        self.entries -= entries
        if self.data_bytes < 0 or self.entries < 0:
            raise OSError(errno.EFBIG, "too large to copy")


def copy(source: Place, target: Place, allowance: Allowance, depth: int = 0) -> None:
    """Make `target`, which must not exist; nothing of it is left when that fails.

    Pipes, sockets and devices in a tree are left out; alone they are refused with ENXIO.
    """
    allowance.take(entries=1)
    mode = source.stat().st_mode
    if stat.S_ISLNK(mode):
        os.symlink(os.readlink(source.name, dir_fd=source.directory), target.name, dir_fd=target.directory)
    elif stat.S_ISDIR(mode):
        _check_depth(depth)
        os.mkdir(target.name, 0o700, dir_fd=target.directory)
        with _removed_on_failure(target, depth):
            _copy_entries(source, target, allowance, depth)
    elif stat.S_ISREG(mode) or depth == 0:
        reader = source.open_file(os.O_RDONLY)
        try:
            copy_file(reader, target, allowance)
        finally:
            os.close(reader)


@contextlib.contextmanager
def _removed_on_failure(target: Place, depth: int = 0) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if depth == 0:
            remove(target)
        raise


def _copy_entries(source: Place, target: Place, allowance: Allowance, depth: int) -> None:
    reader = source.open_directory()
    try:
        writer = target.open_directory()
        try:
            with os.scandir(reader) as entries:
                for entry in entries:
                    copy(Place(reader, entry.name), Place(writer, entry.name), allowance, depth + 1)
            os.fchmod(writer, os.fstat(reader).st_mode & 0o777)
        except FileExistsError:  # not the target itself: somebody inside adds to the copy
            raise OSError(errno.EBUSY, "changed while it was copied") from None
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def copy_file(reader: int, target: Place, allowance: Allowance) -> None:
    """Make `target` of an open file, as `copy` does."""
    writer = target.create_file(0o600)
    try:
        with _removed_on_failure(target):
            copy_data(reader, writer, allowance)
            copy_metadata(reader, writer)
    finally:
        os.close(writer)


def copy_data(source: int, target: int, allowance: Allowance | None = None) -> None:
    """All data from `source`, as large as it is now, to the empty file `target`; holes stay holes."""
    size, position = os.fstat(source).st_size, 0
    while position < size:
        try:
            position = os.lseek(source, position, os.SEEK_DATA)
        except OSError as exc:
            if exc.errno != errno.ENXIO:
                raise
            break  # a hole to the end
        end = min(size, os.lseek(source, position, os.SEEK_HOLE))
        os.lseek(target, position, os.SEEK_SET)
        while position < end:
            sent = os.sendfile(target, source, position, min(_CHUNK_BYTES, end - position))
            if not sent:
                break  # shorter than it was
            if allowance is not None:
                allowance.take(data_bytes=sent)
            position += sent
        else:
            continue
        break
    os.ftruncate(target, size)


def copy_metadata(source: int, target: int) -> None:
    """Mode, without set-id bits, and times."""
    info = os.fstat(source)
    os.fchmod(target, info.st_mode & 0o777)
    os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))


def remove(place: Place, depth: int = 0, steps: Steps | None = None) -> None:
    """Whatever it is, with everything in it; no error where there is nothing."""
    steps = steps or Steps(ENTRIES_MAX)
    try:
        os.unlink(place.name, dir_fd=place.directory)
        return
    except FileNotFoundError:
        return
    except IsADirectoryError:
        _check_depth(depth)
    here = place.open_directory()
    try:
        while names := list_names(here, _BATCH):
            steps.spend(len(names))
            for name in names:
                remove(Place(here, name), depth + 1, steps)
    finally:
        os.close(here)
    os.rmdir(place.name, dir_fd=place.directory)


def list_names(directory: int, count: int) -> list[str]:
    """At most `count` names, in no order."""
    with os.scandir(directory) as entries:
        return [entry.name for entry in itertools.islice(entries, count)]


def _check_depth(depth: int) -> None:
    if depth >= DEPTH_MAX:
        raise OSError(errno.ENAMETOOLONG, f"nested deeper than {DEPTH_MAX} directories")
