"""What the databases raise, in our words. Error codes decide, never texts.

SQLite gives a result code, PostgreSQL an SQLSTATE; one table each. Messages carry what the driver said, its first line:
neither statements nor values (`hide_parameters`), and a URL without its password.
"""

from __future__ import annotations

import enum
import sqlite3
from typing import Any

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from ..model.errors import StoreFailed, StoreUnusable, SylaError

FULL_HINT = "Free some space on the database's disk"
BUSY_HINT = "Try again; another process may be holding the database"
DAMAGED_HINT = "Restore a backup, or move the file away to begin with none"
REACH_HINT = "Check `database_url`, and that the server runs and lets this user in"

_SQLITE = {
    sqlite3.SQLITE_BUSY: ("another process holds the database", BUSY_HINT),
    sqlite3.SQLITE_LOCKED: ("another process holds the database", BUSY_HINT),
    sqlite3.SQLITE_FULL: ("the database's disk is full", FULL_HINT),
    sqlite3.SQLITE_CORRUPT: ("the database file is damaged", DAMAGED_HINT),
    sqlite3.SQLITE_NOTADB: ("the file is no database", DAMAGED_HINT),
    sqlite3.SQLITE_READONLY: ("the database cannot be written", "Check who owns the file and its directory"),
    sqlite3.SQLITE_CANTOPEN: ("the database cannot be opened", "Check who owns the file and its directory"),
    sqlite3.SQLITE_PERM: ("the database cannot be opened", "Check who owns the file and its directory"),
}
_POSTGRES = {  # by SQLSTATE, or its first two characters: the class
    "40": ("another writer was in the way", BUSY_HINT),
    "55P03": ("another writer holds the database", BUSY_HINT),
    "57014": ("the database took too long", BUSY_HINT),
    "53100": ("the database's disk is full", FULL_HINT),
    "53": ("the database server has no room", "Try again, or raise `max_connections` of the server"),
    "57": ("the database server is stopping or starting", "Try again"),
    "42501": ("the database user may not do that", "The user needs to own the tables"),
}
_SPOILT_SQLITE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PASSING_SQLITE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_PASSING_POSTGRES = {"40001", "40P01"}  # serialization failure, deadlock: the transaction was rolled back


class Broken(enum.Enum):
    """Which kind of rule a statement broke."""

    UNIQUE = "unique"
    PRIMARY = "primary"
    FOREIGN = "foreign"


def translate(exc: BaseException, *, doing: str) -> SylaError:
    """The error of ours that `exc` is; raise it `from exc`. `doing`: as in `could not {doing}`, "read workspaces"."""
    if isinstance(exc, SylaError):
        return exc
    if isinstance(exc, NoConnectionFree):
        return StoreFailed(f"could not {doing}: all connections to the database are in use", "Try again")
    words, hint = _known(exc)
    said = str(_driver(exc)).strip().partition("\n")[0]
    why = f"{words} ({said})" if words else said or type(exc).__name__
    kind = StoreUnusable if _sqlite_code(_driver(exc)) & 0xFF in _SPOILT_SQLITE else StoreFailed
    return kind(f"could not {doing}: {why}", hint)


def passing(exc: BaseException) -> bool:
    """Whether the same transaction, which changed nothing, may succeed when it is simply done again."""
    return _sqlite_code(_driver(exc)) & 0xFF in _PASSING_SQLITE or _sqlstate(_driver(exc)) in _PASSING_POSTGRES


def broken(exc: IntegrityError) -> Broken | None:
    orig: Any = exc.orig
    if code := _sqlite_code(orig):
        return {
            sqlite3.SQLITE_CONSTRAINT_UNIQUE: Broken.UNIQUE,
            sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: Broken.PRIMARY,
            sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: Broken.FOREIGN,
        }.get(code)
    state = _sqlstate(orig)
    if state == "23503":
        return Broken.FOREIGN
    if state == "23505":
        return Broken.PRIMARY if str(orig.diag.constraint_name).startswith("pk_") else Broken.UNIQUE
    return None


def _driver(exc: BaseException) -> BaseException:
    """What the driver raised."""
    return exc.orig if isinstance(exc, DBAPIError) and exc.orig is not None else exc


def _known(exc: BaseException) -> tuple[str, str]:
    orig = _driver(exc)
    if code := _sqlite_code(orig):
        return _SQLITE.get(code & 0xFF, ("", ""))
    if state := _sqlstate(orig):
        return _POSTGRES.get(state) or _POSTGRES.get(state[:2], ("", ""))
    # No code at all: it could not be connected to.
    return "", REACH_HINT if isinstance(exc, DBAPIError) and not isinstance(orig, sqlite3.Error) else ""


def _sqlite_code(orig: BaseException) -> int:
    """Extended result code; 0 where it is no error of SQLite's."""
    return int(getattr(orig, "sqlite_errorcode", 0))


def _sqlstate(orig: BaseException) -> str:
    return str(getattr(orig, "sqlstate", "") or "")
