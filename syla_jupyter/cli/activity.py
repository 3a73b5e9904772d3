"""`syla workspace activity`: who did what in a workspace, newest first."""

from __future__ import annotations

from typing import Any

import click

from .. import app
from ..metadata.happenings_base import PAGE_MAX
from ..model.happening import Happening, Kind
from . import choosing, shown
from .people import json_option
from .words import clock_time, plural, printable, rfc3339

BY_ITSELF = "(by itself)"


@click.command()
@click.argument("name", required=False)
@click.option("--kind", "kinds", type=click.Choice([kind.value for kind in Kind]), multiple=True, help="Of these only.")
@click.option("--user", metavar="NAME", help="What that one did; empty: what happened by itself.")
@click.option("--limit", type=click.IntRange(1, PAGE_MAX), default=50, show_default=True)
@click.option("--before", type=click.IntRange(0), default=0, metavar="ID", help="The next page, as this one names it.")
@json_option
def activity(
    name: str | None, kinds: tuple[str, ...], user: str | None, limit: int, before: int, as_json: bool
) -> None:
    """Who did what in a workspace, newest first."""
    application = app.shared()
    record = choosing.named(application, name)
    store = application.chronicle().store()
    rows = store.page(record.id, before=before, kinds=[Kind(kind) for kind in kinds], actor=user, limit=limit)
    more = rows[-1].n if len(rows) == limit else 0
    if as_json:
        shown.print_json({"activity": [_as_json(one) for one in rows], "next": more})
    elif not rows:
        click.echo("Nothing was written down.")
    else:
        now = application.clock.now()
        table = [
            (clock_time(one.at, now), printable(one.actor or BY_ITSELF), printable(one.action), printable(words(one)))
            for one in rows
        ]
        shown.print_table(("when", "who", "did", ""), table)
        if more:
            click.echo(f"More: --before {more}")


def _as_json(one: Happening) -> dict[str, Any]:
    row = {"id": one.n, "time": rfc3339(one.at), "kind": one.kind.value, "action": one.action, "user": one.actor}
    return {**row, **one.detail}


def words(one: Happening) -> str:
    """What a line has besides who, when and what was done."""
    detail, parts = one.detail, []
    if int(detail.get("count", 1)) > 1:
        parts.append(plural(int(detail["count"]), "time"))
    if detail.get("version"):
        parts.append(f"version {detail['version']}")
    parts += [str(detail[name]) for name in ("subject", "role", "reason", "message") if detail.get(name)]
    parts += [", ".join(map(str, detail[name])) for name in ("changes", "names") if detail.get(name)]
    return "; ".join(parts)
