"""All kernels of the server. Those in workspaces with a record outlive it: they are left behind, and adopted.

Each has a record on disk while it runs (`records`), written when it starts and removed when it is shut down, so it does
not matter how this process ends. A clean stop only lets go. Ephemeral kernels end with the server.

Two holes of the libraries below are closed here: a failed start stayed pending for ever, and one kernel that could not
be shut down kept the server from stopping.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.ioloop import IOLoop
from traitlets import default

from ..model.clock import Clock
from ..workspaces.activity import Signals
from .adoption import DEAD, NO_ANSWER, Answer, Survivor, ask, install, install_dead, is_over, prepare, probe
from .bounded import Kept, Watch, bound
from .cells import Cells
from .event_wire import WarningKind
from .kernel import WorkspaceKernel
from .looking_on import looks_on
from .records import KernelRecord, ServerDirectory

STOP_SECONDS = 15.0
NOTE_SECONDS = 60.0
"""A kernel's last activity is noted on disk this often."""
DEAD_DAYS = 7
"""A kernel that has ended is shown by servers that start up to so long after."""
WAY_OUT = "Its variables are gone, its files are kept. Reload the page to start it again."


listing: ContextVar[bool] = ContextVar("syla_listing", default=False)


@contextlib.contextmanager
def in_a_list() -> Iterator[None]:
    """Models made in here are rows of a list: a page shows what is wrong with a kernel when it asks for it alone."""
    token = listing.set(True)
    try:
        yield
    finally:
        listing.reset(token)


@dataclass(frozen=True)
class Survival:
    """What it takes to leave kernels behind."""

    directory: ServerDirectory
    clock: Clock
    environment_kept: Sequence[str]
    """Names a restart after adoption finds again in the kernel's environment."""
    let_go: Callable[[], None]
    """Blocks. Called at the end of a clean stop: the containers go on without us."""
    why_not_restart: Callable[[str], str]
    """Blocks. Why kernels of a workspace (by id) are not to be restarted by themselves; empty: they are."""


class WorkspaceKernelManager(AsyncMappingKernelManager):
    _survival: Survival | None = None
    tell_end: Callable[[str, str, WarningKind], None] | None = None
    """Blocks. Told of kernels that ended by themselves: workspace id, why, and of what kind that is."""
    tell_execute: Callable[[str, str], None] | None = None
    """(workspace id, user): a page of his has code run."""
    tell_run: Callable[[str, str, bool], None] | None = None
    """(workspace id, kernel id, whether it is busy now)."""

    cells: Cells | None = None
    """Runs cells into shared documents; None where there are none."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self._noted: dict[str, float] = {}
        self._telling: set[asyncio.Future[None]] = set()

    @default("kernel_manager_class")
    def _default_kernel_manager_class(self) -> str:
        return "syla_jupyter.server.kernel.WorkspaceKernel"

    @default("context")
    def _context_default(self) -> Any:
        context = super()._context_default()
        bound(context)
        return context

    # -- adoption ------------------------------------------------------------------------------------------------

    def adopt_all(self, survival: Survival) -> Iterator[str]:
        """Call once, before the first request; blocks for some seconds at most. Gives lines for the log."""
        self._survival = survival
        wanted: dict[str, tuple[KernelRecord, WorkspaceKernel, float]] = {}
        for row in list(survival.directory.read_all()):
            if isinstance(row, str):
                yield row
                continue
            record, active_at = row
            if record.ended and survival.clock.now() - active_at > DEAD_DAYS * 86400:
                survival.directory.remove(record.id)
                continue
            try:
                wanted[record.id] = (record, prepare(self, record), active_at)
            except Exception as exc:  # its kernelspec is gone, say: that is about this kernel alone
                yield f"kernel {record.id} ({record.kernel_name}) cannot be adopted: {exc!r}"
        asked = [(r, k.survivor) for r, k, _ in wanted.values() if not r.ended and k.survivor is not None]
        answers = ask(asked, survival.clock) if asked else {}
        awake = {id: a for id, a in answers.items() if not isinstance(a, Exception) and not wanted[id][1].frozen}
        known = probe(awake, survival.clock) if awake else {}
        for id, (record, kernel, active_at) in wanted.items():
            answer = answers.get(id, TimeoutError(NO_ANSWER))
            yield self._adopt(record, kernel, answer, known.get(id))
            kernel.last_activity = datetime.fromtimestamp(active_at, UTC)  # that we came is none
        if wanted:
            self.initialize_culler()  # type: ignore[no-untyped-call]

    def _adopt(
        self, record: KernelRecord, kernel: WorkspaceKernel, answer: Answer, known: dict[str, Any] | None
    ) -> str:
        kernel.pages = record.pages
        if not isinstance(answer, Exception):
            install(self, kernel, answer, known)
            kernel.adopted = True
            IOLoop.current().add_callback(kernel.caught_up)
            if kernel.execution_state == "busy":
                self._await_answer(kernel)
            return f"kernel {record.id} goes on"
        reason = record.ended or str(answer)
        install_dead(self, kernel, reason)
        if not record.ended and is_over(answer) and self._survival is not None:
            self._write(self._survival, kernel, {}, ended=reason)
        elif not record.ended:
            kernel.unreached = record.place
        IOLoop.current().add_callback(self.go_on_with_runs, kernel)
        return f"kernel {record.id} is dead: {reason}"

    def _await_answer(self, kernel: WorkspaceKernel) -> None:
        """It seemed to run a cell because it was slow to answer; when it answers at last, and no cell has begun or
        ended meanwhile, it did not."""
        stream: Any = kernel.connect_shell()
        before = kernel.state_changes

        def answered(_message: Any) -> None:
            if kernel.state_changes == before:
                kernel.execution_state = "idle"
            stream.close()

        stream.on_recv(answered)
        kernel.session.send(stream, "kernel_info_request")

    # -- records -------------------------------------------------------------------------------------------------

    def remember(self, kernel: WorkspaceKernel) -> None:
        """Have a record of a kernel that outlives us; none of any other."""
        saved = kernel.survivor.saved() if kernel.survivor is not None else None
        if self._survival is not None and saved is not None:
            self._write(self._survival, kernel, dict(saved))

    def forget(self, kernel_id: str) -> None:
        self._noted.pop(kernel_id, None)
        if self._survival is not None:
            self._survival.directory.remove(kernel_id)

    def note_activity(self, kernel: WorkspaceKernel, at: float) -> None:
        if self._survival is None or kernel.kernel_id is None or kernel.execution_state == DEAD:
            return
        if abs(at - self._noted.get(kernel.kernel_id, 0.0)) >= NOTE_SECONDS:
            self._noted[kernel.kernel_id] = at
            self._survival.directory.note_activity(kernel.kernel_id, at)

    def _write(self, survival: Survival, kernel: WorkspaceKernel, place: Mapping[str, str], ended: str = "") -> None:
        arguments: Mapping[str, Any] = cast(Any, kernel._launch_args) or {}
        given = arguments.get("env") or {}
        env = {name: str(given[name]) for name in survival.environment_kept if name in given}
        id, at = str(kernel.kernel_id), survival.clock.now()
        record = KernelRecord(id, kernel.kernel_name, place, str(arguments.get("cwd") or ""), env, kernel.pages, ended)
        try:
            survival.directory.write(record, at)
            self._noted[id] = at
        except OSError as exc:
            self.log.warning("kernel %s will not be found by the next server: %s", id, exc)

    def note_run(self, kernel: WorkspaceKernel, busy: bool) -> None:
        if self.tell_run is not None and kernel.workspace_id:
            self.tell_run(kernel.workspace_id, str(kernel.kernel_id), busy)

    # -- ends ----------------------------------------------------------------------------------------------------

    def note_end(self, workspace_id: str, reason: str, kind: WarningKind) -> None:
        if self.tell_end is not None:
            task = asyncio.ensure_future(asyncio.to_thread(self.tell_end, workspace_id, reason, kind))
            self._telling.add(task)
            task.add_done_callback(self._told_end)

    def _told_end(self, task: asyncio.Future[None]) -> None:
        self._telling.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.log.warning("the end of a kernel is not announced: %s", task.exception())

    async def why_not_restart(self, kernel: WorkspaceKernel) -> str:
        if self._survival is None or not kernel.workspace_id:
            return ""
        return await asyncio.to_thread(self._survival.why_not_restart, kernel.workspace_id)

    def _handle_kernel_died(self, kernel_id: str) -> None:
        """Keep it in the list, where its notebook finds the reason, instead of forgetting it."""
        kernel = cast(WorkspaceKernel | None, self._kernels.get(kernel_id))
        if kernel is None:
            return
        reason = kernel.reason or "it ended again and again"
        self.log.warning("kernel %s is dead: %s", kernel_id, reason)
        kernel.execution_state, kernel.reason = DEAD, reason
        if self._survival is not None:
            self._write(self._survival, kernel, {}, ended=reason)

    async def restart_kernel(self, kernel_id: str, now: bool = False) -> Any:  # type: ignore[override]
        self._check_kernel_id(kernel_id)  # type: ignore[no-untyped-call]
        watched = self.get_kernel(kernel_id)._restarter is not None
        answered = await super().restart_kernel(kernel_id, now=now)  # type: ignore[no-untyped-call]
        if not watched:  # it was dead, so nobody has asked to be told of its end
            self.add_restart_callback(kernel_id, partial(self._handle_kernel_died, kernel_id), DEAD)
        return answered

    async def _add_kernel_when_ready(self, kernel_id: str, km: Any, kernel_awaitable: Awaitable[Any]) -> None:
        await super()._add_kernel_when_ready(kernel_id, km, kernel_awaitable)
        if km.ready.done() and not km.ready.cancelled() and km.ready.exception() is not None:
            self._pending_kernels.pop(kernel_id, None)

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        if not cast(WorkspaceKernel, self._kernels[kernel_id]).frozen:  # costs no memory worth its variables
            await super().cull_kernel_if_idle(kernel_id)  # type: ignore[no-untyped-call]

    async def shutdown_all(self, now: bool = False) -> None:  # type: ignore[override]
        """Of a clean stop: bounded in time, whatever a kernel does."""
        await self._within(list(self._pending_kernels.values()), "starting")
        ending: list[Coroutine[Any, Any, Any]] = []
        for kernel_id, kernel in list(self._kernels.items()):
            if self._outlives(kernel):
                # It stays in the list: a page that still looks must not find that it is gone.
                kernel.stop_restarter()
                self.stop_watching_activity(kernel_id)  # type: ignore[no-untyped-call]
                self.stop_buffering(kernel_id)  # type: ignore[no-untyped-call]
                kernel.cleanup_connection_file()
                if self._survival is not None:
                    self._survival.directory.note_activity(kernel_id, kernel.last_activity.timestamp())
            else:
                ending.append(self.shutdown_kernel(kernel_id, now=now))  # type: ignore[no-untyped-call]
        await self._within([asyncio.ensure_future(one) for one in ending], "shutting down")
        if self._survival is not None:
            await self._within([asyncio.ensure_future(asyncio.to_thread(self._survival.let_go))], "being let go")
            self._survival.directory.release()

    def _outlives(self, kernel: WorkspaceKernel) -> bool:
        if self._survival is None:
            return False
        survivor: Survivor | None = kernel.survivor
        return kernel.execution_state == DEAD or (survivor is not None and survivor.saved() is not None)

    async def _within(self, tasks: Sequence[asyncio.Future[Any]], doing: str) -> None:
        if not tasks:
            return
        done, slow = await asyncio.wait(tasks, timeout=STOP_SECONDS)
        for task in slow:
            self.log.warning("a kernel is still %s after %g s: left", doing, STOP_SECONDS)
            task.cancel()
        for task in done:
            if not task.cancelled() and task.exception() is not None:
                self.log.warning("a kernel failed %s: %s", doing, task.exception())

    # -- cells that the server runs ------------------------------------------------------------------------------

    def has_runs(self, kernel_id: str) -> bool:
        """Whether the server before has left cells that it ran in this kernel."""
        return self.cells is not None and self.cells.logs.has_unfinished(kernel_id)

    def go_on_with_runs(self, kernel: WorkspaceKernel) -> None:
        if self.cells is not None and self.has_runs(kernel.kernel_id):
            self.cells.of(kernel).adopt()

    def end_runs(self, kernel: WorkspaceKernel, reason: str, *, sent_only: bool = False) -> None:
        if self.cells is not None:
            self.cells.ended(kernel, reason, sent_only=sent_only)

    def close_runs(self, kernel: WorkspaceKernel) -> None:
        if self.cells is not None:
            self.cells.closed(kernel)

    # -- what a page misses while it is away ---------------------------------------------------------------------

    def get_buffer(self, kernel_id: str, session_key: str) -> Any:
        """Asking discards what is kept for another session; not when who asks only looks on."""
        if looks_on(session_key):
            return None
        kept = super().get_buffer(kernel_id, session_key)  # type: ignore[no-untyped-call]
        if kept is not None and kept["buffer"].lost:
            cast(WorkspaceKernel, self._kernels[kernel_id]).missed = kept["buffer"].first_parent()
        return kept

    def start_buffering(self, kernel_id: str, session_key: str, channels: Any) -> None:
        if not looks_on(session_key):
            super().start_buffering(kernel_id, session_key, channels)  # type: ignore[no-untyped-call]
            if kernel_id in self._kernel_buffers:
                self._kernel_buffers[kernel_id]["buffer"] = Kept()
            return
        for stream in channels.values():
            if not stream.closed():
                stream.on_recv(None)
                stream.close()

    def start_watching_activity(self, kernel_id: str) -> None:
        super().start_watching_activity(kernel_id)  # type: ignore[no-untyped-call]
        Watch(cast(Any, self._kernels[kernel_id])._activity_stream)

    # -- what others want to know --------------------------------------------------------------------------------

    def kernel_model(self, kernel_id: str) -> dict[str, Any]:
        model: dict[str, Any] = super().kernel_model(kernel_id)  # type: ignore[no-untyped-call]
        if model["execution_state"] == DEAD:
            model["reason"] = f"{model.get('reason', '')} {WAY_OUT}".strip()
            if not listing.get():
                cast(WorkspaceKernel, self._kernels[kernel_id]).tell()
        return model

    def list_kernels(self) -> list[dict[str, Any]]:
        with in_a_list():
            return list(super().list_kernels())  # type: ignore[no-untyped-call]

    def activity(self) -> Mapping[str, Signals]:
        """By workspace id, what its kernels and their pages do; executions are those since the last call.

        May be called from another thread.
        """
        found: dict[str, Signals] = defaultdict(Signals)
        for kernel_id, kernel in list(self._kernels.items()):
            if not kernel.workspace_id or kernel.execution_state == DEAD:
                continue
            busy = kernel.execution_state == "busy" and not kernel.frozen
            seen = found[kernel.workspace_id]
            found[kernel.workspace_id] = replace(
                seen,
                kernels_busy=seen.kernels_busy + busy,
                kernels_idle=seen.kernels_idle + (not busy),
                open_tabs=seen.open_tabs + self._kernel_connections.get(kernel_id, 0),
                executions=seen.executions + kernel.executions,
            )
            kernel.executions = 0
        return dict(found)

    def workspace_of(self, kernel_id: str) -> str:
        """Id of its workspace; empty for an unknown kernel and for one outside of any. Any thread may ask."""
        kernel = cast(WorkspaceKernel | None, self._kernels.get(kernel_id))
        return "" if kernel is None else kernel.workspace_id
