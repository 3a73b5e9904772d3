"""Trees for snapshot tests: every kind of file, changes to them, and what they are, as one value to compare."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from syla_jupyter.model.clock import SystemClock
from syla_jupyter.model.snapshot import Reason
from syla_jupyter.objects.local import LocalObjects
from syla_jupyter.snapshots.keys import MasterKey
from syla_jupyter.snapshots.repository import Repository
from syla_jupyter.snapshots.restore import RestoreReport, restore
from syla_jupyter.snapshots.save import SaveReport, save
from syla_jupyter.snapshots.tree import Part

CLOCK = SystemClock()
GIB = 1 << 30
ODD = (b"new\nline", b"\xff\xfe no utf-8", "Größe ✓".encode(), b" ", b"-rf", b"x" * 255, b"a\\b", b"\x01\x7f")


def repository(place: Path, workspace: str = "ws-1") -> Repository:
    """On the local store, made when it is not there."""
    objects = LocalObjects(place / "objects")
    master = MasterKey.from_file(place / "master.key", create=True)
    if (place / "objects" / "workspaces" / workspace / "config").exists():
        return Repository.open(objects, workspace, master, clock=CLOCK)
    return Repository.create(objects, workspace, master, clock=CLOCK)


def take(repository: Repository, cache: Path | None = None, **parts: Path) -> SaveReport:
    return save(
        repository, [Part(name, place) for name, place in parts.items()],
        author="ana", message="", reason=Reason.MANUAL, clock=CLOCK, cache_dir=cache,
    )  # fmt: skip


def back(repository: Repository, number: int, state: Path, **targets: Path) -> RestoreReport:
    return restore(repository, repository.version(number), targets, state_dir=state, clock=CLOCK)


def make(top: Path, seed: int = 0) -> Path:
    """A directory with every kind of file that a snapshot keeps."""
    chance = random.Random(seed)
    top.mkdir(parents=True)
    (top / "empty dir").mkdir()
    (top / "empty").touch()
    (top / "notebook.ipynb").write_text('{"cells": []}')
    (top / "large.bin").write_bytes(chance.randbytes(6_000_000))
    (top / "zeros.bin").write_bytes(bytes(3_000_000))
    for n in range(40):
        place = top / f"src/package{n % 5}/deep/er"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"module{n}.py").write_bytes(chance.randbytes(chance.randrange(1, 9000)))
    for name in ODD:
        Path(os.fsdecode(os.fsencode(top) + b"/" + name)).write_bytes(name)
    (top / "dangling").symlink_to("/nowhere/at all")
    (top / "to a file").symlink_to("notebook.ipynb")
    (top / "to a directory").symlink_to("src")
    os.link(top / "large.bin", top / "src/again.bin")
    os.link(top / "empty", top / "another empty")
    sparse(top / "sparse.bin", 100 << 20)
    (top / "run.sh").write_text("#!/bin/sh\n")
    (top / "run.sh").chmod(0o755)
    (top / "secret").write_text("x")
    (top / "secret").chmod(0o400)
    (top / "src/package1").chmod(0o711)
    old = top / "of 1969"
    old.write_text("old")
    os.utime(old, ns=(-86_400_000_000_001, -86_400_000_000_001))
    os.utime(top / "empty dir", ns=(1_000_000_000_123_456_789,) * 2)
    os.setxattr(top / "notebook.ipynb", "user.colour", b"\x00blue\xff")
    os.setxattr(top / "src", "user.kind", b"directory")
    return top


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for offset in (0, size // 3, size - 5000):
            file.seek(offset)
            file.write(b"data at %d" % offset)
        file.truncate(size)


def change(top: Path, seed: int) -> None:
    """Something of everything: edited, grown, cut, replaced, renamed, removed, made, and other kinds in their place."""
    chance = random.Random(seed)
    files = sorted(path for path in top.rglob("module*.py") if not path.is_symlink())
    for path in chance.sample(files, min(6, len(files))):
        what = chance.randrange(5)
        if what == 0:
            path.write_bytes(chance.randbytes(chance.randrange(9000)))
        elif what == 1:
            path.unlink()
        elif what == 2:
            path.rename(path.with_name(f"module{seed}{path.name}"))
        elif what == 3:
            path.unlink()
            path.symlink_to(f"{seed}")
        else:
            path.chmod(chance.choice([0o600, 0o640, 0o755]))
    data = bytearray((top / "large.bin").read_bytes())
    at = chance.randrange(len(data))
    data[at:at] = chance.randbytes(2000)
    (top / "large.bin").write_bytes(data)  # the same inode: its other name changes, too
    with (top / "sparse.bin").open("r+b") as file:
        file.seek(chance.randrange(90 << 20))
        file.write(b"more")
    (top / f"made {seed}").mkdir(exist_ok=True)
    (top / f"made {seed}" / "x").write_bytes(chance.randbytes(2_000_000))
    os.utime(top / "empty", ns=(chance.randrange(1 << 60), chance.randrange(1 << 60)))
    os.setxattr(top / "src", "user.kind", b"%d" % seed)


def seen(top: Path, *, allocation: bool = False) -> dict[bytes, tuple[object, ...]]:
    """Everything about a tree that a restore brings back, by path; hard links by their first name."""
    found: dict[bytes, tuple[object, ...]] = {}
    linked: dict[int, bytes] = {}
    root = os.fsencode(top)
    for directory, names, files in os.walk(root):
        names.sort()
        for name in [b".", *sorted(names + files)]:
            path = os.path.normpath(os.path.join(directory, name))
            info = os.lstat(path)
            if name == b"." and path != root:
                continue
            below = os.path.relpath(path, root)
            common = (stat.filemode(info.st_mode), info.st_mtime_ns)
            if stat.S_ISLNK(info.st_mode):
                found[below] = (*common, os.readlink(path))
            elif stat.S_ISREG(info.st_mode):
                first = linked.setdefault(info.st_ino, below)
                found[below] = (*common, info.st_size, content(path, info.st_size), first, attributes(path))
                if allocation:
                    found[below] += (info.st_blocks * 512 < info.st_size // 2,)
            else:
                found[below] = (*common, attributes(path))
    return found


def content(path: bytes, size: int) -> str:
    """A hash of what has data, and where: quick for a file of many gigabytes of nothing."""
    total = hashlib.sha256()
    with open(path, "rb") as file:
        end = 0
        while end < size:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            os.lseek(file.fileno(), start, os.SEEK_SET)
            for at in range(start, end, 4096):
                block = os.pread(file.fileno(), min(4096, end - at), at)
                if block.strip(b"\0"):
                    total.update(b"%d" % at + block.rstrip(b"\0"))
    return total.hexdigest()


def attributes(path: bytes) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, os.getxattr(path, name)) for name in sorted(os.listxattr(path)) if name.startswith("user."))


def listen(path: Path) -> Callable[[], None]:
    """A socket at `path`; call what is returned to close it."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    return server.close
