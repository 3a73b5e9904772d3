"""One installation (a `SYLA_HOME`) as the host sees it: its containers, run directories and processes.

A test that is over must leave an installation *idle*: nothing but what the pool keeps ready. One that is drained
afterwards must have *nothing left*.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traitlets.config import Config

from syla_jupyter import app
from syla_jupyter.config import default_run_dir, load_settings
from syla_jupyter.workspaces.pool import pool_key

POLL_SECONDS = 0.05
NOTHING_READY = Config({"Syla": {"pool_size": 0}})
"""For who looks at the containers of workspaces alone: nothing is made ready by what it does."""
END_SECONDS = 30.0  # for the engine to take a container down


def _servant(process: Path) -> bool:
    """Python's own resource tracker and fork server of this process: they end with it, not before."""
    status = _text(process / "status")
    command = _text(process / "cmdline")
    return f"\nPPid:\t{os.getpid()}\n" in status and "\0from multiprocessing." in command


def wait_until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true value of `condition`; fails with `what` when there is none in time."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, f"not within {seconds:g} s: {what}"
        time.sleep(POLL_SECONDS)
    return value


async def wait_until_async(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """`wait_until` that lets the event loop go on."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(POLL_SECONDS)
    return value


def wait_empty(rows: Callable[[], Iterable[str]], seconds: float, what: str) -> None:
    """Wait until `rows` gives nothing; fails with the rows that stay."""
    until = time.monotonic() + seconds
    while left := list(rows()):
        assert time.monotonic() < until, f"{what} after {seconds:g} s: " + "; ".join(left)
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class Installation:
    home: Path
    engine: Any
    """A client of the engine's SDK."""

    @property
    def label(self) -> str:
        return f"syla.home={pool_key(str(self.home))[:12]}"

    def containers(self) -> list[Any]:
        """In any state; those that vanish while they are listed are left out."""
        listed: list[Any] = self.engine.containers.list(
            all=True, filters={"label": self.label}, ignore_removed=True, sparse=False
        )
        return listed

    def run_directories(self) -> list[Path]:
        base = default_run_dir(os.environ, os.geteuid())
        return [path for path in _listed(base) if _text(path / "data_dir") == str(self.home)]

    def processes(self) -> list[str]:
        """`pid command` of each process of this host that was started with this `SYLA_HOME`."""
        wanted = f"SYLA_HOME={self.home}"
        found = []
        for process in Path("/proc").iterdir():
            if not process.name.isdigit() or int(process.name) == os.getpid():
                continue
            if wanted in _text(process / "environ").split("\0") and not _servant(process):
                found.append(f"{process.name} {_text(process / 'cmdline').replace(chr(0), ' ')}")
        return found

    def containers_in_use(self) -> list[str]:
        """Names of those that are not the pool's."""
        pooled = self._pooled_runs()
        return [container.name for container in self.containers() if container.labels.get("syla.run") not in pooled]

    def in_use(self) -> list[str]:
        """One line for each container, run directory and connection file that is not the pool's."""
        pooled = self._pooled_runs()
        rows = [f"run directory {path}" for path in self.run_directories() if path.name not in pooled]
        rows += [f"container {name}" for name in self.containers_in_use()]
        runtime = Path(os.environ["JUPYTER_RUNTIME_DIR"])
        rows += [f"connection file {path}" for path in _listed(runtime) if path.name.startswith("kernel-")]
        return rows

    def _pooled_runs(self) -> set[str]:
        return {path.name for path in self.run_directories() if self._pooled(path)}

    def _pooled(self, run_directory: Path) -> bool:
        """On record as ready, or being made by a refill."""
        if any(self.home.glob(f"pool/*/ready/{run_directory.name}")):
            return True
        try:
            owner = json.loads((run_directory / "owner").read_text())["pid"]
        except (OSError, ValueError, KeyError):
            return False
        return "\0pool\0" in _text(Path(f"/proc/{owner}/cmdline"))

    def left(self) -> list[str]:
        """One line for anything at all."""
        rows = [f"container {container.name} ({container.status})" for container in self.containers()]
        rows += [f"run directory {path}" for path in self.run_directories()]
        return rows + [f"process {line}" for line in self.processes()]

    def assert_idle(self, seconds: float = END_SECONDS) -> None:
        wait_empty(self.in_use, seconds, f"still in use in {self.home}")

    def assert_nothing_left(self, seconds: float = END_SECONDS) -> None:
        wait_empty(self.left, seconds, f"left of {self.home}")

    def drain(self) -> None:
        """No more refills, and what was ready is ended."""
        application = self._application()
        application.pool.pause(True)
        wait_empty(lambda: [row for row in self.processes() if "pool fill" in row], 60, "still refilling")
        application.service.drain()

    def _application(self) -> app.Application:
        environ = {**os.environ, "SYLA_HOME": str(self.home)}
        return app.build(load_settings(NOTHING_READY, environ), environ)

    def end_workspaces(self) -> None:
        """End the containers that outlive whoever used them, and remove what a killed one has left."""
        application = self._application()
        for id in application.store().executions().values():
            application.registry().suspend(id, stop=True, reason="the test is over")
        application.registry().detach()
        application.service.reconcile()
        application.store().close()

    def describe(self) -> str:
        """For the report of a failed test."""
        rows = [subprocess.run(["docker", "ps", "-a"], capture_output=True, text=True, check=False).stdout]
        for container in self.containers():
            details = container.attrs
            facts = {"State": details["State"], "Mounts": details["Mounts"], "HostConfig": details["HostConfig"]}
            rows.append(f"{container.name}: {json.dumps(facts)}")  # no logs: containers have no log driver
        return "\n".join(rows + self.left())


def syla(*arguments: str, home: Path | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `syla`, from this interpreter; fails when it fails unless `check=False`."""
    environ = {**os.environ, **({"SYLA_HOME": str(home)} if home else {}), **options.pop("env", {})}
    options = {"check": True, "capture_output": True, "text": True, "timeout": 120, **options}
    command = [sys.executable, "-m", "syla_jupyter.cli.main", *arguments]
    return subprocess.run(command, env=environ, **options)


def _listed(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""
