"""What each route about people and sharing does: one call of a use case, as in `handlers`. The use cases ask whether
the caller may; the doorkeeper has asked before."""

from __future__ import annotations

import contextlib
import dataclasses
from datetime import UTC, datetime
from typing import Any

from ..access.decide import comes_by_link, role_of
from ..access.service import People
from ..access.sharing import Sharing
from ..model.errors import BadInput, UnknownInvitation, UnknownWorkspace
from ..model.people import AccessMode, Grant, Role, SubjectKind, User
from . import people_wire as wire
from . import shown
from .handlers import Call, Reply, show


def list_members(call: Call) -> Reply:
    found = _sharing(call).members(call.caller, call.found().id)
    return Reply(
        wire.MemberList(
            owner=found.access.owner,
            mode=found.access.mode,
            role=role_of(call.caller.principal, found.access),
            members=[_member(grant) for grant in found.grants],
        )
    )


def list_shared(call: Call) -> Reply:
    asked: wire.SharedQuery = call.query
    catalog, last = call.services.application.registry().catalog, ""
    rows: list[wire.SharedWorkspace] = []
    for access, role in _sharing(call).shared_with(call.caller, asked.after):
        if len(rows) == asked.limit:
            return Reply(wire.SharedList(workspaces=rows, next=last))
        with contextlib.suppress(UnknownWorkspace):
            seen = show(call.services, catalog.by_id(access.workspace))
            by_link = comes_by_link(call.caller.principal, access)
            rows.append(wire.SharedWorkspace(**dict(seen), role=role, via="link" if by_link else "member"))
        last = access.workspace
    return Reply(wire.SharedList(workspaces=rows, next=""))


def put_member(call: Call) -> Reply:
    kind: SubjectKind = call.query.kind
    grant = _sharing(call).share(call.caller, call.found().id, kind, call.names["user"], Role(call.body.role))
    return Reply(_member(grant))


def remove_member(call: Call) -> Reply:
    """Oneself by oneself, whatever the role, or because it is open to all; anybody else by who may share."""
    id, kind, subject = call.found().id, call.query.kind, call.names["user"]
    if kind is SubjectKind.USER and subject == call.caller.principal.name:
        _sharing(call).leave(call.caller, id)
        call.services.application.access().visits.forget(subject, id)
    else:
        _sharing(call).unshare(call.caller, id, kind, subject)
    return Reply(None, 204)


def change_access(call: Call) -> Reply:
    mode: AccessMode = call.body.mode
    _sharing(call).set_mode(call.caller, call.found().id, mode)
    return list_members(call)


def transfer(call: Call) -> Reply:
    id = call.found().id
    _sharing(call).transfer(call.caller, id, call.body.to)
    return list_members(dataclasses.replace(call, names={**call.names, "workspace": id}))


def list_invitations(call: Call) -> Reply:
    found = _sharing(call).invitations(call.caller, call.found().id)
    return Reply(wire.InvitationList(invitations=[wire.InvitationShown(**_dated(one)) for one in found]))


def invite(call: Call) -> Reply:
    asked: wire.Invite = call.body
    made = _sharing(call).invite(
        call.caller, call.found().id, Role(asked.role), uses=asked.uses, life_seconds=asked.expires_seconds
    )
    return Reply(wire.InvitationMade(**_dated(made.invitation), secret=made.secret), 201, _at(made.invitation.id))


def uninvite(call: Call) -> Reply:
    if not _sharing(call).uninvite(call.caller, call.found().id, call.names["invitation"]):
        raise UnknownInvitation("invitation", "there is no such invitation")
    return Reply(None, 204)


def join(call: Call) -> Reply:
    grant = _sharing(call).join(call.caller, call.body.secret)
    return Reply(wire.Joined(workspace=grant.workspace, role=grant.role))


# -- people ----------------------------------------------------------------------------------------------------------


def list_users(call: Call) -> Reply:
    return Reply(wire.UserList(users=[_user(user) for user in _people(call).users(call.caller)]))


def add_user(call: Call) -> Reply:
    asked: wire.AddUser = call.body
    user = _people(call).add_user(call.caller, asked.name, display_name=asked.display_name, admin=asked.admin)
    return Reply(_user(user), 201, _at(user.name))


def change_user(call: Call) -> Reply:
    asked: wire.ChangeUser = call.body
    name = call.names["user"]
    return Reply(_user(_people(call).change_user(call.caller, name, admin=asked.admin, disabled=asked.disabled)))


def list_tokens(call: Call) -> Reply:
    tokens = _people(call).tokens(call.caller, call.names["user"])
    return Reply(wire.TokenList(tokens=[wire.TokenShown(**_dated(token)) for token in tokens]))


def issue_token(call: Call) -> Reply:
    asked: wire.IssueToken = call.body
    issued = _people(call).issue_token(
        call.caller, call.names["user"], label=asked.label, life_seconds=asked.expires_seconds
    )
    return Reply(wire.TokenMade(**_dated(issued.token), secret=issued.secret), 201, _at(issued.token.id))


def revoke_token(call: Call) -> Reply:
    id, user = call.names["token"], call.names["user"]
    if all(token.id != id for token in _people(call).tokens(call.caller, user)):
        raise BadInput("token", "there is no such token", "GET the list")
    _people(call).revoke_token(call.caller, id)
    return Reply(None, 204)


def list_teams(call: Call) -> Reply:
    teams = _people(call).teams(call.caller)
    return Reply(wire.TeamList(teams=[wire.TeamShown(name=team.name, members=list(team.members)) for team in teams]))


def add_team(call: Call) -> Reply:
    team = _people(call).add_team(call.caller, call.body.name)
    return Reply(wire.TeamShown(name=team.name, members=[]), 201, _at(team.name))


def remove_team(call: Call) -> Reply:
    _people(call).remove_team(call.caller, call.names["team"])
    return Reply(None, 204)


def join_team(call: Call) -> Reply:
    _people(call).set_member(call.caller, call.names["team"], call.names["user"], True)
    return Reply(None, 204)


def leave_team(call: Call) -> Reply:
    _people(call).set_member(call.caller, call.names["team"], call.names["user"], False)
    return Reply(None, 204)


def list_audit(call: Call) -> Reply:
    asked: wire.AuditQuery = call.query
    lines = _people(call).audit(call.caller).newest(actor=asked.actor, action=asked.action, limit=asked.limit)
    rows = [
        wire.AuditLine(**{name: shown.plain(value) if isinstance(value, str) else value for name, value in row.items()})
        for row in ({k: v for k, v in _dated(line).items() if k != "previous"} for line in lines)
    ]
    return Reply(wire.AuditList(lines=rows))


def _people(call: Call) -> People:
    return call.services.application.access().people


def _sharing(call: Call) -> Sharing:
    return call.services.application.access().sharing


def _member(grant: Grant) -> wire.Member:
    row = _dated(grant)
    del row["workspace"]
    return wire.Member(**row)


def _user(user: User) -> wire.UserShown:
    return wire.UserShown(**_dated(user))


def _dated(value: Any) -> dict[str, Any]:
    """Fields of a value of the model, its times as dates."""
    row = {name: getattr(value, name) for name in type(value).__dataclass_fields__}
    times = {name: row[name] for name in row if name == "at" or name.endswith("_at")}
    return row | {name: None if at is None else datetime.fromtimestamp(at, UTC) for name, at in times.items()}


def _at(name: str) -> dict[str, str]:
    return {"Location": name}
