"""The container that a record names: frozen, thawed, given other limits, ended; by the engine and the run directory.

The mark `frozen` in the run directory is there before the container is frozen and goes after it was thawed: where it
is missing nothing is frozen, and nobody has to ask the engine.
"""

from __future__ import annotations

from pathlib import Path

from ..model.errors import WorkspaceLost
from ..model.record import WorkspaceRecord
from ..model.workspace import Limits
from ..runtimes.base import LABEL_RUN, Runtime
from ..runtimes.rundir import RunDir, sweep_kernels

MARK = "frozen"


class Engine:
    def __init__(self, runtime: Runtime, run_dir: Path) -> None:
        self._runtime, self._run_dir = runtime, run_dir

    def run(self, record: WorkspaceRecord) -> RunDir:
        return RunDir(self._run_dir / record.execution)

    def is_frozen(self, record: WorkspaceRecord) -> bool:
        return self.run(record).has(MARK)

    def freeze(self, record: WorkspaceRecord) -> None:
        run = self.run(record)
        run.note(MARK, {})  # first, so that whoever has a message for it waits for our lock, and thaws
        try:
            self._runtime.freeze(self._id(record))
        except BaseException:
            run.forget(MARK)
            raise

    def thaw(self, record: WorkspaceRecord) -> None:
        self._runtime.thaw(self._id(record))
        self.run(record).forget(MARK)

    def reclaim(self, record: WorkspaceRecord) -> int:
        return self._runtime.reclaim(self._id(record))

    def change_limits(self, record: WorkspaceRecord, limits: Limits) -> None:
        self._runtime.change_limits(self._id(record), limits)

    def end(self, execution: str) -> None:
        """Nothing is left of a container, whoever is connected to it."""
        if not execution:
            return
        run = RunDir(self._run_dir / execution)
        for container in self._runtime.find({LABEL_RUN: execution}):
            self._runtime.remove(container.id)
        run.remove()
        sweep_kernels(self._run_dir)

    def _id(self, record: WorkspaceRecord) -> str:
        noted = self.run(record).noted("container")
        if noted is None:
            raise WorkspaceLost(f"workspace {record.name!r} has no container any more", "Try again")
        return noted["id"]
