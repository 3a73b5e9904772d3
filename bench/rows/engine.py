"""Calls to the engine that a server with two idle kernels makes.

The server's engine is `proxy`, which counts. It is idle once no call has come for a while; then the time begins.

A minute of the janitor is a row of its own: with a frozen workspace besides, and after the first sweep, which tidies up
once.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter

from .. import gateway
from ..calm import NotCalm, until
from ..client import SYLA
from ..measure import Bench
from ..model import GATEWAY, OURS, Outcome, Row, Target
from ..proxy import Recorder, recording
from ..server import serving

SECONDS, QUICK_SECONDS = 30.0, 10.0
SWEEP_SECONDS = 62.0
SETTLED = 3.0  # seconds without a call
SETTLE_LIMIT = 20.0


async def _count(bench: Bench, kernel: str) -> tuple[float, list[str]]:
    seconds = QUICK_SECONDS if bench.quick else SECONDS
    path = bench.lab / f"engine-{kernel}.sock"
    async with recording(path) as engine:
        environ = {**os.environ, "DOCKER_HOST": f"unix://{path}"}
        if kernel == gateway.KERNEL:
            environ.update(KERNEL_USERNAME=bench.tag)
        async with serving(bench.lab, environ, plain=kernel != SYLA) as server:
            opened = [(await server.start_to_reply(kernel))[1] for _ in range(2)]
            if not engine.requests:
                raise RuntimeError("starting kernels made no call: the proxy sees nothing")
            await _settled(engine)
            before = len(engine.requests)
            await asyncio.sleep(seconds)  # the idle time itself
            calls = engine.requests[before:]
            for one in opened:
                await one.reply_to("1+1")  # they lived all the time
    return float(len(calls)), calls


async def _minute(bench: Bench) -> Outcome:
    """Counted from after the first sweep to after the second."""
    path = bench.lab / "engine-minute.sock"
    async with recording(path) as engine:
        environ = {**os.environ, "DOCKER_HOST": f"unix://{path}"}
        async with serving(bench.lab, environ) as server:
            opened = [(await server.start_to_reply(SYLA))[1] for _ in range(2)]
            await server.call("POST", "syla/v1/workspaces", {"name": "bench-frozen"})
            await server.call("POST", "syla/v1/workspaces/bench-frozen/resume", {})
            await server.call("POST", "syla/v1/workspaces/bench-frozen/suspend", {})
            await asyncio.sleep(SWEEP_SECONDS)  # no sample: to have the first sweep behind us
            await _settled(engine)
            before = len(engine.requests)
            await asyncio.sleep(SWEEP_SECONDS)  # the minute itself
            calls = engine.requests[before:]
            if not before:
                raise RuntimeError("starting kernels made no call: the proxy sees nothing")
            for one in opened:
                await one.reply_to("1+1")  # they lived all the time
            frozen = await server.call("GET", "syla/v1/workspaces/bench-frozen")
            if not frozen["frozen"]:
                raise RuntimeError(f"the workspace did not stay frozen: {frozen['reason']}")
            await server.call("DELETE", "syla/v1/workspaces/bench-frozen?force=true&confirm=bench-frozen")
    return Outcome({OURS: [float(len(calls))]}, extra={"calls": dict(Counter(calls)), "seconds": SWEEP_SECONDS})


async def _settled(engine: Recorder) -> None:
    """Returns at the limit too: who calls all the time is counted, not waited for."""
    last, count = time.perf_counter(), len(engine.requests)

    def quiet() -> bool:
        nonlocal last, count
        if len(engine.requests) != count:
            last, count = time.perf_counter(), len(engine.requests)
        return time.perf_counter() - last >= SETTLED

    try:
        await until(quiet, "", SETTLE_LIMIT)
    except NotCalm:
        return


async def _idle(bench: Bench) -> Outcome:
    count, calls = await _count(bench, SYLA)
    outcome = Outcome({OURS: [count]}, extra={"calls": dict(Counter(calls))})
    outcome.extra["seconds"] = QUICK_SECONDS if bench.quick else SECONDS
    try:
        await gateway.prepare(bench.application, bench.lab)
        outcome.samples[GATEWAY] = [(await _count(bench, gateway.KERNEL))[0]]
    except Exception as exc:
        outcome.notes.append(f"gateway_provisioners left out: {type(exc).__name__}: {exc}")
    return outcome


IDLE = Row(
    "engine_calls_idle",
    "calls to Docker by a server with two idle kernels",
    "calls",
    _idle,
    Target("0", lambda m, _: m[OURS] == 0),
    baseline=GATEWAY,
)
MINUTE = Row(
    "engine_idle",
    "calls to Docker in an idle minute, the janitor's sweep in it",
    "calls",
    _minute,
    Target("0", lambda m, _: m[OURS] == 0),
    baseline=GATEWAY,
)
