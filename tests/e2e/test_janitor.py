"""What happens to workspaces by itself, with real containers: idle, full, and more starts than fit."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from syla_jupyter import app
from syla_jupyter.config import load_settings
from syla_jupyter.model.clock import SystemClock
from syla_jupyter.model.errors import InsufficientResources
from syla_jupyter.model.policy import DAY, HOUR, MINUTE, Policy
from syla_jupyter.model.quota import Capacity, Quotas
from syla_jupyter.model.record import State, WorkspaceRecord
from syla_jupyter.model.workspace import GIB, MIB, Limits, Network
from syla_jupyter.runtimes.base import LABEL_RUN
from syla_jupyter.runtimes.control_groups import process_count
from syla_jupyter.workspaces import repl
from syla_jupyter.workspaces.activity import Signals
from syla_jupyter.workspaces.capacity import Admission
from syla_jupyter.workspaces.catalog import Catalog
from syla_jupyter.workspaces.changes import Change
from syla_jupyter.workspaces.commands import capture
from syla_jupyter.workspaces.disk_watch import DiskWatch
from syla_jupyter.workspaces.inquiry import Inquiry
from syla_jupyter.workspaces.janitor import Janitor
from syla_jupyter.workspaces.live import LiveWorkspace
from syla_jupyter.workspaces.places import Places
from syla_jupyter.workspaces.registry import Registry

from ..installation import NOTHING_READY, Installation, wait_until

SMALL = Limits(0.5, 256 * MIB, 10 * MIB, pids=64, tmp_bytes=16 * MIB)
FIVE = Admission(Capacity(cpus=2.5, memory_bytes=1000 * GIB, cpu_overcommit=1), Quotas())


class AheadClock:
    """The real one, set ahead by a test."""

    ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@dataclass
class Kept:
    application: app.Application
    registry: Registry
    places: Places
    clock: AheadClock
    root: Path
    warnings: list[str] = field(default_factory=list)

    def running(self, name: str, **described: Any) -> tuple[WorkspaceRecord, LiveWorkspace]:
        id = self.create(name, **described)
        live = self.registry.open(id)
        return self.application.store().get(id), live

    def create(self, name: str, **described: Any) -> str:
        given = {"root": self.root, "limits": SMALL, "network": Network.NONE, **described}
        return self.registry.create(name, **given).id

    def now(self, record: WorkspaceRecord) -> WorkspaceRecord:
        return self.application.store().get(record.id)

    def paused(self, record: WorkspaceRecord) -> bool:
        (container,) = self.application.runtime.find({LABEL_RUN: record.execution})
        return container.frozen

    def run(self, live: LiveWorkspace, script: str) -> str:
        done = capture(live, ["sh", "-c", script], timeout_seconds=60, output_bytes=10_000, clock=SystemClock())
        return (done.stdout + done.stderr).decode()

    def janitor(self) -> Janitor:
        def warned(record: WorkspaceRecord, message: str) -> None:
            self.warnings.append(message)

        def heard(change: Change) -> None:
            if change.verb == "warn":
                self.warnings.append(change.reason)

        self.registry.listeners[:] = [heard]
        watch = DiskWatch(registry=self.registry, places=self.places, clock=self.clock, floor_bytes=0, warned=warned)
        return Janitor(
            registry=self.registry,
            store=self.application.store(),
            clock=self.clock,
            lock_file=self.application.settings.data_dir / "janitor.lock",
            inside=Inquiry(registry=self.registry, settings=self.application.settings, clock=self.clock),
            tidy=self.application.service.reconcile,
            extra=watch.sweep,
        )


@pytest.fixture
def kept(engine: Any, session_dir: Path, tmp_path: Path) -> Iterator[Kept]:
    """An installation of its own, with room for five; nothing of it is left."""
    home = session_dir / f"kept{os.urandom(3).hex()}"
    environ = {**os.environ, "SYLA_HOME": str(home)}
    application = app.build(load_settings(NOTHING_READY, environ), environ)
    clock, places = AheadClock(), Places(application.settings.data_dir)
    common: dict[str, Any] = {
        "store": application.store(),
        "settings": application.settings,
        "places": places,
        "clock": clock,
    }
    registry = Registry(
        catalog=Catalog(owner="ann", **common),
        containers=application.service,
        runtime=application.runtime,
        admission=FIVE,
        vault=application.vault,
        **common,
    )
    yield Kept(application, registry, places, clock, tmp_path)
    for record in list(registry.catalog.all()):
        registry.delete(record.id, confirmed=True)
    registry.detach()
    application.service.reconcile()
    application.store().close()
    Installation(home, engine).assert_nothing_left()


def test_idle_is_warned_of_frozen_resumed_as_it_was_and_stopped(kept: Kept) -> None:
    """What runs in it is where it was after the thaw; once stopped its files are there and its processes are not."""
    record, live = kept.running("proj", policy=Policy(idle_seconds=HOUR, stop_seconds=DAY))
    janitor = kept.janitor()
    kept.run(live, "echo kept > /workspace/file; echo gone > /tmp/file")
    janitor.sweep()
    kept.clock.ahead += 56 * MINUTE
    janitor.sweep()
    assert len(kept.warnings) == 1
    assert not kept.paused(record)
    kept.clock.ahead += 6 * MINUTE
    janitor.sweep()
    assert kept.paused(record)
    assert kept.now(record).reason.startswith("idle for 1 h")
    janitor.sweep()
    assert kept.paused(record)
    live = kept.registry.open(record.id)
    assert kept.run(live, "cat /workspace/file /tmp/file") == "kept\ngone\n"
    kept.clock.ahead += 58 * MINUTE
    janitor.sweep()
    kept.clock.ahead += 6 * MINUTE
    janitor.sweep()
    kept.clock.ahead += DAY - MINUTE
    janitor.sweep()
    kept.clock.ahead += 6 * MINUTE
    janitor.sweep()
    assert kept.now(record).state is State.SUSPENDED
    assert kept.application.runtime.find({LABEL_RUN: record.execution}) == []
    live = kept.registry.open(record.id)
    assert "kept" in kept.run(live, "cat /workspace/file /tmp/file")


def test_a_kernel_of_another_process_counts_while_it_computes(kept: Kept) -> None:
    """Nobody here knows whether it is busy: at the first look it counts, then by what the container computes."""
    record, _ = kept.running("proj")
    spec = record.spec(kept.places.home(record))
    other = kept.application.service.connect(spec, record.execution)
    try:
        key = b"0123456789abcdef"
        other.start_kernel("foreign0", key=key, cwd="/workspace", env={}, timeout=60)
        inquiry = Inquiry(registry=kept.registry, settings=kept.application.settings, clock=kept.clock)
        assert inquiry(record).kernels_busy == 1
        kept.clock.ahead += 50 * MINUTE
        assert inquiry(record) == Signals(kernels_idle=1)
        kept.run(other, "timeout 1 sh -c 'while :; do :; done'")
        kept.clock.ahead += 10.0
        assert inquiry(record).kernels_busy == 1
        kept.registry.detach()  # now nobody here is connected: asked without holding it
        assert not kept.registry.connected()
        kept.clock.ahead += 50 * MINUTE
        assert inquiry(record) == Signals(kernels_idle=1)
    finally:
        other.detach()


def test_the_repl_kernel_counts_whoever_runs_something_in_it(kept: Kept) -> None:
    """While a command has its turn it is busy, though it computes nothing; and nobody takes it for ours."""
    record, live = kept.running("proj")
    clock = SystemClock()
    repl.ensure(live, repl.KernelStart(), clock)
    inquiry = Inquiry(registry=kept.registry, settings=kept.application.settings, clock=kept.clock)
    assert inquiry(record).kernels_busy == 1  # the first look
    kept.clock.ahead += 50 * MINUTE
    assert inquiry(record) == Signals(kernels_idle=1)
    other = kept.application.service.connect(record.spec(kept.places.home(record)), record.execution)
    try:
        with repl.talk(other, timeout_seconds=30, start=repl.KernelStart(), clock=clock):
            kept.clock.ahead += 50 * MINUTE
            assert inquiry(record) == Signals(kernels_busy=1)
        kept.clock.ahead += 50 * MINUTE
        assert inquiry(record) == Signals(kernels_idle=1)
    finally:
        other.detach()


def test_a_full_disk_is_warned_of_and_suspends(kept: Kept) -> None:
    """What the container writes into files and home is what is measured, links of its making are not followed."""
    record, live = kept.running("proj")
    janitor = kept.janitor()
    kept.run(live, "ln -s / /workspace/root; ln -s /usr /home/syla/usr; head -c 8M /dev/zero > /workspace/a")
    janitor.sweep()
    assert [("80 %" in w) for w in kept.warnings] == [True]
    assert kept.now(record).state is State.ACTIVE
    kept.run(live, "head -c 3M /dev/zero > /home/syla/b")
    janitor.sweep()
    now = kept.now(record)
    assert now.frozen
    assert "disk is full" in now.reason
    assert 10 * MIB < now.disk_bytes < 14 * MIB
    live = kept.registry.open(record.id)
    kept.run(live, "rm /workspace/a")
    janitor.sweep()
    assert kept.now(record).state is State.ACTIVE


def test_of_twenty_starts_at_once_five_fit_and_get_in(kept: Kept) -> None:
    """Whoever is refused is told what is missing, and has left no container."""
    ids = [kept.create(f"w{number}") for number in range(20)]

    def start(id: str) -> str:
        try:
            kept.registry.open(id)
        except InsufficientResources as exc:
            return "refused" if "CPU" in str(exc) else str(exc)
        return "started"

    with ThreadPoolExecutor(20) as threads:
        results = Counter(threads.map(start, ids))
    assert results == {"started": 5, "refused": 15}
    executions = set(kept.application.store().executions())
    assert len(executions) == 5

    def exactly_those() -> bool:
        containers = kept.application.runtime.find({"syla.home": kept.application.service.home_label})
        return {c.labels[LABEL_RUN] for c in containers} == executions

    wait_until(exactly_those, 15, "containers of those that were refused are gone")


def test_limits_of_a_running_one_change_in_the_container(kept: Kept) -> None:
    record, live = kept.running("proj")
    kept.registry.change(record.id, limits=Limits(1.5, 512 * MIB, 10 * MIB, pids=80, tmp_bytes=16 * MIB))
    assert live.agent.call("usage")["memory_limit_bytes"] == 512 * MIB
    processes = process_count(live.container.pid)
    assert processes is not None
    assert processes.limit == 80
    with pytest.raises(InsufficientResources):
        kept.registry.change(record.id, limits=Limits(4, 512 * MIB, 10 * MIB))
    assert kept.now(record).limits.cpus == 1.5
