"""The way of updates into a document's history, and what becomes of it in the long run. A real database, real documents."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pycrdt import Doc, Text

from syla_jupyter.server.histories import Histories
from syla_jupyter.server.history_store import HistoryStore
from syla_jupyter.server.keeping import Keeping

from .clocks import HandClock

PATH = "workspace:text:file:id"


def small(file: Path, clock: Any = None) -> type[HistoryStore]:
    """A history that is tidied up after a few rows."""
    members: dict[str, Any] = {"db_path": str(file), "checkpoint_rows": 10, "rows_kept": 25}
    return type("Small", (HistoryStore,), members | ({} if clock is None else {"clock": clock}))


@contextlib.asynccontextmanager
async def opened(kind: type[HistoryStore], path: str = PATH) -> AsyncIterator[HistoryStore]:
    store = kind(path=path)
    running = asyncio.create_task(store.start())
    await store.started.wait()
    try:
        yield store
    finally:
        await store.stop()
        await running


class Typist:
    def __init__(self) -> None:
        self.doc: Doc[Any] = Doc()
        self.updates: list[bytes] = []
        self.doc.observe(lambda event: self.updates.append(event.update))

    @property
    def text(self) -> Text:
        return self.doc.get("source", type=Text)

    def types(self, what: str) -> bytes:
        self.text.insert(len(str(self.text)), what)
        return self.updates[-1]


async def text_of(store: HistoryStore) -> str:
    doc: Doc[Any] = Doc()
    await store.apply_updates(doc)
    return str(doc.get("source", type=Text))


def rows(file: Path, table: str = "yupdates", path: str = PATH) -> int:
    with contextlib.closing(sqlite3.connect(file)) as db:
        return int(db.execute(f"SELECT count(*) FROM {table} WHERE path = ?", (path,)).fetchone()[0])


async def test_a_history_has_an_end(tmp_path: Path) -> None:
    """However much is typed, so many rows are there; loaded, or gone through one by one, they say all of it."""
    file, typist = tmp_path / "history.db", Typist()
    async with opened(small(file)) as store:
        for number in range(203):
            await store.write(typist.types(f"{number} "))
        assert 25 <= rows(file) <= 25 + 10 + 1
        assert rows(file, "ycheckpoints") == 1
        assert await text_of(store) == str(typist.text)
        replayed: Doc[Any] = Doc()
        async for update, _, _ in store.read():
            replayed.apply_update(update)
        assert str(replayed.get("source", type=Text)) == str(typist.text)


async def test_documents_that_are_opened_often(tmp_path: Path) -> None:
    """A checkpoint is made also of what was typed a little at a time, and only of one's own document."""
    file, typist, other = tmp_path / "history.db", Typist(), Typist()
    async with opened(small(file), "other") as store:
        await store.write(other.types("other"))
    for number in range(12):
        async with opened(small(file)) as store:
            await store.write(typist.types(f"{number} "))
    assert (rows(file, "ycheckpoints"), rows(file, "ycheckpoints", "other")) == (1, 0)
    async with opened(small(file)) as store:
        assert await text_of(store) == str(typist.text)
    async with opened(small(file), "other") as store:
        assert await text_of(store) == "other"


async def test_large_documents(tmp_path: Path) -> None:
    """A checkpoint of one is made when as much was written as it has; what is kept to go back to has a size too."""
    file, typist = tmp_path / "history.db", Typist()
    kind = type("Sized", (small(file),), {"checkpoint_rows": 10_000, "checkpoint_bytes": 1000, "bytes_kept": 5000})
    async with opened(kind) as store:
        for number in range(60):
            await store.write(typist.types(f"{number}".zfill(500)))
        assert rows(file, "ycheckpoints") == 1
        assert rows(file) < 60
        assert await text_of(store) == str(typist.text)


async def test_a_clock_that_goes_back(tmp_path: Path) -> None:
    """What is written after a checkpoint is found after it."""
    file, typist, clock = tmp_path / "history.db", Typist(), HandClock()
    async with opened(small(file, clock)) as store:
        for number in range(10):
            await store.write(typist.types(f"{number} "))
        assert rows(file, "ycheckpoints") == 1
        clock.jump(-3600)
        await store.write(typist.types("later"))
    async with opened(small(file, clock)) as store:
        await store.write(typist.types(", and later still"))
        assert await text_of(store) == str(typist.text)


async def test_an_update_that_is_none(tmp_path: Path) -> None:
    """It is no checkpoint's business, and keeps nothing else from being written."""
    file, typist = tmp_path / "history.db", Typist()
    async with opened(small(file)) as store:
        await store.write(b"no update")
        for number in range(25):
            await store.write(typist.types(f"{number} "))
    assert rows(file) == 26


async def test_an_error_is_no_success(tmp_path: Path) -> None:
    file, typist = tmp_path / "history.db", Typist()
    async with opened(small(file)) as store:
        await store.write(typist.types("a"))
        with contextlib.closing(sqlite3.connect(file)) as db:
            db.execute("ALTER TABLE yupdates RENAME TO away")
            db.commit()
            with pytest.raises(sqlite3.Error):
                await store.write(typist.types("b"))
            db.execute("ALTER TABLE away RENAME TO yupdates")
            db.commit()
        await store.write(typist.types("c"))
        assert await text_of(store) == "a", "what comes after a gap waits for it"
        await store.write(typist.updates[1])
        assert await text_of(store) == "abc"


async def test_a_deleted_workspace_leaves_no_checkpoint(tmp_path: Path) -> None:
    file, typist = tmp_path / "history.db", Typist()
    for path in (PATH, "other:text:file:id"):
        async with opened(small(file), path) as store:
            for _ in range(12):
                await store.write(typist.types("what nobody is to find "))
    found = Histories(tmp_path)
    assert found.workspaces() == {"workspace", "other"}
    found.purge("workspace")
    assert (rows(file), rows(file, "ycheckpoints")) == (0, 0)
    assert rows(file, "ycheckpoints", "other:text:file:id") == 1
    found.purge("other")
    assert b"nobody" not in file.read_bytes()


# -- on the way ----------------------------------------------------------------------------------------------------


class Disk:
    """Writes when it is let, and fails when it is told to."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.failures = 0
        self.free = asyncio.Event()
        self.asked = asyncio.Event()

    async def write(self, update: bytes) -> None:
        self.asked.set()
        await self.free.wait()
        if self.failures:
            self.failures -= 1
            raise OSError("full")
        self.written.append(update)

    def text(self) -> str:
        doc: Doc[Any] = Doc()
        for update in self.written:
            doc.apply_update(update)
        return str(doc.get("source", type=Text))


@contextlib.asynccontextmanager
async def keeping(disk: Disk) -> AsyncIterator[Keeping]:
    one = Keeping(disk.write, retry_seconds=0)
    running = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        running.cancel()
        await asyncio.wait({running})


def make(one: Keeping, update: bytes) -> None:
    one.made += 1
    one.put(update)


async def test_what_waits_is_written_together() -> None:
    disk, typist = Disk(), Typist()
    async with keeping(disk) as one, asyncio.timeout(30):
        make(one, typist.types("first "))
        await disk.asked.wait()
        for number in range(100):
            make(one, typist.types(f"{number} "))
        disk.free.set()
        await one.up_to_now()
        assert (len(disk.written), one.kept) == (2, 101)
        assert disk.text() == str(typist.text)


async def test_what_fails_is_written_once_more() -> None:
    """In one piece with what has come since, and nothing counts as kept before it is."""
    disk, typist = Disk(), Typist()
    disk.failures = 3
    async with keeping(disk) as one, asyncio.timeout(30):
        for number in range(5):
            make(one, typist.types(f"{number} "))
        assert one.kept == 0
        disk.free.set()
        make(one, typist.types("more"))
        await one.up_to_now()
        assert (one.kept, one.made) == (6, 6)
        assert disk.text() == str(typist.text)


async def test_a_room_that_is_begun_again() -> None:
    """What was under way when it ended is written."""
    disk, typist = Disk(), Typist()
    async with keeping(disk) as one:
        make(one, typist.types("a"))
        await asyncio.wait_for(disk.asked.wait(), 30)
    disk.free.set()
    running = asyncio.create_task(one.run())
    await asyncio.wait_for(one.up_to_now(), 30)
    running.cancel()
    assert disk.text() == "a"
