"""A minute's sweep of the janitor over 100 000 workspaces, of which 2 000 are due and nothing is to be done.

All of it but the engine: the lock, who is at work, what is recorded as running, the policies, and when to look again.
Beside it the sweep of a minute in which none is due.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Iterator

from syla_jupyter.metadata.base import Look, WorkspaceStore
from syla_jupyter.model.clock import SystemClock
from syla_jupyter.model.policy import DAY, MINUTE
from syla_jupyter.model.record import WorkspaceRecord
from syla_jupyter.workspaces.disk_watch import DiskWatch
from syla_jupyter.workspaces.inquiry import Inquiry
from syla_jupyter.workspaces.janitor import Janitor
from syla_jupyter.workspaces.places import Places

from ..client import now_ms
from ..measure import Bench, interleave
from ..model import OURS, Outcome, Row, Target
from . import metadata
from .rest_list import stored

DUE = int(metadata.WORKSPACES * metadata.DUE_SHARE)
SWEEP_MS = 1000
NOTHING = "none due"


class At(SystemClock):
    """At `metadata.NOW` for good."""

    def now(self) -> float:
        return metadata.NOW


def quiet(owner: str) -> Iterator[WorkspaceRecord]:
    """Used yesterday, so that no policy acts."""
    used = metadata.NOW - DAY / 2
    for record in stored(owner):
        yield dataclasses.replace(record, created_at=used, state_since=used, last_activity_at=used)


def plan(store: WorkspaceStore, rows: list[WorkspaceRecord], number: int, at: float) -> None:
    for some in metadata.batched(random.Random(number).sample(rows, number)):
        store.plan_look(Look(row.id, row.version, at) for row in some)


async def _sweep(bench: Bench) -> Outcome:
    application, clock = bench.application, At()
    settings, registry = application.settings, application.registry()
    rows = list(quiet(registry.catalog.owner))
    metadata.fill(settings.data_dir / "workspaces.db", rows).close()
    store = application.store()
    watch = DiskWatch(registry=registry, places=Places(settings.data_dir), clock=clock, floor_bytes=0)
    janitor = Janitor(
        registry=registry,
        store=store,
        clock=clock,
        lock_file=settings.data_dir / "janitor.lock",
        inside=Inquiry(registry=registry, settings=settings, clock=clock),
        extra=watch.sweep,
    )

    async def sweep(due: int) -> float:
        plan(store, rows, due, metadata.NOW - MINUTE)
        began = now_ms()
        done = await asyncio.to_thread(janitor.sweep)
        took = now_ms() - began
        if done or store.due(metadata.NOW):
            raise RuntimeError(f"the sweep did something ({done[:3]}), or left some that are due")
        return took

    samples = await interleave({OURS: lambda: sweep(DUE), NOTHING: lambda: sweep(0)}, bench.n)
    all_due_ms = round(await sweep(metadata.WORKSPACES), 3)
    return Outcome(samples, extra={"workspaces": metadata.WORKSPACES, "due": DUE, "all_due_ms": all_due_ms})


SWEEP = Row(
    "janitor_sweep",
    "a sweep of the janitor over 100 000 workspaces; 2 000 are due",
    "ms",
    _sweep,
    Target(f"≤ {SWEEP_MS} ms", lambda m, _: m[OURS] <= SWEEP_MS),
    baseline=NOTHING,
)
