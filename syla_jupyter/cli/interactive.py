"""`syla exec FILE` in a workspace that stays: its REPL kernel runs the file, and what that leaves is there for more.

Output is printed as it comes. Ctrl-C interrupts the code; a second one stops waiting for it.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from ..app import Application
from ..model.errors import BadInput
from ..model.record import WorkspaceRecord
from ..workspaces import repl
from ..workspaces.execution import Execution, execute
from ..workspaces.inspection import asking
from ..workspaces.live import LiveWorkspace
from .streams import TIMED_OUT
from .words import without_colours

INTERRUPTED = 130  # as a shell has it
LANGUAGE = "python"


def run_file(
    application: Application,
    record: WorkspaceRecord,
    live: LiveWorkspace,
    path: str,
    arguments: Sequence[str],
    directory: str,
    timeout_seconds: float | None,
) -> int:
    """Run a script at `path` inside, in `directory` inside; its exit code: that of `sys.exit`, 1 for an exception."""
    template = application.templates.get(record.template)
    shown = Printer(record.name)
    with _signals(live, shown):
        execution = execute(
            live,
            asking(f"run_file({path!r}, {list(arguments)!r}, {directory!r})"),
            timeout_seconds=timeout_seconds,
            on_message=shown,
            start=repl.kernel_start(application.settings, template, application.environ),
            clock=application.clock,
            store_history=False,
        )
    application.service.settle_soon(live)
    return exit_code(execution, interrupted=shown.interrupted)


def check_language(application: Application, record: WorkspaceRecord) -> None:
    """`BadInput` where the REPL kernel is of another language than the scripts we run."""
    if application.templates.get(record.template).language != LANGUAGE:
        raise BadInput(
            "FILE", f"the kernel of template {record.template!r} runs no Python scripts", "Use -- and a command"
        )


def exit_code(execution: Execution, *, interrupted: bool) -> int:
    if execution.status in ("timeout", "killed"):
        return TIMED_OUT
    if execution.exit_code is not None:
        return execution.exit_code
    if execution.status == "ok":
        return 0
    return INTERRUPTED if interrupted else 1


class Printer:
    """Prints messages of an execution; the text is the program's own, as if it ran here."""

    def __init__(self, workspace: str) -> None:
        self._workspace = workspace
        self.running = self.interrupted = False

    def __call__(self, message: Mapping[str, Any]) -> None:
        kind = message["type"]
        if kind == "stream":
            self._write(sys.stdout if message["name"] == "stdout" else sys.stderr, message["text"])
        elif kind in ("display", "result"):
            plain = message["data"].get("text/plain")
            words = plain if isinstance(plain, str) else f"[{', '.join(sorted(message['data']))}]"
            self._write(sys.stdout, words + "\n")
        elif kind == "error":
            text = "\n".join(message["traceback"]) or f"{message['name']}: {message['value']}"
            self._write(sys.stderr, (text if sys.stderr.isatty() else without_colours(text)).rstrip("\n") + "\n")
        elif kind == "running":
            self.running = True
        elif kind == "waiting":
            click.echo(f"syla: workspace {self._workspace!r} is busy with something else; waiting.", err=True)
        elif kind == "interrupted":
            click.echo("syla: the time limit has passed: interrupted.", err=True)

    def _write(self, stream: Any, text: str) -> None:
        stream.buffer.write(text.encode(errors="replace"))
        stream.flush()


@contextlib.contextmanager
def _signals(live: LiveWorkspace, shown: Printer) -> Iterator[None]:
    """Ctrl-C goes to the code that runs for us; while we only wait, and the second time, it is for us."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        if not shown.running or shown.interrupted:
            raise KeyboardInterrupt
        shown.interrupted = True
        threading.Thread(target=interrupt_kernel, args=(live,), daemon=True).start()

    def end(number: int, frame: Any) -> None:
        sys.exit(128 + number)

    handlers = {signal.SIGINT: interrupt, signal.SIGTERM: end, signal.SIGHUP: end}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupt_kernel(live: LiveWorkspace) -> None:
    kernel = repl.find(live)
    if kernel is not None:
        kernel.process.signal(signal.SIGINT)
