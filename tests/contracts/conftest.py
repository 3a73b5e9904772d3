"""A PostgreSQL server for the session, and databases in it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest

from ..postgres import NoPostgres, Postgres, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    try:
        with running_postgres() as server:
            yield server
    except NoPostgres as exc:
        pytest.skip(str(exc))


@pytest.fixture
def new_database(postgres: Postgres) -> Callable[[], str]:
    """`new_database()`: the URL of an empty one."""
    return lambda: postgres.make_database(f"test_{secrets.token_hex(4)}")
