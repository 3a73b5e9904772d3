"""What takes long and is under way in this process: how far it is, and that somebody does not want it any more.

An operation is a verb on a workspace, from its request to the last byte of its answer. The verb asks it whether to go
on and tells it how far it is (`Watch`); pages hear of it in events, at most twice a second, and find it in a list when
they are loaded again. A verb is *decided* when it cannot be taken back any more: who asks too late is told so, and who
was in time can rely on it, because both are found out under one lock.

    begun ──► progress … ──► decided ──► ended
       └───── cancelled: the verb notices at its next step, undoes what it has done, and ends with `Cancelled`
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from ..model.clock import Clock
from ..model.errors import Busy, Cancelled, UnknownOperation, WrongState
from ..model.people import Permission
from ..model.record import WorkspaceRecord
from ..workspaces.vault import Watch

if TYPE_CHECKING:
    from ..snapshots.progress import Progress

TELL_SECONDS = 0.5
DOES = {
    "restore": "goes back to a version of it", "archive": "archives it", "recover": "recovers it",
    "resume": "starts it", "stop": "stops it", "suspend": "suspends it", "delete": "deletes it", "snapshot": "saves it",
}  # fmt: skip


@dataclass(frozen=True)
class Operation:
    """As it is at one moment."""

    id: str
    record: WorkspaceRecord
    """Of the workspace, as it was at the beginning."""
    verb: str
    user: str
    """Who asked for it."""
    needs: Permission
    """That whoever else cancels it has to have there."""
    began: float
    """Seconds since the epoch."""
    cancellable: bool
    cancelled: bool = False
    progress: Progress | None = None
    ended: bool = False
    error: BaseException | None = None
    """Why it came to nothing, once it has ended."""


Tell = Callable[[Operation], None]


class Underway:
    """One of them, for the verb that it is. Its methods may be called from any thread."""

    def __init__(self, operation: Operation, tell: Tell, clock: Clock) -> None:
        self._operation, self._tell, self._clock = operation, tell, clock
        self._told = clock.monotonic()
        self._lock = threading.RLock()
        """Held while it is told, so that what comes later is told later."""

    @property
    def now(self) -> Operation:
        return self._operation

    def watch(self) -> Watch:
        return Watch(self.progress, lambda: self._operation.cancelled, self.decided)

    def progress(self, progress: Progress) -> None:
        with self._lock:
            self._operation = dataclasses.replace(self._operation, progress=progress)
            if self._clock.monotonic() - self._told >= TELL_SECONDS:
                self._say()

    def decided(self) -> None:
        """From here on it goes through. `Cancelled` where somebody was faster."""
        with self._lock:
            if self._operation.cancelled:
                raise Cancelled("Cancelled")
            if not self._operation.cancellable:
                return
            self._operation = dataclasses.replace(self._operation, cancellable=False)
            self._say()

    def cancel(self) -> None:
        """`WrongState` where that comes too late."""
        with self._lock:
            if self._operation.cancelled:
                return
            if not self._operation.cancellable or self._operation.ended:
                raise WrongState("it cannot be taken back any more", "Wait until it is finished")
            self._operation = dataclasses.replace(self._operation, cancelled=True, cancellable=False)
            self._say()

    def end(self, error: BaseException | None = None) -> None:
        with self._lock:
            if self._operation.ended:
                return
            self._operation = dataclasses.replace(self._operation, ended=True, cancellable=False, error=error)
            self._say()

    def _say(self) -> None:
        self._told = self._clock.monotonic()
        self._tell(self._operation)


class Operations:
    """Of this process. `tell`: called with each news, in the thread that made it; must neither wait nor raise."""

    def __init__(self, clock: Clock, tell: Tell) -> None:
        self._clock, self._tell = clock, tell
        self._underway: dict[str, Underway] = {}  # in the order of their beginning
        self._lock = threading.Lock()

    def begin(
        self, record: WorkspaceRecord, verb: str, user: str, needs: Permission, *, cancellable: bool = True
    ) -> Underway:
        """Until its `end`."""
        one = Operation(secrets.token_hex(8), record, verb, user, needs, self._clock.now(), cancellable)
        underway = Underway(one, self._news, self._clock)
        with self._lock:
            self._underway[one.id] = underway
        self._tell(one)
        return underway

    @contextlib.contextmanager
    def watched(
        self, record: WorkspaceRecord, verb: str, user: str, needs: Permission, *, cancellable: bool = True
    ) -> Iterator[Watch]:
        underway = self.begin(record, verb, user, needs, cancellable=cancellable)
        try:
            yield underway.watch()
        except Busy as exc:
            busy = self._named(exc, underway.now)
            underway.end(busy)
            raise busy from exc
        except BaseException as exc:
            underway.end(exc)
            raise
        underway.end()

    def _named(self, error: Busy, mine: Operation) -> Busy:
        """Who is at work on the workspace, as far as it is known here."""
        name, id = mine.record.name, mine.record.id
        for one in self.all():
            if one.record.id == id and one.id != mine.id and one.verb in DOES:
                return Busy(
                    f"{name!r} is busy: {one.user} {DOES[one.verb]}", "Wait until that is finished, or cancel it"
                )
        return Busy(f"{name!r} is being changed by somebody else", error.hint)

    def all(self) -> list[Operation]:
        """Oldest first."""
        with self._lock:
            return [underway.now for underway in self._underway.values()]

    def find(self, workspace: str, id: str) -> Underway:
        """`UnknownOperation` where there is none, or it is another workspace's."""
        underway = self._underway.get(id)
        if underway is None or underway.now.record.id != workspace:
            raise UnknownOperation("operation", f"nothing with the id {id[:40]!r} is under way", "It may have ended")
        return underway

    def _news(self, one: Operation) -> None:
        if one.ended:
            with self._lock:
                self._underway.pop(one.id, None)
        self._tell(one)


class Download:
    """A file that is sent: its operation lasts until it is closed, and `read` ends with `Cancelled`."""

    def __init__(self, file: BinaryIO, underway: Underway, total_bytes: int) -> None:
        self._file, self._underway = file, underway
        self.total_bytes = total_bytes

    def read(self, size: int) -> bytes:
        if self._underway.now.cancelled:
            raise Cancelled("Cancelled")
        return self._file.read(size)

    def close(self) -> None:
        try:
            self._file.close()
        finally:
            self._underway.end()
