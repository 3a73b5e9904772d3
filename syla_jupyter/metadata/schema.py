"""The database's schema brought to this version: one look when it is current, Alembic when it is not.

Whoever finds an older schema (or none) takes the database's own write lock, looks again, and runs the migrations in
that one transaction: of several processes one migrates and the others find it done, and a process that dies has done
nothing. A schema that this version does not know is left alone and refused.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from ..model.errors import StoreFailed, StoreUnusable
from . import happenings_table, people_tables  # noqa: F401  # their tables are part of the schema
from .sql_engine import WRITES, shown
from .tables import REVISION, REVISION_TABLE

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATE_SECONDS = 60
"""How long to wait for another process that migrates."""
_LOCK = 0x73796C61  # of PostgreSQL's advisory locks
_migrating = threading.Lock()  # Alembic keeps its context in a module


def bring_up_to_date(engine: Engine) -> None:
    """Leave it at `REVISION`. `StoreUnusable` for a newer one; what the database raises goes through."""
    with engine.connect() as connection:
        found = revision(connection)
    if found != REVISION:
        _migrate(engine)


def revision(connection: Connection) -> str | None:
    """None: there is no schema."""
    try:
        with connection.begin():
            return _revision(connection)
    except DBAPIError:
        with connection.begin():
            if inspect(connection).has_table(REVISION_TABLE):
                raise
        return None


def _revision(connection: Connection) -> str | None:
    return connection.execute(text(f"SELECT version_num FROM {REVISION_TABLE}")).scalar()


def alembic_config(connection: Connection) -> Config:
    """For `alembic.command`: works on that connection, within its transaction."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _migrate(engine: Engine) -> None:
    if not _migrating.acquire(timeout=MIGRATE_SECONDS):
        raise StoreFailed(f"the database {shown(engine)} is being brought to this version for too long", "Try again")
    try:
        with engine.connect().execution_options(**{WRITES: True}) as connection:
            try:
                _migrate_on(connection)
            finally:
                connection.invalidate()  # its settings are those of a migration
    finally:
        _migrating.release()


def _migrate_on(connection: Connection) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    sqlite = connection.dialect.name == "sqlite"
    if sqlite:
        _prepare_sqlite(connection)
    with connection.begin():
        if not sqlite:
            connection.execute(text(f"SET LOCAL lock_timeout = '{MIGRATE_SECONDS}s'"))
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        found = _revision(connection) if inspect(connection).has_table(REVISION_TABLE) else None
        if found == REVISION:
            return
        config = alembic_config(connection)
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if found is not None and found not in known:
            raise StoreUnusable(
                f"the database {shown(connection.engine)} was written by a newer version "
                f"(schema {found}, this one has {REVISION})",
                "Upgrade syla-jupyter, or use another database",
            )
        command.upgrade(config, "head")
        if sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
            raise StoreUnusable(f"the database {shown(connection.engine)} has rows that point nowhere")


def _prepare_sqlite(connection: Connection) -> None:
    """What cannot be done within a transaction. Migrations that rebuild a table need foreign keys off."""
    driver = connection.connection.driver_connection
    assert driver is not None
    for pragma in (f"busy_timeout={MIGRATE_SECONDS * 1000}", "foreign_keys=OFF"):
        driver.execute(f"PRAGMA {pragma}").close()
    mode = driver.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise StoreUnusable("the file system of the database has no shared memory for SQLite", "Use a local directory")
