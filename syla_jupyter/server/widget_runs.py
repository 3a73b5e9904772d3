"""Cells that the server runs whose outputs go into widgets (`captures`): who is told of them, and when.

The kernel reads nothing while a cell runs, so it is told at the end, before the next cell. Pages are told meanwhile, as
if by the kernel: each time of all that is in the widget, and the less often the more it is. What the kernel says of it
afterwards is the same, and changes nothing there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from typing import Any

from .captures import STATE_MAX, News, Rows, States, news_of
from .cell_client import Frames
from .cell_run import Run
from .frames import content_of, header_of, signature_of
from .kernel_runs import Around, KernelRuns
from .websocket import say_to_pages

TELL_SECONDS = 0.1
TELL_BYTES_PER_SECOND = 2 << 20
"""To each page."""
ANSWER_SECONDS = 3.0
COMM, CLOSE = b'"comm_', b'"comm_close"'


class WidgetRuns(KernelRuns):
    def __init__(self, kernel: Any, around: Around) -> None:
        super().__init__(kernel, around)
        self._states = States()
        self._is_past = False
        """What is heard is older than the run that goes on."""
        self._news = asyncio.Event()
        self._telling: asyncio.Task[None] | None = None

    def ended(self, reason: str, *, sent_only: bool = False) -> None:
        super().ended(reason, sent_only=sent_only)
        self._states = States()

    # -- from the kernel -----------------------------------------------------------------------------------------

    def _output(self, frames: Frames) -> None:
        header = header_of(frames)
        if COMM not in header:
            super()._output(frames)
            return
        content = content_of(frames)
        if CLOSE in header or b'"msg_id"' in content or b'"outputs"' in content:
            message = self._client.parsed(frames) if self._client is not None else None
            news = news_of(message) if message is not None else None
            if news is not None:
                self._hear(news, signature_of(frames), len(content))

    def _hear(self, news: News, signature: bytes, size: int) -> None:
        taker = self._runs.get(news.msg_id) if news.msg_id else None
        outputs = news.outputs if size <= STATE_MAX else None
        if not (news.opened or taker is not None or self._is_known(news.id)):
            return  # some other kind of widget
        for run in [] if self._is_past else self._runs.values():
            row = _row(run, news, outputs, taker)
            if "known" in row and row["known"] is None:
                row = {**row, "known": self._states.get(news.id), "to_clear": self._states.is_to_clear(news.id)}
            if row or run.asked == self.queue.running:  # heard again after a restart, it is to be known
                run.hear_widget({"widget": news.id, **row}, signature)
                self._touch(run)
        if news.closed or (news.msg_id and taker is None):
            self._states.forget(news.id)  # a page will write to it
        elif news.outputs is not None:
            self._states.put(news.id, news.outputs, size)
        self._news.set()

    def _is_known(self, id: str) -> bool:
        return id in self._states or any(id in run.captures.widgets for run in self._runs.values())

    # -- to the kernel, and to pages -----------------------------------------------------------------------------

    async def _finish(self, run: Run) -> None:
        await self._send_widgets(run)
        await super()._finish(run)

    async def _show(self, run: Run, *, ended: bool) -> None:
        if run.finished.is_set() and run.captures.unsent:
            await self._send_widgets(run)  # of a thread, after the cell
        if run.captures.untold and (self._telling is None or self._telling.done()):
            self._telling = asyncio.ensure_future(self._tell_pages())
        await super()._show(run, ended=ended)

    async def _send_widgets(self, run: Run) -> None:
        client = self._client
        if client is None or not run.captures.unsent:
            return
        for id in run.captures.waiting:
            client.tell_widget(id, {"method": "request_state"})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                while run.captures.waiting and self._client is client:
                    self._news.clear()
                    await self._news.wait()
        for id in run.captures.waiting:
            run.note({"type": "widget_silent", "content": {"widget": id}})
        for id in run.captures.unsent:
            widget, rows = run.captures.widgets[id], run.captures.widgets[id].rows()
            client.tell_widget(id, _update(rows))
            self._tell(run, id, rows)
            self._states.put(id, rows, _size(rows), widget.outputs.is_to_clear)
        run.note({"type": "widgets_sent"})

    async def _tell_pages(self) -> None:
        while True:
            size = 0
            for run in list(self._runs.values()):
                for id in run.captures.untold:
                    widget = run.captures.widgets[id]
                    widget.untold, rows = False, widget.rows()
                    self._tell(run, id, rows)
                    size += _size(rows)
            if not size:
                return
            await asyncio.sleep(max(TELL_SECONDS, size / TELL_BYTES_PER_SECOND))

    def _tell(self, run: Run, id: str, rows: Rows) -> None:
        say_to_pages(self._id, "comm_msg", {"comm_id": id, "data": _update(rows)}, {"msg_id": run.asked.id})


def _row(run: Run, news: News, outputs: Rows | None, taker: Run | None) -> Mapping[str, Any]:
    """What of it is about this run; empty: nothing."""
    here, begins = news.id in run.captures.widgets, run is taker
    if begins and not here:
        return {"takes": True, "known": outputs}
    if here and (news.closed or not (begins or taker is None)):
        return {"gone": True}
    row: dict[str, Any] = {"outputs": outputs} if here and outputs is not None else {}
    if begins or (news.msg_id is not None and run.captures.takes(news.id)):
        row["takes"] = begins
    return row


def _update(rows: Rows) -> Mapping[str, Any]:
    return {"method": "update", "state": {"outputs": rows}, "buffer_paths": []}


def _size(rows: Rows) -> int:
    return len(json.dumps(rows))
