"""`syla workspace participants`: who is in a workspace's documents now, as a running server knows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import click

from .. import app
from ..servers import Participant, running
from ..servers import participants as ask
from . import choosing, shown
from .people import json_option
from .words import past, printable, rfc3339


@click.command()
@click.argument("name", required=False)
@json_option
def participants(name: str | None, as_json: bool) -> None:
    """Who has documents of a workspace open now; a running server knows."""
    application = app.shared()
    record = choosing.named(application, name)
    found = ask(running(application.settings.data_dir, application.environ), record.id)
    show_participants(record.name, found, as_json, application.clock.now())


def show_participants(workspace: str, found: Sequence[Participant], as_json: bool, now: float) -> None:
    if as_json:
        shown.print_json({"participants": [_as_json(one) for one in found]})
    elif not found:
        click.echo(f"Nobody has documents of {workspace!r} open.")
    else:
        columns = ("who", "role", "document", "colour", "active", "there since")
        shown.print_table(columns, [_row(one, now) for one in found])


def _as_json(one: Participant) -> dict[str, Any]:
    times = {name: rfc3339(getattr(one, name)) for name in ("joined_at", "last_activity_at")}
    return {**dataclasses.asdict(one), **times}


def _row(one: Participant, now: float) -> tuple[str, ...]:
    who = one.display_name if one.display_name == one.user else f"{one.display_name} ({one.user})"
    return (
        printable(who),
        printable(one.role or ""),
        printable(one.path),
        printable(one.color or ""),
        past(one.last_activity_at, now),
        past(one.joined_at, now),
    )
