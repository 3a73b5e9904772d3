"""Who has come to which workspace by its link. No decision depends on it, so nothing of it moves the version on."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from ..model.errors import UnknownWorkspace
from .encoding import storable
from .people_tables import workspace_visit
from .people_users import SqlUsers, has
from .tables import workspace


class SqlVisits(SqlUsers):
    def add_visit(self, workspace_id: str, user: str, now: float, keep: int) -> bool:
        c = workspace_visit.c
        if not storable(workspace_id, user):
            return False
        here = (c.workspace_id == workspace_id) & (c.user_name == user)
        if self._read(lambda conn: has(conn, here), "read visits"):
            return False
        oldest = select(c.workspace_id).where(c.user_name == user).order_by(c.at.desc(), c.workspace_id).offset(keep)

        def work(conn: Connection) -> bool:
            row = select(workspace.c.id).where(workspace.c.id == workspace_id).with_for_update()  # one after the other
            if conn.execute(row).first() is None:
                raise UnknownWorkspace("workspace", f"there is none with the id {workspace_id[:80]!r}")
            if has(conn, here):
                return False
            conn.execute(insert(workspace_visit).values(workspace_id=workspace_id, user_name=user, at=now))
            gone = conn.execute(oldest).scalars().all()
            conn.execute(delete(workspace_visit).where(c.user_name == user, c.workspace_id.in_(gone)))
            return True

        return self._transact(work, "store a visit")

    def remove_visit(self, workspace_id: str, user: str) -> bool:
        c = workspace_visit.c
        statement = delete(workspace_visit).where(c.workspace_id == workspace_id, c.user_name == user)
        if not storable(workspace_id, user):
            return False
        return bool(self._transact(lambda conn: conn.execute(statement).rowcount, "remove a visit"))
