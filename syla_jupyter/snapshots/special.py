"""What is not plain bytes: holes, attributes, and the kinds of files that no snapshot holds."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from ..model.errors import InsufficientResources
from .tree import NAME_MAX_BYTES, XATTRS_MAX_BYTES

HOLE_MIN_BYTES = 64 << 10  # a shorter one is read as the zeros it is: an extent costs more
ATTRIBUTE_PREFIX = "user."


def problem(exc: OSError) -> str:
    """Why a file could not be read, for people; `InsufficientResources` when it is not the file but this process."""
    if exc.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        raise InsufficientResources(
            f"The save cannot go on: {exc.strerror}", "Raise the limit, or close something"
        ) from exc
    return os.strerror(exc.errno) if exc.errno else str(exc.args[-1] if exc.args else exc)


def kind_of(mode: int) -> str:
    """Name of a kind that is not held, for people."""
    for test, name in (
        (stat.S_ISSOCK, "socket"),
        (stat.S_ISFIFO, "pipe"),
        (stat.S_ISCHR, "device"),
        (stat.S_ISBLK, "device"),
    ):
        if test(mode):
            return name
    return "special file"


def extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """(offset, end) of what has data in the first `size` bytes, ascending; holes below `HOLE_MIN_BYTES` are data."""
    start, end = -1, 0
    while end < size:
        try:
            data = os.lseek(fd, end, os.SEEK_DATA)
            after = min(size, os.lseek(fd, data, os.SEEK_HOLE))
        except OSError as exc:
            if exc.errno == errno.ENXIO:  # nothing but a hole up to the end
                break
            data, after = end, size  # the file system knows no holes
        if data >= size:
            break
        if start < 0:
            start = data
        elif data - end >= HOLE_MIN_BYTES:
            yield start, end
            start = data
        end = max(after, data + 1)
    if start >= 0:
        yield start, min(end, size)


def read_attributes(fd: int) -> tuple[tuple[bytes, bytes], ...]:
    """`user.*` of an open file, by name; none where the file system has none, or where they are too big together."""
    try:
        names = os.listxattr(fd)
    except OSError:
        return ()
    found: list[tuple[bytes, bytes]] = []
    total = 0
    for name in sorted(names):
        key = os.fsencode(name)
        if not name.startswith(ATTRIBUTE_PREFIX) or len(key) > NAME_MAX_BYTES:
            continue
        try:
            value = os.getxattr(fd, name)
        except OSError:
            continue
        total += len(key) + len(value)
        if total > XATTRS_MAX_BYTES:
            break
        found.append((key, value))
    return tuple(found)


def write_attributes(fd: int, attributes: tuple[tuple[bytes, bytes], ...]) -> str:
    """Sets them; what went wrong, or nothing."""
    try:
        for name, value in attributes:
            os.setxattr(fd, name, value)
    except OSError as exc:
        return f"attributes: {exc.strerror}"
    return ""
