"""What happens to workspaces, worded as events and given to the hub: the only place where events are worded.

`told` words what was written down, by any process (`telling`); output of code, and cells that this server runs, are
told as they come and are nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from ..access.audit_line import Action
from ..access.sharing import PeopleChange
from ..access.visits import Visit
from ..model.clock import Clock
from ..model.happening import Happening, Kind
from ..model.people import Permission, Role
from ..model.record import WorkspaceRecord
from ..workspaces.chronicle import record_of, version_of
from ..workspaces.registry import Change
from . import errors, event_wire, shown
from .cell_queue import Asked
from .events import EventHub
from .operations import Operation

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

    def told(self, one: Happening) -> None:
        """What was written down, by any process. What is not kept any more, or has events of its own, says nothing."""
        record = record_of(one.body)
        if one.kind is Kind.WORKSPACE and record is not None:
            names = ("reason", "seconds", "changes")
            reason, seconds, changes = (one.body.get(name) or one.detail.get(name) for name in names)
            self.changed(Change(one.action, record, reason or "", seconds or 0.0, tuple(changes or ())), one)
        elif one.kind is Kind.SNAPSHOT and record is not None:
            self._saved(record, one)
        elif one.kind is Kind.WARNING and record is not None:
            self.warned(record, str(one.detail.get("message", "")), one.action, one)
        elif one.kind is Kind.MEMBERS:
            subject, action = str(one.detail.get("subject", "")), Action(one.action)
            self.people(PeopleChange(one.workspace, action, one.actor, subject, _role(one)), one)
        elif one.kind is Kind.ACCESS:
            self._asked(one)
        elif one.kind is Kind.PRESENCE:
            self._attended(one)
        elif one.kind is Kind.FILES:
            self._files(one)

    def _now(self, one: Happening | None) -> float:
        return self._clock.now() if one is None else one.at

    def changed(self, change: Change, one: Happening | None = None) -> None:
        record, now = change.record, self._now(one)
        workspace = shown.workspace(record, root=self._root, now=now)

        def write(id: str) -> str:
            event = event_wire.ChangeEvent(
                id=id,
                time=shown.time(now),
                verb=str(change.verb),
                actor=one.actor if one is not None else "",
                changes=list(change.changes),
                workspace=workspace,
                seconds=change.seconds,
            )
            return event.model_dump_json()

        self.hub.publish(record.id, record.owner, write)

    def warned(self, record: WorkspaceRecord, message: str, kind: str = "policy", one: Happening | None = None) -> None:
        """`message`: one line for a person, what will be done or was, when and why. `kind`: a `WarningKind`."""
        now = self._now(one)
        workspace = shown.workspace(record, root=self._root, now=now)

        def write(id: str) -> str:
            event = event_wire.WarningEvent(
                id=id,
                time=shown.time(now),
                kind=cast(event_wire.WarningKind, kind),
                workspace=workspace,
                message=shown.plain(message),
            )
            return event.model_dump_json()

        self.hub.publish(record.id, record.owner, write)

    def _saved(self, record: WorkspaceRecord, one: Happening) -> None:
        version = version_of(one.body)
        if version is None:
            return
        workspace, snapshot = shown.workspace(record, root=self._root, now=one.at), shown.snapshot(version)
        seconds = float(one.body.get("seconds", 0.0))

        def write(id: str) -> str:
            event = event_wire.SnapshotEvent(
                id=id, time=shown.time(one.at), workspace=workspace, snapshot=snapshot, seconds=seconds
            )
            return event.model_dump_json()

        self.hub.publish(record.id, record.owner, write)

    def people(self, change: PeopleChange, one: Happening) -> None:
        now = shown.time(one.at)

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

        self.hub.publish(change.workspace, one.owner, write)

    def visited(self, visit: Visit) -> None:
        """A listener of visits: to whose list has changed."""
        now = shown.time(self._clock.now())

        def write(id: str) -> str:
            return event_wire.PeopleEvent(id=id, time=now, workspace_id=visit.workspace).model_dump_json()

        self.hub.publish(visit.workspace, visit.owner, write, to=visit.user)

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

    def _attended(self, one: Happening) -> None:
        def write(id: str) -> str:
            event = event_wire.PresenceEvent(
                id=id,
                time=shown.time(one.at),
                what="joined" if one.action == "joined" else "left",
                workspace_id=one.workspace,
                user=one.actor,
                display_name=shown.plain(str(one.detail.get("display_name", one.actor))),
                role=_role(one),
            )
            return event.model_dump_json()

        self.hub.publish(one.workspace, one.owner, write)

    def _files(self, one: Happening) -> None:
        self._publish_files(one, [str(path) for path in one.detail.get("names", ())], int(one.detail.get("count", 1)))

    def wrote(self, record: WorkspaceRecord, paths: Sequence[str], count: int) -> None:
        """Code in a workspace did; `paths`: as the contents API has them, some of many."""
        self._publish_files(Happening(record.id, record.owner, self._clock.now(), Kind.FILES, "write"), paths, count)

    def _publish_files(self, one: Happening, paths: Sequence[str], count: int) -> None:
        def write(id: str) -> str:
            event = event_wire.FilesEvent(
                id=id,
                time=shown.time(one.at),
                workspace_id=one.workspace,
                action=one.action,
                user=one.actor,
                count=count,
                paths=[shown.plain(path) for path in paths],
            )
            return event.model_dump_json()

        self.hub.publish(one.workspace, one.owner, write)

    def _asked(self, one: Happening) -> None:
        """To who may answer it, and a refusal to who asked."""
        if one.action == "refused":
            self._access(one, "refused", to=str(one.detail.get("subject", "")))
            self._access(one, "answered")
        else:
            self._access(one, "asked")

    def _access(self, one: Happening, what: Literal["asked", "refused", "answered"], to: str = "") -> None:
        user, role = str(one.detail.get("subject", "")), _role(one)
        if not user or role is None:
            return

        def write(id: str) -> str:
            event = event_wire.AccessEvent(
                id=id,
                time=shown.time(one.at),
                what=what,
                workspace_id=None if to else one.workspace,
                called=shown.plain(str(one.detail.get("called", ""))),
                user=user,
                role=role,
            )
            return event.model_dump_json()

        self.hub.publish(one.workspace, one.owner, write, to=to, needs=Permission.SHARE)

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

    def working(self, one: Operation) -> None:
        """How far something that takes long is."""
        event = event_wire.OperationEvent(
            time=shown.time(self._clock.now()),
            ended=one.ended,
            error=None if one.error is None else errors.describe(one.error, log=False)[1].error,
            operation=shown.operation(one),
        )
        self.hub.stream(one.record.id, one.record.owner, event.model_dump_json())

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


def _role(one: Happening) -> Role | None:
    role = one.detail.get("role")
    return None if role is None else Role(role)
