"""Routes about what runs in a workspace: code, what it left, what was installed. They wait for the container."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tornado.web import HTTPError

from ..model.errors import WrongState
from ..model.record import State
from ..workspaces.execution import execute as run_code
from ..workspaces.inspection import packages, variables
from ..workspaces.live import LiveWorkspace
from ..workspaces.repl import ensure, kernel_start
from . import shown, wire
from .handlers import Call, Reply

T = TypeVar("T")


def execute(call: Call) -> Reply:
    """Its workspace is started or resumed for it, and is not idle from its beginning to its end."""
    asked: wire.ExecuteCode = call.body
    services = call.services
    application, record = services.application, call.found()
    template = application.templates.get(record.template)
    start = kernel_start(application.settings, template, application.environ)
    with services.at_work.on(record.id), services.written.running(record.id):
        live = application.registry().open(record.id)
        ensure(live, start, application.clock)
        application.service.settle_soon(live)
        done = run_code(
            live,
            asked.code,
            timeout_seconds=asked.timeout_seconds,
            on_message=lambda message: services.announcer.executing(record, message),
            start=start,
            clock=application.clock,
        )
    services.executions.put(record.id, done)
    services.telling.executed(record.id, call.caller.principal.name)
    services.announcer.executing(record, {"type": "ended", "execution": done.id, "status": done.status})
    return Reply(shown.execution(done))


def get_execution(call: Call) -> Reply:
    record, id = call.found(), call.names["execution_id"]
    done = call.services.executions.get(record.id, id)
    if done is None:
        raise HTTPError(404, "this workspace has no execution of that id, or it is no longer kept")
    return Reply(shown.execution(done))


def list_variables(call: Call) -> Reply:
    found = _asked(call, lambda live: variables(live, clock=call.services.application.clock))
    return Reply(wire.VariableList(variables=[shown.variable(one) for one in found]))


def list_packages(call: Call) -> Reply:
    found = _asked(call, lambda live: packages(live, clock=call.services.application.clock))
    return Reply(wire.PackageList(packages=[shown.package(one) for one in found]))


def _asked(call: Call, ask: Callable[[LiveWorkspace], T]) -> T:
    """What `ask` says of the container as it is: none is started for it, and a frozen one is frozen afterwards."""
    record = call.found()
    registry = call.services.application.registry()
    if not record.execution:
        raise WrongState(f"{record.name!r} is {record.state}, and what runs in it is asked for", "Resume it first")
    if record.state is State.ACTIVE:
        return ask(registry.open(record.id))
    return registry.attach(record.id, record.execution, ask)
