"""Objects as files of one directory; a key's segments are directories.

An object is written to a file in `TMP/`, which is no key, brought to the disk, and only then given its name: by
`rename(2)`, or by `link(2)`, which fails where the name is taken, whoever took it. What a killed writer leaves is in
`TMP/`, where nobody looks, and goes a day later by the file system's own clock.

Every step down is one `openat` without following a link, and only regular files are read: what somebody put into the
directory leads nowhere. `delete` takes empty directories away. A writer whose directory goes in that moment notices,
because nothing can be made in a removed directory, and walks down again.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..model.errors import BadInput, ObjectExists, ObjectMissing, ObjectsFailed, ObjectsRefused
from .base import Data, ObjectInfo, check_key
from .local_errors import NOT_THERE, STEPPED_ASIDE, translate

TMP = "TMP"
LEFT_SECONDS = 86400.0
"""No write takes so long: what is older in `TMP/` has lost its writer."""
ATTEMPTS = 100
"""To find a directory that somebody removes all the time."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DURABLE_MAX = 100_000


class LocalObjects:
    """An object store in `directory`, which is made at the first `put`; its parent has to be there."""

    conditional = True

    def __init__(self, directory: Path) -> None:
        self._root = directory.absolute()
        self._durable: set[tuple[int, int]] = set()
        """Directories (device, inode) whose own name is known to be on the disk."""
        self._swept, self._lock = False, threading.Lock()

    @property
    def description(self) -> str:
        return str(self._root)

    def put(self, key: str, data: Data, *, if_absent: bool = False) -> None:
        check_key(key)
        *directories, name = key.split("/")
        with translate(f"write {key}", self._root), contextlib.ExitStack() as stack:
            root = self._open_root(stack)
            tmp = _open_directory(root, TMP, make=True)
            stack.callback(os.close, tmp)
            self._sweep(tmp)
            written = secrets.token_hex(16)
            file = os.open(written, _NEW, 0o600, dir_fd=tmp)
            try:
                _write(file, data)
                for _ in range(ATTEMPTS):
                    with contextlib.ExitStack() as steps:
                        try:
                            directory = self._walk(root, directories, steps)
                            _name(file, written, tmp, directory, name, if_absent=if_absent)
                            return
                        except FileNotFoundError:  # the directory was empty, and somebody removed it
                            continue
                        except FileExistsError as exc:
                            raise ObjectExists(f"there is an object {key} in {self._root} already") from exc
                raise ObjectsFailed(f"could not write {key}: its directory in {self._root} is removed all the time")
            finally:
                os.close(file)
                _unlink(written, tmp)

    def get(self, key: str, *, start: int = 0, length: int | None = None, max_bytes: int = 1 << 30) -> bytes:
        if length is not None and length < 0:
            raise BadInput("length", f"{length} is negative", "A number of bytes, or None for all there are")
        with translate(f"read {key}", self._root), self._opened(check_key(key)) as (file, status):
            start = max(0, status.st_size + start) if start < 0 else start
            length = max(0, min(status.st_size - start, status.st_size if length is None else length))
            if length > max_bytes:
                raise ObjectsRefused(f"{key} in {self._root} has {length} bytes, and {max_bytes} were expected at most")
            pieces = []
            while length > 0 and (piece := os.pread(file, length, start)):
                pieces.append(piece)
                start, length = start + len(piece), length - len(piece)
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def head(self, key: str) -> ObjectInfo:
        with translate(f"read {key}", self._root), self._opened(check_key(key)) as (_, status):
            return ObjectInfo(key, status.st_size, status.st_mtime)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        directory = prefix.rpartition("/")[0]
        if "/" in prefix:
            check_key(directory)
        return self._below(f"{directory}/" if directory else "", prefix, after)

    def _below(self, directory: str, prefix: str, after: str) -> Iterator[ObjectInfo]:
        """`directory`: empty, or with a slash at its end. No descriptor stays open while somebody looks at a result."""
        for name, status in self._entries(directory):
            key = directory + name
            if status is None:
                if (key.startswith(prefix) or prefix.startswith(key)) and (key > after or after.startswith(key)):
                    yield from self._below(key, prefix, after)
            elif key.startswith(prefix) and key > after:
                yield ObjectInfo(key, status.st_size, status.st_mtime)

    def _entries(self, directory: str) -> Sequence[tuple[str, os.stat_result | None]]:
        """Files with their status, directories with a slash at the end and None; in the order of keys."""
        found: list[tuple[str, os.stat_result | None]] = []
        with translate(f"list {directory}", self._root), contextlib.ExitStack() as stack:
            try:
                here = self._walk(self._open_root(stack, make=False), directory.split("/")[:-1], stack, make=False)
                names = os.listdir(here)
            except OSError as exc:
                if exc.errno not in NOT_THERE:
                    raise
                return []
            for name in names:
                with contextlib.suppress(FileNotFoundError, BadInput):  # removed meanwhile; not ours
                    status = os.stat(check_key(name), dir_fd=here, follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        found.append((name, status))
                    elif stat.S_ISDIR(status.st_mode):
                        found.append((f"{name}/", None))
        return sorted(found, key=lambda entry: entry[0])

    def delete(self, keys: Iterable[str]) -> None:
        by_directory: dict[str, set[str]] = {}
        for key in keys:
            directory, _, name = check_key(key).rpartition("/")
            by_directory.setdefault(directory, set()).add(name)
        for directory, names in by_directory.items():
            with translate(f"delete objects in {directory}", self._root), contextlib.ExitStack() as stack:
                self._delete(directory.split("/") if directory else [], names, stack)

    def _delete(self, directories: Sequence[str], names: set[str], stack: contextlib.ExitStack) -> None:
        try:
            chain = [self._open_root(stack, make=False)]
            for name in directories:
                chain.append(_open_directory(chain[-1], name, make=False))
                stack.callback(os.close, chain[-1])
        except OSError as exc:
            if exc.errno not in NOT_THERE:
                raise
            return
        gone = [_unlink(name, chain[-1]) for name in names]
        if any(gone):
            os.fsync(chain[-1])
        for parent, name in zip(reversed(chain[:-1]), reversed(directories), strict=True):
            try:
                os.rmdir(name, dir_fd=parent)
            except OSError as exc:
                if exc.errno not in STEPPED_ASIDE:
                    raise
                return  # not empty, or gone

    def close(self) -> None:
        pass

    def _open_root(self, stack: contextlib.ExitStack, *, make: bool = True) -> int:
        """The one path that is opened as it was given: the operator may well have made it a link."""
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._root, 0o700)
                _sync(self._root.parent)
        root = os.open(self._root, _DIRECTORY & ~os.O_NOFOLLOW)
        stack.callback(os.close, root)
        return root

    def _walk(self, root: int, names: Iterable[str], stack: contextlib.ExitStack, *, make: bool = True) -> int:
        """The directory at the end, made and durable when `make`."""
        here = root
        for name in names:
            parent, here = here, _open_directory(here, name, make=make)
            stack.callback(os.close, here)
            if make:
                status = os.fstat(here)
                self._sync_once(parent, (status.st_dev, status.st_ino))
        return here

    def _sync_once(self, parent: int, directory: tuple[int, int]) -> None:
        """Also where another process made it, which may die before it gets to do this."""
        with self._lock:
            if directory in self._durable:
                return
        os.fsync(parent)
        with self._lock:
            if len(self._durable) >= _DURABLE_MAX:
                self._durable.clear()
            self._durable.add(directory)

    @contextlib.contextmanager
    def _opened(self, key: str) -> Iterator[tuple[int, os.stat_result]]:
        """A regular file; `ObjectMissing` for anything else that a key may lead to."""
        with contextlib.ExitStack() as stack:
            try:
                *directories, name = key.split("/")
                directory = self._walk(self._open_root(stack, make=False), directories, stack, make=False)
                file = os.open(name, _FILE, dir_fd=directory)
            except OSError as exc:
                if exc.errno not in NOT_THERE:
                    raise
                raise ObjectMissing(f"there is no object {key} in {self._root}") from exc
            stack.callback(os.close, file)
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise ObjectMissing(f"there is no object {key} in {self._root}")
            yield file, status

    def _sweep(self, tmp: int) -> None:
        """Once per process; a file made now tells what time the file system thinks it is."""
        with self._lock:
            if self._swept:
                return
            self._swept = True
        mark = secrets.token_hex(16)
        os.close(os.open(mark, _NEW, 0o600, dir_fd=tmp))
        try:
            now = os.stat(mark, dir_fd=tmp).st_mtime
            for name in os.listdir(tmp):
                with contextlib.suppress(OSError):
                    if os.stat(name, dir_fd=tmp, follow_symlinks=False).st_mtime < now - LEFT_SECONDS:
                        os.unlink(name, dir_fd=tmp)
        finally:
            _unlink(mark, tmp)


def _open_directory(parent: int, name: str, *, make: bool) -> int:
    if make:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
    return os.open(name, _DIRECTORY, dir_fd=parent)


def _write(file: int, data: Data) -> None:
    with memoryview(data) as view, view.cast("B") as rest:
        done = 0
        while done < len(rest):
            done += os.write(file, rest[done:])
    os.fsync(file)


def _name(file: int, written: str, tmp: int, directory: int, name: str, *, if_absent: bool) -> None:
    """Give `file`, which is `written` in `tmp`, its name, durably; FileExistsError, FileNotFoundError."""
    if if_absent:
        try:
            os.link(written, name, src_dir_fd=tmp, dst_dir_fd=directory, follow_symlinks=False)
        except FileExistsError:
            if os.fstat(file).st_nlink < 2:
                raise
            # The link was made, and a network file system lost the answer and tried again.
    else:
        os.rename(written, name, src_dir_fd=tmp, dst_dir_fd=directory)
    os.fsync(directory)


def _unlink(name: str, directory: int) -> bool:
    try:
        os.unlink(name, dir_fd=directory)
    except (FileNotFoundError, IsADirectoryError):
        return False
    return True


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
