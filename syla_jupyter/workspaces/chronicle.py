"""What happens to workspaces, written down by whichever process does it: for the feed of a workspace, and for servers,
which tell their clients also what a command line beside them has done.

What is written has who did what and when: no code, no content of files, no address, no secret.

**With the deed**, where that is one transaction of the database: changes of records, of people and of requests. The
registry, sharing and asking have their lines worded here, and their stores write both or neither (`happenings_base`).
So whoever dies, what was done is told. `news` is called afterwards, so that a server tells it at once.

**After the deed** all else, which no transaction holds: a restore (files change places), a version (it is in the object
store), warnings of a kernel's end, of memory and of disks, files, executions, who comes and goes. A process that dies
between the two leaves these untold. A line that cannot be written undoes nothing; the log says so. In a process that
does one thing it is written before the verb returns; a server has `write` replaced by something that waits for nobody
(`server/telling`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from ..access.acting import actor
from ..access.asking import Asked
from ..access.sharing import PeopleChange
from ..metadata.encoding import COLUMNS, from_row, to_row
from ..metadata.happenings_base import HappeningStore
from ..model.clock import Clock
from ..model.errors import SylaError
from ..model.happening import Happening, Kind
from ..model.record import WorkspaceRecord
from ..model.snapshot import Reason, Version
from .changes import Change
from .lifecycle import Verb
from .vault import Saved

log = logging.getLogger("syla.workspaces")
REASON_MAX = 300  # characters
AFTERWARDS = {"restore"}
"""Verbs of the registry that are no transaction."""
SNAPSHOT_FIELDS = ("number", "created_at", "author", "message", "reason", "parent", "files", "bytes_total", "bytes_new")


class Chronicle:
    """
    Parameters
    ----------
    by_default : who does what nobody in particular does: whose command line it is; empty in a server.
    """

    def __init__(self, store: Callable[[], HappeningStore], clock: Clock, by_default: str) -> None:
        self.store, self._clock, self.by_default = store, clock, by_default
        self.write: Callable[[Happening], Any] = self.write_now
        self.news: Callable[[], Any] = lambda: None
        """Called when something was written down with what was done; waits for nobody."""

    def write_now(self, happening: Happening, *, merge: bool = False) -> int:
        """Its number; 0: it could not be written."""
        try:
            return self.store().add(happening, merge=merge)
        except SylaError as exc:
            log.warning("%s %s of a workspace is not written down: %s", happening.kind, happening.action, exc)
            return 0

    def word(self, change: Change) -> Happening | None:
        """What the registry has written with it."""
        if change.verb in AFTERWARDS:
            return None
        now, record = self._clock.now(), change.record
        if change.verb == "warn":
            return _of_warning(record, now, "policy", change.reason)
        who = "" if change.verb == Verb.LOST else self._actor()  # whoever sees first that it has ended has not done it
        return of_change(change, now, who)

    def changed(self, change: Change) -> None:
        """A listener of the registry."""
        if change.verb in AFTERWARDS:
            self._write(lambda: of_change(change, self._clock.now(), self._actor()))
        else:
            self.news()

    def saved(self, saved: Saved) -> None:
        self._write(lambda: of_version(saved, self._clock.now(), self._actor()))

    def word_people(self, change: PeopleChange) -> Happening:
        """What sharing has written with it."""
        return of_people(change, self._clock.now())

    def word_asked(self, asked: Asked) -> Happening:
        """What asking has written with it."""
        return of_asked(asked, self._clock.now())

    def warned(self, record: WorkspaceRecord, message: str, kind: str) -> None:
        """`message`: one line for a person."""
        self._write(lambda: _of_warning(record, self._clock.now(), kind, message))

    def executed(self, record: WorkspaceRecord) -> None:
        """Code has run, by a process that does one thing."""
        self.write_now(_of(record, self._clock.now(), Kind.EXECUTION, "execute", self._actor(), {}, {}), merge=True)

    def _write(self, worded: Callable[[], Happening]) -> None:
        try:
            self.write(worded())
        except SylaError as exc:
            log.warning("what has happened to a workspace cannot be written down: %s", exc)

    def _actor(self) -> str:
        return actor() or self.by_default


def of_change(change: Change, at: float, who: str) -> Happening:
    record = change.record
    detail: dict[str, Any] = {"reason": change.reason[:REASON_MAX]} if change.reason else {}
    if change.changes:
        detail["changes"] = list(change.changes)
    body = {"record": row_of(record), "reason": change.reason, "seconds": change.seconds}
    return _of(record, at, Kind.WORKSPACE, str(change.verb), who, detail, body)


def _of_warning(record: WorkspaceRecord, at: float, kind: str, message: str) -> Happening:
    detail = {"message": message[:REASON_MAX]}
    return _of(record, at, Kind.WARNING, kind, "", detail, {"record": row_of(record)})


def of_version(saved: Saved, at: float, who: str) -> Happening:
    version = {name: getattr(saved.version, name) for name in SNAPSHOT_FIELDS}
    version |= {"reason": str(saved.version.reason), "tags": list(saved.version.tags)}
    body = {"record": row_of(saved.record), "version": version, "seconds": saved.seconds}
    detail = {"version": saved.version.number, "reason": str(saved.version.reason)}
    return _of(saved.record, at, Kind.SNAPSHOT, "take", who, detail, body)


def of_people(change: PeopleChange, at: float) -> Happening:
    detail = {"subject": change.subject, "role": None if change.role is None else str(change.role)}
    return Happening(change.workspace, "", at, Kind.MEMBERS, str(change.action), change.actor, detail, {})


def of_asked(asked: Asked, at: float) -> Happening:
    one = asked.request
    detail = {"subject": one.user, "role": str(one.role), "called": one.called}
    action = "asked" if one.refused_at is None else "refused"
    return Happening(one.workspace, "", at, Kind.ACCESS, action, asked.actor, detail)


def _of(
    record: WorkspaceRecord,
    at: float,
    kind: Kind,
    action: str,
    who: str,
    detail: Mapping[str, Any],
    body: Mapping[str, Any],
) -> Happening:
    return Happening(record.id, record.owner, at, kind, action, who, detail, body)


def row_of(record: WorkspaceRecord) -> Mapping[str, Any]:
    return to_row(record)


def version_of(body: Mapping[str, Any]) -> Version | None:
    """Of a body, without what its manifest is made of; None: it is not there any more."""
    found = body.get("version")
    if not isinstance(found, dict):
        return None
    try:
        named = {name: found[name] for name in SNAPSHOT_FIELDS}
        return Version(**{**named, "reason": Reason(found["reason"])}, root=(), tags=tuple(found["tags"]))
    except (KeyError, ValueError):
        return None


def record_of(body: Mapping[str, Any]) -> WorkspaceRecord | None:
    """Of a body; None: it is not there any more, or is of another version of this package."""
    row = body.get("record")
    if not isinstance(row, dict):
        return None
    try:
        return from_row([row[name] for name in COLUMNS])
    except (SylaError, KeyError):
        return None
