"""Two servers and a command line on one database, fifty clients at one moment: where only one can win, one does.

Whoever loses is told why in time, and afterwards record, container, files and locks are of one mind. All verbs race on
real agents without containers, on SQLite and on PostgreSQL; once more on containers, with the real command line beside.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from syla_jupyter import app
from syla_jupyter.config import load_settings
from syla_jupyter.model.errors import UnknownWorkspace
from syla_jupyter.model.record import State

from ..installation import NOTHING_READY, Installation
from ..postgres import NoPostgres, running_postgres
from .racer import RUNNING_MAX, without_containers
from .races import Call, Field, Racer, listed, numbers

CLIENTS = 50
START_SECONDS = 120.0


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
    application = app.build(load_settings(NOTHING_READY, environ), environ)
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
