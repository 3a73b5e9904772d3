"""`syla`: arguments in, one service call, exit code out.

Errors of ours are one line on standard error and the exit code of their class (sysexits.h); code that runs in a
workspace gives its own exit code. Tables for people, `--json` for programs.
"""

from __future__ import annotations

import errno
import json
import sys
from typing import Any

import click

from .. import app
from ..model.errors import SylaError
from . import doctor as doctor_module
from . import execute, images, pool, snapshot, workspace


class OneLineErrors(click.Group):
    """Every SylaError becomes one line and an exit code."""

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


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="syla-jupyter", prog_name="syla")
def main() -> None:
    """Run code in hardened container workspaces."""


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Say what is missing on this machine, and the command that mends it."""
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


main.add_command(execute.exec_command)
main.add_command(execute.console_command)
main.add_command(images.group)
main.add_command(pool.group)
main.add_command(snapshot.group)
main.add_command(workspace.group)


if __name__ == "__main__":
    main()
