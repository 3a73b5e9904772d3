"""Two servers that differ in one thing: whether this package is in force.

Both are `jupyter lab` of the environment this runs in, configured as JupyterLab's own tests are: no token and no check
of cookies, so they listen on loopback only, and only while the specs run. Both offer one kernel, `python3`, and make it
the default, since the specs know no other name; ours runs it in a container like any kernelspec without a provisioner.
Extensions of others that happen to be installed beside us are off on both sides.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..installation import Installation, wait_until

START_SECONDS, STOP_SECONDS = 120, 60
OTHERS = ("jupyter_collaboration", "jupyter_server_ydoc", "jupyter_server_fileid")
OTHERS_PAGES = ("@jupyter/collaboration-extension", "@jupyter/docprovider-extension")
OURS, OUR_PAGE = "syla_jupyter", "syla-jupyter"
CONFIG = """
from jupyterlab.galata import configure_jupyter_server

configure_jupyter_server(c)
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.port = {port}
c.ServerApp.root_dir = {root!r}
c.ServerApp.allow_root = True
c.LabServerApp.extra_labextensions_path = [{helpers!r}]
c.KernelSpecManager.allowed_kernelspecs = {{"python3"}}
c.MultiKernelManager.default_kernel_name = "python3"
"""


@dataclass(frozen=True)
class Server:
    url: str
    root: Path
    log: Path


@contextlib.contextmanager
def running_server(directory: Path, engine: Any, *, ours: bool) -> Iterator[Server]:
    """A server with everything of its own below `directory`; of ours nothing is left afterwards."""
    from jupyterlab import galata

    for name in ("root", "config/labconfig", "config/jupyter_server_config.d", "tmp", "home"):
        (directory / name).mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(f"http://127.0.0.1:{port}", directory / "root", directory / "lab.log")
    config = CONFIG.format(port=port, root=str(server.root), helpers=str(Path(galata.__file__).parent))
    (directory / "config/jupyter_lab_config.py").write_text(config)
    extensions = {"jpserver_extensions": {**dict.fromkeys(OTHERS, False), OURS: ours}}
    (directory / "config/jupyter_server_config.d/specs.json").write_text(json.dumps({"ServerApp": extensions}))
    pages = {name: True for name in (*OTHERS_PAGES, *([] if ours else [OUR_PAGE]))}
    (directory / "config/labconfig/page_config.json").write_text(json.dumps({"disabledExtensions": pages}))
    installation = Installation(directory / "syla", engine)
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser"]
    with server.log.open("ab") as output:
        process = subprocess.Popen(
            command, env=_environ(directory), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=server.root
        )
    try:
        wait_until(lambda: _answers(server, process), START_SECONDS, f"the server's answer; see {server.log}")
        assert _loaded(server) == {OURS: ours, **dict.fromkeys(OTHERS, False)}, server.log.read_text()
        yield server
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        finally:
            process.kill()
            process.wait()
            if ours:
                installation.end_workspaces()
                installation.assert_nothing_left()


def _environ(directory: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "SYLA", "IPYTHON"))}
    return {
        **kept,
        "HOME": str(directory / "home"),
        "TMPDIR": str(directory / "tmp"),
        "SYLA_HOME": str(directory / "syla"),
        "JUPYTER_CONFIG_DIR": str(directory / "config"),
        "JUPYTER_DATA_DIR": str(directory / "data"),
        "JUPYTER_RUNTIME_DIR": str(directory / "runtime"),
        "JUPYTER_PREFER_ENV_PATH": "0",  # what we say here counts before what the environment says
        "IPYTHONDIR": str(directory / "ipython"),
    }


def _loaded(server: Server) -> dict[str, bool]:
    """Which of the extensions that make the difference are in force, as the server says itself."""
    log = server.log.read_text()
    return {name: f"{name} | extension was successfully loaded" in log for name in (OURS, *OTHERS)}


def _answers(server: Server, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, f"the server ended:\n{server.log.read_text()[-5000:]}"
    try:
        with urllib.request.urlopen(f"{server.url}/api/status", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
