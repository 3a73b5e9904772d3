"""Kernels that outlive their server: stopped, killed, started again, as a page of JupyterLab sees it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import stat
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError

from syla_jupyter import app
from syla_jupyter.config import load_settings
from syla_jupyter.runtimes.control_groups import is_frozen
from syla_jupyter.server.kernels import STOP_SECONDS
from tests.conftest import StartLab
from tests.installation import wait_until_async
from tests.lab import MARKER, TOKEN, Cell, Lab, Notebook

RESTART_SECONDS = 20.0
MEANWHILE = 10_000
PRINTING = f"""
import os, time
for number in range(2000 + {MEANWHILE}):
    print(number)
    if number % 100 == 0: time.sleep(0.03)
    while number == 2000 and not os.path.exists('gone'): time.sleep(0.01)
open('printed', 'w').close()
"""
"""Goes on with most of it once the server has gone."""
ADOPT_SECONDS = 3.0  # for ten kernels on a busy machine; 0.1 s on an idle one
AT_ONCE_SECONDS = 20.0  # for what would otherwise wait a minute for the kernel


class House:
    """One root directory, with a server on it that comes and goes."""

    def __init__(self, start_lab: StartLab) -> None:
        self.start_lab = start_lab
        self.lab = start_lab()

    def again(self, ending: signal.Signals | None = signal.SIGKILL) -> Lab:
        """The server after it was ended with that signal; None: it has ended already."""
        if ending is not None:
            self.lab.stop(ending)
        self.lab = self.start_lab(again=self.lab)
        return self.lab


@pytest.fixture(scope="module")
def module_house(start_lab: StartLab) -> House:
    return House(start_lab)


@pytest.fixture
async def house(module_house: House) -> AsyncIterator[House]:
    """Its server runs, and has no kernel before the test and after it."""
    if module_house.lab.process.poll() is not None:
        module_house.again(None)
    for kernel in (await module_house.lab.fetch("/api/kernels"))[1]:  # of a test that failed
        await module_house.lab.fetch(f"/api/kernels/{kernel['id']}", "DELETE")
    yield module_house
    if module_house.lab.process.poll() is None:
        assert await module_house.lab.fetch("/api/kernels") == (200, [])
        assert await module_house.lab.fetch("/api/sessions") == (200, [])
        assert records(module_house.lab) == {}


async def opened(lab: Lab, path: str = "test.ipynb") -> dict[str, Any]:
    """A session whose kernel has said that it lives; its websocket is closed."""
    body = {"path": path, "name": Path(path).name, "type": "notebook", "kernel": {"name": "syla-python"}}
    status, session = await lab.fetch("/api/sessions", "POST", body)
    assert status == 201, session
    async with lab.connected(session) as notebook:
        assert (await notebook.run("import os; x = 42; pid = os.getpid()")).status == "ok"
    return dict(session)


async def same(lab: Lab, before: dict[str, Any]) -> dict[str, Any]:
    """The session as the server has it now: the same one, with the same kernel."""
    status, sessions = await lab.fetch("/api/sessions")
    assert status == 200
    (now,) = [session for session in sessions if session["id"] == before["id"]]
    assert (now["path"], now["kernel"]["id"]) == (before["path"], before["kernel"]["id"])
    return dict(now)


async def dead(lab: Lab, before: dict[str, Any]) -> str:
    """The reason that the page of this session shows: it looks for one when its websocket is refused."""
    kernel = (await same(lab, before))["kernel"]
    assert kernel["execution_state"] == "dead", kernel
    began = time.monotonic()
    with pytest.raises(HTTPClientError) as refused:
        async with lab.connected(before):
            pass
    assert refused.value.code == 410
    assert time.monotonic() - began < AT_ONCE_SECONDS
    status, model = await lab.fetch(f"/api/kernels/{kernel['id']}")
    assert (status, model["execution_state"]) == (200, "dead")
    return str(model["reason"])


async def idle(lab: Lab, *kernels: dict[str, Any]) -> None:
    """Return when they are known to be: the server hears of it beside the page, and of an adopted one when it answers."""
    wanted = {kernel["id"] for kernel in kernels}
    async with asyncio.timeout(30):
        while True:
            _, found = await lab.fetch("/api/kernels")
            if wanted <= {kernel["id"] for kernel in found if kernel["execution_state"] == "idle"}:
                return


def lines(notebook: Notebook) -> list[int]:
    """The numbers that this page was given as output."""
    rows = [m["content"]["text"] for m in notebook.messages if m["msg_type"] == "stream"]
    return [int(line) for line in "".join(rows).split()]


async def opened_again(lab: Lab, session: dict[str, Any]) -> None:
    """Open the page of a dead kernel until it is not refused any more."""
    async with asyncio.timeout(30):
        while True:
            try:
                async with lab.connected(session):
                    return
            except HTTPClientError as exc:
                if exc.code != 410:
                    raise
                await asyncio.sleep(0.5)


def last_activity(session: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(session["kernel"]["last_activity"])


def records(lab: Lab) -> dict[str, Path]:
    """Of kernels, by id."""
    return {path.stem: path for path in lab.installation.home.glob("servers/*/kernels/*.json")}


def container(lab: Lab) -> Any:
    """The one that is in use; another one may be made ready meanwhile."""
    in_use = lab.installation.containers_in_use()
    (found,) = [one for one in lab.installation.containers() if one.name in in_use]
    return found


async def end(lab: Lab, *sessions: dict[str, Any]) -> None:
    for session in sessions:
        assert (await lab.fetch(f"/api/sessions/{session['id']}", "DELETE"))[0] == 204


@contextlib.contextmanager
def registry(lab: Lab) -> Iterator[Any]:
    """The lab's workspaces, seen from another process than the server's."""
    environ = {**os.environ, "SYLA_HOME": str(lab.installation.home)}
    application = app.build(load_settings(None, environ), environ)
    yield application.registry()
    application.registry().detach()
    application.store().close()


def default_workspace(lab: Lab) -> str:
    with registry(lab) as found:
        return str(found.catalog.get("default").id)


# -- the server goes, the kernel stays -------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
async def test_a_page_finds_its_kernel_again(house: House, ending: signal.Signals) -> None:
    """After a clean stop and after kill -9: same session, same kernel, same variables, and all that its cell printed
    meanwhile, once and in order. Then it can be interrupted, restarted, shut down, and is gone for good."""
    session = await opened(house.lab)
    (record,) = records(house.lab).values()
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    for secret in (MARKER, TOKEN, "SYLA_HOME"):
        assert secret not in record.read_text()
    async with house.lab.connected(session) as before:
        cell = await before.begin(PRINTING)
        await before.until(lambda: len(lines(before)) > 1000, 30, "a part of the output")
        active = last_activity(await same(house.lab, session))
        house.lab.stop(ending)
    (house.lab.root / "gone").touch()
    await wait_until_async((house.lab.root / "printed").exists, 60, "the cell's end")
    for name in ("gone", "printed"):
        (house.lab.root / name).unlink()

    lab = house.again(None)
    now = await same(lab, session)
    await idle(lab, now["kernel"])
    assert now["kernel"]["connections"] == 0
    assert abs((last_activity(now) - active).total_seconds()) < 61  # noted once a minute; it began after that
    async with lab.connected(session) as notebook:
        await notebook.send("kernel_info_request", {})  # as every page does first
        await Cell(notebook, cell.id).ended()
        assert len(lines(notebook)) >= MEANWHILE - 1
        assert lines(before) + lines(notebook) == list(range(2000 + MEANWHILE))
        assert await notebook.value("x") == "42"
        cell = await notebook.begin("open('running', 'w')\nwhile True: pass")
        await wait_until_async((lab.root / "running").exists, 30, "the cell's start")
        (lab.root / "running").unlink()
        await notebook.post("interrupt")
        assert "KeyboardInterrupt" in (await cell.ended()).text
        assert await notebook.value("x") == "42"
        await notebook.post("restart")
        assert "NameError" in (await notebook.run("x")).text
        await notebook.begin("import os; os._exit(5)")
        await notebook.until(lambda: "restarting" in notebook.states, RESTART_SECONDS, "a restart by itself")
        await notebook.ready()
        assert await notebook.value("__session__") == "'/workspace/test.ipynb'"
    await end(lab, session)  # `house` sees that neither it nor a later server has it


async def test_a_busy_kernel(house: House) -> None:
    """A kernel that computes while the server is restarted is busy afterwards, its page opens at once, and gets the end
    of its cell."""
    session = await opened(house.lab)
    async with house.lab.connected(session) as notebook:
        code = "import os, time\nopen('busy', 'w')\nwhile not os.path.exists('go'): time.sleep(0.01)\nx += 1"
        await notebook.begin(code)
        await wait_until_async((house.lab.root / "busy").exists, 30, "the cell's start")
        lab = house.again()
    assert (await same(lab, session))["kernel"]["execution_state"] == "busy"
    began = time.monotonic()
    async with lab.connected(session) as notebook:
        assert time.monotonic() - began < AT_ONCE_SECONDS
        (lab.root / "go").touch()
        assert await notebook.value("x") == "43"
        await idle(lab, session["kernel"])
    await end(lab, session)


async def test_ten_kernels(house: House) -> None:
    """Ten kernels are adopted before the first answer, in no time. Beside them, records and a session file that make no
    sense are put aside: their notebooks open as if for the first time."""
    sessions = await asyncio.gather(*(opened(house.lab, f"{number}.ipynb") for number in range(10)))
    house.lab.stop(signal.SIGKILL)
    record = next(iter(records(house.lab).values()))
    strange = record.with_name("11111111-1111-1111-1111-111111111111.json")
    strange.write_text(json.dumps({"version": 1, "kernel_name": 5}))
    record.with_name("x.json").write_text("{")
    for file in record.parent.parent.glob("sessions.db*"):
        file.write_text("no database")
    lab = house.again(None)
    assert not strange.exists()
    assert await lab.fetch("/api/sessions") == (200, [])
    _, kernels = await lab.fetch("/api/kernels")
    assert {kernel["id"] for kernel in kernels} == {session["kernel"]["id"] for session in sessions}
    await idle(lab, *kernels)
    seconds = float(lab.log.read_text().rpartition("kernels of the server before this one in ")[2].split()[0])
    print(f"adopted in {seconds:.3f} s")
    assert seconds < ADOPT_SECONDS
    for session in sessions:
        async with lab.connected(session) as notebook:
            assert await notebook.value("x") == "42"
        assert (await lab.fetch(f"/api/kernels/{session['kernel']['id']}", "DELETE"))[0] == 204


async def test_a_second_server_on_the_same_root(house: House, start_lab: StartLab) -> None:
    """It has kernels of its own; when it has ended, the next server has them."""
    first = house.lab
    one = await opened(first, "one.ipynb")
    second = start_lab(again=first, beside=True)
    two = await opened(second, "two.ipynb")
    assert [s["id"] for s in (await first.fetch("/api/sessions"))[1]] == [one["id"]]
    assert [s["id"] for s in (await second.fetch("/api/sessions"))[1]] == [two["id"]]
    second.stop()
    third = house.again(signal.SIGTERM)
    for session in (one, two):
        await same(third, session)
        async with third.connected(session) as notebook:
            assert await notebook.value("x") == "42"
    await end(third, one, two)


# -- kernels that have ended -----------------------------------------------------------------------------------------


async def test_what_ended_while_no_server_ran(house: House) -> None:
    """A kernel that was killed, then all of them with their container: each is told as dead with the reason, and lives
    again when it is restarted, or its page is opened after that. The files are kept."""
    lab = house.lab
    sessions = [await opened(lab, f"{number}.ipynb") for number in range(2)]
    async with lab.connected(sessions[0]) as notebook:
        pid = await notebook.value("open('kept.txt', 'w').write('x'); pid")
    lab.stop(signal.SIGTERM)
    assert container(lab).exec_run(["sh", "-c", f"kill -9 {pid}"], user="1000").exit_code == 0

    lab = house.again(None)
    assert "9 (SIGKILL)" in await dead(lab, sessions[0])
    await idle(lab, sessions[1]["kernel"])
    lab.stop(signal.SIGKILL)
    container(lab).kill()

    lab = house.again(None)
    assert "9 (SIGKILL)" in await dead(lab, sessions[0])
    assert "container" in await dead(lab, sessions[1])
    assert (lab.root / "kept.txt").read_text() == "x"
    status, model = await lab.fetch(f"/api/kernels/{sessions[0]['kernel']['id']}/restart", "POST")
    assert status == 200, model
    await opened_again(lab, sessions[1])
    for session in sessions:
        async with lab.connected(session) as notebook:
            assert "NameError" in (await notebook.run("x")).text
        await idle(lab, session["kernel"])
    async with lab.connected(sessions[1]) as notebook:
        await notebook.begin("import os; os._exit(5)")
        await notebook.until(lambda: "restarting" in notebook.states, RESTART_SECONDS, "a restart by itself")
    await end(lab, *sessions)


async def test_a_kernel_that_did_not_answer(house: House) -> None:
    """A container that hangs keeps a server from starting for a bounded time; its kernel is told as dead, and is ended
    and started again when it is restarted."""
    lab = house.lab
    session = await opened(lab)
    async with lab.connected(session) as notebook:
        pid = await notebook.value("pid")
    lab.stop(signal.SIGKILL)
    container(lab).pause()  # not our way to suspend: nobody knows of it
    lab = house.again(None)
    assert "did not answer" in await dead(lab, session)
    assert records(lab)
    container(lab).unpause()
    status, model = await lab.fetch(f"/api/kernels/{session['kernel']['id']}/restart", "POST")
    assert status == 200, model
    async with lab.connected(session) as notebook:
        assert "NameError" in (await notebook.run("x")).text
        assert await notebook.value(f"__import__('os').path.exists('/proc/{pid}')") == "False"
    await end(lab, session)


async def test_a_workspace_that_was_stopped(house: House) -> None:
    """The kernel of a workspace that somebody stopped is not restarted by itself: it is dead, with the reason."""
    lab = house.lab
    session = await opened(lab)
    async with lab.connected(session) as notebook:
        with registry(lab) as workspaces:
            workspaces.suspend(default_workspace(lab), stop=True, reason="nobody needs it")
        await notebook.until(lambda: "dead" in notebook.states, RESTART_SECONDS, "the kernel's end")
    assert "nobody needs it" in await dead(lab, session)
    with registry(lab) as workspaces:
        assert workspaces.catalog.get("default").state == "suspended"
    await wait_until_async(lambda: lab.installation.containers_in_use() == [], 15, "the container's end")
    status, model = await lab.fetch(f"/api/kernels/{session['kernel']['id']}/restart", "POST")
    assert status == 200, model
    async with lab.connected(session) as notebook:
        assert await notebook.value("1 + 1") == "2"
    await end(lab, session)


# -- suspended workspaces --------------------------------------------------------------------------------------------


@pytest.fixture
def sleepy(house: House) -> Lab:
    return house.lab


@contextlib.asynccontextmanager
async def page(lab: Lab) -> AsyncIterator[Notebook]:
    session = await opened(lab)
    async with lab.connected(session) as notebook:
        yield notebook
    await end(lab, session)


def frozen(lab: Lab) -> bool:
    """As the processes in it are, whether the engine has done it or we."""
    return is_frozen(container(lab).attrs["State"]["Pid"])


def suspend(lab: Lab) -> None:
    with registry(lab) as workspaces:
        workspaces.suspend(workspaces.catalog.get("default").id)
    assert frozen(lab)


async def test_a_message_thaws(sleepy: Lab) -> None:
    """Messages to a suspended workspace resume it and are answered, in their order."""
    async with page(sleepy) as notebook:
        suspend(sleepy)
        began = time.monotonic()
        cells = [await notebook.begin(f"print({number})") for number in range(20)]
        await cells[0].ended()
        print(f"first answer after {time.monotonic() - began:.3f} s")
        for cell in cells:
            await cell.ended()
        printed = [m["content"]["text"] for m in notebook.messages if m["msg_type"] == "stream"]
        assert "".join(printed) == "".join(f"{number}\n" for number in range(20))
        assert not frozen(sleepy)
        assert notebook.states == []


async def test_what_somebody_else_paused_is_thawed(sleepy: Lab) -> None:
    """A container that was paused behind our back goes on with the next message, interrupt or page."""
    async with page(sleepy) as notebook:
        container(sleepy).pause()
        assert await notebook.value("x") == "42"
        cell = await notebook.begin("open('endless', 'w')\nwhile True: pass")
        await wait_until_async((sleepy.root / "endless").exists, 30, "the cell's start")
        container(sleepy).pause()
        await notebook.post("interrupt")
        assert "KeyboardInterrupt" in (await cell.ended()).text
        container(sleepy).pause()
        async with sleepy.connected(notebook.session) as other:
            assert await other.value("x") == "42"
        assert not frozen(sleepy)
        assert notebook.states == []


async def test_a_new_page_thaws(sleepy: Lab) -> None:
    """A new websocket, an interrupt and a restart resume a suspended workspace."""
    session = await opened(sleepy)
    suspend(sleepy)
    async with sleepy.connected(session, page="another") as notebook:
        assert not frozen(sleepy)
        assert await notebook.value("x") == "42"
        cell = await notebook.begin("open('endless', 'w')\nwhile True: pass")
        await wait_until_async((sleepy.root / "endless").exists, 30, "the cell's start")
        suspend(sleepy)
        await notebook.post("interrupt")
        assert "KeyboardInterrupt" in (await cell.ended()).text
        suspend(sleepy)
        await notebook.post("restart")
        assert "NameError" in (await notebook.run("x")).text
    suspend(sleepy)
    await end(sleepy, session)


@pytest.mark.parametrize("by", ["a cell", "somebody else"])
async def test_what_pages_ask_by_themselves_thaws_nothing(sleepy: Lab, by: str) -> None:
    """A page whose websocket opens again is answered, in its order, once the workspace runs for another reason."""
    session = await opened(sleepy)
    suspend(sleepy)
    async with sleepy.connected(session) as notebook:
        types = ["kernel_info_request", "comm_info_request", "kernel_info_request"]
        asked = [await notebook.send(type, {}) for type in types]

        def replied() -> list[str]:
            parents = [m["parent_header"]["msg_id"] for m in notebook.messages if m["msg_type"].endswith("_reply")]
            return [id for id in parents if id in asked]

        await asyncio.sleep(2)  # longer than it takes to thaw
        assert frozen(sleepy)
        assert replied() == []
        if by == "a cell":
            assert await notebook.value("x") == "42"
        else:
            with registry(sleepy) as workspaces:
                workspaces.resume(workspaces.catalog.get("default").id)
        await notebook.until(lambda: len(replied()) == 3, 30, "answers")
        assert replied() == asked
        assert await notebook.value("x") == "42"
    await end(sleepy, session)


async def test_a_page_that_is_still_connecting(sleepy: Lab) -> None:
    """Suspended before the kernel has answered the page's websocket, it is resumed by the page's cell."""
    session = await opened(sleepy)
    for number in range(5):
        async with sleepy.connected(session, page=f"page-{number}") as notebook:
            suspend(sleepy)
            assert await notebook.value("x") == "42"
    await end(sleepy, session)


async def test_a_suspended_kernel_is_alive(sleepy: Lab) -> None:
    """Nothing believes that it has died, for longer than Jupyter looks; what looks at it does not resume it."""
    async with page(sleepy) as notebook:
        suspend(sleepy)
        until = time.monotonic() + 7  # the restarter looks every 3 s
        while time.monotonic() < until:
            _, model = await sleepy.fetch(f"/api/kernels/{notebook.kernel_id}")
            assert model["execution_state"] == "idle", model
            await asyncio.sleep(0.2)
        assert frozen(sleepy)
        assert notebook.states == []
        assert await notebook.value("x") == "42"


async def test_adoption_of_a_suspended_kernel(house: House) -> None:
    """A workspace that is suspended while the server is away is still so after adoption, and goes on when asked.

    The server ends in time when it is asked to, although a start has failed.
    """
    lab = house.lab
    session = await opened(lab)
    (lab.root / "workspaces" / "none").mkdir(parents=True)
    body = {"path": "workspaces/none/a.ipynb", "name": "a", "type": "notebook", "kernel": {"name": "syla-python"}}
    status, answer = await lab.fetch("/api/sessions", "POST", body)
    assert status >= 400, answer
    assert "workspaces/none is not a workspace" in answer["message"]
    suspend(lab)
    began = time.monotonic()
    assert lab.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began < STOP_SECONDS
    assert list(records(lab)) == [session["kernel"]["id"]]
    assert frozen(lab)

    lab = house.again(None)
    until = time.monotonic() + 3
    while time.monotonic() < until:  # whatever a server does when it starts
        assert (await same(lab, session))["kernel"]["execution_state"] == "idle"
        assert frozen(lab)
    async with lab.connected(session) as notebook:
        assert await notebook.value("x") == "42"
    await end(lab, session)


async def test_a_page_that_comes_back_to_another_server_thaws_nothing(house: House) -> None:
    """It waits as it would have at the former server; then it gets what it missed, and its answers. A new page thaws."""
    lab = house.lab
    session = await opened(lab)
    async with lab.connected(session) as notebook:
        cell = await notebook.begin(
            "import time\nopen('begun', 'w').close()\nwhile not os.path.exists('away'): time.sleep(0.01)\n"
            "for number in range(100): print(number)\nopen('over', 'w').close()"
        )
        await wait_until_async((lab.root / "begun").exists, 30, "the cell's start")
        lab.stop(signal.SIGKILL)
    (lab.root / "away").touch()
    await wait_until_async((lab.root / "over").exists, 30, "the cell's end")
    suspend(lab)
    lab = house.again(None)
    async with lab.connected(session) as notebook:
        asked = await notebook.send("kernel_info_request", {})
        await asyncio.sleep(2)  # longer than it takes to thaw
        assert frozen(lab)
        assert notebook.messages == []
        assert await notebook.value("x") == "42"
        assert any(m["parent_header"].get("msg_id") == asked for m in notebook.messages)
        await notebook.until(lambda: len(Cell(notebook, cell.id).text.split()) >= 100, 30, "what was missed")
        assert Cell(notebook, cell.id).text.split() == [str(number) for number in range(100)]
    suspend(lab)
    async with lab.connected(session, page="another") as notebook:
        assert await notebook.value("x") == "42"
    await end(lab, session)
