"""What a server leaves behind for the next one on the same root: a directory, and in it a record for each kernel.

    <data>/servers/<digest of the root>/lock                 held while a server has the directory
                                        kernels/<id>.json    0600; its time of change is the kernel's last activity
                                        sessions.db          which notebook has which kernel (`sessions`)

A second server on the same root has `<digest>-2`, and so on: each has kernels of its own. Whoever starts takes over
what such servers left when they ended. A record is written whole or not at all; the lock ends with its process however
that dies. Nothing of the server's environment is in a record but the few names that a kernel may inherit.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

SERVERS_MAX = 100
KERNEL_ID = re.compile(r"\w+(-\w+)*", re.ASCII)
VERSION = 1


@dataclass(frozen=True)
class KernelRecord:
    """What it takes to have a kernel again that another process started."""

    id: str
    kernel_name: str
    place: Mapping[str, str]
    """The provisioner's word on where it runs; empty for one that runs nowhere any more."""
    cwd: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    pages: Sequence[str] = ()
    """Digests of the sessions of pages that have been open, the newest last."""
    ended: str = ""
    """Why it ended, for the person who comes back to it; empty while it may be running."""

    @classmethod
    def parse(cls, id: str, text: str) -> KernelRecord:
        """ValueError for what is no record of this version."""
        try:
            data = json.loads(text)
            if data.pop("version") != VERSION:
                raise ValueError("it was written by another version")
            pages = data.pop("pages", [])
            if not isinstance(pages, list):
                raise ValueError("it is not a record")
            record = cls(id=id, pages=tuple(pages), **data)
        except (TypeError, KeyError, AttributeError) as exc:
            raise ValueError(f"it is not a record ({exc})") from exc
        texts = [record.kernel_name, record.cwd, record.ended, *record.pages]
        tables = [record.place, record.env]
        if not all(isinstance(table, dict) for table in tables):
            raise ValueError("it is not a record")
        for table in tables:
            texts += [*table.keys(), *table.values()]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("it is not a record")
        return record

    def text(self) -> str:
        data = dataclasses.asdict(self)
        del data["id"]
        return json.dumps({"version": VERSION, **data})


class ServerDirectory:
    """Made by `claim`; locked until `release`, or until the process ends."""

    def __init__(self, path: Path, lock: IO[str]) -> None:
        self.path = path
        self._lock = lock

    @property
    def sessions_file(self) -> Path:
        return self.path / "sessions.db"

    def release(self) -> None:
        self._lock.close()

    def __del__(self) -> None:
        self.release()

    def write(self, record: KernelRecord, active_at: float) -> None:
        """`active_at`: seconds since the epoch. OSError when it cannot be kept."""
        file = self._file(record.id)
        fresh = file.with_suffix(".new")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
            opened.write(record.text())
        os.utime(fresh, (active_at, active_at))
        fresh.rename(file)

    def note_activity(self, id: str, at: float) -> None:
        """No error for a kernel without a record."""
        with contextlib.suppress(OSError):
            os.utime(self._file(id), (at, at))

    def remove(self, id: str) -> None:
        with contextlib.suppress(OSError):
            self._file(id).unlink()

    def read_all(self) -> Iterator[tuple[KernelRecord, float] | str]:
        """Each record with the time of its kernel's last activity; a line for the log in place of one that is broken,
        which is removed."""
        for file in sorted(self.path.glob("kernels/*.json")):
            try:
                if not KERNEL_ID.fullmatch(file.stem):
                    raise ValueError("its name is not a kernel's id")
                yield KernelRecord.parse(file.stem, file.read_text()), file.stat().st_mtime
            except (OSError, ValueError) as exc:
                yield f"kernel record {file} is of no use: {exc}"
                with contextlib.suppress(OSError):
                    file.unlink()

    def take_over(self) -> Iterator[Path]:
        """The records of servers on the same root that have ended are ours now; gives their session files, which the
        caller merges and then removes."""
        root = self.path.name.partition("-")[0]
        for path in sorted(self.path.parent.glob(f"{root}*")):
            other = _lock(path) if path != self.path and re.fullmatch(rf"{root}(-\d+)?", path.name) else None
            if other is not None:
                for file in path.glob("kernels/*.json"):
                    file.rename(self.path / "kernels" / file.name)
                if other.sessions_file.exists():
                    yield other.sessions_file
                other.release()

    def _file(self, id: str) -> Path:
        return self.path / "kernels" / f"{id}.json"


def claim(servers: Path, root: Path) -> ServerDirectory:
    """The directory of a server on `root`, which no other server has. OSError when it cannot be made."""
    digest = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    for number in range(1, SERVERS_MAX):
        path = servers / (digest if number == 1 else f"{digest}-{number}")
        for directory in (servers, path, path / "kernels"):
            directory.mkdir(mode=0o700, parents=directory is servers, exist_ok=True)
        mine = _lock(path)
        if mine is not None:
            return mine
    raise OSError(f"{SERVERS_MAX} servers run on {root}")


def _lock(path: Path) -> ServerDirectory | None:
    """None when a server has it."""
    lock = (path / "lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return ServerDirectory(path, lock)
