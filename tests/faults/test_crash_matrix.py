"""kill -9 at every numbered step of every verb: what the next process does leaves nothing lost and nothing over."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syla_jupyter.model.errors import UnknownWorkspace
from syla_jupyter.model.record import State, WorkspaceRecord
from syla_jupyter.workspaces.registry import STEPS, Registry

from ..hostile.conftest import Host, wait_until
from .conftest import links, records, runs

CLIENT = Path(__file__).parent / "verb_client.py"
CELLS = [(verb, step) for verb, steps in STEPS.items() for step in steps]
numbers = itertools.count(1)

# verb -> (what is done before it, states it may be left in, the state once it is done again)
PLAN: dict[str, tuple[tuple[str, ...], set[State], State | None]] = {
    "create": ((), {State.CREATED}, State.CREATED),
    "claim": (("ready",), {State.CREATED}, State.ACTIVE),
    "start": ((), {State.CREATED, State.ACTIVE}, State.ACTIVE),
    "suspend": (("open",), {State.ACTIVE, State.SUSPENDED}, State.SUSPENDED),
    "resume": (("open", "suspend"), {State.ACTIVE, State.SUSPENDED}, State.ACTIVE),
    "stop": (("open",), {State.SUSPENDED}, State.SUSPENDED),
    "archive": (("open",), {State.ACTIVE, State.ARCHIVED}, State.ARCHIVED),
    "recover": (("open", "archive"), {State.ARCHIVED, State.SUSPENDED}, State.SUSPENDED),
    "restore": (("open", "take"), {State.ACTIVE, State.SUSPENDED}, State.SUSPENDED),
    "delete": (("open",), {State.DELETED}, None),
}


def test_every_step_has_a_cell() -> None:
    """A verb that is new, or a state it is left in, has to be said here."""
    assert set(PLAN) == set(STEPS)
    assert len(CELLS) == len(set(CELLS)) == sum(len(steps) for steps in STEPS.values())


@pytest.fixture
def registry(hostile_host: Host) -> Iterator[Registry]:
    yield hostile_host.app.registry()
    for record in hostile_host.app.registry().catalog.all():
        hostile_host.app.registry().delete(record.id, confirmed=True)


def again(registry: Registry, verb: str, name: str, root: Path) -> None:
    id = registry.catalog.get(name).id if verb != "create" else ""
    if verb == "create":
        registry.catalog.get(name)  # it is there, or the user would be told to create it
    elif verb in ("claim", "start", "resume"):
        registry.open(id)
    elif verb == "stop":
        registry.suspend(id, stop=True)
    elif verb == "delete":
        registry.delete(id, confirmed=True)
    elif verb == "restore":
        registry.rewind(id, 1, author="ann")
    else:
        getattr(registry, verb)(id)


def kept(record: WorkspaceRecord, host: Host, marks: bool) -> None:
    """Files and home are here with what was in them, or all of it is in the store and nothing here."""
    if not marks:
        return
    home = host.app.settings.data_dir / "homes" / record.id
    archived = record.files.parent / ".archived" / record.id
    assert not archived.exists()
    if record.state is State.ARCHIVED:
        assert not record.files.exists()
        assert not home.exists()
        assert host.app.versions().verify(record.id, data=True).ok
    else:
        assert (record.files / "kept").read_text() == "files"
        assert (home / "kept").read_text() == "home"


def told(host: Host, id: str, verb: str) -> int:
    """How often it is written down that this was done with it."""
    return sum(row.action == verb for row in host.app.chronicle().store().page(id))


def says_so(verb: str, step: str) -> int:
    """Once what the verb does is in the database, its line is: of a deletion at the end, when the record goes."""
    steps = STEPS[verb]
    begins = "forgotten" if verb == "delete" else "record"
    return int(begins in steps and steps.index(step) >= steps.index(begins) and verb != "restore")


def ready(host: Host, id: str) -> None:
    """One for that workspace is in the pool."""
    registry = host.app.registry()
    record = registry.catalog.get(id)
    key, description = host.service._recipe.key(record.spec(registry._places.home(record)))
    host.app.pool.want(key, description)
    host.service.fill_pool(json.loads(json.dumps(description, default=str)), key)


def consistent(host: Host) -> None:
    """Containers and run directories are those that records name, and a record that names one has it.

    A claim counts as changing hands for some seconds; `reconcile` removes what it was for after that.
    """
    executions = set(host.app.store().executions())

    def settled() -> bool:
        if records(host):
            host.service.reconcile()
        return not records(host)

    wait_until(settled, 30, "no record of the pool left")
    wait_until(lambda: len(host.containers()) == len(executions), 30, "as many containers as records name")
    assert sorted(runs(host)) == sorted(executions)
    assert not executions or links(host) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can attach a home to a container that runs")
@pytest.mark.parametrize("step", STEPS["start"])
def test_killed_at_a_start_from_the_pool(step: str, registry: Registry, hostile_host: Host) -> None:
    """As below, with a container that was ready."""
    killed_at("start", step, ("ready",), registry, hostile_host)


@pytest.mark.parametrize(("verb", "step"), CELLS)
def test_killed_at(verb: str, step: str, registry: Registry, hostile_host: Host) -> None:
    if verb == "claim" and os.geteuid() != 0:
        pytest.skip("only root can attach a home to a container that runs")
    killed_at(verb, step, PLAN[verb][0], registry, hostile_host)


def killed_at(verb: str, step: str, before: tuple[str, ...], registry: Registry, host: Host) -> None:
    name = f"w{next(numbers)}"
    _, allowed, finally_ = PLAN[verb]
    files = host.root / "workspaces" / name
    made: Any = None
    if verb != "create":
        made = registry.create(name, root=host.root)
        (files / "kept").write_text("files")
        home = host.app.settings.data_dir / "homes" / made.id
        home.mkdir(parents=True)
        (home / "kept").write_text("home")
        for one in before:
            if one == "ready":
                ready(host, made.id)
            elif one == "take":
                host.app.versions().take(made.id, author="ann")
            else:
                getattr(registry, one)(made.id)
    environ = {**host.environ, "SYLA_HOME": str(host.app.settings.data_dir), "TEST_RUN_DIR": str(host.run_dir)}
    done = subprocess.run(
        [sys.executable, str(CLIENT), verb, step, name], env=environ, cwd=host.root, capture_output=True, timeout=150
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]

    id = made.id if made is not None else registry.catalog.get(name).id
    assert told(host, id, verb) == says_so(verb, step)
    registry.finish()
    host.service.reconcile()
    consistent(host)
    try:
        record = registry.catalog.get(name)
    except UnknownWorkspace:
        assert verb == "delete"
        assert told(host, made.id, verb) == 1
        assert not files.exists()
        assert os.listdir(host.app.settings.data_dir / "homes") == []
        assert registry.create(name, root=host.root).state is State.CREATED  # the name is free
        return
    assert record.state in allowed
    kept(record, host, made is not None)
    again(registry, verb, name, host.root)
    if finally_ is not None:
        record = registry.catalog.get(name)
        assert record.state is finally_
        kept(record, host, made is not None)
    registry.finish()
    host.service.reconcile()
    consistent(host)
