"""Variables over the end of a container: stopped, started, killed, restarted. Real containers, records and kernels."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client import BlockingKernelClient
from traitlets.config import Config

from syla_jupyter import app
from syla_jupyter.config import load_settings
from syla_jupyter.workspaces import variables
from syla_jupyter.workspaces.live import LiveWorkspace
from tests.installation import Installation, syla

CELL = """
import numpy as np, pandas as pd
frame = pd.DataFrame({'x': np.arange(1000.0), 's': ['a', 'b'] * 500}); column = frame['x']
array = np.arange(100_000); part = array[10:20]; shared = [1]; table = {'shared': shared}
class Point:
    def __init__(self, x): self.x = x
point = Point(3); double = lambda v: v * factor; factor = 2; running = (n for n in range(3))
"""
TRUE = """
assert frame.x.sum() == 499500 and list(frame.s[:2]) == ['a', 'b']
assert np.shares_memory(part, array) and part[0] == 10
assert table['shared'] is shared and type(point) is Point and point.x == 3 and double(4) == 8
print('equal', 'running' in globals())
"""

BORN = "print(open('/proc/1/stat').read().split()[21])\n"
"""When the container's first process was started: another one in each container."""


@pytest.fixture(scope="module")
def application(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[app.Application]:
    """With containers of its own, none of which is left afterwards."""
    root = tmp_path_factory.mktemp("variables")
    config = Config()
    config.Syla.update(data_dir=str(root / "home"), lease_seconds=1.0, pool_size=0)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SYLA_")}
    application = app.build(load_settings(config, environ), environ)
    (root / "root").mkdir()
    yield application
    registry = application.registry()
    for record in registry.catalog.all():
        registry.delete(record.id, confirmed=True)


class Notebook:
    """The kernel of a notebook, started in a workspace wherever that runs now."""

    def __init__(self, live: LiveWorkspace, name: str = "a.ipynb", slot: str | None = None) -> None:
        self.slot = slot or secrets.token_hex(4)
        self.key = secrets.token_hex(16).encode()
        environ = {"JPY_SESSION_NAME": f"/workspace/{name}"}
        self.process = live.start_kernel(self.slot, key=self.key, cwd="/workspace", env=environ, timeout=60)
        self.prefix = live.run.client_prefix(self.slot)

    def run(self, code: str) -> str:
        client = BlockingKernelClient()
        info: Any = {"transport": "ipc", "ip": str(self.prefix), "key": self.key, "signature_scheme": "hmac-sha256"}
        info |= {"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5}
        client.load_connection_info(info)
        client.start_channels()
        try:
            client.wait_for_ready(timeout=30)
            text: list[str] = []
            reply = client.execute_interactive(
                code, timeout=60, output_hook=lambda message: text.append(str(message["content"].get("text", "")))
            )
            assert reply["content"]["status"] == "ok", reply["content"]
            return "".join(text).strip()
        finally:
            client.stop_channels()


@contextlib.contextmanager
def workspace(application: app.Application) -> Iterator[str]:
    registry = application.registry()
    root = application.settings.data_dir.parent / "root"
    record = registry.create(f"v-{secrets.token_hex(3)}", root=root)
    try:
        yield record.id
    finally:
        registry.delete(record.id, confirmed=True)


def test_a_notebook_has_its_variables_in_the_next_container_and_a_restarted_kernel_none(
    application: app.Application,
) -> None:
    """Stop: the next start of the same notebook has them, once, and what was lost is named. A restart: empty. Another
    notebook: empty. A container that was killed: what was saved last."""
    registry = application.registry()
    with workspace(application) as id:
        live = registry.open(id)
        first = Notebook(live)
        first.run(CELL)
        registry.suspend(id, stop=True)

        live = registry.open(id)
        other = Notebook(live, "b.ipynb")
        assert other.run("print('frame' in globals())") == "False"
        again = Notebook(live)
        assert again.run(TRUE) == "equal False"
        (kernel,) = variables.restored(live).kernels
        assert kernel.session == "/workspace/a.ipynb"
        assert {v.name: v.status for v in kernel.variables}["running"] == "lost"
        assert any("running (generator) is lost" in line for line in kernel.lines())

        again.process.signal(9)
        again.process.done.result(20)
        restarted = Notebook(live, slot=again.slot)
        assert restarted.run("print('frame' in globals())") == "False"

        restarted.run(CELL)
        report = variables.save(live)
        assert {kernel.error for kernel in report.kernels} == {""}
        assert all(kernel.pause_seconds < 1 for kernel in report.kernels)
        restarted.run("later = 1")
        subprocess.run(["docker", "kill", live.container.id], check=True, capture_output=True)
        restarted.process.done.result(20)
        live = registry.open(id)
        assert Notebook(live).run(TRUE + "print('later' in globals())") == "equal False\nFalse"


KILLER = """
import os, sys
class Kills:
    def __setstate__(self, state):
        if 'ipykernel' in sys.modules: os._exit(9)
killer = Kills(); killer.state = value = 1
"""


def test_a_kernel_that_is_ended_by_what_it_loads_starts_without_it(application: app.Application) -> None:
    """In one start, and said; what is due is gone once a kernel has it, the start after that is the ordinary one."""
    registry = application.registry()
    with workspace(application) as id:
        live = registry.open(id)
        assert live.spec.home is not None
        due = variables.Due(live.spec.home)
        Notebook(live).run(KILLER)
        variables.save(live)
        assert len(due.keys()) == 1
        registry.suspend(id, stop=True)
        live = registry.open(id)
        assert Notebook(live).run("print(value, 'killer' in globals())") == "1 False"
        assert due.keys() == []
        (kernel,) = variables.restored(live).kernels
        assert any("killer (Kills) is lost" in line for line in kernel.lines())
        Notebook(live, "c.ipynb")
        assert len(variables.restored(live).kernels) == 1


def test_exec_finds_what_exec_left_before_the_workspace_was_stopped(
    engine: Any, session_dir: Path, tmp_path: Path
) -> None:
    """`syla exec`, `suspend --stop`, `syla exec`: the same names and values, in another container."""
    home = session_dir / "vars"
    environ = {**os.environ, "SYLA_ROOT": str(tmp_path), "SYLA_SESSION": "v"}

    def command(*words: str) -> str:
        return syla(*words, home=home, env=environ, cwd=tmp_path).stdout

    try:
        command("workspace", "create", "--type", "persistent", "--use", "kept")
        files = tmp_path / "workspaces" / "kept"
        (files / "a.py").write_text(f"{CELL}\n{BORN}")
        (files / "b.py").write_text(f"{TRUE}\n{BORN}")
        before = command("exec", "a.py").split()
        command("workspace", "suspend", "--stop", "kept")
        said, _, after = command("exec", "b.py").split()
        assert said == "equal"
        assert before != [after]
    finally:
        command("workspace", "delete", "kept", "--force")
        installation = Installation(home, engine)
        installation.drain()
        installation.assert_nothing_left()
