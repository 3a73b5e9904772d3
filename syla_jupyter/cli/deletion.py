"""`syla workspace delete`: for good, after saying what is lost.

The size is counted by a walk that follows no link (a container wrote what is there) and ends in time: of a large
workspace it says "more than".
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from .. import app
from ..app import Application
from ..model.clock import Clock
from ..model.errors import NotConfirmed, SylaError
from ..model.record import State, WorkspaceRecord
from ..workspaces.inspection import variables
from ..workspaces.lifecycle import Verb, next_state
from ..workspaces.places import Places
from . import choosing, shown
from .words import plural, size

ENTRIES_MAX = 500_000
WALK_SECONDS = 5.0
METADATA = ".dist-info"  # the directory that each installed package has one of


@dataclass(frozen=True)
class Counted:
    files: int
    bytes: int
    packages: int
    complete: bool


@dataclass(frozen=True)
class Lost:
    files: int
    files_bytes: int
    home_bytes: int
    packages: int
    variables: int | None
    """None: nobody can say now; a frozen kernel has some."""
    complete: bool
    """False: there are more files than were counted."""


@click.command("delete")
@click.argument("name")
@click.option("--execution", metavar="ID", help="Only if this is its container still; empty: it has none.")
@click.option("--force", is_flag=True, help="Do not ask; also delete one that is not archived.")
@click.option("--dry-run", is_flag=True, help="Only say what would be lost.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def delete(name: str, execution: str | None, force: bool, dry_run: bool, as_json: bool) -> None:
    """Delete a workspace for good: files, packages, history, variables."""
    application = app.shared()
    record = choosing.named(application, name)
    next_state(record, Verb.DELETE, execution=execution, confirmed=True)  # refused before anything is counted
    lost = count(application, record)
    words = lost_words(record, lost)
    if dry_run:
        if as_json:
            shown.print_json({"deleted": None, "would_lose": dataclasses.asdict(lost)})
        else:
            click.echo(f"Deleting workspace {record.name!r} would lose {words}.")
        return
    if not force:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise NotConfirmed(
                "--force", f"deleting {record.name!r} loses {words}, and nobody can be asked here", "Say --force"
            )
        question = f"Delete workspace {record.name!r} for good, with {words}?"
        if not click.confirm(question, default=False, err=True):
            raise NotConfirmed("delete", f"workspace {record.name!r} is kept")
    # What was said of this container is not true of another one.
    meant = record.execution if execution is None else execution
    application.registry().delete(record.id, execution=meant, confirmed=True)
    if as_json:
        shown.print_json({"deleted": record.id, "lost": dataclasses.asdict(lost)})
    else:
        click.echo(f"Workspace {record.name!r} is deleted: {words}.")


def count(application: Application, record: WorkspaceRecord) -> Lost:
    places = Places(application.settings.data_dir)
    if record.state is State.ARCHIVED:
        return archived(application, record)
    files = walk(record.files, application.clock)
    home = walk(places.home(record), application.clock)
    held: int | None = 0
    if record.execution:
        held = None
        if record.state is State.ACTIVE:
            try:
                held = len(variables(application.registry().open(record.id)))
            except SylaError:
                held = None
    return Lost(files.files, files.bytes, home.bytes, home.packages, held, files.complete and home.complete)


def archived(application: Application, record: WorkspaceRecord) -> Lost:
    """By its newest version; what the store does not say is not known."""
    try:
        version = application.versions().get(record.id)
    except SylaError:
        return Lost(0, 0, 0, 0, None, complete=False)
    packages = version.details.get("packages")
    count = len(packages) if isinstance(packages, Mapping) else 0
    return Lost(version.files, version.bytes_total, 0, count, None, complete=True)


def walk(top: Path, clock: Clock) -> Counted:
    """What is below a directory; 0 of everything where there is none."""
    files = used = packages = 0
    until = clock.monotonic() + WALK_SECONDS
    if not os.path.lexists(top):
        return Counted(0, 0, 0, complete=True)
    for _, directories, names, fd in os.fwalk(top, follow_symlinks=False):
        packages += sum(name.endswith(METADATA) for name in directories)
        for name in names:
            try:
                used += os.lstat(name, dir_fd=fd).st_size
            except OSError:
                continue
            files += 1
        if files > ENTRIES_MAX or clock.monotonic() > until:
            return Counted(files, used, packages, complete=False)
    return Counted(files, used, packages, complete=True)


def lost_words(record: WorkspaceRecord, lost: Lost) -> str:
    """`12 files (3.4 MB), 4 packages and 7 variables`."""
    more = "" if lost.complete else "more than "
    parts = [f"{more}{plural(lost.files, 'file')} ({size(lost.files_bytes)})"]
    if lost.packages:
        parts.append(plural(lost.packages, "package"))
    parts.append(f"its home ({size(lost.home_bytes)})")
    if lost.variables is None:
        parts.append("the variables of its kernels")
    elif lost.variables:
        parts.append(plural(lost.variables, "variable"))
    return ", ".join(parts[:-1]) + f" and {parts[-1]}"
