"""Large files that were saved before are read along their former pieces, and become what they would have become anyway."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from syla_jupyter.snapshots.contents import WINDOW_BYTES, LargeReader
from syla_jupyter.snapshots.former import Former
from syla_jupyter.snapshots.tree import Entry

from .. import trees

RACY_NS = 1 << 62


class Parameters:
    seed, min_bytes, avg_bytes, max_bytes = 7, 4 << 10, 16 << 10, 64 << 10


def chunk_id(data: memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()


class Reader:
    """`stored`: bytes handed over to be stored."""

    def __init__(self) -> None:
        self.stored = 0
        self._reader = LargeReader(Parameters(), self._store, lambda bytes_: None)

    def _store(self, views: Sequence[memoryview]) -> Future[list[bytes]]:
        self.stored += sum(len(view) for view in views)
        ids: Future[list[bytes]] = Future()
        ids.set_result([chunk_id(view) for view in views])
        return ids

    def read(self, path: Path, former: Entry | None = None) -> Entry:
        self.stored = 0
        fd = os.open(path, os.O_RDONLY)
        try:
            layout = self._reader.read(fd, b"files/a", RACY_NS, partial(Former, former, chunk_id) if former else None)
        finally:
            os.close(fd)
        return layout.finished()


def changed(data: bytes, chance: random.Random) -> bytes:
    """In one to three places, and perhaps at its end."""
    for _ in range(chance.randint(1, 3)):
        at, amount = chance.randrange(len(data)), chance.choice((1, 5000, 300_000))
        fresh = chance.choice((chance.randbytes(amount), bytes(amount)))
        data = data[:at] + fresh + data[at + chance.choice((0, amount, 2 * amount)) :]
    return chance.choice(
        (data, data + chance.randbytes(chance.choice((1, 40_000))), data[: -chance.choice((1, 70_000))])
    )


def write_sparse(path: Path, data: bytes) -> None:
    """Runs of zeros become holes."""
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        for at in range(0, len(data), 1 << 16):
            if any(block := data[at : at + (1 << 16)]):
                file.seek(at)
                file.write(block)
        file.truncate(len(data))


def test_the_cuts_are_the_same_with_and_without_a_guess(tmp_path: Path) -> None:
    """Inserted, removed, overwritten, repeated, longer, shorter, with holes: no history leaves a trace in the pieces."""
    chance, reader, path = random.Random(11), Reader(), tmp_path / "a"
    block = chance.randbytes(1 << 20)
    data = b"".join((chance.randbytes(12 << 20), block, bytes(1 << 20), block, chance.randbytes(9 << 20)))
    former: Entry | None = None
    for turn in range(12):
        write_sparse(path, data) if turn % 2 else path.write_bytes(data)
        plain = reader.read(path)
        followed = reader.read(path, former)
        assert (followed.content, followed.pieces) == (plain.content, plain.pieces), turn
        former, data = followed, changed(data, chance)


def test_what_is_as_it_was_is_not_stored_again(tmp_path: Path) -> None:
    """Nothing of a file that is the same; of one with something inserted, no more than a few windows."""
    chance, reader, path = random.Random(12), Reader(), tmp_path / "a"
    data = chance.randbytes(64 << 20)
    path.write_bytes(data)
    former = reader.read(path)
    assert reader.stored == len(data)
    assert reader.read(path, former)._replace(ctime_ns=0) == former._replace(ctime_ns=0)
    assert reader.stored == 0
    path.write_bytes(data[: 20 << 20] + chance.randbytes(1 << 20) + data[20 << 20 :])
    longer = reader.read(path, former)
    assert len(longer.content) > len(former.content)
    assert reader.stored <= 3 * WINDOW_BYTES


def test_a_renamed_file_is_read_and_nothing_of_it_stored(tmp_path: Path) -> None:
    """And one with another name, other content, and its old size, inode and time has its own content."""
    files, chance = tmp_path / "files", random.Random(13)
    files.mkdir()
    for name in ("same", "other"):
        (files / name).write_bytes(chance.randbytes(5 << 20))
    before = (files / "other").stat()
    repository = trees.repository(tmp_path)
    first = trees.take(repository, files=files)
    (files / "same").rename(files / "same-renamed")
    (files / "other").rename(files / "other-renamed")
    second = trees.take(repository, files=files)
    assert second.version is not None
    assert first.version is not None
    assert second.version.bytes_new < 100_000
    with (files / "other-renamed").open("r+b") as file:
        file.seek(3 << 20)
        file.write(b"changed")
    (files / "other-renamed").rename(files / "other-again")
    os.utime(files / "other-again", ns=(before.st_atime_ns, before.st_mtime_ns))
    third = trees.take(repository, files=files)
    assert third.version is not None
    assert 100_000 < third.version.bytes_new < 5 << 20
    trees.back(repository, third.version.number, tmp_path / "state", files=tmp_path / "back")
    for name in ("same-renamed", "other-again"):
        assert (tmp_path / "back" / name).read_bytes() == (files / name).read_bytes()
