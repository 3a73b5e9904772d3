"""A runtime without containers: the real agent as a plain process of this machine; all but the isolation is real.

    <directory>/<id>.json     labels, name, pid and start time of an agent; gone with it, as an engine has it
    <directory>/<id>.frozen   there while it is frozen

Kernels and commands really run, the lease really ends it, it survives the process that made it, and every process with
the same directory sees the same ones. Frozen is SIGSTOP for the whole tree. What is missing: directories are where
they are on the host, limits are noted and not enforced, and what a command left behind outlives an agent that ended by
itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..model.errors import EngineError, ImageMissing, StartFailed, WorkspaceLost
from ..model.runtime import ContainerInfo, ContainerSpec, Mount, MountVia
from ..model.workspace import Limits, Network
from ..runtimes.rundir import process_identity

AGENT = Path(__file__).parents[1] / "agent"
ENVIRONMENT = ("PATH", "LANG")
SWEEPS_MAX = 100
END_SECONDS = 10.0


class FakeRuntime:
    """`images`: which exist; None: all."""

    def __init__(self, directory: Path, *, environ: Mapping[str, str], images: Sequence[str] | None = None) -> None:
        self._directory, self._images = directory, images
        self._environ = {name: environ[name] for name in ENVIRONMENT if name in environ}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        self.calls: list[str] = []
        """Names of the methods called, in order."""
        self.limits: dict[str, Limits] = {}
        """By container id, as they were last given."""
        self.refuses: set[str] = set()
        """Ids of containers that this engine neither freezes nor gives other limits."""
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def mount_via(self) -> MountVia:
        return MountVia.BIND

    def prepare(self, network: Network) -> None:
        pass

    def create(self, spec: ContainerSpec) -> ContainerInfo:
        self.calls.append("create")
        if not self.image_exists(spec.image):
            raise ImageMissing(f"there is no image {spec.image}", "Name one that this fake has")
        id = secrets.token_hex(16)
        home = self._directory / f"{id}.home"
        home.mkdir()
        config = {**dataclasses.asdict(spec.agent), "dir": str(spec.run_dir)}
        try:
            child = subprocess.Popen(
                [sys.executable, "-B", "-m", AGENT.name, json.dumps(config)],
                cwd=AGENT.parent,
                env={**self._environ, "HOME": str(home)},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as exc:
            raise StartFailed(f"the agent cannot be started: {exc}") from exc
        with self._lock:
            self._children[id] = child
        row = {"name": spec.name, "labels": dict(spec.labels), **process_identity(child.pid)}
        (self._directory / f"{id}.new").write_text(json.dumps(row))
        (self._directory / f"{id}.new").rename(self._row(id))
        self.limits[id] = spec.limits
        return ContainerInfo(id, spec.name, dict(spec.labels), True, child.pid)

    def attach(self, container: ContainerInfo, mounts: Sequence[Mount]) -> None:
        raise StartFailed("directories are named at creation here")

    def limit_cpus(self, container_id: str, cpus: float) -> None:
        self.calls.append("limit_cpus")
        self._running(container_id)

    def change_limits(self, container_id: str, limits: Limits) -> None:
        self.calls.append("change_limits")
        self._running(container_id)
        self._may(container_id)
        self.limits[container_id] = limits

    def freeze(self, container_id: str) -> None:
        self.calls.append("freeze")
        pid = self._running(container_id)
        self._may(container_id)
        (self._directory / f"{container_id}.frozen").touch()
        _signal_tree(pid, signal.SIGSTOP)

    def thaw(self, container_id: str) -> None:
        self.calls.append("thaw")
        pid = self._running(container_id)
        _signal_tree(pid, signal.SIGCONT)
        (self._directory / f"{container_id}.frozen").unlink(missing_ok=True)

    def reclaim(self, container_id: str) -> int:
        self.calls.append("reclaim")
        return 0  # processes of this host, which nobody keeps from swapping

    def remove(self, container_id: str) -> None:
        self.calls.append("remove")
        with contextlib.suppress(WorkspaceLost, ProcessLookupError):
            pid = self._running(container_id)
            ended = os.pidfd_open(pid)
            try:
                _signal_tree(pid, signal.SIGSTOP)
                _signal_tree(pid, signal.SIGKILL)
                # Its sockets are closed then, whose child it may be: another runtime's of this test is not waited for.
                select.select([ended], [], [], END_SECONDS)
            finally:
                os.close(ended)
        with self._lock:
            child = self._children.pop(container_id, None)
        if child is not None:
            child.wait()
        self._forget(container_id)

    def find(self, labels: Mapping[str, str]) -> list[ContainerInfo]:
        self.calls.append("find")
        found = []
        for id, row in self._rows():
            if labels.items() <= row["labels"].items():
                frozen = (self._directory / f"{id}.frozen").exists()
                found.append(ContainerInfo(id, row["name"], row["labels"], True, row["pid"], frozen))
        return found

    def image_exists(self, reference: str) -> bool:
        return self._images is None or reference in self._images

    def ping(self) -> None:
        self.calls.append("ping")

    def remove_all(self) -> None:
        """What a test leaves."""
        for id, _ in list(self._rows()):
            self.remove(id)

    # -- rows --------------------------------------------------------------------------------------------------

    def _row(self, id: str) -> Path:
        return self._directory / f"{id}.json"

    def _rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Of those that run; the others are gone with that."""
        for file in sorted(self._directory.glob("*.json")):
            id = file.stem
            with contextlib.suppress(WorkspaceLost, OSError, ValueError):
                self._running(id)
                yield id, json.loads(file.read_text())

    def _running(self, id: str) -> int:
        """Its process id; `WorkspaceLost` when it has ended."""
        with self._lock:
            child = self._children.get(id)
        if child is not None:
            child.poll()  # so that it is no zombie
        try:
            row = json.loads(self._row(id).read_text())
        except (OSError, ValueError):
            raise WorkspaceLost(f"there is no container {id}") from None
        if process_identity(row["pid"]) == {"pid": row["pid"], "start": row["start"]} and _state(row["pid"]) != "Z":
            return int(row["pid"])
        self._forget(id)
        raise WorkspaceLost(f"container {id} has ended")

    def _may(self, id: str) -> None:
        if id in self.refuses:
            raise EngineError(f"container {id} is refused", "This fake was told to")

    def _forget(self, id: str) -> None:
        for suffix in (".json", ".frozen"):
            (self._directory / f"{id}{suffix}").unlink(missing_ok=True)
        self.limits.pop(id, None)


def _signal_tree(pid: int, number: int) -> None:
    """To a process and all that came from it, again until nobody new turns up; deepest first when they are to end."""
    known: set[int] = set()
    for _ in range(SWEEPS_MAX):
        fresh = [one for one in [pid, *_below(pid)] if one not in known]
        if not fresh:
            return
        for one in reversed(fresh) if number == signal.SIGKILL else fresh:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, number)
        known.update(fresh)


def _below(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *_below(child)]
    return found


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return "Z"
