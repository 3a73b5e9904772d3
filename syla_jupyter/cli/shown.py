"""A workspace as people and programs see it: times and sizes in words, or JSON with the names of the REST API."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import click

from ..metadata.base import Page
from ..model.record import State, WorkspaceRecord
from ..workspaces.inspection import Package, Variable
from ..workspaces.lifecycle import allowed
from ..workspaces.policies import Action, Due, due_action
from .words import NEVER, clock_time, coming, past, plural, printable, rfc3339, size

DONE = {
    Action.SUSPEND: "suspended",
    Action.STOP: "stopped",
    Action.ARCHIVE: "archived",
    Action.DELETE: "deleted for good",
}
Row = tuple[str, str]


def as_json(record: WorkspaceRecord, now: float) -> dict[str, Any]:
    """As `GET workspaces/{id}` has it, with the host's path."""
    due = due_action(record, record.policy, now)
    return {
        "id": record.id,
        "owner": record.owner,
        "name": record.name,
        "type": record.type.value,
        "state": record.state.value,
        "frozen": record.frozen,
        "reason": record.reason,
        "allowed": [verb.value for verb in allowed(record)],
        "next": {"action": due.next_action.value, "at": _moment(due.deadline), "reason": due.reason},
        "template": record.template,
        "network": record.network.value,
        "limits": dataclasses.asdict(record.limits),
        "policy": dataclasses.asdict(record.policy),
        "labels": dict(record.labels),
        "path": str(record.files),
        "is_default": record.is_default,
        "shared": record.shared,
        "execution": record.execution,
        "created_at": rfc3339(record.created_at),
        "state_since": rfc3339(record.state_since),
        "last_activity_at": rfc3339(record.last_activity_at),
        "extended_until": _moment(record.extended_until or None),
        "warned_at": _moment(record.warned_at or None),
        "disk_bytes": record.disk_bytes,
        "version": record.version,
    }


def _moment(at: float | None) -> str | None:
    return None if at is None else rfc3339(at)


def state_words(record: WorkspaceRecord) -> str:
    """`active`, `suspended (frozen)`, `suspended (stopped)`, …"""
    if record.state is State.SUSPENDED:
        return f"suspended ({'frozen' if record.frozen else 'stopped'})"
    return record.state.value


def deadline_words(due: Due, now: float) -> str:
    """`suspended in 42 min`, `never`."""
    if due.deadline is None or due.next_action not in DONE:
        return NEVER
    return f"{DONE[due.next_action]} {coming(due.deadline, now)}"


def list_rows(page: Page, active: str | None, now: float) -> list[tuple[str, ...]]:
    """(mark, name, state, type, idle since, next, disk) each; the mark is on the one this terminal uses."""
    rows: list[tuple[str, ...]] = []
    for record in page.records:
        due = due_action(record, record.policy, now)
        rows.append(
            (
                "*" if record.id == active else "",
                printable(record.name),
                state_words(record),
                record.type.value,
                clock_time(record.last_activity_at, now),
                deadline_words(due, now),
                size(record.disk_bytes) if record.disk_bytes else "",
            )
        )
    return rows


def detail_rows(record: WorkspaceRecord, now: float) -> list[Row]:
    due = due_action(record, record.policy, now)
    since = f"since {clock_time(record.state_since, now)}"
    limits = record.limits
    rows = [
        ("workspace", f"{printable(record.name)} ({record.id})"),
        ("state", f"{state_words(record)} {since}" + (f": {printable(record.reason)}" if record.reason else "")),
        ("next", deadline_words(due, now)),
        ("because", printable(due.reason)),
        ("possible", ", ".join(allowed(record)) or "nothing"),
        ("idle since", f"{clock_time(record.last_activity_at, now)} ({past(record.last_activity_at, now)})"),
        ("made", f"{clock_time(record.created_at, now)} ({past(record.created_at, now)})"),
        ("type", f"{record.type.value}{', the default workspace' if record.is_default else ''}"),
        ("template", printable(record.template)),
        (
            "limits",
            f"{plural_cores(limits.cpus)}, {size(limits.memory_bytes)} of memory, "
            f"{size(limits.disk_bytes)} on disk, {limits.pids} processes",
        ),
        ("network", record.network.value),
        ("files", printable(str(record.files)) + (" (in the object store)" if record.state is State.ARCHIVED else "")),
        ("execution", record.execution or "none"),
    ]
    if record.disk_bytes:
        rows.append(("on disk", size(record.disk_bytes)))
    if record.labels:
        rows.append(("labels", printable(", ".join(f"{k}={v}" for k, v in sorted(record.labels.items())))))
    return rows


def plural_cores(cpus: float) -> str:
    return f"{cpus:g} core{'s' if cpus != 1 else ''}"


def package_words(packages: Sequence[Package]) -> str:
    """Those that were asked for, and how many came with them."""
    asked = [f"{printable(p.name)} {printable(p.version)}" for p in packages if p.requested]
    others = len(packages) - len(asked)
    more = plural(others, "other") if asked else plural(others, "package")
    return ", ".join([*asked, *([more] if others else [])]) or "none besides the image's"


def variable_rows(variables: Sequence[Variable]) -> list[tuple[str, ...]]:
    return [
        (
            printable(v.name),
            printable(v.type),
            "" if v.size_bytes is None else size(v.size_bytes),
            printable(v.repr),
        )
        for v in variables
    ]


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2))


SHARED_COLUMNS = ("id", "name", "owner", "role", "via", "state")
"""Of workspaces of others; via: member, or link, which is every user's."""


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as the terminal allows; whole lines where there is no terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console()
    if not console.is_terminal:
        console.width = 4096
    console.print(table)


def print_pairs(rows: Sequence[Row]) -> None:
    width = max(len(label) for label, _ in rows)
    for label, text in rows:
        click.echo(f"{click.style(label.ljust(width), dim=True)}  {text}")


def changed(record: WorkspaceRecord, as_json_wanted: bool, now: float, line: str) -> None:
    """What a verb says when it is done."""
    if as_json_wanted:
        print_json(as_json(record, now))
    else:
        click.echo(line)


def level_words(level: str) -> str:
    words = {"running": "ran already", "thawed": "thawed, with its variables", "restarted": "started anew"}
    return {**words, "recovered": "brought back from the archive, and started anew"}[level]
