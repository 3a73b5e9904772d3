"""The contents manager without a server: what it replaces, what it refuses to do without end, who may use it."""

from __future__ import annotations

import ast
import asyncio
import errno
import inspect
import os
import socket
import tempfile
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import jupyter_server.services.contents as upstream
import pytest
from jupyter_server.serverapp import ServerApp
from tornado.web import HTTPError

from syla_jupyter.server import files, tree
from syla_jupyter.server.checkpoints import WorkspaceCheckpoints
from syla_jupyter.server.contents import WorkspaceContentsManager, out_of_force
from syla_jupyter.server.downloads import WorkspaceFileHandler
from syla_jupyter.server.files import WorkspaceFiles

TOUCHING = {
    "os",
    "shutil",
    "open",
    "send2trash",
    "is_hidden",
    "is_file_hidden",
    "exists",
    "samefile",
    "run_sync",
    "Path",
}
TOUCHING |= {
    "asyncio",
    "tempfile",
    "ensure_dir_exists",
    "atomic_writing",
    "copy2_safe",
    "async_copy2_safe",
    "replace_file",
}
REVIEWED = {
    "save": "WorkspaceContentsManager.save calls the parents', which write by methods that are replaced",
    "_save_notebook": "writes by self.atomic_writing",
    "_save_file": "writes by self.atomic_writing",
    "_copy_dir": "called by the parent's copy() alone, which is replaced",
    "_get_dir_size": "called by check_folder_size() alone, that by the parent's copy(), which is replaced",
}
REVIEWED_CHECKPOINTS = {
    **dict.fromkeys(("open", "atomic_writing"), "called by the methods below alone"),
    **dict.fromkeys(
        ("_copy", "_read_file", "_read_notebook", "_save_file", "_save_notebook"), "called by nothing left"
    ),
    "_get_os_path": "called by nothing left",
    "_root_dir_default": "the server's own directory, at its start",
}

EMPTY = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture
def manager(tmp_path: Path) -> WorkspaceContentsManager:
    (tmp_path / "root").mkdir()
    return WorkspaceContentsManager(root_dir=str(tmp_path / "root"))


@pytest.fixture
def root(manager: WorkspaceContentsManager) -> Path:
    return Path(manager.root_dir)


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


# -- what is replaced --------------------------------------------------------------------------------------------


def names_in(function: Callable[..., object]) -> set[str]:
    found = ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function))))
    return {node.id for node in found if isinstance(node, ast.Name)}


@pytest.mark.parametrize(
    ("ours", "reviewed"), [(WorkspaceContentsManager, REVIEWED), (WorkspaceCheckpoints, REVIEWED_CHECKPOINTS)]
)
def test_no_door_of_the_parent_is_left_open(ours: type, reviewed: dict[str, str]) -> None:
    """Each method of Jupyter Server's manager that touches the disk is replaced, or reviewed and said why not."""
    seen = set()
    for parent in ours.__mro__:
        if not parent.__module__.startswith(upstream.__name__):
            continue
        for name, function in vars(parent).items():
            wrapped = inspect.unwrap(function) if callable(function) else None
            if not inspect.isfunction(wrapped) or not names_in(wrapped) & TOUCHING:
                continue
            seen.add(name)
            replaced = getattr(ours, name).__module__.startswith("syla_jupyter.")
            assert replaced or name in reviewed, f"{parent.__name__}.{name} touches the disk and is not replaced"
    assert set(reviewed) <= seen, "reviewed, but not there (any more)"
    assert len(seen) > 8


def test_whether_it_is_in_force(manager: WorkspaceContentsManager, root: Path) -> None:
    """A server can find out that another manager, other checkpoints or another download handler were configured."""
    assert out_of_force(manager) == ""
    assert "contents_manager_class" in out_of_force(upstream.largefilemanager.AsyncLargeFileManager(root_dir=str(root)))
    handler = upstream.manager.FilesHandler
    other = WorkspaceContentsManager(root_dir=str(root), files_handler_class=handler)
    assert "files_handler_class" in out_of_force(other)
    checkpoints = upstream.filecheckpoints.AsyncFileCheckpoints
    assert "checkpoints_class" in out_of_force(
        WorkspaceContentsManager(root_dir=str(root), checkpoints_class=checkpoints)
    )
    assert issubclass(manager.files_handler_class, WorkspaceFileHandler)
    (root / "d").mkdir()
    elsewhere = WorkspaceContentsManager(root_dir=str(root / "d"), parent=ServerApp(root_dir=str(root)))
    assert "root_dir" in out_of_force(elsewhere)


async def test_the_trash_is_never_used(root: Path) -> None:
    """Whatever is configured, a deleted directory is gone, with what is in it."""
    manager = WorkspaceContentsManager(root_dir=str(root), delete_to_trash=True)
    assert manager.delete_to_trash is False
    (root / "d" / "e").mkdir(parents=True)
    await manager.delete("d")
    assert names(root) == []


# -- bounds ------------------------------------------------------------------------------------------------------


async def test_a_long_listing_is_cut(
    manager: WorkspaceContentsManager, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory with more entries than a listing may have is listed in part, and says so."""
    monkeypatch.setattr(files, "LIST_MAX", 100)
    for count in range(101):
        (root / f"f{count}").touch()
    model = await manager.get("")
    assert len(model["content"]) == 100
    assert model["truncated"] is True
    (root / "f0").unlink()
    assert "truncated" not in await manager.get("")


async def test_listing_a_link_farm_is_bounded(
    manager: WorkspaceContentsManager, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links that take many steps each cannot make a listing take for ever; what is left over is not followed."""
    monkeypatch.setattr(files, "LIST_STEPS_MAX", 5_000)
    (root / "d").mkdir()
    for count in range(50):
        (root / f"l{count}").symlink_to("d/../" * 200 + "d")
    listed = [row["name"] for row in (await manager.get(""))["content"] if row["type"] == "directory"]
    assert "d" in listed
    assert 2 < len(listed) < 20  # of 51


async def test_what_grows_or_is_too_large(manager: WorkspaceContentsManager, root: Path) -> None:
    """A file that is too large to be read as a whole is refused, is saved over without a copy, and copies as holes."""
    with (root / "big").open("wb") as file:
        file.truncate(20 << 30)
    with pytest.raises(HTTPError, match="too large") as refused:
        await manager.get("big")
    assert refused.value.status_code == 413
    assert (await manager.get("big", content=False))["size"] == 20 << 30
    copied = await manager.copy("big")
    assert copied["size"] == 20 << 30
    assert (root / copied["path"]).stat().st_blocks < 1000
    await manager.save({"type": "file", "format": "text", "content": "small"}, "big")
    assert (root / "big").read_text() == "small"
    assert names(root) == ["big", "big-Copy1"]


async def test_a_deep_tree(manager: WorkspaceContentsManager, root: Path) -> None:
    """Directories nested too deeply are refused with a way out, by copying and deleting; nothing is left of a copy."""
    here = os.open(root, os.O_RDONLY)
    for _ in range(tree.DEPTH_MAX + 10):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    for action in (manager.delete("d"), manager.copy("d", "")):
        with pytest.raises(HTTPError, match="nested too deeply. Use a terminal") as refused:
            await action
        assert refused.value.status_code == 400
    assert names(root) == ["d"]


async def test_a_copy_is_bounded(manager: WorkspaceContentsManager, root: Path) -> None:
    """A tree that is larger than may be copied, or that would be copied into itself, leaves nothing."""
    manager.max_copy_folder_size_mb = 1
    (root / "d").mkdir()
    (root / "d" / "f").write_bytes(b"x" * (2 << 20))
    with pytest.raises(HTTPError, match="larger than"):
        await manager.copy("d", "")
    (root / "d" / "f").write_bytes(b"x")
    with pytest.raises(HTTPError):
        await manager.copy("d", "d")
    assert names(root) == ["d"]
    assert names(root / "d") == ["f"]


# -- saving ------------------------------------------------------------------------------------------------------


def test_a_failed_save_changes_nothing(root: Path) -> None:
    """When writing fails, the file is what it was, a new one is not there, and no backup is left."""
    (root / "old").write_text("before")
    for name in ("old", "new"):
        with pytest.raises(RuntimeError), WorkspaceFiles(str(root)).rewriting(name, backup=True) as writer:
            os.write(writer, b"half")
            raise RuntimeError
    assert {path.name: path.read_text() for path in root.iterdir()} == {"old": "before"}


async def test_a_save_that_was_killed(manager: WorkspaceContentsManager, root: Path) -> None:
    """A notebook that a killed save left in pieces is read from the backup beside it."""
    await manager.new({"type": "notebook"}, "n.ipynb")
    (root / ".~n.ipynb").write_bytes((root / "n.ipynb").read_bytes())
    (root / "n.ipynb").write_text('{"cells": [')
    assert (await manager.get("n.ipynb"))["content"]["cells"] == []
    assert (root / "n.ipynb.invalid").read_text() == '{"cells": ['


async def test_a_save_keeps_the_file(manager: WorkspaceContentsManager, root: Path) -> None:
    """Saving over a file keeps its inode, its mode and its hard links."""
    (root / "f").write_text("before")
    (root / "f").chmod(0o640)
    os.link(root / "f", root / "g")
    await manager.save({"type": "file", "format": "text", "content": "after"}, "f")
    assert (root / "g").read_text() == "after"
    assert (root / "f").stat().st_mode & 0o777 == 0o640


async def test_a_save_is_never_seen_empty(manager: WorkspaceContentsManager, root: Path) -> None:
    """Whoever reads a notebook while it is made longer and shorter, again and again, finds something in it."""
    await manager.new({"type": "notebook"}, "n.ipynb")
    model, sizes, ended = await manager.get("n.ipynb"), set[int](), threading.Event()

    def look() -> None:
        while not ended.is_set():
            sizes.add((root / "n.ipynb").stat().st_size)

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for n in range(40):
            model["content"]["metadata"]["text"] = "x" * (n % 2) * 500_000
            await manager.save(dict(model), "n.ipynb")
    finally:
        ended.set()
        reader.join()
    assert min(sizes) > 0
    assert max(sizes) > 500_000


async def test_two_saves_at_once(manager: WorkspaceContentsManager, root: Path) -> None:
    """They come one after the other: the file is what one of them wrote, and no backup is left."""
    texts = ["a" * 3_000_000, "b" * 2_000_000, "c"]
    (root / "f").write_text("before")
    for _ in range(5):
        saves = [manager.save({"type": "file", "format": "text", "content": text}, "f") for text in texts]
        await asyncio.gather(*saves, manager.save({"type": "notebook", "content": EMPTY}, "n.ipynb"))
        found = (root / "f").read_text()
        assert any(found == text for text in texts), f"a mixture of {len(found)} characters"
        assert set(names(root)) <= {"f", "n.ipynb", ".ipynb_checkpoints"}


async def test_a_file_that_is_its_own_checkpoint(manager: WorkspaceContentsManager, root: Path) -> None:
    """A hard link in a checkpoint's place does not empty the file."""
    (root / ".ipynb_checkpoints").mkdir()
    (root / "f.txt").write_text("kept")
    os.link(root / "f.txt", root / ".ipynb_checkpoints" / "f-checkpoint.txt")
    await manager.create_checkpoint("f.txt")
    await manager.restore_checkpoint("checkpoint", "f.txt")
    assert (root / "f.txt").read_text() == "kept"


# -- what is left out --------------------------------------------------------------------------------------------


async def test_special_files(manager: WorkspaceContentsManager, root: Path) -> None:
    """Pipes and sockets are not listed, read, written or copied; they can be deleted."""
    (root / "d").mkdir()
    os.mkfifo(root / "d" / "pipe")
    (root / "d" / "link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "d" / "socket"))
    assert (await manager.get("d"))["content"] == []
    for name in ("pipe", "link", "socket"):
        for action in (
            manager.get(f"d/{name}"),
            manager.save({"type": "file", "format": "text", "content": ""}, f"d/{name}"),
            manager.create_checkpoint(f"d/{name}"),
            manager.copy(f"d/{name}"),
        ):
            with pytest.raises(HTTPError, match="not a regular file"):
                await action
    assert (await manager.copy("d", ""))["path"] == "d-Copy1"
    assert names(root / "d-Copy1") == [".ipynb_checkpoints", "link"]
    await manager.delete("d")
    assert not (root / "d").exists()


async def test_impossible_times() -> None:
    """A time that no calendar has, which a process inside may give its files, is shown as the epoch."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:  # a file system that keeps such times
        path = f"{directory}/f"
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        os.utime(path, (0, 300_000_000_000))
        model = await WorkspaceContentsManager(root_dir=directory).get("f")
    assert model["last_modified"].year == 1970


async def test_resolve_path(manager: WorkspaceContentsManager, root: Path) -> None:
    """Paths of this machine are resolved where they lie below the root, and nothing is told of others."""
    (root / "d").mkdir()
    assert manager.resolve_path(str(root / "d")) == "d"
    assert manager.resolve_path("d") == "d"
    (root.parent / "root2").touch()  # not below the root, for all that its name begins alike
    (root / "2").touch()
    for path in (f"{root}2", "/etc/passwd", "../root/d", "~/.bashrc", "~", "~root", "d/../../x", "x\0y"):
        assert manager.resolve_path(path) is None, path


def test_another_file_system(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Moving to another file system copies and removes; a pipe, which cannot be copied, stays."""
    (root / "d").mkdir()
    (root / "d" / "f").write_text("x")
    os.mkfifo(root / "pipe")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    moving = WorkspaceFiles(str(root))
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse)
        moving.rename("d", "e")
        with pytest.raises(OSError, match="not a regular file"):
            moving.rename("pipe", "pipe2")
    assert (root / "e" / "f").read_text() == "x"
    assert names(root) == ["e", "pipe"]


def test_the_root_itself(root: Path) -> None:
    """No spelling of the root can be removed, moved or replaced."""
    (root / "f").touch()
    for path in ("", "/", "f/..", "."):
        for action in (
            lambda path=path: WorkspaceFiles(str(root)).remove(path),
            lambda path=path: WorkspaceFiles(str(root)).rename(path, "x"),
            lambda path=path: WorkspaceFiles(str(root)).rename("f", path, replace=True),
        ):
            with pytest.raises(OSError) as refused:
                action()
            assert refused.value.errno == errno.EBUSY
    assert (root / "f").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests are this test where the caller is not root")
def test_as_an_ordinary_user(root: Path) -> None:
    """An ordinary user's server reads, saves, lists, renames and deletes what is the user's, and no more."""
    for directory in root.parents[: -len(Path(tempfile.gettempdir()).parts)]:
        directory.chmod(0o755)
    os.chown(root, 65534, 65534)
    (root / "roots").write_text("x")
    (root / "roots").chmod(0o600)
    child = os.fork()
    if child == 0:
        try:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            ordinary = WorkspaceFiles(str(root))
            with ordinary.rewriting("mine", backup=True) as writer:
                os.write(writer, b"1")
            with ordinary.rewriting("mine", backup=True) as writer:
                os.write(writer, b"22")
            ordinary.make_directory("d")
            ordinary.rename("mine", "d/mine")
            assert ordinary.read("d/mine") == b"22"
            assert {(e.name, e.writable) for e in ordinary.entries("")[0]} == {("d", True), ("roots", False)}
            for action in (ordinary.read, lambda path: ordinary.append(path, b"")):
                with pytest.raises(PermissionError):
                    action("roots")
            ordinary.remove("d")
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
