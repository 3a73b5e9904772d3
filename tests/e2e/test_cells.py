"""Cells that the server runs into a shared document, asked for as pages of JupyterLab ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

from tests.conftest import StartLab
from tests.installation import Installation

from .school import API, School
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
    "print('the last'); x",
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


async def execute(
    school: School, who: str, kernel: str, room: Any, cell: int | str, **more: Any
) -> tuple[int, dict[str, Any]]:
    body = {"cell_id": f"cell-{cell}", "document_id": room, **more}
    answer = await school.ask(who, "POST", f"/api/kernels/{kernel}/execute", body)
    return answer.code, json.loads(answer.body)


async def begin(school: School, who: str, kernel: str, page: SharedPage, cell: int) -> asyncio.Task[Any]:
    task = asyncio.create_task(execute(school, who, kernel, page.room, cell))
    await page.until(lambda: page.state(cell) == "running")
    return task


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(60):
        while True:
            if value := await condition():
                return value
            await asyncio.sleep(0.05)


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


async def test_a_cell_is_run_as_its_page_has_it(school: School) -> None:
    """What was typed goes another way than the request to run it, and may come later; what was never sent is not run."""
    async with running(school, "typed", "print('be") as (kernel, page):
        source = page.notebook.ycells[0]["source"]
        source += "fore')"
        asked = asyncio.create_task(execute(school, "owner", kernel, page.room, 0, edits=page.edits))
        assert not (await asyncio.wait({asked}, timeout=1))[0]
        await page.send()
        assert (await asked)[1]["status"] == "ok"
        await page.until(lambda: page.text(0) == "before\n")
        for edits in (5, {}, {"client": -1, "clock": 1}, {"client": 1, "clock": "x"}, {"client": 1, "clock": 1 << 60}):
            status, answer = await execute(school, "owner", kernel, page.room, 0, edits=edits)
            assert (status, answer["error"]["field"]) == (400, "edits")
        late = {**page.edits, "clock": page.edits["clock"] + 1}
        status, answer = await execute(school, "owner", kernel, page.room, 0, edits=late)
        assert status == 409
        assert "what you typed last has not reached the server" in answer["error"]["message"]
        assert page.cell(0)["execution_count"] == 1


async def test_what_comes_next(school: School) -> None:
    """What `%load` has for its cell is for the page to write; text only, and not too much."""
    cells = [
        "get_ipython().set_next_input('x = 1 # ü', replace=True)",
        "get_ipython().set_next_input('x = 2')",
        "get_ipython().set_next_input('x' * (2 << 20))",
        "get_ipython().payload_manager.write_payload({'source': 'set_next_input', 'text': [1]})",
    ]
    async with running(school, "next", *cells) as (kernel, page):
        answers = [(await execute(school, "rob", kernel, page.room, number))[1] for number in range(len(cells))]
        assert [answer["status"] for answer in answers] == ["ok"] * len(cells)
        assert answers[0]["next_input"] == {"text": "x = 1 # ü", "replace": True}
        assert [answer.get("next_input") for answer in answers[1:]] == [{"text": "x = 2", "replace": False}, None, None]
        assert [page.cell(number)["source"] for number in range(len(cells))] == cells


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


async def test_a_queue_that_all_see(school: School) -> None:
    """Order, who and where; only one's own are cancelled; an error stops what the same person asked for after it."""
    lab = school.lab
    (lab.root / "workspaces" / "class" / "go").unlink(missing_ok=True)
    cells = [ENDLESS, "'mine'", "1 / 0", "'after the error'", "'of another'", "'cancelled'"]
    async with running(school, "queue", *cells) as (kernel, page):
        tasks = [await begin(school, "rob", kernel, page, 0)]
        for who, number in (("rob", 2), ("eve", 4), ("rob", 3), ("eve", 5)):
            tasks.append(await begin(school, who, kernel, page, number))
            await asyncio.sleep(0.3)  # no burst
        rows = (await school.made("vic", "GET", f"{API}/workspaces/class/queue"))["runs"]
        assert [(row["user"], row["cell"], row["position"]) for row in rows] == [
            ("rob", "cell-0", 0), ("rob", "cell-2", 1), ("eve", "cell-4", 2), ("rob", "cell-3", 3), ("eve", "cell-5", 4),
        ]  # fmt: skip
        assert {(row["path"], row["kernel"]) for row in rows} == {("workspaces/class/queue.ipynb", kernel)}
        last = f"{API}/workspaces/class/queue/{rows[4]['id']}"
        assert [await school.status(who, "DELETE", last) for who in ("rob", "owner", "vic", "sam", "eve", "eve")] == [
            404, 404, 403, 403, 204, 404,
        ]  # fmt: skip
        running_one = f"{API}/workspaces/class/queue/{rows[0]['id']}"
        assert await school.status("rob", "DELETE", running_one) == 409
        (lab.root / "workspaces" / "class" / "go").touch()
        ends = {number: (await task)[1]["status"] for number, task in zip((0, 2, 4, 3, 5), tasks, strict=True)}
        assert ends == {0: "ok", 2: "error", 4: "ok", 3: "queued", 5: "aborted"}  # of rob's, two answers waited
        await page.ended(4)
        await page.until(lambda: page.state(3) == page.state(5) == "idle")
        assert [page.cell(number)["execution_count"] for number in range(6)] == [1, None, 2, None, 3, None]
        assert (await school.made("owner", "GET", f"{API}/workspaces/class/queue"))["runs"] == []


async def test_input_is_asked_from_who_ran_the_cell(school: School) -> None:
    cells = ["name = input('Name? ')\nimport getpass\nword = getpass.getpass('Word? ')\nprint(name + word)"]
    async with running(school, "input", *cells) as (kernel, page):
        task = await begin(school, "rob", kernel, page, 0)
        for prompt, password, text in (("Name? ", False, "Rob"), ("Word? ", True, "secret")):

            async def asked(prompt: str = prompt) -> Any:
                rows = (await school.made("rob", "GET", f"{API}/workspaces/class/queue"))["runs"]
                return rows and rows[0]["input"] and rows[0]["input"]["prompt"] == prompt and rows[0]

            row = await until(asked)
            assert row["input"]["password"] is password
            (seen,) = (await school.made("eve", "GET", f"{API}/workspaces/class/queue"))["runs"]
            assert seen["input"] is None
            assert seen["waits_for_input"]
            address = f"{API}/workspaces/class/queue/{row['id']}/input"
            assert [await school.status(who, "POST", address, {"value": "x"}) for who in ("eve", "vic")] == [404, 403]
            await school.made("rob", "POST", address, {"value": text})
        assert (await task)[1]["status"] == "ok"
        await page.ended(0)
        assert page.text(0) == "Name?  Rob\nWord?  ········\nRobsecret\n"


async def test_a_role_that_was_taken_stops_what_waits(school: School) -> None:
    lab = school.lab
    (lab.root / "workspaces" / "class" / "go").unlink(missing_ok=True)
    async with running(school, "taken", ENDLESS, "open('late', 'w')") as (kernel, page):
        tasks = [await begin(school, "owner", kernel, page, 0), await begin(school, "rob", kernel, page, 1)]
        await school.take_roles({"rob": "viewer"})
        (lab.root / "workspaces" / "class" / "go").touch()
        assert [(await task)[1]["status"] for task in tasks] == ["ok", "aborted"]
        await page.until(lambda: "may not run" in page.text(1))
        assert not (lab.root / "workspaces" / "class" / "late").exists()


async def test_large_outputs_are_cut_and_kept_aside(school: School) -> None:
    async with running(school, "large", "for n in range(300_000): print(n)") as (kernel, page):
        _, answer = await execute(school, "rob", kernel, page.room, 0)
        await page.until(lambda: "more characters" in page.text(0))
        assert len(page.text(0)) < 1.1 * (1 << 20)
        kept = await school.made("vic", "GET", f"{API}/workspaces/class/executions/{answer['id']}")
        wanted = "".join(f"{n}\n" for n in range(300_000))
        same = kept["stdout"] == wanted
        assert same, (len(kept["stdout"]), len(wanted), kept["stdout"][:50], kept["stdout"][-50:])


async def test_the_kernels_end_and_an_interrupt(school: School) -> None:
    cells = ["import os; os.kill(os.getpid(), 9)", "import time; print('asleep', flush=True); time.sleep(1000)", "1"]
    async with running(school, "ends", *cells) as (kernel, page):
        assert (await execute(school, "rob", kernel, page.room, 0))[1]["status"] == "error"
        await page.until(lambda: "SIGKILL" in page.text(0))
        task = await begin(school, "rob", kernel, page, 1)
        await page.until(lambda: "asleep" in page.text(1))
        await school.made("rob", "POST", f"/api/kernels/{kernel}/interrupt")
        assert (await task)[1]["status"] == "error"
        await page.until(lambda: page.cell(1)["outputs"])
        assert page.cell(1)["outputs"][-1]["ename"] == "KeyboardInterrupt"
        assert (await execute(school, "eve", kernel, page.room, 2))[1]["status"] == "ok"


async def heard(school: School, who: str, last: str = "") -> Any:
    """A websocket of all events, after its hello."""
    socket = await school.connected(who, f"{API}/events" + (f"?last_event_id={last}" if last else ""))
    hello = json.loads(await socket.read_message() or "")
    assert hello["event"] == "hello"
    return socket, hello["id"]


async def until_event(socket: Any, **wanted: str) -> list[dict[str, Any]]:
    """All up to one that has these values."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while not found or any(found[-1].get(name) != value for name, value in wanted.items()):
            found.append(json.loads(await socket.read_message()))
    return found


async def test_events_of_cells_and_members(school: School) -> None:
    """In order, for members alone; who comes back gets what he has missed; nobody makes any up."""
    sockets = {who: await heard(school, who) for who in ("vic", "sam")}
    async with running(school, "events", "open('of a cell.txt', 'w').write('1')") as (kernel, page):
        _, answer = await execute(school, "rob", kernel, page.room, 0)
        await school.take_roles({"eve": "viewer"})
        rows = await until_event(sockets["vic"][0], event="people", subject="eve")
        runs = [(row["what"], row["user"], row["cell"]) for row in rows if row["event"] == "run"]
        assert runs == [(what, "rob", "cell-0") for what in ("queued", "started", "completed")]
        assert {row["execution_id"] for row in rows if row["event"] == "run"} == {answer["id"]}
        assert (rows[-1]["action"], rows[-1]["role"], rows[-1]["actor"] != "eve") == ("workspace.share", "viewer", True)
        again, _ = await heard(school, "vic", sockets["vic"][1])
        known = [row for row in rows if row.get("id")]  # one without says only that something has changed
        assert await until_event(again, event="people", subject="eve") == known
        await school.take_roles({"sam": "viewer"})  # the first that he hears of
        heard_by_sam = await until_event(sockets["sam"][0], event="people", subject="sam")
        assert [row["subject"] for row in heard_by_sam if row["subject"] is not None] == ["sam"]
        assert "run" not in {row["event"] for row in heard_by_sam}
        while not any("workspaces/class/of a cell.txt" in row.get("paths", ()) for row in rows):
            rows = await until_event(sockets["vic"][0], event="files", action="write")
        forged = {"schema_id": "https://syla/run", "version": "1", "data": {}}
        assert [await school.status(who, "POST", "/api/events", forged) for who in ("eve", "sam", "")] == [403] * 3
    for socket in (*(one for one, _ in sockets.values()), again):
        socket.close()
