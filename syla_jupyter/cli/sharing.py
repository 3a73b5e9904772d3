"""`syla workspace share|unshare|members|requests|refuse|invite|access`: who else may use a workspace, and how."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

import click

from .. import app
from ..access.decide import comes_by_link
from ..access.roles import role_named
from ..access.sharing import INVITATION_SECONDS, Sharing
from ..model.errors import UnknownWorkspace
from ..model.people import AccessMode, SubjectKind
from ..model.record import WorkspaceRecord
from . import choosing, shown
from .people import SECRET_NOTE, caller, json_option
from .words import clock_time, coming, parse_seconds, printable, rfc3339

Command = TypeVar("Command", bound=Callable[..., Any])
team_option = click.option("--team", "is_team", is_flag=True, help="WHO is a team.")
role_option = click.option(
    "--permission", "role", metavar="ROLE", default="viewer", show_default=True,
    help="viewer, runner, editor or admin; or read, execute, write.",
)  # fmt: skip


def _sharing(name: str) -> tuple[app.Application, Sharing, WorkspaceRecord]:
    application = app.shared()
    return application, application.access().sharing, choosing.named(application, name)


@click.command()
@click.argument("name")
@click.argument("who")
@role_option
@team_option
@json_option
def share(name: str, who: str, role: str, is_team: bool, as_json: bool) -> None:
    """Let WHO use a workspace; instead of what WHO may do there now."""
    application, sharing, record = _sharing(name)
    kind = SubjectKind.TEAM if is_team else SubjectKind.USER
    grant = sharing.share(caller(application), record.id, kind, who, role_named(role))
    if as_json:
        shown.print_json({"workspace": record.id, "kind": kind.value, "subject": who, "role": grant.role.value})
    else:
        click.echo(f"{kind.value.capitalize()} {who} is {grant.role.value} of {record.name!r}.")


@click.command()
@click.argument("name")
@click.argument("who")
@team_option
@json_option
def unshare(name: str, who: str, is_team: bool, as_json: bool) -> None:
    """Take back what WHO may do in a workspace; it counts at once."""
    application, sharing, record = _sharing(name)
    kind = SubjectKind.TEAM if is_team else SubjectKind.USER
    taken = sharing.unshare(caller(application), record.id, kind, who)
    if as_json:
        shown.print_json({"workspace": record.id, "kind": kind.value, "subject": who, "changed": taken})
    else:
        click.echo(f"{kind.value.capitalize()} {who} {'is no member any more' if taken else 'was no member'}.")


@click.command()
@click.argument("name")
@json_option
def members(name: str, as_json: bool) -> None:
    """Who may use a workspace."""
    application, sharing, record = _sharing(name)
    found, now = sharing.members(caller(application), record.id), application.clock.now()
    if as_json:
        rows = [
            {"kind": g.kind.value, "subject": g.subject, "role": g.role.value, "granted_by": g.granted_by,
             "granted_at": rfc3339(g.granted_at)}
            for g in found.grants
        ]  # fmt: skip
        shown.print_json({"owner": found.access.owner, "mode": found.access.mode.value, "members": rows})
        return
    rests = found.access.mode is AccessMode.PRIVATE and bool(found.grants)
    click.echo(f"{record.name!r} is {found.access.mode.value}{': grants rest' if rests else ''}.")
    rows_shown = [(found.access.owner, "user", "owner", "", "")]
    rows_shown += [
        (g.subject, g.kind.value, g.role.value, printable(g.granted_by), clock_time(g.granted_at, now))
        for g in found.grants
    ]
    shown.print_table(("who", "is a", "role", "by", "since"), rows_shown)


@click.command()
@click.argument("name", required=False)
@json_option
def requests(name: str | None, as_json: bool) -> None:
    """Who asks for a role; in one workspace or in all. `share` grants it, `refuse` does not."""
    application = app.shared()
    wanted = None if name is None else choosing.named(application, name).id
    catalog, now = application.registry().catalog, application.clock.now()
    found = application.access().asking.waiting(caller(application))
    rows = [(one, catalog.by_id(one.workspace).name) for one in found if wanted in (None, one.workspace)]
    if as_json:
        shown.print_json(
            {
                "requests": [
                    {"workspace": one.workspace, "name": called, "user": one.user, "role": one.role.value,
                     "asked_at": rfc3339(one.asked_at)}
                    for one, called in rows
                ]
            }
        )  # fmt: skip
    elif not rows:
        click.echo("Nobody asks for a role.")
    else:
        table = [(printable(called), one.user, one.role.value, clock_time(one.asked_at, now)) for one, called in rows]
        shown.print_table(("workspace", "who", "role", "since"), table)


@click.command()
@click.argument("name")
@click.argument("who")
@json_option
def refuse(name: str, who: str, as_json: bool) -> None:
    """Answer no to WHO asks for a role; for a week he asks in vain."""
    application, _, record = _sharing(name)
    changed = application.access().asking.refuse(caller(application), record.id, who)
    if as_json:
        shown.print_json({"workspace": record.id, "user": who, "changed": changed})
    else:
        click.echo(f"{who} {'is refused' if changed else 'asks for nothing'} in {record.name!r}.")


@click.command()
@click.argument("name")
@role_option
@click.option("--uses", type=click.IntRange(1, 1000), default=1, show_default=True, help="How many may accept it.")
@click.option("--expires", metavar="TIME", help="After this long, such as 12h or 30d. Default: 7d.")
@json_option
def invite(name: str, role: str, uses: int, expires: str | None, as_json: bool) -> None:
    """Make an invitation: any user of the server who has its secret becomes a member."""
    application, sharing, record = _sharing(name)
    seconds = INVITATION_SECONDS if expires is None else parse_seconds("--expires", expires)
    made = sharing.invite(caller(application), record.id, role_named(role), uses=uses, life_seconds=seconds)
    one = made.invitation
    if as_json:
        row = {"id": one.id, "workspace": one.workspace, "role": one.role.value, "uses_left": one.uses_left}
        shown.print_json({**row, "expires_at": rfc3339(one.expires_at), "secret": made.secret})
        return
    click.echo(made.secret)
    click.echo(f"{SECRET_NOTE} It ends {coming(one.expires_at, application.clock.now())}.", err=True)


@click.command("access")
@click.argument("name")
@click.argument("mode", type=click.Choice([mode.value for mode in AccessMode]))
@json_option
def set_access(name: str, mode: str, as_json: bool) -> None:
    """private: its owner's alone, grants rest. members: and theirs. link: every user of the server may look."""
    application, sharing, record = _sharing(name)
    sharing.set_mode(caller(application), record.id, AccessMode(mode))
    if as_json:
        shown.print_json({"workspace": record.id, "mode": mode})
    else:
        click.echo(f"{record.name!r} is {mode}.")


def show_shared(application: app.Application, as_json: bool) -> None:
    """Workspaces of others that are shared with who runs this installation."""
    access, catalog, now = application.access(), application.registry().catalog, application.clock.now()
    found = []
    for one, role in access.sharing.shared_with(caller(application)):
        with contextlib.suppress(UnknownWorkspace):
            via = "link" if comes_by_link(caller(application).principal, one) else "member"
            found.append((catalog.by_id(one.workspace), role, via))
    if as_json:
        rows = [{**shown.as_json(record, now), "role": role.value, "via": via} for record, role, via in found]
        shown.print_json({"workspaces": rows})
    elif not found:
        click.echo("No workspaces of others are shared with you.")
    else:
        cells = [
            (r.id, printable(r.name), printable(r.owner), role.value, via, shown.state_words(r))
            for r, role, via in found
        ]
        shown.print_table(shown.SHARED_COLUMNS, cells)


COMMANDS = (share, unshare, members, requests, refuse, invite, set_access)
