"""What happens to workspaces, written down by whichever process does it: for the feed of a workspace, and for servers,
which tell their clients also what a command line beside them has done.

It listens to the registry, to versions and to sharing. What is written has who did what and when: no code, no content
of files, no address, no secret. A line that cannot be written undoes nothing; the log says so.

In a process that does one thing, a line is written before the verb returns. A server has `write` replaced by something
that waits for nobody (`server/telling`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from ..access.acting import actor
from ..access.sharing import PeopleChange
from ..metadata.encoding import COLUMNS, from_row, to_row
from ..metadata.happenings_base import HappeningStore
from ..model.clock import Clock
from ..model.errors import SylaError
from ..model.happening import Happening, Kind
from ..model.record import WorkspaceRecord
from ..model.snapshot import Reason, Version
from .changes import Change
from .vault import Saved

log = logging.getLogger("syla.workspaces")
REASON_MAX = 300  # characters
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

    def write_now(self, happening: Happening, *, merge: bool = False) -> int:
        """Its number; 0: it could not be written."""
        try:
            return self.store().add(happening, merge=merge)
        except SylaError as exc:
            log.warning("%s %s of a workspace is not written down: %s", happening.kind, happening.action, exc)
            return 0

    def changed(self, change: Change) -> None:
        if change.verb != "warn":  # `warned` says it in words
            self._write(lambda: of_change(change, self._clock.now(), self._actor()))

    def saved(self, saved: Saved) -> None:
        self._write(lambda: of_version(saved, self._clock.now(), self._actor()))

    def people(self, change: PeopleChange) -> None:
        self.write(of_people(change, self._clock.now()))

    def warned(self, record: WorkspaceRecord, message: str, kind: str) -> None:
        """`message`: one line for a person."""
        detail = {"message": message[:REASON_MAX]}
        self._write(lambda: _of(record, self._clock.now(), Kind.WARNING, kind, "", detail, {"record": row_of(record)}))

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


def of_version(saved: Saved, at: float, who: str) -> Happening:
    version = {name: getattr(saved.version, name) for name in SNAPSHOT_FIELDS}
    version |= {"reason": str(saved.version.reason), "tags": list(saved.version.tags)}
    body = {"record": row_of(saved.record), "version": version, "seconds": saved.seconds}
    detail = {"version": saved.version.number, "reason": str(saved.version.reason)}
    return _of(saved.record, at, Kind.SNAPSHOT, "take", who, detail, body)


def of_people(change: PeopleChange, at: float) -> Happening:
    detail = {"subject": change.subject, "role": None if change.role is None else str(change.role)}
    return Happening(change.workspace, change.owner, at, Kind.MEMBERS, str(change.action), change.actor, detail, {})


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
