"""What each route does: one call of a use case, between a checked request and an answer. They block; `endpoint` runs
them in threads.

A workspace that somebody may not see is as unknown to him as one that there is not.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel
from tornado.web import HTTPError

from ..access.service import Caller
from ..metadata.base import Query
from ..metrics.gauges import group_usage
from ..model.errors import BadInput, NotConfirmed, SylaError, UnknownWorkspace
from ..model.people import Permission, Principal
from ..model.policy import Policy
from ..model.record import State, WorkspaceRecord
from ..model.workspace import Limits
from ..workspaces.executions import ExecutionCache
from ..workspaces.finding import find_for
from ..workspaces.vault import Watch
from . import shown, usage_wire, wire

if TYPE_CHECKING:
    from ..app import Application
    from .announcer import Announcer
    from .at_work import AtWork
    from .operations import Download, Operations
    from .queue_handlers import Desk
    from .rooms import Presences
    from .telling import Telling
    from .trust import TrustLedger
    from .written import Written

log = logging.getLogger("syla.server")
Changed = TypeVar("Changed", Limits, Policy)


@dataclass(frozen=True)
class Services:
    application: Application
    root: Path
    """Of the server's files, resolved."""
    base_url: str
    """Below which the server is reached: `/`, or with `/` at both ends."""
    announcer: Announcer
    executions: ExecutionCache
    at_work: AtWork
    desk: Desk
    presences: Presences
    telling: Telling
    written: Written
    operations: Operations
    trust: TrustLedger


@dataclass(frozen=True)
class Call:
    """A request that has been checked against its models."""

    services: Services
    names: Mapping[str, str]
    """What stands in the address for `{workspace}` and the like."""
    query: Any
    body: Any
    if_match: str
    caller: Caller

    def found(self) -> WorkspaceRecord:
        return find(self.services, self.names["workspace"], self.caller.principal)

    def shown(self, record: WorkspaceRecord, status: int = 200) -> Reply:
        return Reply(show(self.services, record), status, _etag(record))

    def watched(
        self, record: WorkspaceRecord, verb: str, needs: Permission, *, cancellable: bool = True
    ) -> AbstractContextManager[Watch]:
        """Of what takes long: it is told how far it is. `needs`: of somebody else who wants to cancel it."""
        user = self.caller.principal.name
        return self.services.operations.watched(record, verb, user, needs, cancellable=cancellable)

    def execution(self) -> str | None:
        execution: str | None = (self.query or self.body).execution
        return execution


@dataclass(frozen=True)
class Reply:
    body: BaseModel | Mapping[str, Any] | None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: Download | None = None
    """Sent instead of a body, and closed."""

    def text(self) -> str:
        if self.body is None:
            return ""
        return self.body.model_dump_json() if isinstance(self.body, BaseModel) else json.dumps(self.body)


def find(services: Services, name_or_id: str, principal: Principal) -> WorkspaceRecord:
    """As it is seen now. That he may see it was found out before (`doorkeeper`), and is here again."""
    application = services.application
    access = application.access()
    record = find_for(principal, name_or_id, store=application.store(), people=access.store)
    if not access.guard.decide(principal, Permission.READ, record.id).allowed:
        raise UnknownWorkspace("workspace", f"there is no workspace {name_or_id!r}")
    return application.registry().catalog.seen(record)


def show(services: Services, record: WorkspaceRecord) -> wire.Workspace:
    return shown.workspace(record, root=services.root, now=services.application.clock.now())


# -- workspaces ------------------------------------------------------------------------------------------------------


def list_workspaces(call: Call) -> Reply:
    asked: wire.ListQuery = call.query
    registry = call.services.application.registry()
    labels = dict(label.partition("=")[::2] for label in asked.label)
    page = registry.catalog.list(
        Query(
            owner=call.caller.principal.name,
            states=asked.state,
            types=asked.type,
            labels=labels,
            name_part=asked.name,
            idle_for_seconds=asked.idle_for_seconds,
            older_than_seconds=asked.older_than_seconds,
            now=call.services.application.clock.now(),
            sort=asked.sort,
            descending=asked.descending,
            limit=asked.limit,
            after=asked.after,
        )
    )
    rows = [show(call.services, record) for record in page.records]
    return Reply(wire.WorkspaceList(workspaces=rows, next=page.next, total=page.total))


def create_workspace(call: Call) -> Reply:
    asked: wire.CreateWorkspace = call.body
    application = call.services.application
    if "template" in asked.model_fields_set:
        application.templates.get(asked.template)
    record = application.registry().create(
        asked.name,
        owner=call.caller.principal.name,
        root=call.services.root,
        type=asked.type,
        template=asked.template,
        network=asked.network,
        limits=_changed("limits", application.settings.limits[asked.type], asked.limits),
        policy=_changed("policy", application.settings.policies[asked.type], asked.policy),
        labels=asked.labels,
    )
    made = call.shown(record, 201)
    return dataclasses.replace(made, headers={**made.headers, "Location": record.id})


def get_workspace(call: Call) -> Reply:
    return call.shown(call.found())


def change_workspace(call: Call) -> Reply:
    asked: wire.ChangeWorkspace = call.body
    record = call.found()
    version: int | None = asked.version
    if call.if_match:
        _check_match(call.if_match, record)
        version = record.version
    changes: dict[str, Any] = {}
    if asked.limits.model_fields_set:
        changes["limits"] = _changed("limits", record.limits, asked.limits)
    if asked.policy.model_fields_set:
        changes["policy"] = _changed("policy", record.policy, asked.policy)
    if "labels" in asked.model_fields_set:
        changes["labels"] = asked.labels
    return call.shown(call.services.application.registry().change(record.id, **changes, version=version))


def delete_workspace(call: Call) -> Reply:
    asked: wire.DeleteQuery = call.query
    record = call.found()
    if asked.force and asked.confirm != record.name:
        raise NotConfirmed(
            "confirm",
            f"files, packages, history and variables of {record.name!r} would be lost for good",
            "Give its name in `confirm`, or archive it first",
        )
    try:
        with call.watched(record, "delete", Permission.DELETE, cancellable=False):
            call.services.application.registry().delete(record.id, execution=call.execution(), confirmed=asked.force)
    except NotConfirmed as exc:
        said = exc.message.removeprefix(f"{exc.field}: ")
        raise NotConfirmed("force", said, "Archive it first, or add `force=true` and its name as `confirm`") from exc
    return Reply(None, 204)


# -- verbs -----------------------------------------------------------------------------------------------------------


def suspend_workspace(call: Call) -> Reply:
    asked: wire.SuspendWorkspace = call.body
    registry, record = call.services.application.registry(), call.found()
    with call.watched(record, "stop" if asked.stop else "suspend", Permission.WRITE, cancellable=False):
        return call.shown(registry.suspend(record.id, stop=asked.stop, execution=call.execution()))


def resume_workspace(call: Call) -> Reply:
    notes: list[str] = []
    record = call.found()
    archived = record.state is State.ARCHIVED  # then it is brought back first, which can be taken back
    with call.watched(record, "resume", Permission.EXECUTE, cancellable=archived) as watch:
        watch = dataclasses.replace(watch, note=notes.append)
        record, level = call.services.application.registry().resume(record.id, watch=watch)
    return _with(call.shown(record), wire.ResumedWorkspace, level=level, notes=[shown.plain(note) for note in notes])


def archive_workspace(call: Call) -> Reply:
    registry, record = call.services.application.registry(), call.found()
    with call.watched(record, "archive", Permission.ADMIN) as watch:
        return call.shown(registry.archive(record.id, execution=call.execution(), watch=watch))


def recover_workspace(call: Call) -> Reply:
    notes: list[str] = []
    record = call.found()
    with call.watched(record, "recover", Permission.WRITE) as watch:
        watch = dataclasses.replace(watch, note=notes.append)
        record = call.services.application.registry().recover(record.id, watch=watch)
    return _with(call.shown(record), wire.RecoveredWorkspace, notes=[shown.plain(note) for note in notes])


def touch_workspace(call: Call) -> Reply:
    return call.shown(call.services.application.registry().touch(call.found().id, call.body.seconds))


# -- the server ------------------------------------------------------------------------------------------------------


def list_templates(call: Call) -> Reply:
    application = call.services.application
    rows = []
    for name in application.templates.names():
        try:
            rows.append(shown.template(application.templates.get(name), default=application.settings.template))
        except SylaError as exc:
            log.warning("template %s is not listed: %s", name, exc)
    return Reply(wire.TemplateList(templates=rows))


def get_usage(call: Call) -> Reply:
    admission = call.services.application.registry().admission
    held = list(call.services.application.store().allocations())
    mine = call.caller.principal.name
    return Reply(shown.usage(held, mine, admission.capacity, admission.quotas, _used(call)))


def _used(call: Call) -> list[usage_wire.Used]:
    """From the host's control groups: nothing inside is asked. Of what the caller may read."""
    application, principal = call.services.application, call.caller.principal
    guard, rows = application.access().guard, []
    for id, live in application.registry().connected().items():
        if not guard.decide(principal, Permission.READ, id).allowed:
            continue
        found = group_usage(live.container.pid)
        if found is not None:
            rows.append(usage_wire.Used(id=id, cpu_seconds=found[0], memory_bytes=int(found[1])))
    return rows


def get_health(call: Call) -> Reply:
    """That the server answers, and nothing about it: anybody may ask."""
    return Reply(wire.Health(status="ok"))


# -- parts -----------------------------------------------------------------------------------------------------------


def _changed(name: str, before: Changed, change: wire.LimitsChange | wire.PolicyChange) -> Changed:
    try:
        return dataclasses.replace(before, **change.given())
    except ValueError as exc:  # the message opens with the field
        field, _, said = str(exc).partition(" ")
        raise BadInput(f"{name}.{field}", said) from exc


def _with(reply: Reply, model: type[wire.Workspace], **more: Any) -> Reply:
    """The workspace that was shown, with more than every answer has."""
    assert isinstance(reply.body, wire.Workspace)
    return dataclasses.replace(reply, body=model.model_validate({**dict(reply.body), **more}))


def _etag(record: WorkspaceRecord) -> dict[str, str]:
    return {"ETag": f'"{record.version}"'}


def _check_match(header: str, record: WorkspaceRecord) -> None:
    if header.strip() == "*":
        return
    tags = [tag.strip() for tag in header.split(",")]
    if not all(re.fullmatch(r'(W/)?"[^"]{0,64}"', tag) for tag in tags):
        raise BadInput("If-Match", "this is no list of entity tags", f'Write it like "{record.version}"')
    if f'"{record.version}"' not in tags:
        raise HTTPError(412, f"this workspace is of version {record.version} now")
