"""What the routes about asking for a role do (`access/asking`)."""

from __future__ import annotations

from pathlib import PurePath

from ..model.errors import BadInput, UnknownUser, UnknownWorkspace
from ..model.people import Role
from ..workspaces.finding import find_for
from ..workspaces.placement import WORKSPACES_DIR
from . import people_wire as wire
from . import shown
from .handlers import Call, Reply


def ask(call: Call) -> Reply:
    called = call.names["workspace"]
    call.services.application.access().asking.ask(call.caller, _meant(call, called), Role(call.body.role), called)
    return Reply(wire.Answered(), 202)


def _meant(call: Call, called: str) -> str | None:
    """By id, by the name that he knows it under, or by that of its folder, as it stands in paths."""
    application = call.services.application
    store = application.store()
    try:
        return find_for(call.caller.principal, called, store=store, people=application.access().store).id
    except (UnknownWorkspace, BadInput):
        pass
    if called in ("", ".", "..") or PurePath(called).name != called or "\0" in called:
        return None
    found = store.at(call.services.root / WORKSPACES_DIR / called)
    return None if found is None else found.id


def list_requests(call: Call) -> Reply:
    rows = [
        wire.RequestShown(workspace=one.workspace, user=one.user, role=one.role, asked_at=shown.time(one.asked_at))
        for one in call.services.application.access().asking.waiting(call.caller)
    ]
    return Reply(wire.RequestList(requests=rows))


def refuse(call: Call) -> Reply:
    user = call.names["user"]
    if not call.services.application.access().asking.refuse(call.caller, call.found().id, user):
        raise UnknownUser("user", f"{user[:80]!r} asks for nothing there")
    return Reply(None, 204)
