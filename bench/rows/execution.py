"""A running kernel: round trip, and a flood of output.

In the default workspace, which is what a notebook has; an ephemeral one is given half a core by design.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ..client import PYTHON, REPLY_SECONDS, SYLA, channels, idle_after, now_ms, running, unbounded_context
from ..measure import Bench, Sample, interleave
from ..model import LOCAL, OURS, Outcome, Row, Target, times_baseline

ROUND_TRIPS = 200
LINES = 100_000
CODE = f"for i in range({LINES}): print(i)"
DEFAULT_WORKSPACE = {"SYLA_WORKSPACE": "default"}


async def _execute(bench: Bench) -> Outcome:
    async with running(SYLA) as (_, ours), running(PYTHON) as (_, local):
        await bench.calm.wait(live=1, kernels=1)

        def sample(client: Any) -> Sample:
            async def one() -> float:
                begin = now_ms()
                request = client.execute("pass")
                async with asyncio.timeout(REPLY_SECONDS):
                    while (await client.get_shell_msg(timeout=None))["parent_header"].get("msg_id") != request:
                        pass
                took = now_ms() - begin
                await idle_after(client, request)
                return took

            return one

        count = ROUND_TRIPS // 4 if bench.quick else ROUND_TRIPS
        return Outcome(await interleave({OURS: sample(ours), LOCAL: sample(local)}, count))


async def _flood(bench: Bench) -> Outcome:
    lost = {OURS: 0, LOCAL: 0}
    async with running(SYLA) as (our_manager, _), running(PYTHON) as (local_manager, _):

        def sample(name: str, manager: Any) -> Sample:
            async def one() -> float:
                context = unbounded_context()
                client = channels(manager, second=True, context=context)
                try:
                    request = client.execute("1+1")  # the subscription stands when its echo arrives
                    await idle_after(client, request)
                    await client.get_shell_msg(timeout=REPLY_SECONDS)
                    await bench.calm.wait(live=1, kernels=1)
                    begin = now_ms()
                    request = client.execute(CODE)
                    messages, _ = await asyncio.gather(
                        idle_after(client, request), client.get_shell_msg(timeout=REPLY_SECONDS)
                    )
                    took = now_ms() - begin
                finally:
                    client.stop_channels()
                    context.term()
                text = "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")
                got = text.splitlines()
                lost[name] += LINES - len(got)
                if len(got) == LINES and got != [str(i) for i in range(LINES)]:
                    raise RuntimeError(f"{name}: the lines came, but not in order")
                return took

            return one

        samples = await interleave(
            {OURS: sample(OURS, our_manager), LOCAL: sample(LOCAL, local_manager)}, bench.n, warm_up=False
        )
        return Outcome(samples, extra={"lines": LINES, "lost_lines": lost})


EXECUTE = Row("execute", "round trip of `pass`", "ms", _execute, times_baseline(1.05), environ=DEFAULT_WORKSPACE)
OUTPUT = Target(
    "≤ 1.05× local, 0 lines lost",
    lambda m, extra: LOCAL in m and m[OURS] <= 1.05 * m[LOCAL] and extra["lost_lines"][OURS] == 0,
)
FLOOD = Row("output_flood", f"{LINES} printed lines", "ms", _flood, OUTPUT, environ=DEFAULT_WORKSPACE)
