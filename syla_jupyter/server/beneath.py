"""Finding a file below a directory that somebody hostile can write to, without ever leaving it.

A container owns everything below its workspace's directory and may exchange any name for a link at any moment. So the
kernel never gets a path from us, and follows nothing: we go down from the directory's descriptor by one name at a time,
and where that is a link we read it as text and go on by what it says, as the container would: relative to where it
stands, or from the top where it begins with `/workspace`. `..` leads back to a directory that we came through. Whatever
is exchanged meanwhile, the walk cannot reach anything that is not below the top.

It ends at a *place*: an open directory and a name in it. What is done there is done by that descriptor and name,
without following a link. Files are pinned (`O_PATH`), looked at, and opened through the pin: pipes, sockets and devices
are never opened. `O_NONBLOCK`, because a lease that a process inside holds would make us wait for it.

`openat2(2)` with RESOLVE_BENEATH does most of this in one call, but knows neither what `/workspace` is inside nor that
the default workspace ends where `workspaces/` begins. As there, EXDEV says that a path leads out.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from ..model.runtime import WORKSPACE_DIR

LINKS_MAX = 40  # as the kernel's
STEPS_MAX = 4096
_PINNED = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Steps:
    """How much may still be done: who can make links and directories decides how long a walk is."""

    def __init__(self, count: int = STEPS_MAX) -> None:
        self.left = count

    def spend(self, count: int = 1) -> None:
        self.left -= count
        if self.left < 0:
            raise OSError(errno.ELOOP, "too many links or directories")


@dataclass(frozen=True)
class Place:
    """A name in an open directory, not a link when it was found, maybe not there; `.`: the directory itself."""

    directory: int
    name: str

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.directory)

    def stat(self) -> os.stat_result:
        return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)

    def writable(self) -> bool:
        return os.access(self.name, os.W_OK, dir_fd=self.directory, follow_symlinks=False)

    def open_directory(self) -> int:
        """To list it."""
        return os.open(self.name, _READ_DIRECTORY, dir_fd=self.directory)

    def open_file(self, flags: int) -> int:
        """A regular file; ENXIO or EISDIR for anything else, EWOULDBLOCK while a process inside holds a lease."""
        pinned = os.open(self.name, _PINNED, dir_fd=self.directory)
        try:
            mode = os.fstat(pinned).st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, "a directory")
            if not stat.S_ISREG(mode):
                raise OSError(errno.ENXIO, "not a regular file")
            return os.open(f"/proc/self/fd/{pinned}", flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        finally:
            os.close(pinned)

    def create_file(self, mode: int = 0o666) -> int:
        """A new one, to write; EEXIST where there is anything."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self.name, flags, mode, dir_fd=self.directory)

    def beside(self, name: str) -> Place:
        """Another name in the same directory; close only one of both."""
        return Place(self.directory, name)


def descend(here: int, names: Sequence[str]) -> int:
    """The directory at `names` below `here`, links not followed: ENOTDIR where there is one."""
    found = os.open(".", _PINNED | os.O_DIRECTORY, dir_fd=here)
    for name in names:
        try:
            below = os.open(name, _PINNED | os.O_DIRECTORY, dir_fd=found)
        finally:
            os.close(found)
        found = below
    return found


def find(top: int, names: Sequence[str], *, follow: bool = True, barred: str = "", steps: Steps | None = None) -> Place:
    """The place of `names` below the directory `top`; close it.

    Parameters
    ----------
    follow : whether a link that stands last is followed, too; those before it always are.
    barred : a name directly below `top` that the walk must not enter.

    Raises `OSError`: EXDEV where a link leads out, ELOOP where it leads in circles, ENOENT, ENOTDIR, EACCES.
    """
    steps = steps or Steps()
    links = LINKS_MAX
    todo, done = list(reversed(names)), list[str]()
    here = descend(top, ())
    try:
        while todo:
            steps.spend()
            name = todo.pop()
            if name == ".":
                continue
            if name == ".." and done:
                done.pop()
                steps.spend(len(done))
                here = _instead_of(here, descend(top, done))
                continue
            if name == ".." or (name == barred and not done):
                raise OSError(errno.EXDEV, "leads out of the workspace")
            if todo:
                try:
                    here = _instead_of(here, os.open(name, _PINNED | os.O_DIRECTORY, dir_fd=here))
                    done.append(name)
                    continue
                except NotADirectoryError:
                    target = _target(here, name)
                    if target is None:
                        raise
            else:
                target = _target(here, name) if follow else None
                if target is None:
                    return Place(here, name)
            links -= 1
            if links < 0:
                raise OSError(errno.ELOOP, "too many links")
            parts = [part for part in target.split("/") if part not in ("", ".")]
            if target.endswith(("/", "/.")):
                parts.append(".")  # what is before it has to be a directory
            if target.startswith("/"):
                if parts[:1] != [WORKSPACE_DIR.strip("/")]:
                    raise OSError(errno.EXDEV, "leads out of the workspace")
                done, parts = [], parts[1:]
                here = _instead_of(here, descend(top, ()))
            todo.extend(reversed(parts))
    except BaseException:
        os.close(here)
        raise
    return Place(here, ".")


def _instead_of(old: int, new: int) -> int:
    os.close(old)
    return new


def _target(here: int, name: str) -> str | None:
    """What a link says; None: it is none, or is not there."""
    try:
        return os.readlink(name, dir_fd=here)
    except OSError as exc:
        if exc.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise
