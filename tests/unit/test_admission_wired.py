"""Admission where it counts: starts and changes of limits, in threads and processes at once, on the real store."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from syla_jupyter.config import load_settings
from syla_jupyter.metadata.sql import open_store
from syla_jupyter.model.clock import SystemClock
from syla_jupyter.model.errors import BadInput, EngineError, ImageMissing, InsufficientResources
from syla_jupyter.model.quota import Capacity, Quotas
from syla_jupyter.model.record import State
from syla_jupyter.model.settings import Settings
from syla_jupyter.model.workspace import DEFAULT_LIMITS, GIB, MIB, Limits, WorkspaceType
from syla_jupyter.testing.fake_runtime import FakeRuntime
from syla_jupyter.workspaces.capacity import Admission, capacity_of

from ..local_installation import Local, connect, local_installation
from .clocks import HandClock

SMALL = Limits(1, 256 * MIB, MIB)
FIVE = Admission(Capacity(cpus=5, memory_bytes=100 * GIB, cpu_overcommit=1), Quotas())
WIDE = multiprocessing.get_context("spawn")


def start(local: Local, id: str) -> str:
    try:
        local.registry.open(id)
    except InsufficientResources as exc:
        return "refused" if "CPU" in str(exc) else str(exc)
    return "started"


def start_elsewhere(settings: Settings, engine: Path, ids: list[str]) -> list[str]:
    """In a process of its own, with a store of its own."""
    store = open_store(settings.data_dir / "workspaces.db")
    local = connect(settings, SystemClock(), FakeRuntime(engine, environ=os.environ), store, FIVE)
    results = [start(local, id) for id in ids]
    local.registry.detach()
    store.close()
    return results


def test_of_twenty_starts_at_once_five_fit_and_get_in() -> None:
    """In threads of one process: exactly five, and what was refused has left no container."""
    with local_installation(HandClock(), admission=FIVE) as local:
        ids = [local.create(f"w{n}", limits=SMALL).id for n in range(20)]
        with ThreadPoolExecutor(20) as threads:
            results = Counter(threads.map(lambda id: start(local, id), ids))
        assert results == {"started": 5, "refused": 15}
        states = Counter(local.store.get(id).state for id in ids)
        assert states == {State.ACTIVE: 5, State.CREATED: 15}
        assert len(local.runtime.find({})) == 5
        assert local.runtime.calls.count("create") == 5  # whoever is refused has not had one


def test_a_start_that_fails_leaves_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    with local_installation(HandClock(), admission=FIVE) as local:
        ids = [local.create(f"w{n}", limits=SMALL).id for n in range(6)]
        monkeypatch.setattr(local.runtime, "_images", [])
        for id in ids:
            with pytest.raises(ImageMissing):
                local.registry.open(id)
        monkeypatch.undo()
        assert [start(local, id) for id in ids] == ["started"] * 5 + ["refused"]


def test_over_processes_too() -> None:
    with local_installation(HandClock(), admission=FIVE) as local:
        ids = [local.create(f"w{n}", limits=SMALL).id for n in range(12)]
        engine = local.settings.data_dir.parent / "engine"
        jobs = [(local.settings, engine, ids[n::3]) for n in range(3)]
        with WIDE.Pool(3) as processes:
            results = Counter(one for row in processes.starmap(start_elsewhere, jobs) for one in row)
        assert results == {"started": 5, "refused": 7}
        assert len(local.store.executions()) == 5


def test_frozen_ones_hold_what_they_have_and_stopped_ones_do_not() -> None:
    with local_installation(HandClock(), admission=FIVE) as local:
        ids = [local.create(f"w{n}", limits=SMALL).id for n in range(6)]
        assert [start(local, id) for id in ids] == ["started"] * 5 + ["refused"]
        local.registry.suspend(ids[0])
        assert start(local, ids[5]) == "refused"
        local.registry.resume(ids[0])  # it held its place
        local.registry.suspend(ids[0], stop=True)
        assert start(local, ids[5]) == "started"


def test_more_for_a_running_one_is_asked_for_too() -> None:
    """Refused, neither record nor container has it; what fits is given; a stopped one may have any limit."""
    with local_installation(HandClock(), admission=FIVE) as local:
        first, second = (local.create(name, limits=SMALL).id for name in ("a", "b"))
        local.registry.open(first)
        more = dataclasses.replace(SMALL, cpus=6)
        with pytest.raises(InsufficientResources):
            local.registry.change(first, limits=more)
        assert local.store.get(first).limits == SMALL
        assert list(local.runtime.limits.values()) == [SMALL]
        fits = dataclasses.replace(SMALL, cpus=5)
        assert local.registry.change(first, limits=fits).limits == fits
        assert list(local.runtime.limits.values()) == [fits]
        assert local.registry.change(second, limits=more).limits == more


def test_limits_that_the_engine_refuses_are_nobodys() -> None:
    """Neither the container nor the record has them, and what came with them is as it was, too."""
    with local_installation(HandClock(), admission=FIVE) as local:
        id = local.create("a", limits=SMALL, labels={"a": "b"}).id
        local.registry.open(id)
        local.runtime.refuses.update(local.runtime.limits)
        with pytest.raises(EngineError):
            local.registry.change(id, limits=dataclasses.replace(SMALL, cpus=2), labels={})
        now = local.store.get(id)
        assert (now.limits, now.labels, now.state) == (SMALL, {"a": "b"}, State.ACTIVE)


@pytest.mark.parametrize("memory", [1 * GIB, 2 * GIB, 16 * GIB, 64 * GIB])
def test_who_is_alone_is_not_refused_on_any_machine(memory: int, tmp_path: Path) -> None:
    """Two workspaces of the default kind fit on one core and a gigabyte; limits count several times on large ones."""
    settings = Settings(data_dir=tmp_path, run_dir=Path("/tmp/x"))
    capacity = capacity_of(settings, cpus=1, memory_bytes=memory)
    default = DEFAULT_LIMITS[WorkspaceType.PERSISTENT]
    assert capacity.memory_bytes >= max(2 * default.memory_bytes, 4 * (memory - 512 * MIB))
    assert capacity.cpus_offered >= 2 * default.cpus


def test_the_configuration_reaches_admission(tmp_path: Path) -> None:
    config = Config()
    config.Syla.workspaces_per_user = 3
    config.Syla.cpus_per_user = 2.5
    config.Syla.memory_per_user = "2g"
    config.Syla.workspaces_per_server = 0
    config.Syla.cpu_overcommit = 2.0
    config.Syla.disk_floor = "5g"
    settings = load_settings(config, {"SYLA_HOME": str(tmp_path)})
    assert settings.quotas == Quotas(3, 2.5, 2 * GIB, 0)
    assert (settings.cpu_overcommit, settings.disk_floor_bytes) == (2.0, 5 * GIB)
    assert load_settings(None, {"SYLA_HOME": str(tmp_path)}).quotas == Quotas()
    config.Syla.memory_overcommit = 0.5
    with pytest.raises(BadInput, match="memory_overcommit"):
        load_settings(config, {"SYLA_HOME": str(tmp_path)})


def test_a_start_that_waited_too_long_is_not_counted_twice() -> None:
    """A started one that is opened again asks for nothing."""
    with local_installation(HandClock(), admission=FIVE) as local:
        ids: list[Any] = [local.create(f"w{n}", limits=SMALL).id for n in range(5)]
        assert [start(local, id) for id in ids + ids] == ["started"] * 10
