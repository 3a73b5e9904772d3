"""The manager of terminals: what a client may say, how many there may be, and that nothing ever runs on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from syla_jupyter.model.clock import SystemClock
from syla_jupyter.model.errors import BadInput, BadPath, InsufficientResources, NameTaken, StartFailed
from syla_jupyter.server.terminals import WorkspaceTerminalManager, host_directory, requested

from .test_terminal_pty import Watcher

ROOT = Path("/srv/files")


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
