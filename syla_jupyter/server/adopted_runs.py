"""Cells that the server before has left, gone on with.

After a restart of the server: what was sent is read again from its log, and from the kernel what it has kept since;
what was queued is queued. All that the kernel has kept passes by here then, and what is not about these runs goes to
the first page that comes (`take_missed`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from typing import Any

from .adoption import DEAD
from .cell_client import CellClient, Frames
from .cell_run import Run, question_of
from .frames import header_of, signature_of
from .kernel_runs import Around, parent_id
from .replay import NOTHING_KNOWN, CatchUp, replay_of
from .seen import OUTPUT, seen_at, seen_path_of
from .shared_cell import SharedCell
from .widget_runs import WidgetRuns

FOR_PAGES_BYTES = 8 << 20
log = logging.getLogger("syla.server")


class AdoptedRuns(WidgetRuns):
    def __init__(self, kernel: Any, around: Around) -> None:
        super().__init__(kernel, around)
        self._for_pages: deque[Frames] = deque()
        self._pages_have: bytes | None = None
        self._pages_bytes = 0

    def adopt(self) -> None:
        """Go on with what the server before has left; call when the kernel is adopted, before its first websocket."""
        running: Run | None = None
        for run_log, rows in self._around.logs.unfinished(self._id):
            try:
                run = Run.read(run_log, rows, lambda id: self._around.aside(self._workspace, id))
            except (ValueError, TypeError, KeyError, AttributeError, IndexError) as exc:
                log.warning("a run of kernel %s cannot be read: %r", self._id, exc)
                run_log.remove()
                continue
            self._add(run, SharedCell(run.asked.cell))
            if run.over.is_set() or run.status:
                self._later(self._finish(run))
            elif run.sent:
                running = run
            else:
                self.queue.add(run.asked, len(self._runs))
        if running is not None:
            self.queue.running = running.asked
        if running is not None and running.question is not None:
            self._around.changed(self._workspace, running, "input")  # who was asked by the server before may not know
        if self.kernel.execution_state == DEAD:
            self.ended(self.kernel.reason or "")
            if running is not None:
                self._work = asyncio.ensure_future(self._run_one(running, sent=True))
        elif running is not None or self.queue.waiting:
            replay = replay_of(self.kernel)
            client = self._connect()
            if replay is not None and replay.taken_by is None:
                self._pages_have = _seen(self.kernel)
                client.catch_up = CatchUp(replay, write=self._missed, flushed=_at_once, missing=self._tell_missing)
            self._work = asyncio.ensure_future(self._go_on(client, running))

    async def _go_on(self, client: CellClient, running: Run | None) -> None:
        try:
            await client.ready()
            if client.catch_up is not None:
                catch_up, asked = client.catch_up, running.question if running is not None else None
                self._is_past = True
                try:
                    await catch_up.run(NOTHING_KNOWN)
                finally:
                    self._is_past = False
                if running is not None and running.question is asked:  # nobody has answered meanwhile
                    self._ask_as(running, catch_up.question)
                self.kernel.syla_missed, self._for_pages = list(self._for_pages), deque()
            client.wake()
        except (TimeoutError, OSError) as exc:
            log.warning("kernel %s: what it printed meanwhile is not in the document: %r", self._id, exc)
        if running is not None:
            self._touch(running)
            await self._run_one(running, sent=True)
        await self._run_all()

    def _ask_as(self, run: Run, question: Mapping[str, Any] | None) -> None:
        """What the kernel says that it asks, where a message about it was lost with the server before."""
        if question is None or run.over.is_set():
            return
        wanted = question_of(question) if question.get("id") == run.asked.id else None
        if wanted != run.question:
            run.note({"type": "input_request" if wanted else "unasked", "content": wanted or {}})
            self._around.changed(self._workspace, run, "input")

    def _missed(self, frames: Frames) -> None:
        run = self._runs.get(parent_id(frames))
        self._is_past = self._is_past and (run is None or run.asked != self.queue.running)
        self._output(frames)
        if self._pages_have is None:
            return  # no page has ever been there
        signature = signature_of(frames)
        if self._pages_have == signature:
            self._pages_have = b""
        elif self._pages_have == b"" and (run is None or b'"comm_' in header_of(frames)):
            self._for_pages.append(frames)
            self._pages_bytes += sum(map(len, frames))
            while self._pages_bytes > FOR_PAGES_BYTES:
                self._pages_bytes -= sum(map(len, self._for_pages.popleft()))

    def _tell_missing(self, lines: int, before: Frames) -> None:
        run = self._runs.get(self.queue.running.id) if self.queue.running is not None else None
        if run is not None and lines:
            run.outputs.say("stderr", f"Up to {lines} lines of output are missing here: nobody listened.\n")


async def _at_once() -> None:
    return None


def _seen(kernel: Any) -> bytes | None:
    seen = seen_at(seen_path_of(kernel))
    if seen is None:
        return None
    try:
        return seen.last(OUTPUT)
    finally:
        seen.close()
