"""`syla workspace share|join|…` against a running server: who may use one, as whoever the token in `SYLA_TOKEN` is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from ..access.roles import role_named
from ..access.sharing import INVITATION_SECONDS
from ..model.clock import SystemClock
from ..model.people import AccessMode
from ..servers import participants as ask_participants
from . import shown
from .participants import show_participants
from .people import SECRET_NOTE
from .remote import group, json_option, named, say
from .remote_asking import asked, rows_of, server
from .sharing import role_option, team_option
from .words import coming, parse_seconds, printable


def _kind(is_team: bool) -> str:
    return "team" if is_team else "user"


@click.command()
@click.argument("name")
@click.argument("who")
@role_option
@team_option
@json_option
def share(name: str, who: str, role: str, is_team: bool, as_json: bool) -> None:
    """Let WHO use a workspace; instead of what WHO may do there now."""
    body, query = {"role": role_named(role).value}, {"kind": _kind(is_team)}
    asked("PUT", "workspaces", name, "members", who, query=query, body=body)
    row = {"workspace": name, "kind": _kind(is_team), "subject": who, **body}
    say(row, as_json, f"{_kind(is_team).capitalize()} {who} is {body['role']} of {name!r}.")


@click.command()
@click.argument("name")
@click.argument("who")
@team_option
@json_option
def unshare(name: str, who: str, is_team: bool, as_json: bool) -> None:
    """Take back what WHO may do in a workspace, or leave it yourself; it counts at once."""
    asked("DELETE", "workspaces", name, "members", who, query={"kind": _kind(is_team)})
    row = {"workspace": name, "kind": _kind(is_team), "subject": who}
    say(row, as_json, f"{_kind(is_team).capitalize()} {who} is no member any more.")


@click.command()
@click.argument("name")
@json_option
def members(name: str, as_json: bool) -> None:
    """Who may use a workspace."""
    answer = asked("GET", "workspaces", name, "members")
    rows = rows_of(answer, "members")
    if as_json:
        shown.print_json(answer)
        return
    first = {"subject": answer["owner"], "kind": "user", "role": "owner", "granted_by": ""}
    fields = ("subject", "kind", "role", "granted_by")
    cells = [[printable(str(row[field])) for field in fields] for row in (first, *rows)]
    click.echo(f"{name!r} is {answer['mode']}.")
    shown.print_table(("who", "is a", "role", "by"), cells)


@click.command()
@click.argument("name")
@role_option
@click.option("--uses", type=click.IntRange(1, 1000), default=1, show_default=True, help="How many may accept it.")
@click.option("--expires", metavar="TIME", help="After this long, such as 12h or 30d. Default: 7d.")
@json_option
def invite(name: str, role: str, uses: int, expires: str | None, as_json: bool) -> None:
    """Make an invitation: any user of the server who has its secret becomes a member."""
    seconds = INVITATION_SECONDS if expires is None else parse_seconds("--expires", expires)
    body = {"role": role_named(role).value, "uses": uses, "expires_seconds": seconds}
    row: dict[str, Any] = asked("POST", "workspaces", name, "invitations", body=body)
    say(row, as_json, printable(str(row["secret"])))
    if not as_json:
        ends = datetime.fromisoformat(row["expires_at"]).timestamp()
        click.echo(f"{SECRET_NOTE} It ends {coming(ends, SystemClock().now())}.", err=True)


@click.command()
@click.argument("secret")
@json_option
def join(secret: str, as_json: bool) -> None:
    """Become a member of a workspace, by the secret of an invitation."""
    row = asked("POST", "join", body={"secret": secret})
    say(row, as_json, f"You are {row['role']} of workspace {row['workspace']}; `syla workspace list --shared` has it.")


@click.command("access")
@click.argument("name")
@click.argument("mode", type=click.Choice([mode.value for mode in AccessMode]))
@json_option
def set_access(name: str, mode: str, as_json: bool) -> None:
    """private: its owner's alone, grants rest. members: and theirs. link: every user of the server may look."""
    asked("PUT", "workspaces", name, "access", body={"mode": mode})
    say({"workspace": name, "mode": mode}, as_json, f"{name!r} is {mode}.")


@click.command()
@click.argument("name", required=False)
@json_option
def participants(name: str | None, as_json: bool) -> None:
    """Who has documents of a workspace open now."""
    show_participants(named(name), ask_participants([server()], named(name)), as_json, SystemClock().now())


for command in (share, unshare, members, invite, join, set_access, participants):
    group.add_command(command)
