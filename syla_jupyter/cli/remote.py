"""`syla workspace` against a running server: with `SYLA_SERVER` set nothing of this machine is looked at or needed.

Each command is one request, and says what its namesake on the server's machine says: an answer is read back into the
record that it was made of. What only that machine can do is not here, and its name says so (`main`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ..metadata.base import PAGE_MAX, SORTS, Page
from ..model.clock import SystemClock
from ..model.errors import BadInput, NotConfirmed
from ..model.policy import DEFAULT_POLICIES, Policy
from ..model.record import State, WorkspaceRecord
from ..model.workspace import DEFAULT_LIMITS, Limits, Network, WorkspaceType
from ..workspaces.policies import due_action
from . import shown
from .described import Described, described_options
from .remote_asking import LONG_SECONDS, asked, rows_of, understood
from .remote_progress import watched
from .words import parse_seconds, printable

LIMIT_OPTIONS = {"cpus": "cpus", "memory": "memory_bytes", "disk": "disk_bytes", "pids": "pids"}
POLICY_OPTIONS = {
    "ttl": "ttl_seconds", "idle": "idle_seconds", "archive_after": "archive_seconds", "retention": "retention_seconds",
    "snapshot_every": "snapshot_seconds", "persist_on_exit": "ttl_ends_in_delete",
}  # fmt: skip

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def named(name: str | None) -> str:
    """Of the command line, else of `SYLA_WORKSPACE`."""
    found = name or os.environ.get("SYLA_WORKSPACE", "")
    if not found:
        raise BadInput("NAME", "no workspace is named", "Name one, here or in SYLA_WORKSPACE")
    return found


def moment(text: str | None) -> float:
    """Seconds since the epoch; 0: never."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def record_of(row: Mapping[str, Any]) -> WorkspaceRecord:
    """What an answer was made of."""
    with understood():
        return WorkspaceRecord(
            id=str(row["id"]), owner=str(row["owner"]), name=str(row["name"]), type=WorkspaceType(row["type"]),
            state=State(row["state"]), template=str(row["template"]), limits=Limits(**row["limits"]),
            network=Network(row["network"]), policy=Policy(**row["policy"]), files=Path(str(row["path"] or "-")),
            created_at=moment(row["created_at"]), state_since=moment(row["state_since"]),
            last_activity_at=moment(row["last_activity_at"]), extended_until=moment(row["extended_until"]),
            warned_at=moment(row["warned_at"]), is_default=bool(row["is_default"]), shared=bool(row["shared"]),
            labels=dict(row["labels"]), execution=str(row["execution"]), reason=str(row["reason"]),
            disk_bytes=int(row["disk_bytes"]), version=int(row["version"]),
        )  # fmt: skip


def say(row: Mapping[str, Any], as_json: bool, line: str) -> None:
    if as_json:
        shown.print_json(row)
    else:
        click.echo(line)


@click.group("workspace")
def group() -> None:
    """Workspaces of the server that SYLA_SERVER names."""


@group.command()
@click.argument("name")
@click.option("--type", "kind", type=click.Choice([t.value for t in WorkspaceType]), default="persistent")
@click.option("--template", metavar="NAME", help="Template of its image and kernel.")
@click.option("--network", type=click.Choice([n.value for n in Network]), help="none, or outwards only.")
@described_options
@json_option
def create(
    name: str, kind: str, template: str | None, network: str | None, described: Described, as_json: bool
) -> None:
    """Make a workspace; its container comes with the first use."""
    type = WorkspaceType(kind)
    limits, policy = described.new_limits(DEFAULT_LIMITS[type]), described.new_policy(DEFAULT_POLICIES[type])
    body = {
        "name": name, "type": kind, "labels": dict(described.new_labels()),
        "limits": given(described, LIMIT_OPTIONS, limits), "policy": given(described, POLICY_OPTIONS, policy),
        **({"template": template} if template else {}), **({"network": network} if network else {}),
    }  # fmt: skip
    row = asked("POST", "workspaces", body=body)
    say(row, as_json, f"Workspace {record_of(row).name!r} is made.")


def given(described: Described, options: Mapping[str, str], values: object) -> dict[str, Any]:
    """Fields of the options that were said, as they came out."""
    return {field: getattr(values, field) for name, field in options.items() if getattr(described, name) is not None}


@group.command("list")
@click.option("--state", "states", type=click.Choice([s.value for s in State]), multiple=True)
@click.option("--type", "types", type=click.Choice([t.value for t in WorkspaceType]), multiple=True)
@click.option("--label", "labels", multiple=True, metavar="NAME[=VALUE]", help="Has that label.")
@click.option("--name", "part", default="", metavar="PART", help="Part of the name.")
@click.option("--sort", type=click.Choice(SORTS), default="name", show_default=True)
@click.option("--descending", is_flag=True)
@click.option("--limit", type=click.IntRange(1, PAGE_MAX), default=100, show_default=True)
@click.option("--after", default="", metavar="TOKEN", help="The next page, as the one before named it.")
@click.option("--shared", is_flag=True, help="Those of others that are shared with you.")
@json_option
def list_workspaces(
    states: tuple[str, ...], types: tuple[str, ...], labels: tuple[str, ...], part: str, sort: str, descending: bool,
    limit: int, after: str, shared: bool, as_json: bool,
) -> None:  # fmt: skip
    """Your workspaces, filtered, in pages."""
    page: dict[str, Any] = {"limit": limit, "after": after}
    if not shared:
        page |= {"state": states, "type": types, "label": labels, "name": part, "sort": sort}
        page["descending"] = str(descending).lower()
    answer = asked("GET", "shared" if shared else "workspaces", query=page)
    rows = rows_of(answer, "workspaces")
    if as_json:
        shown.print_json(answer)
        return
    records, now = [record_of(row) for row in rows], SystemClock().now()
    if not records:
        click.echo("No workspaces of others are shared with you." if shared else "No workspaces found.")
    elif shared:
        pairs = zip(records, rows, strict=True)
        cells = [
            (
                r.id, printable(r.name), printable(r.owner), printable(str(row["role"])),
                printable(str(row.get("via", "member"))), shown.state_words(r),
            )
            for r, row in pairs
        ]  # fmt: skip
        shown.print_table(shown.SHARED_COLUMNS, cells)
    else:
        found = shown.list_rows(Page(records, "", len(records)), None, now)
        shown.print_table(("name", "state", "type", "idle since", "next", "disk"), [row[1:] for row in found])
    if answer.get("next"):
        click.echo(f"More: --after {printable(str(answer['next']))}")


@group.command()
@click.argument("name", required=False)
@json_option
def show(name: str | None, as_json: bool) -> None:
    """One workspace: its state, what happens to it next and why, its limits."""
    row = asked("GET", "workspaces", named(name))
    if as_json:
        shown.print_json(row)
        return
    record = record_of(row)
    shown.print_pairs([("owner", printable(record.owner)), *shown.detail_rows(record, SystemClock().now())])


@group.command("variables")
@click.argument("name", required=False)
@json_option
def list_variables(name: str | None, as_json: bool) -> None:
    """What the REPL kernel of a running workspace holds."""
    answer = asked("GET", "workspaces", named(name), "variables", seconds=60)
    rows = rows_of(answer, "variables")
    if as_json:
        shown.print_json(answer)
    elif rows:
        cells = [[printable(str(row[field])) for field in ("name", "type", "size_bytes", "repr")] for row in rows]
        shown.print_table(("name", "type", "bytes", "value"), cells)
    else:
        click.echo("No variables: none are set.")


@group.command("set")
@click.argument("name")
@described_options
@click.option("--unlabel", multiple=True, metavar="NAME", help="Take a label away.")
@json_option
def set_values(name: str, described: Described, unlabel: tuple[str, ...], as_json: bool) -> None:
    """Change limits (of a running container too), times and labels."""
    before = record_of(asked("GET", "workspaces", name))
    limits, policy = described.new_limits(before.limits), described.new_policy(before.policy)
    kept = {key: value for key, value in before.labels.items() if key not in unlabel}
    body = {
        "limits": given(described, LIMIT_OPTIONS, limits), "policy": given(described, POLICY_OPTIONS, policy),
        "labels": {**kept, **described.new_labels()}, "version": before.version,
    }  # fmt: skip
    row = asked("PATCH", "workspaces", name, body=body)
    say(row, as_json, f"Workspace {record_of(row).name!r} is changed.")


@group.command()
@click.argument("name", required=False)
@click.option("--for", "how_long", default="1h", show_default=True, metavar="TIME")
@json_option
def touch(name: str | None, how_long: str, as_json: bool) -> None:
    """Let nothing happen to it by itself for a while, up to its hard cap."""
    row = asked("POST", "workspaces", named(name), "touch", body={"seconds": parse_seconds("--for", how_long)})
    record, now = record_of(row), SystemClock().now()
    line = f"Workspace {record.name!r}: {shown.deadline_words(due_action(record, record.policy, now), now)}."
    say(row, as_json, line)


@group.command()
@click.argument("name", required=False)
@click.option("--stop", is_flag=True, help="End its container as well: the next kernels have its variables.")
@json_option
def suspend(name: str | None, stop: bool, as_json: bool) -> None:
    """Freeze it with all it is doing; it takes no processor time until it is used again."""
    row = asked("POST", "workspaces", named(name), "suspend", body={"stop": stop}, seconds=LONG_SECONDS)
    record = record_of(row)
    say(row, as_json, f"Workspace {record.name!r} is {shown.state_words(record)}.")


@group.command()
@click.argument("name", required=False)
@json_option
def resume(name: str | None, as_json: bool) -> None:
    """Have it running; an archived one is recovered first."""
    with watched("Restoring", named(name), "resume", quiet=as_json):
        row = asked("POST", "workspaces", named(name), "resume", seconds=LONG_SECONDS)
    words = shown.level_words(row["level"])
    say(row, as_json, f"Workspace {record_of(row).name!r} is active: {words}.")
    notes(row, as_json)


@group.command()
@click.argument("name")
@json_option
def archive(name: str, as_json: bool) -> None:
    """Save it in the object store and free the server's machine; `recover` brings all of it back."""
    with watched("Archiving", name, "archive", quiet=as_json):
        row = asked("POST", "workspaces", name, "archive", seconds=LONG_SECONDS)
    record, now = record_of(row), SystemClock().now()
    due = shown.deadline_words(due_action(record, record.policy, now), now)
    say(row, as_json, f"Workspace {record.name!r} is archived; {due}.".replace("; never", "; it is kept"))


@group.command()
@click.argument("name")
@json_option
def recover(name: str, as_json: bool) -> None:
    """Bring an archived one back."""
    with watched("Restoring", name, "recover", quiet=as_json):
        row = asked("POST", "workspaces", name, "recover", seconds=LONG_SECONDS)
    say(row, as_json, f"Workspace {record_of(row).name!r} is back.")
    notes(row, as_json)


def notes(row: Mapping[str, Any], as_json: bool) -> None:
    """What did not come back, for a person."""
    for line in () if as_json else rows_of(row, "notes"):
        click.echo(printable(str(line)))


@group.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Do not ask; also delete one that is not archived.")
@json_option
def delete(name: str, force: bool, as_json: bool) -> None:
    """Delete a workspace for good: files, packages, history, variables."""
    record = record_of(asked("GET", "workspaces", name))
    if not force:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise NotConfirmed("--force", f"deleting {record.name!r} loses all of it", "Say --force")
        if not click.confirm(f"Delete workspace {record.name!r} for good, with all that is in it?", err=True):
            raise NotConfirmed("delete", f"workspace {record.name!r} is kept")
    meant = {"force": "true", "confirm": record.name, "execution": record.execution}
    asked("DELETE", "workspaces", record.id, query=meant, seconds=LONG_SECONDS)
    say({"deleted": record.id}, as_json, f"Workspace {record.name!r} is deleted.")
