"""One verb at a time on a workspace, over all threads and processes of this machine.

A file lock ends with its process however that dies. Whoever writes on another machine is refused by the record's
version instead.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ..model.errors import Busy, UnknownWorkspace

LOCK_SECONDS = 30.0
RETRY_SECONDS = 0.005


class Locks:
    """`directory`: of lock files, one per workspace."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    @contextlib.contextmanager
    def only(self, id: str) -> Iterator[None]:
        """Nobody else is in here with that id; `Busy` when that takes too long. Not to be entered twice."""
        with self._lock:
            lock = self._locks.setdefault(id, threading.Lock())
        if not lock.acquire(timeout=LOCK_SECONDS):
            raise _busy(id)
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(self._directory / id, id):
                try:
                    yield
                except UnknownWorkspace:  # gone while we waited, and its lock file is here again by our doing
                    self.forget(id)
                    raise
        finally:
            lock.release()

    def forget(self, id: str) -> None:
        """Of a workspace that is gone for good; whoever still waits for it finds that out."""
        with self._lock:
            self._locks.pop(id, None)
        (self._directory / id).unlink(missing_ok=True)


def _locked(path: Path, id: str) -> IO[str]:
    """That file, open and locked until it is closed; one that was removed while we waited for it locks nobody out."""
    until = time.monotonic() + LOCK_SECONDS  # noqa: TID251  waits for another process, not for a policy
    while True:
        file = path.open("w")
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), path.lstat()):
                return file
        file.close()
        if time.monotonic() > until:  # noqa: TID251
            raise _busy(id)
        time.sleep(RETRY_SECONDS)


def _busy(id: str) -> Busy:
    return Busy(f"workspace {id} is being changed by somebody else", "Try again when that is finished")
