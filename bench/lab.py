"""The place a run happens in: directories and an environment of its own, and the sweep that leaves nothing.

The user's pool, kernelspecs and configuration are not touched: `SYLA_HOME` and all of Jupyter's directories are in
one temporary directory. Containers are told apart by that `SYLA_HOME`, those of gateway_provisioners by their name.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import docker
import docker.errors

from syla_jupyter import app
from syla_jupyter.config import load_settings
from syla_jupyter.runtimes.base import LABEL_HOME

from .processes import end_descendants

ROOT = Path(__file__).resolve().parent.parent
FOREIGN = ("SYLA_", "JUPYTER_", "JPY_", "GP_", "KERNEL_", "PYTHON")
REMOVAL_SECONDS = 5.0  # for the engine to remove containers whose agent was told to stop
NOOP_KERNEL = "bench-noop"
NOOP_PROVISIONER = "bench-noop-provisioner"


class Lab:
    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="syla-bench-"))
        self.path.chmod(0o755)
        self.tag = f"syla-bench-{os.getpid()}"
        self.environ = self._environment()
        self._make()

    def _environment(self) -> dict[str, str]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        environ.update(
            SYLA_HOME=str(self.path / "syla"),
            SYLA_BENCH_LAB=str(self.path),
            SYLA_BENCH_TAG=self.tag,
            JUPYTER_DATA_DIR=str(self.path / "jupyter"),
            JUPYTER_CONFIG_DIR=str(self.path / "config"),
            JUPYTER_RUNTIME_DIR=str(self.path / "runtime"),
            JUPYTER_PATH=str(self.path / "share"),
            JUPYTER_PLATFORM_DIRS="1",
            IPYTHONDIR=str(self.path / "ipython"),
            PYTHONPATH=os.pathsep.join([str(ROOT), str(self.path / "site")]),
            PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        )
        return environ

    def _make(self) -> None:
        for name in ("syla", "jupyter", "config", "runtime", "share", "ipython", "site", "work", "standby"):
            (self.path / name).mkdir()
        # A provisioner is found by an entry point, and an entry point needs a distribution.
        info = self.path / "site" / "syla_bench-0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: syla-bench\nVersion: 0\n")
        (info / "entry_points.txt").write_text(
            f"[jupyter_client.kernel_provisioners]\n{NOOP_PROVISIONER} = bench.noop:NoopProvisioner\n"
        )
        spec = self.path / "share" / "kernels" / NOOP_KERNEL
        spec.mkdir(parents=True)
        (spec / "kernel.json").write_text(
            json.dumps(
                {
                    "argv": ["true"],
                    "display_name": "No-op",
                    "language": "python",
                    "metadata": {"kernel_provisioner": {"provisioner_name": NOOP_PROVISIONER, "config": {}}},
                }
            )
        )

    def sweep(self) -> list[str]:
        """End what a row left: processes, then containers; gives a line for what should not have been there."""
        found = [f"process {pid} had to be killed" for pid in end_descendants(grace=10.0)]
        application = app.build(load_settings(None, self.environ), self.environ)
        application.service.drain()
        deadline = time.perf_counter() + REMOVAL_SECONDS
        mine = {LABEL_HOME: application.service.home_label}
        while application.runtime.find(mine) and time.perf_counter() < deadline:
            time.sleep(0.1)
        if kept := application.runtime.find(mine):  # of workspaces with a record: they are made to outlive a server
            for one in kept:
                application.runtime.remove(one.id)
            application.registry().finish(quick=True)
            application.store().close()
        found += application.service.reconcile()
        application.pool.pause(False)
        client = docker.from_env()
        try:
            for container in client.containers.list(all=True, filters={"name": self.tag}):
                found.append(f"container {container.name} had to be removed")
                try:
                    container.remove(force=True)
                except docker.errors.APIError as exc:
                    if exc.status_code not in (404, 409):
                        raise
        finally:
            client.close()
        return found

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
