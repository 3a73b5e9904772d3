"""The history of a document, in its database: jupyter-collaboration's, so written that it does not grow for ever.

    yupdates      what was typed, an update a row; the oldest ones are folded into one row
    ycheckpoints  the document as it was after some of them; it is loaded from there on

Theirs makes a checkpoint of the whole document after each hundred updates, in the event loop, and none of a document
that is closed before; keeps all rows for ever; drops what it squashes; takes an error of the database for success; and
orders rows by a clock that may go back, behind the checkpoint, where nobody reads them.
"""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from jupyter_server_ydoc.stores import SQLiteYStore
from pycrdt import Doc

from ..model.clock import Clock, SystemClock

MIB = 1 << 20
log = logging.getLogger("syla.server")


@dataclass
class Tail:
    """What came after the checkpoint."""

    path: str
    at: float
    """Of its last row."""
    rows: int
    bytes: int
    checkpoint_bytes: int


class HistoryStore(SQLiteYStore):  # type: ignore[misc]
    """Made with the `path` of a document; one room writes it, and others may read."""

    clock: Clock = SystemClock()
    checkpoint_rows = 1000
    """Updates that are gone through when a document is opened: some hundredths of a second."""
    checkpoint_bytes = 8 * MIB
    """At least; of a document that is larger, as much as it has itself."""
    rows_kept = 10_000
    bytes_kept = 64 * MIB
    """Of what can be gone back to, one step at a time."""
    _tail: Tail | None = None
    if TYPE_CHECKING:
        path: str
        db_initialized: Any
        lock: Any
        _db: Any

    async def write(self, data: bytes) -> None:
        """`sqlite3.Error`: it is not there."""
        if self.db_initialized is None:
            raise RuntimeError("the history of documents is not open")
        await self.db_initialized.wait()
        async with self.lock:
            await to_thread.run_sync(self._put, data, limiter=self._db._limiter)

    def _put(self, update: bytes) -> None:
        db = self._db._real_connection
        tail = self._tail if self._tail is not None and self._tail.path == self.path else _tail_of(db, self.path)
        self._tail = None
        at = max(self.clock.now(), tail.at)
        with db:
            db.execute("INSERT INTO yupdates VALUES (?, ?, ?, ?)", (self.path, update, b"", at))
        tail.at, tail.rows, tail.bytes = at, tail.rows + 1, tail.bytes + len(update)
        if tail.rows >= self.checkpoint_rows or tail.bytes >= max(self.checkpoint_bytes, tail.checkpoint_bytes):
            self._tidy(db, tail)
        self._tail = tail

    def _tidy(self, db: sqlite3.Connection, tail: Tail) -> None:
        """What is written stays so, whatever comes of it."""
        tail.rows = tail.bytes = 0
        try:
            with db:
                tail.checkpoint_bytes = _make_checkpoint(db, self.path, tail.at)
            with db:
                _fold(db, self.path, self.rows_kept, self.bytes_kept)
        except Exception as exc:  # an update that is none raises whatever its library has
            log.warning("the history of %s is longer than it need be: %r", self.path, exc)


def _tail_of(db: sqlite3.Connection, path: str) -> Tail:
    db.execute("PRAGMA secure_delete = ON")
    kept = db.execute("SELECT timestamp, length(checkpoint) FROM ycheckpoints WHERE path = ?", (path,)).fetchone()
    since, size = kept or (0.0, 0)
    rows, total, at = db.execute(
        "SELECT count(*), total(length(yupdate)), max(timestamp) FROM yupdates WHERE path = ? AND timestamp >= ?",
        (path, since),
    ).fetchone()
    return Tail(path, max(since, at or 0.0), rows, int(total), size)


def _make_checkpoint(db: sqlite3.Connection, path: str, at: float) -> int:
    """Its size in bytes."""
    kept = db.execute("SELECT checkpoint, timestamp FROM ycheckpoints WHERE path = ?", (path,)).fetchone()
    document, since = Doc[Any](), 0.0
    if kept is not None:
        document.apply_update(kept[0])
        since = kept[1]
    newer = "SELECT yupdate FROM yupdates WHERE path = ? AND timestamp >= ? ORDER BY timestamp, rowid"
    for (update,) in db.execute(newer, (path, since)):
        document.apply_update(update)
    made = document.get_update()
    db.execute("INSERT OR REPLACE INTO ycheckpoints VALUES (?, ?, ?)", (path, made, at))
    return len(made)


def _fold(db: sqlite3.Connection, path: str, rows_kept: int, bytes_kept: int) -> None:
    newest_first = (
        "SELECT rowid, length(yupdate), timestamp FROM yupdates WHERE path = ? ORDER BY timestamp DESC, rowid DESC"
    )
    count = size = 0
    old: list[tuple[int, float]] = []
    for id, length, at in db.execute(newest_first, (path,)):
        count, size = count + 1, size + length
        if count > rows_kept or size > bytes_kept:
            old.append((id, at))
    if len(old) < 2:
        return
    document = Doc[Any]()
    for id, _ in reversed(old):
        (update,) = db.execute("SELECT yupdate FROM yupdates WHERE rowid = ?", (id,)).fetchone()
        document.apply_update(update)
    db.executemany("DELETE FROM yupdates WHERE rowid = ?", [(id,) for id, _ in old])
    db.execute("INSERT INTO yupdates VALUES (?, ?, ?, ?)", (path, document.get_update(), b"", old[0][1]))
