"""A workspace with a notebook's kernel: suspended, and back to its first reply, from each level it can be at.

Frozen: beside the engine alone, which is asked for nothing but to pause the container, or to unpause it. Stopped:
beside the start of a local kernel. Its stop has had a container made ready, which is opened for it; where nothing is
ready, one is made anew.
"""

from __future__ import annotations

import asyncio

from ..client import PYTHON, SYLA, now_ms, reply_to, running, start_to_reply
from ..measure import Bench, interleave
from ..model import LOCAL, OURS, Outcome, Row, Target, times_baseline
from .execution import DEFAULT_WORKSPACE

SUSPEND_MS, RESUME_MS = 25, 30
ENGINE = "engine alone"
ANEW = "nothing ready"


async def _frozen(bench: Bench, *, timed_resume: bool) -> Outcome:
    """Each sample freezes and thaws; one of the two is what is measured."""
    registry, engine_api = bench.application.registry(), bench.application.runtime.client().api
    async with running(SYLA) as (manager, client):
        id = manager.provisioner.workspace_id
        container = registry.open(id).container.id

        async def ours() -> float:
            await bench.calm.wait(live=1, kernels=1)
            began = now_ms()
            await asyncio.to_thread(registry.suspend, id)
            suspended = now_ms()
            await asyncio.to_thread(registry.resume, id)
            await reply_to(client, "1+1")
            return now_ms() - suspended if timed_resume else suspended - began

        async def engine() -> float:
            await bench.calm.wait(live=1, kernels=1)
            began = now_ms()
            await asyncio.to_thread(engine_api.pause, container)
            paused = now_ms()
            await asyncio.to_thread(engine_api.unpause, container)
            if timed_resume:
                await reply_to(client, "1+1")
            return now_ms() - paused if timed_resume else paused - began

        return Outcome(await interleave({OURS: ours, ENGINE: engine}, bench.n))


async def _suspend(bench: Bench) -> Outcome:
    return await _frozen(bench, timed_resume=False)


async def _thaw(bench: Bench) -> Outcome:
    return await _frozen(bench, timed_resume=True)


async def _restart(bench: Bench) -> Outcome:
    application, registry = bench.application, bench.application.registry()
    async with running(SYLA) as (manager, _):
        id = manager.provisioner.workspace_id
    registry.suspend(id, stop=True)

    async def ours() -> float:
        await bench.calm.wait(ready=1)
        _, took = await start_to_reply(SYLA)
        await asyncio.to_thread(registry.suspend, id, stop=True)
        return took

    async def anew() -> float:
        application.pool.pause(True)
        await asyncio.to_thread(application.service.drain)
        await bench.calm.wait()
        _, took = await start_to_reply(SYLA)
        application.pool.pause(False)
        await asyncio.to_thread(registry.suspend, id, stop=True)
        return took

    async def local() -> float:
        await bench.calm.wait(ready=1)
        return (await start_to_reply(PYTHON))[1]

    return Outcome(await interleave({OURS: ours, LOCAL: local, ANEW: anew}, bench.n))


def _at_most(milliseconds: int) -> Target:
    return Target(f"≤ {milliseconds} ms", lambda m, _: m[OURS] <= milliseconds)


SUSPEND = Row(
    "suspend",
    "a workspace suspended, its kernel frozen",
    "ms",
    _suspend,
    _at_most(SUSPEND_MS),
    baseline=ENGINE,
    environ=DEFAULT_WORKSPACE,
)
FROZEN = Row(
    "resume_frozen",
    "a frozen workspace resumed, to the first reply of its kernel",
    "ms",
    _thaw,
    _at_most(RESUME_MS),
    baseline=ENGINE,
    environ=DEFAULT_WORKSPACE,
)
STOPPED = Row(
    "resume_stopped",
    "a stopped workspace resumed, to the first reply of a new kernel",
    "ms",
    _restart,
    times_baseline(1.0),
    environ=DEFAULT_WORKSPACE,
)
