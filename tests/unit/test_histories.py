"""Histories of documents go with their workspace, and with no other."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from syla_jupyter.server.documents import Synced, SyncedStates
from syla_jupyter.server.histories import STEP, Histories

TYPED = b"what somebody has typed, which nobody is to find"


def history(directory: Path, *ids: str, rows: int = 3) -> None:
    """As jupyter-collaboration makes it."""
    with sqlite3.connect(directory / "history.db") as db:
        columns = "path TEXT NOT NULL, yupdate BLOB, metadata BLOB, timestamp REAL NOT NULL"
        db.execute(f"CREATE TABLE IF NOT EXISTS yupdates ({columns})")
        db.execute("CREATE INDEX IF NOT EXISTS idx_yupdates_path_timestamp ON yupdates (path, timestamp)")
        for id in ids:
            for number in range(rows):
                db.execute(
                    "INSERT INTO yupdates VALUES (?, ?, '', ?)", (f"{id}:text:file:f", TYPED + id.encode(), number)
                )
    states = SyncedStates(directory / "synced.db")
    for id in ids:
        states.put(f"{id}:text:file:f", Synced("a", "b"))


def test_one_workspace(tmp_path: Path) -> None:
    """All of it, also of many steps, and none of one whose id begins alike; nothing of it is left in the file."""
    history(tmp_path, "aa", "aab", rows=2 * STEP + 5)
    found = Histories(tmp_path)
    assert found.workspaces() == {"aa", "aab"}
    assert found.purge("aa") == 2 * STEP + 6
    assert found.workspaces() == {"aab"}
    assert found.purge("aa") == found.purge("") == 0
    text = (tmp_path / "history.db").read_bytes()
    assert TYPED + b"aab" in text
    assert TYPED + b"aa" not in text.replace(TYPED + b"aab", b"")


def test_what_others_have_deleted(tmp_path: Path) -> None:
    """A sweep takes those of which there is no record, and says so."""
    history(tmp_path, "gone", "here")
    (line,) = Histories(tmp_path).sweep(lambda id: id == "gone")
    assert "gone" in line
    assert Histories(tmp_path).workspaces() == {"here"}


def test_nothing_of_the_kind(tmp_path: Path) -> None:
    """No file, or one of another form, is left alone."""
    assert Histories(tmp_path).sweep(lambda id: True) == []
    (tmp_path / "history.db").write_bytes(b"no database")
    with sqlite3.connect(tmp_path / "synced.db") as db:
        db.execute("CREATE TABLE other (x)")
    assert Histories(tmp_path).purge("w") == 0
