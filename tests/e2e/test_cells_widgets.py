"""Cells that the server runs whose outputs go into an `Output` widget, as they do in a plain run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

from tests.conftest import StartLab
from tests.installation import Installation

from .school import School
from .shared_page import config_of, joined
from .test_cells import begin, execute, running
from .widgets import CLASS, SHOWN

CASES = [
    CLASS,
    "print('cell')\nwith out:\n    print('taken'); print('wrong', file=sys.stderr); display(HTML('<b>x</b>'))\nprint('after'); 6 * 7",
    SHOWN,
    "with out:\n    print('outer')\n    with inner:\n        print('inner')\n        with out: print('which?')\n    print('again')\nprint('cell')",
    SHOWN,
    "with inner:\n    1 / 0\n'on'",
    SHOWN,
    "out.clear_output()\nwith out: print('new')\ninner.clear_output(wait=True)",
    SHOWN,
    "def call(text):\n    with inner: print(text)\n[call(n) for n in range(50)]; print('called')",
    SHOWN,
    "with out:\n    for n in range(3):\n        clear_output(); display(n)",
    SHOWN,
]  # fmt: skip
SLOW = """
import os, time
with out:
    print('in the middle', flush=True)
    while not os.path.exists('on'): time.sleep(0.02)
    print('over')
"""


@pytest.fixture(scope="module")
def schools(start_lab: StartLab, session_dir: Path) -> Iterator[list[Any]]:
    made: list[Any] = [start_lab(JUPYTER_CONFIG_DIR=config_of(session_dir))]
    yield made
    made[0].process.kill()  # with documents open, what is below us does not end in time
    made[0].process.wait()


async def test_as_in_a_plain_run(school: School, installation: Installation) -> None:
    """In the cells and in the widgets; nbclient does for the latter what a page does."""
    async with running(school, "widgets", *CASES) as (kernel, page):
        for number in range(len(CASES)):
            assert (await execute(school, "rob", kernel, page.room, number))[1]["status"] in ("ok", "queued")
        await page.ended(len(CASES) - 1)
        found = [page.cell(number)["outputs"] for number in range(len(CASES))]
    plain = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CASES])
    nbclient.NotebookClient(plain, kernel_name="syla-python", timeout=120).execute()
    for number, cell in enumerate(plain.cells):
        assert joined(found[number]) == joined(cell.outputs), CASES[number]
    assert "taken" in found[2][0]["text"]
    assert "taken" not in str(found[1])


async def test_pages_see_it_while_the_cell_runs(school: School) -> None:
    """Each that has a websocket to the kernel, a viewer's, too; what the widget has afterwards is the same, once."""
    lab = school.lab
    (lab.root / "workspaces" / "class" / "on").unlink(missing_ok=True)
    async with running(school, "live", CLASS, "with out: print('before')", SLOW, SHOWN) as (kernel, page):
        for number in range(2):
            await execute(school, "rob", kernel, page.room, number)
        sockets = [await school.connected(who, f"/api/kernels/{kernel}/channels") for who in ("owner", "vic")]
        task = await begin(school, "rob", kernel, page, 2)
        for socket in sockets:
            await until_told(socket, "before\nin the middle\n")
        (lab.root / "workspaces" / "class" / "on").touch()
        assert (await task)[1]["status"] == "ok"
        for socket in sockets:
            await until_told(socket, "before\nin the middle\nover\n")
        await execute(school, "rob", kernel, page.room, 3)
        out, _ = json.loads(page.text(3) or await page.until(lambda: page.text(3)))
        assert [row["text"] for row in out] == ["before\nin the middle\nover\n"]
        assert page.cell(2)["outputs"] == []
        for socket in sockets:
            socket.close()


async def test_callbacks_are_the_pages(school: School) -> None:
    """Comms go both ways beside cells of the server. What a page's click prints the page puts into the widget, and
    nobody else; it is there when a cell comes next."""
    cells = [CLASS, "print(out.comm.comm_id)", "with out: print('cell')", "with out: print('again')", SHOWN]
    async with running(school, "clicks", *cells) as (kernel, page):
        for number in range(3):
            await execute(school, "rob", kernel, page.room, number)
        widget = (await page.until(lambda: page.text(1))).strip()
        socket = await school.connected("rob", f"/api/kernels/{kernel}/channels")
        await socket.write_message(comm_message("click", widget, {"method": "custom", "content": "click"}))
        await until_heard(
            socket, lambda one: (one["msg_type"], one["parent_header"].get("msg_id")) == ("stream", "click")
        )
        state = {"outputs": [{"output_type": "stream", "name": "stdout", "text": "cell\nclicked\n"}]}
        await socket.write_message(
            comm_message("state", widget, {"method": "update", "state": state, "buffer_paths": []})
        )
        await until_told(socket, "cell\nclicked\n")
        await execute(school, "rob", kernel, page.room, 3)
        await until_told(socket, "cell\nclicked\nagain\n")
        await execute(school, "rob", kernel, page.room, 4)
        out, _ = json.loads(await page.until(lambda: page.text(4)))
        assert [row["text"] for row in out] == ["cell\nclicked\nagain\n"]
        assert page.cell(2)["outputs"] == page.cell(3)["outputs"] == []
        socket.close()


def comm_message(id: str, widget: str, data: Any) -> str:
    header = {"msg_id": id, "msg_type": "comm_msg", "username": "test", "session": "page", "version": "5.3", "date": ""}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": {"comm_id": widget, "data": data}}
    return json.dumps({**message, "channel": "shell", "buffers": []})


async def until_heard(socket: Any, wanted: Callable[[dict[str, Any]], Any]) -> None:
    async with asyncio.timeout(60):
        while not wanted(json.loads(await socket.read_message())):
            pass


async def until_told(socket: Any, text: str) -> None:
    """That a widget's outputs are this stream and nothing else."""

    def is_it(message: dict[str, Any]) -> bool:
        data = message["content"].get("data", {}) if message["msg_type"] == "comm_msg" else {}
        return [row["text"] for row in data.get("state", {}).get("outputs", ())] == [text]

    await until_heard(socket, is_it)


async def test_a_kernel_that_only_says_so(school: School) -> None:
    """Widgets that never answer, states of any form, and more of them than there may be: nothing hangs, nothing is lost."""
    hostile = """
import json
kernel = get_ipython().kernel
id = kernel.get_parent()['header']['msg_id']
def say(comm, **data):
    kernel.session.send(kernel.iopub_socket, 'comm_msg', {'comm_id': comm, 'data': data}, parent=kernel.get_parent())
for comm in ('x', ['x'], 'y' * 10_000, 7): say(comm, method='update', state={'msg_id': id, 'outputs': {'a': 1}})
say('x', method='update', state={'outputs': 5, 'msg_id': [1]})
print('of x', flush=True)
for n in range(200): say(f'z{n}', method='update', state={'msg_id': id})
print('of the last', flush=True)
for n in range(200): say(f'z{n}', method='update', state={'msg_id': ''})
say('x', method='update', state={'msg_id': ''})
print('of the cell', flush=True)
"""
    async with running(school, "hostile", hostile, "6 * 7") as (kernel, page):
        assert (await execute(school, "rob", kernel, page.room, 0))[1]["status"] == "ok"
        await page.ended(0)
        assert sorted(page.text(0).splitlines()) == ["of the cell", "of the last", "of x"]
        await execute(school, "rob", kernel, page.room, 1)
        assert (await page.ended(1))["outputs"][0]["data"]["text/plain"] == "42"
