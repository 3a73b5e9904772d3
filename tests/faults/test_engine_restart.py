"""The engine ends and comes back without live-restore: kernels are dead and say why, files are kept, a start works.

On an engine of its own beside the one that other tests use: own socket, data, state and containerd, no network.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from syla_jupyter import app
from syla_jupyter.config import load_settings
from syla_jupyter.model.errors import EngineStopped
from syla_jupyter.model.record import State, WorkspaceRecord
from syla_jupyter.model.workspace import Network
from syla_jupyter.runtimes.image_name import image_reference
from syla_jupyter.workspaces.live import LiveWorkspace
from syla_jupyter.workspaces.registry import Registry

from ..installation import NOTHING_READY, Installation, wait_until
from .conftest import Client

START_SECONDS = 60.0
STOP_SECONDS = 60.0
DEAD_SECONDS = 30.0
NAMESPACE = "syla-second-engine"


class OwnEngine:
    """`dockerd` in a directory of its own, ended by its process id.

    In a network namespace of its own, too: one without a bridge takes away `docker0`, which is the other engine's.
    """

    def __init__(self, directory: Path) -> None:
        self.directory, self.url = directory, f"unix://{directory / 's'}"
        self.process: subprocess.Popen[bytes] | None = None
        (directory / "daemon.json").write_text("{}")

    def start(self) -> None:
        at = self.directory
        for stale in (at / "pid", at / "x/containerd/containerd.pid"):  # where no init reaps it, a dead one looks alive
            stale.unlink(missing_ok=True)
        with (at / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "unshare", "--net", "dockerd", f"--host={self.url}", f"--data-root={at / 'data'}", f"--exec-root={at / 'x'}",
                    f"--pidfile={at / 'pid'}", f"--config-file={at / 'daemon.json'}",
                    f"--containerd-namespace={NAMESPACE}", f"--containerd-plugins-namespace={NAMESPACE}-plugins",
                    "--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_until(self._answers, START_SECONDS, "the second engine answers")

    def end(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(STOP_SECONDS)
        self.process = None

    def close(self) -> None:
        """All of it is gone, also after a failure."""
        try:
            if self.process is None:  # what a killed one has left is ended by the next
                self.start()
            self.end()
        finally:
            if self.process is not None:
                self.process.kill()
            for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
                if line.split()[1].startswith(f"{self.directory}/"):
                    subprocess.run(["umount", "-l", line.split()[1]], check=False)
            shutil.rmtree(self.directory, ignore_errors=True)

    def describe(self) -> str:
        return (self.directory / "log").read_text()[-3000:]

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.describe()
        with contextlib.suppress(Exception), contextlib.closing(docker.DockerClient(self.url, timeout=5)) as client:
            return bool(client.ping())
        return False


@dataclass
class Served:
    """An installation on the engine of its own; as a `Host` for `Client`."""

    engine: OwnEngine
    environ: dict[str, str]
    registry: Registry
    app: app.Application
    root: Path

    @property
    def run_dir(self) -> Path:
        return self.app.settings.run_dir

    def create(self, name: str) -> tuple[WorkspaceRecord, LiveWorkspace]:
        """Running, with something in its files and its home that was written inside."""
        record = self.registry.create(name, root=self.root, network=Network.NONE)
        live = self.registry.open(record.id)
        with open(os.devnull, "rb") as reading, open(os.devnull, "wb") as writing:
            fds = (reading.fileno(), writing.fileno(), writing.fileno())
            command = ["sh", "-c", f"echo {name} > /workspace/kept && echo {name} > ~/kept"]
            ended = live.start_command(command, cwd="/workspace", env={}, stdio=fds, tty=False).done.result(20)
        assert ended.code == 0
        return record, live

    def kept(self, record: WorkspaceRecord) -> bool:
        home = self.app.settings.data_dir / "homes" / record.id
        return {(place / "kept").read_text() for place in (record.files, home)} == {f"{record.name}\n"}


@pytest.fixture(scope="module")
def own_engine(engine: Any, request: pytest.FixtureRequest) -> Iterator[OwnEngine]:
    """With the Python image in it."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("a second engine needs root and dockerd")
    made = OwnEngine(Path(tempfile.mkdtemp(prefix="eng", dir="/tmp")))
    try:
        made.start()
        with contextlib.closing(docker.DockerClient(made.url, timeout=120)) as own:
            templates = app.build(load_settings(None, os.environ), dict(os.environ)).templates
            own.images.load(engine.images.get(image_reference(templates.get("python"))).save(named=True))
        yield made
    finally:
        made.close()


@pytest.fixture
def served(own_engine: OwnEngine, session_dir: Path) -> Iterator[Served]:
    directory = Path(tempfile.mkdtemp(prefix="er", dir=session_dir))
    environ = {
        **os.environ,
        "SYLA_HOME": str(directory / "data"),
        "DOCKER_HOST": own_engine.url,
        "SYLA_WORKSPACE": "proj",
    }
    (directory / "root").mkdir()
    application = app.build(load_settings(NOTHING_READY, environ), environ)
    yield Served(own_engine, environ, application.registry(), application, directory / "root")
    for record in application.registry().catalog.all():
        application.registry().delete(record.id, confirmed=True)
    application.registry().detach()
    application.service.reconcile()
    application.store().close()
    with contextlib.closing(docker.DockerClient(own_engine.url)) as own:
        Installation(directory / "data", own).assert_nothing_left()


def test_a_notebook_is_told_and_goes_on_after_a_restart(served: Served) -> None:
    """The engine is stopped; meanwhile all say so; then the dead kernel's notebook gets another one on its files."""
    engine, registry = served.engine, served.registry
    record, live = served.create("proj")
    frozen, _ = served.create("cold")
    registry.suspend(frozen.id)
    notebook = Client(served, "survive")  # type: ignore[arg-type]
    try:
        notebook.wait_for("ready")
        engine.end()
        wait_until(lambda: live.lost, DEAD_SECONDS, "the end is seen")

        seen = registry.catalog.get("proj")
        assert (seen.state, seen.execution, seen.reason) == (State.CREATED, "", "its container has ended")
        assert registry.catalog.get("cold").state is State.SUSPENDED
        with pytest.raises(EngineStopped) as stopped:
            registry.open(record.id)
        assert "the Docker engine is not running. Start it:" in str(stopped.value)
        with pytest.raises(EngineStopped):
            registry.resume(frozen.id)
        assert served.kept(record)
        assert served.kept(frozen)

        engine.start()
        notebook.say()
        ended = notebook.wait_for("ended")
        assert (
            ended
            == "ended True The kernel ended with its container: its container was killed, or the engine has stopped"
        )
        assert notebook.wait_for("again") == "again 42"
        notebook.say()
        assert notebook.wait_for("open") == "open 42"
    finally:
        notebook.kill()
    assert registry.catalog.get("proj").state is State.ACTIVE
    assert registry.open(record.id).run.id != live.run.id
    assert registry.resume(frozen.id)[1] == "restarted"
    assert served.kept(record)
    assert served.kept(frozen)


def test_an_engine_that_is_killed(served: Served) -> None:
    """Containers go on without it and can be used; the next engine ends them, and a janitor sees that."""
    engine, registry = served.engine, served.registry
    record, live = served.create("proj")
    engine.end(signal.SIGKILL)
    assert live.agent.call("usage")["kernels"] == 0
    assert registry.open(record.id) is live
    try:
        registry.suspend(record.id)
    except EngineStopped:  # it is asked where the control group is not ours to write
        assert registry.catalog.get("proj").state is State.ACTIVE
        assert not live.frozen
    else:
        assert live.frozen
        assert registry.resume(record.id)[1] == "thawed"
        assert live.agent.call("usage")["kernels"] == 0
    engine.start()
    wait_until(lambda: live.lost, DEAD_SECONDS, "the end is seen")
    assert registry.finish(quick=True) == ["workspace proj: its container has ended"]
    assert registry.catalog.get("proj").state is State.CREATED
    assert served.kept(record)
    assert registry.resume(record.id)[1] == "restarted"
