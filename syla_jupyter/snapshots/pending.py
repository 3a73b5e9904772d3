"""Saves that run: `pending/<session>`, there from before the first upload until after the commit.

It keeps a collector from deleting what a save has uploaded or relies on before it commits. Nothing is safe *because* of
it (that is what the log is for): it saves a save from having to be repeated. It says how far its save had read the log,
and which process it is, so that a dead one on this machine counts at once; one elsewhere counts as dead when it was not
touched for a day, by the store's own clock.

In a store without conditional writes `pending/lease` is, besides, the one writer's mark.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from ..model.errors import Conflict, ObjectMissing, SnapshotDamaged
from ..objects.base import ObjectInfo, ObjectStore
from .crypto import Keys, seal, unseal
from .format import decode, encode

KIND = b"S"
PREFIX = "pending/"
LEASE = PREFIX + "lease"
EXPIRES_SECONDS = 86400.0
LEASE_SECONDS = 3600.0
TOUCH_SECONDS = 300.0
_MAX_BYTES = 1 << 16


@dataclass(frozen=True)
class Process:
    host: str
    boot: str
    namespace: str
    pid: int
    started: str

    @classmethod
    def this(cls) -> Process:
        pid = os.getpid()
        return cls(_text("/etc/machine-id") + os.uname().nodename, _boot(), _namespace(), pid, _started(pid))

    def ended(self) -> bool:
        """Surely: it ran on this machine, and does not any more."""
        here = Process.this()
        if self.host != here.host:
            return False
        if self.boot != here.boot:
            return True
        return self.namespace == here.namespace and self.started != _started(self.pid)


@dataclass(frozen=True)
class Session:
    key: str
    sequence: int
    """How far its save had read the log before it said so."""
    process: Process
    touched_at: float
    """By the store's clock."""


class Pending:
    """The mark of one save. `put` again and again while it runs, `remove` at its end."""

    def __init__(self, objects: ObjectStore, keys: Keys, sequence: int) -> None:
        self.key = PREFIX + secrets.token_hex(16)
        self._objects, self._keys = objects, keys
        self._content = encode({"sequence": sequence, "process": asdict(Process.this())})

    def put(self) -> None:
        self._put()
        if not self._objects.conditional:
            self._take_lease()

    def store_now(self) -> float:
        """By the store's own clock: nobody else's says how old its objects are. Leaves no mark."""
        self._put()
        try:
            return self._objects.head(self.key).modified_at
        finally:
            self._objects.delete([self.key])

    def _put(self) -> None:
        self._objects.put(self.key, seal(self._keys, KIND, self.key, self._content))

    def remove(self) -> None:
        keys = [self.key]
        if not self._objects.conditional:
            keys.append(LEASE)
        self._objects.delete(keys)

    def _take_lease(self) -> None:
        now = self._objects.head(self.key).modified_at
        with contextlib.suppress(ObjectMissing):
            info = self._objects.head(LEASE)
            other = read(self._objects, self._keys, info)
            ours = other.process == Process.this()
            if not ours and not other.process.ended() and now - info.modified_at < LEASE_SECONDS:
                raise Conflict(
                    "Another save of this workspace runs, and this object store cannot keep two apart",
                    "Wait for its end, or use a store with conditional writes",
                )
        self._objects.put(LEASE, seal(self._keys, KIND, LEASE, self._content))


def read(objects: ObjectStore, keys: Keys, info: ObjectInfo) -> Session:
    value = decode(unseal(keys, KIND, info.key, objects.get(info.key, max_bytes=_MAX_BYTES)), info.key)
    try:
        return Session(info.key, int(value["sequence"]), Process(**value["process"]), info.modified_at)
    except (KeyError, TypeError, ValueError):
        raise SnapshotDamaged(f"{info.key} is damaged") from None


def running(
    objects: ObjectStore, keys: Keys, *, now: float, expires_seconds: float = EXPIRES_SECONDS
) -> tuple[list[Session], list[str]]:
    """Those that may still commit, and the keys of those that will not. `now`: by the store's clock."""
    alive: list[Session] = []
    dead: list[str] = []
    for info in objects.list(PREFIX):
        try:
            session = read(objects, keys, info)
        except ObjectMissing:
            continue
        except SnapshotDamaged:
            session = None
        if session and not session.process.ended() and now - info.modified_at < expires_seconds:
            alive.append(session)
        elif session or now - info.modified_at >= expires_seconds:
            dead.append(info.key)
    return [session for session in alive if session.key != LEASE], dead


def _started(pid: int) -> str:
    """Ticks since the boot; empty where there is no such process."""
    text = _text(f"/proc/{pid}/stat")
    fields = text.rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else ""


def _boot() -> str:
    return _text("/proc/sys/kernel/random/boot_id")


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
