"""`syla workspace clone`, `export`, `import`: a workspace made of another one, or of a file."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from .. import app
from ..app import Application
from ..model.errors import BadPath, SylaError, UnknownWorkspace
from ..model.record import WorkspaceRecord
from ..workspaces.copies import Copied
from ..workspaces.entries import Entry
from . import choosing, shown
from .progress import watched
from .versions import parse_number
from .words import clock_time, printable, rfc3339, size

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
root_option = click.option("--root", metavar="DIR", help="Its files are in DIR/workspaces/NAME (default: here).")


@click.command("clone")
@click.argument("name")
@click.argument("new")
@click.option("--version", metavar="VERSION", help="As it was in this version; else as it is now.")
@root_option
@json_option
def clone(name: str, new: str, version: str | None, root: str | None, as_json: bool) -> None:
    """Make a workspace NEW that is as NAME is now: files, packages, variables. Each goes its own way from there."""
    application = app.shared()
    record = choosing.named(application, name)
    with watched("Cloning", quiet=as_json) as watch:
        made = application.copies().clone(
            record.id, new, root=choosing.root_directory(root, application.environ), author=record.owner,
            number=None if version is None else parse_number(version), watch=watch,
        )  # fmt: skip
    _made(application, made, as_json)


@click.command("export")
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--version", metavar="VERSION", help="This version; else as it is now.")
@click.option("--config-only", is_flag=True, help="What it is made of, without files, packages and variables.")
def export(name: str, file: Path, version: str | None, config_only: bool) -> None:
    """Write a workspace as one file, which `import` reads anywhere; `-` is standard output. It is not encrypted."""
    application = app.shared()
    record = choosing.named(application, name)
    number = None if version is None else parse_number(version)
    with watched("Exporting") as watch, _output(file) as out:
        if config_only:
            application.copies().export_config(record.id, out)
        else:
            application.copies().export(record.id, out, author=record.owner, number=number, watch=watch)
    if str(file) != "-":
        click.echo(f"Workspace {record.name!r} is in {file} ({size(file.stat().st_size)}).")


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("name", required=False)
@root_option
@json_option
def import_command(file: Path, name: str | None, root: str | None, as_json: bool) -> None:
    """Make a workspace of a file that `export` wrote, under its own name or another."""
    application = app.shared()
    with watched("Importing", quiet=as_json) as watch, file.open("rb") as source:
        made = application.copies().receive(
            source, root=choosing.root_directory(root, application.environ),
            author=application.registry().catalog.owner, name=name, watch=watch,
        )  # fmt: skip
    _made(application, made, as_json)


def found_or_adopted(application: Application, name: str | None, root: str | None, force: bool) -> WorkspaceRecord:
    """The workspace of that name here, else the one in the object store, which is this installation's from now on."""
    try:
        return choosing.named(application, name)
    except UnknownWorkspace as here:
        if name is None:
            raise
        try:
            return application.copies().adopt(
                name, root=choosing.root_directory(root, application.environ), confirmed=force
            )
        except UnknownWorkspace:
            raise here from None


def show_elsewhere(application: Application, as_json: bool) -> None:
    """What `recover` and `resume` can bring here from the object store."""
    found = application.copies().elsewhere()
    now = application.clock.now()
    if as_json:
        rows = [
            {"id": id, "error": str(entry)} if isinstance(entry, SylaError) else _entry_json(entry)
            for id, entry in found
        ]
        shown.print_json({"workspaces": rows})
        return
    table = [
        (id, "", f"cannot be read: {printable(str(entry))}", "", "")
        if isinstance(entry, SylaError)
        else (
            id, printable(entry.record.name), entry.record.state.value, printable(entry.record.owner),
            clock_time(entry.written_at, now),
        )
        for id, entry in found
    ]  # fmt: skip
    if table:
        shown.print_table(("id", "name", "state", "owner", "saved"), table)
    else:
        click.echo("The store has no workspaces of other installations.")


def _entry_json(entry: Entry) -> dict[str, str]:
    record = entry.record
    return {
        "id": record.id,
        "name": record.name,
        "state": record.state.value,
        "owner": record.owner,
        "saved_at": rfc3339(entry.written_at),
    }


def _made(application: Application, made: Copied, as_json: bool) -> None:
    for note in made.notes:
        click.echo(printable(note), err=True)
    line = f"Workspace {made.record.name!r} is made; its files: {made.record.files}"
    shown.changed(made.record, as_json, application.clock.now(), line)


@contextlib.contextmanager
def _output(file: Path) -> Iterator[BinaryIO]:
    """Under its name once it is whole; nothing of it is left otherwise."""
    if str(file) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if not file.parent.is_dir():
        raise BadPath("FILE", f"{file.parent} is no directory", "Give one that exists")
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)
