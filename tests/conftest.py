"""What all tests share: an installation of their own, and the proof that nothing of it is left afterwards.

Every test runs with a `SYLA_HOME` and Jupyter directories that are made for the session. The engine is only asked for
by tests that name `engine` or a fixture built on it; without one these fail, they do not skip.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import docker
import pytest

from syla_jupyter.runtimes.docker_errors import translate
from syla_jupyter.testing.seaweed import NoSeaweed, Seaweed, running_seaweed

from .installation import Installation
from .lab import Lab, running_lab

DESCRIBED: pytest.StashKey[list[Any]] = pytest.StashKey()
"""Whatever has a `describe()` for the report of a failed test."""
OURS = ("SYLA_MEMORY", "SYLA_CPUS", "SYLA_MOUNT", "SYLA_WORKSPACE", "SYLA_SERVER", "SYLA_TOKEN")
JUPYTERS = ("JUPYTER_PATH", "JUPYTER_CONFIG_PATH", "JUPYTER_DEFAULT_PROVISIONER_NAME", "JPY_PARENT_PID")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[DESCRIBED] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for described in item.config.stash[DESCRIBED]:
            try:
                report.sections.append((f"state of {type(described).__name__}", described.describe()))
            except Exception as exc:  # must not hide the failure it was to explain
                report.sections.append(("no state", repr(exc)))
    return report


@pytest.fixture(scope="session", autouse=True)
def session_dir() -> Iterator[Path]:
    """A short path: sockets are somewhere below."""
    directory = Path(tempfile.mkdtemp(prefix="syla-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def syla_home(session_dir: Path) -> Iterator[Path]:
    """The environment of all tests and of what they start names directories of ours only."""
    with pytest.MonkeyPatch.context() as patch:
        for name in OURS + JUPYTERS:
            patch.delenv(name, raising=False)
        patch.setenv("SYLA_HOME", str(session_dir / "home"))
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(session_dir / name.lower()))
        patch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        yield session_dir / "home"


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """The engine's SDK."""
    try:
        client = docker.from_env()
        client.ping()
    except Exception as exc:
        pytest.fail(f"tests with containers need a Docker engine: {translate(exc, doing='run tests')}", pytrace=False)
    yield client
    client.close()


@pytest.fixture(scope="session")
def seaweed() -> Iterator[Seaweed]:
    """A real S3 server: `seaweed.make_bucket(name)` gives an address."""
    try:
        with running_seaweed() as server:
            yield server
    except NoSeaweed as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="session")
def installation(engine: Any, syla_home: Path, request: pytest.FixtureRequest) -> Iterator[Installation]:
    """The session's installation; when the session ends, nothing of it is left."""
    made = Installation(syla_home, engine)
    request.config.stash[DESCRIBED].append(made)
    yield made
    made.drain()
    made.assert_nothing_left()


@pytest.fixture
def idle_after(installation: Installation) -> Iterator[Installation]:
    """The test leaves no container, run directory or connection file in use."""
    yield installation
    installation.assert_idle()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory is an empty one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


StartLab = Callable[..., Lab]


@pytest.fixture(scope="module")
def start_lab(engine: Any, session_dir: Path, request: pytest.FixtureRequest) -> Iterator[StartLab]:
    """`start_lab(NAME=value, ...)`: a server with these variables, stopped after the module's tests.

    `start_lab(again=lab)`: the same server once more, after it has ended; with `beside`, another one on its root while
    it runs. Nothing may be left of any of them at the end, however they ended.
    """
    labs: list[Lab] = []
    described = request.config.stash[DESCRIBED]
    with ExitStack() as stack:

        def start(again: Lab | None = None, beside: bool = False, **environ: str) -> Lab:
            directory = again.root.parent if again else Path(tempfile.mkdtemp(prefix="lab", dir=session_dir))
            port = again.port if again and not beside else 0
            environ = {**(again.environ if again else {}), **environ}
            lab = stack.enter_context(running_lab(directory, engine, port, **environ))
            labs.append(lab)
            described.append(lab)
            return lab

        yield start
    for lab in labs:
        described.remove(lab)
    for installation in {lab.installation.home: lab.installation for lab in labs}.values():
        installation.end_workspaces()
        installation.drain()
        installation.assert_nothing_left()


@pytest.fixture(scope="module")
def lab_server(start_lab: StartLab) -> Lab:
    """One real `jupyter lab` for the tests of a module."""
    return start_lab()
