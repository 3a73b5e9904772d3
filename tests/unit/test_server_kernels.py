"""The server's kernels without any container: what is told of them, and what happens when they cannot be started."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

from syla_jupyter.model.clock import SystemClock
from syla_jupyter.server.kernel import WorkspaceKernel, WorkspaceRestarter
from syla_jupyter.server.kernels import Survival, WorkspaceKernelManager
from syla_jupyter.server.records import claim
from syla_jupyter.workspaces.activity import Signals


class Place:
    """Where a kernel runs, in place of a provisioner with a container."""

    has_process = True

    def __init__(self, workspace_id: str, frozen: bool = False) -> None:
        self.workspace_id, self.frozen = workspace_id, frozen

    def thaw(self) -> None: ...

    def saved(self) -> Mapping[str, str] | None:
        return {"workspace": self.workspace_id}

    def adopt(self, saved: Mapping[str, str]) -> Any: ...


@pytest.fixture
async def kernels(tmp_path: Path) -> AsyncIterator[WorkspaceKernelManager]:
    specs = KernelSpecManager(kernel_dirs=[], ensure_native_kernel=False)
    manager = WorkspaceKernelManager(kernel_spec_manager=specs, connection_dir=str(tmp_path), root_dir=str(tmp_path))
    directory_of_server = claim(tmp_path / "servers", tmp_path)
    survival = Survival(directory_of_server, SystemClock(), ["LANG"], lambda: None, lambda workspace: "")
    assert list(manager.adopt_all(survival)) == []
    yield manager
    manager.context.destroy(0)


def added(kernels: WorkspaceKernelManager, id: str, place: Place, state: str, at: int = 1000) -> WorkspaceKernel:
    kernel = WorkspaceKernel(parent=kernels, kernel_name="x")
    kernel.kernel_id = id
    kernel.provisioner = place  # type: ignore[assignment] # has what is asked of it
    kernel.execution_state = state
    kernel.last_activity = datetime.fromtimestamp(at, UTC)
    kernels._kernels[id] = kernel
    kernels._kernel_connections[id] = 0
    return kernel


async def test_one_that_is_being_started_is_listed(kernels: WorkspaceKernelManager) -> None:
    """Before anything has set its time."""
    kernels._kernels["new"] = kernel = WorkspaceKernel(parent=kernels, kernel_name="x", provisioner=Place("w"))
    kernel.kernel_id = "new"
    kernels._kernel_connections["new"] = 0
    assert [model["id"] for model in kernels.list_kernels() if model["last_activity"]] == ["new"]


async def test_activity(kernels: WorkspaceKernelManager) -> None:
    """Busy is what computes; what is frozen, starting or dead is not; executions count once."""
    one = added(kernels, "1", Place("a"), "idle", 1000)
    added(kernels, "2", Place("a"), "busy", 3000)
    added(kernels, "3", Place("b", frozen=True), "busy", 2000)
    added(kernels, "4", Place("c"), "dead")
    added(kernels, "5", Place(""), "busy")
    added(kernels, "6", Place("d"), "starting", 10)
    kernels.notify_connect("1")
    for _ in range(3):
        one.execution_state = "busy"
        one.execution_state = "idle"
    assert kernels.activity() == {
        "a": Signals(kernels_busy=1, kernels_idle=1, executions=3, open_tabs=1),
        "b": Signals(kernels_idle=1),
        "d": Signals(kernels_idle=1),
    }
    assert kernels.activity()["a"].executions == 0


async def test_a_record_of_each_kernel(kernels: WorkspaceKernelManager) -> None:
    """What may be inherited is in it, and nothing else of the environment; it says when the kernel was last active."""
    kernel = added(kernels, "1", Place("a"), "idle")
    arguments: Any = {"cwd": "/root/x", "env": {"LANG": "C", "SECRET": "hunter2"}}
    kernel._launch_args = arguments
    kernels.remember(kernel)
    assert kernels._survival is not None
    directory = kernels._survival.directory
    ((record, at),) = directory.read_all()  # type: ignore[misc] # no line for the log
    assert (record.place, record.cwd, record.env) == ({"workspace": "a"}, "/root/x", {"LANG": "C"})
    for later, noted in ((30.0, at), (90.0, at + 90.0)):
        kernel.last_activity = datetime.fromtimestamp(at + later, UTC)
        assert next(iter(directory.read_all()))[1] == pytest.approx(noted, abs=0.001)


@pytest.mark.parametrize("pending", [False, True])
async def test_a_failed_start_is_not_waited_for(kernels: WorkspaceKernelManager, pending: bool) -> None:
    """A start that has failed leaves nothing that a stop would wait for."""
    kernels.use_pending_kernels = pending
    try:
        await kernels.start_kernel(kernel_name="none", kernel_id="1")
    except NoSuchKernel:
        assert not pending
    await asyncio.gather(*kernels._pending_kernels.values(), return_exceptions=True)
    assert kernels._pending_kernels == {}
    async with asyncio.timeout(30):
        await kernels.shutdown_all()
    assert kernels.list_kernel_ids() == []


async def test_an_end_by_itself_is_told(kernels: WorkspaceKernelManager) -> None:
    """Why a kernel has ended goes to who announces it, once, with what kind of end it was; a fresh start does not."""
    told: list[tuple[str, str, str]] = []
    kernels.tell_end = lambda *what: told.append(what)
    kernel = added(kernels, "1", Place("a"), "busy")
    outside = added(kernels, "2", Place(""), "busy")
    for reason in ("killed", "killed", ""):
        kernel.reason = outside.reason = reason
    kernel.provisioner.out_of_memory = True  # type: ignore[union-attr]
    kernel.reason = "too much memory"
    await asyncio.gather(*kernels._telling)
    assert told == [("a", "killed", "kernel"), ("a", "too much memory", "memory")]
    assert kernels._telling == set()


class Doomed(WorkspaceKernel):
    restarts = 0

    async def is_alive(self) -> bool:  # type: ignore[override]
        return False

    async def restart_kernel(self, now: bool = False, **kwargs: Any) -> Any:
        self.restarts += 1
        raise RuntimeError("no engine")


async def test_a_restart_that_fails_is_not_tried_for_ever(kernels: WorkspaceKernelManager) -> None:
    """After some attempts the kernel is dead, with the reason; it stays in the list, and on record."""
    kernel = Doomed(parent=kernels, kernel_name="x")
    kernel.kernel_id = "1"
    kernel.execution_state = "idle"
    kernel.last_activity = datetime.now(UTC)
    kernels._kernels["1"] = kernel
    restarter = WorkspaceRestarter(kernel_manager=kernel, loop=kernel.loop, parent=kernel)
    restarter.add_callback(lambda: kernels._handle_kernel_died("1"), "dead")
    for _ in range(20):
        await restarter.poll()
        if kernel.execution_state == "dead":
            break
    assert kernel.restarts == restarter.restart_limit
    assert kernels.kernel_model("1")["reason"].startswith("no engine")
    assert kernels._survival is not None
    ((record, _),) = kernels._survival.directory.read_all()  # type: ignore[misc]
    assert (record.ended, record.place) == ("no engine", {})
