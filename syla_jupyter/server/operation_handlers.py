"""What each route about operations does, as in `handlers`: who asks, what is under way, and that it be taken back."""

from __future__ import annotations

from ..model.people import Permission
from . import operation_wire, shown
from .handlers import Call, Reply


def list_operations(call: Call) -> Reply:
    asked: operation_wire.OperationsQuery = call.query
    principal, guard = call.caller.principal, call.services.application.access().guard
    found = [
        one
        for one in call.services.operations.all()
        if (one.user == principal.name or not asked.mine)
        and guard.decide(principal, Permission.READ, one.record.id).allowed
    ]
    return Reply(operation_wire.OperationList(operations=[shown.operation(one) for one in found]))


def cancel(call: Call) -> Reply:
    """Who has asked for it may always; else who may do as much there."""
    workspace, caller = call.found().id, call.caller
    underway = call.services.operations.find(workspace, call.names["operation"])
    if underway.now.user != caller.principal.name:
        guard = call.services.application.access().guard
        guard.require(caller.principal, underway.now.needs, workspace, caller.origin)
    underway.cancel()
    return Reply(None, 204)
