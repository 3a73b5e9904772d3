"""Links, pipes and races in a workspace against every door to files of a real Jupyter server.

No answer has the secret in it, nothing outside of the attacker's workspace changes, and no answer is kept waiting.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_server.files.handlers import default_handlers as files_doors
from jupyter_server.nbconvert.handlers import default_handlers as nbconvert_doors
from jupyter_server.services.contents.handlers import default_handlers as contents_doors
from jupyter_server.view.handlers import default_handlers as view_doors

from .contents_server import (
    JUPYTERS,
    NOTEBOOK,
    ON_THE_LINK,
    READING,
    TEXT,
    WRITING,
    Served,
    flipping,
    notebook,
    serving,
)

DOORS = READING | WRITING | ON_THE_LINK
RACE_SECONDS, LONG_RACE_SECONDS = 1.5, 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("contents") / "base") as served:
        yield served


@pytest.fixture
def served(server: Served) -> Served:
    """With files as new."""
    server.make()
    return server


def race_goes_on(began: float, *, won_by_both: bool) -> bool:
    """For a while, and on a slow machine until there was a race."""
    return time.monotonic() - began < (RACE_SECONDS if won_by_both else LONG_RACE_SECONDS)


def prefixed(workspace: str, path: str) -> str:
    return f"workspaces/{workspace}/{path}".rstrip("/") if workspace else path


# -- links that lead out -----------------------------------------------------------------------------------------

# Where the attacker is -> {name of a link: its target}; {base} is the directory above the root.
UP = {"a": "../../../outside", "": "../outside"}
ESCAPES: dict[str, dict[str, str]] = {
    "a": {
        "relative dir": UP["a"],
        "relative.txt": f"dir/../{UP['a']}/secret.txt",
        "relative.ipynb": f"{UP['a']}/secret.ipynb",
        "absolute dir": "{base}/outside",
        "absolute.txt": "{base}/outside/secret.txt",
        "by proc": "/proc/self/root{base}/outside",
        "from inside": "/workspace/../outside",
        "chained dir": "relative dir",
        "chained.ipynb": "chained dir/secret.ipynb",
        "dangling": f"{UP['a']}/new.txt",
        "other workspace": "../b",
        "other workspace.txt": "../b/secret.txt",
        "default workspace": "../../",
        "all workspaces": "..",
        "there and back": "../a/dir",
    },
    "": {
        "relative dir": UP[""],
        "absolute.txt": "{base}/outside/secret.txt",
        "chained.ipynb": "relative dir/secret.ipynb",
        "dangling": "{base}/outside/new.txt",
        "a workspace": "workspaces/b",
        "a workspace.txt": "dir/../workspaces/b/secret.txt",
        "a workspace.ipynb": "/workspace/workspaces/b/secret.ipynb",
        "as the host says": "{base}/root/workspaces/b",
        "all workspaces": "workspaces",
    },
}


@pytest.mark.parametrize("workspace", ["a", ""], ids=["workspace", "default"])
def test_no_link_leads_out(served: Served, workspace: str) -> None:
    """Each kind of link that leads out × each door: refused, no secret in the answer, nothing changed outside."""
    mine = served.workspace(workspace)
    for name, target in ESCAPES[workspace].items():
        (mine / name).symlink_to(target.format(base=served.base))
    here = prefixed(workspace, "")
    before = served.around(workspace)
    for name in ESCAPES[workspace]:
        for door, through in (READING | WRITING).items():
            (mine / "mine.txt").write_text("mine")
            answer = through(served, prefixed(workspace, name), here)
            assert not answer.leaks, (name, door, answer)
            # Moving over a link is refused because there is something; listing checkpoints finds none.
            assert 400 <= answer.status < 500 or answer.body == b"[]", (name, door, answer)
            assert (mine / name).is_symlink(), (name, door)
    assert served.around(workspace) == before
    assert not workspace or not served.secrets_in(workspace)
    assert (mine / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("workspace", ["a", ""], ids=["workspace", "default"])
def test_a_link_that_leads_out_can_be_managed(served: Served, workspace: str) -> None:
    """Such a link is listed, renamed and deleted as what it is; what it leads to stays."""
    mine = served.workspace(workspace)
    here = prefixed(workspace, "")
    for name, target in ESCAPES[workspace].items():
        (mine / name).symlink_to(target.format(base=served.base))
    answer = served.contents("GET", here)
    rows = {row["name"]: row for row in answer.json["content"]}
    assert not workspace or not answer.leaks  # the default workspace is where some of the secrets are
    assert set(ESCAPES[workspace]) <= set(rows)
    before = served.around(workspace)
    for name in ESCAPES[workspace]:
        assert rows[name]["type"] in ("file", "notebook")
        assert rows[name]["writable"] is False
        assert ON_THE_LINK["metadata"](served, prefixed(workspace, name), here).json == rows[name]
        assert ON_THE_LINK["rename"](served, prefixed(workspace, name), here).status == 200
        assert (mine / "renamed").is_symlink()
        assert ON_THE_LINK["delete"](served, prefixed(workspace, "renamed"), here).status == 204
        assert not (mine / "renamed").is_symlink()
    assert served.around(workspace) == before


@pytest.mark.parametrize("workspace", ["a", ""], ids=["workspace", "default"])
def test_checkpoints_that_lead_out(served: Served, workspace: str) -> None:
    """A link in the place of the checkpoints' directory, or of one of them, is not followed out either."""
    mine = served.workspace(workspace)
    path = prefixed(workspace, "secret.txt")
    (mine / "secret.txt").write_text("mine")
    before = served.around(workspace)
    for target, name in (
        (f"{UP[workspace]}/.ipynb_checkpoints", ""),
        (f"../{UP[workspace]}/secret.txt", "secret-checkpoint.txt"),
    ):
        subprocess.run(["rm", "-rf", mine / ".ipynb_checkpoints"], check=True)
        link = mine / ".ipynb_checkpoints" / name if name else mine / ".ipynb_checkpoints"
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(target)
        for verb, tail in (("GET", ""), ("POST", ""), ("POST", "/checkpoint"), ("DELETE", "/checkpoint")):
            answer = served.contents(verb, f"{path}/checkpoints{tail}")
            assert 400 <= answer.status < 500 or answer.body == b"[]", (verb, tail, answer)
            assert (mine / "secret.txt").read_text() == "mine"
        answer = served.contents("PUT", prefixed(workspace, "secret.ipynb"), NOTEBOOK)
        assert not answer.leaks
        assert served.contents("PATCH", path, {"path": prefixed(workspace, "moved.txt")}).status == 200
        (mine / "moved.txt").rename(mine / "secret.txt")
    assert served.around(workspace) == before


def test_every_door_is_tried() -> None:
    """Each verb of each handler for files of Jupyter Server is among the doors above; a new one fails here."""
    registered = [*contents_doors, *files_doors, *view_doors, *nbconvert_doors]
    found = {
        f"{handler.__name__}.{verb}"
        for _, handler, *_ in registered
        for verb in ("get", "head", "post", "put", "patch", "delete")
        if verb in vars(handler)
    }
    assert found == {
        *(f"ContentsHandler.{verb}" for verb in ("get", "post", "put", "patch", "delete")),
        *(f"CheckpointsHandler.{verb}" for verb in ("get", "post")),
        *(f"ModifyCheckpointsHandler.{verb}" for verb in ("post", "delete")),
        "TrustNotebooksHandler.post",
        "ViewHandler.get",
        "NbconvertFileHandler.get",
        "NbconvertPostHandler.post",  # converts what is sent
        *(f"NotebooksRedirectHandler.{verb}" for verb in ("get", "post", "put", "patch", "delete")),  # to the above
    }


def test_the_attack_works_on_jupyters_own_manager(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same links and doors do reach the secret where nothing holds them: this suite can fail."""
    with serving(tmp_path_factory.mktemp("contents") / "base", JUPYTERS) as served:
        (served.workspace("a") / "link").symlink_to(UP["a"])
        (served.workspace("a") / "mine.txt").write_text("mine")
        for door in ("get inside", "copy inside", "files inside"):
            answer = READING[door](served, "workspaces/a/link", "workspaces/a")
            assert answer.leaks or door != "get inside", answer
        assert WRITING["save inside"](served, "workspaces/a/link", "workspaces/a").status == 200
        assert (served.outside / "inner.txt").exists()


# -- links that stay inside --------------------------------------------------------------------------------------


@pytest.mark.parametrize("workspace", ["a", ""], ids=["workspace", "default"])
def test_links_inside_work(served: Served, workspace: str) -> None:
    """Files and directories behind links that stay in the workspace are read, saved and listed; the links stay."""
    mine = served.workspace(workspace)
    (mine / "dir" / "n.ipynb").write_text(notebook("mine"))
    (mine / "dir" / "f.txt").write_text("mine")
    links = {
        "rel.txt": "dir/f.txt",
        "abs.txt": "/workspace/dir/f.txt",
        "dirlink": "dir",
        "dir/up": "..",
        "new.txt": "dir/new.txt",
    }
    links["chain"] = "dirlink/up/dirlink"
    for name, target in links.items():
        (mine / name).symlink_to(target)
    for path in ("rel.txt", "abs.txt", "dirlink/f.txt", "dir/up/chain/f.txt"):
        full = prefixed(workspace, path)
        assert served.contents("GET", full).json["content"] == "mine"
        assert served.ask("GET", f"/files/{full}").body == b"mine"
        assert served.contents("PUT", full, {**TEXT, "content": "changed"}).status == 200
        assert (mine / "dir" / "f.txt").read_text() == "changed"
        (mine / "dir" / "f.txt").write_text("mine")
    assert served.contents("PUT", prefixed(workspace, "new.txt"), TEXT).status == 201
    assert (mine / "dir" / "new.txt").read_text() == TEXT["content"]
    assert served.contents("PUT", prefixed(workspace, "chain/m.ipynb"), NOTEBOOK).status in (
        200,
        201,
        400,
    )
    assert served.contents("POST", prefixed(workspace, "chain/n.ipynb/checkpoints")).status == 201
    assert (mine / "dir" / ".ipynb_checkpoints" / "n-checkpoint.ipynb").exists()
    assert served.ask("GET", f"/nbconvert/html/{prefixed(workspace, 'dirlink/n.ipynb')}").status == 200
    rows = {row["name"]: row["type"] for row in served.contents("GET", prefixed(workspace, "")).json["content"]}
    assert {rows[name] for name in ("rel.txt", "abs.txt")} == {"file"}
    assert {rows[name] for name in ("dirlink", "chain")} == {"directory"}
    assert served.contents("DELETE", prefixed(workspace, "dirlink")).status == 204
    assert served.contents(
        "PATCH", prefixed(workspace, "rel.txt"), {"path": prefixed(workspace, "dir/rel.txt")}
    ).status in (200, 404)
    assert (mine / "dir" / "f.txt").read_text() == "mine"
    assert os.readlink(mine / "dir" / "rel.txt") == "dir/f.txt"


def test_between_workspaces(served: Served) -> None:
    """Copying and moving from one workspace to another is possible; links in what is copied stay links."""
    (served.workspace("a") / "dir" / "out").symlink_to(UP["a"])
    (served.workspace("a") / "dir" / "in").symlink_to("inner.txt")
    assert served.contents("POST", "workspaces/b", {"copy_from": "workspaces/a/dir"}).status == 201
    copied = served.workspace("b") / "dir-Copy1"
    assert (copied / "inner.txt").read_text() == "mine"
    assert {name: os.readlink(copied / name) for name in ("in", "out")} == {"in": "inner.txt", "out": UP["a"]}
    assert served.contents("PATCH", "workspaces/b/dir-Copy1/inner.txt", {"path": "moved.txt"}).status == 200
    assert (served.root / "moved.txt").read_text() == "mine"


def test_workspaces_themselves_are_protected(served: Served) -> None:
    """A workspace's directory, and the one that holds them, cannot be made, moved or deleted; the answer says how."""
    before = served.around("-")
    for path in ("workspaces", "workspaces/a", "dir/../workspaces/a", "workspaces/a/."):
        for answer in (
            served.contents("DELETE", path),
            served.contents("PATCH", path, {"path": "elsewhere"}),
            served.contents("PATCH", path, {"path": "workspaces/c"}),
        ):
            assert answer.status == 403, (path, answer)
            assert "syla workspace" in answer.json["message"]
    for answer in (
        served.contents("PUT", "workspaces/new", {"type": "directory"}),
        served.contents("PUT", "workspaces/new", TEXT),
        served.contents("PUT", "workspaces/new.txt", {**TEXT, "chunk": 2}),
        served.contents("PATCH", "dir", {"path": "workspaces/new"}),
        served.contents("POST", "workspaces", {"copy_from": "dir"}),
        served.contents("POST", "workspaces", {"copy_from": "secret.ipynb"}),
        served.contents("POST", "workspaces", {"type": "directory"}),
        served.contents("DELETE", "workspaces/a/.."),
        served.contents("DELETE", "dir/.."),
        served.contents("PATCH", "dir/..", {"path": "x"}),
    ):
        assert 400 <= answer.status < 500, answer
    assert served.around("-") == before
    (served.root / "workspaces" / "file.txt").write_text("x")
    (served.root / "workspaces" / "link").symlink_to("../../outside")
    (served.root / "workspaces" / ".archived" / "1").mkdir(parents=True)
    assert {row["name"] for row in served.contents("GET", "workspaces").json["content"]} == {"a", "b"}
    for path in ("workspaces/link", "workspaces/link/secret.txt", "workspaces/file.txt", "workspaces/.archived/1"):
        assert served.contents("GET", path).status in (403, 404)


# -- races -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("doors", [READING, WRITING], ids=["reading", "writing"])
@pytest.mark.parametrize("what", ["directory", "file"])
def test_exchanged_while_requests_run(served: Served, doors: dict[str, object], what: str) -> None:
    """A directory (or file) and a link out of the workspace change places all the time: each answer is one or the
    other's, the secret is in none, nothing is written outside, and no answer is an error of the server."""
    mine = served.workspace("a")
    (mine / "flip").mkdir()
    if what == "directory":
        (mine / "flip" / "dir").mkdir()
        (mine / "flip" / "secret.txt").write_text("mine")
        (mine / "other").symlink_to(UP["a"])
        one, path = mine / "flip", "workspaces/a/flip"
    else:
        (mine / "flip" / "f").write_text("mine")
        (mine / "other").symlink_to(served.outside / "secret.txt")
        one, path = mine / "flip" / "f", "workspaces/a/flip/f"
    before = served.around("a")
    statuses: set[int] = set()
    with flipping(one, mine / "other"):
        began = time.monotonic()
        while race_goes_on(began, won_by_both=len({status // 100 for status in statuses}) > 1):
            for name, through in doors.items():
                with contextlib.suppress(OSError):  # where it is the link just now
                    (mine / "mine.txt").write_text("mine")
                answer = through(served, path, "workspaces/a")  # type: ignore[operator]
                statuses.add(answer.status)
                assert not answer.leaks, (name, answer)
                assert answer.status < 500, (name, answer)
    assert {status // 100 for status in statuses} == {2, 4}, "the race was never won by both"
    assert served.around("a") == before
    assert not served.secrets_in("a")


def test_deleting_while_it_is_exchanged(served: Served) -> None:
    """A tree whose directories turn into links while it is deleted or copied takes nothing from outside with it."""
    mine = served.workspace("a")
    before = served.around("a")
    (mine / "other").symlink_to(UP["a"])
    until = time.monotonic() + RACE_SECONDS
    while time.monotonic() < until:
        for number in range(20):
            (mine / "tree" / f"d{number}" / "flip").mkdir(parents=True, exist_ok=True)
            (mine / "tree" / f"d{number}" / "flip" / "f").write_text("mine")
        with flipping(mine / "tree" / "d10", mine / "other"):
            answers = [
                served.contents("POST", "workspaces/a", {"copy_from": "workspaces/a/tree"}),
                served.contents("DELETE", "workspaces/a/tree"),
            ]
        for answer in answers:
            assert answer.status < 500, answer
        assert not served.secrets_in("a")
        subprocess.run(["rm", "-rf", mine / "tree", mine / "other", *mine.glob("tree-Copy*")], check=True)
        (mine / "other").symlink_to(UP["a"])
    assert served.around("a") == before


# -- names, pipes, devices, leases -------------------------------------------------------------------------------


def test_odd_names(served: Served) -> None:
    """Names with anything in them are listed, read, renamed and deleted; what a URL cannot say is left out."""
    mine = served.workspace("a")
    names = [
        "new\nline",
        " ",
        "  lead",
        "%2e%2e",
        "%00",
        "a\\b",
        "quote'\"",
        "<b>",
        "\u00e9",
        "e\u0301",
        "\u202egnp.txt",
        "-rf",
        "*?",
        "x" * 255,
        "...",
        "~",
        "{0}",
        "%s",
    ]
    for name in names:
        (mine / name).write_text("mine")
    Path(os.fsdecode(os.fsencode(mine) + b"/not\xffutf8")).write_text("mine")
    Path(os.fsdecode(os.fsencode(mine) + b"/link\xff")).symlink_to(b"../b/secret.txt".decode())
    rows = {row["name"] for row in served.contents("GET", "workspaces/a").json["content"]}
    assert {name for name in names if not name.startswith((".", "~")) and not name.endswith("~")} <= rows
    assert not any("utf8" in name or "link" in name for name in rows)
    for name in names:
        path = f"workspaces/a/{name}"
        hidden = name.startswith(".")
        assert served.contents("GET", path).status == (404 if hidden else 200), name
        if not hidden:
            assert served.contents("PATCH", path, {"path": "workspaces/a/plain"}).status == 200, name
            assert served.contents("PATCH", "workspaces/a/plain", {"path": path}).status == 200, name
            assert served.contents("DELETE", path).status == 204, name
            assert not (mine / name).exists()
    for bad in ("workspaces/a/x\0y", "workspaces/a/\udcff", "\ud800", "../../outside/secret.txt"):
        for answer in (
            served.contents("PATCH", "workspaces/a/secret.txt", {"path": bad}),
            served.contents("POST", "workspaces/a", {"copy_from": bad}),
        ):
            assert 400 <= answer.status < 500, (bad, answer)
    for raw in (
        "%00",
        "x%00y",
        "..%2f..%2foutside/secret.txt",
        "%2e%2e/%2e%2e/outside/secret.txt",
        "%ff",
        "workspaces/a/%2e%2e/b/../../../outside/secret.txt",
    ):
        for start in ("/api/contents/", "/files/", "/view/", "/nbconvert/html/"):
            answer = served.ask("GET", start + raw)
            assert not answer.leaks
            assert 400 <= answer.status < 500, (start, raw, answer)


def test_pipes_sockets_and_devices(served: Served) -> None:
    """What is no file is answered at once through every door, and never opened."""
    mine = served.workspace("a")
    os.mkfifo(mine / "pipe")
    os.mkfifo(mine / "pipe.ipynb")
    os.mkfifo(mine / ".ipynb_checkpoints" / "pipe-checkpoint")
    (mine / "linked").symlink_to("pipe")
    specials = ["linked", "pipe", "pipe.ipynb", "socket"]
    listening = socket.socket(socket.AF_UNIX)
    directory = os.open(mine, os.O_PATH)
    listening.bind(f"/proc/self/fd/{directory}/socket")
    os.close(directory)
    with contextlib.suppress(PermissionError):
        os.mknod(mine / "device", 0o666 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero
        specials.append("device")
    assert not {"pipe", "pipe.ipynb", "linked", "socket", "device"} & {
        row["name"] for row in served.contents("GET", "workspaces/a").json["content"]
    }
    opened = threading.Event()
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):  # ENXIO: nobody reads
                os.close(os.open(mine / "pipe", os.O_WRONLY | os.O_NONBLOCK))
                opened.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for name in specials:
            for door, through in (READING | WRITING).items():
                (mine / "mine.txt").write_text("mine")
                answer = through(served, f"workspaces/a/{name}", "workspaces/a")
                assert 400 <= answer.status < 500 or answer.body == b"[]", (name, door, answer)
            assert served.contents("DELETE", f"workspaces/a/{name}").status == 204
            assert not (mine / name).exists()
            if name == "pipe":
                over.set()
    finally:
        over.set()
        writer.join()
        listening.close()
    assert not opened.is_set(), "the server opened a pipe"


HOLD = """
import fcntl, signal, sys, time
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = open(sys.argv[1])
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lease_makes_nobody_wait(served: Served) -> None:
    """A process that holds a lease on a file, and does not give it back, makes no request wait for it."""
    path = served.workspace("a") / "leased.txt"
    path.write_text("mine")
    holder = subprocess.Popen(
        [sys.executable, "-I", "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        began = time.monotonic()
        answers = [
            served.contents("GET", "workspaces/a/leased.txt"),
            served.ask("GET", "/files/workspaces/a/leased.txt"),
            served.contents("PUT", "workspaces/a/leased.txt", TEXT),
            served.contents("POST", "workspaces/a", {"copy_from": "workspaces/a/leased.txt"}),
        ]
        assert {answer.status for answer in answers} == {409}, answers
        assert time.monotonic() - began < 30  # the kernel's patience is 45 s
    finally:
        holder.communicate()
    assert served.contents("GET", "workspaces/a/leased.txt").json["content"] == "mine"
