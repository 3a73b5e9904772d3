"""Which notebook has which kernel, in a file: the next server gives a page that comes back its own session.

A row whose kernel is not in the kernel manager's list is removed by the first look at it; so kernels are adopted before
that, and those that have ended are in the list as dead ones.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from jupyter_server.services.sessions.sessionmanager import SessionManager
from traitlets import TraitError

from .kernels import in_a_list

COLUMNS = "session_id, path, name, type, kernel_id"


class WorkspaceSessionManager(SessionManager):
    def keep_in(self, file: Path, merged: Iterable[Path] = ()) -> None:
        """Call before the first request. `merged`: files of other servers whose rows are ours now; they are removed.

        A file that cannot be read is put aside: notebooks find their kernels again by hand then.
        """
        self._open(file)
        for other in merged:
            try:
                with closing(sqlite3.connect(other)) as theirs:
                    rows = theirs.execute(f"SELECT {COLUMNS} FROM session").fetchall()
                self.cursor.executemany("INSERT INTO session VALUES (?, ?, ?, ?, ?)", rows)
            except sqlite3.Error as exc:
                self.log.warning("sessions in %s are lost: %s", other, exc)
            _remove(other)

    def _open(self, file: Path) -> None:
        try:
            self.database_filepath = str(file)
            self.cursor.execute(f"SELECT {COLUMNS} FROM session").fetchall()
        except (sqlite3.DatabaseError, TraitError) as exc:
            aside = file.with_suffix(".broken")
            self.log.warning("sessions in %s cannot be read, see %s: %s", file, aside, exc)
            self._cursor = self._connection = None
            file.rename(aside)
            _remove(file)
            self.database_filepath = str(file)

    async def row_to_model(self, row: Any, tolerate_culled: bool = False) -> Any:
        with in_a_list():
            return await super().row_to_model(row, tolerate_culled)  # type: ignore[no-untyped-call]

    @property
    def connection(self) -> Any:
        """As its parent's; a start of a notebook does not wait for the disk."""
        if self._connection is None:
            connection = super().connection
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        return self._connection

    def close(self) -> None:
        super().close()  # type: ignore[no-untyped-call]
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _remove(file: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
