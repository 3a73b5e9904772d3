"""`syla` with SYLA_SERVER: from a machine with no engine, no image and no data, as two people of one server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .school import School


class Away:
    """Somebody's terminal on another machine."""

    def __init__(self, school: School, who: str, home: Path) -> None:
        self.home = home
        self.environ = {
            **os.environ, "HOME": str(home), "SYLA_HOME": str(home / "data"), "DOCKER_HOST": f"unix://{home}/none",
            "SYLA_SERVER": school.url("/"), "SYLA_TOKEN": school.tokens[who],
        }  # fmt: skip

    async def __call__(self, *arguments: str, code: int = 0, **environ: str) -> Any:
        """What it prints; as JSON where that was asked for."""
        command = [sys.executable, "-m", "syla_jupyter.cli.main", *arguments]
        done = await asyncio.to_thread(
            subprocess.run, command, env={**self.environ, **environ}, cwd=self.home, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout) if "--json" in arguments and code == 0 else done.stdout + done.stderr


@pytest.fixture
def owner(school: School, tmp_path: Path) -> Away:
    return Away(school, "owner", tmp_path)


@pytest.fixture
def sam(school: School, tmp_path: Path) -> Away:
    return Away(school, "sam", tmp_path)


async def test_a_workspace_from_its_making_to_its_end(owner: Away) -> None:
    made = await owner("workspace", "create", "faraway", "--memory", "512m", "--idle", "2h", "--label", "a=b", "--json")
    assert (made["limits"]["memory_bytes"], made["policy"]["idle_seconds"]) == (512 << 20, 7200.0)
    assert "name: " in await owner("workspace", "create", "faraway", code=64)
    assert "faraway" in await owner("workspace", "list", "--label", "a=b")
    (owner.home / "one.py").write_text("import sys\nx = len(sys.argv)\nprint('args', sys.argv[1:])\n")
    (owner.home / "two.py").write_text("print('x is', x, file=__import__('sys').stderr)\nsys.exit(x)\n")
    assert "args ['a', 'b']" in await owner("exec", "--workspace", "faraway", "one.py", "a", "b")
    assert "suspended (frozen)" in await owner("workspace", "suspend", "faraway")
    assert "x is 3" in await owner("exec", "two.py", code=3, SYLA_WORKSPACE="faraway")  # resumed, with its variables
    assert any(row["name"] == "x" for row in (await owner("workspace", "variables", "faraway", "--json"))["variables"])
    assert "1 GB" in await owner("workspace", "set", "faraway", "--memory", "1g") + await owner(
        "workspace", "show", "faraway"
    )
    taken = await owner("snapshot", "take", "faraway", "-m", "from afar", "--json")
    assert "from afar" in await owner("snapshot", "list", "faraway")
    assert "again; what was there is v" in await owner(
        "snapshot", "restore", f"v{taken['snapshot']['version']}", "--workspace", "faraway"
    )
    assert "started anew" in await owner("workspace", "resume", "faraway")
    assert "--force" in await owner("workspace", "delete", "faraway", code=64)
    assert "is deleted" in await owner("workspace", "delete", "faraway", "--force")
    assert "faraway" not in await owner("workspace", "list")
    assert not (owner.home / "data").exists(), "nothing of this machine was needed"


async def test_a_second_person_joins_by_an_invitation_and_has_her_role(owner: Away, sam: Away) -> None:
    assert "No workspaces" in await sam("workspace", "list", "--shared")
    assert "not" in await sam("workspace", "show", "class", code=77)
    secret = (await owner("workspace", "invite", "class", "--permission", "read", "--json"))["secret"]
    assert "no such invitation" in await sam("workspace", "join", secret + "x", code=64)
    assert "viewer" in await sam("workspace", "join", secret)
    assert "class" in await sam("workspace", "list", "--shared")
    assert "owner" in await sam("workspace", "show", "class")
    (sam.home / "a.py").write_text("1\n")
    assert "role" in await sam("exec", "--workspace", "class", "a.py", code=77)
    await owner("workspace", "share", "class", "sam", "--permission", "execute")
    assert {"sam": "runner"}.items() <= {
        row["subject"]: row["role"] for row in (await owner("workspace", "members", "class", "--json"))["members"]
    }.items()
    assert "Nobody" in await sam("workspace", "participants", "class")
    assert "no member any more" in await sam("workspace", "unshare", "class", "sam")  # he leaves
    assert "not" in await sam("workspace", "show", "class", code=77)


async def test_bad_input(owner: Away) -> None:
    """Each says what is wrong, and the way out."""
    assert (
        "does not let us in" in (said := await owner("workspace", "list", code=77, SYLA_TOKEN="wrong"))
        or "SYLA_TOKEN" in said
    )
    assert "gives no answer" in await owner("workspace", "list", code=69, SYLA_SERVER="http://127.0.0.1:9/")
    assert "no web address" in await owner("workspace", "list", code=69, SYLA_SERVER="file:///etc/passwd#")
    assert "whole URL" in await owner(
        "workspace", "list", code=69, SYLA_SERVER=owner.environ["SYLA_SERVER"] + "nowhere/"
    )
    assert "Unset SYLA_SERVER" in await owner("pool", "status", code=64)
    assert "Unset SYLA_SERVER" in await owner("doctor", code=64)
    assert "unset SYLA_SERVER" in await owner("exec", "--workspace", "class", "--", "ls", code=64)
    assert "no workspace is named" in await owner("workspace", "show", code=64)
    assert "missing.py" in await owner("exec", "--workspace", "class", "missing.py", code=66)
    assert "--memory" in await owner("workspace", "create", "x", "--memory", "lots", code=64)
    assert "no such" in (await owner("workspace", "nonsense", code=2)).lower()
