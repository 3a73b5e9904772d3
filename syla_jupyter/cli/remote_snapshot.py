"""`syla snapshot` against a running server: take, list, restore, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ..model.clock import SystemClock
from ..model.snapshot import Reason, Version
from . import shown
from .remote import json_option, moment, named, notes, say
from .remote_asking import LONG_SECONDS, asked, rows_of, understood
from .remote_progress import watched
from .versions import COLUMNS, parse_number, rows
from .words import plural, size


@click.group("snapshot")
def group() -> None:
    """Versions of workspaces of the server that SYLA_SERVER names."""


@group.command()
@click.argument("name", required=False)
@click.option("-m", "--message", default="", help="What it is for.")
@click.option("--tag", "tags", multiple=True, help="While it has one, no rule lets it go.")
@json_option
def take(name: str | None, message: str, tags: tuple[str, ...], as_json: bool) -> None:
    """Save it as it is now."""
    body = {"message": message, "tags": list(tags)}
    with watched("Saving", named(name), "snapshot", quiet=as_json):
        answer = asked("POST", "workspaces", named(name), "snapshots", body=body, seconds=LONG_SECONDS)
    version = version_of(answer["snapshot"])
    sizes = f"{size(version.bytes_total)}, {size(version.bytes_new)} new"
    say(answer, as_json, f"v{version.number} of {named(name)!r}: {plural(version.files, 'file')}, {sizes}.")


@group.command("list")
@click.argument("name", required=False)
@json_option
def list_versions(name: str | None, as_json: bool) -> None:
    """The versions of a workspace, newest first."""
    answer = asked("GET", "workspaces", named(name), "snapshots", seconds=60)
    versions = [version_of(row) for row in rows_of(answer, "snapshots")]
    if as_json:
        shown.print_json(answer)
    elif versions:
        shown.print_table(COLUMNS, rows(versions, SystemClock().now()))
    else:
        click.echo("No snapshots yet: `syla snapshot take` makes one.")


def version_of(row: Mapping[str, Any]) -> Version:
    """As the answer has it; `NoServer` where it is of no server that this program understands."""
    with understood():
        return Version(
            number=int(row["version"]), created_at=moment(row["created_at"]), author=str(row["author"]),
            message=str(row["message"]), reason=Reason(row["reason"]), parent=int(row["parent"] or 0), root=(),
            files=int(row["files"]), bytes_total=int(row["bytes_total"]), bytes_new=int(row["bytes_new"]),
            tags=tuple(map(str, row["tags"])),
        )  # fmt: skip


@group.command()
@click.argument("version")
@click.argument("paths", nargs=-1)
@click.option("--workspace", metavar="NAME", help="Default: SYLA_WORKSPACE.")
@json_option
def restore(version: str, paths: tuple[str, ...], workspace: str | None, as_json: bool) -> None:
    """Go back to a version, whole or some paths of it; what is there now is saved first."""
    where = ("workspaces", named(workspace), "snapshots", str(parse_number(version)), "restore")
    with watched("Restoring", named(workspace), "restore", quiet=as_json):
        row = asked("POST", *where, body={"paths": list(paths)}, seconds=LONG_SECONDS)
    before = f"; what was there is v{row['saved']}" if row["saved"] else ""
    notes(row, as_json)
    what = f"{', '.join(paths)} of" if paths else "Workspace"
    say(row, as_json, f"{what} {named(workspace)!r} is as in v{parse_number(version)} again{before}.")


@group.command()
@click.argument("version")
@click.option("--workspace", metavar="NAME", help="Default: SYLA_WORKSPACE.")
@json_option
def delete(version: str, workspace: str | None, as_json: bool) -> None:
    """Let a version go for good."""
    asked("DELETE", "workspaces", named(workspace), "snapshots", str(parse_number(version)), seconds=LONG_SECONDS)
    say({"deleted": parse_number(version)}, as_json, f"v{parse_number(version)} is deleted.")
