"""Start to first reply, in process: out of the pool, and with nothing ready.

Ours is the ephemeral workspace that every program with jupyter_client gets. The gateway's provisioner has no pool, so
its columns are the same thing in both rows. The floor of the warm one is a provisioner that does nothing (`noop`).
"""

from __future__ import annotations

import statistics

from .. import gateway
from ..client import PYTHON, SYLA, start_to_reply
from ..lab import NOOP_KERNEL
from ..measure import Bench, Sample, interleave
from ..model import GATEWAY, GATEWAY_FAST, LOCAL, NOOP, OURS, Outcome, Row, Target, times_baseline
from ..noop import Standby

WARM_MS, WARM_TIMES = 25, 20


async def _run(bench: Bench, ready: int) -> Outcome:
    notes = []
    launched: dict[str, list[float]] = {}
    standby = Standby()

    def sample(name: str, kernel: str, poll: float = 0.0) -> Sample:
        async def one() -> float:
            if kernel == NOOP_KERNEL:
                await standby.add()
            await bench.calm.wait(ready=ready)
            if poll:
                gateway.poll_every(poll)
                until_launch, took = await start_to_reply(kernel, env=gateway.environment(bench.tag))
            else:
                until_launch, took = await start_to_reply(kernel)
            launched.setdefault(name, []).append(until_launch)
            await standby.settle()
            return took

        return one

    variants = {OURS: sample(OURS, SYLA), LOCAL: sample(LOCAL, PYTHON)}
    try:
        await gateway.prepare(bench.application, bench.lab)
        variants[GATEWAY] = sample(GATEWAY, gateway.KERNEL, gateway.DEFAULT_POLL)
        variants[GATEWAY_FAST] = sample(GATEWAY_FAST, gateway.KERNEL, gateway.FAST_POLL)
        await _works(bench)
    except Exception as exc:
        variants.pop(GATEWAY, None)
        variants.pop(GATEWAY_FAST, None)
        notes.append(f"gateway_provisioners left out: {type(exc).__name__}: {exc}")
    if ready:  # the first start of all is a miss, and asks for the pool's first container
        await start_to_reply(SYLA)
        variants[NOOP] = sample(NOOP, NOOP_KERNEL)
    misses = len(bench.application.pool.misses(1000))
    try:
        samples = await interleave(variants, bench.n)
    finally:
        await standby.close()
    missed = len(bench.application.pool.misses(1000)) - misses
    if ready and missed:
        raise RuntimeError(f"{missed} of the starts found nothing ready: they were not warm")
    parts = {name: round(statistics.median(values), 3) for name, values in launched.items()}
    return Outcome(samples, extra={"until_start_kernel_returns": parts}, notes=notes)


async def _works(bench: Bench) -> None:
    """Whether the gateway's kernel starts at all, found out before anything is measured."""
    gateway.poll_every(gateway.DEFAULT_POLL)
    await start_to_reply(gateway.KERNEL, env=gateway.environment(bench.tag))


async def _warm(bench: Bench) -> Outcome:
    return await _run(bench, ready=1)


async def _cold(bench: Bench) -> Outcome:
    return await _run(bench, ready=0)


WARM = Row(
    "start_warm",
    "start to first reply, from the pool",
    "ms",
    _warm,
    Target(
        f"≤ {WARM_MS} ms and ≥ {WARM_TIMES}× faster than local",
        lambda m, _: LOCAL in m and m[OURS] <= WARM_MS and m[OURS] * WARM_TIMES <= m[LOCAL],
    ),
)
COLD = Row("start_cold", "start to first reply, nothing ready", "ms", _cold, times_baseline(1.0))
