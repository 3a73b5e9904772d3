"""`syla console` in a workspace that stays: jupyter_console on its REPL kernel.

`--existing` of jupyter_console lacks three things: Ctrl-C that reaches the kernel (by its workspace), a workspace that
was suspended meanwhile and is resumed before it is asked something, and an `exit` that leaves the kernel alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..app import Application
from ..model.errors import StartFailed
from ..model.record import WorkspaceRecord
from ..workspaces import repl
from ..workspaces.live import LiveWorkspace
from .interactive import interrupt_kernel

AWAKE_SECONDS = 5.0
LEAVE = {"exit", "exit()", "quit", "quit()"}
"""Said to the kernel, these would end it."""


def console(application: Application, record: WorkspaceRecord, live: LiveWorkspace) -> int:
    """Until the user leaves; the kernel goes on."""
    template = application.templates.get(record.template)
    start = repl.kernel_start(application.settings, template, application.environ)
    kernel = repl.ensure(live, start, application.clock)
    application.service.settle_soon(live)
    with _connection_file(live, kernel) as path:
        terminal = _console_class()
        shown = terminal.instance()
        shown.interrupt = lambda: interrupt_kernel(live)
        shown.prepare = lambda: application.registry().open(record.id)
        shown.initialize([f"--existing={path}", "--JupyterConsoleApp.confirm_exit=False"])
        shown.start()
    return 0


def _console_class() -> Any:
    """Imported when it is asked for: it takes half a second."""
    from jupyter_console.app import ZMQTerminalIPythonApp

    for name in ("init_shell", "handle_sigint"):
        if not hasattr(ZMQTerminalIPythonApp, name):
            raise StartFailed(f"this version of jupyter_console has no {name}", "pip install 'jupyter_console<7'")

    class Console(ZMQTerminalIPythonApp):  # type: ignore[misc] # it has no types
        interrupt: Callable[[], None]
        prepare: Callable[[], object]

        def init_shell(self) -> None:
            super().init_shell()
            for name in ("is_complete", "execute", "complete", "inspect"):
                setattr(self.kernel_client, name, self._prepared(getattr(self.kernel_client, name)))
            run_cell = self.shell.run_cell

            def run(cell: str, *arguments: Any, **options: Any) -> None:
                if cell.strip() in LEAVE:
                    self.shell.ask_exit()
                else:
                    run_cell(cell, *arguments, **options)

            self.shell.run_cell = run

        def _prepared(self, ask: Callable[..., Any]) -> Callable[..., Any]:
            def awake(*arguments: Any, **options: Any) -> Any:
                self.prepare()
                self._await_heartbeat()
                return ask(*arguments, **options)

            return awake

        def handle_sigint(self, *_: Any) -> None:
            if not self.shell._executing:
                raise KeyboardInterrupt
            threading.Thread(target=self.interrupt, daemon=True).start()

        def _await_heartbeat(self) -> None:
            """The console gives up on a kernel whose heart does not beat, as that of a suspended one did not."""
            pause = threading.Event()
            for _ in range(int(AWAKE_SECONDS / 0.05)):
                if self.kernel_client.is_alive():
                    return
                pause.wait(0.05)

    return Console


@contextlib.contextmanager
def _connection_file(live: LiveWorkspace, kernel: repl.Kernel) -> Iterator[Path]:
    """It has the kernel's key: for us only, and only as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="syla-console-") as directory:
        path = Path(directory) / "kernel.json"
        connection = {
            "transport": "ipc",
            "ip": str(live.run.client_prefix(kernel.slot)),
            "key": kernel.key.decode("ascii"),
            "signature_scheme": "hmac-sha256",
            **{f"{name}_port": n for n, name in enumerate(("shell", "iopub", "stdin", "control", "hb"), 1)},
        }
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(connection, file)
        yield path
