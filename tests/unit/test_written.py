"""What code wrote: what a look sees of a tree, whatever is in it, and when it is looked."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from syla_jupyter.model.clock import SystemClock
from syla_jupyter.server.written import SAVED_MAX, Written
from syla_jupyter.workspaces.recent import DEPTH_MAX, NAMES_MAX, changed_since

CLOCK = SystemClock()
SECONDS = 30.0
A_TICK = 0.1  # longer than any kernel's, and than what a look allows for it


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """With something in it that is older than what a test does."""
    root = tmp_path / "tree"
    (root / "a" / "b").mkdir(parents=True)
    for path in ("old.txt", "a/old.txt", "a/b/old.txt"):
        (root / path).write_text("old")
    pass_a_tick(tmp_path)
    return root


def pass_a_tick(beside: Path) -> None:
    """Wait until the file system's clock says so."""
    probe, since = beside / "probe", time.time()
    while probe.touch() or probe.stat().st_ctime < since + A_TICK:
        assert time.time() < since + SECONDS


def look(root: Path, since: float, **more: object) -> list[str]:
    return sorted(changed_since(root, since, CLOCK, budget_seconds=SECONDS, **more).paths)  # type: ignore[arg-type]


CHANGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "nothing": (lambda tree: None, []),
    "a new file": (lambda tree: (tree / "out.csv").write_text("x"), ["out.csv"]),
    "one that is written": (lambda tree: (tree / "a/b/old.txt").write_text("x"), ["a/b/old.txt"]),
    "its times set back": (
        lambda tree: ((tree / "out.csv").write_text("x"), os.utime(tree / "out.csv", (1, 1))),
        ["out.csv"],
    ),
    "renamed": (lambda tree: (tree / "a/old.txt").rename(tree / "a/new.txt"), ["a/new.txt"]),
    "removed": (lambda tree: (tree / "a/old.txt").unlink(), ["a"]),
    "removed at the top": (lambda tree: (tree / "old.txt").unlink(), [""]),
    "an empty directory": (lambda tree: (tree / "c").mkdir(), ["c"]),
    "a directory with a file": (lambda tree: ((tree / "c").mkdir(), (tree / "c/x").touch()), ["c/x"]),
    "a link": (lambda tree: (tree / "link").symlink_to("/etc"), ["link"]),
    "a pipe": (lambda tree: os.mkfifo(tree / "pipe"), ["pipe"]),
    "hidden": (lambda tree: ((tree / ".git").mkdir(), (tree / ".git/x").touch(), (tree / ".x").touch()), []),
    "imports": (lambda tree: ((tree / "__pycache__").mkdir(), (tree / "__pycache__/x.pyc").touch()), []),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_seen(name: str, tree: Path, tmp_path: Path) -> None:
    change, expected = CHANGES[name]
    since = time.time()
    change(tree)
    assert look(tree, since) == expected
    pass_a_tick(tmp_path)
    assert look(tree, time.time()) == []


def test_what_is_left_out(tree: Path, tmp_path: Path) -> None:
    """Another workspace in the default one's directory, what this server saved, and all beyond a link."""
    since = time.time()
    outside = tmp_path / "outside"
    outside.mkdir()
    for path in ("workspaces/other/secret", "a/workspaces/x", "saved.ipynb", "new"):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).touch()
    (outside / "secret").touch()
    (tree / "a" / "out").symlink_to(outside)
    found = look(tree, since, barred="workspaces", known={"saved.ipynb"})
    assert found == ["a/out", "a/workspaces/x", "new"]
    assert look(tmp_path / "gone", since) == []
    os.rename(tree, tmp_path / "moved")
    tree.symlink_to(outside)
    assert look(tree, since) == []


def test_it_is_bounded(tree: Path) -> None:
    """In entries, in time, in depth and in names, whatever is in there; the top is seen first."""
    since = time.time()
    deep = tree
    for _ in range(DEPTH_MAX + 10):
        deep = deep / "d"
        deep.mkdir()
    (deep / "deep.txt").touch()
    for number in range(300):
        (tree / "a" / f"{number}.txt").touch()
    (tree / "top.txt").touch()
    found = changed_since(tree, since, CLOCK, budget_seconds=SECONDS)
    assert (found.count, len(found.paths), found.paths[0]) == (301, NAMES_MAX, "top.txt")
    some = changed_since(tree, since, CLOCK, entries_max=100, budget_seconds=SECONDS)
    assert 1 <= some.count < 100
    none = changed_since(tree, since, CLOCK, budget_seconds=0.0)
    assert none.count < 200


class Looks:
    def __init__(self) -> None:
        self.seen: list[tuple[str, float]] = []
        self.written = Written(CLOCK, lambda id, since: self.seen.append((id, since)))
        self.written.loop = asyncio.get_running_loop()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(SECONDS):
            while len(self.seen) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_it_looks_after_code_has_run() -> None:
    """From when that began, wherever it ran; once for much that ends at once; again for what ends later."""
    looks, began = Looks(), time.time()
    written = looks.written
    for number in range(100):
        written.runs("a", f"kernel {number}", True)
    for number in range(100):
        written.runs("a", f"kernel {number}", False)

    def request() -> None:
        with written.running("b"):
            pass

    thread = threading.Thread(target=request)
    thread.start()
    await looks.until(2)
    thread.join()
    assert sorted(id for id, _ in looks.seen) == ["a", "b"]
    assert all(began <= since <= time.time() for _, since in looks.seen)
    written.runs("a", "kernel 1", True)
    written.runs("a", "kernel 1", False)
    await looks.until(3)
    assert looks.seen[2][0] == "a"
    assert looks.seen[2][1] > max(since for id, since in looks.seen[:2] if id == "a")
    assert written._task is not None
    await asyncio.wait_for(written._task, SECONDS)  # nothing runs any more


async def test_what_still_runs_is_looked_for_again() -> None:
    """One ends while another goes on: what that writes later is told when it ends, from the first look on."""
    looks = Looks()
    looks.written.runs("a", "long", True)
    looks.written.runs("a", "short", True)
    looks.written.runs("a", "short", False)
    await looks.until(1)
    first = time.time()
    looks.written.runs("a", "long", False)
    await looks.until(2)
    assert looks.seen[0][1] < looks.seen[1][1] <= first


async def test_a_look_that_fails_stops_nothing() -> None:
    looks = Looks()

    def fails(id: str, since: float) -> None:
        looks.seen.append((id, since))
        raise OSError("gone")

    looks.written._look = fails
    for id in ("a", "b"):
        looks.written.runs(id, "k", True)
        looks.written.runs(id, "k", False)
    await looks.until(2)
    looks.written.runs("c", "k", False)  # it began before this server
    looks.written.stop()
    looks.written.runs("d", "k", True)
    assert {id for id, _ in looks.seen} == {"a", "b"}


def test_what_a_door_saved_is_known_for_a_while() -> None:
    written, began = Written(CLOCK, lambda id, since: None), time.time()
    for number in range(SAVED_MAX + 5):
        written.saved(f"{number}")
    assert len(written.saved_since(began)) == SAVED_MAX
    assert written.saved_since(time.time() + 1) == set()
