"""Cells that the server runs, of all its kernels: who may have which run, and what is to be seen of them.

A document belongs to the workspace where its file is, and a kernel runs cells of documents of its own workspace only:
whoever may execute there may have its outputs written there. Outside of any workspace with a record, the notebook's own
session says which kernel it has. Everything here is called on the server's loop, but for what says that it blocks.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..model.errors import BadInput, Conflict, Forbidden, UnknownExecution
from .adopted_runs import AdoptedRuns
from .adoption import DEAD
from .cell_queue import Asked
from .cell_run import Run
from .kernel_runs import Around, KernelRuns
from .naming import NOWHERE
from .run_log import RunLogs
from .shared_cell import SharedCell
from .shared_documents import ROOM, Edits, arrival

ID_MAX = 200
INPUT_MAX = 1 << 20


@dataclass(frozen=True)
class Waiting:
    """A run that has not ended, as it is shown."""

    workspace: str
    kernel: str
    run: Run
    position: int
    """0: it runs."""
    path: str


class Cells:
    """
    Parameters
    ----------
    workspace_at : id of the workspace of an API path, `NOWHERE` for none; blocks.
    kernels : the kernel manager.
    sessions : coroutine function that lists Jupyter's sessions.
    """

    def __init__(
        self, around: Around, *, kernels: Any, sessions: Callable[[], Any], workspace_at: Callable[[str], str]
    ) -> None:
        self._around, self._kernels, self._sessions = around, kernels, sessions
        self._workspace_at = workspace_at
        self._of: dict[str, AdoptedRuns] = {}
        around.documents.in_use = self._in_use

    @property
    def logs(self) -> RunLogs:
        return self._around.logs

    def of(self, kernel: Any) -> AdoptedRuns:
        found = self._of.get(kernel.kernel_id)
        if found is None:
            found = self._of[kernel.kernel_id] = AdoptedRuns(kernel, self._around)
        return found

    def ended(self, kernel: Any, reason: str, *, sent_only: bool = False) -> None:
        if found := self._of.get(kernel.kernel_id):
            found.ended(reason, sent_only=sent_only)

    def closed(self, kernel: Any) -> None:
        if found := self._of.pop(kernel.kernel_id, None):
            found.close()

    # -- asked for by people -------------------------------------------------------------------------------------

    def arrived(self, kernel_id: str, number: int) -> None:
        """So many more requests are under way for that kernel."""
        if kernel_id in self._kernels:
            self.of(self._kernels.get_kernel(kernel_id)).arriving += number

    async def run(
        self, kernel_id: str, cell: Any, document: Any, *, edits: Edits | None = None, user: str, owner: bool
    ) -> Run:
        """Queue a cell, as it is once the document has `edits`. That its user may execute in the kernel's workspace was
        found out before.

        `BadInput`: no such kernel, document or cell; `Forbidden`: the document is not of the kernel's workspace;
        `Conflict`: the kernel is dead, or the edits do not come.
        """
        if not isinstance(cell, str) or not 0 < len(cell) <= ID_MAX:
            raise BadInput("cell_id", "this is no id of a cell")
        if kernel_id not in self._kernels:
            raise BadInput("kernel_id", "there is no such kernel")
        kernel = self._kernels.get_kernel(kernel_id)
        if kernel.execution_state == DEAD:
            raise Conflict(f"the kernel is dead: {kernel.reason}", "Restart it")
        room = await self._room(kernel, document)
        shared = await self._around.documents.notebook(room)
        if shared is not None and edits is not None and not await arrival(shared, edits):
            way_out = "Run it again; if that fails, reload the page"
            raise Conflict("what you typed last has not reached the server", way_out)
        if shared is None or SharedCell(cell).find(shared) is None:
            raise BadInput("cell_id", "there is no code cell of that id in the document")
        asked = Asked(secrets.token_hex(16), user, room, cell, self._around.clock.now(), owner)
        return await self.of(kernel).ask(asked, shared)

    async def _room(self, kernel: Any, document: Any) -> str:
        """Of the document, which has to be the kernel's."""
        attached = {
            str(one["path"]).strip("/") for one in await self._sessions() if one["kernel"]["id"] == kernel.kernel_id
        }
        documents = self._around.documents
        if document is None:  # a page that has not been told yet; then it is the only notebook of that kernel
            rooms = [room for path in sorted(attached) if (room := documents.room_of(path))]
            if len(rooms) != 1:
                raise BadInput("document_id", "the kernel has not exactly one notebook", "Name the document")
            document = rooms[0]
        path = documents.path_of(document) if isinstance(document, str) and ROOM.fullmatch(document) else None
        if path is None:
            raise BadInput("document_id", "there is no such notebook")
        workspace = await asyncio.to_thread(self._workspace_at, path)
        its_own = workspace != NOWHERE and workspace == kernel.workspace_id
        if not its_own and (kernel.workspace_id or path not in attached):
            raise Forbidden("not allowed", "A kernel runs cells of documents of its own workspace")
        return str(document)

    def waiting(self, workspace: str = "") -> Sequence[Waiting]:
        """Of a workspace; empty: of all."""
        rows = []
        for runs in self._of.values():
            if not workspace or runs.kernel.workspace_id == workspace:
                first = 0 if runs.queue.running is not None else 1
                for position, run in enumerate(runs.open_runs, first):
                    path = self._around.documents.path_of(run.asked.room) or ""
                    rows.append(Waiting(runs.kernel.workspace_id, runs.kernel.kernel_id, run, position, path))
        return rows

    def cancel(self, workspace: str, id: str, user: str) -> None:
        """One's own, while it waits. `UnknownExecution`; `Conflict`: it runs, and is to be interrupted."""
        runs, run = self._mine(workspace, id, user)
        if not runs.cancel(run):
            raise Conflict("it runs already", "Interrupt the kernel")

    def answer(self, workspace: str, id: str, user: str, text: str) -> None:
        """What one's own cell asks for. `UnknownExecution`, `Conflict`, `BadInput`."""
        if len(text) > INPUT_MAX:
            raise BadInput("value", f"{len(text)} characters are too many")
        runs, run = self._mine(workspace, id, user)
        if not runs.answer(run, text):
            raise Conflict("it does not ask for input", "Look at the queue again")

    def _mine(self, workspace: str, id: str, user: str) -> tuple[KernelRuns, Run]:
        for runs in self._of.values():
            if runs.kernel.workspace_id == workspace:
                for run in runs.open_runs:
                    if run.asked.id == id and run.asked.user == user:
                        return runs, run
        raise UnknownExecution("execution", "you have no cell of that id here that runs or waits")

    def _in_use(self, room: str) -> bool:
        return any(one.asked.room == room for runs in self._of.values() for one in runs.open_runs)
