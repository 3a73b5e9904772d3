"""Names that become links between two system calls: each operation on files, thousands of times, without a server.

And once with a real container as the attacker.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syla_jupyter.server.files import WorkspaceFiles
from syla_jupyter.server.tree import Allowance

from .conftest import Host
from .contents_server import SECRET, Served, flipping

SECONDS = 0.4
CONTAINER_SECONDS = 2.0
LONG_SECONDS = 20.0  # on a slow machine, until there was a race
Operation = Callable[[WorkspaceFiles, str], Any]


def rewrite(files: WorkspaceFiles, path: str) -> None:
    with files.rewriting(path, backup=True) as writer:
        os.write(writer, b"written by the attack")


def copied(files: WorkspaceFiles, path: str) -> str:
    """All that the copy has."""
    with contextlib.suppress(FileNotFoundError):
        files.remove("workspaces/a/copied")
    files.copy(path, "workspaces/a/copied", Allowance(1 << 20))
    top = Path(files.root) / "workspaces/a/copied"
    if top.is_symlink():
        return ""  # a link was copied as what it is
    return "".join(file.read_text() for file in (top, *top.rglob("*")) if file.is_file() and not file.is_symlink())


def moved(files: WorkspaceFiles, path: str) -> None:
    rewrite(files, "workspaces/a/mine.txt")
    files.rename("workspaces/a/mine.txt", path)


# What an operation returns must not have the secret in it; the others tell by what is there afterwards.
IN_DIRECTORY: dict[str, Operation] = {
    "list": lambda f, p: [entry.name for entry in f.entries(p)[0]],
    "read": lambda f, p: f.read(f"{p}/secret.txt"),
    "copy": copied,
    "copy a file": lambda f, p: copied(f, f"{p}/secret.txt"),
    "make a checkpoint": lambda f, p: f.overwrite(f"{p}/secret.txt", "workspaces/a/checkpoint"),
    "restore a checkpoint": lambda f, p: f.overwrite("workspaces/a/dir/inner.txt", f"{p}/secret.txt"),
    "save": lambda f, p: rewrite(f, f"{p}/secret.txt"),
    "save new": lambda f, p: (rewrite(f, f"{p}/new.txt"), f.remove(f"{p}/new.txt")),
    "append": lambda f, p: f.append(f"{p}/new.txt", b"x"),
    "make a directory": lambda f, p: f.make_directory(f"{p}/newdir"),
    "move in": lambda f, p: (moved(f, f"{p}/moved.txt"), f.remove(f"{p}/moved.txt")),
    "remove": lambda f, p: f.remove(f"{p}/inner.txt"),
    "remove a directory": lambda f, p: f.remove(f"{p}/dir"),
    "metadata": lambda f, p: SECRET if f.look(f"{p}/secret.txt").info.st_size == len(SECRET) else "",
}
ON_FILE: dict[str, Operation] = {
    "read": lambda f, p: f.read(p),
    "copy": copied,
    "make a checkpoint": lambda f, p: f.overwrite(p, "workspaces/a/checkpoint"),
    "restore a checkpoint": lambda f, p: f.overwrite("workspaces/a/dir/inner.txt", p),
    "save": rewrite,
    "append": lambda f, p: f.append(p, b"x"),
    "metadata": lambda f, p: SECRET if f.look(p).info.st_size == len(SECRET) else "",
}
ON_NOTHING: dict[str, Operation] = {
    "save": rewrite,
    "append": lambda f, p: f.append(p, b"x"),
    "make a checkpoint": lambda f, p: f.overwrite("workspaces/a/dir/inner.txt", p),
    "copy": lambda f, p: f.copy("workspaces/a/dir", p, Allowance(1 << 20)),
    "move": moved,
    "make a directory": lambda f, p: f.make_directory(p),
    "remove": lambda f, p: f.remove(p),
}


def attack(served: Served, one: Path, path: str, operation: Operation, how: str = "exchange") -> set[str]:
    """What came of it, by kind."""
    files, seen, before = WorkspaceFiles(str(served.root)), set(), served.around("a")
    with flipping(one, served.workspace("a") / "other", how):
        began = time.monotonic()
        while time.monotonic() - began < (SECONDS if len(seen) > 1 or how != "exchange" else LONG_SECONDS):
            try:
                answer = operation(files, path)
            except OSError as exc:
                seen.add(type(exc).__name__)
            else:
                seen.add("done")
                assert SECRET not in str(answer), answer
    assert served.around("a") == before
    assert not served.secrets_in("a")
    return seen


@pytest.fixture
def files_only(tmp_path: Path) -> Served:
    served = Served(tmp_path, 0)
    served.make()
    return served


@pytest.mark.parametrize("operation", IN_DIRECTORY)
def test_a_directory_that_becomes_a_link(files_only: Served, operation: str) -> None:
    """A directory and a link out of the workspace change places: what is done, is done in the directory or not at all."""
    mine = files_only.workspace("a")
    (mine / "flip" / "dir").mkdir(parents=True)
    for name in ("secret.txt", "inner.txt"):
        (mine / "flip" / name).write_text("mine")
    (mine / "other").symlink_to(files_only.outside)
    seen = attack(files_only, mine / "flip", "workspaces/a/flip", IN_DIRECTORY[operation])
    assert len(seen) > 1, f"always {seen}: there was no race"


@pytest.mark.parametrize("operation", ON_FILE)
def test_a_file_that_becomes_a_link(files_only: Served, operation: str) -> None:
    """The same with a file."""
    mine = files_only.workspace("a")
    (mine / "flip").write_text("mine")
    (mine / "other").symlink_to(files_only.outside / "secret.txt")
    seen = attack(files_only, mine / "flip", "workspaces/a/flip", ON_FILE[operation])
    assert len(seen) > 1, f"always {seen}: there was no race"


@pytest.mark.parametrize("operation", ON_NOTHING)
@pytest.mark.parametrize("target", ["secret.txt", "new.txt"])
def test_nothing_that_becomes_a_link(files_only: Served, operation: str, target: str) -> None:
    """A link that leads out is there and is not: what is made in its place is made here, or not at all."""
    mine = files_only.workspace("a")
    (mine / "flip").symlink_to(files_only.outside / target)
    attack(files_only, mine / "flip", "workspaces/a/flip", ON_NOTHING[operation], "to and fro")


def test_files_of_both_sides(hostile_host: Host) -> None:
    """What the server saves can be read and changed inside, and the other way round; a container that exchanges a
    directory for links to the host's files all the time makes the server read none of them."""
    root = hostile_host.directory()
    (root / "secret.txt").write_text(SECRET)
    workspace = root / "root" / "workspaces" / "w"
    workspace.mkdir(parents=True)
    server = WorkspaceFiles(str(root / "root"))
    with hostile_host.box(hostile_host.spec("rw", workspace)) as box:
        with server.rewriting("workspaces/w/made.txt", backup=True) as writer:
            os.write(writer, b"outside\n")
        server.make_directory("workspaces/w/dir")
        inside = "set -e; cat made.txt; echo inside >> made.txt; echo x > dir/file; ln -s /workspace/made.txt link; ls -ln made.txt"
        ended = box.run("sh", "-c", inside)
        assert ended.exit.code == 0, ended
        assert ended.out.startswith("outside\n")
        assert server.read("workspaces/w/link") == b"outside\ninside\n"
        server.overwrite("workspaces/w/made.txt", "workspaces/w/dir/file")
        server.rename("workspaces/w/dir/file", "workspaces/w/dir/moved")
        assert box.run("cat", "dir/moved").out == "outside\ninside\n"
        flip = (
            "import os, itertools\n"
            "os.makedirs('d'); open('d/secret.txt', 'w').write('mine'); os.symlink('../../..', 'l')\n"
            "print(1, flush=True)\n"
            "while True: os.rename('d', 'x'); os.rename('l', 'd'); os.rename('d', 'l'); os.rename('x', 'd')\n"
        )
        out_read, out_write = os.pipe()
        nothing = os.open(os.devnull, os.O_RDWR)
        process = box.workspace.start_command(
            ["python3", "-c", flip], cwd="/workspace", env={}, stdio=(nothing, out_write, nothing), tty=False
        )  # fmt: skip
        os.close(out_write)
        assert os.read(out_read, 1) == b"1"
        outcomes: set[Any] = set()
        began = time.monotonic()
        while time.monotonic() - began < (CONTAINER_SECONDS if len(outcomes) > 1 else LONG_SECONDS):
            try:
                outcomes.add(server.read("workspaces/w/d/secret.txt"))
            except OSError as exc:
                outcomes.add(exc.errno)
        process.signal(signal.SIGKILL)
        process.done.result(20)
        for fd in (out_read, nothing):
            os.close(fd)
        assert outcomes >= {b"mine"}
        assert len(outcomes) > 1
        assert SECRET.encode() not in outcomes
