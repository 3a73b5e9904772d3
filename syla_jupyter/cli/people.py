"""`syla user`, `syla team`, `syla audit`: who may use this installation's server, and what was done.

Whoever can run this here has the database, so he is an admin: the log names him as who did it.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from .. import app
from ..access.audit_line import Origin
from ..access.service import TOKEN_SECONDS, Caller, People
from ..model.errors import AuditDamaged, BadInput
from ..model.people import Principal, Token
from . import shown
from .words import NEVER, clock_time, coming, parse_seconds, plural, printable, rfc3339

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
SECRET_NOTE = "It is shown this once: only a digest of it is kept."


def caller(application: app.Application) -> Caller:
    return Caller(Principal(application.access().owner, admin=True), Origin("", "syla"))


def _people() -> tuple[app.Application, People, Caller]:
    application = app.shared()
    return application, application.access().people, caller(application)


# -- users -----------------------------------------------------------------------------------------------------------


@click.group("user")
def user_group() -> None:
    """People with a name and tokens of their own."""


@user_group.command("add")
@click.argument("name")
@click.option("--display-name", metavar="TEXT", default="", help="How others see it.")
@click.option("--admin", is_flag=True, help="Of the server: every workspace, and what belongs to the host.")
@json_option
def add_user(name: str, display_name: str, admin: bool, as_json: bool) -> None:
    """Add somebody; `syla user token NAME` gives a token to log in with."""
    _, people, me = _people()
    user = people.add_user(me, name, display_name=display_name, admin=admin)
    line = f"User {user.name} is added. A token to log in with: syla user token {user.name}"
    _said({"name": user.name, "display_name": user.display_name, "admin": user.admin}, as_json, line)


@user_group.command("list")
@json_option
def list_users(as_json: bool) -> None:
    """Everybody, with the number of tokens."""
    application, people, me = _people()
    now, users = application.clock.now(), people.users(me)
    count = {user.name: sum(token.in_force(now) for token in people.tokens(me, user.name)) for user in users}
    if as_json:
        rows = [
            {"name": u.name, "display_name": u.display_name, "admin": u.admin, "disabled": u.disabled,
             "tokens": count[u.name], "created_at": rfc3339(u.created_at)}
            for u in users
        ]  # fmt: skip
        shown.print_json(rows)
        return
    shown.print_table(
        ("name", "shown as", "is", "tokens"),
        [
            (u.name, printable(u.display_name), "disabled" if u.disabled else "admin" if u.admin else "",
             str(count[u.name]))
            for u in users
        ],
    )  # fmt: skip


@user_group.command("token")
@click.argument("name")
@click.option("--expires", metavar="TIME", help="After this long, such as 12h or 30d; never. Default: 90d.")
@click.option("--label", metavar="TEXT", default="", help="What it is for.")
@click.option("--list", "list_them", is_flag=True, help="Show the tokens that there are, without their secrets.")
@click.option("--revoke", metavar="ID", help="End one, and whoever is logged in with it.")
@json_option
def token(name: str, expires: str | None, label: str, list_them: bool, revoke: str | None, as_json: bool) -> None:
    """Make a token for somebody, list those that there are, or revoke one."""
    application, people, me = _people()
    now = application.clock.now()
    if list_them:
        tokens = people.tokens(me, name)
        if as_json:
            shown.print_json([_token_json(one) for one in tokens])
        else:
            rows = [(t.id, printable(t.label), clock_time(t.created_at, now), _ends(t, now)) for t in tokens]
            shown.print_table(("id", "label", "made", "ends"), rows)
        return
    if revoke is not None:
        if all(one.id != revoke for one in people.tokens(me, name)):
            raise BadInput("--revoke", f"{name} has no token {revoke[:40]!r}", f"syla user token {name} --list")
        _said(_token_json(people.revoke_token(me, revoke)), as_json, f"Token {revoke} of {name} is revoked.")
        return
    seconds = TOKEN_SECONDS if expires is None else None if expires == NEVER else parse_seconds("--expires", expires)
    issued = people.issue_token(me, name, label=label, life_seconds=seconds)
    if as_json:
        shown.print_json({**_token_json(issued.token), "secret": issued.secret})
        return
    click.echo(issued.secret)
    click.echo(f"{SECRET_NOTE} It ends {_ends(issued.token, now)}.", err=True)


@user_group.command("disable")
@click.argument("name")
@click.option("--enable", is_flag=True, help="The other way round.")
@json_option
def disable(name: str, enable: bool, as_json: bool) -> None:
    """Let somebody in no more; his workspaces, tokens and grants stay, and come back with --enable."""
    _, people, me = _people()
    user = people.change_user(me, name, disabled=not enable)
    _said({"name": name, "disabled": user.disabled}, as_json, f"User {name} is {'enabled' if enable else 'disabled'}.")


@user_group.command("admin")
@click.argument("name")
@click.option("--no", "taken", is_flag=True, help="The other way round.")
@json_option
def make_admin(name: str, taken: bool, as_json: bool) -> None:
    """Make somebody an admin of the server."""
    _, people, me = _people()
    user = people.change_user(me, name, admin=not taken)
    _said({"name": name, "admin": user.admin}, as_json, f"User {name} is {'no' if taken else 'an'} admin.")


# -- teams -----------------------------------------------------------------------------------------------------------


@click.group("team")
def team_group() -> None:
    """Named groups of users, to share workspaces with."""


@team_group.command("add")
@click.argument("name")
@json_option
def add_team(name: str, as_json: bool) -> None:
    """Make a team without members."""
    _, people, me = _people()
    _said({"name": people.add_team(me, name).name}, as_json, f"Team {name} is made.")


@team_group.command("list")
@json_option
def list_teams(as_json: bool) -> None:
    """All teams with their members."""
    _, people, me = _people()
    teams = people.teams(me)
    if as_json:
        shown.print_json([{"name": team.name, "members": list(team.members)} for team in teams])
    else:
        shown.print_table(("name", "members"), [(team.name, ", ".join(team.members)) for team in teams])


@team_group.command("join")
@click.argument("team")
@click.argument("user")
@json_option
def join_team(team: str, user: str, as_json: bool) -> None:
    """Make USER a member of TEAM."""
    _set_member(team, user, True, as_json)


@team_group.command("leave")
@click.argument("team")
@click.argument("user")
@json_option
def leave_team(team: str, user: str, as_json: bool) -> None:
    """Take USER out of TEAM; what the team may, he may no longer."""
    _set_member(team, user, False, as_json)


@team_group.command("remove")
@click.argument("name")
@json_option
def remove_team(name: str, as_json: bool) -> None:
    """Remove a team, and what workspaces grant to it."""
    _, people, me = _people()
    people.remove_team(me, name)
    _said({"name": name, "removed": True}, as_json, f"Team {name} is removed.")


def _set_member(team: str, user: str, member: bool, as_json: bool) -> None:
    _, people, me = _people()
    changed = people.set_member(me, team, user, member)
    line = f"{user} is {'in' if member else 'not in'} team {team}{'' if changed else ' already'}."
    _said({"team": team, "user": user, "member": member, "changed": changed}, as_json, line)


# -- the log ---------------------------------------------------------------------------------------------------------


@click.group("audit")
def audit_group() -> None:
    """Who did what, and who was refused."""


@audit_group.command("list")
@click.option("--actor", metavar="NAME", help="Done by him.")
@click.option("--action", metavar="ACTION", help="Such as workspace.share or access.refused.")
@click.option("--since", metavar="TIME", help="In the last 30m, 12h, 7d.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="The newest so many.")
@json_option
def list_audit(actor: str | None, action: str | None, since: str | None, limit: int, as_json: bool) -> None:
    """The newest lines, oldest first."""
    application, people, me = _people()
    now = application.clock.now()
    after = 0.0 if since is None else now - parse_seconds("--since", since)
    lines = people.audit(me).newest(actor=actor, action=action, since=after, limit=limit)
    if as_json:
        shown.print_json([{**line.__dict__, "at": rfc3339(line.at)} for line in lines])
        return
    rows = [
        (clock_time(line.at, now), *map(printable, (line.actor, line.action, line.result, line.target, line.reason)))
        for line in lines
    ]
    shown.print_table(("when", "who", "what", "result", "on", "because"), rows)


@audit_group.command("verify")
@json_option
def verify_audit(as_json: bool) -> None:
    """Look for lines that were changed or are missing; fails when there are any."""
    _, people, me = _people()
    found = people.audit(me).verify()
    if as_json:
        shown.print_json({"lines": found.lines, "first": found.first, "problems": list(found.problems)})
        if found.problems:
            sys.exit(AuditDamaged.exit_code)
        return
    for problem in found.problems:
        click.echo(printable(problem))
    if found.problems:
        raise AuditDamaged(f"the audit log has {plural(len(found.problems), 'problem')}", "Restore it from a copy")
    click.echo(f"{plural(found.lines, 'line')}, none changed or missing{_since(found.first)}.")


def _since(first: int) -> str:
    return f" from number {first} on" if first > 1 else ""


def _ends(token: Token, now: float) -> str:
    if token.expires_at is None:
        return NEVER
    return "over" if not token.in_force(now) else coming(token.expires_at, now)


def _token_json(token: Token) -> dict[str, Any]:
    expires = None if token.expires_at is None else rfc3339(token.expires_at)
    return {"id": token.id, "user": token.user, "label": token.label, "created_at": rfc3339(token.created_at),
            "expires_at": expires}  # fmt: skip


def _said(value: dict[str, Any], as_json: bool, line: str) -> None:
    if as_json:
        shown.print_json(value)
    else:
        click.echo(line)
