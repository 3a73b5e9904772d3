"""Fourteen days of a fleet: janitor, registry and store as they are, agents as plain processes, the clock by hand.

People come, work for some hours and go, by a seeded dice; containers die by themselves; the clock jumps a day ahead and
back. What the rules alone do in that time is in `test_policies_fleet`; here it is what really is done.
"""

from __future__ import annotations

import dataclasses
import random

from syla_jupyter.model.errors import UnknownWorkspace
from syla_jupyter.model.policy import DAY, DEFAULT_POLICIES, HOUR, MINUTE
from syla_jupyter.model.record import State
from syla_jupyter.model.workspace import WorkspaceType
from syla_jupyter.runtimes.base import LABEL_RUN
from syla_jupyter.workspaces.activity import Signals
from syla_jupyter.workspaces.changes import Change
from syla_jupyter.workspaces.inquiry import Inquiry
from syla_jupyter.workspaces.janitor import Janitor

from ..local_installation import local_installation
from .clocks import HandClock

DAYS = 14
STEP_SECONDS = 30 * MINUTE
"""Between two sweeps: a minute only costs more of them."""
PERSISTENT = dataclasses.replace(
    DEFAULT_POLICIES[WorkspaceType.PERSISTENT],
    stop_seconds=12 * HOUR,
    archive_seconds=4 * DAY,
    retention_seconds=4 * DAY,
    hard_cap_seconds=30 * HOUR,
)
POLICIES = {**DEFAULT_POLICIES, WorkspaceType.PERSISTENT: PERSISTENT}
TYPES = [WorkspaceType.SESSION, WorkspaceType.PERSISTENT, WorkspaceType.COLLABORATIVE]
ENDS = {"suspend", "stop", "archive", "delete"}


def test_fourteen_days() -> None:
    """Nobody who works is stopped but by the hard cap, nothing comes without its warning, and all agree at the end."""
    dice, clock = random.Random(5), HandClock()
    with local_installation(clock) as local:
        registry, store = local.registry, local.store
        busy_until: dict[str, float] = {}
        warned: dict[str, float] = {}
        seen: list[str] = []
        by_janitor = [False]

        def told(change: Change) -> None:
            if change.verb == "warn":
                warned[change.record.id] = clock.monotonic()
            if not by_janitor[0] or change.verb not in ENDS:
                return
            id = change.record.id
            seen.append(change.verb)
            notice = min(change.record.policy.warning_seconds, MINUTE)
            assert clock.monotonic() - warned.pop(id) >= notice, change
            if busy_until.get(id, 0.0) > clock.monotonic():
                assert "idle or not" in change.reason, change

        def at_work() -> dict[str, Signals]:
            return {id: Signals(executions=1) for id, until in busy_until.items() if until > clock.monotonic()}

        registry.listeners.append(told)
        janitor = Janitor(
            registry=registry,
            store=store,
            clock=clock,
            lock_file=local.settings.data_dir / "janitor.lock",
            activity=[at_work],
            inside=Inquiry(registry=registry, settings=local.settings, clock=clock),
            tidy=local.containers.reconcile,
        )
        ids = [
            local.create(f"{kind}-{number}", type=kind, policy=POLICIES[kind]).id
            for kind in TYPES
            for number in range(3)
        ]
        for step in range(int(DAYS * DAY / STEP_SECONDS)):
            clock.move(STEP_SECONDS)
            if step in (200, 300):
                clock.jump(DAY if step == 200 else -DAY)
            if dice.random() < 0.08:  # about four a day
                id = dice.choice(ids)
                try:
                    usable = store.get(id).state is not State.ARCHIVED
                except UnknownWorkspace:
                    usable = False
                if usable:
                    registry.open(id)
                    busy_until[id] = clock.monotonic() + dice.uniform(0, 10 * HOUR)
            if dice.random() < 0.01 and (running := local.runtime.find({})):
                local.runtime.remove(dice.choice(running).id)
            by_janitor[0] = True
            janitor.sweep()
            by_janitor[0] = False
        assert {"suspend", "stop", "archive", "delete"} <= set(seen)
        busy_until.clear()
        for _ in range(3):
            clock.move(MINUTE)
            janitor.sweep()
        found = {c.labels[LABEL_RUN]: c.frozen for c in local.runtime.find({})}
        recorded = {record.execution: record.frozen for record in registry.catalog.running()}
        assert found == recorded
