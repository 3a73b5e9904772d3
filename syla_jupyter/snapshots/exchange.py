"""A new tree in the place of an old one, by rename; or, after a death at any moment, the old one untouched.

A restore writes into a staging directory beside its target (inside it, where the parent is not ours or another file
system), and only when everything is there and on disk does it write down what will be exchanged: its journal, in a
directory of the host alone. From then on the exchange is finished, by whoever comes next; before that it never was.
Each step knows the inode of what it puts in place, so that doing it again does nothing. A journal's lock tells whether
its restore still lives.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..model.errors import BadPath
from ..runtimes import projects
from ..runtimes.removal import remove_tree
from .descent import DIRECTORY_FLAGS, Cursor, split
from .scan import OWN_PREFIX

_LIBC = ctypes.CDLL(None, use_errno=True)
_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2


@dataclass(frozen=True)
class Step:
    """Puts what has the inode `new` at `path` of the target (empty: the target itself); `new` 0: removes what is there.

    Paths are as `os.fsdecode` gives them.
    """

    staging: int
    path: str
    new: int
    old: int
    """Inode of what is there now; 0: nothing."""


@dataclass(frozen=True)
class Staging:
    """Where a target's new tree is written: the directory `name` in `parent`."""

    target: str
    parent: str
    name: str

    @property
    def inside(self) -> bool:
        return self.parent == self.target

    def open(self) -> int:
        parent = os.open(self.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return os.open(self.name, DIRECTORY_FLAGS, dir_fd=parent)
        finally:
            os.close(parent)


def make_staging(target: Path, number: int, token: str) -> Staging:
    """Where to write; made by `Journal.begin`. `OSError` when there is no place."""
    target = target.parent.resolve() / target.name
    beside = Staging(str(target), str(target.parent), f"{target.name[:200]}.restore-{token}-{number}")
    if not target.exists():
        return beside
    same = target.stat().st_dev == target.parent.stat().st_dev and not target.is_mount()
    if same and os.access(target.parent, os.W_OK | os.X_OK):
        return beside
    return Staging(str(target), str(target), f"{OWN_PREFIX}{token}-{number}")


class Journal:
    """What one restore has begun, in a locked file that ends with it."""

    def __init__(self, file: Path, fd: int, stagings: Sequence[Staging]) -> None:
        self._file = file
        self._fd = fd
        self.stagings = list(stagings)
        self._unfinished = False
        """It is decided, and not done: nothing may be removed."""

    @classmethod
    def begin(cls, state_dir: Path, targets: Sequence[Path]) -> Journal:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        token = secrets.token_hex(4)
        stagings = [make_staging(target, n, token) for n, target in enumerate(targets)]
        file = state_dir / f"restore-{token}.journal"
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        journal = cls(file, fd, stagings)
        try:
            journal._write({"stagings": [asdict(staging) for staging in stagings]})
            _sync(state_dir)
            for staging in stagings:
                _make(staging)
        except OSError:
            journal.end()
            raise
        return journal

    def _write(self, document: object) -> None:
        rest = memoryview(json.dumps(document).encode() + b"\n")
        while rest:  # a disk that is nearly full takes a part
            rest = rest[os.write(self._fd, rest) :]
        os.fsync(self._fd)

    def commit(self, steps: Sequence[Step], *, on_disk: bool = False) -> list[tuple[Step, OSError]]:
        """From here on the new tree is in force, whoever puts it in place; what `apply` says.

        `on_disk`: all of it is there already. Otherwise its whole file system is written out, with what others wrote.
        """
        for staging in () if on_disk else self.stagings:
            fd = staging.open()
            try:
                if _LIBC.syncfs(fd):
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            finally:
                os.close(fd)
        self._write({"steps": [asdict(step) for step in steps]})
        self._unfinished = True
        try:
            return self.apply(steps)
        except BaseException:
            self.apply(steps)  # an interrupt: what is decided is done, or half of each would be there
            raise

    def apply(self, steps: Sequence[Step]) -> list[tuple[Step, OSError]]:
        """All steps; those that could not be done because what they were for is gone, or something is in the way."""
        failed: list[tuple[Step, OSError]] = []
        for number, step in enumerate(steps):
            try:
                _apply(self.stagings[step.staging], step, f".old-{number}")
            except OSError as exc:
                failed.append((step, exc))
        self._unfinished = False
        return failed

    def end(self) -> None:
        """Removes the stagings with what is in them; the journal stays while one resists, or a step is to be done."""
        try:
            if not self._unfinished and all([_removed(staging) for staging in self.stagings]):
                self._file.unlink(missing_ok=True)
        finally:
            os.close(self._fd)


def begin(state_dir: Path, targets: Sequence[Path]) -> Journal:
    """`BadPath` where nothing can be written."""
    try:
        return Journal.begin(state_dir, targets)
    except OSError as exc:
        raise BadPath("targets", f"{exc.filename or targets}: {exc.strerror}") from exc


def recover(state_dir: Path) -> list[str]:
    """Finishes or clears what restores left that died; the targets whose restore was finished. `OSError`."""
    finished: list[str] = []
    for file in sorted(state_dir.glob("restore-*.journal")):
        try:
            fd = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            continue
        stagings, steps = _read(fd)
        journal = Journal(file, fd, stagings)
        journal.apply(steps)
        finished += sorted({stagings[step.staging].target for step in steps})
        journal.end()
    return finished


def _read(fd: int) -> tuple[list[Staging], list[Step]]:
    """What a journal says; lines that were not written to their end do not count."""
    size = os.fstat(fd).st_size
    lines = [line for line in os.pread(fd, size, 0).split(b"\n")[:-1] if line]
    stagings = [Staging(**fields) for fields in json.loads(lines[0])["stagings"]] if lines else []
    steps = [Step(**fields) for fields in json.loads(lines[1])["steps"]] if len(lines) > 1 else []
    return stagings, steps


def _make(staging: Staging) -> None:
    """The empty staging directory, with owner, mode and project of the target, whose size limit may hang on that."""
    parent = os.open(staging.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.mkdir(staging.name, 0o700, dir_fd=parent)
        try:
            target = os.open(staging.target, DIRECTORY_FLAGS)
        except FileNotFoundError:
            return
        fd = os.open(staging.name, DIRECTORY_FLAGS, dir_fd=parent)
        try:
            info = os.fstat(target)
            if os.geteuid() == 0:
                os.fchown(fd, info.st_uid, info.st_gid)
            with contextlib.suppress(OSError):
                if project := projects.project(target).id:
                    projects.assign(fd, project)
        finally:
            os.close(fd)
            os.close(target)
    finally:
        os.close(parent)


def _sync(directory: Path) -> None:
    fd = os.open(directory, DIRECTORY_FLAGS)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _apply(staging: Staging, step: Step, aside: str) -> None:
    parent = os.open(staging.parent, DIRECTORY_FLAGS)
    try:
        if not step.path:
            name = os.fsencode(Path(staging.target).name)
            _put(parent, os.fsencode(staging.name), parent, name, step, parent, os.fsencode(staging.name + aside))
            os.fsync(parent)
            return
        staged = os.open(staging.name, DIRECTORY_FLAGS, dir_fd=parent)
        target = os.open(staging.target, DIRECTORY_FLAGS)
        try:
            above, name = split(os.fsencode(step.path))
            with Cursor(staged) as source, Cursor(target) as sink:
                source_dir = source.directory(above) if step.new else staged
                sink_dir = sink.directory(above)
                _put(source_dir, name, sink_dir, name, step, staged, os.fsencode(aside))
                os.fsync(sink_dir)
        finally:
            os.close(staged)
            os.close(target)
    finally:
        os.close(parent)


def _put(source: int, old_name: bytes, sink: int, name: bytes, step: Step, aside: int, aside_name: bytes) -> None:
    """One step; nothing when it was done before."""
    there = _inode(sink, name)
    if not step.new:
        if there and there == step.old:
            os.rename(name, aside_name, src_dir_fd=sink, dst_dir_fd=aside)
        return
    if there == step.new or _inode(source, old_name) != step.new:
        return
    if not there:
        _rename(source, old_name, sink, name, _RENAME_NOREPLACE)
        return
    try:
        _rename(source, old_name, sink, name, _RENAME_EXCHANGE)
    except OSError as exc:
        if exc.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
        # A file system that cannot exchange: for a moment there is nothing, and the journal knows.
        os.rename(name, aside_name, src_dir_fd=sink, dst_dir_fd=aside)
        os.rename(old_name, name, src_dir_fd=source, dst_dir_fd=sink)


def _inode(directory: int, name: bytes) -> int:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False).st_ino
    except FileNotFoundError:
        return 0


def _rename(source: int, old: bytes, sink: int, new: bytes, flags: int) -> None:
    if _LIBC.renameat2(source, old, sink, new, flags):
        code = ctypes.get_errno()
        if code == errno.EINVAL and flags == _RENAME_NOREPLACE:
            os.rename(old, new, src_dir_fd=source, dst_dir_fd=sink)
            return
        raise OSError(code, os.strerror(code))


def _removed(staging: Staging) -> bool:
    try:
        parent = os.open(staging.parent, DIRECTORY_FLAGS)
    except FileNotFoundError:
        return True
    try:
        # By the descriptor, so that nobody puts a link in the way; of this process, because rm(1) may have to help.
        place = Path(f"/proc/{os.getpid()}/fd/{parent}")
        for _ in range(2):
            ours = [n for n in os.listdir(parent) if n == staging.name or n.startswith(f"{staging.name}.old-")]
            if not ours:
                return True
            for name in ours:
                remove_tree(place / name)
        return False
    finally:
        os.close(parent)
