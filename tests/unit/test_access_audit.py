"""The audit log: what is written is there, what was touched shows, and what dies in the middle does no harm."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest

from syla_jupyter.access.audit import Audit
from syla_jupyter.access.audit_line import TEXT_MAX, Action, Entry, Origin
from syla_jupyter.model.clock import SystemClock
from syla_jupyter.model.errors import AuditDamaged, StoreFailed

from .clocks import HandClock
from .records import NOW


def entry(n: int = 0, **changes: str) -> Entry:
    return Entry(**{"actor": "ana", "action": Action.SHARE, "target": f"w{n}", **changes})  # type: ignore[arg-type]


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return Audit(tmp_path / "audit", HandClock(), file_bytes=2000)


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "audit").glob("*.jsonl"))


def test_what_is_written_is_there(audit: Audit, tmp_path: Path) -> None:
    """In order, over several files, closed to others; long texts are cut, hostile ones stay one line."""
    assert (audit.newest(), audit.verify().problems) == ([], ())
    for n in range(20):
        audit.write(entry(n))
    audit.write(entry(20, actor="ben", reason="x" * 1000, target="a\nb\u2028\ud800"))
    lines = audit.newest()
    assert [line.n for line in lines] == list(range(1, 22))
    assert [line.target for line in lines[:20]] == [f"w{n}" for n in range(20)]
    assert (lines[-1].target, len(lines[-1].reason), lines[-1].at) == ("a\nb\u2028\ud800", TEXT_MAX, NOW)
    assert audit.newest(actor="ben") == audit.newest(limit=1) == lines[-1:]
    assert audit.newest(action="login") == audit.newest(since=NOW + 1) == []
    assert len(files(tmp_path)) > 2
    assert all(file.stat().st_mode & 0o077 == 0 for file in files(tmp_path))
    assert audit.verify().problems == ()
    assert (audit.verify().lines, audit.verify().first) == (21, 1)


def remove_line(where: int) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        lines = file.read_bytes().splitlines(keepends=True)
        del lines[where]
        file.write_bytes(b"".join(lines))

    return change


def alter(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b'"ana"', b'"eve"', 1))


def forge(file: Path) -> None:
    """A line whose own hash is right."""
    from syla_jupyter.access import audit_line

    lines = file.read_bytes().splitlines(keepends=True)
    first = audit_line.read(lines[1])
    lines[1] = audit_line.write(entry(actor="eve"), n=first.n, at=first.at, previous=first.previous)[0]
    file.write_bytes(b"".join(lines))


def swap(file: Path) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    lines[1], lines[2] = lines[2], lines[1]
    file.write_bytes(b"".join(lines))


@pytest.mark.parametrize("which", [0, 1, -1])
@pytest.mark.parametrize(
    "change", [remove_line(0), remove_line(1), remove_line(-1), alter, forge, swap, Path.unlink],
    ids=["first", "middle", "last", "altered", "forged", "swapped", "file"],
)  # fmt: skip
def test_what_was_touched_shows(audit: Audit, tmp_path: Path, change: Callable[[Path], None], which: int) -> None:
    """Anywhere. Old files may go, and with the first of them so may nothing else."""
    while len(files(tmp_path)) < 4 or len(files(tmp_path)[-1].read_bytes().splitlines()) < 3:
        audit.write(entry())
    change(files(tmp_path)[which])
    first_line_gone = which == 0 and change.__qualname__.startswith("remove_line") and audit.verify().first == 2
    if (which == 0 and change is Path.unlink) or first_line_gone:
        assert audit.verify().first > 1  # said, and no more than that: old lines may be put away
        return
    assert audit.verify().problems
    audit.write(entry())
    assert audit.verify().problems, "and it still shows when the log goes on"


def test_half_a_line_of_a_process_that_died(audit: Audit, tmp_path: Path) -> None:
    """Is removed by the next writer; a line without its head is a whole one."""
    audit.write(entry(1))
    head = (tmp_path / "audit" / "head").read_bytes()
    audit.write(entry(2))
    (tmp_path / "audit" / "head").write_bytes(head)
    with files(tmp_path)[0].open("ab") as opened:
        opened.write(b'{"n": 3, "at"')
    assert [line.n for line in audit.newest()] == [1, 2]
    audit.write(entry(3))
    assert [(line.n, line.target) for line in audit.newest()] == [(1, "w1"), (2, "w2"), (3, "w3")]
    assert audit.verify().problems == ()


def test_what_cannot_be_read_is_said(audit: Audit, tmp_path: Path) -> None:
    audit.write(entry())
    files(tmp_path)[0].write_bytes(json.dumps({"n": 1}).encode() + b"\n")
    with pytest.raises(AuditDamaged, match="line 1 of 00000001"):
        audit.newest()


def test_what_cannot_be_written_does_not_happen(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreFailed, match="audit"):
        Audit(tmp_path / "file", HandClock()).write(entry())


def write_many(directory: Path, count: int) -> None:
    audit = Audit(directory, SystemClock(), file_bytes=3000)
    for n in range(count):
        audit.write(entry(n, origin=Origin("192.0.2.1", "test")))  # type: ignore[arg-type]


def test_many_writers_make_one_chain(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    processes = [context.Process(target=write_many, args=(tmp_path / "audit", 25)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    audit = Audit(tmp_path / "audit", SystemClock())
    assert audit.verify().problems == ()
    assert [line.n for line in audit.newest(limit=1000)] == list(range(1, 76))
