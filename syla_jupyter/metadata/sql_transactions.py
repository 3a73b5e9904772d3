"""One transaction after the other, for every adapter that works on the database.

Done again a few times when the database threw it out (`sql_errors.passing`). A write has the database (SQLite), or the
rows it locks, to itself from its beginning. What it does can be written down with it (`happenings_base.Tell`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from .happenings_base import Tell
from .outbox import write_down
from .schema import bring_up_to_date
from .sql_engine import WRITES, errors_of, make_engine, shown
from .sql_errors import broken, passing, translate

ATTEMPTS = 4
T = TypeVar("T")


def open_engine(database: str | Path) -> Engine:
    """Of a database that is made, or brought to this version, where it has to be.

    Parameters
    ----------
    database : path of an SQLite file, or a URL: `sqlite:////path`, `postgresql://user@host/name`.

    `BadInput` for a URL that makes no sense, `StoreFailed` where it cannot be opened, `StoreUnusable` where a newer
    version wrote it.
    """
    engine = make_engine(database)
    try:
        for attempt in range(ATTEMPTS):
            try:
                bring_up_to_date(engine)
                break
            except errors_of(engine) as exc:
                if attempt + 1 == ATTEMPTS or not passing(exc):
                    raise translate(exc, doing=f"open {shown(engine)}") from exc
    except BaseException:
        engine.dispose()
        raise
    return engine


class Transactions:
    """`doing`: as in `could not {doing}`, "read workspaces"."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def close(self) -> None:
        self._engine.dispose()

    def read(self, work: Callable[[Connection], T], doing: str) -> T:
        return self._run(work, doing, writes=False)

    def write(self, work: Callable[[Connection], T], doing: str, tell: Tell[T] | None = None) -> T:
        def told(conn: Connection) -> T:
            result = work(conn)
            if tell is not None and (one := tell(result)) is not None:
                write_down(conn, one)
            return result

        return self._run(told, doing, writes=True)

    def _run(self, work: Callable[[Connection], T], doing: str, *, writes: bool) -> T:
        """The result of `work` in one transaction. What breaks a rule of the tables goes through as it is."""
        for attempt in range(ATTEMPTS):
            try:
                with self._engine.connect() as conn:
                    conn = conn.execution_options(**{WRITES: writes})
                    with conn.begin():
                        return work(conn)
            except IntegrityError as exc:
                if broken(exc) is not None:
                    raise
                raise translate(exc, doing=doing) from exc
            except errors_of(self._engine) as exc:
                if attempt + 1 == ATTEMPTS or not passing(exc):
                    raise translate(exc, doing=doing) from exc
        raise AssertionError("unreachable")
