"""Which notebook has which kernel, in a file: the next server gives a page that comes back its own session.

Two people who open a notebook at the same moment have one kernel: the second waits for the first one's. JupyterLab asks
for a session of a made-up name beside the notebook, and gives it the notebook's path when it is there; until every page
can have seen that, its kernel is that of whoever asks for one for that notebook.

A row whose kernel is not in the kernel manager's list is removed by the first look at it; so kernels are adopted before
that, and those that have ended are in the list as dead ones.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from jupyter_server.services.sessions.sessionmanager import SessionManager
from traitlets import TraitError

from ..model.clock import Clock, SystemClock
from .kernels import in_a_list

SEEN_SECONDS = 5.0
COLUMNS = "session_id, path, name, type, kernel_id"


class WorkspaceSessionManager(SessionManager):
    clock: Clock = SystemClock()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._opening: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._started: dict[str, tuple[Any, str, float]] = {}
        """Name and id of the kernel, and when, by the notebook's path."""

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

    async def create_session(
        self,
        path: str | None = None,
        name: Any = None,
        type: str | None = None,
        kernel_name: Any = None,
        kernel_id: str | None = None,
    ) -> Any:
        """Its model. Who asks for one looks first whether there is one, but not while another is being made."""
        document = notebook_of(path or "", str(name or ""), type)
        if not document or kernel_id:
            return await super().create_session(path, name, type, kernel_name, kernel_id)
        async with self._opening.setdefault(document, asyncio.Lock()):
            if path == document and await self.session_exists(path):  # type: ignore[no-untyped-call]
                return await self.get_session(path=path)  # type: ignore[no-untyped-call]
            kernel = self._just_started(document, kernel_name)
            made = await super().create_session(path, name, type, kernel_name, kernel)
            self._started[document] = (kernel_name, made["kernel"]["id"], self.clock.monotonic())
            return made

    def _just_started(self, document: str, kernel_name: Any) -> str | None:
        """Id of its kernel. The session is another one: a page that gets one that is not named as it asked ends it."""
        now = self.clock.monotonic()
        self._started = {key: row for key, row in self._started.items() if now - row[2] < SEEN_SECONDS}
        wanted, kernel, _ = self._started.get(document, ("", "", 0.0))
        if wanted != kernel_name or kernel not in self.kernel_manager:
            return None
        return None if self.kernel_manager.get_kernel(kernel).shutting_down else kernel

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


def notebook_of(path: str, name: str, type: str | None) -> str:
    """Path of the notebook that a session is wanted for; empty: for none."""
    if type != "notebook" or not name:
        return ""
    directory, _, last = path.rpartition("/")
    try:
        UUID(last)
    except ValueError:
        return path
    return f"{directory}/{name}" if directory else name


def _remove(file: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
