"""Through a real Jupyter Server: one notebook, and thirty at once.

Ours runs in the default workspace of the server's directory, which a kernel before has started. The baselines have
a second server, the same but for our extension. The floor is the same request there with a provisioner that does
nothing (`noop`).
"""

from __future__ import annotations

import asyncio
import os

from ..client import PYTHON, SYLA, now_ms
from ..lab import NOOP_KERNEL
from ..measure import Bench, Sample, interleave
from ..model import LOCAL, NOOP, OURS, Outcome, Row, Target
from ..noop import Standby
from ..server import Opened, Server, serving

WARM_MS, ABOVE_FLOOR_MS = 60, 10
CROWD = 30
CROWD_SECONDS = 180.0
LOCAL_FAILURES_MAX = 3


async def _warm(bench: Bench) -> Outcome:
    standby = Standby()
    try:
        async with serving(bench.lab, os.environ) as ours, serving(bench.lab, os.environ, plain=True) as plain:

            def sample(server: Server, kernel: str) -> Sample:
                async def one() -> float:
                    if kernel == NOOP_KERNEL:
                        await standby.add()
                    await bench.calm.wait(live=1, kernels=0)
                    took, opened = await server.start_to_reply(kernel)
                    await server.close(opened)
                    await standby.settle()
                    return took

                return one

            _, first = await ours.start_to_reply(SYLA)
            await ours.close(first)
            variants = {OURS: sample(ours, SYLA), LOCAL: sample(plain, PYTHON), NOOP: sample(plain, NOOP_KERNEL)}
            return Outcome(await interleave(variants, bench.n))
    finally:
        await standby.close()


async def _burst(bench: Bench) -> Outcome:
    """A round of local kernels of which one dies is done again, and said: their ports are chosen before they are bound,
    and now and then another program is faster. Ours has one attempt."""
    notes: list[str] = []
    async with serving(bench.lab, os.environ) as ours, serving(bench.lab, os.environ, plain=True) as plain:

        def sample(server: Server, kernel: str) -> Sample:
            async def one() -> float:
                await bench.calm.wait(live=1, kernels=0)
                begin = now_ms()
                try:
                    async with asyncio.timeout(CROWD_SECONDS), asyncio.TaskGroup() as group:
                        tasks = [group.create_task(_ready(server, kernel)) for _ in range(CROWD)]
                except ExceptionGroup as failed:
                    if server is ours or len(notes) == LOCAL_FAILURES_MAX:
                        raise
                    notes.append(f"a round of {LOCAL} failed and was done again: {failed.exceptions[0]}")
                    await server.close_all()
                    return await one()
                took = now_ms() - begin
                for task in tasks:
                    await server.close(task.result())
                return took

            return one

        _, first = await ours.start_to_reply(SYLA)
        await ours.close(first)
        rounds = 1 if bench.quick else 3
        samples = await interleave({OURS: sample(ours, SYLA), LOCAL: sample(plain, PYTHON)}, rounds, warm_up=False)
        return Outcome(samples, extra={"kernels": CROWD}, notes=notes)


async def _ready(server: Server, kernel: str) -> Opened:
    return (await server.start_to_reply(kernel))[1]


WARM = Row(
    "start_warm_rest",
    "the same over REST and websocket",
    "ms",
    _warm,
    Target(
        f"≤ {WARM_MS} ms or ≤ no-op + {ABOVE_FLOOR_MS} ms",
        lambda m, _: m[OURS] <= WARM_MS or (NOOP in m and m[OURS] <= m[NOOP] + ABOVE_FLOOR_MS),
    ),
)
BURST = Row("burst_30", "30 notebooks at once, until all have answered", "ms", _burst, limit_seconds=1200)
