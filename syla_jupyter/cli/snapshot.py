"""`syla snapshot`: versions of a workspace, one service call each.

The workspace is named by `-w NAME`, or where a command says so by itself; else it is the one in use here.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from .. import app
from ..model.errors import NotConfirmed
from ..model.record import WorkspaceRecord
from ..model.retention import Retention
from ..workspaces.retention import Verdict
from ..workspaces.versions import Taken
from . import choosing, shown
from .progress import watched
from .versions import (
    COLUMNS,
    NAMED_MAX,
    as_json,
    damage_lines,
    detail_rows,
    diff_json,
    diff_lines,
    file_lines,
    parse_number,
    rows,
)
from .words import plural, printable, size

Command = TypeVar("Command", bound=Callable[..., Any])
DAMAGED = 74  # EX_IOERR

json_option = click.option("--json", "as_json_wanted", is_flag=True, help="Print JSON.")
workspace_option = click.option("-w", "--workspace", "name", metavar="NAME", help="Of this workspace.")


@click.group("snapshot")
def group() -> None:
    """Versions of a workspace: files, packages, variables."""


@group.command()
@click.argument("name", required=False)
@click.option("-m", "--message", default="", metavar="TEXT", help="What for.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Keeps it until the tag is taken away.")
@click.option("--if-changed", is_flag=True, help="Only where something has changed since the newest.")
@json_option
def take(name: str | None, message: str, tags: tuple[str, ...], if_changed: bool, as_json_wanted: bool) -> None:
    """Save a workspace as it is now."""
    application = app.shared()
    record = choosing.named(application, name)
    with watched("Saving", quiet=as_json_wanted) as watch:
        taken = application.versions().take(
            record.id, author=record.owner, message=message, tags=tags, if_changed=if_changed, watch=watch
        )
    if as_json_wanted:
        version = None if taken.version is None else as_json(taken.version)
        shown.print_json({"version": version, "consistent": taken.consistent, "said": dict(taken.report.said.counts)})
        return
    for line in _taken_lines(taken):
        click.echo(line)


def _taken_lines(taken: Taken) -> list[str]:
    if taken.version is None:
        return [f"Workspace {taken.record.name!r} is as it was in its newest snapshot."]
    version, said = taken.version, taken.report.said
    lines = [
        f"v{version.number} of {taken.record.name!r}: {plural(version.files, 'file')}, {size(version.bytes_total)}, "
        f"{size(taken.report.stats.stored_bytes)} stored, in {taken.seconds:.1f} s."
    ]
    if not taken.consistent:
        lines.append("It was in use meanwhile: files are each whole, though not all of one moment.")
    return lines + [f"  {printable(line)}" for line in said.lines()]


@group.command("list")
@click.argument("name", required=False)
@json_option
def list_versions(name: str | None, as_json_wanted: bool) -> None:
    """The versions of a workspace, newest first."""
    application = app.shared()
    versions = application.versions().all(choosing.named(application, name).id)
    if as_json_wanted:
        shown.print_json({"snapshots": [as_json(version) for version in versions]})
    elif versions:
        shown.print_table(COLUMNS, rows(versions, application.clock.now()))
    else:
        click.echo("No snapshots yet: `syla snapshot take` makes one.")


@group.command()
@click.argument("version")
@workspace_option
@json_option
def show(version: str, name: str | None, as_json_wanted: bool) -> None:
    """One version: what it holds, packages, variables."""
    application = app.shared()
    found = application.versions().get(choosing.named(application, name).id, parse_number(version))
    if as_json_wanted:
        shown.print_json({**as_json(found), "details": dict(found.details)})
    else:
        shown.print_pairs(detail_rows(found, application.clock.now()))


@group.command()
@click.argument("a")
@click.argument("b")
@click.argument("path", required=False)
@workspace_option
@json_option
def diff(a: str, b: str, path: str | None, name: str | None, as_json_wanted: bool) -> None:
    """What changed from version A to version B; with the PATH of a file in both, its lines, or a notebook's cells."""
    application = app.shared()
    id = choosing.named(application, name).id
    if path is not None:
        changed = application.versions().file_diff(id, parse_number(a), parse_number(b), path)
        if as_json_wanted:
            shown.print_json(dataclasses.asdict(changed))
            return
        for line in file_lines(changed):
            click.echo(printable(line))
        return
    found = application.versions().diff(id, parse_number(a), parse_number(b))
    if as_json_wanted:
        shown.print_json(diff_json(found))
        return
    lines = diff_lines(found)
    for line in lines[:NAMED_MAX]:
        click.echo(printable(line))
    if len(lines) > NAMED_MAX:
        click.echo(f"{len(lines) - NAMED_MAX:,} more files: --json has them all")
    for what, changes in (("package", found.packages), ("variable", found.variables)):
        for change in changes:
            click.echo(f"{what} {printable(change)}")
    if not lines and not found.packages and not found.variables:
        click.echo("No difference.")


@group.command()
@click.argument("version")
@click.argument("paths", nargs=-1)
@click.option("--into", metavar="NEW", help="Into a new workspace of this name; nothing here changes.")
@click.option("--root", metavar="DIR", help="The new one has its files in DIR/workspaces/NEW (default: here).")
@click.option("--partial", is_flag=True, help="Of a damaged version, what is left of it.")
@workspace_option
@json_option
def restore(
    version: str,
    paths: tuple[str, ...],
    into: str | None,
    root: str | None,
    partial: bool,
    name: str | None,
    as_json_wanted: bool,
) -> None:
    """Go back to a version, or only some PATHS of it (`a/b.ipynb`, `home/.bashrc`).

    What is overwritten is saved first. A whole version ends the container: the next kernels have its variables.
    Paths change beneath a container that runs on.
    """
    application = app.shared()
    record, number = choosing.named(application, name), parse_number(version)
    with watched("Restoring", quiet=as_json_wanted) as watch:
        if into is not None:
            if paths:
                raise click.UsageError("PATHS go back to where they were; leave them or --into out")
            made = application.copies().clone(
                record.id, into, root=choosing.root_directory(root, application.environ), author=record.owner,
                number=number, partial=partial, watch=watch,
            )  # fmt: skip
            notes, line = made.notes, f"v{number} of {record.name!r} is workspace {into!r}: {made.record.files}"
            result: dict[str, Any] = {"workspace": shown.as_json(made.record, application.clock.now())}
        else:
            rewound = application.versions().restore(
                record.id, number, author=record.owner, paths=paths, partial=partial, watch=watch
            )
            notes = rewound.notes
            before = f"; what was there is v{rewound.before.number}" if rewound.before else ""
            line = f"{', '.join(paths) or 'Workspace'} of {record.name!r} is as in v{number} again{before}."
            result = {"restored": number, "saved": rewound.before.number if rewound.before else None}
    if as_json_wanted:
        shown.print_json({**result, "notes": list(notes)})
        return
    for note in notes:
        click.echo(printable(note), err=True)
    click.echo(line if paths else line.replace(f"Workspace of {record.name!r}", f"Workspace {record.name!r}"))


@group.command()
@click.argument("versions", nargs=-1, required=True)
@workspace_option
@click.option("--force", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
def delete(versions: tuple[str, ...], name: str | None, force: bool, dry_run: bool) -> None:
    """Let go of versions for good; `prune` frees their space."""
    application = app.shared()
    record = choosing.named(application, name)
    numbers = [parse_number(version) for version in versions]
    words = ", ".join(f"v{number}" for number in numbers)
    for number in numbers:
        application.versions().get(record.id, number)
    if dry_run:
        click.echo(f"{words} of {record.name!r} would be deleted.")
        return
    _confirm(force, f"Delete {words} of {record.name!r} for good?")
    application.versions().delete(record.id, numbers)
    click.echo(f"{words} of {record.name!r} {'is' if len(numbers) == 1 else 'are'} deleted.")


@group.command()
@click.argument("version")
@click.argument("tags", nargs=-1)
@workspace_option
@click.option("--none", "nothing", is_flag=True, help="Take all its tags away.")
def tag(version: str, tags: tuple[str, ...], name: str | None, nothing: bool) -> None:
    """Give a version tags, instead of those that it has; a tagged one is kept by every rule."""
    if nothing == bool(tags):
        raise click.UsageError("say which tags, or --none")
    application = app.shared()
    record = choosing.named(application, name)
    found = application.versions().tag(record.id, parse_number(version), tags)
    click.echo(f"v{found.number} of {record.name!r}: {printable(', '.join(found.tags)) or 'no tags'}.")


@group.command()
@click.argument("name", required=False)
@click.option("--data", is_flag=True, help="Read and check everything.")
@click.option("--part", type=click.FloatRange(0, 1), help="Read and check such a part of the data, such as 0.1.")
@json_option
def verify(name: str | None, data: bool, part: float | None, as_json_wanted: bool) -> None:
    """Check that every version can be brought back."""
    application = app.shared()
    record = choosing.named(application, name)
    with watched("Checking", quiet=as_json_wanted) as watch:
        found = application.versions().verify(record.id, data=data or part or False, watch=watch)
    if as_json_wanted:
        damage = [dataclasses.asdict(one) for one in found.damage]
        lost = {
            "lost": sorted(found.lost),
            "lost_files": {str(n): list(files) for n, files in found.lost_files.items()},
        }
        shown.print_json({"ok": found.ok, "versions": found.versions, "damage": damage, **lost})
    else:
        read = f", {size(found.bytes_read)} read" if found.bytes_read else ""
        counts = f"{plural(found.versions, 'version')}, {plural(found.chunks, 'piece')}, {plural(found.packs, 'pack')}"
        click.echo(f"{record.name!r}: {counts}{read}: {'all is well' if found.ok else 'DAMAGED'}.")
        for line in damage_lines(found.damage, found.lost_files):
            click.echo(f"  {printable(line)}")
        if not found.ok:
            click.echo("`syla snapshot repair` saves what can be saved.")
    if not found.ok:
        sys.exit(DAMAGED)


@group.command()
@click.argument("name", required=False)
def repair(name: str | None) -> None:
    """Save what can be saved of damaged versions, and name what is lost."""
    application = app.shared()
    record = choosing.named(application, name)
    with watched("Repairing") as watch:
        found = application.versions().repair(record.id, watch=watch)
    click.echo(
        f"{record.name!r}: {plural(found.packs_read, 'pack')} read, {plural(found.chunks_found, 'piece')} found."
    )
    if found.healed:
        click.echo(f"{plural(len(found.healed), 'damaged object')} taken anew from the backup.")
    for line in damage_lines(found.damage, found.lost_files):
        click.echo(f"  {printable(line)}")
    for number in found.versions_lost:
        click.echo(f"  v{number} is lost")
    if found.lost:
        click.echo("The next snapshot stores again what the workspace still has.")
    elif not found.versions_lost:
        click.echo("Nothing is lost.")


@group.command()
def rekey() -> None:
    """Have the keys of all snapshots encrypted by the master key that is in force.

    Set the new one (c.Syla.master_key) with the old one beside it (c.Syla.previous_master_key), run this, take the old
    one away. Nothing else is written anew. Cut off anywhere, it can be done again.
    """
    application = app.shared()
    with watched("Encrypting") as watch:
        done = application.versions().rekey(watch)
    click.echo(f"{plural(done.workspaces, 'workspace')}, {done.changed} of them encrypted by the new key from now on.")
    for id, error in done.refused.items():
        click.echo(f"  {id}: {printable(str(error))}")
    if done.refused:
        sys.exit(next(iter(done.refused.values())).exit_code)
    click.echo("The previous master key opens nothing any more: take it out of the configuration.")


def keep_options(command: Command) -> Command:
    for field in reversed(dataclasses.fields(Retention)):
        text = "The newest ones." if field.name == "last" else f"The newest of each of so many {field.name} periods."
        command = click.option(f"--keep-{field.name}", field.name, type=click.IntRange(0), help=text)(command)
    return command


@group.command()
@click.argument("name", required=False)
@keep_options
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--force", is_flag=True, help="Do not ask.")
@json_option
def prune(name: str | None, dry_run: bool, force: bool, as_json_wanted: bool, **keep: int | None) -> None:
    """Free the space that no version needs.

    With any --keep option versions go as well: those that none of the given rules keeps. The newest and tagged ones
    always stay.
    """
    application = app.shared()
    record = choosing.named(application, name)
    given = {field: count for field, count in keep.items() if count is not None}
    # Where a person gives rules, what they do not name keeps nothing; where none are given, nothing goes.
    rules = Retention(**{**dict.fromkeys(keep, 0), **given}) if given else None
    verdicts = application.versions().judged(record.id, rules) if rules else []
    going = [verdict for verdict in verdicts if not verdict.kept]
    if going and not dry_run:
        _confirm(force, f"Delete {plural(len(going), 'version')} of {record.name!r} for good?")
    with watched("Freeing", quiet=as_json_wanted) as watch:
        report = application.versions().prune(record.id, rules, dry_run=dry_run, watch=watch)
    if as_json_wanted:
        shown.print_json(
            {"deleted": [v.version.number for v in going], "report": dataclasses.asdict(report), "dry_run": dry_run}
        )
        return
    _show_verdicts(record, verdicts, dry_run)
    freed = f"{size(max(0, report.bytes_freed))} {'could be' if dry_run else 'are'} freed"
    click.echo(f"{record.name!r}: {freed}, {size(report.bytes_kept)} stay.")


def _show_verdicts(record: WorkspaceRecord, verdicts: list[Verdict], dry_run: bool) -> None:
    for verdict in verdicts:
        gone = "would go" if dry_run else "deleted"
        click.echo(f"  v{verdict.version.number}  {'kept' if verdict.kept else gone}: {verdict.why}")


def _confirm(force: bool, question: str) -> None:
    if force:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise NotConfirmed("--force", f"{question.rstrip('?')}: nobody can be asked here", "Say --force")
    if not click.confirm(question, default=False, err=True):
        raise NotConfirmed("delete", "nothing was deleted")
