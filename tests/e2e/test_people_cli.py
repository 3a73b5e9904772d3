"""`syla user`, `team`, `audit` and sharing by the command line, in processes of their own; no container."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syla_jupyter import AsyncSyla, Syla
from syla_jupyter.access.service import Caller
from syla_jupyter.model.errors import BadInput
from syla_jupyter.model.people import Principal, Role, SubjectKind

Run = Callable[..., Any]


@pytest.fixture
def syla(tmp_path: Path) -> Run:
    """(arguments, exit code expected) -> what it printed, JSON where it is some."""
    root = tmp_path / "root"
    root.mkdir()
    environ = {**os.environ, "SYLA_HOME": str(tmp_path / "home")}

    def run(*arguments: str, code: int = 0) -> Any:
        command = [sys.executable, "-m", "syla_jupyter.cli.main", *arguments]
        done = subprocess.run(command, env=environ, cwd=root, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout) if "--json" in arguments and code == 0 else done.stdout + done.stderr

    return run


def test_people_and_sharing(syla: Run, tmp_path: Path) -> None:
    """A user with a token that is printed once, a team, a workspace shared with both, and all of it in the log."""
    syla("user", "add", "ben", "--display-name", "Ben B")
    assert "cannot be a name" in syla("user", "add", "Ben", code=64)
    made = syla("user", "token", "ben", "--expires", "1h", "--json")
    assert [row["id"] for row in syla("user", "token", "ben", "--list", "--json")] == [made["id"]]
    syla("team", "add", "lab")
    assert syla("team", "join", "lab", "ben", "--json")["changed"] is True
    syla("workspace", "create", "project")
    assert syla("workspace", "share", "project", "ben", "--permission", "write", "--json")["role"] == "editor"
    syla("workspace", "share", "project", "lab", "--team")
    assert "no user 'zoe'" in syla("workspace", "share", "project", "zoe", code=64)
    members = syla("workspace", "members", "project", "--json")
    assert members["mode"] == "members"
    assert {(row["kind"], row["subject"], row["role"]) for row in members["members"]} == {
        ("user", "ben", "editor"), ("team", "lab", "viewer"),
    }  # fmt: skip
    invited = syla("workspace", "invite", "project", "--uses", "3", "--json")
    assert invited["uses_left"] == 3
    assert syla("workspace", "unshare", "project", "ben", "--json")["changed"] is True
    with Syla(tmp_path / "root", {**os.environ, "SYLA_HOME": str(tmp_path / "home")}) as here:
        asking = here._application.access().asking
        asking.ask(Caller(Principal("ben")), here.get("project").id, Role.VIEWER, "project")
    (asked,) = syla("workspace", "requests", "--json")["requests"]
    assert (asked["name"], asked["user"], asked["role"]) == ("project", "ben", "viewer")
    assert "ben" in syla("workspace", "requests", "project")
    assert "ben is refused" in syla("workspace", "refuse", "project", "ben")
    assert syla("workspace", "refuse", "project", "ben", "--json")["changed"] is False
    assert "Nobody asks" in syla("workspace", "requests", "project")
    assert syla("workspace", "list", "--shared", "--json") == {"workspaces": []}
    syla("workspace", "access", "project", "private")
    assert "grants rest" in syla("workspace", "members", "project")
    syla("user", "token", "ben", "--revoke", made["id"])
    syla("user", "disable", "ben")
    assert syla("user", "list", "--json")[0]["disabled"] is True
    done = [row["action"] for row in syla("audit", "list", "--json")]
    assert done[:2] == ["user.add", "token.issue"]
    assert {"workspace.share", "workspace.unshare", "workspace.mode", "invitation.make", "token.revoke"} <= set(done)
    assert f"{len(done)} lines, none changed" in syla("audit", "verify")
    everything = b"".join(file.read_bytes() for file in (tmp_path / "home").rglob("*") if file.is_file())
    assert made["secret"].encode() not in everything
    assert invited["secret"].encode() not in everything
    log = next((tmp_path / "home" / "audit").glob("*.jsonl"))
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    assert "missing at the end" in syla("audit", "verify", code=74)


async def test_people_from_python(tmp_path: Path) -> None:
    """The same verbs; who is not there, or no such role or mode, is said; what others share is listed."""
    environ = {**os.environ, "SYLA_HOME": str(tmp_path / "home")}
    async with AsyncSyla(tmp_path / "root", environ) as syla:
        people = syla.sync.people
        people.add("ben", display_name="Ben B")
        issued = people.issue_token("ben", label="laptop")
        assert list(people.tokens("ben")) == [issued.token]
        people.add_team("lab")
        assert people.set_member("lab", "ben")
        project = await syla.create("project")
        assert (await project.share("ben", "write")).role == "editor"
        await project.share("lab", team=True)
        assert [(g.subject, g.role) for g in (await project.members()).grants] == [("ben", "editor"), ("lab", "viewer")]
        assert (await project.invite("execute", uses=2)).invitation.role == "runner"
        assert await project.unshare("ben")
        for wrong in (project.share("zoe"), project.share("ben", "boss"), project.set_access("open")):
            with pytest.raises(BadInput):
                await wrong
        asking = syla.sync._application.access().asking
        asking.ask(Caller(Principal("ben")), project.record.id, Role.VIEWER, "project")
        assert [(one.user, one.role) for one in await project.requests()] == [("ben", "viewer")]
        assert await project.refuse("ben")
        assert await project.requests() == []
        await project.set_access("private")
        assert people.change("ben", disabled=True).disabled
        assert await syla.shared() == []
        own = syla.sync._application.registry().create("other", root=tmp_path / "root", owner="ben")
        access = syla.sync._application.access()
        people.add(access.owner)
        access.sharing.share(Caller(Principal("ben")), own.id, SubjectKind.USER, access.owner, Role.VIEWER)
        assert [(one.name, role) for one, role in await syla.shared()] == [("other", "viewer")]
