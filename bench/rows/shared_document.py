"""A cell of a shared notebook: run by the server into the document, beside a page that runs it by its websocket.

The first ends when the document has the output and says so, the second when the page has the reply. Both with the same
server and the same kernel. Needs jupyter-collaboration.
"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

from ..client import SYLA, now_ms
from ..measure import Bench, Sample, interleave
from ..model import OURS, Outcome, Row
from ..server import Opened, Server, serving

ROUND_TRIPS = 100
PAGE = "by the page"
SHARED = ("--YDocExtension.disable_rtc=False",)
CELL: dict[str, Any] = {
    "cell_type": "code",
    "execution_count": None,
    "id": "cell",
    "metadata": {},
    "outputs": [],
    "source": "pass",
}
NOTEBOOK = {"cells": [CELL], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


async def _run(bench: Bench) -> Outcome:
    if importlib.util.find_spec("jupyter_server_ydoc") is None:
        return Outcome({}, notes=["jupyter-collaboration is not installed"])
    root = bench.lab / "work" / "shared-document"
    async with serving(bench.lab, os.environ, root=root, options=SHARED) as server:
        opened = await server.open(SYLA)
        await opened.reply_to("pass")
        room = await _room(server, root, opened)
        await bench.calm.wait(live=1, kernels=1)
        body = {"cell_id": CELL["id"], "document_id": room}

        async def by_the_server() -> float:
            begin = now_ms()
            answer = await server.call("POST", f"api/kernels/{opened.kernel_id}/execute", body)
            if answer["status"] != "ok":
                raise RuntimeError(f"the server answered {answer}")
            return now_ms() - begin

        async def by_the_page() -> float:
            begin = now_ms()
            await opened.reply_to("pass")
            return now_ms() - begin

        variants: dict[str, Sample] = {OURS: by_the_server, PAGE: by_the_page}
        return Outcome(await interleave(variants, ROUND_TRIPS // 4 if bench.quick else ROUND_TRIPS))


async def _room(server: Server, root: Path, opened: Opened) -> str:
    """Of the notebook that the session names, as a page has it opened."""
    (session,) = [row for row in await server.call("GET", "api/sessions") if row["id"] == opened.id]
    (root / session["path"]).write_text(json.dumps(NOTEBOOK))
    asked = {"format": "json", "type": "notebook"}
    made = await server.call("PUT", f"api/collaboration/session/{session['path']}", asked)
    return f"json:notebook:{made['fileId']}"


EXECUTE = Row("execute_shared", "a cell of a shared notebook, to its end", "ms", _run, baseline=PAGE)
