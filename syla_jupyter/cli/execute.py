"""`syla exec` and `syla console`.

A command gets three descriptors of ours: the far ends of pipes, or of a pseudo-terminal when we are on one. Never the
caller's own files or terminal: what is inside could reopen, truncate or type into those.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Any

import click

from .. import app
from ..model.errors import BadInput, BadPath
from ..model.runtime import Exit
from ..model.workspace import MountMode
from ..workspaces.live import LiveWorkspace, RunningProcess, container_path
from ..workspaces.placement import (
    chosen_workspace,
    default_workspace,
    ephemeral_workspace,
    kernel_environment,
)

TIMED_OUT = 124  # as timeout(1)
DRAIN_SECONDS = 5.0


class ExecCommand(click.Command):
    """Knows whether `--` stood before the words: after it they are a command, without it a script."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["syla.command"] = "--" in args and not _words_before(self, ctx, args[: args.index("--")])
        return super().parse_args(ctx, args)


def _words_before(command: click.Command, ctx: click.Context, options: list[str]) -> bool:
    values, left, _ = command.make_parser(ctx).parse_args(list(options))
    given = values.get("words")
    return bool(left) or (isinstance(given, (tuple, list)) and len(given) > 0)


@click.command("exec", cls=ExecCommand, context_settings={"allow_interspersed_args": False})
@click.option("--template", default="python", show_default=True, help="Template whose image is used.")
@click.option(
    "--mount",
    type=click.Choice([m.value for m in MountMode]),
    help="How the current directory appears as /workspace (default: SYLA_MOUNT, else rw).",
)
@click.option("--timeout", type=float, help="End it after this many seconds (exit code 124).")
@click.option("-e", "--env", "env", multiple=True, metavar="NAME[=VALUE]", help="Pass an environment variable.")
@click.argument("words", nargs=-1, required=True, metavar="FILE [ARGS]... | -- CMD [ARGS]...", type=click.UNPROCESSED)
@click.pass_context
def exec_command(
    ctx: click.Context,
    template: str,
    mount: str | None,
    timeout: float | None,
    env: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    """Run a Python script, or after -- any command, in an ephemeral workspace, and exit with its exit code."""
    if timeout is not None and timeout <= 0:
        raise BadInput("--timeout", f"{timeout:g} is not a time", "Give seconds, more than 0")
    application = app.shared()
    environ = {**application.environ, **({"SYLA_MOUNT": mount} if mount else {})}
    cwd = Path.cwd()
    if chosen_workspace(environ) is None:
        spec = ephemeral_workspace(application.settings, environ, cwd, None, template)
        open_workspace: Callable[[], LiveWorkspace] = lambda: application.service.ephemeral(spec)  # noqa: E731
    else:
        spec, _ = default_workspace(application.settings, cwd, template, Path.home())
        open_workspace = lambda: application.service.named(spec)  # noqa: E731
    argv = list(words) if ctx.meta["syla.command"] else ["python3", _script(spec.files, words[0]), *words[1:]]
    variables = kernel_environment(application.settings, _variables(env), application.environ, "")
    workspace = open_workspace()
    try:
        inside = container_path(spec, cwd)
        sys.exit(_run(application, workspace, argv, inside, variables, timeout))
    finally:
        workspace.close()


def _script(files: Path | None, name: str) -> str:
    """Where the script is inside."""
    path = Path(name)
    if not path.is_file():
        raise BadPath("FILE", f"{name} does not exist", "Give a script, or put -- before a command")
    if files is None:
        raise BadPath("FILE", "--mount none hides the script", "Use --mount ro")
    try:
        relative = path.resolve().relative_to(files.resolve())
    except ValueError:
        raise BadPath("FILE", f"{name} is outside of {files}", f"Start from {path.resolve().parent}") from None
    return f"/workspace/{relative}"


def _variables(given: tuple[str, ...]) -> dict[str, str]:
    values = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not name:
            raise BadInput("--env", f"{item!r} has no name", "Write NAME or NAME=VALUE")
        if not equals and name not in os.environ:
            raise BadInput("--env", f"{name} is not set here", "Write NAME=VALUE")
        values[name] = value if equals else os.environ[name]
    return values


def _run(
    application: app.Application,
    workspace: LiveWorkspace,
    argv: list[str],
    cwd: str,
    env: dict[str, str],
    timeout: float | None,
) -> int:
    if timeout is not None:
        workspace.agent.call("deadline", seconds=timeout)
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if terminal:
        env.setdefault("TERM", os.environ.get("TERM", "xterm"))
    streams = _terminal() if terminal else _pipes()
    with streams as (theirs, wait_for_output):
        process = workspace.start_command(argv, cwd=cwd, env=env, stdio=theirs, tty=terminal)
        for fd in set(theirs):
            os.close(fd)
        application.service.settle_soon(workspace)
        with _signals_forwarded(process):
            ended = _wait(process)
        wait_for_output()
    return _exit_code(process, ended)


def _wait(process: RunningProcess) -> Exit:
    while True:  # in slices, so that signal handlers get their turn
        try:
            return process.done.result(timeout=3600)
        except FutureTimeout:
            continue


def _exit_code(process: RunningProcess, ended: Exit) -> int:
    if ended.code is not None:
        return ended.code
    if ended.signal is None:
        click.echo(f"syla: the command ended with its container: {ended.detail}.", err=True)
        return TIMED_OUT if "deadline" in ended.detail else 70
    if ended.out_of_memory:
        click.echo(f"syla: {process.why().replace('The kernel', 'The command')}", err=True)
    return 128 + ended.signal


@contextlib.contextmanager
def _signals_forwarded(process: RunningProcess) -> Iterator[None]:
    """Interrupt and termination go to the command; a second one ends it."""
    seen = 0

    def forward(number: int, _frame: Any) -> None:
        nonlocal seen
        seen += 1
        chosen = number if seen == 1 else signal.SIGKILL
        threading.Thread(target=process.signal, args=(int(chosen),), daemon=True).start()

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


Streams = tuple[tuple[int, int, int], Callable[[], None]]


@contextlib.contextmanager
def _pipes() -> Iterator[Streams]:
    """Pipes, pumped by threads; what stays open after the command ended is given a moment and then left."""
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    pumps = [
        threading.Thread(target=_pump, args=(out_read, 1), daemon=True),
        threading.Thread(target=_pump, args=(err_read, 2), daemon=True),
    ]
    threading.Thread(target=_pump, args=(0, in_write), kwargs={"close": True}, daemon=True).start()
    for pump in pumps:
        pump.start()

    def wait() -> None:
        for pump in pumps:
            pump.join(DRAIN_SECONDS)

    yield (in_read, out_write, err_write), wait


@contextlib.contextmanager
def _terminal() -> Iterator[Streams]:
    """A pseudo-terminal of our own between the caller's terminal and the command."""
    ours, theirs = os.openpty()

    def resize(*_: Any) -> None:
        with contextlib.suppress(OSError):
            termios.tcsetwinsize(theirs_size, termios.tcgetwinsize(0))

    theirs_size = os.dup(theirs)
    resize()
    signal.signal(signal.SIGWINCH, resize)
    before = termios.tcgetattr(0)
    tty.setraw(0)
    out = threading.Thread(target=_pump, args=(ours, 1), daemon=True)
    out.start()
    threading.Thread(target=_pump, args=(0, ours), daemon=True).start()

    def wait() -> None:
        os.close(theirs_size)
        out.join(DRAIN_SECONDS)

    try:
        yield (theirs, theirs, theirs), wait
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _pump(source: int, target: int, close: bool = False) -> None:
    try:
        while data := os.read(source, 65536):
            view = memoryview(data)
            while view:
                view = view[os.write(target, view) :]
    except OSError:
        pass
    if close:
        with contextlib.suppress(OSError):
            os.close(target)


@click.command("console")
@click.option("--template", default="python", show_default=True, help="Template of the kernel.")
def console_command(template: str) -> None:
    """A REPL in an ephemeral workspace around the current directory."""
    application = app.shared()
    application.templates.get(template)
    chosen_workspace(application.environ)
    kernel = f"syla-{template}"
    sys.exit(subprocess.call([sys.executable, "-m", "jupyter_console", "--kernel", kernel]))
