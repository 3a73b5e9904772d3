"""Kernels through a real JupyterLab server: REST and websocket, as the browser does it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.conftest import StartLab
from tests.installation import wait_until, wait_until_async
from tests.lab import Lab, Notebook

INTERRUPT_SECONDS = 15.0  # what is interrupted would take 100 s, or for ever
RESTART_SECONDS = 20.0  # Jupyter looks every 3 s whether a kernel lives


@contextlib.asynccontextmanager
async def gone_on(notebook: Notebook) -> AsyncIterator[None]:
    """A variable from before is still there afterwards: it is the same kernel."""
    await notebook.run("before = 41")
    yield
    assert await notebook.value("before + 1") == "42"


async def interrupted(notebook: Notebook, code: str, started: Path) -> str:
    """Run `code` until the file `started` is there, interrupt it; its error."""
    cell = await notebook.begin(code)
    await wait_until_async(started.exists, 30, f"{started} made by the cell")
    await notebook.post("interrupt")
    await cell.ended(INTERRUPT_SECONDS)
    return cell.messages("error")[0]["content"]["ename"]


async def gone(notebook: Notebook, pid: str) -> None:
    """What was killed is no process any more once it was reaped."""
    async with asyncio.timeout(20):
        while await notebook.value(f"__import__('os').path.exists('/proc/{pid.strip()}')") != "False":
            pass


async def restarted(notebook: Notebook) -> None:
    await notebook.until(lambda: "restarting" in notebook.states, RESTART_SECONDS, "a restart by itself")
    await notebook.ready()


# -- cells -------------------------------------------------------------------------------------------------------


async def test_a_cell_runs(lab_server: Lab) -> None:
    """A new notebook's kernel answers with results, output and errors; it runs in the container."""
    async with lab_server.notebook() as notebook:
        assert await notebook.value("6 * 7") == "42"
        assert (await notebook.run("print('out'); import sys; print('err', file=sys.stderr)")).text in (
            "out\nerr\n",
            "err\nout\n",
        )
        assert "ZeroDivisionError" in (await notebook.run("1/0")).text
        assert (
            await notebook.value("import os; os.path.isdir('/opt/syla/agent'), os.getcwd()") == "(True, '/workspace')"
        )


async def test_files_beside_the_notebook(lab_server: Lab) -> None:
    """A kernel reads and writes the files beside its notebook; in a subdirectory that is its current directory."""
    directory = lab_server.root / "sub dir" / "ä"
    directory.mkdir(parents=True)
    (directory / "data.txt").write_text("beside")
    async with lab_server.notebook("sub dir/ä/nb.ipynb") as notebook:
        assert await notebook.value("open('data.txt').read()") == "'beside'"
        assert await notebook.value("__import__('os').getcwd()") == "'/workspace/sub dir/ä'"
        assert await notebook.value("__session__") == "'/workspace/sub dir/ä/nb.ipynb'"
        await notebook.run("open('made.txt', 'w').write('x')")
    assert (directory / "made.txt").read_text() == "x"
    assert (directory / "made.txt").stat().st_uid == directory.stat().st_uid


async def test_input_is_asked_for(lab_server: Lab) -> None:
    """`input()` asks over the stdin channel and gets the answer."""
    async with lab_server.notebook() as notebook:
        cell = await notebook.begin("print('hello', input('name? '))")
        await notebook.until(lambda: cell.messages("input_request"), 30, "a request for input")
        (request,) = cell.messages("input_request")
        assert request["content"]["prompt"] == "name? "
        await notebook.send("input_reply", {"value": "you"}, channel="stdin", parent=request["header"])
        assert (await cell.ended()).text == "hello you\n"


# -- interrupts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("while True: pass", id="python loop"),
        pytest.param("import time; time.sleep(100)", id="sleep"),
        pytest.param("import re; re.match(r'(a+)+b', 'a' * 60)", id="C loop"),
        pytest.param("input()", id="input"),
    ],
)
async def test_interrupt(lab_server: Lab, code: str) -> None:
    """An interrupt ends whatever a cell does, and the kernel goes on."""
    started = lab_server.root / "started"
    started.unlink(missing_ok=True)
    async with lab_server.notebook() as notebook, gone_on(notebook):
        assert await interrupted(notebook, f"open('started', 'w')\n{code}", started) == "KeyboardInterrupt"


async def test_interrupt_of_a_child_process(lab_server: Lab) -> None:
    """An interrupt reaches a child process of the cell as well."""
    started = lab_server.root / "child"
    started.unlink(missing_ok=True)
    code = "import subprocess; subprocess.run(['sh', '-c', 'echo $$ > new; mv new child; exec sleep 100'])"
    async with lab_server.notebook() as notebook, gone_on(notebook):
        assert await interrupted(notebook, code, started) == "KeyboardInterrupt"
        await gone(notebook, started.read_text())


# -- restarts ----------------------------------------------------------------------------------------------------


async def test_restart(lab_server: Lab) -> None:
    """A restart forgets all variables; the websocket of before goes on working."""
    async with lab_server.notebook() as notebook:
        for round in range(3):
            assert (await notebook.run(f"x = {round}")).status == "ok"
            await notebook.post("restart")
            assert "NameError" in (await notebook.run("x")).text
            assert await notebook.value("1 + 1") == "2"


async def test_restart_of_a_busy_kernel(lab_server: Lab) -> None:
    """A kernel in an endless loop can be restarted; whatever it started is gone."""
    started = lab_server.root / "busy"
    code = "import subprocess; c = subprocess.Popen(['sleep', '100']); open('busy', 'w').write(str(c.pid))\nwhile True: pass"
    async with lab_server.notebook() as notebook:
        await notebook.begin(code)
        await wait_until_async(lambda: started.exists() and started.read_text(), 30, "the cell's start")
        await notebook.post("restart")
        await gone(notebook, started.read_text())


async def test_restart_after_a_crash(lab_server: Lab) -> None:
    """A kernel that crashes is started again by itself; its cell tells by which signal it ended."""
    async with lab_server.notebook() as notebook:
        cell = await notebook.begin("import os; os.kill(os.getpid(), 11)")
        await restarted(notebook)
        await cell.says("11 (SIGSEGV)")
        assert await notebook.value("1 + 1") == "2"


async def test_a_kernel_that_exits(lab_server: Lab) -> None:
    """`os._exit` in a cell is told with its exit code, and the kernel is started again."""
    async with lab_server.notebook() as notebook:
        cell = await notebook.begin("import os; os._exit(5)")
        await restarted(notebook)
        await cell.says("exit code 5")
        assert await notebook.value("1 + 1") == "2"


# -- many --------------------------------------------------------------------------------------------------------


async def test_two_notebooks(lab_server: Lab) -> None:
    """Two notebooks have kernels of their own: other variables, other random numbers, other processes."""
    async with lab_server.notebook("a.ipynb") as a, lab_server.notebook("b.ipynb") as b:
        assert a.kernel_id != b.kernel_id
        assert (await a.run("x = 1")).status == "ok"
        assert "NameError" in (await b.run("x")).text
        for number in (
            "__import__('os').getpid()",
            "__import__('numpy').random.rand()",
            "__import__('random').random()",
        ):
            assert await a.value(number) != await b.value(number), number


async def test_thirty_at_once(lab_server: Lab) -> None:
    """Thirty notebooks opened at once all answer, and none of their processes stays."""

    def processes() -> int:
        return sum(len(container.top()["Processes"]) for container in lab_server.installation.containers())

    async def session(number: int) -> str:
        async with lab_server.notebook(f"many{number}.ipynb") as notebook:
            value = await notebook.value(f"{number} * 2")
            answered.add(number)
            await wait_until_async(lambda: len(answered) == 30, 60, "an answer of all others")
            return value

    answered: set[int] = set()
    async with lab_server.notebook() as notebook:  # the container is there, with a spare
        await notebook.run("1")
    assert await asyncio.gather(*(session(number) for number in range(30))) == [str(n * 2) for n in range(30)]
    assert (await lab_server.fetch("/api/kernels")) == (200, [])
    assert (await lab_server.fetch("/api/sessions")) == (200, [])
    wait_until(lambda: processes() <= 4, 20, "only the agent, its zygote and spares in the container")


async def test_a_notebook_opened_by_many_at_once_has_one_kernel(lab_server: Lab) -> None:
    """Pages ask for a session of a made-up name first, and end one that has another; another notebook in that folder has
    a kernel of its own."""
    body = {"name": "at once.ipynb", "type": "notebook", "kernel": {"name": "syla-python"}}
    paths = [*(str(uuid4()) for _ in range(4)), "at once.ipynb", "at once.ipynb"]
    asked = [{**body, "path": path} for path in paths] + [{**body, "path": str(uuid4()), "name": "other.ipynb"}]
    answers = await asyncio.gather(*(lab_server.fetch("/api/sessions", "POST", one) for one in asked))
    assert [(status, model["path"]) for status, model in answers] == [(201, one["path"]) for one in asked]
    *same, other = [model for _, model in answers]
    assert len({model["id"] for model in same}) == 5
    (kernel,) = {model["kernel"]["id"] for model in same}
    assert {row["id"] for row in (await lab_server.fetch("/api/kernels"))[1]} == {kernel, other["kernel"]["id"]}
    for session in (same[0], other):
        assert (await lab_server.fetch(f"/api/sessions/{session['id']}", "DELETE"))[0] == 204
    assert (await lab_server.fetch("/api/kernels")) == (200, [])
    assert (await lab_server.fetch("/api/sessions")) == (200, [])
    status, again = await lab_server.fetch("/api/sessions", "POST", asked[0])
    assert (status, again["kernel"]["id"] != kernel) == (201, True)
    assert (await lab_server.fetch(f"/api/sessions/{again['id']}", "DELETE"))[0] == 204


async def test_shutdown(lab_server: Lab) -> None:
    """Shutting a kernel down ends its process and takes it from the list, even in an endless loop."""
    started = lab_server.root / "looping"
    async with lab_server.notebook("a.ipynb") as a, lab_server.notebook("b.ipynb") as b:
        await b.begin("import os; open('looping', 'w').write(str(os.getpid()))\nwhile True: pass")
        await wait_until_async(lambda: started.exists() and started.read_text(), 30, "the cell's start")
        status, _ = await lab_server.fetch(f"/api/kernels/{b.kernel_id}", "DELETE")
        assert status == 204
        _, kernels = await lab_server.fetch("/api/kernels")
        assert [kernel["id"] for kernel in kernels] == [a.kernel_id]
        await gone(a, started.read_text())


# -- the rest of the protocol ------------------------------------------------------------------------------------


async def test_debugger(lab_server: Lab) -> None:
    """The debugger answers on the control channel and stops at a breakpoint."""
    async with lab_server.notebook() as notebook:

        async def debug(command: str, **arguments: object) -> dict[str, object]:
            request = {"type": "request", "seq": len(notebook.messages), "command": command, "arguments": arguments}
            id = await notebook.send("debug_request", request, channel="control")

            def replies() -> list[dict[str, object]]:
                rows = notebook.messages
                return [
                    m["content"] for m in rows if m["msg_type"] == "debug_reply" and m["parent_header"]["msg_id"] == id
                ]

            return (await notebook.until(replies, 30, f"a reply to {command}"))[0]

        assert (await debug("debugInfo"))["body"]["isStarted"] is False
        initialized = await debug("initialize", clientID="test", adapterID="", pathFormat="path", linesStartAt1=True)
        assert initialized["success"] is True, initialized
        attached = await debug("attach")
        assert attached["success"] is True, attached
        code = "x = 1\nx = x + 41\nprint(x)"
        dumped = await debug("dumpCell", code=code)
        source = {"path": dumped["body"]["sourcePath"]}
        assert (await debug("setBreakpoints", source=source, breakpoints=[{"line": 2}], sourceModified=False))[
            "success"
        ]
        assert (await debug("configurationDone"))["success"] is True
        cell = await notebook.begin(code)
        await notebook.until(
            lambda: any(
                m["msg_type"] == "debug_event" and m["content"]["event"] == "stopped" for m in notebook.messages
            ),
            30,
            "a stop at the breakpoint",
        )
        assert cell.text == ""
        threads = await debug("threads")
        (thread, *_) = [t["id"] for t in threads["body"]["threads"] if t["name"] == "MainThread"]
        assert (await debug("continue", threadId=thread))["success"] is True
        assert (await cell.ended()).text == "42\n"


async def test_memory_limit(start_lab: StartLab) -> None:
    """A cell that passes the memory limit says so with the limit, its kernel starts again, the server lives."""
    lab = start_lab(SYLA_MEMORY="700m")
    async with lab.notebook() as notebook:
        cell = await notebook.begin("x = bytearray(2 * 10**9)")
        await restarted(notebook)
        await cell.says("memory limit of 700 MB")
        assert "syla workspace set default --memory 1400m" in cell.text
        assert await notebook.value("1 + 1") == "2"
        _, kernel = await lab.fetch(f"/api/kernels/{notebook.kernel_id}")
        assert "700 MB" in kernel["reason"]
    assert lab.process.poll() is None
    assert re.search(r"kernel .*memory limit of 700 MB", lab.log.read_text())
