"""Which renames put a staged tree in place: of the whole directory, of what is directly in it, or of single paths."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator, Sequence

from ..model.errors import BadPath
from .descent import DIRECTORY_FLAGS, Cursor, split
from .exchange import Staging, Step
from .tree import shown


def whole_step(number: int, staged: int) -> Step:
    return Step(number, "", os.fstat(staged).st_ino, 0)


def child_steps(number: int, staging: Staging, staged: int, keep: Collection[bytes]) -> Iterator[Step]:
    """The directory stays, what is in it is exchanged name by name; `keep` names what is left alone."""
    target = os.open(staging.target, DIRECTORY_FLAGS)
    try:
        new = {name: os.stat(name, dir_fd=staged, follow_symlinks=False).st_ino for name in _names(staged)}
        old = {name: os.stat(name, dir_fd=target, follow_symlinks=False).st_ino for name in _names(target)}
    finally:
        os.close(target)
    for name in sorted({*new, *old} - {*keep, os.fsencode(staging.name)}):
        yield Step(number, os.fsdecode(name), new.get(name, 0), old.get(name, 0))


def path_steps(number: int, staging: Staging, staged: int, paths: Sequence[bytes]) -> Iterator[Step]:
    """One step for each path, or for the topmost directory above it that is not there yet.

    `BadPath` where something that is no directory stands in the way.
    """
    outer = [path for path in paths if not any(path.startswith(other + b"/") for other in paths)]
    try:
        target = os.open(staging.target, DIRECTORY_FLAGS)
    except FileNotFoundError:
        yield whole_step(number, staged)
        return
    done: set[bytes] = set()
    try:
        with Cursor(target) as there, Cursor(staged) as here:
            for path in outer:
                place = _topmost_missing(there, path)
                if place in done:
                    continue
                done.add(place)
                above, name = split(place)
                new = os.stat(name, dir_fd=here.directory(above), follow_symlinks=False).st_ino
                yield Step(number, os.fsdecode(place), new, 0)
    finally:
        os.close(target)


def _topmost_missing(there: Cursor, path: bytes) -> bytes:
    names = path.split(b"/")
    for count in range(1, len(names)):
        above = b"/".join(names[:count])
        try:
            there.directory(above)
        except FileNotFoundError:
            return above
        except OSError as exc:
            why = "is no directory now" if exc.errno in (errno.ENOTDIR, errno.ELOOP) else exc.strerror
            raise BadPath("paths", f"{shown(above)} {why}", "Move it away, or restore it as a whole") from exc
    return path


def _names(directory: int) -> list[bytes]:
    return [os.fsencode(name) for name in os.listdir(directory)]
