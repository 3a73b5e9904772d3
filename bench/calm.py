"""Waiting for the machine to be as it should be before a sample: conditions, bounded, never a fixed time.

A container of ours that is neither ready in the pool nor in use is one that is being removed; a refill is running
while its lock is held; a spare is forked when the container has its process, and initialised when nothing in there
uses the processor any more.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

import docker
import docker.errors

from syla_jupyter.app import Application
from syla_jupyter.runtimes.base import LABEL_HOME

from .processes import cpu_seconds, descendants

WINDOW = 0.1  # seconds looked at to say that nothing runs
BUSY = 0.011  # seconds of processor time in it: one tick may be ours, for looking
LIMIT = 60.0
AGENT_ZYGOTE_SPARE = 3


class NotCalm(Exception):
    """The condition did not come within its time."""


class Calm:
    """Parameters: `tag` of the run's gateway containers; `root` is the main process, below which all of ours is."""

    def __init__(self, application: Application, tag: str, root: int) -> None:
        self._application, self._tag, self._root = application, tag, root
        self._docker = docker.from_env()

    def close(self) -> None:
        self._docker.close()

    async def wait(self, *, ready: int = 0, live: int = 0, kernels: int | None = None, others: int = 0) -> None:
        """`ready` containers in the pool, `live` ones in use, `others` of the gateway, and nothing running.

        `kernels`: how many the live container holds; it must have its spare beside them.
        """
        deadline = time.perf_counter() + LIMIT
        while True:
            why = self._missing(ready, live, kernels, others)
            if not why:
                pids = self._pids()
                before = cpu_seconds(pids)
                await asyncio.sleep(WINDOW)
                if cpu_seconds(pids) - before < BUSY and set(self._pids()) == set(pids):
                    return
                why = "something that this run started still runs"
            if time.perf_counter() > deadline:
                raise NotCalm(f"after {LIMIT:.0f} s: {why}")
            await asyncio.sleep(0.02)

    def _missing(self, ready: int, live: int, kernels: int | None, others: int) -> str:
        pool = self._application.pool
        have = sum(status.ready for status in pool.status())
        if have < ready:
            last = pool.misses(1)
            return f"{have} of {ready} containers are ready in the pool ({last[0] if last else 'no miss noted'})"
        with pool.refill_lock() as free:
            if not free:
                return "a refill is at work"
        names = self.containers()
        if len(names) != have + live:
            return f"{len(names)} containers instead of {have + live}: {', '.join(names)}"
        if kernels is not None:
            inside = sum(len(self.top(name)) for name in names)
            if inside < AGENT_ZYGOTE_SPARE + kernels:
                return f"{inside} processes in {', '.join(names)}: the spare is missing"
        foreign = len(self._docker.containers.list(all=True, filters={"name": self._tag}))
        if foreign != others:
            return f"{foreign} gateway containers instead of {others}"
        return ""

    def containers(self) -> list[str]:
        """Names of ours."""
        rows = self._docker.api.containers(
            all=True, filters={"label": f"{LABEL_HOME}={self._application.service.home_label}"}
        )
        return [row["Names"][0].lstrip("/") for row in rows]

    def memory_bytes(self, name: str) -> int:
        """What the container's memory group counts, page cache included."""
        stats = self._docker.api.stats(name, stream=False, one_shot=True)
        return int(stats["memory_stats"]["usage"])

    def top(self, name: str) -> list[int]:
        """Process ids of a container, as the host counts them."""
        try:
            answer = self._docker.api.top(name)
        except docker.errors.APIError:  # it has just ended
            return []
        column = answer["Titles"].index("PID")
        return [int(process[column]) for process in answer["Processes"]]

    def _pids(self) -> list[int]:
        inside = [pid for name in self.containers() for pid in self.top(name)]
        return [pid for pid in descendants(self._root) if pid != os.getpid()] + inside


async def until(condition: Callable[[], bool], what: str, limit: float = LIMIT) -> None:
    deadline = time.perf_counter() + limit
    while not condition():
        if time.perf_counter() > deadline:
            raise NotCalm(f"after {limit:.0f} s: {what}")
        await asyncio.sleep(0.02)
