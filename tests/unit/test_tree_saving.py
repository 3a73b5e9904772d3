"""What a save reads, takes over, leaves out and says."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from syla_jupyter.model.errors import BadInput, Cancelled
from syla_jupyter.model.snapshot import Reason, Version
from syla_jupyter.snapshots import manifest
from syla_jupyter.snapshots.contents import cutter
from syla_jupyter.snapshots.descent import Cursor
from syla_jupyter.snapshots.progress import Progress
from syla_jupyter.snapshots.repository import Repository
from syla_jupyter.snapshots.restore import find_file, read_entry
from syla_jupyter.snapshots.save import SaveReport, save
from syla_jupyter.snapshots.tree import Entry, Part

from .. import trees


class Frozen:
    """Ten seconds ahead: nothing was changed so recently that it is not trusted."""

    def now(self) -> float:
        return trees.CLOCK.now() + 10

    def monotonic(self) -> float:
        return trees.CLOCK.monotonic()


class Parameters:
    seed, min_bytes, avg_bytes, max_bytes = 0x0123456789ABCDEF, 256 << 10, 1 << 20, 4 << 20


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return trees.repository(tmp_path)


def take(repository: Repository, files: Path, **options: object) -> SaveReport:
    return save(
        repository, [Part("files", files)], author="ana", message="m", reason=Reason.MANUAL, clock=Frozen(),
        **options,  # type: ignore[arg-type]
    )  # fmt: skip


def entries(repository: Repository, version: Version | None) -> dict[bytes, Entry]:
    assert version is not None
    return {entry.path: entry for entry in manifest.entries(repository.read, version.root)}


def test_cut_points_stay_where_they_are_for_ever() -> None:
    """The same data is cut at the same places by every version of us: otherwise nothing would be found again."""
    data = hashlib.shake_128(b"cut points").digest(8 << 20)
    assert [chunk.length for chunk in cutter(Parameters()).cut_buf(data)] == GOLDEN


GOLDEN = [628221, 602745, 1091511, 1231936, 1389112, 1978128, 1039618, 330908, 96429]


def test_what_has_not_changed_is_not_read(repository: Repository, tmp_path: Path) -> None:
    """A second save reads nothing; one file touched, a directory renamed: one is read."""
    files = trees.make(tmp_path / "files")
    first = take(repository, files, cache_dir=tmp_path / "cache")
    again = take(repository, files, cache_dir=tmp_path / "cache")
    assert (first.files, again.files_read) == (again.files, 0)
    assert again.stats.new_bytes < 1000
    assert first.version is not None
    assert again.version is not None
    assert (again.version.root, again.version.details) == (first.version.root, first.version.details)
    (files / "src/package0/deep/er/module0.py").write_text("new")
    (files / "src/package1").rename(files / "renamed")
    third = take(repository, files, cache_dir=tmp_path / "cache")
    assert third.files_read == 1
    assert third.version is not None
    assert third.version.details["tree"] != first.version.details["tree"]


def test_a_new_file_with_the_inode_of_another_is_read(repository: Repository, tmp_path: Path) -> None:
    """Of the size and time of the one that was there, as unpacked archives have: its content is its own."""
    files = tmp_path / "files"
    files.mkdir()
    (files / "lib-1.0").write_bytes(b"1.0")
    os.utime(files / "lib-1.0", ns=(10**18, 10**18))
    take(repository, files)
    (files / "lib-1.0").rename(files / "lib-1.1")  # the inode stays; as if it were given to another at once
    (files / "lib-1.1").write_bytes(b"1.1")
    os.utime(files / "lib-1.1", ns=(10**18, 10**18))
    version = take(repository, files).version
    assert version is not None
    assert read_entry(repository, find_file(repository, version, "files/lib-1.1")) == b"1.1"


def test_no_version_is_made_when_nothing_changed(repository: Repository, tmp_path: Path) -> None:
    files = trees.make(tmp_path / "files")
    assert take(repository, files).version is not None
    assert take(repository, files, if_changed=True).version is None
    (files / "empty").write_text("not any more")
    assert take(repository, files, if_changed=True).version is not None
    assert len(repository.versions()) == 2


def test_a_change_within_the_clocks_grain_is_seen(repository: Repository, tmp_path: Path) -> None:
    """Same size, same times, same inode: what was written just before a save is read again by the next one."""
    file = tmp_path / "files" / "a"
    file.parent.mkdir()
    file.write_text("one")
    trees.take(repository, files=file.parent)
    before = file.stat()
    file.write_text("two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    version = trees.take(repository, files=file.parent).version
    assert version is not None
    assert read_entry(repository, find_file(repository, version, "files/a")) == b"two"


def test_what_is_left_out_is_said(repository: Repository, tmp_path: Path) -> None:
    """Sockets and pipes, caches, what Jupyter makes to run, what the caller names; virtual environments are kept."""
    files = tmp_path / "files"
    for place in (
        ".cache/pip/x",
        ".local/share/jupyter/runtime/x",
        "cache/x",
        ".venv/x",
        "mine/x",
        ".ipynb_checkpoints/x",
    ):
        (files / place).mkdir(parents=True)
    for tagged in ("cache", ".venv"):
        (files / tagged / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n# a tag")
    (files / ".venv/pyvenv.cfg").touch()
    os.mkfifo(files / "pipe")
    close = trees.listen(files / "socket")
    report = take(repository, files, exclude=["files/mine"])
    close()
    assert sorted(report.skipped) == [
        "files/.cache/pip", "files/.local/share/jupyter/runtime", "files/cache", "files/mine", "files/pipe", "files/socket",
    ]  # fmt: skip
    kept = entries(repository, report.version)
    assert {
        b"files/.venv/x",
        b"files/.ipynb_checkpoints/x",
        b"files/.cache",
        b"files/.local/share/jupyter",
    } <= kept.keys()
    assert report.version is not None
    assert report.version.details["said"]["counts"] == {"excluded": 4, "pipe": 1, "socket": 1}


def test_a_file_that_changes_all_the_time_is_kept_and_marked(repository: Repository, tmp_path: Path) -> None:
    """Small or large: it is in the version, torn, and said; the others are as they are."""
    files = trees.make(tmp_path / "files")
    with writing(files / "small.log", 5000), writing(files / "large.log", 20 << 20):
        report = take(repository, files)
    assert "files/large.log" in report.torn
    kept = entries(repository, report.version)
    assert kept[b"files/large.log"].torn
    assert kept[b"files/large.log"].size > 1 << 20
    assert not kept[b"files/large.bin"].torn


@contextlib.contextmanager
def writing(path: Path, size: int) -> Iterator[None]:
    """Somebody who never stops writing."""
    path.write_bytes(bytes(size))
    stop = threading.Event()

    def write() -> None:
        with path.open("r+b", buffering=0) as file:
            while not stop.is_set():
                file.seek(0)
                file.write(os.urandom(100))

    thread = threading.Thread(target=write, name="writer")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_files_that_come_and_go_stop_nothing(repository: Repository, tmp_path: Path) -> None:
    """While somebody renames and removes: every save ends, and what stood still is in it."""
    files = trees.make(tmp_path / "files")
    stop = threading.Event()

    def disturb() -> None:
        n = 0
        while not stop.is_set():
            place = files / f"come{n % 7}"
            place.mkdir(exist_ok=True)
            (place / "x").write_bytes(b"x" * (n % 3) * 100_000)
            (place / "x").rename(place / "y")
            (place / "y").unlink()
            place.rmdir()
            n += 1

    thread = threading.Thread(target=disturb, name="disturber")
    thread.start()
    try:
        for _ in range(5):
            kept = entries(repository, take(repository, files).version)
            assert b"files/src/package4/deep/er/module4.py" in kept
    finally:
        stop.set()
        thread.join()


def test_nothing_outside_is_read_while_directories_become_links(repository: Repository, tmp_path: Path) -> None:
    """A directory exchanged for a link to a secret, again and again: the secret is in no version."""
    secret = tmp_path / "outside"
    secret.mkdir()
    (secret / "file").write_text("secret")
    files = tmp_path / "files"
    (files / "d").mkdir(parents=True)
    for n in range(200):
        (files / f"a{n}").write_text("x")
    (files / "d/file").write_text("harmless")
    (files / "link").symlink_to(secret)
    stop = threading.Event()

    def exchange() -> None:
        while not stop.is_set():
            (files / "d").rename(files / "away")
            (files / "d").symlink_to(secret)
            (files / "d").unlink()
            (files / "away").rename(files / "d")

    thread = threading.Thread(target=exchange, name="exchanger")
    thread.start()
    try:
        for _ in range(30):
            version = take(repository, files).version
            assert version is not None
            for path, entry in entries(repository, version).items():
                if path.endswith(b"/file") and entry.size:
                    assert read_entry(repository, find_file(repository, version, os.fsdecode(path))) == b"harmless"
    finally:
        stop.set()
        thread.join()


def test_progress_is_said_and_a_save_can_be_taken_back(repository: Repository, tmp_path: Path) -> None:
    """Numbers grow to their totals; a cancelled save leaves no version."""
    files = trees.make(tmp_path / "files")
    said: list[Progress] = []
    report = take(repository, files, progress=said.append)
    assert said[-1].files_done >= report.files - 5  # links are no work
    assert [p.bytes_done for p in said] == sorted(p.bytes_done for p in said)
    with pytest.raises(Cancelled):
        take(repository, files, cancelled=lambda: True)
    assert len(repository.versions()) == 1


def test_a_hard_link_far_down_comes_back(repository: Repository, tmp_path: Path) -> None:
    """Its file has a longer path than any system call takes."""
    deep = b"/".join([b"d" * 250] * 20)
    (tmp_path / "files").mkdir()
    with below(tmp_path / "files") as cursor:
        there = cursor.directory(deep, create=True)
        os.close(os.open("a", os.O_CREAT | os.O_WRONLY, dir_fd=there))
        os.link("a", "b", src_dir_fd=there, dst_dir_fd=there)
    take(repository, tmp_path / "files")
    trees.back(repository, 1, tmp_path / "state", files=tmp_path / "back")
    with below(tmp_path / "back") as cursor:
        there = cursor.directory(deep)
        assert os.stat("a", dir_fd=there).st_ino == os.stat("b", dir_fd=there).st_ino


@contextlib.contextmanager
def below(top: Path) -> Iterator[Cursor]:
    root = os.open(top, os.O_RDONLY)
    with Cursor(root) as cursor:
        yield cursor
    os.close(root)


def test_sizes_and_times_beyond_all_make_no_version_that_cannot_be_read(repository: Repository) -> None:
    """A hole of an exabyte is left out and said, a time is the last that can be had; all else comes back."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:  # ext4 would refuse both
        files = Path(directory)
        (files / "good").write_text("good")
        os.utime(files / "good", ns=(2**66, 2**66))
        (files / "hole").touch()
        os.truncate(files / "hole", 1 << 60)
        report = take(repository, files)
        assert report.unreadable == ["files/hole"]
        assert entries(repository, report.version)[b"files/good"].mtime_ns == 2**63 - 1
        assert repository.verify().ok


def test_a_part_that_is_no_directory_is_refused(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    for place in (tmp_path / "nothing", tmp_path / "link"):
        with pytest.raises(BadInput, match="parts"):
            take(repository, place)
    assert repository.versions() == []
