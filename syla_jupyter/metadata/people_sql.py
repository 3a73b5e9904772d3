"""The adapter of people: what workspaces grant, on top of who there is (`people_users`)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Table, delete, insert, select, union, update

from ..model.errors import BadInput, Conflict, NameTaken, StoreFailed, UnknownInvitation, UnknownWorkspace
from ..model.people import Access, AccessMode, AccessRequest, Grant, Invitation, Role, SubjectKind
from .encoding import check_text, storable
from .happenings_base import Tell
from .people_tables import (
    access_request,
    invitation,
    workspace_access,
    workspace_team,
    workspace_user,
    workspace_visit,
)
from .people_users import has, require_team, require_user
from .people_visits import SqlVisits
from .tables import workspace, workspace_look

_TABLES = {SubjectKind.USER: workspace_user, SubjectKind.TEAM: workspace_team}
_INVITATION = tuple(
    invitation.c[name] for name in ("id", "workspace_id", "role", "created_by", "created_at", "expires_at", "uses_left")
)


class SqlPeople(SqlVisits):
    """As `PeopleStore` says."""

    def access(self, workspace_id: str) -> Access:
        def work(conn: Connection) -> Access:
            owner = _owner(conn, workspace_id)
            here = workspace_access.c.workspace_id == workspace_id
            mode = conn.execute(select(workspace_access.c.mode).where(here)).scalar()
            roles = {kind: _roles(conn, table, workspace_id) for kind, table in _TABLES.items()}
            return Access(
                workspace_id,
                owner,
                AccessMode.PRIVATE if mode is None else AccessMode(mode),
                roles[SubjectKind.USER],
                roles[SubjectKind.TEAM],
            )

        try:
            return self._read(work, "read permissions")
        except ValueError as exc:  # nothing is allowed by a word that is not understood
            raise StoreFailed(f"permissions of {workspace_id} cannot be read: {exc}", "Upgrade syla-jupyter") from exc

    def grants(self, workspace_id: str) -> Sequence[Grant]:
        def work(conn: Connection) -> Sequence[Grant]:
            _owner(conn, workspace_id)
            return [
                Grant(workspace_id, kind, row.subject, Role(row.role), row.granted_by, row.granted_at)
                for kind, table in _TABLES.items()
                for row in conn.execute(
                    select(table).where(table.c.workspace_id == workspace_id).order_by(table.c.subject)
                )
            ]

        return self._read(work, "read permissions")

    def grant(self, grant: Grant, *, tell: Tell[None] | None = None) -> None:
        check_text("granted_by", grant.granted_by)

        def work(conn: Connection) -> None:
            _owner(conn, grant.workspace)
            (require_user if grant.kind is SubjectKind.USER else require_team)(conn, grant.subject)
            _put(conn, grant)

        self._write(work, "store a grant", tell)

    def withdraw(self, workspace_id: str, kind: SubjectKind, subject: str, *, tell: Tell[bool] | None = None) -> bool:
        table = _TABLES[kind]
        statement = delete(table).where(table.c.workspace_id == workspace_id, table.c.subject == subject)
        if not storable(workspace_id, subject):
            return False
        return self._write(lambda conn: bool(conn.execute(statement).rowcount), "remove a grant", tell)

    def set_mode(self, workspace_id: str, mode: AccessMode, *, tell: Tell[None] | None = None) -> None:
        def work(conn: Connection) -> None:
            _owner(conn, workspace_id)
            conn.execute(delete(workspace_access).where(workspace_access.c.workspace_id == workspace_id))
            conn.execute(insert(workspace_access).values(workspace_id=workspace_id, mode=str(mode)))

        self._write(work, "store who may reach a workspace", tell)

    def transfer(self, workspace_id: str, to: str, before: Role, now: float, *, tell: Tell[None] | None = None) -> None:
        c = workspace.c

        def work(conn: Connection) -> None:
            _owner(conn, workspace_id)
            row = select(c.owner, c.name_key, c.version).where(c.id == workspace_id).with_for_update()
            found = conn.execute(row).one()
            require_user(conn, to)
            if found.owner == to:
                return
            if has(conn, c.owner == to, c.name_key == found.name_key):
                raise NameTaken("user", f"{to} has a workspace of that name already", "One of the two needs another")
            conn.execute(update(workspace).where(c.id == workspace_id).values(owner=to, version=found.version + 1))
            look = update(workspace_look).where(workspace_look.c.workspace_id == workspace_id)
            conn.execute(look.values(version=found.version + 1, next_look=0.0))
            mine = workspace_user.c.workspace_id == workspace_id
            conn.execute(delete(workspace_user).where(mine, workspace_user.c.subject == to))
            try:
                require_user(conn, found.owner)
            except BadInput:
                return  # the server's own owner, say, who needs no grant
            _put(conn, Grant(workspace_id, SubjectKind.USER, found.owner, before, to, now))

        self._write(work, "transfer a workspace", tell)

    def shared_with(self, user: str, teams: frozenset[str]) -> Sequence[str]:
        if not storable(user):
            return []
        u, t, a, v = workspace_user.c, workspace_team.c, workspace_access.c, workspace_visit.c
        named = [name for name in teams if storable(name)]
        mine = union(
            select(u.workspace_id).where(u.subject == user),
            select(t.workspace_id).where(t.subject.in_(named)),
            select(v.workspace_id)
            .join(workspace_access, a.workspace_id == v.workspace_id)
            .where(v.user_name == user, a.mode == str(AccessMode.LINK)),
        ).subquery()
        statement = (
            select(mine.c.workspace_id)
            .join(workspace_access, a.workspace_id == mine.c.workspace_id)
            .where(a.mode != str(AccessMode.PRIVATE))
            .order_by(mine.c.workspace_id)
        )
        return self._read(lambda conn: conn.execute(statement).scalars().all(), "list shared workspaces")

    # -- who asks for a role -----------------------------------------------------------------------------------

    def put_request(self, request: AccessRequest, *, tell: Tell[None] | None = None) -> None:
        check_text("called", request.called)
        c = access_request.c

        def work(conn: Connection) -> None:
            _owner(conn, request.workspace)
            require_user(conn, request.user)
            _forget_request(conn, request.workspace, request.user)
            row = {c.workspace_id: request.workspace, c.user_name: request.user, c.role: str(request.role)}
            times = {c.asked_at: request.asked_at, c.refused_at: request.refused_at}
            conn.execute(insert(access_request).values({**row, c.called: request.called, **times}))

        self._write(work, "store a request", tell)

    def requests(self) -> Sequence[AccessRequest]:
        c = access_request.c
        statement = select(access_request).order_by(c.asked_at, c.workspace_id, c.user_name)
        rows = self._read(lambda conn: conn.execute(statement).all(), "list requests")
        return [AccessRequest(row[0], row[1], Role(row[2]), *row[3:]) for row in rows]

    # -- invitations -------------------------------------------------------------------------------------------

    def add_invitation(self, new: Invitation, digest: str) -> None:
        check_text("created_by", new.created_by)
        c = invitation.c

        def work(conn: Connection) -> None:
            _owner(conn, new.workspace)
            if has(conn, (c.id == new.id) | (c.digest == digest)):
                raise Conflict(f"there is an invitation {new.id} already", "Make another")
            row = {"id": new.id, "workspace_id": new.workspace, "digest": digest, "role": str(new.role)}
            row |= {"created_by": new.created_by}
            times = {"created_at": new.created_at, "expires_at": new.expires_at, "uses_left": new.uses_left}
            conn.execute(insert(invitation).values(**row, **times))

        self._write(work, "store an invitation")

    def invitations(self, workspace_id: str) -> Sequence[Invitation]:
        c = invitation.c
        statement = select(*_INVITATION).where(c.workspace_id == workspace_id).order_by(c.created_at, c.id)
        if not storable(workspace_id):
            return []
        rows = self._read(lambda conn: conn.execute(statement).all(), "list invitations")
        return [Invitation(row[0], row[1], Role(row[2]), *row[3:]) for row in rows]

    def remove_invitation(self, workspace_id: str, id: str) -> bool:
        c = invitation.c
        statement = delete(invitation).where(c.workspace_id == workspace_id, c.id == id)
        if not storable(workspace_id, id):
            return False
        return bool(self._write(lambda conn: conn.execute(statement).rowcount, "remove an invitation"))

    def accept(self, digest: str, user: str, now: float, *, tell: Tell[Grant] | None = None) -> Grant:
        c = invitation.c

        def work(conn: Connection) -> Grant:
            row = conn.execute(select(*_INVITATION).where(c.digest == digest)).first()
            found = None if row is None else Invitation(row[0], row[1], Role(row[2]), *row[3:])
            if found is None or not found.in_force(now):
                raise no_invitation()
            require_user(conn, user)
            held = _roles(conn, workspace_user, found.workspace).get(user)
            if _owner(conn, found.workspace) == user:
                held = Role.ADMIN
            if held is not None:
                return Grant(found.workspace, SubjectKind.USER, user, held, found.created_by, now)
            conn.execute(update(invitation).where(c.id == found.id).values(uses_left=found.uses_left - 1))
            grant = Grant(found.workspace, SubjectKind.USER, user, found.role, found.created_by, now)
            _put(conn, grant)
            return grant

        if not storable(digest):
            raise no_invitation()
        return self._write(work, "accept an invitation", tell)


def no_invitation() -> UnknownInvitation:
    return UnknownInvitation(
        "invitation", "there is no such invitation, or it is over", "Ask whoever sent it for a new one"
    )


def _unknown(id: str) -> UnknownWorkspace:
    return UnknownWorkspace("workspace", f"there is none with the id {id[:80]!r}", "`syla workspace list` shows them")


def _owner(conn: Connection, id: str) -> str:
    owner = None
    if storable(id):
        owner = conn.execute(select(workspace.c.owner).where(workspace.c.id == id)).scalar()
    if owner is None:
        raise _unknown(id)
    return str(owner)


def _roles(conn: Connection, table: Table, id: str) -> dict[str, Role]:
    rows = conn.execute(select(table.c.subject, table.c.role).where(table.c.workspace_id == id))
    return {subject: Role(role) for subject, role in rows}


def _put(conn: Connection, grant: Grant) -> None:
    table = _TABLES[grant.kind]
    if grant.kind is SubjectKind.USER:
        _forget_request(conn, grant.workspace, grant.subject)
    conn.execute(delete(table).where(table.c.workspace_id == grant.workspace, table.c.subject == grant.subject))
    conn.execute(
        insert(table).values(
            workspace_id=grant.workspace,
            subject=grant.subject,
            role=str(grant.role),
            granted_by=grant.granted_by,
            granted_at=grant.granted_at,
        )
    )


def _forget_request(conn: Connection, id: str, user: str) -> None:
    c = access_request.c
    conn.execute(delete(access_request).where(c.workspace_id == id, c.user_name == user))
