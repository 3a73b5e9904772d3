"""One kernel of the server: what jupyter_server has, and besides that it may be suspended, and may outlive the server.

Suspended: its workspace is thawed before the kernel is asked anything, be it an interrupt, a restart or a shutdown.

Dead: jupyter_server forgets a kernel that cannot be restarted. Here it stays with `execution_state` "dead" and the
reason, so that its notebook's page can show it, until somebody restarts it, opens it anew, or shuts it down. A kernel
whose workspace was stopped, archived or deleted is not restarted by itself: that would undo what was asked for.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from jupyter_client.ioloop.restarter import AsyncIOLoopKernelRestarter
from jupyter_server._tz import utcnow
from jupyter_server.services.kernels.kernelmanager import ServerKernelManager
from traitlets import Type, default, observe

from ..model.errors import SylaError, WorkspaceLost
from .adoption import DEAD, Survivor
from .replay import catch_up, replay_of

PAGES_MAX = 100


class WorkspaceRestarter(AsyncIOLoopKernelRestarter):
    """Gives up after as many failed restarts as after restarts that did not last."""

    async def poll(self) -> None:  # type: ignore[override] # as its parent has it
        kernel = self.kernel_manager
        if kernel.shutting_down:
            return
        try:
            if not await kernel.is_alive() and (reason := await kernel.parent.why_not_restart(kernel)):
                if not kernel.shutting_down:
                    kernel.reason = reason
                    self.stop()
                    self._fire_callbacks(DEAD)
                return
            await super().poll()
        except Exception as exc:
            self.log.warning("kernel %s could not be restarted: %s", kernel.kernel_id, exc)
            kernel.reason = str(exc)
            self._restarting = True  # one more of those that count


class WorkspaceKernel(ServerKernelManager):
    restarter_class = Type(WorkspaceRestarter, klass=WorkspaceRestarter)
    executions = 0
    """Cells that came to their end since somebody last set this to 0."""
    state_changes = 0
    unreached: Mapping[str, str] | None = None
    """Where it runs, perhaps: it did not answer when the server started."""
    adopted = False
    missed: Mapping[str, Any] | None = None
    """Output of the request with this header did not get to a page: the next page is told."""
    told_at: float | None = None
    """When a page was first told that it is dead, by the loop's time; None: none was."""
    _kernel_info_future: Any
    _catching_up: asyncio.Task[None] | None = None
    pages: Sequence[str] = ()

    @default("last_activity")
    def _at_first(self) -> Any:
        """Whoever asks for the list while it is being started gets this; it would get an error instead of the list."""
        return utcnow()

    @property
    def _all(self) -> Any:
        """The `WorkspaceKernelManager`."""
        return self.parent

    @property
    def survivor(self) -> Survivor | None:
        """Its provisioner, when kernels of its kind outlive a server."""
        return cast(Survivor, self.provisioner) if hasattr(type(self.provisioner), "adopt") else None

    @property
    def workspace_id(self) -> str:
        """Empty for a kernel outside of any workspace with a record."""
        return self.survivor.workspace_id if self.survivor is not None else ""

    @property
    def frozen(self) -> bool:
        """Whether its workspace is suspended, or stands still for another reason; as `LiveWorkspace.frozen`."""
        return self.survivor is not None and self.survivor.frozen

    async def thawed(self) -> None:
        """Return when its workspace runs; `SylaError` when it cannot be resumed."""
        if self.frozen and self.survivor is not None:
            await asyncio.to_thread(self.survivor.thaw)
        await self.caught_up()

    async def caught_up(self) -> None:
        """Once for an adopted kernel that runs: it keeps what it prints until a websocket has got it."""
        if self.adopted and self._catching_up is None and not self.frozen:
            self._catching_up = asyncio.ensure_future(self._catch_up())
            self._catching_up.add_done_callback(self._told_of)
        if self._catching_up is not None:
            await asyncio.wait({self._catching_up})

    async def _catch_up(self) -> None:
        try:
            await catch_up(self._all, self.kernel_id, keep_all=self._all.has_runs(self.kernel_id))
        finally:
            self._all.go_on_with_runs(self)

    def _told_of(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.log.warning("kernel %s: what it printed meanwhile is lost: %r", self.kernel_id, task.exception())

    # -- pages ---------------------------------------------------------------------------------------------------

    def note_page(self, session: str) -> None:
        """A page has opened its websocket under this id, which it keeps until it is closed or loaded anew.

        The next server knows it too: such a page opens it again by itself.
        """
        page, known = _digest(session), self.pages
        self.pages = (*[one for one in known if one != page][-PAGES_MAX + 1 :], page)
        if page not in known:
            self._all.remember(self)

    def is_known_page(self, session: str) -> bool:
        """Whether it was open before, and what the kernel says of itself is known: it need not be asked anything."""
        info = getattr(self, "_kernel_info_future", None)
        return _digest(session) in self.pages and info is not None and info.done()

    # -- verbs ---------------------------------------------------------------------------------------------------

    async def start_kernel(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        started = await super().start_kernel(*args, **kwargs)
        self._all.remember(self)
        return started

    async def interrupt_kernel(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        await self.thawed()
        return await super().interrupt_kernel(*args, **kwargs)

    async def restart_kernel(self, now: bool = False, **kwargs: Any) -> Any:  # type: ignore[override]
        dead = self.execution_state == DEAD
        if dead:
            await self._reach()
            self.execution_state = "starting"
        else:
            await self.thawed()
        self._all.end_runs(self, self.reason)
        try:
            restarted = await super().restart_kernel(now=now or dead, **kwargs)
        except BaseException as exc:
            if dead:
                self.execution_state, self.reason = DEAD, str(exc)
            raise
        self.adopted, self.told_at = False, None
        self._all.end_runs(self, "", sent_only=True)
        if self.execution_state == "busy":
            self.execution_state = "idle"  # the cell ended with the former kernel, which could not say so any more
        replay = replay_of(self)
        if replay is not None:
            replay.finish()  # what the former kernel printed went with it
        self._all.remember(self)
        return restarted

    async def shutdown_kernel(self, now: bool = False, restart: bool = False) -> Any:  # type: ignore[override]
        try:
            if self.execution_state == DEAD:
                now = True
                await self._reach()
            else:
                await self.thawed()
        except SylaError as exc:
            self.log.warning("kernel %s may go on for a while: %s", self.kernel_id, exc)
            now = True
        ended = await super().shutdown_kernel(now=now, restart=restart)
        if not restart:
            self._all.note_run(self, False)
            self._all.forget(self.kernel_id)
            self._all.close_runs(self)
        return ended

    def update_env(self, *, env: dict[str, str]) -> None:
        super().update_env(env=env)
        self._all.remember(self)

    def tell(self) -> float:
        """A page is told that it is dead; how many seconds ago the first was."""
        now: float = self.loop.time()
        if self.told_at is None:
            self.told_at = now
        return now - self.told_at

    async def _reach(self) -> None:
        """One that did not answer when the server started may answer now: then it can be ended in order."""
        place, self.unreached = self.unreached, None
        if place is None or self.survivor is None or self.has_kernel:
            return
        try:
            self.load_connection_info(await asyncio.to_thread(self.survivor.adopt, place))
        except WorkspaceLost:
            pass  # it has ended
        except BaseException:
            self.unreached = place
            raise

    # -- what others want to know --------------------------------------------------------------------------------

    @observe("execution_state")
    def _execution_state_changed(self, change: Any) -> None:
        self.state_changes += 1
        self._all.note_run(self, change["new"] == "busy")
        if change["new"] == DEAD:
            self._all.end_runs(self, self.reason)
        if change["old"] == "busy" and change["new"] == "idle":
            self.executions += 1

    @observe("reason")
    def _reason_changed(self, change: Any) -> None:
        """Why it ended, where nobody asked for that; emptied when it starts anew."""
        if change["new"]:
            self._all.end_runs(self, change["new"])
        if change["new"] and self.workspace_id:
            memory = getattr(self.provisioner, "out_of_memory", False)
            self._all.note_end(self.workspace_id, change["new"], "memory" if memory else "kernel")

    @observe("last_activity")
    def _last_activity_changed(self, change: Any) -> None:
        self._all.note_activity(self, change["new"].timestamp())


def _digest(session: str) -> str:
    """Who knows a session's id can take its place; whoever reads a record shall not."""
    return hashlib.sha256(session.encode(errors="replace")).hexdigest()[:16]
