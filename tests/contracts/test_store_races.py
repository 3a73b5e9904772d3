"""Fifty clients, in processes and threads of their own, race for one database: of each thing exactly one wins."""

from __future__ import annotations

import dataclasses
import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from syla_jupyter.metadata.base import Allocation, Query, WorkspaceStore
from syla_jupyter.metadata.sql import open_store
from syla_jupyter.model.errors import InsufficientResources, SylaError
from syla_jupyter.model.record import State
from syla_jupyter.testing.records import NOW, listed, make_record

PROCESSES, THREADS = 10, 5
CLIENTS = PROCESSES * THREADS
PLACES = 3
"""How many may be active at once, in the race for admission."""
WAIT_SECONDS = 120

Race = Callable[[WorkspaceStore, int], bool]


def make_it(store: WorkspaceStore, client: int) -> bool:
    store.insert(make_record("Contested" if client % 2 else "CONTESTED", labels={"client": str(client)}))
    return True


def change_it(store: WorkspaceStore, client: int) -> bool:
    stored = store.replace(make_record("changed", id="0" * 12, version=1, reason=str(client)))
    return stored.version == 2


def remove_it(store: WorkspaceStore, client: int) -> bool:
    return store.remove("1" * 12, 1)


def change_or_remove_it(store: WorkspaceStore, client: int) -> bool:
    if client % 2:
        return store.remove("2" * 12, 1)
    store.replace(make_record("changed or removed", id="2" * 12, version=1))
    return True


def be_admitted(store: WorkspaceStore, client: int) -> bool:
    def admit(held: Sequence[Allocation]) -> None:
        if sum(allocation.workspaces for allocation in held) >= PLACES:
            raise InsufficientResources("all places are taken")

    record = store.insert(make_record(f"own-{client}"))
    store.replace(dataclasses.replace(record, state=State.ACTIVE), admit=admit)
    return True


RACES: list[tuple[Race, int, set[str]]] = [
    (make_it, 1, {"name_taken"}),
    (change_it, 1, {"conflict"}),
    (remove_it, 1, {"lost"}),
    (change_or_remove_it, 1, {"conflict", "unknown_workspace", "lost"}),
    (be_admitted, PLACES, {"insufficient_resources"}),
]
"""With how many winners each has, and what the others are told."""


def compete(database: str | Path, number: int, opening: Any, start: Any, results: Any) -> None:
    """One process: a store, and threads that all begin each race together with those of the other processes.

    The first race is for the database: it is empty when all open it.
    """
    opening.wait(WAIT_SECONDS)
    store = open_store(database)

    def client(index: int) -> None:
        if index == 0:
            for n in range(3):
                store.insert(make_record(f"n{n}", id=str(n) * 12, labels={"a": "b"}))
        for race, _, _ in RACES:
            start.wait(WAIT_SECONDS)
            try:
                outcome = "won" if race(store, index) else "lost"
            except SylaError as exc:
                outcome = exc.code if exc.code != "store_failed" else str(exc)
            except BaseException as exc:
                outcome = repr(exc)
            results.put((race.__name__, outcome))

    threads = [threading.Thread(target=client, args=(number * THREADS + n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()


def run_races(database: str | Path) -> None:
    with_context = multiprocessing.get_context("forkserver")
    with_context.set_forkserver_preload(["tests.contracts.test_store_races"])
    shared = (with_context.Barrier(PROCESSES), with_context.Barrier(CLIENTS), with_context.Queue())
    processes = [with_context.Process(target=compete, args=(database, n, *shared)) for n in range(PROCESSES)]
    try:
        for process in processes:
            process.start()
        outcomes: dict[str, Counter[str]] = {race.__name__: Counter() for race, _, _ in RACES}
        for _ in range(CLIENTS * len(RACES)):
            name, outcome = shared[-1].get(timeout=WAIT_SECONDS)
            outcomes[name][outcome] += 1
        for process in processes:
            process.join(WAIT_SECONDS)
        assert [process.exitcode for process in processes] == [0] * PROCESSES
    finally:
        for process in processes:
            process.kill()
    for race, winners, told in RACES:
        found = outcomes[race.__name__]
        assert found.pop("won") == winners, (race.__name__, found)
        assert set(found) <= told, (race.__name__, found)
        assert found.total() == CLIENTS - winners
    store = open_store(database)
    assert store.get("0" * 12).version == 2
    assert store.find("ana", "contested") is not None
    assert sum(allocation.workspaces for allocation in store.allocations()) == PLACES
    everything = {record.id for record in listed(store, Query())}
    assert len(everything) in (CLIENTS + 2, CLIENTS + 3)
    assert {record.id for record in store.due(NOW)} == everything
    assert store.list(Query(labels={"client": ""})).total == 1
    store.close()


def test_sqlite(tmp_path: Path) -> None:
    run_races(tmp_path / "syla.db")


def test_postgres(new_database: Callable[[], str]) -> None:
    run_races(new_database())
