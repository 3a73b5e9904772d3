"""Records to test a store with, and what a list of them has to be: a plain scan, the shortest way to say it."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..metadata.base import PAGE_MAX, SORTS, Query, WorkspaceStore, name_key
from ..model.policy import Policy
from ..model.record import State, WorkspaceRecord, new_id
from ..model.workspace import DEFAULT_LIMITS, Network, WorkspaceType

NOW = 1_800_000_000.0
DAY = 86400.0
LIMITS = DEFAULT_LIMITS[WorkspaceType.SESSION]


def make_record(name: str = "project", /, **changes: Any) -> WorkspaceRecord:
    record = WorkspaceRecord(
        id=new_id(),
        owner="ana",
        name=name,
        type=WorkspaceType.SESSION,
        state=State.CREATED,
        template="python",
        limits=LIMITS,
        network=Network.NONE,
        policy=Policy(),
        files=Path("/srv/notebooks"),
        created_at=NOW,
        state_since=NOW,
        last_activity_at=NOW,
    )
    return dataclasses.replace(record, **changes)


def scan(records: Sequence[WorkspaceRecord], query: Query) -> list[WorkspaceRecord]:
    """All that the query asks for, in its order."""

    def wanted(r: WorkspaceRecord) -> bool:
        return (
            (query.owner is None or r.owner == query.owner)
            and (r.state in query.states if query.states else r.state is not State.DELETED)
            and (not query.types or r.type in query.types)
            and all(key in r.labels and value in ("", r.labels[key]) for key, value in query.labels.items())
            and name_key(query.name_part) in name_key(r.name)
            and (query.idle_for_seconds is None or query.now - r.last_activity_at >= query.idle_for_seconds)
            and (query.older_than_seconds is None or query.now - r.created_at >= query.older_than_seconds)
        )

    orders: dict[str, Callable[[WorkspaceRecord], Any]] = {
        "name": lambda r: (name_key(r.name), r.id),
        "created": lambda r: (r.created_at, r.id),
        "activity": lambda r: (r.last_activity_at, r.id),
        "size": lambda r: (r.disk_bytes, r.id),
    }
    return sorted(filter(wanted, records), key=orders[query.sort], reverse=query.descending)


def pages(store: WorkspaceStore, query: Query) -> Iterator[Sequence[WorkspaceRecord]]:
    while True:
        page = store.list(query)
        yield page.records
        if not page.next:
            return
        query = dataclasses.replace(query, after=page.next)


def listed(store: WorkspaceStore, query: Query) -> list[WorkspaceRecord]:
    return [record for page in pages(store, query) for record in page]


def some_records(chance: random.Random, count: int) -> Iterator[WorkspaceRecord]:
    words = ["alpha", "Beta", "straße", "数据", "50%_off", "a\\b", "x" * 60]
    for n in range(count):
        labels = {key: chance.choice("12") for key in ("course", "term", "a%") if chance.random() < 0.5}
        yield make_record(
            f"{chance.choice(words)}-{chance.choice(words)}-{n}",
            owner=chance.choice(("ana", "ben")),
            type=chance.choice(list(WorkspaceType)),
            state=chance.choice(list(State)),
            labels=labels,
            created_at=NOW - chance.randrange(5) * DAY,
            last_activity_at=NOW - chance.randrange(3) * DAY,
            disk_bytes=chance.choice((0, 5, 1 << 62)),
        )


def some_query(chance: random.Random) -> Query:
    def maybe(value: Any, otherwise: Any = None) -> Any:
        return value if chance.random() < 0.3 else otherwise

    return Query(
        owner=maybe(chance.choice(("ana", "ben", "carla"))),
        states=maybe(tuple(chance.sample(list(State), chance.randint(1, 3))), ()),
        types=maybe(tuple(chance.sample(list(WorkspaceType), chance.randint(1, 2))), ()),
        labels=maybe({key: chance.choice(("", "1", "3")) for key in chance.sample(("course", "term", "a%"), 2)}, {}),
        name_part=maybe(chance.choice(("ALPHA", "strasse-", "%", "_", "\\", "据", "-1")), ""),
        idle_for_seconds=maybe(chance.choice((0.0, DAY, 9 * DAY))),
        older_than_seconds=maybe(2 * DAY),
        now=NOW,
        sort=chance.choice(SORTS),
        descending=chance.random() < 0.5,
        limit=chance.choice((3, 10, PAGE_MAX)),
    )
