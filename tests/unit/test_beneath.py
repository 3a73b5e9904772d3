"""Walks below a directory: the same as the kernel's where it knows how, stricter where it does not."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syla_jupyter.server import paths
from syla_jupyter.server.beneath import Steps, find

OPENAT2, NO_MAGICLINKS, BENEATH = 437, 0x02, 0x08
NAMES = ("a", "b", "c", "d")
LIBC = ctypes.CDLL(None, use_errno=True)


class OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def kernels(top: int, path: str) -> int | tuple[int, int]:
    """What openat2(2) finds beneath `top`: (device, inode), or the error's number."""
    how = OpenHow(os.O_PATH | os.O_CLOEXEC, 0, BENEATH | NO_MAGICLINKS)
    fd = LIBC.syscall(OPENAT2, top, path.encode(), ctypes.byref(how), ctypes.sizeof(how))
    if fd < 0:
        return ctypes.get_errno()
    try:
        info = os.fstat(fd)
    finally:
        os.close(fd)
    return info.st_dev, info.st_ino


def ours(top: int, path: str, **options: object) -> int | tuple[int, int]:
    try:
        with find(top, path.split("/"), **options) as place:  # type: ignore[arg-type]
            info = place.stat()
    except OSError as exc:
        return exc.errno or 0
    return info.st_dev, info.st_ino


@pytest.fixture
def top(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


# A tree: each path is a directory, a file, or a link with a relative target.
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
TARGETS = st.lists(st.sampled_from((*NAMES, "..", ".", "")), min_size=1, max_size=5).map("/".join).filter(
    lambda text: text and not text.startswith("/")
)  # fmt: skip
TREES = st.lists(st.tuples(PATHS, st.one_of(st.just("dir"), st.just("file"), TARGETS)), min_size=4, max_size=14)


@settings(max_examples=300, deadline=None)
@given(TREES, st.lists(PATHS, min_size=1, max_size=8))
def test_a_walk_ends_where_the_kernels_does(tree: list[tuple[str, str]], asked: list[str]) -> None:
    """For any tree of directories, files and relative links: same file or same error as RESOLVE_BENEATH gives."""
    directory = Path(tempfile.mkdtemp())
    fds = len(os.listdir("/proc/self/fd"))
    try:
        for path, kind in tree:
            place = directory / path
            try:
                if kind == "dir":
                    place.mkdir(parents=True)
                elif kind == "file":
                    place.write_text(path)
                else:
                    place.symlink_to(kind)
            except OSError:
                continue  # something is in its way: the next one
        top = os.open(directory, os.O_PATH | os.O_DIRECTORY)
        try:
            for path in [*asked, *(path for path, _ in tree)]:
                assert ours(top, path) == kernels(top, path), path
        finally:
            os.close(top)
        assert len(os.listdir("/proc/self/fd")) == fds
    finally:
        shutil.rmtree(directory)


def test_absolute_links_are_read_as_inside(tmp_path: Path, top: int) -> None:
    """`/workspace/...` is the top, as the container sees it; any other absolute target leads out."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "file").write_text("x")
    info = (tmp_path / "d" / "file").stat()
    for target in ("/workspace/d/file", "//workspace//d/./file", "/workspace/d/../d/file"):
        (tmp_path / "link").symlink_to(target)
        assert ours(top, "link") == (info.st_dev, info.st_ino), target
        (tmp_path / "link").unlink()
    for target in (
        str(tmp_path / "d" / "file"),
        "/",
        "/workspaces",
        "/workspace/../workspace/d/file",
        "/proc/self/root",
    ):
        (tmp_path / "link").symlink_to(target)
        assert ours(top, "link") == errno.EXDEV, target
        (tmp_path / "link").unlink()


def test_a_barred_name_is_barred_at_the_top_only(tmp_path: Path, top: int) -> None:
    """The default workspace does not reach into `workspaces/`, however a link goes there; deeper it is a name."""
    (tmp_path / "workspaces" / "a").mkdir(parents=True)
    (tmp_path / "d" / "workspaces" / "a").mkdir(parents=True)
    for name, target in (("one", "workspaces/a"), ("two", "d/../workspaces/a"), ("three", "one"), ("d/four", "../one")):
        (tmp_path / name).symlink_to(target)
        assert ours(top, name, barred="workspaces") == errno.EXDEV, name
    assert ours(top, "workspaces/a", barred="workspaces") == errno.EXDEV
    assert isinstance(ours(top, "d/workspaces/a", barred="workspaces"), tuple)


def test_walks_are_bounded(tmp_path: Path, top: int) -> None:
    """Circles and link farms end with ELOOP after a known number of steps."""
    (tmp_path / "circle").symlink_to("circle")
    assert ours(top, "circle") == errno.ELOOP
    (tmp_path / "d").mkdir()
    (tmp_path / "l0").symlink_to("/".join(["d/.."] * 400) + "/d")
    for count in range(1, 30):  # each goes through the one before it many times
        (tmp_path / f"l{count}").symlink_to("/".join([f"l{count - 1}/.."] * 100) + f"/l{count - 1}")
    steps = Steps(2000)
    assert ours(top, "l29", steps=steps) == errno.ELOOP
    assert -50 < steps.left < 2000


@pytest.mark.parametrize(
    ("path", "top", "names"),
    [
        ("", (), ()),
        ("/", (), ()),
        ("a//b/./c/", (), ("a", "b", "c")),
        ("a/../b", (), ("b",)),
        ("workspaces", ("workspaces",), ()),
        ("workspaces/x", ("workspaces", "x"), ()),
        ("/workspaces//x/y", ("workspaces", "x"), ("y",)),
        ("a/../workspaces/x/../y/z", ("workspaces", "y"), ("z",)),
        ("a/workspaces/x", (), ("a", "workspaces", "x")),
        ("workspaces/x/../../a", (), ("a",)),
        ("Workspaces/x", (), ("Workspaces", "x")),
    ],
)
def test_what_a_path_names(path: str, top: tuple[str, ...], names: tuple[str, ...]) -> None:
    """API paths are read lexically, as Jupyter does, and fall into a workspace and names in it."""
    parsed = paths.parse(path)
    assert (parsed.top, parsed.names) == (top, names)


@pytest.mark.parametrize("path", ["..", "a/../..", "../a", "a\0b", "\ud800", "workspaces/.archived/1/x", "x/../../x"])
def test_what_names_nothing(path: str) -> None:
    """What leads above the root, cannot be a path, or is beside the workspaces is not found."""
    with pytest.raises(FileNotFoundError):
        paths.parse(path)


@given(st.lists(st.sampled_from(["a", "/", "/", ".", "..", "workspaces", "\n", "é"]), max_size=12).map("".join))
def test_no_path_leads_above(path: str) -> None:
    """Whatever is parsed has no `..` in it, and is parsed again to the same."""
    try:
        parsed = paths.parse(path)
    except FileNotFoundError:
        return
    assert not {"..", ".", ""} & {*parsed.top, *parsed.names}
    assert paths.parse(parsed.text) == parsed


def test_what_is_protected() -> None:
    """`workspaces/` and what is directly in it are made, renamed and deleted by `syla workspace` alone."""
    for path in ("workspaces", "workspaces/a", "x/../workspaces/a", "/workspaces/a/", "workspaces//a/."):
        assert "syla workspace" in paths.protected(path), path
    for path in ("", "a", "workspaces/a/b", "a/workspaces", "workspaces2"):
        assert paths.protected(path) == "", path
