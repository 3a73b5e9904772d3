"""One of several processes that race on an installation: does the verbs it is told, each in a thread, all at one moment.

Reads lines of JSON and answers each with one:

    {"calls": [[verb, id or name, {…}], …]}             outcomes, and which changes this process made meanwhile
    {"calls": …, "hold": [verb, step]}                  says "held" at that step, and goes on when it reads a line

An outcome is {"ok": what the verb gave} or {"error": its class}, with the "seconds" it took.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from syla_jupyter import app
from syla_jupyter.app import open_database, open_store
from syla_jupyter.config import load_settings
from syla_jupyter.model.clock import SystemClock
from syla_jupyter.model.errors import SylaError
from syla_jupyter.model.quota import Capacity, Quotas
from syla_jupyter.model.settings import Settings
from syla_jupyter.model.workspace import GIB, Network
from syla_jupyter.testing.fake_runtime import FakeRuntime
from syla_jupyter.workspaces.capacity import Admission
from syla_jupyter.workspaces.registry import Registry
from syla_jupyter.workspaces.service import WorkspaceService

from ..installation import NOTHING_READY
from ..local_installation import connect

THREADS = 50
RUNNING_MAX = 3
"""So many workspaces may run at once in an installation without containers."""


def say(words: Any) -> None:
    print(json.dumps(words), flush=True)


def without_containers(directory: Path, database: str) -> tuple[Registry, WorkspaceService]:
    """One process's part of the installation in `directory`, with real agents and no engine."""
    settings = Settings(
        data_dir=directory / "data", run_dir=directory / "r", disk_floor_bytes=0, database_url=database
    )  # fmt: skip
    runtime = FakeRuntime(directory / "engine", environ=os.environ)
    admission = Admission(Capacity(cpus=1000, memory_bytes=10_000 * GIB), Quotas(workspaces_per_user=RUNNING_MAX))
    local = connect(settings, SystemClock(), runtime, open_store(open_database(settings)), admission)
    return local.registry, local.containers


class Racer:
    def __init__(self, registry: Registry, containers: WorkspaceService, root: Path, described: dict[str, Any]) -> None:
        self.registry, self.containers, self.root, self.described = registry, containers, root, described
        self.changes: list[str] = []
        registry.listeners.append(lambda change: self.changes.append(str(change.verb)))

    def do(self, verb: str, which: str, more: dict[str, Any]) -> Any:
        registry = self.registry
        if verb == "create":
            return registry.create(which, root=self.root, network=Network.NONE, **self.described).id
        if verb == "open":
            return registry.open(which).run.id
        if verb == "resume":
            return registry.resume(which)[1]
        if verb == "stop":
            return str(registry.suspend(which, stop=True, **more).state)
        if verb == "finish":
            return registry.finish()
        if verb == "reconcile":
            return self.containers.reconcile()
        result = getattr(registry, verb)(which, **more)
        return None if result is None else str(result.state)

    def outcome(self, call: tuple[str, str, dict[str, Any]], at: float) -> dict[str, Any]:
        while time.monotonic() < at:  # all in the same moment, in all processes
            pass
        began = time.monotonic()
        try:
            answer: dict[str, Any] = {"ok": self.do(*call)}
        except SylaError as exc:
            answer = {"error": type(exc).__name__, "message": str(exc)}
        return {**answer, "seconds": time.monotonic() - began}

    def hold(self, verb: str, step: str, go_on: Callable[[], object]) -> None:
        """Whoever gets to that step first stays there for a while; only the first."""
        held: list[int] = []

        def reach(at_verb: str, at_step: str) -> None:
            if (str(at_verb), at_step) == (verb, step) and not held:
                held.append(1)
                say("held")
                go_on()

        self.registry._reach = self.registry.catalog._reach = reach

    def serve(self) -> None:
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(lambda _: time.sleep(0.01), range(THREADS)))  # they are there before the first race
            say("ready")
            for line in sys.stdin:
                asked = json.loads(line)
                self.changes.clear()
                if "hold" in asked:
                    self.hold(*asked["hold"], sys.stdin.readline)
                else:
                    say("calling")
                at = asked.get("at", 0.0)
                outcomes = list(threads.map(lambda call, at=at: self.outcome(call, at), asked["calls"]))
                say({"outcomes": outcomes, "changes": self.changes})
        self.registry.detach()


def main(kind: str, directory: str, database: str) -> None:
    root = Path(directory) / "root"
    if kind == "docker":
        application = app.build(load_settings(NOTHING_READY, os.environ), dict(os.environ))
        Racer(application.registry(), application.service, root, {"template": "bash"}).serve()
    else:
        Racer(*without_containers(Path(directory), database), root, {}).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
