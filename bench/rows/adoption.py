"""A server that finds the kernels of the one before it: from its start to its first answer.

Beside the same server without any. It answers no request before every kernel is in its list: the list is checked. The
kernels are in two workspaces, for their threads are more than the processes that one may have.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from ..client import SYLA, now_ms
from ..measure import Bench, interleave
from ..model import OURS, Outcome, Row
from ..server import Server, serving

KERNELS, QUICK_KERNELS = 50, 10
ROUNDS, QUICK_ROUNDS = 10, 3
AT_ONCE = 4
NONE = "no kernels"
SECOND = "second"


async def _adoption(bench: Bench) -> Outcome:
    count = QUICK_KERNELS if bench.quick else KERNELS
    full, empty = bench.lab / "work" / "full", bench.lab / "work" / "empty"
    async with serving(bench.lab, os.environ, root=full, leave=True) as server:
        await server.call("POST", "syla/v1/workspaces", {"name": SECOND, "type": "session"})
        turns = asyncio.Semaphore(AT_ONCE)
        directories = ("", f"workspaces/{SECOND}/")
        await asyncio.gather(*(_opened(server, turns, directories[number % 2]) for number in range(count)))

    async def start(root: Path, kernels: int) -> float:
        await bench.calm.wait(live=2)  # the other's container has ended: nothing ran in it
        began = now_ms()
        async with serving(bench.lab, os.environ, root=root, leave=True) as server:
            took = server.answered_ms - began
            states = [kernel["execution_state"] for kernel in await server.call("GET", "api/kernels")]
            if len(states) != kernels or "dead" in states:
                raise RuntimeError(f"{kernels} kernels were to be found, and these are there: {states}")
        return took

    rounds = QUICK_ROUNDS if bench.quick else ROUNDS
    samples = await interleave({OURS: lambda: start(full, count), NONE: lambda: start(empty, 0)}, rounds)
    async with serving(bench.lab, os.environ, root=full):
        pass  # its end closes the sessions
    await bench.calm.wait()
    more = [ours - none for ours, none in zip(samples[OURS], samples[NONE], strict=True)]
    return Outcome(samples, extra={"kernels": count, "more_ms": round(sorted(more)[len(more) // 2], 3)})


async def _opened(server: Server, turns: asyncio.Semaphore, directory: str) -> None:
    async with turns:
        opened = (await server.start_to_reply(SYLA, directory))[1]
        opened.socket.close()


ADOPTION = Row(
    "adoption_50",
    "a server started beside 50 kernels of the one before, to its first answer",
    "ms",
    _adoption,
    baseline=NONE,
    limit_seconds=1200,
)
