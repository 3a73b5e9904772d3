"""`syla snapshot` against a running server: take, list, restore, delete."""

from __future__ import annotations

import click

from . import shown
from .remote import LONG_SECONDS, asked, json_option, named, rows_of, say
from .versions import parse_number
from .words import plural, printable, size


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
    answer = asked("POST", "workspaces", named(name), "snapshots", body=body, seconds=LONG_SECONDS)
    row = answer["snapshot"]
    files, new = plural(int(row["files"]), "file"), size(int(row["bytes_new"]))
    say(answer, as_json, f"v{row['version']}: {files}, {size(int(row['bytes_total']))}, {new} new.")


@group.command("list")
@click.argument("name", required=False)
@json_option
def list_versions(name: str | None, as_json: bool) -> None:
    """Its versions, oldest first."""
    answer = asked("GET", "workspaces", named(name), "snapshots", seconds=60)
    rows = rows_of(answer, "snapshots")
    if as_json:
        shown.print_json(answer)
        return
    cells = [
        (f"v{row['version']}", *(printable(str(row[field])) for field in ("created_at", "reason", "author", "message")),
         size(int(row["bytes_total"])))
        for row in rows
    ]  # fmt: skip
    shown.print_table(("", "when", "why", "by", "message", "size"), cells)


@group.command()
@click.argument("version")
@click.argument("paths", nargs=-1)
@click.option("--workspace", metavar="NAME", help="Default: SYLA_WORKSPACE.")
@json_option
def restore(version: str, paths: tuple[str, ...], workspace: str | None, as_json: bool) -> None:
    """Go back to a version, whole or some paths of it; what is there now is saved first."""
    where = ("workspaces", named(workspace), "snapshots", str(parse_number(version)), "restore")
    row = asked("POST", *where, body={"paths": list(paths)}, seconds=LONG_SECONDS)
    say(row, as_json, f"v{parse_number(version)} is back.")


@group.command()
@click.argument("version")
@click.option("--workspace", metavar="NAME", help="Default: SYLA_WORKSPACE.")
@json_option
def delete(version: str, workspace: str | None, as_json: bool) -> None:
    """Let a version go for good."""
    asked("DELETE", "workspaces", named(workspace), "snapshots", str(parse_number(version)), seconds=LONG_SECONDS)
    say({"deleted": parse_number(version)}, as_json, f"v{parse_number(version)} is deleted.")
