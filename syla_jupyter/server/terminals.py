"""Terminals run inside the workspace's container, and nowhere else.

What a client may say is a `name` and a `cwd`; a shell, an environment or anything else is refused, because Jupyter's
own manager would run it on the host. The `cwd` decides the workspace. A terminal that is shut down, culled, or whose
server ends, killed or not, takes everything with it that was started in it, detached or not; after `exit` what was
detached (`nohup`, `setsid`) goes on, as in any terminal.

Jupyter's extension for terminals is not loaded (`doors.py`): its routes take more than that, and it never cleans up.
Its manager is the base of ours for the culling settings, and because `settings["terminal_manager"]` is expected to be
one.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from jupyter_server.prometheus.metrics import TERMINAL_CURRENTLY_RUNNING_TOTAL
from jupyter_server_terminals.terminalmanager import TerminalManager
from traitlets import Integer

from ..model.clock import Clock
from ..model.errors import BadInput, BadPath, InsufficientResources, NameTaken
from ..model.runtime import WORKSPACE_DIR
from ..model.workspace import WorkspaceSpec
from ..workspaces.live import LiveWorkspace, RunningProcess
from .terminal_pty import Terminal

NAME = re.compile(r"[A-Za-z0-9_]{1,64}")
PATH_MAX = 4096
PAUSE_SECONDS = 0.004  # times the number of terminals: together they wake the loop no more often than one may
TERM = "xterm-256color"  # what xterm.js is
SIZE_VARIABLES = ("COLUMNS", "LINES")  # of the server's own terminal
# Changed to inside, where links lead nowhere else: the host looks at no path of the container.
SHELL = 'cd -- "$1"; unset OLDPWD; [ -x /bin/bash ] && exec /bin/bash -l; exec /bin/sh'

OpenWorkspace = Callable[[Path], tuple[LiveWorkspace, str]]


@dataclass(frozen=True)
class TerminalActivity:
    terminals: int
    last_output: float | None
    """Seconds since the epoch; None: nothing was shown yet."""


def host_directory(root: Path, cwd: str) -> Path:
    """The place of an API path, or of a host path, below `root`; `root` for any other host path.

    Pure: whether there is such a directory is found out inside. `BadPath` for what no client of good will says.
    """
    if "\0" in cwd or len(cwd) > PATH_MAX:
        raise BadPath("cwd", "not a path", "Give the path of a directory as the file browser shows it")
    path = PurePosixPath(cwd)
    if ".." in path.parts:
        raise BadPath("cwd", f"{cwd!r} leads upwards", "Give the path of a directory below the server's root")
    if not path.is_absolute():
        return root / path
    return Path(path) if path.is_relative_to(root) else root


def requested(options: Mapping[str, Any]) -> tuple[str | None, str]:
    """(name, cwd) of a request to make a terminal; `BadInput` names what is none of a client's business."""
    for field in options.keys() - {"name", "cwd"}:
        raise BadInput(str(field)[:100], "a terminal does not take this", "Give `name` and `cwd` only")
    name, cwd = options.get("name"), options.get("cwd")
    if name is not None and not (isinstance(name, str) and NAME.fullmatch(name)):
        raise BadInput("name", "not a name for a terminal", "Use up to 64 letters, digits and _, or leave it out")
    if cwd is not None and not isinstance(cwd, str):
        raise BadPath("cwd", "not a path", "Give text")
    return name, cwd or ""


class WorkspaceTerminalManager(TerminalManager):
    """`open_workspace(host_path)` gives the running workspace that a host path belongs to, thawed where it was frozen,
    and the directory inside; it may block, and is called in a thread. `environment` is what a shell gets; nothing else
    of the server's does.

    All other methods belong to the event loop.
    """

    terminals_max = Integer(64, min=1, help="Terminals that may be open at once on this server.").tag(config=True)

    def __init__(
        self, *, root: Path, open_workspace: OpenWorkspace, environment: Mapping[str, str], clock: Clock, **kwargs: Any
    ) -> None:
        super().__init__(shell_command="", **kwargs)
        self.terminals: dict[str, Terminal] = {}  # type: ignore[assignment] # to those who look it is the same
        self._root, self._open_workspace, self._clock = root.absolute(), open_workspace, clock
        self._environment = {name: value for name, value in environment.items() if name not in SIZE_VARIABLES}
        self._environment["TERM"] = TERM

    def create(self, /, **options: Any) -> dict[str, Any]:
        """A new terminal's model, at once; its shell follows. `BadInput`, `NameTaken`, `InsufficientResources`."""
        name, cwd = requested(options)
        directory = host_directory(self._root, cwd)
        if name is not None and name in self.terminals:
            raise NameTaken("name", f"there is a terminal {name!r}", "Choose another name, or leave it out")
        if len(self.terminals) >= self.terminals_max:
            raise InsufficientResources(
                f"{len(self.terminals)} terminals are open on this server, which is the limit",
                "Shut one down, or raise c.WorkspaceTerminalManager.terminals_max",
            )
        terminal = Terminal(
            name or str(self._next_available_name()),
            clock=self._clock,
            pause=self._pause_seconds,
            wake=lambda: self._open_workspace(directory),
            on_end=self._on_end,
        )
        self.terminals[terminal.name] = terminal
        TERMINAL_CURRENTLY_RUNNING_TOTAL.set(len(self.terminals))
        self._initialize_culler()
        terminal.launch(lambda far: self._start_shell(directory, far))
        model: dict[str, Any] = self.get_terminal_model(terminal.name)
        return model

    def _start_shell(self, directory: Path, far: int) -> RunningProcess:
        workspace, cwd = self._open_workspace(directory)
        if os.geteuid() == 0:  # so that the container's user may open /dev/stderr and the like
            owner = workspace.run.container_side.stat()
            os.fchown(far, owner.st_uid, owner.st_gid)
        os.fchmod(far, 0o600)
        return workspace.start_command(
            ["/bin/sh", "-c", SHELL, "sh", cwd],
            cwd=WORKSPACE_DIR,
            env=self._environment,
            stdio=(far, far, far),
            tty=True,
        )

    async def terminate(self, name: str, force: bool = False) -> None:
        """End a terminal and everything that was started in it."""
        self._check_terminal(name)
        await self.terminals[name].close()

    async def terminate_all(self) -> None:
        await asyncio.gather(*(terminal.close() for terminal in list(self.terminals.values())))

    async def kill_all(self) -> None:
        await self.terminate_all()

    def get_terminal(self, name: str) -> Terminal:  # type: ignore[override]
        """`KeyError` for an unknown one: looking makes none."""
        return self.terminals[name]

    def new_terminal(self, **options: Any) -> Any:
        raise NotImplementedError("a terminal on the host")

    def activity(self) -> dict[WorkspaceSpec, TerminalActivity]:
        """What goes on in each workspace that has terminals."""
        rows: dict[WorkspaceSpec, TerminalActivity] = {}
        for terminal in self.terminals.values():
            if terminal.process is None or terminal.process.exit is not None:
                continue
            spec = terminal.process.workspace.spec
            row = rows.get(spec, TerminalActivity(0, None))
            times = [time for time in (row.last_output, terminal.last_output) if time is not None]
            rows[spec] = TerminalActivity(row.terminals + 1, max(times, default=None))
        return rows

    def _pause_seconds(self) -> float:
        return PAUSE_SECONDS * len(self.terminals)

    def _on_end(self, terminal: Terminal) -> None:
        del self.terminals[terminal.name]
        TERMINAL_CURRENTLY_RUNNING_TOTAL.set(len(self.terminals))
