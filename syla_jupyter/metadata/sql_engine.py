"""Connections to the database: how each is set up, and what becomes of them after a fork.

SQLite: write-ahead log, so that readers wait for nobody; foreign keys; a write begins with `BEGIN IMMEDIATE`, so that
it waits for its turn at the beginning and cannot be thrown out in the middle. A commit survives the end of the process,
the last ones perhaps not a power failure (`synchronous=NORMAL`); the database is whole either way. The file is its
owner's alone. PostgreSQL: `READ COMMITTED`, every wait limited by the server.

A connection must not cross a fork, not even to be closed there: in the child the parent's are kept for ever, unused.
"""

from __future__ import annotations

import contextlib
import os
import stat
import weakref
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from ..model.errors import BadInput, StoreFailed

BUSY_SECONDS = 3
"""How long SQLite waits for another writer, before each attempt fails."""
CONNECT_SECONDS = 5
LOCK_SECONDS = 5
STATEMENT_SECONDS = 30
POOL_SECONDS = 10
CONNECTIONS = 5  # kept open
MORE_CONNECTIONS = 15
MAPPED_BYTES = 1 << 28
"""Of an SQLite file, read in place: a list walks along whole indexes, of which a connection's own cache holds one, and
copying the others in by pages was a quarter of its time. The file is private, local, and never made shorter by us."""
WRITES = "syla_writes"
"""Execution option of a connection whose transactions write."""

_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_left_behind: list[Any] = []


def make_engine(database: str | Path) -> Engine:
    """Nothing is connected yet, but an SQLite file is there, for its owner alone.

    Parameters
    ----------
    database : path of an SQLite file, or `sqlite:////path`, or `postgresql://user@host/name`.
    """
    url = URL.create("sqlite", database=str(database)) if isinstance(database, Path) else _parsed(database)
    backend = url.get_backend_name()
    if backend == "sqlite":
        engine = _sqlite(url)
    elif backend == "postgresql":
        engine = _postgres(url)
    else:
        raise BadInput("database_url", f"{backend} is not supported", "Use SQLite or PostgreSQL")
    _engines.add(engine)
    return engine


def errors_of(engine: Engine) -> tuple[type[Exception], ...]:
    """Whatever the database can raise: the driver's own where SQLAlchemy is not in between."""
    return SQLAlchemyError, engine.dialect.loaded_dbapi.Error


def shown(engine: Engine) -> str:
    """What to call it in messages: no password."""
    return engine.url.render_as_string(hide_password=True)


def _parsed(text: str) -> URL:
    try:
        url = make_url(text.replace("postgres://", "postgresql://", 1) if text.startswith("postgres://") else text)
        url.get_backend_name()
    except (ArgumentError, ValueError) as exc:  # not given on: it may have the password in it
        raise BadInput("database_url", "this is no URL", "Write postgresql://user@host/name") from exc.with_traceback(
            None
        )
    return url


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise BadInput("database_url", "a database in memory is nobody else's", "Name a file: sqlite:////path/syla.db")
    path = Path(url.database).absolute()
    _make_private(path)
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite", database=str(path)),
        connect_args={"timeout": BUSY_SECONDS},
        hide_parameters=True,
        pool_size=CONNECTIONS,
        max_overflow=MORE_CONNECTIONS,
        pool_timeout=POOL_SECONDS,
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        # The cache in KiB, taken when needed.
        for pragma in ("foreign_keys=ON", "synchronous=NORMAL", "cache_size=-16384", f"mmap_size={MAPPED_BYTES}"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _make_private(path: Path) -> None:
    """The files SQLite puts beside it get the same mode.

    One that is there is not opened: closing it again would drop the locks that SQLite holds on it in this process.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            mode = path.stat().st_mode
            if not stat.S_ISREG(mode):
                raise StoreFailed(f"{path} is not a file", "Move it away, or name another in `database_url`") from None
            if mode & 0o077:
                path.chmod(0o600)
    except ValueError as exc:
        raise BadInput("database_url", f"{str(path)!r} is not the name of a file") from exc
    except OSError as exc:
        raise StoreFailed(f"could not open the database {path}: {exc.strerror}", "Check who owns it") from exc


def _postgres(url: URL) -> Engine:
    try:
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            connect_args={"connect_timeout": CONNECT_SECONDS},
            hide_parameters=True,
            pool_pre_ping=True,
            pool_size=CONNECTIONS,
            max_overflow=MORE_CONNECTIONS,
            pool_timeout=POOL_SECONDS,
        )
    except ImportError as exc:
        hint = "Install it: pip install 'syla-jupyter[postgres]'"
        raise BadInput("database_url", "PostgreSQL needs the package psycopg", hint) from exc

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        waits = {
            "lock_timeout": LOCK_SECONDS,
            "statement_timeout": STATEMENT_SECONDS,
            "idle_in_transaction_session_timeout": STATEMENT_SECONDS,
        }
        with connection.cursor() as cursor:
            for name, seconds in waits.items():
                cursor.execute(f"SET {name} = '{seconds}s'")
        connection.commit()

    return engine


def _after_fork() -> None:
    for engine in _engines:
        _left_behind.append(engine.pool)
        with contextlib.suppress(Exception):
            engine.dispose(close=False)


os.register_at_fork(after_in_child=_after_fork)
