"""Messages on disk: the limit, the order, what is dropped first, and what becomes of files that were tampered with."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from syla_jupyter.agent.spool import HEAD, Spool

BIG = 1 << 30


def fill(spool: Spool, count: int, size: int = 100) -> list[bytes]:
    signatures = [f"{number:032}".encode() for number in range(count)]
    for number, signature in enumerate(signatures):
        spool.append(signature, 1, b"%06d" % number + b"." * (size - 6))
    return signatures


def left(spool: Spool) -> list[int]:
    return [int(body[:6]) for body in spool.take(BIG)[0]]


def test_spool_gives_back_in_order_and_in_portions(tmp_path: Path) -> None:
    """Portions end at the limit, are of at least one record, and leave nothing out across segments."""
    spool = Spool([str(tmp_path)], segment_bytes=1000)
    signatures = fill(spool, 50)
    assert left(spool) == list(range(50))
    seen: list[int] = []
    while True:
        bodies, end = spool.take(250)
        assert 1 <= len(bodies) <= 4
        seen += [int(body[:6]) for body in bodies]
        assert spool.drop_through(signatures[seen[-1]])
        if end:
            break
    assert seen == list(range(50))
    assert not spool
    assert spool.take(BIG) == ([], True)


def test_spool_drops_the_oldest_and_counts_the_lines(tmp_path: Path) -> None:
    """Never more on disk than the limit; what is left is the newest, and the count is exact."""
    spool = Spool([str(tmp_path)], limit_bytes=5000, segment_bytes=1000)
    fill(spool, 500)
    assert spool.size_bytes <= 5000
    rest = left(spool)
    assert rest == list(range(500 - len(rest), 500))
    assert 20 <= len(rest) <= 40
    assert spool.dropped_lines == 500 - len(rest)


def test_spool_without_room_counts_and_goes_on(tmp_path: Path) -> None:
    """A record larger than the limit, or no directory that can be written: counted, nothing raised."""
    spool = Spool([str(tmp_path)], limit_bytes=1000)
    fill(spool, 3, size=5000)
    assert (left(spool), spool.dropped_lines) == ([], 3)
    nowhere = Spool([str(tmp_path / "none")])
    fill(nowhere, 3)
    assert (left(nowhere), nowhere.dropped_lines) == ([], 3)


def test_spool_on_a_full_disk_keeps_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up after some segments: the older make room for the newer, and those are readable."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    spool = Spool([str(tmp_path)], segment_bytes=4000)
    fill(spool, 60)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (2000, limits[1])
    )  # no file may grow past this: writes fail or fall short
    try:
        fill(spool, 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    rest = left(spool)
    assert rest == list(range(100 - len(rest), 100))
    assert rest
    assert spool.dropped_lines == 160 - len(rest)


def test_spool_uses_the_second_directory_when_the_first_fails(tmp_path: Path) -> None:
    """A home that cannot be written is no reason to lose output."""
    spool = Spool([str(tmp_path / "none"), str(tmp_path)])
    fill(spool, 3)
    assert left(spool) == [0, 1, 2]
    assert list(tmp_path.iterdir()) == []  # the files have no names


@pytest.mark.parametrize("attack", ["truncated", "emptied", "length", "zeros"])
def test_spool_that_was_tampered_with_ends_where_it_stops_making_sense(tmp_path: Path, attack: str) -> None:
    """User code can reach the files through /proc: no error, no endless loop, and what is written later is kept."""
    spool = Spool([str(tmp_path)], segment_bytes=2000)
    fill(spool, 30)
    file = spool._segments[0].file.fileno()
    record = HEAD.size + 100
    if attack == "truncated":
        os.ftruncate(file, 5 * record + 50)
    elif attack == "emptied":
        os.ftruncate(file, 0)
    elif attack == "length":
        os.pwrite(file, struct.pack("<I", 0xFFFFFFF0), 5 * record)
    else:
        os.pwrite(file, bytes(record), 5 * record)
    in_first = {"truncated": 5, "length": 5, "emptied": 0, "zeros": None}[attack]
    for _ in range(2):
        bodies, end = spool.take(BIG)
        assert end
    if in_first is not None:
        found = [int(body[:6]) for body in bodies]
        assert found[:in_first] == list(range(in_first))
        assert found[in_first:] == list(range(30 - len(found) + in_first, 30))
    assert not spool.drop_through(b"?" * 32)
    spool.append(b"n" * 32, 1, b"000099")
    assert spool.take(BIG)[0][-1] == b"000099"
