"""What an error of the file system is in HTTP, and in words for whoever clicked."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from tornado.web import HTTPError

_GONE = (404, "no such file or directory")
_DENIED = (403, "permission denied")
_FULL = (507, "no space left for it. Delete something in the workspace, or ask for a larger limit")
_ANSWERS: dict[int, tuple[int, str]] = {
    errno.ENOENT: _GONE,
    errno.ENOTDIR: _GONE,
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EROFS: (403, "read-only"),
    errno.EXDEV: (403, "a link leads out of the workspace. Links are followed as long as they stay in it"),
    errno.ELOOP: (403, "too many links, or a link that leads to itself"),
    errno.EISDIR: (400, "a directory, not a file"),
    errno.ENXIO: (400, "not a regular file: pipes, sockets and devices are not opened"),
    errno.EINVAL: (400, "not possible, as a directory cannot be moved into itself"),
    errno.ENAMETOOLONG: (400, "the name is too long, or directories are nested too deeply. Use a terminal"),
    errno.EEXIST: (409, "there is something of that name already"),
    errno.ENOTEMPTY: (409, "something was added to it meanwhile. Try again"),
    errno.EBUSY: (409, "busy, or changed meanwhile"),
    errno.EAGAIN: (409, "a process in the workspace holds a lease on it. Try again, or end the process"),
    errno.EFBIG: (413, "too large for this. Use a download, or a terminal"),
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
}


def http_error(exc: OSError, what: str) -> HTTPError:
    status, words = _ANSWERS.get(exc.errno or 0, (500, os.strerror(exc.errno or errno.EIO)))
    return HTTPError(status, f"{what}: {words}")


@contextlib.contextmanager
def answered(what: str) -> Iterator[None]:
    """Errors of the file system in here are HTTP's."""
    try:
        yield
    except OSError as exc:
        raise http_error(exc, what) from exc
