"""`syla exec` and `syla console`: in the chosen workspace, else in an ephemeral one.

FILE          the workspace's REPL kernel runs it, among the variables that are there; in an ephemeral
              workspace, and with --fresh, an interpreter of its own does
-- CMD        a process in the container
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import click

from .. import app
from ..model.errors import BadInput, BadPath
from ..model.record import WorkspaceRecord
from ..model.workspace import MountMode
from ..workspaces.live import LiveWorkspace, RunningProcess, container_path
from ..workspaces.placement import ephemeral_workspace, kernel_environment
from . import choosing, streams
from .console import console
from .interactive import INTERRUPTED, check_language, interrupt_kernel, run_file
from .streams import TIMED_OUT, Ended
from .watching import watch as watch_file


class ExecCommand(click.Command):
    """Knows whether `--` stood before the words: after it they are a command, without it a script."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["syla.command"] = "--" in args and not _words_before(self, ctx, args[: args.index("--")])
        return super().parse_args(ctx, args)


def _words_before(command: click.Command, ctx: click.Context, options: list[str]) -> bool:
    values, left, _ = command.make_parser(ctx).parse_args(list(options))
    given = values.get("words")
    return bool(left) or (isinstance(given, (tuple, list)) and len(given) > 0)


workspace_option = click.option(
    "--workspace", metavar="NAME", help="Default: SYLA_WORKSPACE, else the one in use in this terminal, else ephemeral."
)


@click.command("exec", cls=ExecCommand, context_settings={"allow_interspersed_args": False})
@workspace_option
@click.option("--template", metavar="NAME", help="Template of an ephemeral workspace (default: python).")
@click.option(
    "--mount",
    type=click.Choice([m.value for m in MountMode]),
    help="How the current directory appears in an ephemeral workspace (default: SYLA_MOUNT, else rw).",
)
@click.option("--timeout", type=float, help="End it after this many seconds (exit code 124).")
@click.option("--fresh", is_flag=True, help="Run FILE in an interpreter of its own.")
@click.option("--watch", is_flag=True, help="Run FILE again when it changes, until Ctrl-C.")
@click.option("-e", "--env", "env", multiple=True, metavar="NAME[=VALUE]", help="Pass an environment variable.")
@click.argument("words", nargs=-1, required=True, metavar="FILE [ARGS]... | -- CMD [ARGS]...", type=click.UNPROCESSED)
@click.pass_context
def exec_command(
    ctx: click.Context,
    workspace: str | None,
    template: str | None,
    mount: str | None,
    timeout: float | None,
    fresh: bool,
    watch: bool,
    env: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    """Run a Python script, or after -- any command, in a workspace, and exit with its exit code."""
    command = bool(ctx.meta["syla.command"])
    if timeout is not None and not timeout > 0:
        raise BadInput("--timeout", f"{timeout:g} is not a time", "Give seconds, more than 0")
    if watch and command:
        raise BadInput("--watch", "it runs a script again, not a command", "Give a FILE")
    application = app.shared()
    variables = kernel_environment(application.settings, _variables(env), application.environ, "")
    picked = choosing.chosen(application, workspace)
    if picked is None:
        environ = {**application.environ, **({"SYLA_MOUNT": mount} if mount else {})}
        name = template or application.settings.template
        spec = ephemeral_workspace(application.settings, environ, Path.cwd(), None, name)
        script = None if command else _script(spec.files, (), words[0])
        live = application.service.ephemeral(spec)
        try:
            argv = _argv(script, words)
            sys.exit(_repeated(watch, script, _Process(application, live, argv, variables, timeout, alone=not watch)))
        finally:
            live.close()
    if mount:
        raise BadInput("--mount", "a workspace that stays has its own files", "Use --workspace ephemeral")
    record, note = choosing.find(application, *picked, template)
    if note:
        click.echo(f"syla: {note}.", err=True)
    script = None if command else _script(record.files, record.masked, words[0])
    if env and script and not fresh:
        raise BadInput("--env", "the environment of the REPL kernel stays as it is", "Say --fresh")
    if script and not fresh:
        check_language(application, record)
    with choosing.in_use(application, record) as live:
        run: _Process | _Script
        if script and not fresh:
            run = _Script(application, record, live, script, words[1:], timeout)
        else:
            run = _Process(application, live, _argv(script, words), variables, timeout, alone=False)
        sys.exit(_repeated(watch, script, run))


class _Script:
    """A run of a script in the REPL kernel."""

    def __init__(
        self,
        application: app.Application,
        record: WorkspaceRecord,
        live: LiveWorkspace,
        script: tuple[Path, str],
        arguments: tuple[str, ...],
        timeout: float | None,
    ) -> None:
        self._application, self._record, self._live = application, record, live
        self._path, self._arguments, self._timeout = script[1], arguments, timeout

    def __call__(self) -> int:
        directory = container_path(self._live.spec, Path.cwd())
        try:
            return run_file(
                self._application, self._record, self._live, self._path, self._arguments, directory, self._timeout
            )
        except KeyboardInterrupt:
            click.echo("syla: not waiting any more; `syla workspace suspend --stop` ends what runs.", err=True)
            return INTERRUPTED

    def interrupt(self) -> None:
        interrupt_kernel(self._live)


class _Process:
    """A run of a command as a process of its own. `alone`: the container is there for nothing else."""

    def __init__(
        self,
        application: app.Application,
        live: LiveWorkspace,
        argv: list[str],
        env: dict[str, str],
        timeout: float | None,
        *,
        alone: bool,
    ) -> None:
        self._application, self._live, self._argv, self._env = application, live, argv, env
        self._timeout, self._alone = timeout, alone
        self._process: RunningProcess | None = None

    def __call__(self) -> int:
        if self._timeout is not None and self._alone:
            self._live.agent.call("deadline", seconds=self._timeout)  # whatever becomes of us
        ours = threading.current_thread() is threading.main_thread()  # else our terminal is for Ctrl-C alone
        terminal = ours and sys.stdin.isatty() and sys.stdout.isatty()
        if terminal:
            self._env.setdefault("TERM", os.environ.get("TERM", "xterm"))
        ended = streams.run(
            self._live,
            self._argv,
            cwd=container_path(self._live.spec, Path.cwd()),
            env=self._env,
            streams=streams.terminal() if terminal else streams.pipes(read_input=ours),
            tty=terminal,
            timeout_seconds=None if self._alone else self._timeout,
            on_start=self._started,
        )
        return _exit_code(ended)

    def _started(self, process: RunningProcess) -> None:
        self._process = process
        self._application.service.settle_soon(self._live)

    def interrupt(self) -> None:
        if self._process is not None:
            self._process.signal(signal.SIGTERM)


def _repeated(watch: bool, script: tuple[Path, str] | None, run: _Script | _Process) -> int:
    return watch_file(script[0], run, run.interrupt) if watch and script else run()


def _argv(script: tuple[Path, str] | None, words: tuple[str, ...]) -> list[str]:
    return list(words) if script is None else ["python3", script[1], *words[1:]]


def _script(files: Path | None, masked: tuple[str, ...], name: str) -> tuple[Path, str]:
    """Where the script is, outside and inside: as seen from here, else from the workspace's own directory."""
    if files is None:
        raise BadPath("FILE", "--mount none hides the script", "Use --mount ro")
    here, there = Path(name), files / name
    path = here if here.is_file() or not there.is_file() else there
    if not path.is_file():
        raise BadPath("FILE", f"{name} does not exist", "Give a script, or put -- before a command")
    try:
        relative = path.resolve().relative_to(files.resolve())
    except ValueError:
        raise BadPath("FILE", f"{name} is outside of {files}", "Give one inside, or copy it there") from None
    if relative.parts[0] in masked:
        raise BadPath("FILE", f"{name} is of another workspace", "Say --workspace NAME")
    return path.resolve(), f"/workspace/{relative}"


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


def _exit_code(ended: Ended) -> int:
    end = ended.exit
    if ended.timed_out:
        return TIMED_OUT
    if end.code is not None:
        return end.code
    if end.signal is None:
        click.echo(f"syla: the command ended with its container: {end.detail}.", err=True)
        return TIMED_OUT if "deadline" in end.detail else 70
    if end.out_of_memory:
        click.echo(f"syla: {ended.process.why().replace('The kernel', 'The command')}", err=True)
    return 128 + end.signal


@click.command("console")
@workspace_option
@click.option("--template", metavar="NAME", help="Template of an ephemeral workspace (default: python).")
def console_command(workspace: str | None, template: str | None) -> None:
    """A REPL, in a workspace that stays on the kernel of `syla exec`."""
    application = app.shared()
    if template is not None:
        application.templates.get(template)
    picked = choosing.chosen(application, workspace)
    if picked is None:
        kernel = f"syla-{template or application.settings.template}"
        environ = {name: value for name, value in application.environ.items() if name != "SYLA_WORKSPACE"}
        sys.exit(subprocess.call([sys.executable, "-P", "-m", "jupyter_console", "--kernel", kernel], env=environ))
    record, note = choosing.find(application, *picked, template)
    if note:
        click.echo(f"syla: {note}.", err=True)
    with choosing.in_use(application, record) as live:
        sys.exit(console(application, record, live))
