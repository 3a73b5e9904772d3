"""The metadata of 100 000 workspaces: a page of a list, and a minute's sweep of the policies.

Beside them the least that could do the same: the records in a list of one Python process, filtered, sorted and cut,
with nothing stored, shared or locked. It is where a database's price shows, and where its indexes do.
"""

from __future__ import annotations

import functools
import gc
import heapq
import itertools
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from syla_jupyter.metadata import base
from syla_jupyter.metadata.base import DUE_MAX, Look, Query
from syla_jupyter.metadata.encoding import to_row
from syla_jupyter.metadata.sql import SqlStore, open_store
from syla_jupyter.metadata.sql_engine import WRITES, make_engine
from syla_jupyter.metadata.tables import workspace, workspace_label, workspace_look
from syla_jupyter.model.policy import DEFAULT_POLICIES
from syla_jupyter.model.record import State, WorkspaceRecord
from syla_jupyter.model.workspace import DEFAULT_LIMITS, Network, WorkspaceType

from ..client import now_ms
from ..measure import Bench, interleave
from ..model import OURS, Outcome, Row, Target

WORKSPACES = 100_000
NOW = 1_800_000_000.0
DAY = 86400.0
HEAVY, OWNERS = "ana", 200
"""One owner has half of all, the others share the rest."""
DUE_SHARE = 0.02
"""Of all workspaces, the part that a minute's sweep has to look at."""
PAGE_TARGET_MS, SWEEP_TARGET_MS = 20, 1000
LIST = "Python list"
BATCH = 5000
_CORPORA = ("stat", "bio", "phys", "chem", "math")


name_key = functools.cache(base.name_key)


def records(count: int) -> Iterator[WorkspaceRecord]:
    """The same ones every time: common and rare states, types, labels and names."""
    chance = random.Random(1)
    states = list(State)[:4]
    for n in range(count):
        type_ = chance.choice([WorkspaceType.SESSION, WorkspaceType.PERSISTENT, WorkspaceType.COLLABORATIVE])
        state = chance.choices(states, (10, 2, 38, 50))[0]
        created = NOW - chance.uniform(0, 700) * DAY
        labels = {"course": f"{chance.choice(_CORPORA)}-{chance.randrange(100)}", "term": chance.choice(("w", "s"))}
        if chance.random() < 0.001:
            labels["paper"] = "yes"
        yield WorkspaceRecord(
            id=f"{n:012x}",
            owner=HEAVY if chance.random() < 0.5 else f"user-{chance.randrange(OWNERS)}",
            name=f"{chance.choice(_CORPORA)}-project-{chance.randrange(10**6)}-{n}",
            type=type_,
            state=state,
            template="python",
            limits=DEFAULT_LIMITS[type_],
            network=Network.NONE,
            policy=DEFAULT_POLICIES[type_],
            files=Path(f"/srv/notebooks/workspaces/{n}"),
            created_at=created,
            state_since=created,
            last_activity_at=chance.uniform(created, NOW),
            labels=labels,
            execution=f"{n:08x}" if state is State.ACTIVE else "",
            reason="in use",
            disk_bytes=chance.randrange(10**10),
            version=1,
        )


def queries(seed: int) -> list[Query]:
    """What lists are asked for: of one owner or of all, by each filter and order, common and rare."""
    chance = random.Random(seed)
    owners: list[str | None] = [HEAVY, f"user-{chance.randrange(OWNERS)}", None]
    filters: list[dict[str, Any]] = [
        {},
        {"states": (State.ACTIVE,)},
        {"states": (State.CREATED, State.SUSPENDED), "types": (WorkspaceType.PERSISTENT,)},
        {"labels": {"course": f"bio-{chance.randrange(100)}"}},
        {"labels": {"term": "w"}},
        {"labels": {"paper": ""}, "states": (State.ARCHIVED,)},
        {"name_part": f"project-{chance.randrange(10**5)}"},
        {"name_part": "PHYS"},
        {"idle_for_seconds": 600 * DAY, "now": NOW},
        {"older_than_seconds": 30 * DAY, "now": NOW, "types": (WorkspaceType.SESSION,)},
    ]
    orders: list[dict[str, Any]] = [
        {"sort": sort, "descending": descending}
        for sort, descending in (("name", False), ("created", True), ("activity", True), ("size", True))
    ]
    return [
        Query(owner=owner, **filter_, **chance.choice(orders)) for owner, filter_ in itertools.product(owners, filters)
    ]


def scan(rows: Sequence[WorkspaceRecord], query: Query) -> list[WorkspaceRecord]:
    """The page of a plain list."""
    part = name_key(query.name_part)

    def wanted(r: WorkspaceRecord) -> bool:
        return (
            (query.owner is None or r.owner == query.owner)
            and (r.state in query.states if query.states else r.state is not State.DELETED)
            and (not query.types or r.type in query.types)
            and all(value in ("", r.labels[key]) if key in r.labels else False for key, value in query.labels.items())
            and (not part or part in name_key(r.name))
            and (query.idle_for_seconds is None or query.now - r.last_activity_at >= query.idle_for_seconds)
            and (query.older_than_seconds is None or query.now - r.created_at >= query.older_than_seconds)
        )

    keys: dict[str, Callable[[WorkspaceRecord], Any]] = {
        "name": lambda r: (name_key(r.name), r.id),
        "created": attrgetter("created_at", "id"),
        "activity": attrgetter("last_activity_at", "id"),
        "size": attrgetter("disk_bytes", "id"),
    }
    pick = heapq.nlargest if query.descending else heapq.nsmallest
    return pick(query.limit, filter(wanted, rows), keys[query.sort])


def fill(database: str | Path, rows: Sequence[WorkspaceRecord]) -> SqlStore:
    """A store with these records, put in by the table: one by one would take minutes."""
    store = open_store(database)
    engine = make_engine(database)
    with engine.connect().execution_options(**{WRITES: True}) as conn, conn.begin():
        for some in batched(rows):
            conn.execute(insert(workspace), [to_row(row) for row in some])
            looks = [{"workspace_id": r.id, "version": r.version, "next_look": NOW + 60} for r in some]
            conn.execute(insert(workspace_look), looks)
            labels = [{"workspace_id": r.id, "key": k, "value": v} for r in some for k, v in r.labels.items()]
            conn.execute(insert(workspace_label), labels)
    engine.dispose()
    return store


def batched(rows: Sequence[WorkspaceRecord]) -> Iterator[Sequence[WorkspaceRecord]]:
    for begin in range(0, len(rows), BATCH):
        yield rows[begin : begin + BATCH]


def _filled(bench: Bench, name: str) -> tuple[SqlStore, list[WorkspaceRecord]]:
    rows = list(records(WORKSPACES))
    store = fill(bench.lab / name, rows)
    gc.collect()
    gc.freeze()  # the list is no part of the store's process
    return store, rows


async def _page(bench: Bench) -> Outcome:
    store, rows = _filled(bench, "page.db")
    slowest: dict[float, str] = {}

    def percentile(seed: int, page: Callable[[Query], Sequence[WorkspaceRecord]], noted: bool) -> float:
        """The 95th of a hundred, of the times that each of many different lists takes."""
        times = []
        for query in queries(seed):
            begin = now_ms()
            page(query)
            times.append(now_ms() - begin)
            if noted:
                slowest[times[-1]] = _words(query)
        return statistics.quantiles(times, n=20)[-1]

    for query in queries(0):
        if [r.id for r in store.list(query).records] != [r.id for r in scan(rows, query)]:
            raise RuntimeError(f"the list is wrong: {query}")
    seeds = {OURS: itertools.count(), LIST: itertools.count()}

    async def ours() -> float:
        return percentile(next(seeds[OURS]), lambda query: store.list(query).records, True)

    async def scanned() -> float:
        return percentile(next(seeds[LIST]), lambda query: scan(rows, query), False)

    samples = await interleave({OURS: ours, LIST: scanned}, bench.n)
    store.close()
    worst = [f"{words}: {took:.0f} ms" for took, words in sorted(slowest.items(), reverse=True)[:5]]
    median = statistics.median(slowest)
    return Outcome(samples, extra={"workspaces": WORKSPACES, "median_page_ms": round(median, 3), "slowest": worst})


def _words(query: Query) -> str:
    said = {name: value for name, value in vars(query).items() if value and name not in ("limit", "now")}
    return ", ".join(f"{name} {value}" for name, value in said.items())


async def _sweep(bench: Bench) -> Outcome:
    store, rows = _filled(bench, "sweep.db")
    planned = {row.id: NOW + 60 for row in rows}
    by_id = {row.id: row for row in rows}
    chance = random.Random(3)

    def plan(count: int) -> None:
        late = chance.sample(rows, count)
        planned.update((row.id, NOW - 1) for row in late)
        for some in batched(late):
            store.plan_look(Look(row.id, row.version, NOW - 1) for row in some)

    def sweep() -> float:
        begin = now_ms()
        while due := store.due(NOW):
            store.plan_look(Look(row.id, row.version, NOW + 60) for row in due)
            if len(due) < DUE_MAX:
                break
        return now_ms() - begin

    async def ours() -> float:
        plan(int(WORKSPACES * DUE_SHARE))
        return sweep()

    async def scanned() -> float:
        plan(int(WORKSPACES * DUE_SHARE))
        begin = now_ms()
        due = [by_id[id] for id, at in planned.items() if at < NOW and by_id[id].state is not State.DELETED]
        planned.update((row.id, NOW + 60) for row in due)
        took = now_ms() - begin
        sweep()
        return took

    samples = await interleave({OURS: ours, LIST: scanned}, bench.n)
    plan(WORKSPACES)
    everything = sweep()
    store.close()
    extra = {"workspaces": WORKSPACES, "due": int(WORKSPACES * DUE_SHARE), "all_due_ms": round(everything, 3)}
    return Outcome(samples, extra=extra)


def _at_most(milliseconds: int) -> Target:
    def met(medians: Mapping[str, float], _extra: Mapping[str, Any]) -> bool:
        return medians[OURS] <= milliseconds

    return Target(f"≤ {milliseconds} ms", met)


PAGE = Row(
    "metadata_page",
    "95th percentile of a filtered page, of 100 000 workspaces",
    "ms",
    _page,
    _at_most(PAGE_TARGET_MS),
    baseline=LIST,
)
SWEEP = Row(
    "metadata_sweep",
    "which of 100 000 workspaces a policy acts on, and when to look again; 2 000 are due",
    "ms",
    _sweep,
    _at_most(SWEEP_TARGET_MS),
    baseline=LIST,
)
