"""How far a kernel's clients have got, in a file that outlives the server, however it dies.

Two things are noted, each by the first half of its signature: the last output and the last reply to a cell that were
written to a websocket. The file is mapped into memory, so noting is two copies of some bytes and no system call, and
the page belongs to the kernel of the machine when this process is killed. There are two places for each, and a byte
that says which one counts is changed last: whoever reads finds the new or the old, never a half.

Each note: 1 byte (which place), 7 unused, 2 places of 32 bytes.
"""

from __future__ import annotations

import mmap
import os
from asyncio import Future
from pathlib import Path
from typing import Any

OUTPUT, REPLY = 0, 1
SIGNATURE_BYTES = 32
NOTE_BYTES = 8 + 2 * SIGNATURE_BYTES
FILE_BYTES = 2 * NOTE_BYTES


class Seen:
    """Opens `path`, on a host-only directory, or makes it. Close it after use; it may be open more than once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(file).st_size < FILE_BYTES:
                os.pwrite(file, bytes(FILE_BYTES), 0)  # written, not only sized: a full file system says so here
            self._map = mmap.mmap(file, FILE_BYTES)
        finally:
            os.close(file)

    def last(self, what: int) -> bytes | None:
        """The signature's first half; None when nothing was noted."""
        begin = what * NOTE_BYTES
        place = begin + 8 + (self._map[begin] & 1) * SIGNATURE_BYTES
        return self._map[place : place + SIGNATURE_BYTES].rstrip(b"\0") or None

    def note(self, what: int, signature: bytes) -> None:
        begin = what * NOTE_BYTES
        other = 1 - (self._map[begin] & 1)
        place = begin + 8 + other * SIGNATURE_BYTES
        self._map[place : place + SIGNATURE_BYTES] = signature[:SIGNATURE_BYTES].ljust(SIGNATURE_BYTES, b"\0")
        self._map[begin] = other

    def close(self) -> None:
        self._map.close()


class Deliveries:
    """Notes in `seen` what a websocket was given, as soon as it has left this process."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._closed = False
        self._count = 0
        self._noted = {OUTPUT: 0, REPLY: 0}
        self._waiting: dict[int, tuple[int, bytes]] = {}
        self._last_write: Future[Any]
        self._awaited = False

    def written(self, what: int, signature: bytes, write: Future[Any] | None) -> None:
        """`write` is done when this message, and all before it, were handed to the system; None: they have been."""
        self._count += 1
        if write is None:
            self._note(what, self._count, signature)
            return
        self._waiting[what], self._last_write = (self._count, signature), write
        if not self._awaited:
            self._await()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._seen.close()

    def _await(self) -> None:
        """One callback at a time, however many messages wait."""
        self._awaited = True
        waiting, self._waiting = self._waiting, {}
        self._last_write.add_done_callback(lambda write: self._done(write, waiting))

    def _done(self, write: Future[Any], waiting: dict[int, tuple[int, bytes]]) -> None:
        self._awaited = False
        if write.cancelled() or write.exception() is not None:
            return
        for what, (count, signature) in waiting.items():
            self._note(what, count, signature)
        if self._waiting:
            self._await()

    def _note(self, what: int, count: int, signature: bytes) -> None:
        if not self._closed and count > self._noted[what]:
            self._noted[what] = count
            self._seen.note(what, signature)


def seen_path_of(kernel: Any) -> Path | None:
    """Where what was seen of a KernelManager's kernel is noted; None when its provisioner names no place."""
    return getattr(getattr(kernel, "provisioner", None), "seen_path", None)


def seen_at(path: Path | None) -> Seen | None:
    """None when there is no place, or it cannot be used."""
    try:
        return None if path is None else Seen(path)
    except (OSError, ValueError):
        return None
