"""What happens to workspaces, written as events and given to the hub: the only place where events are worded.

`changed` is a listener of the registry, `warned` a callback of whoever ends things by policy; both are called from any
thread and raise nothing that would undo what has happened already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..access.asking import Asked as AccessAsked
from ..access.sharing import PeopleChange
from ..model.clock import Clock
from ..model.people import Permission
from ..model.record import WorkspaceRecord
from ..workspaces.registry import Change
from ..workspaces.vault import Saved
from . import event_wire, shown
from .cell_queue import Asked
from .events import EventHub

PARTS = ("name", "text", "data", "value", "traceback", "status")
LINE_MAX = 1 << 20  # characters


@dataclass(frozen=True)
class RunChange:
    """What happened to a cell that the server runs: `queued`, `started`, `input`, `completed`."""

    what: str
    asked: Asked
    status: str


class Announcer:
    """`root`: of the server's files, resolved."""

    def __init__(self, hub: EventHub, clock: Clock, root: Path) -> None:
        self.hub = hub
        self._clock, self._root = clock, root

    def changed(self, change: Change) -> None:
        if change.verb == "warn":
            return  # `warned` says it in words
        record, now = change.record, self._clock.now()
        workspace = shown.workspace(record, root=self._root, now=now)

        def write(id: str) -> str:
            event = event_wire.ChangeEvent(
                id=id, time=shown.time(now), verb=str(change.verb), workspace=workspace, seconds=change.seconds
            )
            return event.model_dump_json()

        self.hub.publish(record.id, record.owner, write)

    def warned(self, record: WorkspaceRecord, message: str, kind: event_wire.WarningKind = "policy") -> None:
        """`message`: one line for a person, what will be done or was, when and why."""
        now = self._clock.now()
        workspace = shown.workspace(record, root=self._root, now=now)

        def write(id: str) -> str:
            event = event_wire.WarningEvent(
                id=id, time=shown.time(now), kind=kind, workspace=workspace, message=shown.plain(message)
            )
            return event.model_dump_json()

        self.hub.publish(record.id, record.owner, write)

    def saved(self, saved: Saved) -> None:
        """A listener of the versions."""
        record, now = saved.record, self._clock.now()
        workspace, snapshot = shown.workspace(record, root=self._root, now=now), shown.snapshot(saved.version)

        def write(id: str) -> str:
            event = event_wire.SnapshotEvent(
                id=id, time=shown.time(now), workspace=workspace, snapshot=snapshot, seconds=saved.seconds
            )
            return event.model_dump_json()

        self.hub.publish(record.id, record.owner, write)

    def people(self, change: PeopleChange) -> None:
        """A listener of sharing."""
        now = shown.time(self._clock.now())

        def write(id: str) -> str:
            event = event_wire.PeopleEvent(
                id=id,
                time=now,
                workspace_id=change.workspace,
                action=str(change.action),
                actor=change.actor,
                subject=change.subject,
                role=change.role,
            )
            return event.model_dump_json()

        self.hub.publish(change.workspace, change.owner, write)

    def ran(self, record: WorkspaceRecord, change: RunChange) -> None:
        now, asked = self._clock.now(), change.asked

        def write(id: str) -> str:
            event = event_wire.RunEvent(
                id=id,
                time=shown.time(now),
                what=change.what,
                workspace_id=record.id,
                execution_id=asked.id,
                user=asked.user,
                room=asked.room,
                cell=shown.plain(asked.cell),
                status=change.status,
            )
            return event.model_dump_json()

        self.hub.publish(record.id, record.owner, write)

    def asked(self, asked: AccessAsked) -> None:
        """A listener of asking."""
        now, one = shown.time(self._clock.now()), asked.request
        refused = one.refused_at is not None

        def write(id: str) -> str:
            event = event_wire.AccessEvent(
                id=id,
                time=now,
                what="refused" if refused else "asked",
                workspace_id=None if refused else one.workspace,
                called=shown.plain(one.called),
                user=one.user,
                role=one.role,
            )
            return event.model_dump_json()

        self.hub.publish(one.workspace, asked.owner, write, to=one.user if refused else "", needs=Permission.SHARE)

    def conflicted(self, workspace: str, owner: str, path: str, kept: str) -> None:
        """Both versions of a document are there now."""
        now = shown.time(self._clock.now())

        def write(id: str) -> str:
            event = event_wire.ConflictEvent(
                id=id, time=now, workspace_id=workspace, path=shown.plain(path), kept=shown.plain(kept)
            )
            return event.model_dump_json()

        self.hub.publish(workspace, owner, write)

    def where(self, workspace: str, owner: str) -> None:
        """Somebody is not any more where he was seen."""
        event = event_wire.WhereEvent(time=shown.time(self._clock.now()), workspace_id=workspace)
        self.hub.stream(workspace, owner, event.model_dump_json())

    def executing(self, record: WorkspaceRecord, message: Mapping[str, Any]) -> None:
        """One of `execution.OnMessage`."""
        values = {name: shown.plain(message[name]) for name in PARTS if name in message}
        line = self._line(record, message, values)
        if len(line) > LINE_MAX:
            line = self._line(record, message, {"omitted": True})
        self.hub.stream(record.id, record.owner, line)

    def _line(self, record: WorkspaceRecord, message: Mapping[str, Any], values: Mapping[str, Any]) -> str:
        event = event_wire.ExecutionEvent(
            time=shown.time(self._clock.now()),
            workspace_id=record.id,
            execution_id=message["execution"],
            type=message["type"],
            **values,
        )
        return event.model_dump_json()
