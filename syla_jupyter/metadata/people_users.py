"""The adapter of people: SQLAlchemy Core, for SQLite and PostgreSQL, on the tables of `people_tables`.

Every write begins by moving the version on. In PostgreSQL that locks its row until the transaction ends, in SQLite the
database is locked anyway: writers come one after the other, so each may look first and then write.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection, Engine, delete, insert, select, update

from ..model.errors import Conflict, NameTaken, UnknownTeam, UnknownUser
from ..model.people import Team, Token, User
from .encoding import check_text, storable
from .happenings_base import Tell
from .people_tables import people_version, team, team_member, user_account, user_token
from .sql_engine import errors_of
from .sql_errors import translate
from .sql_transactions import Transactions

T = TypeVar("T")
_USER = (
    user_account.c.name,
    user_account.c.display_name,
    user_account.c.created_at,
    user_account.c.admin,
    user_account.c.disabled,
)
_TOKEN = (user_token.c.id, user_token.c.user_name, user_token.c.label, user_token.c.created_at, user_token.c.expires_at)
_VERSION = "SELECT version FROM people_version"


class SqlUsers:
    """Users, tokens and teams. `engine`: of a database at this version's schema."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        transactions = Transactions(engine)
        self._read, self._transact, self.close = transactions.read, transactions.write, transactions.close

    def version(self) -> int:
        """By the driver itself: a tenth of what a transaction of SQLAlchemy's costs, and asked for all the time."""
        try:
            with contextlib.closing(self._engine.raw_connection()) as connection:
                cursor = connection.cursor()
                cursor.execute(_VERSION)
                row = cursor.fetchone()
                cursor.close()
                return int(row[0]) if row else 0
        except errors_of(self._engine) as exc:
            raise translate(exc, doing="read permissions") from exc

    def _write(self, work: Callable[[Connection], T], doing: str, tell: Tell[T] | None = None) -> T:
        def counted(conn: Connection) -> T:
            conn.execute(update(people_version).values(version=people_version.c.version + 1))
            return work(conn)

        return self._transact(counted, doing, tell)

    # -- users and tokens --------------------------------------------------------------------------------------

    def add_user(self, user: User) -> None:
        check_text("user", user.name)
        check_text("display_name", user.display_name)

        def work(conn: Connection) -> None:
            if has(conn, user_account.c.name == user.name):
                raise NameTaken("user", f"there is a user {user.name!r} already", "Choose another name")
            conn.execute(insert(user_account).values(name=user.name, created_at=user.created_at, **_changeable(user)))

        self._write(work, "store a user")

    def user(self, name: str) -> User:
        statement = select(*_USER).where(user_account.c.name == name)
        row = self._read(lambda conn: conn.execute(statement).first(), "read a user") if storable(name) else None
        if row is None:
            raise unknown_user(name)
        return User(*row)

    def users(self) -> Sequence[User]:
        statement = select(*_USER).order_by(user_account.c.name)
        return [User(*row) for row in self._read(lambda conn: conn.execute(statement).all(), "list users")]

    def change_user(self, user: User) -> None:
        check_text("display_name", user.display_name)
        statement = update(user_account).where(user_account.c.name == user.name).values(**_changeable(user))

        def work(conn: Connection) -> None:
            if not conn.execute(statement).rowcount:
                raise unknown_user(user.name)

        if not storable(user.name):
            raise unknown_user(user.name)
        self._write(work, "store a user")

    def add_token(self, token: Token, digest: str) -> None:
        check_text("label", token.label)
        c = user_token.c

        def work(conn: Connection) -> None:
            require_user(conn, token.user)
            if has(conn, (c.id == token.id) | (c.digest == digest)):
                raise Conflict(f"there is a token {token.id} already", "Make another")
            row = {"id": token.id, "user_name": token.user, "digest": digest, "label": token.label}
            conn.execute(insert(user_token).values(**row, created_at=token.created_at, expires_at=token.expires_at))

        self._write(work, "store a token")

    def token(self, digest: str) -> Token | None:
        statement = select(*_TOKEN).where(user_token.c.digest == digest)
        row = self._read(lambda conn: conn.execute(statement).first(), "read a token") if storable(digest) else None
        return None if row is None else Token(*row)

    def tokens(self, user: str | None = None) -> Sequence[Token]:
        statement = select(*_TOKEN).order_by(user_token.c.created_at, user_token.c.id)
        if user is not None:
            if not storable(user):
                return []
            statement = statement.where(user_token.c.user_name == user)
        return [Token(*row) for row in self._read(lambda conn: conn.execute(statement).all(), "list tokens")]

    def remove_token(self, id: str) -> Token | None:
        def work(conn: Connection) -> Token | None:
            row = conn.execute(select(*_TOKEN).where(user_token.c.id == id)).first()
            conn.execute(delete(user_token).where(user_token.c.id == id))
            return None if row is None else Token(*row)

        return self._write(work, "remove a token") if storable(id) else None

    # -- teams -------------------------------------------------------------------------------------------------

    def add_team(self, new: Team) -> None:
        check_text("team", new.name)

        def work(conn: Connection) -> None:
            if has(conn, team.c.name == new.name):
                raise NameTaken("team", f"there is a team {new.name!r} already", "Choose another name")
            conn.execute(insert(team).values(name=new.name, created_at=new.created_at))

        self._write(work, "store a team")

    def teams(self) -> Sequence[Team]:
        c = team_member.c

        def work(conn: Connection) -> Sequence[Team]:
            members: dict[str, list[str]] = {}
            for name, user in conn.execute(select(c.team_name, c.user_name).order_by(c.team_name, c.user_name)):
                members.setdefault(name, []).append(user)
            rows = conn.execute(select(team.c.name, team.c.created_at).order_by(team.c.name))
            return [Team(name, created_at, tuple(members.get(name, ()))) for name, created_at in rows]

        return self._read(work, "list teams")

    def remove_team(self, name: str) -> bool:
        statement = delete(team).where(team.c.name == name)
        return storable(name) and bool(self._write(lambda conn: conn.execute(statement).rowcount, "remove a team"))

    def set_member(self, team: str, user: str, member: bool) -> bool:
        c = team_member.c
        here = (c.team_name == team, c.user_name == user)

        def work(conn: Connection) -> bool:
            require_team(conn, team)
            require_user(conn, user)
            if has(conn, *here) == member:
                return False
            change = insert(team_member).values(team_name=team, user_name=user)
            conn.execute(change if member else delete(team_member).where(*here))
            return True

        return self._write(work, "change a team")

    def teams_of(self, user: str) -> frozenset[str]:
        statement = select(team_member.c.team_name).where(team_member.c.user_name == user)
        if not storable(user):
            return frozenset()
        return frozenset(self._read(lambda conn: conn.execute(statement).scalars().all(), "list teams"))


def has(conn: Connection, *where: object) -> bool:
    """Whether there is such a row."""
    return conn.execute(select(1).where(*where)).first() is not None  # type: ignore[arg-type]


def require_user(conn: Connection, name: str) -> None:
    if not storable(name) or not has(conn, user_account.c.name == name):
        raise unknown_user(name)


def require_team(conn: Connection, name: str) -> None:
    if not storable(name) or not has(conn, team.c.name == name):
        raise UnknownTeam("team", f"there is no team {name[:80]!r}", "`syla team list` names them")


def unknown_user(name: str) -> UnknownUser:
    return UnknownUser("user", f"there is no user {name[:80]!r}", "`syla user list` names them")


def _changeable(user: User) -> dict[str, object]:
    return {"display_name": user.display_name, "admin": user.admin, "disabled": user.disabled}
