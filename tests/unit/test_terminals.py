"""Terminals without a container: a real agent runs the shells, on real pseudo-terminals."""

from __future__ import annotations

import asyncio
import os
import signal
import termios
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from syla_jupyter.model.clock import SystemClock
from syla_jupyter.model.errors import BadInput, BadPath, InsufficientResources, NameTaken, StartFailed
from syla_jupyter.model.runtime import ContainerInfo
from syla_jupyter.model.workspace import DEFAULT_LIMITS, Network, WorkspaceSpec, WorkspaceType
from syla_jupyter.runtimes.agent_client import AgentClient
from syla_jupyter.runtimes.rundir import RunDir
from syla_jupyter.server import terminal_pty
from syla_jupyter.server.terminal_pty import History, Terminal
from syla_jupyter.server.terminals import WorkspaceTerminalManager, host_directory, requested
from syla_jupyter.workspaces.live import LiveWorkspace, RunningProcess
from tests.installation import wait_until_async

from .agent_process import RunningAgent, running_agent

ROOT = Path("/srv/files")
LIMITS = DEFAULT_LIMITS[WorkspaceType.SESSION]
SPEC = WorkspaceSpec("mine", WorkspaceType.SESSION, "python", LIMITS, Network.NONE, files=None)


@dataclass
class Watcher:
    """A client that takes what it gets, or falls behind when told to."""

    size: tuple[int, int] | None = None
    backlog: int = 0
    behind: bool = False
    closed: bool = False
    messages: list[tuple[Any, ...]] = field(default_factory=list)

    def send(self, *message: Any) -> None:
        self.messages.append(message)
        if self.behind:
            self.backlog += len(str(message[1]))

    def close(self) -> None:
        self.closed = True

    @property
    def text(self) -> str:
        return "".join(message[1] for message in self.messages if message[0] == "stdout")

    async def sees(self, text: str, seconds: float = 10) -> None:
        await wait_until_async(lambda: text in self.text, seconds, f"{text!r} in {self.text[-2000:]!r}")


@pytest.fixture(scope="module")
def agent() -> Iterator[RunningAgent]:
    with running_agent(zygote=False, spares=0) as running:
        yield running


@pytest.fixture
def workspace(agent: RunningAgent) -> Iterator[LiveWorkspace]:
    live = LiveWorkspace(SPEC, RunDir(agent.directory), ContainerInfo("", "", {}, True), lambda _: None)
    live.agent = AgentClient(agent.directory / "agent", on_event=live.on_event, on_lost=live.on_lost, hold_seconds=20)
    yield live
    live.agent.close()


def no_need() -> None:
    raise AssertionError("nothing is frozen")


OpenTerminal = Callable[..., Terminal]


@pytest.fixture
async def open_terminal(workspace: LiveWorkspace) -> AsyncIterator[OpenTerminal]:
    """`open_terminal(*argv)`: a terminal that runs it."""
    terminals: list[Terminal] = []

    def opened(*argv: str) -> Terminal:
        terminal = Terminal("1", clock=SystemClock(), pause=lambda: 0.001, wake=no_need, on_end=terminals.remove)
        terminals.append(terminal)
        env = {"PS1": "$ ", "TERM": "dumb", "HISTFILE": ""}
        terminal.launch(
            lambda far: workspace.start_command(
                argv or ["bash", "--norc", "--noprofile"], cwd="/", env=env, stdio=(far, far, far), tty=True
            )
        )
        return terminal

    yield opened
    for terminal in list(terminals):
        await terminal.close()
    assert not terminals


# -- what a client may say ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["shell_command", "extra_env", "env", "argv", "self", "term_settings", ""])
def test_only_name_and_cwd_are_a_clients_business(field: str) -> None:
    """Anything else is refused by name, whatever its value."""
    with pytest.raises(BadInput, match=f"^{field}: a terminal does not take this. Give `name` and `cwd` only"):
        requested({"name": "a", "cwd": "", field: None})


@pytest.mark.parametrize("name", ["", "a b", "../x", "a" * 65, "ä", "a\n", 1, ["a"], {}])
def test_names(name: Any) -> None:
    """A name that would not fit a route, or is no text, is refused."""
    with pytest.raises(BadInput, match="^name: "):
        requested({"name": name})
    assert requested({"name": "a_1"}) == ("a_1", "")
    assert requested({"name": None, "cwd": None}) == (None, "")


@pytest.mark.parametrize(
    ("cwd", "place"),
    [
        ("", ROOT),
        ("a/b", ROOT / "a/b"),
        ("workspaces/mine", ROOT / "workspaces/mine"),
        ("./a", ROOT / "a"),
        (f"{ROOT}/a", ROOT / "a"),
        (str(ROOT), ROOT),
        ("/etc", ROOT),
        ("/srv/files-of-others", ROOT),
    ],
)
def test_directories(cwd: str, place: Path) -> None:
    """API paths and host paths below the root are places; other host paths mean the root."""
    assert host_directory(ROOT, cwd) == place


@pytest.mark.parametrize("cwd", ["../../etc", "a/../b", "..", f"{ROOT}/../../etc", "a\0b", "a" * 5000])
def test_directories_that_lead_out(cwd: str) -> None:
    """What leads upwards, or is no path, is refused."""
    with pytest.raises(BadPath, match="^cwd: "):
        host_directory(ROOT, cwd)


def test_a_directory_that_is_no_text() -> None:
    with pytest.raises(BadPath, match="^cwd: "):
        requested({"cwd": ["/etc"]})


async def test_the_manager_bounds_and_never_runs_anything_here(tmp_path: Path) -> None:
    """A taken name and one terminal too many are refused; the ways into Jupyter's own manager are closed."""

    def never(_: Path) -> Any:
        raise StartFailed("the engine is away", "Start it")

    manager = WorkspaceTerminalManager(
        root=tmp_path, open_workspace=never, environment={"LANG": "C", "COLUMNS": "7"}, clock=SystemClock()
    )
    manager.terminals_max = 3
    assert [manager.create()["name"], manager.create(name="mine")["name"], manager.create()["name"]] == [
        "1",
        "mine",
        "2",
    ]
    with pytest.raises(NameTaken, match="mine"):
        manager.create(name="mine")
    with pytest.raises(InsufficientResources, match="3 terminals are open"):
        manager.create()
    with pytest.raises(NotImplementedError):
        manager.new_terminal()
    with pytest.raises(NotImplementedError):
        manager.new_named_terminal(shell_command=["true"])
    with pytest.raises(KeyError):
        manager.get_terminal("none")
    assert manager.activity() == {}

    watcher = Watcher()
    manager.get_terminal("mine").attach(watcher)
    await watcher.sees("No terminal: the engine is away. Start it")
    await manager.terminate("mine")
    assert watcher.messages[-1] == ("disconnect", 1)
    assert set(manager.terminals) == {"1", "2"}
    await manager.terminate_all()
    assert manager.terminals == {}


async def test_culling(tmp_path: Path) -> None:
    """Jupyter's setting ends terminals that were idle for longer, by the injected clock, and no others."""

    class LongAgo(SystemClock):
        def now(self) -> float:
            return 0.0

    def never(_: Path) -> Any:
        raise StartFailed("not today")

    for clock, left in ((LongAgo(), 0), (SystemClock(), 1)):
        manager = WorkspaceTerminalManager(
            root=tmp_path,
            open_workspace=never,
            environment={},
            clock=clock,
            config=Config({"TerminalManager": {"cull_inactive_timeout": 60}}),
        )
        manager.create()
        await manager._cull_terminals()
        assert len(manager.terminals) == left
        await manager.terminate_all()


# -- a terminal --------------------------------------------------------------------------------------------------


async def test_a_start_that_failed_is_told() -> None:
    """A terminal that could not start says why, also to who comes later, and stays until that was read."""
    ended: list[Terminal] = []
    terminal = Terminal("1", clock=SystemClock(), pause=lambda: 0.001, wake=no_need, on_end=ended.append)
    first, second = Watcher(), Watcher()
    terminal.attach(first)

    def fails(_: int) -> Any:
        raise StartFailed("there is no image")

    terminal.launch(fails)
    await first.sees("No terminal: there is no image.\r\nPress Enter to close")
    terminal.attach(second)
    assert "there is no image" in second.text
    await terminal.write("ls")
    assert not ended
    assert not first.closed
    await terminal.write("\r")
    assert ended == [terminal]
    assert first.closed
    assert second.closed


async def test_input_output_and_exit(open_terminal: OpenTerminal) -> None:
    """What is typed before the shell runs is not lost; whoever connects later sees what was shown; `exit` ends it."""
    terminal, first, second = open_terminal(), Watcher(), Watcher()
    terminal.attach(first)
    await terminal.write("echo ear''ly; tty >/dev/null && echo is a tty\n")
    await first.sees("early")
    assert first.messages[0] == ("setup", {})
    assert terminal.last_output is not None
    terminal.attach(second)
    assert "early" in second.text
    await terminal.write("exit\n")
    await wait_until_async(lambda: first.closed and second.closed, 5, "the end")
    assert first.messages[-1] == ("disconnect", 1)


async def test_the_smallest_window_counts(open_terminal: OpenTerminal) -> None:
    """The program is told of a new size at once, and sees that of the smallest window."""
    terminal, big, small = open_terminal(), Watcher(), Watcher()
    terminal.attach(big)
    await terminal.write("trap 'echo now $(stty size)' WINCH; echo trap''ped\n")  # not what the terminal echoes
    await big.sees("trapped")
    big.size = (50, 150)
    terminal.resize()
    await terminal.write("\n")
    await big.sees("now 50 150")
    small.size = (20, 200)
    terminal.attach(small)
    terminal.resize()
    await terminal.write("\n")
    await big.sees("now 20 150")
    terminal.detach(small)
    await terminal.write("\n")
    await wait_until_async(lambda: big.text.count("now 50 150") == 2, 5, "the size of who is left")


async def test_characters_are_erased_whole(open_terminal: OpenTerminal) -> None:
    """Erasing in a program without an editor of its own takes a character, not a byte."""
    terminal, watcher = open_terminal("cat"), Watcher()
    terminal.attach(watcher)
    await terminal.write("a\N{LATIN SMALL LETTER A WITH DIAERESIS}\x7fb\n")
    await watcher.sees("\r\nab\r\n")


async def test_output_without_end_is_bounded(open_terminal: OpenTerminal) -> None:
    """Nobody has to watch; little is kept, and the loop is left alone in between."""
    terminal = open_terminal("yes", "output without end " * 3)
    await wait_until_async(lambda: terminal.last_output, 5, "output")
    loop = asyncio.get_running_loop()
    until, slowest = loop.time() + 1, 0.0
    while (now := loop.time()) < until:
        await asyncio.sleep(0)
        slowest = max(slowest, loop.time() - now)
    assert slowest < 0.2
    watcher = Watcher()
    terminal.attach(watcher)
    assert terminal_pty.HISTORY_MAX / 2 < len(watcher.text) <= terminal_pty.HISTORY_MAX + terminal_pty.READ_BYTES


async def test_who_is_behind_makes_the_program_wait(
    open_terminal: OpenTerminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a client is behind nothing is read; it goes on when it has caught up, and without it when it does not."""
    monkeypatch.setattr(terminal_pty, "SLOW_SECONDS", 1.0)
    terminal, slow = open_terminal("yes"), Watcher(behind=True)
    terminal.attach(slow)
    await wait_until_async(lambda: slow.backlog > terminal_pty.BACKLOG_MAX, 5, "a backlog")
    await asyncio.sleep(0.1)
    stopped_at = slow.backlog
    assert stopped_at <= terminal_pty.BACKLOG_MAX + terminal_pty.READ_BYTES
    await asyncio.sleep(0.2)
    assert slow.backlog == stopped_at

    slow.backlog = 0
    terminal.proceed()
    await wait_until_async(lambda: slow.backlog > terminal_pty.BACKLOG_MAX, 5, "more")
    watcher = Watcher()
    terminal.attach(watcher)
    await wait_until_async(lambda: slow.closed, 5, "the end of who does not catch up")
    before = len(watcher.messages)
    await wait_until_async(lambda: len(watcher.messages) > before + 5, 5, "output for the other")


async def test_input_nobody_reads_is_bounded(open_terminal: OpenTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Typing waits for room, a while, and is dropped with a bell then; the terminal can be closed all the same."""
    monkeypatch.setattr(terminal_pty, "INPUT_SECONDS", 0.3)
    terminal, watcher = open_terminal("sh", "-c", "stty raw -echo; echo go; exec sleep 300"), Watcher()
    terminal.attach(watcher)
    await watcher.sees("go")
    for _ in range(4):
        await terminal.write("x" * terminal_pty.INPUT_MAX)
    assert "\a" in watcher.text
    assert len(terminal._input) <= 2 * terminal_pty.INPUT_MAX
    await terminal.close()
    assert watcher.closed


async def test_a_long_paste_arrives_whole(open_terminal: OpenTerminal, tmp_path: Path) -> None:
    """More than any buffer holds, through a program that reads slowly."""
    pasted = tmp_path / "pasted"
    terminal, watcher = open_terminal("sh", "-c", f"stty raw -echo; echo go; exec head -c 1000000 >{pasted}"), Watcher()
    terminal.attach(watcher)
    await watcher.sees("go")
    for start in range(0, 1_000_000, 100_000):
        await terminal.write("".join(chr(97 + (start + i) // 1000 % 26) for i in range(100_000)))
    await wait_until_async(lambda: watcher.closed, 10, "the end of head")
    assert pasted.read_text() == "".join(chr(97 + i // 1000 % 26) for i in range(1_000_000))


async def test_a_program_that_leaves_its_terminal(open_terminal: OpenTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that closes the terminal and runs on is ended: nobody could reach it."""
    monkeypatch.setattr(terminal_pty, "END_SECONDS", 0.5)
    terminal, watcher = open_terminal("sh", "-c", "exec sleep 300 <&- >&- 2>&-"), Watcher()
    terminal.attach(watcher)
    await wait_until_async(lambda: watcher.closed, 5, "the end")
    assert terminal.process is not None
    await wait_until_async(lambda: terminal.process and terminal.process.exit, 5, "the end of the program")


async def test_closing_while_it_starts(workspace: LiveWorkspace) -> None:
    """A shell that came up after its terminal was closed is ended, though it ignores the hang-up."""
    ended: list[Terminal] = []
    started: Future[RunningProcess] = Future()
    terminal = Terminal("1", clock=SystemClock(), pause=lambda: 0.001, wake=no_need, on_end=ended.append)

    def start(far: int) -> RunningProcess:
        argv = ["sh", "-c", "trap '' HUP; exec sleep 300"]
        process = workspace.start_command(argv, cwd="/", env={}, stdio=(far, far, far), tty=True)
        started.set_result(process)
        return process

    terminal.launch(start)
    process = started.result(10)  # keeps the loop from hearing of it
    await terminal.close()
    assert ended == [terminal]
    await wait_until_async(lambda: process.exit, 5, "the end of the shell")


async def test_the_end_of_the_container_is_told(open_terminal: OpenTerminal, workspace: LiveWorkspace) -> None:
    """A terminal whose container is gone says so, and stays until that was read."""
    terminal, watcher = open_terminal(), Watcher()
    terminal.attach(watcher)
    await watcher.sees("$ ")
    workspace.on_lost()
    await watcher.sees("The terminal ended with its container")
    assert not watcher.closed
    await terminal.write("\r")
    assert watcher.closed


async def test_typing_wakes_a_frozen_workspace(agent: RunningAgent, workspace: LiveWorkspace) -> None:
    """What is typed waits for the thaw; looking does not cause it. A frozen one is closed at once, and ends later."""
    mark = workspace.run.path / "h" / "frozen"
    mark.parent.mkdir(exist_ok=True)
    woken: list[bool] = []

    def freeze() -> None:
        mark.touch()
        agent.process.send_signal(signal.SIGSTOP)

    def wake() -> None:
        woken.append(True)
        agent.process.send_signal(signal.SIGCONT)
        mark.unlink()

    ended: list[Terminal] = []
    terminal = Terminal("1", clock=SystemClock(), pause=lambda: 0.001, wake=wake, on_end=ended.append)
    watcher = Watcher(size=(30, 100))
    terminal.attach(watcher)
    argv = ["bash", "--norc", "--noprofile"]
    terminal.launch(
        lambda far: workspace.start_command(argv, cwd="/", env={"PS1": "$ "}, stdio=(far, far, far), tty=True)
    )
    await watcher.sees("$ ")
    freeze()
    terminal.resize()
    assert not woken
    await terminal.write("echo th''awed\n")
    await watcher.sees("thawed")
    assert woken == [True]

    freeze()
    began = asyncio.get_running_loop().time()
    await terminal.close()
    assert asyncio.get_running_loop().time() - began < 1
    assert ended == [terminal]
    wake()
    await wait_until_async(lambda: terminal.process and terminal.process.exit, 5, "the end of the shell")


async def test_many_who_close_it(open_terminal: OpenTerminal) -> None:
    """All wait for the one end."""
    terminal, watcher = open_terminal(), Watcher()
    terminal.attach(watcher)
    await watcher.sees("$ ")
    await asyncio.gather(*(terminal.close() for _ in range(5)))
    assert watcher.messages.count(("disconnect", 1)) == 1
    await terminal.close()


async def test_nothing_is_left_open(open_terminal: OpenTerminal) -> None:
    """Descriptors of ended terminals are closed."""
    counts = []
    for _ in range(5):
        terminal, watcher = open_terminal(), Watcher()
        terminal.attach(watcher)
        await watcher.sees("$ ")
        await terminal.close()
        counts.append(len(os.listdir("/proc/self/fd")))
    assert counts[-1] == counts[0]


def test_history_keeps_the_newest() -> None:
    history = History()
    for number in range(300_000):
        history.append(f"{number},")
    kept = history.text()
    assert kept.endswith("299998,299999,")
    assert terminal_pty.HISTORY_MAX - terminal_pty.PIECE_MAX <= len(kept) <= terminal_pty.HISTORY_MAX


def test_a_pseudo_terminal_is_sane() -> None:
    """It has a size before anybody looks, and the near end never blocks."""
    near, far = terminal_pty._open_pty()
    assert termios.tcgetwinsize(far) == terminal_pty.ROWS_COLUMNS
    with pytest.raises(BlockingIOError):
        os.read(near, 1)
    os.close(near)
    os.close(far)
