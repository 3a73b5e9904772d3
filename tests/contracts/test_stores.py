"""The contracts of the metadata ports for SQLite and for PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from syla_jupyter.metadata import sql_query
from syla_jupyter.metadata.base import WorkspaceStore
from syla_jupyter.metadata.happenings_sql import SqlHappenings
from syla_jupyter.metadata.people_sql import SqlPeople
from syla_jupyter.metadata.sql import SqlStore, open_store
from syla_jupyter.metadata.sql_transactions import open_engine
from syla_jupyter.testing.happenings_contract import HappeningsContract
from syla_jupyter.testing.people_contract import PeopleContract
from syla_jupyter.testing.store_contract import StoreContract


class SqlContract(StoreContract):
    @pytest.fixture
    def open_again(self, database: str | Path) -> Iterator[Callable[[], SqlStore]]:
        opened: list[SqlStore] = []

        def open_() -> SqlStore:
            opened.append(open_store(database))
            return opened[-1]

        yield open_
        for store in opened:
            store.close()

    @pytest.fixture
    def store(self, open_again: Callable[[], WorkspaceStore]) -> WorkspaceStore:
        return open_again()


class TestSqlite(SqlContract):
    @pytest.fixture
    def database(self, tmp_path: Path) -> Path:
        return tmp_path / "syla.db"

    def test_long_lists_are_what_a_scan_gives(self, store: WorkspaceStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where more rows meet a condition than are rare, SQLite is told to go another way."""
        monkeypatch.setattr(sql_query, "RARE", 8)
        self.test_lists_are_what_a_scan_gives(store)


class TestPostgres(SqlContract):
    @pytest.fixture
    def database(self, new_database: Callable[[], str]) -> str:
        return new_database()


class SqlPeopleContract(PeopleContract):
    @pytest.fixture
    def open_people(self, database: str | Path) -> Iterator[Callable[[], SqlPeople]]:
        opened: list[SqlPeople] = []

        def open_() -> SqlPeople:
            opened.append(SqlPeople(open_engine(database)))
            return opened[-1]

        yield open_
        for people in opened:
            people.close()

    @pytest.fixture
    def people(self, open_people: Callable[[], SqlPeople]) -> SqlPeople:
        return open_people()

    @pytest.fixture
    def store(self, database: str | Path) -> Iterator[SqlStore]:
        store = open_store(database)
        yield store
        store.close()


class TestPeopleInSqlite(SqlPeopleContract):
    @pytest.fixture
    def database(self, tmp_path: Path) -> Path:
        return tmp_path / "syla.db"


class TestPeopleInPostgres(SqlPeopleContract):
    @pytest.fixture
    def database(self, new_database: Callable[[], str]) -> str:
        return new_database()


class SqlHappeningsContract(HappeningsContract):
    @pytest.fixture
    def engine(self, database: str | Path) -> Iterator[Engine]:
        engine = open_engine(database)
        yield engine
        engine.dispose()

    @pytest.fixture
    def happenings(self, engine: Engine) -> SqlHappenings:
        return SqlHappenings(engine)

    @pytest.fixture
    def workspaces(self, engine: Engine) -> SqlStore:
        return SqlStore(engine)

    @pytest.fixture
    def people(self, engine: Engine) -> SqlPeople:
        return SqlPeople(engine)


class TestSqliteHappenings(SqlHappeningsContract):
    @pytest.fixture
    def database(self, tmp_path: Path) -> Path:
        return tmp_path / "syla.db"


class TestPostgresHappenings(SqlHappeningsContract):
    @pytest.fixture
    def database(self, new_database: Callable[[], str]) -> str:
        return new_database()
