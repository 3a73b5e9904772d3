"""Restoring what is hostile, into what is hostile, and dying on the way."""

from __future__ import annotations

import functools
import os
import signal
import stat
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from syla_jupyter.model.errors import BadPath, Cancelled, InsufficientResources, SnapshotDamaged
from syla_jupyter.model.snapshot import Version
from syla_jupyter.snapshots import manifest
from syla_jupyter.snapshots.exchange import recover
from syla_jupyter.snapshots.repository import Repository
from syla_jupyter.snapshots.restore import RestoreReport, restore
from syla_jupyter.snapshots.tree import Entry, Kind

from .. import trees

TOP = Entry(b"files", Kind.DIRECTORY, 0o755, 0, 0)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return trees.repository(tmp_path)


def forged(repository: Repository, entries: Sequence[Entry], data: Sequence[bytes] = ()) -> Version:
    """A version whose list of files somebody with the key has written by hand."""
    with repository.session() as session:
        if data:
            session.add(list(data))
        root = session.add(list(manifest.encode(entries)), metadata=True)
        return session.commit(
            {"author": "m", "message": "", "reason": "manual", "root": root, "files": 1, "bytes_total": 1}
        )


def back(repository: Repository, version: Version, top: Path, **options: object) -> RestoreReport:
    targets = {"files": top / "files"}
    return restore(repository, version, targets, state_dir=top / "state", clock=trees.CLOCK, **options)  # type: ignore[arg-type]


def file(repository: Repository, path: bytes, data: bytes, **fields: object) -> Entry:
    entry = Entry(path, Kind.FILE, 0o644, 0, len(data), repository.chunk_id(data))
    return entry._replace(**fields)  # type: ignore[arg-type]


def test_nothing_is_written_for_a_list_that_leads_out(repository: Repository, tmp_path: Path) -> None:
    """A link, then a file below it; a parent; an absolute path: refused, and nothing anywhere has changed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    trees.make(tmp_path / "files")
    before = trees.seen(tmp_path / "files")
    link = Entry(b"files/l", Kind.SYMLINK, 0o777, 0, 0, os.fsencode(outside))
    for entries in (
        [TOP, link, file(repository, b"files/l/x", b"bad")],
        [TOP, file(repository, b"files/../outside/x", b"bad")],
        [TOP, file(repository, os.fsencode(outside / "x"), b"bad")],
        [TOP, link, Entry(b"files/m", Kind.HARDLINK, 0o644, 0, 0, b"files/l/x")],
    ):
        with pytest.raises(SnapshotDamaged):
            back(repository, forged(repository, entries, [b"bad"]), tmp_path)
    assert not list(outside.iterdir())
    assert trees.seen(tmp_path / "files") == before
    assert no_debris(tmp_path)


def no_debris(top: Path) -> bool:
    left = [path for path in top.iterdir() if ".restore-" in path.name]
    return not left and not list((top / "state").glob("*.journal") if (top / "state").exists() else [])


def test_set_id_bits_do_not_come_back(repository: Repository, tmp_path: Path) -> None:
    report = back(
        repository, forged(repository, [TOP, file(repository, b"files/x", b"sh", mode=0o6755)], [b"sh"]), tmp_path
    )
    assert stat.S_IMODE((tmp_path / "files/x").stat().st_mode) == 0o755
    assert report.lines() == ["files/x: set-id bits are left out"]


def test_a_version_too_big_for_the_disk_is_refused_before_it_is_written(repository: Repository, tmp_path: Path) -> None:
    """A thousand times a thousand times the same piece: a few kilobytes that would be terabytes."""
    data = bytes(4 << 20)
    id_, count = repository.chunk_id(data), 2_000
    large = Entry(b"files/x", Kind.FILE, 0o644, 0, count * len(data), id_ * count, (0, len(data)) * count)
    bomb = [TOP, *(large._replace(path=b"files/%04d" % n) for n in range(100))]
    with pytest.raises(InsufficientResources, match="GB"):
        back(repository, forged(repository, bomb, [data]), tmp_path)
    assert not (tmp_path / "files").exists()
    assert no_debris(tmp_path)


def test_a_size_that_is_not_the_chunks_makes_the_file_lost_and_no_other(repository: Repository, tmp_path: Path) -> None:
    """Refused, with the file's name; with `partial` everything else comes back."""
    wrong = file(repository, b"files/wrong", b"12345", size=4)
    version = forged(repository, [TOP, file(repository, b"files/good", b"12345"), wrong], [b"12345"])
    with pytest.raises(SnapshotDamaged, match="files/wrong"):
        back(repository, version, tmp_path)
    assert not (tmp_path / "files").exists()
    report = back(repository, version, tmp_path, partial=True)
    assert os.listdir(tmp_path / "files") == ["good"]
    assert report.lines() == ["files/wrong: a piece of it has a wrong length"]


def test_a_large_file_with_a_lost_piece_does_not_come_back_with_a_hole(repository: Repository, tmp_path: Path) -> None:
    good, lost = bytes(100), os.urandom(100)
    content = repository.chunk_id(good) + repository.chunk_id(lost)
    large = Entry(b"files/large", Kind.FILE, 0o644, 0, 200, content, (0, 100, 0, 99))
    version = forged(repository, [TOP, file(repository, b"files/good", good), large], [good, lost])
    report = back(repository, version, tmp_path, partial=True)
    assert report.said.paths("lost") == ["files/large"]
    assert os.listdir(tmp_path / "files") == ["good"]


def test_a_target_reached_through_a_link_of_the_hosts_own(repository: Repository, tmp_path: Path) -> None:
    """A data directory may be a link: what is above the target is the host's."""
    trees.make(tmp_path / "files")
    wanted = trees.seen(tmp_path / "files")
    trees.take(repository, files=tmp_path / "files")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    report = back(repository, repository.version(1), tmp_path / "link")
    assert not report.said.counts
    assert trees.seen(tmp_path / "real/files") == wanted


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o137])
def test_modes_come_back_whatever_the_process_grants(repository: Repository, tmp_path: Path, umask: int) -> None:
    """Whether a file gets its mode when it is made or after; below a directory with an ACL for what is made there, too."""
    modes = [0o400, 0o600, 0o644, 0o755, 0o777]
    entries = [TOP, *(file(repository, b"files/%o" % mode, b"x", mode=mode) for mode in modes)]
    version = forged(repository, entries, [b"x"])
    before = os.umask(umask)
    try:
        back(repository, version, tmp_path)
        (tmp_path / "acl").mkdir()
        # user::rwx, group::r-x, mask::r-x, other::---, as setfacl -d writes it
        os.setxattr(tmp_path / "acl", "system.posix_acl_default", ACL)
        back(repository, version, tmp_path / "acl")
    finally:
        os.umask(before)
    for top in (tmp_path, tmp_path / "acl"):
        assert [stat.S_IMODE((top / f"files/{mode:o}").stat().st_mode) for mode in modes] == modes


NOBODY = 0xFFFFFFFF
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, bits, NOBODY) for tag, bits in ((0x01, 7), (0x04, 5), (0x10, 5), (0x20, 0))
)


def test_the_owner_is_who_was_named(repository: Repository, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("needs root")
    trees.make(tmp_path / "files")
    trees.take(repository, files=tmp_path / "files")
    back(repository, repository.version(1), tmp_path, owner=(1234, 4321))
    owners = {(path.lstat().st_uid, path.lstat().st_gid) for path in (tmp_path / "files").rglob("*")}
    assert owners == {(1234, 4321)}


# Paths, and what is to stay.


def test_single_paths_are_put_in_place_and_nothing_else_is_touched(repository: Repository, tmp_path: Path) -> None:
    """A file, a directory, one that is gone with all above it, a hard link without its file; all else stays."""
    files = trees.make(tmp_path / "files")
    wanted = trees.seen(files)
    trees.take(repository, files=files)
    (files / "notebook.ipynb").write_text("overwritten")
    (files / "src/again.bin").unlink()
    (files / "src/package2").rename(files / "src/moved away")
    (files / "src/package3/deep").rename(files / "gone")
    (files / "run.sh").write_text("mine now")
    inode = files.stat().st_ino
    paths = ["files/notebook.ipynb", "files/src/package2", "files/src/package3/deep/er", "files/src/again.bin"]
    back(repository, repository.version(1), tmp_path, paths=paths)
    now = trees.seen(files)
    for path in (b"notebook.ipynb", b"src/package2/deep/er/module2.py", b"src/package3/deep/er", b"src/package3/deep"):
        assert now[path] == wanted[path]
    assert now[b"src/again.bin"][3] == wanted[b"large.bin"][3]
    assert (files / "run.sh").read_text() == "mine now"
    assert (files / "src/moved away").exists()
    assert files.stat().st_ino == inode
    assert no_debris(tmp_path)


def test_a_path_is_not_restored_through_a_link(repository: Repository, tmp_path: Path) -> None:
    """Where its directory was exchanged for a link: refused, and what the link leads to is as it was."""
    outside = tmp_path / "outside"
    files = trees.make(tmp_path / "files")
    trees.take(repository, files=files)
    (files / "src").rename(outside)
    (files / "src").symlink_to(outside)
    before = trees.seen(outside)
    with pytest.raises(BadPath, match="files/src|src is no directory"):
        back(repository, repository.version(1), tmp_path, paths=["files/src/package1"])
    assert trees.seen(outside) == before
    back(repository, repository.version(1), tmp_path, paths=["files/src"])
    assert not (files / "src").is_symlink()
    assert trees.seen(outside) == before


@pytest.mark.parametrize("path", ["files", "", "nothing/x", "files/nothing", "../files", "files/../x"])
def test_a_path_that_is_none_is_refused(repository: Repository, tmp_path: Path, path: str) -> None:
    trees.make(tmp_path / "files")
    trees.take(repository, files=tmp_path / "files")
    with pytest.raises(BadPath, match="paths"):
        back(repository, repository.version(1), tmp_path, paths=[path])
    assert no_debris(tmp_path)


def test_what_is_kept_stays_where_it_is(repository: Repository, tmp_path: Path) -> None:
    """Names that a whole restore shall leave alone; all others are as in the version, and the directory is the same."""
    files = trees.make(tmp_path / "files")
    trees.take(repository, files=files)
    wanted = trees.seen(files)
    (files / "workspaces").mkdir()
    (files / "workspaces/other").write_text("another workspace")
    (files / "new").write_text("x")
    (files / "empty").unlink()
    inode = files.stat().st_ino
    back(repository, repository.version(1), tmp_path, keep=["files/workspaces"])
    assert (files / "workspaces/other").read_text() == "another workspace"
    assert files.stat().st_ino == inode
    now = trees.seen(files)
    assert {path: value for path, value in now.items() if path != b"." and not path.startswith(b"workspaces")} == {
        path: value for path, value in wanted.items() if path != b"."
    }


def test_somebody_who_exchanges_directories_meanwhile_leads_nowhere(repository: Repository, tmp_path: Path) -> None:
    """A container at work while single paths are restored: what is outside stays as it is."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("outside")
    files = tmp_path / "files"
    (files / "d").mkdir(parents=True)
    (files / "d/f").write_text("inside")
    trees.take(repository, files=files)
    stop = threading.Event()

    def exchange() -> None:
        while not stop.is_set():
            try:
                (files / "d").rename(files / "e")
                (files / "d").symlink_to(outside)
                (files / "d").unlink()
                (files / "e").rename(files / "d")
            except OSError:
                pass

    thread = threading.Thread(target=exchange, name="exchanger")
    thread.start()
    try:
        for _ in range(60):
            try:
                back(repository, repository.version(1), tmp_path, paths=["files/d/f"])
            except BadPath:
                pass
    finally:
        stop.set()
        thread.join()
    assert [path.name for path in outside.iterdir()] == ["f"]
    assert (outside / "f").read_text() == "outside"
    assert no_debris(tmp_path)


# Ends that nobody wanted.


def test_a_restore_taken_back_changes_nothing(repository: Repository, tmp_path: Path) -> None:
    files = trees.make(tmp_path / "files")
    trees.take(repository, files=files)
    trees.change(files, 1)
    before = trees.seen(files)
    for calls in range(0, 8, 2):
        left = [None] * calls
        with pytest.raises(Cancelled):
            back(repository, repository.version(1), tmp_path, cancelled=functools.partial(out_of, left))
        assert trees.seen(files) == before
        assert no_debris(tmp_path)


def out_of(left: list[None]) -> bool:
    return not left or bool(left.pop())


EVENTS = {"open", "os.mkdir", "os.rename", "os.link", "os.symlink", "os.truncate", "os.remove", "os.rmdir", "os.chmod"}


def dies_at(event: int, act: Callable[[], object]) -> bool:
    """Runs `act` in a process that is killed at its so-many-th call that has to do with files; whether it was."""
    pid = os.fork()
    if not pid:
        left = [event]

        def hook(name: str, _: object) -> None:
            if name in EVENTS:
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(hook)
            act()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("how", ["whole", "paths", "keep"])
def test_killed_at_any_step_it_is_the_old_tree_or_the_new_one(tmp_path: Path, how: str) -> None:
    """After the next one has looked: one or the other, both parts of it, and nothing is left over."""
    options: dict[str, object] = {
        "whole": {},
        "paths": {"paths": ["files/a", "files/d", "files/gone/x"]},
        "keep": {"keep": ["files/kept"]},
    }[how]  # type: ignore[assignment]
    files, home = tmp_path / "files", tmp_path / "home"

    def write(text: str) -> None:
        for place in ("d/e", "kept", "gone"):
            (files / place).mkdir(parents=True, exist_ok=True)
        for name in ("a", "b", "d/c", "d/e/f", "gone/x"):
            (files / name).write_text(text)
        (files / "kept/k").write_text("kept")
        home.mkdir(exist_ok=True)
        (home / "h").write_text(text)

    def state() -> tuple[str, ...]:
        paths = [files / name for name in ("a", "b", "d/c", "d/e/f", "gone/x", "only new")] + [home / "h"]
        return tuple(path.read_text() if path.exists() else "" for path in paths)

    def act() -> None:
        again = trees.repository(tmp_path)
        restore(again, again.version(1), targets, state_dir=tmp_path / "state", clock=trees.CLOCK, **options)  # type: ignore[arg-type]

    write("old")
    trees.take(trees.repository(tmp_path), files=files, home=home)
    targets = {"files": files} if how == "paths" else {"files": files, "home": home}
    seen = set()
    event = 1
    while True:
        write("new")
        (files / "only new").write_text("new")
        for path in (files / "gone/x", files / "gone"):
            path.unlink() if path.is_file() else path.rmdir()
        before = state()
        killed = dies_at(event, act)
        recover(tmp_path / "state")
        seen.add(state())
        assert (files / "kept/k").read_text() == "kept"
        assert no_debris(tmp_path), event
        if not killed:
            break
        event += 1 + event // 12
    assert before in seen
    assert len(seen) == 2, seen
