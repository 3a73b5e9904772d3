"""What becomes of a document that was open when it is opened again, or whose file somebody else has written. Pure.

A room keeps a history of its own; the file is written from it now and then. Both can have moved on: the history,
because the server ended before it saved; the file, because a kernel, a restore or another program wrote it. Compared
are digests of what they say. `known` is what both said last, `intended` what was being written when the server ended:

    file                history              what to do
    says the same                            nothing
    known or intended   has moved on         keep the history, save it
    has moved on        known or intended    take the file
    has moved on        has moved on         keep the history beside it, take the file
"""

from __future__ import annotations

import enum
import hashlib
import json
import posixpath
import sqlite3
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class Fate(enum.Enum):
    SAME = "nothing is to be done"
    SAVE = "the history is ahead"
    TAKE = "the file is ahead"
    BOTH = "each has what the other has not"


@dataclass(frozen=True)
class Synced:
    known: str = ""
    intended: str = ""


def fate_of(file: str, history: str, synced: Synced) -> Fate:
    """Of digests."""
    ours = {synced.known, synced.intended} - {""}
    if file == history:
        return Fate.SAME
    if file in ours:
        return Fate.SAVE
    return Fate.TAKE if history in ours else Fate.BOTH


def digest_of(content: Any) -> str:
    """Of a document's content; whether a cell is trusted is not part of it, which each reading finds out anew."""
    if isinstance(content, dict) and isinstance(content.get("cells"), list):
        content = {**content, "cells": [_without_trust(cell) for cell in content["cells"]]}
    text = content if isinstance(content, str) else json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _without_trust(cell: Any) -> Any:
    metadata = cell.get("metadata") if isinstance(cell, dict) else None
    if not isinstance(metadata, dict) or "trusted" not in metadata:
        return cell
    return {**cell, "metadata": {name: value for name, value in metadata.items() if name != "trusted"}}


def conflict_path(path: str, at: float, number: int = 0) -> str:
    """Beside the file, with the time in its name (UTC); `number` for the second one of a second."""
    stem, extension = posixpath.splitext(path)
    time = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H.%M.%S")
    return f"{stem} (conflict {time}{f' {number}' if number else ''}){extension}"


class SyncedStates:
    """`Synced` by a document's key, in a database of its own; each call is a transaction. Any thread."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None, timeout=10)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS synced (key TEXT PRIMARY KEY, known TEXT, intended TEXT)")

    def get(self, key: str) -> Synced:
        with self._lock:
            row = self._db.execute("SELECT known, intended FROM synced WHERE key = ?", (key,)).fetchone()
        return Synced() if row is None else Synced(*row)

    def put(self, key: str, synced: Synced) -> None:
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO synced VALUES (?, ?, ?)", (key, synced.known, synced.intended))
