"""Lists of workspaces over REST, from a real server whose database has 100 000 of them.

The lists are those of `metadata`, as a client can ask for them: of its own user, by each filter and order. Beside them
the least that the same server answers, so that what a request costs in any case is seen.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import statistics
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from syla_jupyter.metadata.base import Query
from syla_jupyter.model.record import State, WorkspaceRecord

from ..client import now_ms
from ..measure import Bench, interleave
from ..model import OURS, Outcome, Row
from ..server import Server, serving
from . import metadata

LEAST = "GET /api/status"
RUNNING = (State.ACTIVE, State.ARCHIVED)


def stored(owner: str) -> Iterator[WorkspaceRecord]:
    """Those of `metadata`, half of them the user's own; none claims to run, or to be put away, which a server would
    set right."""
    for record in metadata.records(metadata.WORKSPACES):
        state = State.SUSPENDED if record.state in RUNNING else record.state
        mine = owner if record.owner == metadata.HEAVY else record.owner
        yield dataclasses.replace(record, owner=mine, state=state, execution="")


def address(query: Query) -> str:
    given: list[tuple[str, Any]] = [("state", state.value) for state in query.states]
    given += [("type", type.value) for type in query.types]
    given += [("label", f"{key}={value}" if value else key) for key, value in query.labels.items()]
    for name, value in (
        ("name", query.name_part),
        ("idle_for_seconds", query.idle_for_seconds),
        ("older_than_seconds", query.older_than_seconds),
    ):
        given += [(name, value)] if value else []
    given += [("sort", query.sort), ("descending", str(query.descending).lower())]
    return f"syla/v1/workspaces?{urlencode(given)}"


def lists(seed: int) -> list[str]:
    """Those that are not of everybody, or of somebody else: a user sees his own."""
    return [address(query) for query in metadata.queries(seed) if query.owner == metadata.HEAVY]


async def _list(bench: Bench) -> Outcome:
    settings, owner = bench.application.settings, bench.application.registry().catalog.owner
    bench.application.store().close()
    metadata.fill(settings.data_dir / "workspaces.db", list(stored(owner))).close()
    slowest: dict[float, str] = {}
    seeds = itertools.count()

    async def percentile(server: Server, paths: Sequence[str]) -> float:
        """The 95th of a hundred."""
        times = []
        for path in paths:
            began = now_ms()
            await server.call("GET", path)
            times.append(now_ms() - began)
            slowest[times[-1]] = path
        return statistics.quantiles(times, n=20)[-1]

    async with serving(bench.lab, os.environ) as server:
        await bench.calm.wait(live=1)

        async def ours() -> float:
            return await percentile(server, [*lists(next(seeds)), *lists(next(seeds)), *lists(next(seeds))])

        async def least() -> float:
            return await percentile(server, ["api/status"] * 30)

        found = await server.call("GET", lists(0)[0])
        if found["total"] < 1000 or len(found["workspaces"]) != 100:
            raise RuntimeError(f"the list is not that of a hundred thousand: {found['total']} in all")
        samples = await interleave({OURS: ours, LEAST: least}, bench.n)
    worst = [f"{path}: {took:.0f} ms" for took, path in sorted(slowest.items(), reverse=True)[:5]]
    return Outcome(samples, extra={"workspaces": metadata.WORKSPACES, "slowest": worst})


LIST = Row(
    "rest_list",
    "95th percentile of a list over REST, of 100 000 workspaces",
    "ms",
    _list,
    baseline=LEAST,
)
