"""Cells that the server runs into a shared document, asked for as pages of JupyterLab ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

from tests.conftest import StartLab
from tests.installation import Installation

from .school import School
from .shared_page import SharedPage, config_of, joined, room_of, shared_page, write_notebook

CASES = [
    "print('a'); print('b')\nimport sys; print('c', file=sys.stderr); print('d')",
    "import time\nfor n in range(5):\n    print(n, flush=True)\n    time.sleep(0.05)\n6 * 7",
    "1 / 0",
    "from IPython.display import display, clear_output, HTML, Image, JSON\ndisplay(1, HTML('<b>x</b>'), JSON({'a': [1, None]}))",
    "for n in range(4):\n    clear_output(wait=True); print('step', n)",
    "print('gone'); clear_output(); display('kept')",
    "handle = display('first', display_id='shown')\nprint('between')",
    "handle.update('second'); None",
    "print('0%', end='\\r'); print('99%')\nprint('ü😀', end=''); print('!')",
    "display({'image/png': 'aGVsbG8='}, raw=True, metadata={'image/png': {'width': 5}})\nNone",
    "raise ValueError('ö' * 10)",
    "get_ipython().run_cell_magic('capture', 'c', 'print(1)'); c.stdout",
    "x = 1",
    "",
    "import os; os.system('echo from below'); x",
]  # fmt: skip
ENDLESS = "print('begun', flush=True)\nimport os, time\nwhile not os.path.exists('go'): time.sleep(0.02)\nprint('over')"


@pytest.fixture(scope="module")
def schools(start_lab: StartLab, session_dir: Path) -> Iterator[list[Any]]:
    made: list[Any] = [start_lab(JUPYTER_CONFIG_DIR=config_of(session_dir))]
    yield made
    made[0].process.kill()  # with documents open, what is below us does not end in time
    made[0].process.wait()


@asynccontextmanager
async def running(school: School, name: str, *cells: str) -> AsyncIterator[tuple[str, SharedPage]]:
    """A notebook of workspace `class` with a kernel: (kernel id, the owner's page)."""
    lab, path = school.lab, f"workspaces/class/{name}.ipynb"
    write_notebook(lab.root / path, *cells)
    body = {"path": path, "name": name, "type": "notebook", "kernel": {"name": "syla-python"}}
    session = await school.made("owner", "POST", "/api/sessions", body)
    try:
        async with shared_page(lab, path) as page:
            yield session["kernel"]["id"], page
    finally:
        await school.made("owner", "DELETE", f"/api/sessions/{session['id']}")


async def execute(school: School, who: str, kernel: str, room: Any, cell: int | str) -> tuple[int, dict[str, Any]]:
    body = {"cell_id": f"cell-{cell}", "document_id": room}
    answer = await school.ask(who, "POST", f"/api/kernels/{kernel}/execute", body)
    return answer.code, json.loads(answer.body)


async def begin(school: School, who: str, kernel: str, page: SharedPage, cell: int) -> asyncio.Task[Any]:
    task = asyncio.create_task(execute(school, who, kernel, page.room, cell))
    await page.until(lambda: page.state(cell) == "running")
    return task


async def test_every_kind_of_output_is_as_nbclient_has_it(school: School, installation: Installation) -> None:
    async with running(school, "cases", *CASES) as (kernel, page):
        for number in range(len(CASES)):
            status, answer = await execute(school, "owner", kernel, page.room, number)
            assert (status, answer["status"]) == (200, "error" if number in (2, 10) else "ok")
        await page.until(lambda: page.text(len(CASES) - 1))
        found = [page.cell(number) for number in range(len(CASES))]
    plain = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CASES])
    nbclient.NotebookClient(plain, kernel_name="syla-python", allow_errors=True).execute()
    for cell, wanted in zip(found, plain.cells, strict=True):
        expected = [{**o, "text": o["text"].replace("0%\r", "")} if "text" in o else o for o in joined(wanted.outputs)]
        assert joined(cell["outputs"]) == expected, cell["source"]
        assert cell["execution_count"] == wanted.execution_count
    timed = found[0]["metadata"]["execution"]
    names = ["iopub.execute_input", "iopub.status.busy", "iopub.status.idle", "shell.execute_reply"]
    assert sorted(timed)[1:-1] == names
    assert timed["executed_by"]
    assert "execution" not in found[CASES.index("")]["metadata"]


async def test_who_may_not_does_not(school: School) -> None:
    """A viewer, a stranger; a document of another workspace, a made-up one, a path, a cell that is not there."""
    lab = school.lab
    write_notebook(lab.root / "workspaces" / "private" / "other.ipynb", "1")
    write_notebook(lab.root / "outside.ipynb", "1")
    async with running(school, "doors", "open('touched', 'w')") as (kernel, page):
        refused = {who: (await execute(school, who, kernel, page.room, 0))[0] for who in ("vic", "sam", "")}
        assert refused == {"vic": 403, "sam": 403, "": 403}
        for path in ("workspaces/private/other.ipynb", "outside.ipynb"):
            room, _ = await room_of(lab, path)
            for who in ("owner", "rob"):
                assert (await execute(school, who, kernel, room, 0))[0] == 403, path
        made_up = [
            "json:notebook:0",
            "json:file:1",
            "../x",
            5,
            {"a": 1},
            page.room + "x",
            "workspaces/class/doors.ipynb",
        ]
        for room in made_up:
            assert (await execute(school, "rob", kernel, room, 0))[0] == 400, room
        for cell in ("9", "x" * 1000):
            assert (await execute(school, "rob", kernel, page.room, cell))[0] == 400
        unknown = "00000000-0000-0000-0000-000000000000"
        assert [(await execute(school, who, unknown, page.room, 0))[0] for who in ("rob", "owner")] == [403, 400]
        assert not (lab.root / "workspaces" / "class" / "touched").exists()
        assert page.cell(0)["outputs"] == []
        assert (await execute(school, "rob", kernel, None, 0))[1]["status"] == "ok"  # the session names it
        assert (await page.ended(0))["metadata"]["execution"]["executed_by"] == "rob"
