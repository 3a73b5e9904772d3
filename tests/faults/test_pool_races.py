"""The pool under many hands: a container is claimed once, refills stay within their limits, what is not claimed ends."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from syla_jupyter.model.clock import SystemClock
from syla_jupyter.model.errors import AgentRefused, SylaError, WorkspaceLost
from syla_jupyter.model.runtime import ContainerInfo, User
from syla_jupyter.model.settings import PoolSettings
from syla_jupyter.runtimes.agent_client import AgentClient
from syla_jupyter.runtimes.rundir import RunDir
from syla_jupyter.workspaces.pool import Pool

from ..hostile.conftest import Host, wait_until
from .conftest import nothing_left, records, runs

CLAIMERS = 20
GATE_SECONDS = 150  # for twenty interpreters to start at once on a small machine


class Kept:
    """One key of the pool, and containers made ready for it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.spec = host.spec("rw", host.root)
        self.key, self.description = host.service._recipe.key(self.spec)
        self.plain = json.loads(json.dumps(self.description, default=str))
        host.app.pool.want(self.key, self.description)

    def fill(self, count: int = 1) -> None:
        for _ in range(count):
            self.host.service.fill_pool(self.plain, self.key)

    def pool(self, **settings: Any) -> Pool:
        """Another process's view of the same pool, with settings of its own."""
        return Pool(
            data_dir=self.host.app.settings.data_dir, settings=PoolSettings(**settings), clock=SystemClock()
        )  # fmt: skip


@pytest.fixture
def kept(hostile_host: Host) -> Iterator[Kept]:
    yield Kept(hostile_host)
    hostile_host.app.pool.pause(False)
    hostile_host.service.close_all()
    hostile_host.service.drain()
    nothing_left(hostile_host)


def claim(data_dir: Path, run_dir: Path, key: str, gate: Any, out: Any) -> None:
    """In a process of its own: wait for the gate, take what is there, claim it, hold it until told to go."""
    pool = Pool(data_dir=data_dir, settings=PoolSettings(), clock=SystemClock())
    gate.wait(GATE_SECONDS)
    got = []
    for ready in pool.take(key):
        try:
            got.append(
                (
                    ready.container_id,
                    AgentClient(RunDir(run_dir / ready.run_id).agent_socket, claim=True, hold_seconds=1),
                )
            )
        except SylaError as exc:
            out.put(("refused", str(exc)))
        break
    out.put(("got", [container for container, _ in got]))
    gate.wait(GATE_SECONDS)
    for _, client in got:
        client.call("stop")


def test_twenty_processes_claim_from_two(kept: Kept) -> None:
    """Twenty processes at once get two ready containers once each, and eighteen get nothing."""
    kept.fill(2)
    before = set(kept.host.containers())
    assert len(before) == 2
    context = multiprocessing.get_context("spawn")
    gate, out = context.Barrier(CLAIMERS), context.Queue()
    arguments = (kept.host.app.settings.data_dir, kept.host.run_dir, kept.key, gate, out)
    processes = [context.Process(target=claim, args=arguments) for _ in range(CLAIMERS)]
    for process in processes:
        process.start()
    answers = [out.get(timeout=GATE_SECONDS + 30) for _ in range(CLAIMERS)]
    for process in processes:
        process.join(60)
    assert [answer for answer in answers if answer[0] == "refused"] == []
    containers = [container for _, found in answers for container in found]
    assert len(containers) == len(set(containers)) == 2
    assert records(kept.host) == []
    assert [process.exitcode for process in processes] == [0] * CLAIMERS


def test_threads_get_workspaces_of_their_own(kept: Kept) -> None:
    """Four starts in one process with one container ready: one is warm, the others cold, no two share anything."""
    kept.fill(1)
    (ready,) = kept.host.containers()
    with ThreadPoolExecutor(4) as pool:
        workspaces = list(pool.map(lambda _: kept.host.service.ephemeral(kept.spec), range(4)))
    names = [workspace.container.name for workspace in workspaces]
    assert len(set(names)) == 4
    assert names.count(ready) == 1
    assert len({workspace.run.path for workspace in workspaces}) == 4
    assert len({workspace.container.pid for workspace in workspaces}) == 4
    assert any("nothing was ready" in line for line in kept.host.app.pool.misses())


@pytest.mark.parametrize("round", range(3))
def test_two_claims_on_one_agent(round: int, kept: Kept) -> None:
    """Of connections that claim the same agent at the same moment exactly one is said yes to."""
    kept.fill(1)
    (run,) = runs(kept.host)
    barrier = threading.Barrier(8)

    def attempt(_: int) -> AgentClient | str:
        barrier.wait(20)
        try:
            return AgentClient(kept.host.run_dir / run / "h" / "agent", claim=True, hold_seconds=5)
        except AgentRefused as exc:
            return exc.code
        except WorkspaceLost:
            return "lost"

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(attempt, range(8)))
    winners = [result for result in results if isinstance(result, AgentClient)]
    assert len(winners) == 1, results
    assert [result for result in results if isinstance(result, str)] == ["claimed"] * 7
    winners[0].call("stop")


def test_a_claimed_container_is_never_ready_again(kept: Kept) -> None:
    """What was claimed and closed is gone; the next claim is another container."""
    kept.fill(1)
    first = kept.host.service.ephemeral(kept.spec)
    assert first.container.name.startswith("syla-pool-")
    first.close()
    wait_until(lambda: not kept.host.containers())
    kept.fill(1)
    second = kept.host.service.ephemeral(kept.spec)
    assert second.container.id != first.container.id
    assert second.run.id != first.run.id
    with pytest.raises(WorkspaceLost):
        AgentClient(first.run.agent_socket)


def test_ready_container_that_died_is_a_miss(kept: Kept) -> None:
    """A ready container that ended meanwhile costs its claim nothing but a cold start, with the reason noted."""
    kept.fill(1)
    (name,) = kept.host.containers()
    kept.host.app.runtime.remove(name)
    workspace = kept.host.service.ephemeral(kept.spec)
    assert workspace.container.name != name
    assert not workspace.lost
    assert "could not be claimed" in kept.host.app.pool.misses()[-1]


def refill(kept: Kept, pool: Pool, made: list[int]) -> None:
    """What `syla pool fill` does, without its waiting for quiet."""
    with pool.refill_lock() as ours:
        if not ours:
            made.append(-1)
            return
        while wanted := pool.missing():
            kept.fill(1)
            made.append(wanted[0][2])


def test_two_refills_at_once(kept: Kept) -> None:
    """Refills that are asked for together make the wanted number once."""
    pool = kept.pool(size=2)
    made: list[int] = []
    threads = [threading.Thread(target=refill, args=(kept, pool, made)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(made) == [-1, -1, -1, 1, 2]
    assert len(kept.host.containers()) == len(records(kept.host)) == 2


def test_pause_resume_drain(kept: Kept) -> None:
    """Paused, nothing is made and what is ready can be claimed; drained, nothing is ready; resumed, refills go on."""
    pool = kept.pool(size=2)
    kept.fill(1)
    pool.pause(True)
    assert kept.host.app.pool.paused
    assert pool.missing() == []
    assert pool.status()[0].ready == 1
    assert kept.host.service.drain() == 1
    wait_until(lambda: not kept.host.containers(), what="the drained container's end")
    assert runs(kept.host) == records(kept.host) == []
    pool.pause(False)
    assert pool.missing()[0][::2] == (kept.key, 2)


@pytest.mark.parametrize(("cap_mib", "expected"), [(0, 0), (149, 0), (150, 0), (449, 1), (10_000, 5)])
def test_memory_cap(cap_mib: int, expected: int, hostile_host: Host, tmp_path: Path) -> None:
    """No refill takes the estimate of what is ready past the cap, whatever size is wanted, over all keys."""
    settings = PoolSettings(size=3, memory_cap_bytes=cap_mib << 20, container_estimate_bytes=150 << 20)
    pool = Pool(data_dir=tmp_path, settings=settings, clock=SystemClock())
    for key in ("a", "b"):
        pool.want(key, {"template": "python"})
    with pool.putting("a", "00000000", ContainerInfo("id", "name", {}, True)):
        pass
    assert sum(count for _, _, count in pool.missing()) == expected


def test_ready_container_ends_by_itself(hostile_host: Host) -> None:
    """A ready container that nobody claims ends when its time is over, with no process watching it."""
    settings = hostile_host.app.settings
    short = dataclasses.replace(settings, pool=dataclasses.replace(settings.pool, ttl_seconds=4.0))
    kept = Kept(hostile_host)
    service, service_settings = hostile_host.service, hostile_host.service._settings
    service._settings = short
    try:
        kept.fill(1)
        assert len(hostile_host.containers()) == 1
        wait_until(lambda: not hostile_host.containers(), 40, "the end of the ready container")
    finally:
        service._settings = service_settings
    workspace = service.ephemeral(kept.spec)  # finds the record of the dead one, and starts cold
    assert not workspace.lost
    workspace.close()
    nothing_left(hostile_host)


def test_reconcile_beside_starts(kept: Kept) -> None:
    """`reconcile` of another process removes nothing of a start, a refill or a claim that is under way."""
    over = threading.Event()

    def sweep() -> None:
        while not over.is_set():
            kept.host.service.reconcile()

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for _ in range(3):
            kept.fill(1)
            workspace = kept.host.service.ephemeral(kept.spec)
            assert workspace.agent.call("usage")["memory_bytes"] > 0
            workspace.close()
            workspace = kept.host.service.ephemeral(kept.spec)
            assert workspace.agent.call("usage")["memory_bytes"] > 0
            workspace.close()
    finally:
        over.set()
        sweeper.join()


def test_reconcile_beside_new_directories(hostile_host: Host) -> None:
    """A run directory that another process is just making is not taken for one whose owner is gone."""
    over = threading.Event()
    lost = 0

    def sweep() -> None:
        while not over.is_set():
            hostile_host.service.reconcile()

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for _ in range(1000):
            try:
                made = RunDir.create(hostile_host.run_dir, User(1000, 1000))
                lost += not made.path.is_dir()
                made.remove()
            except FileNotFoundError:
                lost += 1
    finally:
        over.set()
        sweeper.join()
    nothing_left(hostile_host)
    assert lost == 0
