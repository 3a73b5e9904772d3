"""The feed of a workspace: who did what and when, as it was written down. For whoever may read the workspace; who asks
for a role, and was refused, for whoever may give it."""

from __future__ import annotations

from ..model.happening import Happening, Kind
from ..model.people import Permission, Role
from . import people_wire as wire
from . import shown
from .handlers import Call, Reply


def list_activity(call: Call) -> Reply:
    asked: wire.ActivityQuery = call.query
    record = call.found()
    call.services.telling.settle()
    application = call.services.application
    kinds = set(asked.kind or Kind)
    if not application.access().guard.decide(call.caller.principal, Permission.SHARE, record.id).allowed:
        kinds.discard(Kind.ACCESS)
    if not kinds:
        return Reply(wire.ActivityList(activity=[], next=0))
    store = application.chronicle().store()
    rows = store.page(record.id, before=asked.before, kinds=kinds, actor=asked.user, limit=asked.limit)
    more = rows[-1].n if len(rows) == asked.limit else 0
    return Reply(wire.ActivityList(activity=[shown_activity(row) for row in rows], next=more))


def shown_activity(one: Happening) -> wire.Activity:
    detail = one.detail
    role, version = detail.get("role"), detail.get("version")
    return wire.Activity(
        id=one.n,
        time=shown.time(one.at),
        kind=one.kind,
        action=one.action,
        user=one.actor,
        count=int(detail.get("count", 1)),
        paths=[shown.plain(str(path)) for path in detail.get("names", ())],
        subject=detail.get("subject") or None,
        role=None if role is None else Role(role),
        version=None if version is None else int(version),
        changes=[str(name) for name in detail.get("changes", ())],
        reason=shown.plain(str(detail.get("reason") or detail.get("message") or "")),
    )
