"""Workspaces for hostile code, ways to run it in them, and proof that nothing stays behind."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from jupyter_client import BlockingKernelClient
from traitlets.config import Config

from syla_jupyter import app
from syla_jupyter.config import load_settings
from syla_jupyter.model.errors import SylaError
from syla_jupyter.model.runtime import Exit
from syla_jupyter.model.workspace import WorkspaceSpec
from syla_jupyter.workspaces.live import LiveWorkspace, RunningProcess
from syla_jupyter.workspaces.placement import ephemeral_workspace

SECRET = "hunter2-" + secrets.token_hex(8)  # stands in the host's environment; must not be anywhere inside


def wait_until(condition: Callable[[], Any], seconds: float = 20.0, what: str = "the condition") -> Any:
    """The first true value of `condition`, looked at often; fails when it takes longer than `seconds`."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, f"{what} did not come true within {seconds} s"
        time.sleep(0.02)
    return value


@dataclass(frozen=True)
class Ended:
    exit: Exit
    out: str
    err: str


class Box:
    """A workspace, seen by whoever attacks it."""

    def __init__(self, workspace: LiveWorkspace, env: dict[str, str] | None = None) -> None:
        """`env`: of its kernels."""
        self.workspace, self._env = workspace, env or {}
        self._kernels: dict[str, tuple[RunningProcess, BlockingKernelClient]] = {}

    def run(self, *argv: str, timeout: float = 60.0) -> Ended:
        """A command, to its end; both outputs are read to their end or 4 MB."""
        reads, writes = zip(*(os.pipe(), os.pipe()), strict=True)
        nothing = os.open(os.devnull, os.O_RDONLY)
        texts: list[bytes] = [b"", b""]

        def drain(index: int) -> None:
            with os.fdopen(reads[index], "rb") as file:
                while data := file.read1(65536):
                    texts[index] = (texts[index] + data)[-4_000_000:]

        pumps = [threading.Thread(target=drain, args=(index,), daemon=True) for index in (0, 1)]
        for pump in pumps:
            pump.start()
        try:
            process = self.workspace.start_command(
                argv, cwd="/workspace", env={}, stdio=(nothing, *writes), tty=False
            )  # fmt: skip
        finally:
            for fd in (nothing, *writes):
                os.close(fd)
        ended = process.done.result(timeout)
        for pump in pumps:
            pump.join(30)
        return Ended(ended, *(text.decode(errors="replace") for text in texts))

    def python(self, code: str, timeout: float = 60.0) -> Any:
        """What `code` leaves in `result`, run as a command; JSON carries it out."""
        ended = self.run("python3", "-I", "-c", _carried(code), timeout=timeout)
        assert ended.exit.code == 0, f"{ended.exit}\n{ended.out[-2000:]}\n{ended.err[-4000:]}"
        return json.loads(ended.out.splitlines()[-1])

    def kernel(self, slot: str = "k") -> tuple[RunningProcess, BlockingKernelClient]:
        """The running kernel of `slot`, started at the first call and whenever it has ended."""
        known = self._kernels.get(slot)
        if known is None or known[0].exit is not None:
            key = secrets.token_hex(16).encode()
            process = self.workspace.start_kernel(slot, key=key, cwd="/workspace", env=self._env, timeout=60)
            client = BlockingKernelClient()
            info: Any = {"transport": "ipc", "ip": str(self.workspace.run.client_prefix(slot)), "key": key}
            info |= {"signature_scheme": "hmac-sha256", "shell_port": 1, "iopub_port": 2}
            client.load_connection_info(info | {"stdin_port": 3, "control_port": 4, "hb_port": 5})
            client.start_channels()
            client.wait_for_ready(timeout=30)
            if known is not None:
                known[1].stop_channels()
            known = self._kernels[slot] = (process, client)
        return known

    def cell(self, code: str, slot: str = "k", timeout: float = 60.0) -> tuple[str, dict[str, Any]]:
        """(text printed, reply) of a cell."""
        text: list[str] = []
        reply = self.kernel(slot)[1].execute_interactive(
            code,
            timeout=timeout,
            output_hook=lambda message: text.append(str(message["content"].get("text", ""))),
        )
        return "".join(text), reply["content"]

    def in_kernel(self, code: str) -> Any:
        """What `code` leaves in `result`, run as a cell."""
        text, reply = self.cell(_carried(code))
        assert reply["status"] == "ok", reply
        return json.loads(text.splitlines()[-1])

    def close(self) -> None:
        for _, client in self._kernels.values():
            client.stop_channels()
        self.workspace.close()


def _carried(code: str) -> str:
    return f"{code}\nimport json as _json\nprint(_json.dumps(result))"


class Host:
    """An installation of its own: data directory, run directory, engine label."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.run_dir = Path(tempfile.mkdtemp(prefix="syla-hostile-", dir="/run" if os.geteuid() == 0 else None))
        config = Config()
        config.Syla.update(data_dir=str(root / "home"), run_dir=str(self.run_dir), lease_seconds=1.0, pool_size=0)
        self.environ = {**{k: v for k, v in os.environ.items() if not k.startswith("SYLA_")}, "HOST_SECRET": SECRET}
        self.app = app.build(load_settings(config, self.environ), self.environ)
        self.service = self.app.service

    def spec(self, mount: str = "none", files: Path | None = None, **limits: int) -> WorkspaceSpec:
        spec = ephemeral_workspace(self.app.settings, {"SYLA_MOUNT": mount}, files or Path.cwd(), None, "python")
        return replace(spec, limits=replace(spec.limits, **limits))  # type: ignore[arg-type]

    def directory(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.root))

    @contextlib.contextmanager
    def box(self, spec: WorkspaceSpec | None = None) -> Iterator[Box]:
        box = Box(self.service.ephemeral(spec or self.spec()))
        try:
            yield box
        finally:
            box.close()

    def inspect(self, workspace: LiveWorkspace) -> dict[str, Any]:
        answer: dict[str, Any] = self.app.runtime.client().api.inspect_container(workspace.container.id)
        return answer

    def containers(self, running: bool = False) -> list[str]:
        """Names of the containers of this installation, in any state or only those that run."""
        text = subprocess.run(
            ["docker", "ps", *([] if running else ["-a"]), "--format={{.Names}}", f"--filter=label=syla.home={self.service.home_label}"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        return text.split()


@pytest.fixture(scope="session")
def hostile_engine() -> None:
    """An engine that answers and has the image; the suite cannot be passed over silently."""
    if shutil.which("docker") is None or subprocess.run(["docker", "info"], capture_output=True).returncode:
        pytest.fail("tests with containers need a Docker engine that answers: `syla doctor`", pytrace=False)


@pytest.fixture(scope="module")
def hostile_host(hostile_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("hostile"))
    try:
        yield host
    finally:
        host.service.close_all()
        with contextlib.suppress(SylaError):
            host.service.reconcile()
        wait_until(lambda: not host.containers(), 15, "every container of this module gone")
        with contextlib.suppress(SylaError):
            host.service.reconcile()  # once more: sockets of containers that were still ending
        left = [path.name for path in host.run_dir.iterdir()]
        shutil.rmtree(host.run_dir, ignore_errors=True)
        assert not left, f"run directories left: {left}"


@pytest.fixture(scope="module")
def _shared_box(hostile_host: Host) -> Iterator[list[Box]]:
    boxes: list[Box] = []
    yield boxes
    for box in boxes:
        box.close()


@pytest.fixture
def hostile_box(hostile_host: Host, _shared_box: list[Box]) -> Box:
    """An ephemeral workspace without network and files, shared by the tests of a module as long as it lives."""
    if not _shared_box or _shared_box[-1].workspace.lost:
        _shared_box.append(Box(hostile_host.service.ephemeral(hostile_host.spec())))
    return _shared_box[-1]


@pytest.fixture(params=["command", "kernel"])
def inside(request: pytest.FixtureRequest, hostile_box: Box) -> Callable[[str], Any]:
    """Runs code in the shared workspace, once as a command and once as a kernel's cell."""
    return hostile_box.python if request.param == "command" else hostile_box.in_kernel
