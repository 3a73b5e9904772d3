"""Databases of the metadata store: made, migrated, refused; their files; and what is said when one cannot be used."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from syla_jupyter.metadata import sql_engine
from syla_jupyter.metadata.base import Query
from syla_jupyter.metadata.schema import MIGRATIONS, bring_up_to_date
from syla_jupyter.metadata.sql import open_store
from syla_jupyter.metadata.sql_engine import make_engine
from syla_jupyter.metadata.tables import REVISION, REVISION_TABLE, metadata
from syla_jupyter.model.errors import BadInput, StoreFailed, StoreUnusable
from syla_jupyter.testing.records import make_record

from ..postgres import Postgres


def make_tables(database: str | Path) -> None:
    """What `tables.py` says, without a migration."""
    engine = make_engine(database)
    metadata.create_all(engine)
    engine.dispose()


def differences(database: str | Path) -> list[object]:
    engine = make_engine(database)
    with engine.connect() as connection:
        options = {"version_table": REVISION_TABLE, "compare_type": True}
        found: list[object] = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    engine.dispose()
    return found


def test_migrations_make_what_the_tables_say_in_sqlite(tmp_path: Path) -> None:
    """Every table and index, to the letter."""

    def objects(path: Path) -> list[str]:
        with sqlite3.connect(path) as connection:
            rows = connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall()
        return sorted(" ".join(f"{row}".split()) for row in rows if REVISION_TABLE not in row[1])

    migrated, made = tmp_path / "migrated.db", tmp_path / "made.db"
    open_store(migrated).close()
    make_tables(made)
    assert objects(migrated) == objects(made)
    assert differences(migrated) == []


def test_migrations_make_what_the_tables_say_in_postgres(postgres: Postgres, new_database: Callable[[], str]) -> None:
    """As the server writes it out: types, collations, constraints, indexes and their conditions."""

    def schema(url: str) -> list[str]:
        name = url.split("/")[3].partition("?")[0]
        dump = postgres.run("pg_dump", "--schema-only", "--no-owner", f"--exclude-table={REVISION_TABLE}", name)
        return [line for line in dump.splitlines() if not line.startswith(("--", "\\", "SET", "SELECT"))]

    migrated, made = new_database(), new_database()
    open_store(migrated).close()
    make_tables(made)
    assert schema(migrated) == schema(made)
    assert any("ix_workspace_owner_activity" in line for line in schema(made))
    assert differences(migrated) == []


def test_this_version_is_the_last_migration() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == REVISION


def test_a_current_database_is_opened_without_alembic(tmp_path: Path) -> None:
    """It is slow to import, as is the other database's dialect, and every command opens the store."""
    open_store(tmp_path / "syla.db").close()
    code = (
        "import sys, pathlib; from syla_jupyter.metadata.sql import open_store\n"
        "from syla_jupyter.metadata.base import Query\n"
        "open_store(pathlib.Path(sys.argv[1])).list(Query())\n"
        "needless = [m for m in sys.modules if m.startswith(('alembic', 'psycopg', 'sqlalchemy.dialects.postgresql'))]\n"
        "assert not needless, needless"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "syla.db"], check=True, timeout=60)


def refuses_newer(database: str | Path) -> None:
    store = open_store(database)
    record = store.insert(make_record())
    store.close()
    engine = make_engine(database)
    with engine.connect().execution_options(syla_writes=True) as connection, connection.begin():
        connection.execute(text(f"UPDATE {REVISION_TABLE} SET version_num = '9999'"))
    with pytest.raises(StoreUnusable, match="9999.*Upgrade") as raised:
        open_store(database)
    assert not raised.value.retryable
    with engine.connect().execution_options(syla_writes=True) as connection, connection.begin():
        connection.execute(text(f"UPDATE {REVISION_TABLE} SET version_num = '{REVISION}'"))
    engine.dispose()
    assert open_store(database).get(record.id) == record


def test_a_newer_database_is_left_alone_in_sqlite(tmp_path: Path) -> None:
    refuses_newer(tmp_path / "syla.db")


def test_a_newer_database_is_left_alone_in_postgres(new_database: Callable[[], str]) -> None:
    refuses_newer(new_database())


def half_done_is_undone(database: str | Path) -> None:
    """A migration that fails on its way leaves nothing, and is done once the reason is gone."""
    engine = make_engine(database)
    with engine.connect().execution_options(syla_writes=True) as connection, connection.begin():
        connection.execute(text("CREATE TABLE active_workspace (id INTEGER)"))
    with pytest.raises(StoreFailed):
        open_store(database)
    with engine.connect() as connection, connection.begin():
        assert engine.dialect.get_table_names(connection) == ["active_workspace"]
    with engine.connect().execution_options(syla_writes=True) as connection, connection.begin():
        connection.execute(text("DROP TABLE active_workspace"))
    bring_up_to_date(engine)
    engine.dispose()
    assert open_store(database).list(Query()).total == 0


def test_a_failed_migration_is_undone_in_sqlite(tmp_path: Path) -> None:
    half_done_is_undone(tmp_path / "syla.db")


def test_a_failed_migration_is_undone_in_postgres(new_database: Callable[[], str]) -> None:
    half_done_is_undone(new_database())


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """From its first moment, whatever the umask, with the files beside it; one that was wider is closed."""
    path = tmp_path / "data" / "syla.db"
    before = os.umask(0)
    try:
        store = open_store(path)
    finally:
        os.umask(before)
    store.insert(make_record())
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"syla.db": 0o600, "syla.db-wal": 0o600, "syla.db-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    store.close()
    path.chmod(0o644)
    open_store(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_opening_it_twice_keeps_the_locks(tmp_path: Path) -> None:
    """A file descriptor of SQLite's file that is closed takes this process's locks with it; nobody may do that."""
    path = tmp_path / "syla.db"
    first = open_store(path)
    first.insert(make_record())
    open_store(path).close()
    exclusive = (  # the bytes that every user of the file locks, see SQLite's os_unix.c
        "import fcntl, sys; file = open(sys.argv[1], 'r+b')\n"
        "fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)"
    )
    command = [sys.executable, "-c", exclusive, path]
    assert b"BlockingIOError" in subprocess.run(command, capture_output=True, check=False, timeout=60).stderr
    first.close()
    assert subprocess.run(command, check=False, timeout=60).returncode == 0


def test_a_file_with_any_name_can_be_one(tmp_path: Path) -> None:
    path = tmp_path / "50%?#&=ö :.db"
    record = open_store(path).insert(make_record())
    assert path.exists()
    assert open_store(path).get(record.id) == record


def test_a_writer_that_hangs_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the error says so; readers do not notice."""
    path = tmp_path / "syla.db"
    monkeypatch.setattr(sql_engine, "BUSY_SECONDS", 0.1)
    store = open_store(path)
    record = store.insert(make_record())
    hanging = sqlite3.connect(path, isolation_level=None)
    hanging.execute("BEGIN IMMEDIATE")
    assert store.get(record.id) == record
    with pytest.raises(StoreFailed, match="another process holds the database") as raised:
        store.replace(record)
    assert raised.value.retryable
    hanging.execute("ROLLBACK")
    assert store.replace(record).version == 2
    hanging.close()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.write_bytes(b"no database" * 1000)])
def test_what_is_no_database_is_refused(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "syla.db"
    make(path)
    with pytest.raises(StoreFailed, match=r"syla\.db"):
        open_store(path)


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "mysql://root:secret@host/db", "sqlite://", "sqlite:///:memory:", "postgresql://a:secret@b:x/d"],
)
def test_a_url_without_sense_is_refused(url: str) -> None:
    with pytest.raises(BadInput) as raised:
        open_store(url)
    assert raised.value.field == "database_url"
    assert "secret" not in str(raised.value)


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    """No password in the message."""
    with pytest.raises(StoreFailed) as raised:
        open_store(f"postgresql://ana:secret@/none?host={tmp_path}")
    assert "secret" not in str(raised.value)
    assert raised.value.hint


def test_no_such_database_on_the_server(postgres: Postgres) -> None:
    with pytest.raises(StoreFailed, match="does not exist.*Check"):
        open_store(postgres.url("missing"))


def test_a_server_that_was_started_again_is_used_again(postgres: Postgres, new_database: Callable[[], str]) -> None:
    """Connections that died meanwhile are replaced."""
    url = new_database()
    store = open_store(url)
    record = store.insert(make_record())
    name = url.split("/")[3].partition("?")[0]
    query = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    postgres.run("psql", "--dbname=postgres", "--command", query)
    assert store.get(record.id) == record
    store.close()


def test_rows_of_other_versions(tmp_path: Path) -> None:
    """Fields that nobody knows are left out, missing ones have their default; what makes no sense is said with its id."""
    path = tmp_path / "syla.db"
    store = open_store(path)
    record = store.insert(make_record())
    with sqlite3.connect(path) as connection:
        connection.execute('UPDATE workspace SET policy = \'{"colour": 1, "idle_seconds": 5.0}\'')
    assert store.get(record.id).policy.idle_seconds == 5.0
    for column, value in (("policy", "[]"), ("limits", '{"cpus": 1}'), ("state", "dreaming"), ("labels", "{")):
        with sqlite3.connect(path) as connection:
            (before,) = connection.execute(f"SELECT {column} FROM workspace").fetchone()
            connection.execute(f"UPDATE workspace SET {column} = ?", (value,))
            connection.commit()
        with pytest.raises(StoreFailed, match=record.id):
            store.get(record.id)
        with sqlite3.connect(path) as connection:
            connection.execute(f"UPDATE workspace SET {column} = ?", (before,))
