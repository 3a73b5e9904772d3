"""Whose scripts may run in whose page: what each person has said yes to, by digests of outputs.

JupyterLab keeps whether a cell is trusted in the cell, and Jupyter's server signs a notebook whose cells all are. Both
hold for everybody who opens it, and whoever may write to the document can claim both; scripts of one person's outputs
would then run in the page of another, with that one's rights. Here neither counts: no cell is read or kept as trusted
(`without_trust`), nothing is signed, and a page asks which outputs its own person knows, since he ran the cell, or said
"Trust Notebook" of just these.

A digest is SHA-256 of the canonical JSON (RFC 8785) of `[data, metadata]` of each output that is displayed; texts and
errors run nothing anywhere. The page part has the same function (`labextension/src/digests`), with the same examples.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import rfc8785

from ..model.clock import Clock
from ..model.errors import StoreFailed

TEXTS = ("stream", "error")
"""A page draws `data` of whatever is none of these, of an update of a display, say, that somebody has put there."""
HARMLESS = {"text/plain", "image/png", "image/jpeg"}
"""What nothing can hide a script in; as nbformat has it."""
DIGEST = re.compile("[0-9a-f]{64}")
KEPT_MAX = 20_000
"""Of one person; beyond, the oldest quarter goes."""
log = logging.getLogger("syla.server")


def digest_of(outputs: Sequence[Mapping[str, Any]]) -> str:
    """Of a cell's outputs; empty where none of them needs trust, and where they have no canonical form (numbers beyond
    2**53, text that is no UTF-8, JSON too deep or of another form), which nobody can say yes to for later."""
    try:
        shown = [one for one in outputs if one.get("output_type") not in TEXTS]
        if all(set(one.get("data") or {}) <= HARMLESS for one in shown):
            return ""
        text = rfc8785.dumps([[one.get("data") or {}, one.get("metadata") or {}] for one in shown])
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeError, AttributeError, TypeError):
        return ""
    return hashlib.sha256(text).hexdigest()


def digests_in(notebook: Any) -> list[str]:
    """Of all cells of what was read as a notebook."""
    cells = [cell for cell in notebook["cells"] if isinstance(cell, dict)]
    return sorted({digest_of(cell.get("outputs", ())) for cell in cells} - {""})


def without_trust(notebook: Any) -> None:
    """In place: no cell of what was read as a notebook says of itself that it is trusted."""
    for cell in notebook.get("cells", ()):
        metadata = cell.get("metadata") if isinstance(cell, dict) else None
        if isinstance(metadata, dict):
            metadata.pop("trusted", None)


class TrustLedger:
    """In a database of its own; each call is a transaction. Any thread."""

    def __init__(self, file: Path, clock: Clock) -> None:
        self._lock, self._clock = threading.Lock(), clock
        try:
            self._db = _opened(file)
        except sqlite3.DatabaseError as exc:
            if type(exc) is not sqlite3.DatabaseError:  # it is busy, say, or the disk is full
                raise
            log.warning("%s is damaged (%s) and is begun anew: notebooks are to be trusted again", file, exc)
            for suffix in ("-wal", "-shm"):
                file.with_name(file.name + suffix).unlink(missing_ok=True)
            file.replace(file.with_name(f"{file.name}.damaged"))
            self._db = _opened(file)

    def known(self, person: str, digests: Sequence[str]) -> list[str]:
        """Those of them that he said yes to. `StoreFailed`, as of all of these."""
        query = "SELECT 1 FROM trusted WHERE person = ? AND digest = ?"
        with self._lock, _told():
            return [one for one in digests if self._db.execute(query, (person, one)).fetchone()]

    def add(self, person: str, digests: Sequence[str]) -> None:
        self._put(person, [(one, one) for one in digests])

    def replace(self, person: str, slot: str, digest: str) -> None:
        """In place of what he said yes to under that name before: outputs of a run that goes on changing them."""
        self._put(person, [(slot, digest)])

    def _put(self, person: str, rows: Sequence[tuple[str, str]]) -> None:
        now = self._clock.now()
        with self._lock, _told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for slot, digest in rows:
                    self._db.execute("INSERT OR REPLACE INTO trusted VALUES (?, ?, ?, ?)", (person, slot, digest, now))
                self._cull(person)
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a full disk has done so
                    self._db.execute("ROLLBACK")
                raise

    def _cull(self, person: str) -> None:
        (count,) = self._db.execute("SELECT count(*) FROM trusted WHERE person = ?", (person,)).fetchone()
        if count > KEPT_MAX:
            oldest = "SELECT slot FROM trusted WHERE person = ? ORDER BY at LIMIT ?"
            query = f"DELETE FROM trusted WHERE person = ? AND slot IN ({oldest})"
            self._db.execute(query, (person, person, count - KEPT_MAX * 3 // 4))

    def close(self) -> None:
        with self._lock:
            self._db.close()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        raise StoreFailed(f"what is trusted is not kept: {exc}", "Look for a full disk; say it again then") from exc


def _opened(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, check_same_thread=False, isolation_level=None, timeout=10)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(
            "CREATE TABLE IF NOT EXISTS trusted "
            "(person TEXT, slot TEXT, digest TEXT, at REAL, PRIMARY KEY (person, slot)) WITHOUT ROWID"
        )
        db.execute("CREATE INDEX IF NOT EXISTS by_digest ON trusted (person, digest)")
    except BaseException:
        db.close()
        raise
    return db
