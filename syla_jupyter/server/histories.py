"""Histories of documents, of workspaces that were deleted for good: they go with them. Of archived ones they stay.

    history.db   all that was typed, and what that made, by `<workspace id>:<format>:<type>:<file id>` (`history_store`)
    synced.db    what file and history said last, by the same key (`documents`)

A deletion by this server takes them at once; one by a command line beside it, or a history that a page went on writing
meanwhile, is found when the server tidies up. What is removed is overwritten, in small steps, so that no room waits
long.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

TABLES = (
    ("history.db", "yupdates", "path"),
    ("history.db", "ycheckpoints", "path"),
    ("synced.db", "synced", "key"),
)
STEP = 200  # rows
WAIT_SECONDS = 10
log = logging.getLogger("syla.server")


class Histories:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def workspaces(self) -> set[str]:
        """Ids, of all that have any."""
        found: set[str] = set()
        for file, table, key in TABLES:
            with self._opened(file, table, key) as db:
                if db is not None:
                    ids = f"SELECT DISTINCT substr({key}, 1, instr({key}, ':') - 1) FROM {table}"
                    found |= {row[0] for row in db.execute(ids)}
        return found - {""}

    def purge(self, workspace: str) -> int:
        """How many rows. What cannot be removed now is found later; the log says so."""
        return sum(self._purge(*one, workspace) for one in TABLES) if workspace else 0

    def sweep(self, is_gone: Callable[[str], bool]) -> list[str]:
        """A line for each workspace whose histories were removed."""
        gone = sorted(id for id in self.workspaces() if is_gone(id))
        return [
            f"removed {count} rows of histories of {id}, which is deleted" for id in gone if (count := self.purge(id))
        ]

    def _purge(self, file: str, table: str, key: str, workspace: str) -> int:
        rows = f"SELECT rowid FROM {table} WHERE {key} >= ? AND {key} < ? LIMIT {STEP}"
        count = 0
        with self._opened(file, table, key) as db:
            while db is not None:
                # `;` comes after `:`, so that this is one walk along the index.
                done = db.execute(f"DELETE FROM {table} WHERE rowid IN ({rows})", (f"{workspace}:", f"{workspace};"))
                if done.rowcount <= 0:
                    break
                count += done.rowcount
        return count

    @contextlib.contextmanager
    def _opened(self, file: str, table: str, key: str) -> Iterator[sqlite3.Connection | None]:
        """None: there is none, or it has another form. What the database has ends the block, and is in the log."""
        db = None
        try:
            db = self._open(file, table, key)
        except sqlite3.Error as exc:
            self._said(file, exc)
        try:
            yield db
        except sqlite3.Error as exc:
            self._said(file, exc)
        finally:
            if db is not None:
                db.close()

    def _open(self, file: str, table: str, key: str) -> sqlite3.Connection | None:
        path = self._directory / file
        if not path.is_file():
            return None
        db = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=WAIT_SECONDS)
        try:
            db.execute("PRAGMA secure_delete = ON")
            if key in {row[1] for row in db.execute(f"PRAGMA table_info({table})")}:
                return db
        except sqlite3.Error:
            db.close()
            raise
        db.close()
        return None

    def _said(self, file: str, exc: Exception) -> None:
        log.warning("histories of deleted workspaces in %s stay for now: %s", self._directory / file, exc)
