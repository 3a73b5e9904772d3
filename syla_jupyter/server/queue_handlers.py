"""What each route about cells that run or wait does, as in `handlers`. Runs are the loop's, and asked about there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from ..model.errors import UnknownExecution
from . import queue_wire as wire
from . import shown
from .handlers import Call, Reply

if TYPE_CHECKING:
    from .cells import Cells, Waiting

T = TypeVar("T")
ANSWER_SECONDS = 30.0


class Desk:
    """Between the threads of requests and the loop. Closed where no documents are shared."""

    def __init__(self) -> None:
        self._cells: Cells | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self, cells: Cells, loop: asyncio.AbstractEventLoop) -> None:
        self._cells, self._loop = cells, loop

    def ask(self, work: Callable[[Cells], T]) -> T | None:
        """Blocks. None: it is closed."""
        cells, loop, done = self._cells, self._loop, Future[T]()
        if cells is None or loop is None:
            return None

        def run() -> None:
            try:
                done.set_result(work(cells))
            except Exception as exc:  # of whoever asks
                done.set_exception(exc)

        loop.call_soon_threadsafe(run)
        return done.result(ANSWER_SECONDS)


def list_queue(call: Call) -> Reply:
    id, user = call.found().id, call.caller.principal.name
    rows = call.services.desk.ask(lambda cells: [_shown(one, user) for one in cells.waiting(id)])
    return Reply(wire.RunQueue(runs=rows or []))


def cancel(call: Call) -> Reply:
    id, run, user = call.found().id, call.names["execution_id"], call.caller.principal.name
    _ask(call, lambda cells: cells.cancel(id, run, user))
    return Reply(None, 204)


def answer(call: Call) -> Reply:
    asked: wire.AnswerInput = call.body
    id, run, user = call.found().id, call.names["execution_id"], call.caller.principal.name
    _ask(call, lambda cells: cells.answer(id, run, user, asked.value))
    return Reply(None, 204)


def _ask(call: Call, work: Callable[[Cells], Any]) -> None:
    if call.services.desk.ask(lambda cells: (work(cells), True)) is None:
        raise UnknownExecution("execution", "no cells are run by this server")


def _shown(one: Waiting, user: str) -> wire.RunShown:
    """A prompt may say what is for nobody else's eyes."""
    asked, question = one.run.asked, one.run.question
    mine = question is not None and asked.user == user
    return wire.RunShown(
        id=asked.id,
        kernel=one.kernel,
        path=shown.plain(one.path),
        cell=shown.plain(asked.cell),
        user=asked.user,
        position=one.position,
        asked_at=shown.time(asked.asked_at),
        waits_for_input=question is not None,
        input=wire.InputShown(prompt=shown.plain(question["prompt"]), password=question["password"])
        if mine and question is not None
        else None,
    )
