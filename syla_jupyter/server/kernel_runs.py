"""The cells that the server runs in one kernel: one after the other, each into its document.

    asked ─► queued ─► sent ─► output ... ─► replied and idle ─► the document says so ─► it is on disk: forgotten
                 │ cancelled, an error of the same person before it, the kernel's end: aborted

Who asked is asked for again when his turn comes: a role may have been taken meanwhile. A connection to the kernel is
made with the first cell and stays, since threads go on printing after the cell that started them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..model.clock import Clock
from ..model.errors import InsufficientResources, SylaError
from .adoption import DEAD
from .cell_client import CellClient, Frames
from .cell_queue import QUEUED_MAX, Asked, CellQueue
from .cell_run import MASK, OF_THE_RUN, Run
from .frames import header_of, parent_of, signature_of
from .run_log import RunLogs
from .shared_cell import SharedCell
from .shared_documents import SharedDocuments

FLUSH_SECONDS = 0.05
"""At most this often a document is written to; the first output does not wait."""
SETTLE_SECONDS = 3.0
"""For the reply when the kernel is idle, or the other way round."""
ARRIVE_SECONDS = 0.2
"""Requests that are being decided about may be for cells above this one; not waited for any longer."""
READY_SECONDS = 60.0
"""For a kernel that is being started again."""
LATE_MAX = 200
"""Cells whose threads and displays may still have something to say."""
LATE_SIZE_MAX = 64 << 20
SAVE_TRIES, SAVE_SECONDS = 30, 1.0
MESSAGE_ID = b'"msg_id"'
log = logging.getLogger("syla.server")


@dataclass(frozen=True)
class Around:
    """What runs of all kernels share."""

    documents: SharedDocuments
    logs: RunLogs
    clock: Clock
    may_execute: Callable[[Asked, str], bool]
    """Blocks. Whether who asked may execute in that workspace, now."""
    changed: Callable[[str, Run, str], None]
    """Told of what happens to a run in a workspace: `queued`, `started`, `input`, `completed`."""
    vouched: Callable[[str, str, Sequence[Mapping[str, Any]]], None]
    """Blocks. Told who has run what, by its id, and all that it displays (`trust`)."""
    aside: Callable[[str, str], str]
    """Words that say where all output of an execution of a workspace is."""


class KernelRuns:
    def __init__(self, kernel: Any, around: Around) -> None:
        self.kernel, self._around = kernel, around
        self.queue = CellQueue()
        self.arriving = 0
        """Requests that are being decided about."""
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._cells: dict[str, SharedCell] = {}
        self._client: CellClient | None = None
        self._work: asyncio.Task[None] | None = None
        self._dirty: dict[str, Run] = {}
        self._flushing: asyncio.Task[None] | None = None
        self._settling: set[asyncio.Task[None]] = set()

    # -- asked for by people -------------------------------------------------------------------------------------

    def run_of(self, id: str) -> Run | None:
        return self._runs.get(id)

    @property
    def open_runs(self) -> list[Run]:
        """In the order of their turn."""
        first = [self.queue.running] if self.queue.running is not None else []
        return [self._runs[one.id] for one in [*first, *self.queue.waiting]]

    async def ask(self, asked: Asked, document: Any) -> Run:
        """Queue it; `InsufficientResources`. The same cell asked for twice while it waits runs once."""
        known = next((r for r in self.open_runs[1:] if (r.asked.room, r.asked.cell) == (asked.room, asked.cell)), None)
        if known is not None:
            return known
        if len(self.queue.waiting) >= QUEUED_MAX:
            raise InsufficientResources(f"{QUEUED_MAX} cells wait for this kernel already", "Cancel some of them")
        cell = SharedCell(asked.cell)
        place = cell.place(document)
        run_log = None
        with contextlib.suppress(OSError):  # a full disk: the run does not outlive the server
            run_log = self._around.logs.begin(self._id, asked.id, Run.head(asked))
        run = Run(asked, run_log, self._around.aside(self._workspace, asked.id))
        self._add(run, cell)
        cell.begin(document)
        self.queue.add(asked, place)
        self._around.changed(self._workspace, run, "queued")
        self._advance()
        return run

    def cancel(self, run: Run) -> bool:
        """False: it does not wait any more."""
        gone = self.queue.drop(id=run.asked.id)
        for one in gone:
            self._abort(one, "")
        return bool(gone)

    def answer(self, run: Run, text: str) -> bool:
        """False: it asks nothing."""
        if run.question is None or self._client is None:
            return False
        masked = MASK if run.question["password"] else text
        self._client.answer(run.question_from, text)
        run.note({"type": "answered", "content": {"shown": f"{run.question['prompt']} {masked}\n"}})
        self._touch(run)
        return True

    def ended(self, reason: str, *, sent_only: bool = False) -> None:
        """The kernel is gone, or another one in its place. `sent_only`: what was not sent yet is for the new one."""
        for one in [] if sent_only else self.queue.drop(everything=True):
            self._abort(one, "")
        running = self.queue.running
        if running is not None and (self._runs[running.id].sent or not sent_only):
            self._fail(self._runs[running.id], reason or "The kernel was restarted while this cell ran.")
        self._disconnect()

    def close(self) -> None:
        """The kernel will not come back."""
        self.ended("The kernel was shut down.")
        self._later(self._forget(set(self._settling)))

    async def _forget(self, before: set[asyncio.Task[None]]) -> None:
        if self._work is not None:
            await asyncio.wait({self._work})
        if settling := {*before, *self._settling} - {asyncio.current_task()}:
            await asyncio.wait(settling)
        self._around.logs.forget(self._id)

    # -- one after the other -------------------------------------------------------------------------------------

    @property
    def _id(self) -> str:
        return str(self.kernel.kernel_id)

    @property
    def _workspace(self) -> str:
        return str(self.kernel.workspace_id)

    def _add(self, run: Run, cell: SharedCell) -> None:
        self._runs[run.asked.id], self._cells[run.asked.id] = run, cell
        size = sum(one.size for one in self._runs.values()) if len(self._runs) > LATE_MAX // 4 else 0
        for id in [id for id, one in self._runs.items() if one.finished.is_set()]:
            if len(self._runs) <= LATE_MAX and size <= LATE_SIZE_MAX:
                break
            size -= self._runs.pop(id).size
            del self._cells[id]

    def _advance(self) -> None:
        if self._work is None or self._work.done():
            self._work = asyncio.ensure_future(self._run_all())

    async def _run_all(self) -> None:
        while self.queue.waiting and self.queue.running is None:
            await self._arrived()
            asked = self.queue.start()
            if asked is None:
                return
            await self._run_one(self._runs[asked.id])

    async def _arrived(self) -> None:
        waited = 0.0
        while self.arriving and waited < ARRIVE_SECONDS:
            await asyncio.sleep(0.005)
            waited += 0.005

    async def _run_one(self, run: Run, *, sent: bool = False) -> None:
        try:
            if sent or await self._send(run):
                await self._until_over(run)
        except (SylaError, OSError, TimeoutError, RuntimeError) as exc:
            self._fail(run, str(exc) or "The kernel did not answer.")
        except Exception as exc:
            log.exception("cell %s could not be run", run.asked.cell)
            self._fail(run, f"It could not be run: {type(exc).__name__}")
        finally:
            self.queue.end()
        if run.status == "error":
            for one in self.queue.drop(user=run.asked.user):
                self._abort(one, "")
        await self._finish(run)

    async def _send(self, run: Run) -> bool:
        """False: there is nothing to run."""
        kernel, asked = self.kernel, run.asked
        if not await asyncio.to_thread(self._around.may_execute, asked, self._workspace):
            self._fail(run, "You may not run anything here any more.", "aborted")
            return False
        if kernel.execution_state == DEAD:
            raise RuntimeError(kernel.reason or "The kernel is dead: restart it")
        await kernel.thawed()
        await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(kernel.ready)), READY_SECONDS)
        document = await self._around.documents.notebook(asked.room)
        cell = self._cells[asked.id]
        source = cell.source(document) if document is not None else ""
        if not source.strip():
            run.note({"type": "failed", "content": {"reason": "", "status": "ok"}})
            return False
        stop = "raises-exception" not in cell.tags(document)
        client = await self._connected()
        run.note({"type": "sent"})
        client.execute(asked.id, source, asked.cell, stop_on_error=stop)
        self._around.changed(self._workspace, run, "started")
        return True

    async def _until_over(self, run: Run) -> None:
        while not run.over.is_set():
            half = run.replied or run.idle
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(run.over.wait(), SETTLE_SECONDS if half else SETTLE_SECONDS * 10)
            if half and not run.over.is_set():
                run.note({"type": "ended", "content": {"status": run.status or _guess(run)}})

    async def _finish(self, run: Run) -> None:
        if not run.status:
            run.note({"type": "ended", "content": {"status": _guess(run)}})
        await self._show(run, ended=True)
        self._later(self._vouch(run))
        run.finished.set()
        self._around.changed(self._workspace, run, "completed")
        self._later(self._settle(run))

    async def _settle(self, run: Run) -> None:
        """What is on disk needs no log."""
        if run.log is None:
            return
        for _ in range(SAVE_TRIES):
            await asyncio.sleep(SAVE_SECONDS)
            if self._is_over(run):
                break
            saved = await self._around.documents.saved_cell(run.asked.room, run.asked.cell)
            if saved is None or (saved and (saved.get("metadata") or {}).get("execution", {}) == self._execution(run)):
                break
        run.log.remove()
        run.log = None

    def _abort(self, asked: Asked, reason: str) -> None:
        run = self._runs[asked.id]
        self._fail(run, reason, "aborted")
        self._later(self._finish(run))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    def _fail(self, run: Run, reason: str, status: str = "error") -> None:
        run.note({"type": "failed", "content": {"reason": reason, "status": status}})
        self._touch(run)

    # -- into the document ---------------------------------------------------------------------------------------

    def _touch(self, run: Run) -> None:
        self._dirty[run.asked.id] = run
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.ensure_future(self._flush())

    async def _flush(self) -> None:
        while self._dirty:
            dirty, self._dirty = self._dirty, {}
            for run in dirty.values():
                await self._show(run, ended=run.finished.is_set())
                if run.finished.is_set():
                    await self._vouch(run)
            await asyncio.sleep(FLUSH_SECONDS)

    async def _show(self, run: Run, *, ended: bool) -> None:
        cell = self._cells.get(run.asked.id)
        if cell is None or self._is_over(run):
            return
        document = await self._around.documents.notebook(run.asked.room)
        if document is not None:
            try:
                cell.show(document, run.outputs, run.count, self._execution(run), ended=ended)
            except Exception:
                log.exception("cell %s of %s cannot be written", run.asked.cell, run.asked.room)

    async def _vouch(self, run: Run) -> None:
        """Whoever ran it sees it whole, in a page that he opens later too."""
        before, run.vouched = run.vouched, run.outputs.displays()
        if len(before) != len(run.vouched) or any(a is not b for a, b in zip(before, run.vouched, strict=True)):
            await asyncio.to_thread(self._around.vouched, run.asked.user, run.asked.id, run.vouched)

    def _is_over(self, run: Run) -> bool:
        """The same cell was asked for again: what a thread of this run says now is not about what the cell shows."""
        mine = (run.asked.room, run.asked.cell)
        return any(
            (one.asked.room, one.asked.cell) == mine and one.asked.asked_at > run.asked.asked_at
            for one in self._runs.values()
        )

    def _execution(self, run: Run) -> Mapping[str, str]:
        """As JupyterLab writes it, and who it was; empty for a cell that was not run."""
        if not run.sent:
            return {}
        return {**{name: at for name, at in run.times.items() if at}, "executed_by": run.asked.user}

    # -- from the kernel -----------------------------------------------------------------------------------------

    async def _connected(self) -> CellClient:
        while True:
            client = self._client or self._connect()
            try:
                await client.ready()
            except BaseException as exc:
                if self._client is client:
                    self._disconnect()
                    raise
                if not isinstance(exc, OSError):
                    raise
            if self._client is client:
                return client  # else the kernel was restarted meanwhile

    def _connect(self) -> CellClient:
        session = self._around.logs.session_of(self._id)
        self._client = CellClient(
            self.kernel, session, on_output=self._output, on_reply=self._reply, on_question=self._question
        )
        return self._client

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _output(self, frames: Frames) -> None:
        header = header_of(frames)
        update = b'"update_display_data"' in header
        run = self._runs.get(parent_id(frames))
        if run is None and not update:
            return
        if not any(f'"{type}"'.encode() in header for type in OF_THE_RUN):
            return
        message = self._client.parsed(frames) if self._client is not None else None
        if message is None:
            return
        size = len(frames[-1]) if frames else 0
        if update:
            for one in self._runs.values():
                if one is not run and one.update(message["content"], size):
                    self._touch(one)
        if run is not None and run.take(message, signature_of(frames), size):
            self._touch(run)

    def _reply(self, message: Mapping[str, Any]) -> None:
        run = self._runs.get(str(message["parent_header"].get("msg_id")))
        if run is None or message["msg_type"] != "execute_reply" or run.replied:
            return
        started = message["metadata"].get("started")
        if isinstance(started, str):
            run.times["shell.execute_reply.started"] = started[:40]
        run.take(message, b"reply-" + run.asked.id.encode(), 0)
        self._touch(run)

    def _question(self, message: Mapping[str, Any]) -> None:
        run = self._runs.get(str(message["parent_header"].get("msg_id")))
        if run is None or message["msg_type"] != "input_request" or run.over.is_set():
            return
        run.take(message, f"question {str(message['header'].get('msg_id'))[-20:]}".encode(), 0)
        run.question_from = message
        self._around.changed(self._workspace, run, "input")


def parent_id(frames: Frames) -> str:
    """What it says of itself; that it is true is checked when it is parsed."""
    parent = parent_of(frames)
    if MESSAGE_ID not in parent:
        return ""
    try:
        found = json.loads(parent)
    except (ValueError, RecursionError):
        return ""
    id = found.get("msg_id") if isinstance(found, dict) else None
    return id if isinstance(id, str) else ""


def _guess(run: Run) -> str:
    return "error" if any(one.value["output_type"] == "error" for one in run.outputs.outputs) else "ok"
