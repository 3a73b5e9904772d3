"""What `/metrics` shows of workspaces, and the dashboard that reads it."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from syla_jupyter.metadata.base import Count
from syla_jupyter.metrics.collector import Metered
from syla_jupyter.metrics.gauges import Gauges, Running, group_usage
from syla_jupyter.metrics.table import CHANGES, DURATION, GAUGES, OPERATIONS, POOL
from syla_jupyter.model.errors import ObjectMissing
from syla_jupyter.model.record import State
from syla_jupyter.model.settings import PoolSettings
from syla_jupyter.model.workspace import WorkspaceType
from syla_jupyter.objects.local import LocalObjects
from syla_jupyter.objects.metered import OPERATIONS as metered_operations
from syla_jupyter.objects.metered import MeteredObjects
from syla_jupyter.workspaces.changes import Change
from syla_jupyter.workspaces.pool import LOG_MAX_BYTES, Pool

from .clocks import HandClock
from .records import a_record

DASHBOARD = Path(__file__).parents[2] / "grafana" / "syla.json"


class Shown:
    """A registry with all our metrics, on numbers that a test gives."""

    def __init__(self, tmp_path: Path) -> None:
        self.clock = HandClock()
        self.counts: Sequence[Count] = ()
        self.running: Sequence[Running] = ()
        self.registry = CollectorRegistry()
        self.pool = Pool(data_dir=tmp_path, settings=PoolSettings(), clock=self.clock)
        self.metered = Metered(
            registry=self.registry,
            counts=lambda: self.counts,
            running=lambda: self.running,
            pool_dir=tmp_path / "pool",
            clock=self.clock,
        )

    def value(self, name: str, **labels: str) -> float | None:
        self.clock.move(6)
        for _ in range(2):  # claims may be shown one scrape later
            generate_latest(self.registry)
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def shown(tmp_path: Path) -> Shown:
    return Shown(tmp_path)


def test_verbs_are_counted_and_timed(shown: Shown) -> None:
    """Each verb by type, with its duration; what is no verb of the table is neither."""
    record = a_record()
    for _ in range(2):
        shown.metered.changed(Change("suspend", record, "idle", 0.02))
    shown.metered.changed(Change("warn", record, "idle", 0.02))
    assert shown.value("syla_workspace_changes_total", verb="suspend", type="persistent") == 2
    assert shown.value("syla_workspace_duration_seconds_count", verb="suspend") == 2
    assert shown.value("syla_workspace_duration_seconds_sum", verb="suspend") == pytest.approx(0.04)
    assert shown.value("syla_workspace_changes_total", verb="warn", type="persistent") is None


def test_numbers_by_type_and_state(shown: Shown) -> None:
    """What the store counts; nothing there is 0, not missing; deleted ones are not shown."""
    shown.counts = [
        Count(WorkspaceType.SESSION, State.ACTIVE, 3, 100),
        Count(WorkspaceType.SESSION, State.ARCHIVED, 2, 11),
    ]
    assert shown.value("syla_workspaces", type="session", state="active") == 3
    assert shown.value("syla_workspaces", type="session", state="suspended") == 0
    assert shown.value("syla_workspaces", type="session", state="deleted") is None
    assert shown.value("syla_workspace_disk_bytes", type="session") == 111


def test_claims_of_any_process_are_counted_with_their_result(shown: Shown) -> None:
    """Lines that another process adds, after the file was exchanged for a new one as well."""
    shown.pool.claimed("k", 0.12)
    shown.pool.missed("k", "nothing was ready")
    shown.pool.missed("k", "a ready container had ended")
    shown.pool.missed("k", "a ready container could not be claimed: it says · no")
    assert shown.value("syla_pool_claims_total", result="hit") == 1
    assert [shown.value("syla_pool_claims_total", result=r) for r in ("empty", "ended", "refused")] == [1, 1, 1]
    assert shown.value("syla_workspace_duration_seconds_sum", verb="claim") == pytest.approx(0.12)
    number = LOG_MAX_BYTES // 20
    for _ in range(number):
        shown.pool.claimed("k", 0.1)
    assert shown.value("syla_pool_claims_total", result="hit") == number + 1


def test_what_was_there_before_the_server_is_not_counted(tmp_path: Path) -> None:
    """The logs outlive servers; a counter begins with its process."""
    Pool(data_dir=tmp_path, settings=PoolSettings(), clock=HandClock()).claimed("k", 0.1)
    assert Shown(tmp_path).value("syla_pool_claims_total", result="hit") == 0


def test_cores_and_memory_come_from_the_control_groups(shown: Shown) -> None:
    """Memory at once, cores from the second look on; a process that is gone counts for nothing."""
    used = {os.getpid(): (10.0, 1000.0)}
    running = [Running(WorkspaceType.SESSION, os.getpid()), Running(WorkspaceType.SESSION, 1 << 22)]
    gauges = Gauges(counts=lambda: [], running=lambda: running, clock=shown.clock, usage=lambda pid: used.get(pid))
    registry = CollectorRegistry()
    registry.register(gauges)
    assert registry.get_sample_value("syla_workspace_memory_bytes", {"type": "session"}) == 1000
    assert registry.get_sample_value("syla_workspace_cpu_cores", {"type": "session"}) == 0
    used[os.getpid()] = (15.0, 1000.0)
    shown.clock.move(10)
    assert registry.get_sample_value("syla_workspace_cpu_cores", {"type": "session"}) == 0.5


def test_control_groups_of_both_versions_are_read(tmp_path: Path) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "7").mkdir(parents=True)
    for directory in ("memory/docker/x", "cpuacct/docker/x", "docker/x"):
        (groups / directory).mkdir(parents=True)
    (groups / "memory/docker/x/memory.usage_in_bytes").write_text("4096\n")
    (groups / "cpuacct/docker/x/cpuacct.usage").write_text("1500000000\n")
    (groups / "docker/x/memory.current").write_text("8192\n")
    (groups / "docker/x/cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    (proc / "7" / "cgroup").write_text("3:cpuacct:/docker/x\n2:memory:/docker/x\n")
    assert group_usage(7, proc, groups) == (1.5, 4096.0)
    (proc / "7" / "cgroup").write_text("0::/docker/x\n")
    assert group_usage(7, proc, groups) == (2.5, 8192.0)
    assert group_usage(8, proc, groups) is None


def test_a_store_that_hangs_holds_up_nobody_and_is_asked_once(shown: Shown) -> None:
    """The scrape goes on with what was known; while one look hangs there is no second one."""
    hangs, asked = threading.Event(), []

    def counts() -> list[Count]:
        asked.append(1)
        hangs.wait(30)
        return [Count(WorkspaceType.SESSION, State.ACTIVE, 1, 0)]

    registry = CollectorRegistry()
    registry.register(Gauges(counts=counts, running=list, clock=shown.clock))
    for _ in range(3):
        assert registry.get_sample_value("syla_workspaces", {"type": "session", "state": "active"}) is None
    assert asked == [1]
    hangs.set()


def test_a_scrape_within_seconds_asks_nobody_again(shown: Shown) -> None:
    asked = []
    registry = CollectorRegistry()
    registry.register(Gauges(counts=lambda: asked.append(1) or [], running=list, clock=shown.clock))
    for _ in range(3):
        generate_latest(registry)
    assert asked == [1]
    shown.clock.move(6)
    generate_latest(registry)
    assert asked == [1, 1]


def test_every_expression_of_the_dashboard_names_metrics_that_exist(shown: Shown) -> None:
    """The dashboard is JSON, each panel asks for something, and all names and label values are ours."""
    dashboard = json.loads(DASHBOARD.read_text())
    shown.metered.changed(Change("start", dataclasses.replace(a_record()), "", 1.0))
    samples = {sample.name: sample.labels.keys() for family in shown.registry.collect() for sample in family.samples}
    seen = set()
    for panel in dashboard["panels"]:
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            names = re.findall(r"\bsyla_[a-z_]+", target["expr"])
            assert names, target
            for name in names:
                assert name in samples, f"{panel['title']}: there is no {name}"
                seen.add(name)
            for group in re.findall(r"by \(([a-z, ]+)\)", target["expr"]):
                for label in group.split(", "):
                    assert label in samples[names[0]], f"{panel['title']}: {names[0]} has no label {label}"
    assert {*GAUGES, f"{CHANGES}_total", f"{DURATION}_bucket", f"{POOL}_total"} <= seen
    places = [tuple(panel["gridPos"].values()) for panel in dashboard["panels"]]
    assert len(set(places)) == len(places)


def test_requests_to_the_object_stores_are_counted(shown: Shown, tmp_path: Path) -> None:
    """What a metered store does shows: how often, how it ended, how many bytes."""
    (tmp_path / "objects").mkdir()
    store = MeteredObjects(LocalObjects(tmp_path / "objects"), shown.metered.requested)
    store.put("a/b", b"12345")
    store.get("a/b", start=1)
    with pytest.raises(ObjectMissing):
        store.get("a/c")
    assert shown.value("syla_object_requests_total", operation="put", result="ok") == 1
    assert shown.value("syla_object_requests_total", operation="get", result="ok") == 1
    assert shown.value("syla_object_requests_total", operation="get", result="object_missing") == 1
    assert shown.value("syla_object_bytes_total", direction="sent") == 5
    assert shown.value("syla_object_bytes_total", direction="received") == 4
    assert shown.value("syla_object_request_seconds_count", operation="put") == 1
    assert metered_operations == OPERATIONS
