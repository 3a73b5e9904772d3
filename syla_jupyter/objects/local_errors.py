"""What the file system below a local store raises, in our words. Error numbers decide."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from ..model.errors import ObjectsFailed, ObjectsRefused

STEPPED_ASIDE = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.EBUSY}
"""Of `rmdir`: somebody needs the directory, or has removed it already."""
NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}
"""Of `open`: nothing, or what is no file of ours and on no way to one: a link, a socket."""
_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_RIGHTS = {errno.EACCES, errno.EPERM, errno.EROFS}
_SHAPE = {errno.ELOOP, errno.ENOTDIR, errno.EISDIR}
_LINKS = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


@contextlib.contextmanager
def translate(doing: str, directory: Path) -> Iterator[None]:
    """`doing`: as in `could not {doing}`."""
    try:
        yield
    except OSError as exc:
        kind = ObjectsRefused if exc.errno in _ROOM | _RIGHTS | _SHAPE | _LINKS | NOT_THERE else ObjectsFailed
        raise kind(f"could not {doing} in {directory}: {_said(exc)}", _hint(exc, directory)) from exc


def _said(exc: OSError) -> str:
    return os.strerror(exc.errno).lower() if exc.errno else type(exc).__name__


def _hint(exc: OSError, directory: Path) -> str:
    if exc.errno in _ROOM:
        return f"Free some space on the disk of {directory}, or forget versions and prune"
    if exc.errno in _RIGHTS:
        return f"Check who owns {directory}, and that its disk is not mounted read-only"
    if exc.errno in _SHAPE:
        return f"Look below {directory}: only this store may make files there, and no link is followed"
    if exc.errno in _LINKS:
        return "The store needs a file system with hard links"
    if exc.errno == errno.ENOENT:
        return f"Make {directory.parent} first, or mount its disk: it is not made, so that no other disk gets its files"
    return "Look at the disk and the kernel's log, then try again"
