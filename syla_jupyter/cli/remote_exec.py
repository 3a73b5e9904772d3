"""`syla exec FILE` against a running server: the file's text goes there, and the workspace's REPL kernel runs it.

Its output comes when it has ended. A command after `--` needs the container itself, and so the server's machine.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ..model.errors import BadInput, BadPath
from ..workspaces.inspection import asking
from .execute import ExecCommand
from .interactive import INTERRUPTED
from .remote import named
from .remote_asking import asked
from .streams import TIMED_OUT
from .words import without_colours

TIMEOUT_SECONDS = 3600.0
ANSWER_SECONDS = 60.0
"""Beyond the time limit: to start, to interrupt, to answer."""
SOURCE_MAX = 500_000  # characters
WORKSPACE = "/workspace"


@click.command("exec", cls=ExecCommand, context_settings={"allow_interspersed_args": False})
@click.option("--workspace", metavar="NAME", help="Default: SYLA_WORKSPACE.")
@click.option("--timeout", type=click.FloatRange(0, TIMEOUT_SECONDS, min_open=True), default=TIMEOUT_SECONDS)
@click.argument("words", nargs=-1, required=True, metavar="FILE [ARGS]...", type=click.UNPROCESSED)
@click.pass_context
def exec_command(ctx: click.Context, workspace: str | None, timeout: float, words: tuple[str, ...]) -> None:
    """Run a Python script of this machine in a workspace of the server, and exit with its exit code."""
    if ctx.meta["syla.command"]:
        raise BadInput("--", "a command runs on the server's machine only", "Give a FILE, or unset SYLA_SERVER")
    code = script_code(Path(words[0]), words[1:])
    body = {"code": code, "timeout_seconds": timeout}
    try:
        done = asked("POST", "workspaces", named(workspace), "execute", body=body, seconds=timeout + ANSWER_SECONDS)
    except KeyboardInterrupt:
        click.echo("syla: not waiting any more; `syla workspace suspend --stop` ends what runs.", err=True)
        sys.exit(INTERRUPTED)
    print_output(done)
    sys.exit(exit_code(done))


def script_code(file: Path, arguments: Sequence[str]) -> str:
    """What the kernel runs, in the workspace's directory, as if the file were there."""
    try:
        source = file.read_text()
    except UnicodeDecodeError:
        raise BadPath("FILE", f"{file} is not text", "Give a Python script") from None
    except OSError as exc:
        raise BadPath("FILE", f"{file}: {exc.strerror}", "Give a script of this machine") from None
    if len(source) > SOURCE_MAX:
        raise BadPath("FILE", f"{file} has more than {SOURCE_MAX:,} characters", "Give a script")
    return asking(f"run_file({f'{WORKSPACE}/{file.name}'!r}, {list(arguments)!r}, {WORKSPACE!r}, {source!r})")


def print_output(done: Mapping[str, Any]) -> None:
    """As far as it was kept: what is missing is said."""
    sys.stdout.write(str(done["stdout"]))
    for shown in done["displays"]:
        plain = shown.get("text/plain")
        sys.stdout.write(f"{plain}\n" if isinstance(plain, str) else f"[{', '.join(sorted(shown))}]\n")
    sys.stdout.flush()
    sys.stderr.write(str(done["stderr"]))
    if error := done["error"]:
        text = "\n".join(error["traceback"]) or f"{error['name']}: {error['value']}"
        sys.stderr.write((text if sys.stderr.isatty() else without_colours(text)).rstrip("\n") + "\n")
    if done["truncated"]:
        click.echo("syla: there was more output than the server keeps.", err=True)


def exit_code(done: Mapping[str, Any]) -> int:
    """Pure."""
    if done["status"] in ("timeout", "killed"):
        return TIMED_OUT
    if isinstance(done["exit_code"], int):
        return done["exit_code"]
    return 0 if done["status"] == "ok" else 1
