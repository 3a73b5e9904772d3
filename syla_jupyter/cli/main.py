"""`syla`: arguments in, one service call, exit code out.

Errors of ours are one line on standard error and the exit code of their class (sysexits.h); code that runs in a
workspace gives its own exit code. Tables for people, `--json` for programs. A command is imported when it is named:
a script that runs in a container waits for nothing that saves snapshots.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import sys
from typing import Any

import click

from .. import app
from ..model.errors import BadInput, SylaError

COMMANDS = {
    "audit": ("people", "audit_group"),
    "console": ("execute", "console_command"),
    "exec": ("execute", "exec_command"),
    "image": ("images", "group"),
    "pool": ("pool", "group"),
    "snapshot": ("snapshot", "group"),
    "team": ("people", "team_group"),
    "user": ("people", "user_group"),
    "workspace": ("workspace", "group"),
}
"""Module beside this one, and what of it is the command; those that are not defined here."""
REMOTE = {
    "exec": ("remote_exec", "exec_command"),
    "snapshot": ("remote_snapshot", "group"),
    "workspace": ("remote_people", "group"),
}
"""The same where `SYLA_SERVER` names a running server; all others need the machine that they are about."""


UNSET = "Unset SYLA_SERVER"


def _remote() -> bool:
    return bool(os.environ.get("SYLA_SERVER"))


class Commands(click.Group):
    """Every SylaError becomes one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(REMOTE if _remote() else [*super().list_commands(ctx), *COMMANDS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        here = super().get_command(ctx, cmd_name)
        commands = REMOTE if _remote() else COMMANDS
        if cmd_name not in commands:
            if _remote() and (here is not None or cmd_name in COMMANDS):
                raise BadInput("SYLA_SERVER", f"`syla {cmd_name}` is about the machine it is typed on", UNSET)
            return here
        module, name = commands[cmd_name]
        command: click.Command = getattr(importlib.import_module(f".{module}", __package__), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as exc:
            if "\n" in exc.format_message():
                raise  # a group without a command: its help
            where = exc.ctx.command_path if exc.ctx else "syla"
            click.echo(f"syla: {' '.join(exc.format_message().split())} (`{where} --help` tells more)", err=True)
            ctx.exit(exc.exit_code)
        except SylaError as exc:
            click.echo(f"syla: {exc}", err=True)
            ctx.exit(exc.exit_code)
        except OSError as exc:
            if exc.errno == errno.EPIPE:
                raise  # click knows what to do
            where = f"{exc.filename}: " if exc.filename else ""
            click.echo(f"syla: {where}{exc.strerror or exc}.", err=True)
            ctx.exit(74)  # EX_IOERR


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="syla-jupyter", prog_name="syla")
def main() -> None:
    """Run code in hardened container workspaces."""


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Say what is missing on this machine, and the command that mends it."""
    from . import doctor as doctor_module

    application = app.shared()
    findings = doctor_module.examine(application)
    if as_json:
        click.echo(json.dumps([finding.__dict__ for finding in findings], indent=2))
    else:
        doctor_module.show(findings)
    if any(finding.level == "missing" for finding in findings):
        sys.exit(69)


@main.command("network", hidden=True)
@click.argument("verb", type=click.Choice(["protect"]))
def network(verb: str) -> None:
    """Close off the workspaces' network from this host and what is near (needs root)."""
    app.shared().runtime.ensure_egress()
    click.echo("Workspaces reach outwards only.")


if __name__ == "__main__":
    main()
