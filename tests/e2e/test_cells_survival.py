"""Cells that the server runs, when everybody has closed his browser, and when the server is killed in the middle, or
while a cell asks for something."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartLab
from tests.lab import Lab

from .school import API, School, school_of
from .shared_page import config_of, room_of, shared_page, write_notebook
from .widgets import CLASS, SHOWN

QUEUE = f"{API}/workspaces/class/queue"
COUNT = 4000
PRINTING = f"""
import os, sys, time
from IPython.display import display
for number in range({COUNT}):
    print(number, flush=True)
    if number % 1000 == 999: display(f"display {{number}}")
    if number % 100 == 0: time.sleep(0.01)
    while number == 2000 and not os.path.exists("gone"): time.sleep(0.01)
open("printed", "w").close()
while not os.path.exists("end"): time.sleep(0.01)
"the end"
"""
"""2000 lines and more than the kernel keeps in memory before the server goes, and as many when it has gone."""


class House:
    """One root directory, with a server on it that comes and goes, and is never ended gently."""

    def __init__(self, start_lab: StartLab, **environ: str) -> None:
        self._start = start_lab
        self.lab: Lab = start_lab(**environ)

    def kill(self) -> None:
        self.lab.stop(signal.SIGKILL)

    def again(self) -> None:
        self.lab = self._start(again=self.lab)


@pytest.fixture(scope="module")
def house(start_lab: StartLab, session_dir: Path) -> Iterator[House]:
    made = House(start_lab, JUPYTER_CONFIG_DIR=config_of(session_dir))
    yield made
    made.kill()


async def opened(lab: Lab, path: str) -> dict[str, Any]:
    name = path.rpartition("/")[2]
    body = {"path": path, "name": name, "type": "notebook", "kernel": {"name": "syla-python"}}
    status, session = await lab.fetch("/api/sessions", "POST", body)
    assert status == 201, session
    return dict(session)


async def asks(lab: Lab, kernel: str, room: str, cell: int) -> Any:
    body = {"cell_id": f"cell-{cell}", "document_id": room}
    return await lab.fetch(f"/api/kernels/{kernel}/execute", "POST", body)


async def exists(path: Path) -> None:
    async with asyncio.timeout(120):
        while not path.exists():  # noqa: ASYNC110, ASYNC240 # of a container
            await asyncio.sleep(0.05)


def on_disk(path: Path, cell: int) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text())["cells"][cell])
    except ValueError:
        return {"metadata": {}}  # it is being written


async def saved(path: Path, cell: int) -> dict[str, Any]:
    """The cell in the file, once it says when it was run."""
    async with asyncio.timeout(120):
        while "execution" not in on_disk(path, cell)["metadata"]:  # noqa: ASYNC110 # of another process
            await asyncio.sleep(0.2)
    return on_disk(path, cell)


def streams(cell: dict[str, Any]) -> str:
    return "".join("".join(one["text"]) for one in cell["outputs"] if one["output_type"] == "stream")


async def test_nobody_is_there(house: House) -> None:
    """The page goes while its cell runs; all is in the file, with nobody having opened it again."""
    lab, path = house.lab, house.lab.root / "alone.ipynb"
    write_notebook(
        path,
        "import os, time\nprint('begun')\nwhile not os.path.exists('left'): time.sleep(0.02)\nprint('over')",
        "6 * 7",
    )
    session = await opened(lab, "alone.ipynb")
    kernel = session["kernel"]["id"]
    async with shared_page(lab, "alone.ipynb") as page:
        tasks = [asyncio.create_task(asks(lab, kernel, page.room, 0))]
        await page.until(lambda: "begun" in page.text(0))
        tasks.append(asyncio.create_task(asks(lab, kernel, page.room, 1)))
        await page.until(lambda: page.state(1) == "running")
        for task in tasks:
            task.cancel()
    (lab.root / "left").touch()
    cell = await saved(path, 1)
    assert cell["outputs"][0]["data"]["text/plain"] == ["42"]
    assert streams(await saved(path, 0)) == "begun\nover\n"
    assert (await lab.fetch(f"/api/sessions/{session['id']}", "DELETE"))[0] == 204


@pytest.mark.parametrize("page_comes_back", [False, True])
async def test_the_server_is_killed_in_the_middle(house: House, page_comes_back: bool) -> None:
    """All of the output, once and in order, and the cell that waited is run; whether a page comes back or not."""
    lab, name = house.lab, f"killed{page_comes_back:d}.ipynb"
    path = lab.root / name
    for marker in ("gone", "printed", "end"):
        (lab.root / marker).unlink(missing_ok=True)
    write_notebook(path, PRINTING, "print('next', number)")
    session = await opened(lab, name)
    kernel = session["kernel"]["id"]
    async with shared_page(lab, name) as page:
        tasks = [asyncio.create_task(asks(lab, kernel, page.room, 0))]
        await page.until(lambda: "2000\n" in page.text(0))
        tasks.append(asyncio.create_task(asks(lab, kernel, page.room, 1)))
        await page.until(lambda: page.state(1) == "running")
        house.kill()
        await asyncio.gather(*tasks, return_exceptions=True)
    (lab.root / "gone").touch()
    await exists(lab.root / "printed")
    house.again()
    (lab.root / "end").touch()
    if page_comes_back:
        async with shared_page(house.lab, name) as page:
            await page.ended(1)
            assert page.text(0) == "".join(f"{n}\n" for n in range(COUNT))
    cell = await saved(path, 1)
    assert streams(cell) == f"next {COUNT - 1}\n"
    first = await saved(path, 0)
    assert streams(first) == "".join(f"{n}\n" for n in range(COUNT))
    shown = [one["data"]["text/plain"] for one in first["outputs"] if one["output_type"] == "display_data"]
    assert shown == [[f"'display {n}'"] for n in range(999, COUNT, 1000)]
    assert first["outputs"][-1]["data"]["text/plain"] == ["'the end'"]
    logs = house.lab.installation.home / "servers" / "runs" / kernel
    async with asyncio.timeout(60):
        while list(logs.glob("*.log")):  # noqa: ASYNC110 # of another process
            await asyncio.sleep(0.1)
    assert (await house.lab.fetch(f"/api/sessions/{session['id']}", "DELETE"))[0] == 204
    assert (await room_of(house.lab, name))[0] == page.room


TAKEN = """
import os, time
with out:
    print('before', flush=True)
    display('shown')
    open('begun', 'w').close()
    while not os.path.exists('back'): time.sleep(0.02)
    print('after')
    with inner: print('inside')
print('cell')
"""


async def test_a_widget_takes_outputs_across_a_restart(house: House) -> None:
    """What it had, what it took before the server was killed, and what it takes then: once and in order, also in cells
    of the next server, which does not know what it has; with no page anywhere."""
    lab, path = house.lab, house.lab.root / "widgets.ipynb"
    write_notebook(path, CLASS, "with out: print('first')", TAKEN, SHOWN, "with out: print('last')", SHOWN)
    session = await opened(lab, "widgets.ipynb")
    kernel, (room, _) = session["kernel"]["id"], await room_of(lab, "widgets.ipynb")
    for cell in range(2):
        await asks(lab, kernel, room, cell)
    async with shared_page(lab, "widgets.ipynb") as page:
        task = asyncio.create_task(asks(lab, kernel, room, 2))
        await exists(lab.root / "begun")
        await page.until(lambda: page.state(2) == "running")
        house.kill()
        await asyncio.gather(task, return_exceptions=True)
    (lab.root / "back").touch()
    house.again()
    assert streams(await saved(path, 2)) == "cell\n"
    for cell in (3, 4, 5):
        await asks(house.lab, kernel, room, cell)
    displayed = {"data": {"text/plain": "'shown'"}, "metadata": {}, "output_type": "display_data"}
    found = [json.loads(streams(await saved(path, cell))) for cell in (3, 5)]
    assert found == [
        [[stream("first\nbefore\n"), displayed, stream(after)], [stream("inside\n")]]
        for after in ("after\n", "after\nlast\n")
    ]
    assert (await house.lab.fetch(f"/api/sessions/{session['id']}", "DELETE"))[0] == 204


def stream(text: str) -> dict[str, Any]:
    return {"name": "stdout", "output_type": "stream", "text": text}


ASKING = """
import getpass, os, signal, threading, time
def dies():
    while not os.path.exists('die'): time.sleep(0.02)
    open('dying', 'w').close()
    os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=dies, daemon=True).start()
word = getpass.getpass('Word? ')
print('Hello', input('Name? '), len(word))
input('More? ')
"""


async def test_a_prompt_outlives_the_server(house: House) -> None:
    """Who ran the cell, and nobody else, is asked still, and what he answers is what the cell gets. Interrupted then, or
    with its kernel gone meanwhile, the cell says so."""
    school = await school_of(house.lab)
    path = house.lab.root / "workspaces" / "class" / "asks.ipynb"
    write_notebook(path, ASKING, "input('Dead? ')", "1")
    session = await opened(house.lab, "workspaces/class/asks.ipynb")
    kernel = session["kernel"]["id"]
    room, _ = await room_of(house.lab, "workspaces/class/asks.ipynb")
    await begun(school, kernel, room, 0)
    before = await asked(school, "Word? ")
    house.kill()
    school = back(house, school)
    row = await asked(school, "Word? ")
    assert row == {**before, "input": {"prompt": "Word? ", "password": True}}
    (seen,) = (await school.made("eve", "GET", QUEUE))["runs"]
    assert (seen["waits_for_input"], seen["input"]) == (True, None)
    address = f"{QUEUE}/{row['id']}/input"
    others = [await school.status(who, "POST", address, {"value": "x"}) for who in ("owner", "eve", "vic", "sam")]
    assert others == [404, 404, 403, 403]
    await school.made("rob", "POST", address, {"value": "secret"})
    await asked(school, "Name? ")
    await school.made("rob", "POST", address, {"value": "Rob"})
    await asked(school, "More? ")
    await school.made("rob", "POST", f"/api/kernels/{kernel}/interrupt")
    cell = await saved(path, 0)
    assert streams(cell) == "Word?  ········\nName?  Rob\nHello Rob 6\n"
    assert cell["outputs"][-1]["ename"] == "KeyboardInterrupt"

    await begun(school, kernel, room, 1)
    await asked(school, "Dead? ")
    await begun(school, kernel, room, 2)
    house.kill()
    path.with_name("die").touch()
    await exists(path.with_name("dying"))
    school = back(house, school)
    assert "ended" in streams(await saved(path, 1))
    assert (await school.made("rob", "GET", QUEUE))["runs"] == []
    assert (await house.lab.fetch(f"/api/sessions/{session['id']}", "DELETE"))[0] == 204


def back(house: House, school: School) -> School:
    house.again()
    return School(house.lab, school.tokens)


async def begun(school: School, kernel: str, room: str, cell: int) -> None:
    """A cell of Rob's is in the queue; who waits for the answer goes away, as a page that is closed."""
    body = {"cell_id": f"cell-{cell}", "document_id": room}
    task = asyncio.create_task(school.ask("rob", "POST", f"/api/kernels/{kernel}/execute", body))
    async with asyncio.timeout(60):
        while True:
            rows = (await school.made("rob", "GET", QUEUE))["runs"]
            if any(row["cell"] == f"cell-{cell}" for row in rows):
                break
            await asyncio.sleep(0.05)
    task.cancel()


async def asked(school: School, prompt: str) -> dict[str, Any]:
    """The run that asks Rob for that."""
    async with asyncio.timeout(120):
        while True:
            for row in (await school.made("rob", "GET", QUEUE))["runs"]:
                if row["input"] and row["input"]["prompt"] == prompt:
                    return dict(row)
            await asyncio.sleep(0.05)
