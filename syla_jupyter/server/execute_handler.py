"""`POST /api/kernels/<id>/execute`: what a page of JupyterLab asks, instead of running a cell itself, where documents
are shared and `serverSideExecution` is in its configuration.

    {"cell_id": ..., "document_id": "json:notebook:<file id>", "edits": {"client": ..., "clock": ...}}
    ->  {"id": ..., "status": "queued" | "ok" | ..., "next_input": {"text": ..., "replace": ...}}

The source is read from the document, and all that comes of it is written there. What somebody types goes another way
than what he asks for: where `edits` says how far his page's own changes are (by Yjs' id and clock), the cell waits for
them. The answer comes when the cell has
ended, for as many cells of a person as leave his browser a connection for anything else: it has six. For all others it
comes when they are queued.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar, TypeGuard, TypeVar

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from ..model.errors import BadInput, SylaError
from .cell_run import Run
from .cells import Cells
from .endpoint import JsonErrors
from .errors import describe
from .naming import body_of
from .shared_documents import Edits
from .yjs_wire import NUMBER_MAX

HELD_MAX = 2
BODY_MAX = 64 << 10
PATTERN = r"/api/kernels/(?P<kernel_id>\w+-\w+-\w+-\w+-\w+)/execute"
ADDRESS = re.compile(r"/api/kernels/([\w-]+)/execute$")
SETTING = "syla_cells"


Method = TypeVar("Method", bound=Callable[..., Any])
_runners: Callable[[Method], Method] = authorized(action="execute", resource="kernels")


class ExecuteHandler(JsonErrors, APIHandler):
    auth_resource = "kernels"
    METHODS = ("POST",)
    SUPPORTED_METHODS = ("POST",)
    _held: ClassVar[Counter[str]] = Counter()
    _announced = ""

    def initialize(self) -> None:
        """Before it is decided about: a cell above this one may be under way beside it."""
        cells: Cells | None = self.settings.get(SETTING)
        named = ADDRESS.search(self.request.path)
        if cells is not None and named is not None:
            self._announced = named.group(1)
            cells.arrived(self._announced, 1)

    def on_finish(self) -> None:
        self._no_more_under_way()
        super().on_finish()

    @web.authenticated
    @_runners
    async def post(self, kernel_id: str) -> None:
        try:
            self._answer(await self._run(kernel_id))
        except SylaError as exc:
            status, body = describe(exc)
            self.set_status(status)
            self.finish(body.model_dump_json())

    async def _run(self, kernel_id: str) -> Run:
        cells: Cells | None = self.settings.get(SETTING)
        passed: Any = getattr(self, "_passed", None)
        if cells is None or passed is None or passed.principal is None or len(self.request.body) > BODY_MAX:
            raise web.HTTPError(404 if cells is None else 400)
        body, user = body_of(self.request.body), passed.principal.name
        edits = edits_of(body.get("edits"))
        cell, document = body.get("cell_id"), body.get("document_id")
        run = await cells.run(kernel_id, cell, document, edits=edits, user=user, owner=passed.lasting)
        self._no_more_under_way()
        if self._held[user] < HELD_MAX:
            self._held[user] += 1
            try:
                await run.finished.wait()
            finally:
                self._held[user] -= 1
        return run

    def _answer(self, run: Run) -> None:
        self.set_status(200 if run.status else 202)
        self.set_header("Content-Type", "application/json")
        more = {"next_input": dict(run.next_input)} if run.next_input else {}
        self.finish(json.dumps({"id": run.asked.id, "status": run.status or "queued", **more}))

    def _no_more_under_way(self) -> None:
        if self._announced:
            self.settings[SETTING].arrived(self._announced, -1)
            self._announced = ""


def edits_of(value: Any) -> Edits | None:
    """`BadInput`."""
    if value is None:
        return None
    client, clock = (value.get("client"), value.get("clock")) if isinstance(value, dict) else (None, None)
    if not _is_number(client) or not _is_number(clock):
        raise BadInput("edits", "this is no id and clock of a page", 'Give {"client": …, "clock": …}, or leave it out')
    return Edits(client, clock)


def _is_number(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= NUMBER_MAX


ROUTES = [(PATTERN, ExecuteHandler)]
