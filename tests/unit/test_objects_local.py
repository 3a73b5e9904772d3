"""Objects on a disk: what a killed writer leaves, what a hostile directory does, what an operator is told."""

from __future__ import annotations

import os
import resource
import signal
import socket
import stat
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syla_jupyter.model.errors import ObjectExists, ObjectMissing, ObjectsFailed
from syla_jupyter.objects.local import LEFT_SECONDS, TMP, LocalObjects

STEPS = ("mkdir", "open", "write", "fsync", "link", "rename", "unlink", "rmdir", "close")
STEPS_MAX = 200


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def objects(directory: Path) -> LocalObjects:
    return LocalObjects(directory)


def killed_at(step: int, act: Callable[[], None]) -> bool:
    """Run `act` in a process that is killed before its `step`-th call of the system; whether it came so far."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        left = [step]

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def counting(*args: Any, **kwargs: Any) -> Any:
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
                return call(*args, **kwargs)

            return counting

        try:
            for name in STEPS:
                setattr(os, name, counted(getattr(os, name)))
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("if_absent", [True, False])
@pytest.mark.parametrize("before", [None, b"old" * 1000])
def test_a_writer_killed_at_any_step_leaves_all_or_nothing(
    objects: LocalObjects, directory: Path, if_absent: bool, before: bytes | None
) -> None:
    """The old object, none, or the new one; never a part, and the next writer is not in the way of anything."""
    after, seen = b"new" * 100_000, set()
    for step in range(STEPS_MAX):
        objects.delete(["a/b/c"])
        if before is not None:
            objects.put("a/b/c", before)

        def act() -> None:
            try:
                LocalObjects(directory).put("a/b/c", after, if_absent=if_absent)
            except ObjectExists:
                pass

        killed = killed_at(step, act)
        found = [(entry.key, entry.size_bytes) for entry in objects.list("")]
        value = objects.get("a/b/c") if found else None
        assert value in ((before,) if if_absent and before else (before, after))
        assert found == ([("a/b/c", len(value))] if value is not None else [])
        seen.add(value)
        if not killed:
            break
    assert not killed
    assert seen == ({before} if if_absent and before else {before, after})
    objects.put("a/b/c", b"last")
    assert objects.get("a/b/c") == b"last"


def test_what_killed_writers_left_goes_a_day_later(objects: LocalObjects, directory: Path) -> None:
    """By the file system's clock; what is younger may be somebody's who writes."""
    objects.put("a", b"")
    old, young = directory / TMP / "old", directory / TMP / "young"
    for file in (old, young):
        file.write_bytes(b"half")
    changed = young.stat().st_mtime - LEFT_SECONDS - 10
    os.utime(old, (changed, changed))
    LocalObjects(directory).put("b", b"")
    assert [file.name for file in (directory / TMP).iterdir()] == ["young"]


def test_only_the_owner_can_look(objects: LocalObjects, directory: Path) -> None:
    """Whatever the umask says."""
    before = os.umask(0)
    try:
        objects.put("a/b", b"")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.lstat().st_mode) for path in (directory, directory / "a", directory / "a/b")]
    assert modes == [0o700, 0o700, 0o600]


def test_links_lead_nowhere(objects: LocalObjects, directory: Path, tmp_path: Path) -> None:
    """Neither to read, to write, to list, nor to delete."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    objects.put("a/b", b"")
    (directory / "way").symlink_to(outside)
    (directory / "a" / "file").symlink_to(outside / "secret")
    for key in ("way/secret", "a/file"):
        with pytest.raises(ObjectMissing):
            objects.get(key)
        with pytest.raises(ObjectMissing):
            objects.head(key)
    assert [entry.key for entry in objects.list("")] == ["a/b"]
    assert list(objects.list("way/")) == []
    for if_absent in (True, False):
        with pytest.raises(ObjectsFailed):
            objects.put("way/new", b"", if_absent=if_absent)
    objects.delete(["way/secret", "a/file"])
    objects.put("a/file", b"ours")
    assert (objects.get("a/file"), (outside / "secret").read_bytes()) == (b"ours", b"secret")
    assert [file.name for file in outside.iterdir()] == ["secret"]


def test_what_is_no_file_is_no_object(objects: LocalObjects, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nobody waits for the other end of a pipe."""
    objects.put("a/b", b"")
    os.mkfifo(directory / "a" / "pipe")
    monkeypatch.chdir(directory / "a")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    for key in ("a/pipe", "a/socket", "a"):
        with pytest.raises(ObjectMissing):
            objects.get(key)
    assert [entry.key for entry in objects.list("a")] == ["a/b"]
    objects.delete(["a"])
    assert objects.get("a/b") == b""


def test_an_unmounted_disk_gets_no_files(tmp_path: Path) -> None:
    """The store's own directory is made, not the one above it."""
    objects = LocalObjects(tmp_path / "disk" / "objects")
    with pytest.raises(ObjectMissing):
        objects.get("a")
    assert list(objects.list("")) == []
    objects.delete(["a"])
    with pytest.raises(ObjectsFailed) as raised:
        objects.put("a", b"")
    assert str(tmp_path / "disk") in raised.value.hint
    assert not (tmp_path / "disk").exists()


def test_no_room_is_said_and_leaves_nothing(objects: LocalObjects, directory: Path) -> None:
    """With the way out; a smaller object still goes in."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(ObjectsFailed) as raised:
            objects.put("a/b", b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "space" in raised.value.hint
    assert list((directory / TMP).iterdir()) == []
    objects.put("a/b", b"x")


def test_empty_directories_go_and_others_stay(objects: LocalObjects, directory: Path) -> None:
    """The store's own stays, too."""
    for key in ("a/b/c", "a/b/d", "a/e"):
        objects.put(key, b"")
    objects.delete(["a/b/c", "a/b/d"])
    assert sorted(path.name for path in directory.rglob("*")) == [TMP, "a", "e"]
    objects.delete(["a/e"])
    assert [path.name for path in directory.iterdir()] == [TMP]


def test_bytes_are_on_the_disk_before_their_name(objects: LocalObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the name, with the directories on the way to it, before `put` returns."""
    done: list[str] = []
    for name in ("fsync", "link", "rename"):
        call = getattr(os, name)

        def noted(*args: Any, name: str = name, call: Callable[..., Any] = call, **kwargs: Any) -> Any:
            what = ""
            if name == "fsync":
                what = " directory" if stat.S_ISDIR(os.fstat(args[0]).st_mode) else " file"
            done.append(name + what)
            return call(*args, **kwargs)

        monkeypatch.setattr(os, name, noted)
    made = ["fsync directory"] * 3  # the store, a/, a/b/
    objects.put("a/b/c", b"1")
    assert done == [made[0], "fsync file", *made[1:], "rename", "fsync directory"]
    done.clear()
    objects.put("a/b/d", b"1", if_absent=True)
    assert done == ["fsync file", "link", "fsync directory"]
