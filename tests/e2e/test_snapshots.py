"""Versions of workspaces with real containers: gone back to, archived and moved with nothing but the store, cloned."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from syla_jupyter import Syla
from syla_jupyter.api import Workspace
from syla_jupyter.model.record import State
from syla_jupyter.testing.seaweed import Seaweed
from syla_jupyter.workspaces.vault import Watch
from tests.installation import Installation
from tests.lab import Lab

from .rest_client import Client, warm_client
from .test_workspace_cli import Shell

SET = "import collections\nrows = [1, 2, 3]\nalias = rows\nPoint = collections.namedtuple('Point', 'x y')\np = Point(1, 2)"
ASK = "rows.append(9); (rows, alias is rows, p.y)"


@pytest.fixture(scope="module", params=["directory", "s3"])
def store(request: pytest.FixtureRequest, session_dir: Path) -> Iterator[str]:
    """Where two installations keep their snapshots."""
    if request.param == "directory":
        yield str(session_dir / "shared-objects")
        return
    seaweed: Seaweed = request.getfixturevalue("seaweed")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in seaweed.environment.items():
            patch.setenv(name, value)
        yield seaweed.make_bucket(f"syla-{secrets.token_hex(4)}")


Install = Callable[[str], Syla]


@pytest.fixture(scope="module")
def install(store: str, session_dir: Path, engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    """`install(name)`: an installation with that store and one master key; nothing is left of any at the end."""
    key, made = secrets.token_hex(32), []

    def one(name: str) -> Syla:
        home = session_dir / f"{name}{secrets.token_hex(2)}"
        environ = {**os.environ, "SYLA_HOME": str(home), "SYLA_STORE": store, "SYLA_MASTER_KEY": key}
        opened = Syla(tmp_path_factory.mktemp(name), environ)
        made.append((opened, home))
        return opened

    yield one
    for opened, home in made:
        with opened:
            for record in opened.list().records:
                opened.get(record.id).delete(confirmed=True)
            opened._application.service.reconcile()
        Installation(home, engine).assert_nothing_left()


@pytest.fixture(scope="module")
def syla(install: Install) -> Syla:
    return install("first")


def result(workspace: Workspace, code: str) -> str:
    done = workspace.execute(code)
    assert done.status == "ok", done
    return str((done.result or {}).get("text/plain"))


def test_a_version_brings_back_files_packages_and_variables(syla: Syla) -> None:
    """Broken in all three, and whole again; the container that ran is another one then."""
    made = syla.create("back")
    result(made, SET)
    site = "import site, pathlib; d = pathlib.Path(site.getusersitepackages()); d.mkdir(parents=True, exist_ok=True)\n"
    result(made, site + "(d / 'mine.py').write_text('v = 7'); (d / 'mine-1.0.dist-info').mkdir()")
    (made.files / "data.csv").write_text("a,b\n1,2\n")
    taken = made.snapshot("before")
    assert taken.version is not None
    assert taken.version.details["packages"] == {"mine": "1.0"}
    assert [kernel["error"] for kernel in taken.version.details["variables"]["kernels"]] == [""]
    (made.files / "data.csv").unlink()
    result(made, "import shutil; shutil.rmtree(d); del p; rows.clear()")
    rewound = made.restore(taken.version.number)
    assert rewound.before is not None
    assert made.record.state is State.SUSPENDED
    assert (made.files / "data.csv").read_text() == "a,b\n1,2\n"
    assert result(made, ASK) == "([1, 2, 3, 9], True, 2)"
    assert result(made, "import mine; mine.v") == "7"
    changed = made.diff(taken.version.number, rewound.before.number)
    assert "files/data.csv" in [c.path for c in changed.files.removed]
    assert not [c for group in vars(changed.files).values() for c in group if "state/syla" in c.path]  # in `variables`
    assert changed.packages == ("- mine 1.0",)
    assert any("p" in line for line in changed.variables)
    assert made.verify(data=True).ok


def test_an_archived_workspace_comes_back_on_another_machine(syla: Syla, install: Install) -> None:
    """Nothing of it is left on the first; the second has the store and the key alone, and gets files and variables."""
    made = syla.create("moves", labels={"course": "ml"})
    result(made, SET)
    (made.files / "kept.txt").write_text("kept")
    home = syla._application.settings.data_dir / "homes" / made.id
    assert home.is_dir()
    made.archive()
    assert not made.files.exists()
    assert not home.exists()
    assert not list((made.files.parent / ".archived").iterdir())
    assert made.refresh().execution == ""
    other = install("second")
    notes: list[str] = []
    moved = other.recover("moves", watch=Watch(note=notes.append))
    assert (moved.id, moved.record.labels, moved.files.parent.parent) != (made.id, {}, made.files.parent.parent)
    assert (moved.files / "kept.txt").read_text() == "kept"
    assert any("saved" in note for note in notes)
    assert result(moved, ASK) == "([1, 2, 3, 9], True, 2)"
    assert [v.reason.value for v in moved.snapshots()][-1] == "archive"


def test_clone_and_export(syla: Syla, install: Install, tmp_path: Path) -> None:
    """A clone has the variables too, and neither hears of the other; a file carries all of it to where no store is."""
    made = syla.create("origin")
    result(made, SET)
    clone = made.clone("twin")
    assert result(clone, ASK) == "([1, 2, 3, 9], True, 2)"
    assert result(made, "rows") == "[1, 2, 3]"
    assert made.refresh().execution != clone.refresh().execution
    with (tmp_path / "origin.syla").open("w+b") as file:
        made.export(file)
        file.seek(0)
        received = install("third").receive(file, "received")
    assert result(received, ASK) == "([1, 2, 3, 9], True, 2)"


# -- the command line and REST, on the default store -----------------------------------------------------------------


@pytest.fixture(scope="module")
def shell(session_dir: Path, engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    made = Shell(session_dir / "snapcli", tmp_path_factory.mktemp("snapcli"))
    made("workspace", "create", "--use", "demo")
    yield made
    installation = Installation(made.home, engine)
    installation.end_workspaces()
    installation.drain()
    installation.assert_nothing_left()


def test_the_command_line(shell: Shell, tmp_path: Path) -> None:
    demo = shell.files("demo")
    (demo / "a.py").write_text("x = 41\n")
    (demo / "c.txt").write_text("one\n")
    file = str(tmp_path / "demo.syla")
    taken, _, first, diff, lines, verified, dry, _, cloned, made, listed = shell.row(
        ("snapshot", "take", "demo", "-m", "before cleaning"),
        ("exec", "--", "sh", "-c", "echo more > b.txt; rm a.py; echo two >> c.txt"),
        ("snapshot", "take", "--json"),
        ("snapshot", "diff", "v1", "v2"),
        ("snapshot", "diff", "v1", "v2", "files/c.txt"),
        ("snapshot", "verify", "--data"),
        ("snapshot", "prune", "--keep-last", "1", "--dry-run"),
        ("workspace", "export", "demo", file),
        ("workspace", "clone", "demo", "copy"),
        ("workspace", "import", file, "imported"),
        ("snapshot", "list"),
    )
    assert taken.stdout.startswith("v1 of 'demo': 2 files")
    assert json.loads(first.stdout)["version"]["version"] == 2
    assert "+ files/b.txt" in diff.stdout
    assert "- files/a.py" in diff.stdout
    assert lines.stdout == "  one\n+ two\n"
    assert (verified.code, "all is well" in verified.stdout) == (0, True)
    assert "v1  would go" in dry.stdout
    assert (cloned.code, made.code, "before cleaning" in listed.stdout) == (0, 0, True), (cloned, made)
    assert (shell.files("imported") / "b.txt").read_text() == "more\n"
    restored, refused, unknown = shell.row(
        ("snapshot", "restore", "v1"), ("snapshot", "delete", "v1"), ("snapshot", "show", "v99")
    )
    assert (restored.code, (demo / "a.py").exists(), (demo / "b.txt").exists()) == (0, True, False), restored
    assert (refused.code, "--force" in refused.stderr) == (64, True)
    assert (unknown.code, "v99" in unknown.stderr or "99" in unknown.stderr) == (64, True)


def test_control_c_takes_a_save_back(shell: Shell) -> None:
    """It ends within seconds, says so, and leaves no version; the next one is whole."""
    demo = shell.files("demo")
    for number in range(40):
        (demo / f"big{number}").write_bytes(os.urandom(8 << 20))
    before = len(shell.json("snapshot", "list")["snapshots"])
    with shell.terminal("snapshot", "take", code=130) as child:
        child.expect("Saving")
        child.kill(signal.SIGINT)
        child.expect("Cancelled", timeout=20)
    assert len(shell.json("snapshot", "list")["snapshots"]) == before
    for number in range(40):
        (demo / f"big{number}").unlink()


def test_what_is_left_of_a_damaged_version_comes_back_when_it_is_asked_for(shell: Shell) -> None:
    """Refused at first, with the name of what is lost; all else then, here and as another workspace."""
    id = shell.json("workspace", "create", "torn")["id"]
    files, packs = shell.files("torn"), shell.home / "objects" / "workspaces" / id / "packs"
    (files / "good").write_text("good")
    shell("snapshot", "take", "torn")
    before = set(packs.glob("*/*"))
    (files / "lost").write_bytes(os.urandom(1 << 20))
    shell("snapshot", "take", "torn")
    max(set(packs.glob("*/*")) - before, key=lambda pack: pack.stat().st_size).unlink()
    for name in ("good", "lost"):  # what the workspace still had would be stored again
        (files / name).unlink()
    refused, restored, into = shell.row(
        ("snapshot", "restore", "v2", "-w", "torn"),
        ("snapshot", "restore", "v2", "-w", "torn", "--partial"),
        ("snapshot", "restore", "v2", "-w", "torn", "--partial", "--into", "torn-twin"),
    )
    assert (refused.code, "files/lost" in refused.stderr) == (74, True), refused
    assert (restored.code, into.code, os.listdir(files)) == (0, 0, ["good"]), (restored, into)
    assert (shell.files("torn-twin") / "good").read_text() == "good"


def test_damage_on_s3_is_named_and_mended(
    seaweed: Seaweed, session_dir: Path, engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pack changed, another one gone: verify names both and the files in them, repair saves all others, the next
    version is whole, prune frees what is of no use any more; of an archived workspace the backup has it all."""
    first, second = f"syla-{secrets.token_hex(4)}", f"syla-{secrets.token_hex(4)}"
    store, backup = seaweed.make_bucket(first), seaweed.make_bucket(second)
    for name, value in {**seaweed.environment, "SYLA_STORE": store}.items():
        monkeypatch.setenv(name, value)
    shell = Shell(session_dir / "s3cli", tmp_path)
    id = shell.json("workspace", "create", "--use", "demo")["id"]
    files, client = shell.files("demo"), seaweed.client()

    def packs() -> dict[str, int]:
        found = client.list_objects_v2(Bucket=first, Prefix=f"workspaces/{id}/packs/").get("Contents", ())
        return {entry["Key"]: entry["Size"] for entry in found}

    def taken(name: str) -> str:
        """Key of the pack with the content of a new file."""
        before = packs()
        (files / name).write_bytes(os.urandom(300_000))
        shell.done(("snapshot", "take", "demo"))
        return max(packs().items() - before.items(), key=lambda item: item[1])[0]

    whole = (files / "good").write_text("good")
    shell.done(("snapshot", "take", "demo"))  # in a pack of its own
    changed, gone = taken("changed"), taken("gone")
    body = bytearray(client.get_object(Bucket=first, Key=changed)["Body"].read())
    body[1000] ^= 1
    client.put_object(Bucket=first, Key=changed, Body=bytes(body))
    client.delete_object(Bucket=first, Key=gone)
    for name in ("changed", "gone"):
        (files / name).rename(tmp_path / name)  # so that only the store has them
    verified, said, repaired, partial, refused = shell.row(
        ("snapshot", "verify", "--data"),
        ("snapshot", "verify", "--data", "--json"),
        ("snapshot", "repair"),
        ("snapshot", "restore", "v3", "--partial"),
        ("snapshot", "restore", "v3"),
    )
    damage = json.loads(said.stdout)
    assert (verified.code, said.code, refused.code) == (74, 74, 74), (verified, said, refused)
    assert damage["lost_files"] == {"2": ["files/changed"], "3": ["files/changed", "files/gone"]}
    assert {one["key"] for one in damage["damage"]} == {key.partition(f"{id}/")[2] for key in (changed, gone)}
    for line in ("v2: files/changed cannot be read", "v3: files/gone cannot be read"):
        assert line in verified.stdout
        assert line in repaired.stdout
    assert (repaired.code, partial.code, whole) == (0, 0, (files / "good").stat().st_size), (repaired, partial)
    for name in ("changed", "gone"):
        (tmp_path / name).rename(files / name)
    shell.done(("snapshot", "take", "demo"))
    stored = sum(packs().values())
    restored, checked, pruned, again = shell.row(
        ("snapshot", "restore", "v3"),
        ("snapshot", "verify", "--data"),
        ("snapshot", "prune", "--keep-last", "1", "--force"),
        ("snapshot", "verify", "--data"),
    )
    assert [one.code for one in (restored, checked, pruned, again)] == [0] * 4, (restored, checked, pruned, again)
    assert "all is well" in checked.stdout
    assert sum(packs().values()) < stored
    monkeypatch.setenv("SYLA_BACKUP_STORE", backup)
    shell.done(("workspace", "archive", "demo"))
    client.delete_objects(Bucket=first, Delete={"Objects": [{"Key": key} for key in packs()]})
    (resumed,) = shell.row(("workspace", "recover", "demo"))
    assert (resumed.code, "backup" in resumed.stderr) == (0, True), resumed
    assert (files / "good").read_text() == "good"
    installation = Installation(shell.home, engine)
    installation.end_workspaces()
    installation.drain()
    installation.assert_nothing_left()


def test_rest(lab_server: Lab) -> None:
    """Each route, with its events; an export is a file that another installation reads."""
    client: Client = warm_client(lab_server)
    here = f"workspaces/{client.ok('POST', 'workspaces', {'name': 'rest'})['id']}"
    files = lab_server.root / "workspaces" / "rest"
    (files / "a.txt").write_text("first")
    with client.events() as events:
        taken = client.ok("POST", f"{here}/snapshots", {"message": "m", "tags": ["good"]})
        event = events.until(event="snapshot")[-1]
    assert event["snapshot"] == taken["snapshot"]
    assert (taken["snapshot"]["version"], taken["snapshot"]["tags"], taken["consistent"]) == (1, ["good"], True)
    (files / "a.txt").write_text("second")
    client.ok("POST", f"{here}/snapshots")
    assert [one["version"] for one in client.ok("GET", f"{here}/snapshots")["snapshots"]] == [1, 2]
    difference = client.ok("GET", f"{here}/snapshots/1/diff/2")
    assert [one["path"] for one in difference["changed"]] == ["files/a.txt"]
    changed = client.ok("GET", f"{here}/snapshots/1/diff/2/file?path=files/a.txt")
    assert [(one["sign"], one["text"]) for one in changed["lines"]] == [("removed", "first"), ("added", "second")]
    assert client.ok("PATCH", f"{here}/snapshots/1", {"tags": []})["tags"] == []
    restored = client.ok("POST", f"{here}/snapshots/1/restore", {"paths": ["a.txt"]})
    assert (files / "a.txt").read_text() == "first"
    assert restored["workspace"]["state"] == "created"
    client.ok("POST", f"{here}/snapshots/2/restore", {})
    assert (files / "a.txt").read_text() == "second"
    into = client.ok("POST", f"{here}/snapshots/1/restore", {"into": "rest-old"})
    assert (lab_server.root / into["workspace"]["path"] / "a.txt").read_text() == "first"
    assert client.ok("POST", f"{here}/clone", {"name": "rest-twin"})["workspace"]["name"] == "rest-twin"
    assert client.ok("POST", f"{here}/verify", {"part": 1.0})["ok"]
    assert client.ok("POST", f"{here}/prune", {"last": 1, "dry_run": True})["deleted"]
    assert client.call("DELETE", f"{here}/snapshots/1").status_code == 204
    for method, path, status, code in (
        ("GET", "snapshots/1", 404, "unknown_version"),
        ("GET", "snapshots/x", 400, "bad_input"),
        ("POST", "snapshots/99/restore", 404, "unknown_version"),
    ):
        answered, error = client.refused(method, f"{here}/{path}", {} if method == "POST" else None)
        assert (answered, error["code"]) == (status, code)
    exported = client.call("POST", f"{here}/export")
    assert (exported.status_code, exported.headers["Content-Type"]) == (200, "application/octet-stream")
    assert exported.content.startswith(b"\x28\xb5\x2f\xfd")
    for name in ("rest", "rest-old", "rest-twin"):
        assert client.call("DELETE", f"workspaces/{name}?force=true&confirm={name}").status_code == 204
    shutil.rmtree(files, ignore_errors=True)
