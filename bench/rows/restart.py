"""Restart to first reply: on a client made afterwards, and on the one that was open all the time.

The second has ZMQ's reconnect interval in it, on both sides; it is what an open notebook sees.
"""

from __future__ import annotations

from typing import Any

from ..client import PYTHON, SYLA, channels, now_ms, reply_to, running
from ..measure import Bench, Sample, interleave
from ..model import LOCAL, OURS, Outcome, Row, Target
from .execution import DEFAULT_WORKSPACE

RESTART_MS = 30


async def _run(bench: Bench, *, same_client: bool) -> Outcome:
    async with running(SYLA) as (our_manager, ours), running(PYTHON) as (local_manager, local):

        def sample(manager: Any, open_client: Any) -> Sample:
            async def one() -> float:
                await bench.calm.wait(live=1, kernels=1)
                begin = now_ms()
                await manager.restart_kernel(now=True)
                client = open_client if same_client else channels(manager, second=True)
                try:
                    await reply_to(client, "1+1")
                    return now_ms() - begin
                finally:
                    if client is not open_client:
                        client.stop_channels()

            return one

        return Outcome(
            await interleave({OURS: sample(our_manager, ours), LOCAL: sample(local_manager, local)}, bench.n)
        )


async def _fresh(bench: Bench) -> Outcome:
    return await _run(bench, same_client=False)


async def _same(bench: Bench) -> Outcome:
    return await _run(bench, same_client=True)


FRESH = Row(
    "restart",
    "restart to first reply, new client",
    "ms",
    _fresh,
    Target(f"≤ {RESTART_MS} ms", lambda m, _: m[OURS] <= RESTART_MS),
    environ=DEFAULT_WORKSPACE,
)
SAME = Row("restart_same_client", "restart to first reply, open client", "ms", _same, environ=DEFAULT_WORKSPACE)
