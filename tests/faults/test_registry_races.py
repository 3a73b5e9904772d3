"""Two servers and a command line on one database, fifty clients at one moment: where only one can win, one does.

Whoever loses is told why in time, and afterwards record, container, files and locks are of one mind. All verbs race on
real agents without containers, on SQLite and on PostgreSQL; once more on containers, with the real command line beside.
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from syla_jupyter import app
from syla_jupyter.config import load_settings
from syla_jupyter.model.errors import UnknownWorkspace
from syla_jupyter.model.record import State
from syla_jupyter.runtimes.base import LABEL_EXECUTION, LABEL_HOME, Runtime
from syla_jupyter.runtimes.rundir import KERNELS
from syla_jupyter.workspaces.registry import Registry
from syla_jupyter.workspaces.service import WorkspaceService

from ..installation import Installation
from ..postgres import NoPostgres, running_postgres
from .racer import RUNNING_MAX, without_containers

CLIENTS = 50
START_SECONDS = 120.0
HANG_SECONDS = 60.0  # no verb waits longer than that for its lock and the engine
REPOSITORY = Path(__file__).parents[2]
Call = tuple[str, str, dict[str, Any]]
numbers = itertools.count(1)


class Racer:
    """`racer.py` in a process of its own."""

    def __init__(self, *arguments: str, environ: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.racer", *arguments],
            env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=REPOSITORY,
        )  # fmt: skip
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, name="syla-racer", daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def tell(self, words: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(words) + "\n")

    def hear(self, seconds: float = HANG_SECONDS) -> Any:
        """What it says next; fails when it says nothing for so long that it hangs."""
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"a process says nothing for {seconds:g} s") from None
        assert line, f"a process ended with {self.process.wait(10)}"
        return json.loads(line)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True)
class Race:
    outcomes: list[tuple[str, dict[str, Any]]]
    """(verb, outcome) of each call."""
    changes: Counter[str]
    """How often each verb changed something, over all processes."""

    def of(self, verb: str) -> Counter[str]:
        """How often it gave what: a value, or the name of an error."""
        return Counter(str(one["ok"] if "ok" in one else one["error"]) for of, one in self.outcomes if of == verb)

    def won(self, verb: str) -> int:
        return sum("ok" in one for of, one in self.outcomes if of == verb)

    def lost(self, verb: str) -> set[str]:
        return {one["error"] for of, one in self.outcomes if of == verb and "error" in one}


@dataclass
class Field:
    """An installation, three processes that race on it, and our own view of it."""

    racers: Sequence[Racer]
    registry: Registry
    containers: WorkspaceService
    runtime: Runtime
    data_dir: Path
    run_dir: Path
    root: Path
    described: dict[str, Any]

    def create(self) -> str:
        """The id of a fresh workspace, with something in its files."""
        record = self.registry.create(f"w{next(numbers)}", root=self.root, **self.described)
        (record.files / "kept").write_text(record.id)
        return record.id

    def race(self, *calls: Call) -> Race:
        """All at once, dealt out over the processes; every one answers in time."""
        hands = [calls[number :: len(self.racers)] for number in range(len(self.racers))]
        at = time.monotonic() + 0.1
        for racer, hand in zip(self.racers, hands, strict=True):
            racer.tell({"calls": hand, "at": at})
        answers = [(racer.hear(), racer.hear())[1] for racer in self.racers]
        outcomes = [
            (call[0], outcome)
            for hand, answer in zip(hands, answers, strict=True)
            for call, outcome in zip(hand, answer["outcomes"], strict=True)
        ]
        assert max(outcome["seconds"] for _, outcome in outcomes) < HANG_SECONDS
        return Race(outcomes, Counter(verb for answer in answers for verb in answer["changes"]))

    def during(self, first: Call, step: str, *later: Call) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Outcomes of a verb that stays at a step until the later ones have been called, and of those."""
        self.racers[0].tell({"calls": [first], "hold": [first[0] if first[0] != "open" else "start", step]})
        assert self.racers[0].hear() == "held"
        for racer, call in zip(self.racers[1:], later, strict=False):
            racer.tell({"calls": [call]})
            assert racer.hear() == "calling"
        self.racers[0].tell("go on")
        outcome = self.racers[0].hear()["outcomes"][0]
        return outcome, [racer.hear()["outcomes"][0] for racer, _ in zip(self.racers[1:], later, strict=False)]

    def consistent(self) -> None:
        """Records, containers, run directories, files and locks are of one mind."""
        records = {record.id: record for record in self.registry.catalog.all()}
        wanted = {r.execution: r.state is State.SUSPENDED for r in records.values() if r.execution}

        def running() -> dict[str, bool]:
            found = self.runtime.find({LABEL_HOME: self.containers.home_label})
            return {c.labels[LABEL_EXECUTION]: c.frozen for c in found if c.running}

        assert running() == wanted
        runs = (
            {path.name for path in self.run_dir.iterdir() if path.name != KERNELS} if self.run_dir.is_dir() else set()
        )
        ours = {run for run in runs if (self.run_dir / run / "data_dir").read_text() == str(self.data_dir)}
        assert ours == set(wanted)
        for record in records.values():
            assert record.state is not State.DELETED
            assert record.files.exists() is (record.state is not State.ARCHIVED)
        names = {record.name for record in records.values() if record.state is not State.ARCHIVED}
        assert {path.name for path in listed(self.root / "workspaces") if not path.name.startswith(".")} == names
        assert {path.name for path in listed(self.data_dir / "homes")} <= records.keys()
        assert {path.name for path in listed(self.data_dir / "locks")} <= records.keys()

    def clear(self) -> None:
        for record in self.registry.catalog.all():
            self.registry.delete(record.id, confirmed=True)
        self.registry.detach()
        self.consistent()


def listed(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def field(request: pytest.FixtureRequest, session_dir: Path) -> Iterator[Field]:
    """Real agents, real databases, no containers."""
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="rr", dir=session_dir))
        (directory / "data").mkdir()
        database = f"sqlite:///{directory}/data/workspaces.db"
        if request.param == "postgresql":
            try:
                database = stack.enter_context(running_postgres()).make_database("races")
            except NoPostgres as exc:
                pytest.skip(str(exc))
        registry, containers = without_containers(directory, database)
        racers = [Racer("fake", str(directory), database, environ=dict(os.environ)) for _ in range(3)]
        for racer in racers:
            stack.callback(racer.close)
        made = Field(racers, registry, containers, containers._runtime, directory / "data", directory / "r", directory / "root", {})  # fmt: skip
        (directory / "root").mkdir()
        assert [racer.hear(START_SECONDS) for racer in racers] == ["ready"] * 3
        yield made
        made.clear()
        assert listed(directory / "engine") == [path for path in listed(directory / "engine") if path.suffix == ".home"]


@pytest.fixture(autouse=True)
def of_one_mind(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each race."""
    yield
    for name in ("field", "docker_field"):
        if name in request.fixturenames:
            request.getfixturevalue(name).consistent()


def many(verb: str, which: str, count: int = CLIENTS, **more: Any) -> list[Call]:
    return [(verb, which, more)] * count


def mixed(*kinds: list[Call]) -> list[Call]:
    """Of each kind in turn, so that every process has some of each."""
    return [call for row in itertools.zip_longest(*kinds) for call in row if call is not None]


def test_one_create_of_a_name_wins(field: Field) -> None:
    """Whatever the case; the others are told that the name is taken."""
    name = f"Proj{next(numbers)}"
    race = field.race(*many("create", name, 25), *many("create", name.upper(), 25))
    assert race.won("create") == race.changes["create"] == 1
    assert race.lost("create") == {"NameTaken"}


def test_all_who_open_one_workspace_get_one_container(field: Field) -> None:
    id = field.create()
    race = field.race(*many("open", id), ("finish", "", {}), ("reconcile", "", {}))
    assert race.won("open") == CLIENTS
    assert len(race.of("open")) == race.changes["start"] == 1
    field.registry.delete(id, confirmed=True)


def test_suspend_and_resume_at_once(field: Field) -> None:
    """Nobody is refused, nobody hangs, and the container is the same one."""
    id = field.create()
    execution = field.registry.open(id).run.id
    race = field.race(
        *mixed(many("suspend", id, 25), many("resume", id, 25)), ("finish", "", {}), ("reconcile", "", {})
    )
    assert race.won("suspend") == race.won("resume") == 25
    assert set(race.of("resume")) <= {"running", "thawed"}
    assert 0 <= race.changes["suspend"] - race.changes["resume"] <= 1
    assert race.of("resume")["thawed"] == race.changes["resume"]
    live = field.registry.open(id)
    assert live.run.id == execution
    assert live.agent.call("usage")["kernels"] == 0
    field.registry.delete(id, confirmed=True)


def test_stops_among_opens(field: Field) -> None:
    """Each stop ends the container that there is, each open makes one or takes the one there is."""
    id = field.create()
    race = field.race(*mixed(many("stop", id, 3), many("open", id, 47)))
    assert race.won("stop") == 3
    assert race.won("open") == 47
    assert len(race.of("open")) == race.changes["start"]
    assert race.changes["start"] <= race.changes["stop"] + 1
    field.registry.delete(id, confirmed=True)


def test_of_those_who_decided_on_one_version_one_wins(field: Field) -> None:
    id = field.create()
    field.registry.open(id)
    version = field.registry.catalog.get(id).version
    race = field.race(*many("change", id, labels={"a": "b"}, version=version))
    assert race.won("change") == race.changes["change"] == 1
    assert race.lost("change") == {"Conflict"}
    assert field.registry.catalog.get(id).version == version + 1
    field.registry.delete(id, confirmed=True)


def test_a_touch_is_never_lost(field: Field) -> None:
    """Verbs that decide nothing all win: one after the other."""
    id = field.create()
    version = field.registry.catalog.get(id).version
    race = field.race(*many("touch", id, seconds=60.0))
    assert race.won("touch") == CLIENTS
    assert field.registry.catalog.get(id).version == version + CLIENTS


def test_archive_against_open(field: Field) -> None:
    """It is archived once and stays so; who comes before that has a container until then, who comes later is refused."""
    id = field.create()
    race = field.race(*mixed(many("archive", id, 25), many("open", id, 25)))
    assert race.won("archive") == 25
    assert race.changes["archive"] == 1
    assert race.changes["start"] <= 1
    assert race.lost("open") <= {"WrongState"}
    assert field.registry.catalog.get(id).state is State.ARCHIVED


def test_recover_against_delete(field: Field) -> None:
    """Unasked only an archived one is deleted: either it comes back for all, or it is gone for all."""
    id = field.create()
    field.registry.archive(id)
    race = field.race(*mixed(many("recover", id, 25), many("delete", id, 25)))
    if race.won("delete"):
        assert race.won("delete") == 1
        assert race.won("recover") == 0
        assert race.lost("recover") | race.lost("delete") == {"UnknownWorkspace"}
    else:
        assert race.won("recover") == 25
        assert race.changes["recover"] == 1
        assert race.lost("delete") == {"NotConfirmed"}
        record = field.registry.catalog.get(id)
        assert (record.files / "kept").read_text() == id


def test_one_delete_wins_and_the_name_is_free(field: Field) -> None:
    """Against opens, suspends and other deletes; whoever is late is told that there is no such workspace."""
    id = field.create()
    record = field.registry.catalog.get(id)
    field.registry.open(id)
    race = field.race(
        *mixed(many("delete", id, 20, confirmed=True), many("open", id, 15), many("suspend", id, 15))
    )  # fmt: skip
    assert race.won("delete") == race.changes["delete"] == 1
    for verb in ("delete", "open", "suspend"):
        assert race.lost(verb) <= {"UnknownWorkspace"}
    with pytest.raises(UnknownWorkspace):
        field.registry.catalog.get(id)
    again = field.registry.create(record.name, root=field.root)
    assert again.id != id
    assert not (again.files / "kept").exists()


def test_as_many_run_as_may(field: Field) -> None:
    """Of twelve workspaces that are opened at once so many get a container as the quota has room for."""
    ids = [field.create() for _ in range(12)]
    race = field.race(*[("open", id, {}) for id in ids])
    assert race.won("open") == race.changes["start"] == RUNNING_MAX
    assert race.lost("open") == {"InsufficientResources"}
    for id in ids:
        field.registry.delete(id, confirmed=True)


# (verb, its step, what is called meanwhile, what that gives, the state afterwards); None: there is no such workspace.
DURING: list[tuple[str, str, str, str, State | None]] = [
    ("suspend", "frozen", "resume", "thawed", State.ACTIVE),
    ("suspend", "frozen", "delete", "None", None),
    ("suspend", "record", "stop", "suspended", State.SUSPENDED),
    ("resume", "thawed", "suspend", "suspended", State.SUSPENDED),
    ("resume", "thawed", "resume", "running", State.ACTIVE),
    ("open", "container", "archive", "archived", State.ARCHIVED),
    ("open", "container", "delete", "None", None),
    ("open", "record", "suspend", "suspended", State.SUSPENDED),
    ("stop", "record", "resume", "restarted", State.ACTIVE),
    ("archive", "record", "open", "WrongState", State.ARCHIVED),
    ("archive", "container", "delete", "None", None),
    ("recover", "files", "delete", "NotConfirmed", State.SUSPENDED),
    ("delete", "record", "open", "UnknownWorkspace", None),
    ("delete", "files", "suspend", "UnknownWorkspace", None),
]
BEFORE: dict[str, Sequence[str]] = {
    "open": (), "suspend": ("open",), "resume": ("open", "suspend"), "stop": ("open",), "archive": ("open",),
    "recover": ("archive",), "delete": ("open",),
}  # fmt: skip


@pytest.mark.parametrize(("verb", "step", "meanwhile", "given", "state"), DURING)
def test_one_verb_during_another(
    verb: str, step: str, meanwhile: str, given: str, state: State | None, field: Field
) -> None:
    """Another process asks in the middle of it, waits for its end, and gets what is right after that."""
    id = field.create()
    for before in BEFORE[verb]:
        getattr(field.registry, before)(id)
    confirmed = {"confirmed": True} if verb != "recover" else {}
    more = {"delete": confirmed}
    first, (second,) = field.during((verb, id, more.get(verb, {})), step, (meanwhile, id, more.get(meanwhile, {})))
    assert "ok" in first, first
    assert str(second["ok"] if "ok" in second else second["error"]) == given, second
    if state is None:
        with pytest.raises(UnknownWorkspace):
            field.registry.catalog.get(id)
        return
    record = field.registry.catalog.get(id)
    assert record.state is state
    if state is not State.ARCHIVED:
        assert (record.files / "kept").read_text() == id
    field.consistent()
    field.registry.delete(id, confirmed=True)


# -- on containers -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def docker_field(engine: Any, session_dir: Path) -> Iterator[Field]:
    """The same with Docker, in an installation that the command line finds by `SYLA_HOME`."""
    directory = Path(tempfile.mkdtemp(prefix="rd", dir=session_dir))
    environ = {**os.environ, "SYLA_HOME": str(directory / "data")}
    installation = Installation(directory / "data", engine)
    application = app.build(load_settings(None, environ), environ)
    with ExitStack() as stack:
        racers = [Racer("docker", str(directory), "", environ=environ) for _ in range(2)]
        for racer in racers:
            stack.callback(racer.close)
        (directory / "root").mkdir()
        made = Field(
            racers, application.registry(), application.service, application.runtime,
            application.settings.data_dir, application.settings.run_dir, directory / "root", {"template": "bash"},
        )  # fmt: skip
        assert [racer.hear(START_SECONDS) for racer in racers] == ["ready"] * 2
        yield made
        made.clear()
    application.store().close()
    installation.assert_nothing_left()


Running = list["Future[subprocess.CompletedProcess[str]]"]


def beside(field: Field, *commands: Sequence[str]) -> Running:
    """`syla workspace …` for each, at once."""
    environ = {**os.environ, "SYLA_HOME": str(field.data_dir)}

    def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "syla_jupyter.cli.main", "workspace", *command],
            env=environ, cwd=field.root, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    with_threads = ThreadPoolExecutor(len(commands))
    running = [with_threads.submit(run, command) for command in commands]
    with_threads.shutdown(wait=False)
    return running


def said(running: Running) -> list[tuple[int, str]]:
    """(exit code, complaint) of each."""
    return [(one.result().returncode, one.result().stderr) for one in running]


def test_with_containers_and_the_command_line(docker_field: Field) -> None:
    """One life: made once, opened once, frozen and thawed by everybody, archived once, deleted once."""
    field, name = docker_field, f"w{next(numbers)}"
    made = field.race(*many("create", name))
    assert made.won("create") == made.changes["create"] == 1
    (id,) = [outcome["ok"] for _, outcome in made.outcomes if "ok" in outcome]

    opened = field.race(*many("open", id))
    assert opened.won("open") == CLIENTS
    assert len(opened.of("open")) == opened.changes["start"] == 1
    field.consistent()

    commands = beside(field, ["suspend", name], ["touch", name], ["suspend", name])
    while not all(one.done() for one in commands):
        thawed = field.race(*mixed(many("suspend", id, 5), many("resume", id, 5)), ("reconcile", "", {}))
        assert thawed.won("suspend") == thawed.won("resume") == 5
    assert said(commands) == [(0, "")] * 3
    field.consistent()
    assert [*opened.of("open")] == [field.registry.open(id).run.id]

    commands = beside(field, ["archive", name], ["archive", name])
    archived = field.race(*mixed(many("archive", id, 12), many("open", id, 13)))
    assert archived.won("archive") == 12
    assert archived.lost("open") <= {"WrongState"}
    assert said(commands) == [(0, "")] * 2
    field.consistent()

    commands = beside(field, ["delete", "--force", name], ["delete", "--force", name])
    deleted = field.race(*many("delete", id))
    codes = [code for code, _ in said(commands)]
    assert deleted.won("delete") + codes.count(0) == 1
    assert deleted.lost("delete") <= {"UnknownWorkspace"}
    assert set(codes) <= {0, UnknownWorkspace.exit_code}


def test_one_verb_during_another_with_containers(docker_field: Field) -> None:
    field = docker_field
    id = field.create()
    field.registry.open(id)
    _, (thawed,) = field.during(("suspend", id, {}), "frozen", ("resume", id, {}))
    assert thawed["ok"] == "thawed"
    assert field.registry.open(id).agent.call("usage")["kernels"] == 0
    first, (second,) = field.during(("suspend", id, {}), "frozen", ("delete", id, {"confirmed": True}))
    assert (first["ok"], second["ok"]) == ("suspended", None)
