"""Memory of ten idle kernels: what is theirs, with what they share divided among the sharers (PSS).

Ours counts every process of the container, agent, zygote and spare included, divided by the ten kernels. Those have
numpy and pandas in them from the start, which local ones get by importing them: hence the pair of columns beside.
"""

from __future__ import annotations

import contextlib
import statistics
from pathlib import Path
from typing import Any

from ..client import PYTHON, SYLA, reply_to, running
from ..measure import Bench, Sample, interleave
from ..model import LOCAL, OURS, Outcome, Row, times_baseline
from ..processes import descendants
from .execution import DEFAULT_WORKSPACE

KERNELS = 10
PANDAS = ", pandas in use"
MIB = 1024 * 1024
USE = "import pandas; pandas.DataFrame({'a': range(10)}).groupby('a').sum()"


def pss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/{pid}/smaps_rollup says no Pss")


async def _idle(bench: Bench) -> Outcome:
    group: list[float] = []
    parts: dict[str, list[float]] = {}

    async def kernel(stack: contextlib.AsyncExitStack, name: str, code: str) -> Any:
        km, client = await stack.enter_async_context(running(name))
        await reply_to(client, code)
        return km

    async def ours(code: str = "") -> float:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(KERNELS):
                await kernel(stack, SYLA, code)
            await bench.calm.wait(live=1, kernels=KERNELS)
            (name,) = bench.calm.containers()
            pss = [pss_bytes(pid) / MIB for pid in bench.calm.top(name)]
            if not code:
                parts[OURS] = sorted(round(value, 1) for value in pss)
                group.append(bench.calm.memory_bytes(name) / MIB / KERNELS)
        return sum(pss) / KERNELS

    async def local(code: str = "") -> float:
        live = len(bench.calm.containers())
        async with contextlib.AsyncExitStack() as stack:
            pids: set[int] = set()
            for _ in range(KERNELS):
                km = await kernel(stack, PYTHON, code)
                pids |= {km.provisioner.pid, *descendants(km.provisioner.pid)}
            await bench.calm.wait(live=live)
            pss = [pss_bytes(pid) / MIB for pid in pids]
            if not code:
                parts[LOCAL] = sorted(round(value, 1) for value in pss)
            return sum(pss) / KERNELS

    variants: dict[str, Sample] = {
        OURS: ours,
        LOCAL: local,
        OURS + PANDAS: lambda: ours(USE),
        LOCAL + PANDAS: lambda: local(USE),
    }
    samples = await interleave(variants, 1 if bench.quick else 3, warm_up=False)
    extra = {"kernels": KERNELS, "cgroup_mib_per_kernel": round(statistics.median(group), 3), "processes": parts}
    return Outcome(samples, extra=extra)


IDLE = Row(
    "idle_memory",
    "PSS per idle kernel, ten in one workspace",
    "MiB",
    _idle,
    times_baseline(0.5),
    environ=DEFAULT_WORKSPACE,
)
