"""Who has joined and left a workspace: by person, with a grace; and which servers of an installation run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syla_jupyter.model.errors import NoServer
from syla_jupyter.server.attendance import Attendance, Who
from syla_jupyter.servers import FILE, note_server, running

ANA, BEN = Who("w", "ana"), Who("w", "ben")


def test_a_page_that_is_loaded_again_is_no_news() -> None:
    """Gone for less than the grace is there; longer is left, once; then back is joined."""
    attendance = Attendance(10)
    assert attendance.look([ANA], 0) == ([ANA], [], None)
    assert attendance.look([ANA, BEN], 1) == ([BEN], [], None)
    assert attendance.look([BEN], 2) == ([], [], 10)
    assert attendance.look([BEN], 8) == ([], [], 4)
    assert attendance.look([ANA, BEN], 11) == ([], [], None)
    assert attendance.look([BEN], 20) == ([], [], 10)
    assert attendance.look([], 25) == ([], [], 5)
    assert attendance.look([], 30) == ([], [ANA], 5)
    assert attendance.look([], 31) == ([], [], 4)
    assert attendance.look([ANA], 35) == ([ANA], [BEN], None)


@given(st.lists(st.tuples(st.frozensets(st.sampled_from([ANA, BEN])), st.integers(0, 15)), max_size=30))
def test_joined_and_left_take_turns(looks: list[tuple[frozenset[Who], int]]) -> None:
    """Whatever comes and goes: nobody joins or leaves twice in a row, and who is there has joined."""
    attendance, now, inside = Attendance(10), 0, set[Who]()
    for present, passed in looks:
        now += passed
        joined, left, again = attendance.look(present, now)
        assert not inside & set(joined)
        assert set(left) <= inside
        inside = (inside | set(joined)) - set(left)
        assert present <= inside
        assert (again is None) == (inside == present)


def info_of(directory: Path, pid: int, **more: Any) -> Path:
    file = directory / "jpserver.json"
    file.write_text(json.dumps({"pid": pid, "url": "http://localhost:8888/", "token": "t", **more}))
    return file


def test_a_server_that_runs(tmp_path: Path) -> None:
    """It is found by its pid and start; the environment's word goes first; one that is not ready yet is none."""
    directory = tmp_path / "servers" / "abc"
    directory.mkdir(parents=True)
    note_server(directory, str(tmp_path / "jpserver.json"))
    assert (directory / FILE).stat().st_mode & 0o077 == 0
    with pytest.raises(NoServer, match="SYLA_SERVER"):
        running(tmp_path, {})
    info_of(tmp_path, os.getpid())
    (found,) = running(tmp_path, {})
    assert (found.url, found.token, "t" in repr(found).split("'")) == ("http://localhost:8888/", "t", False)
    assert [one.token for one in running(tmp_path, {"SYLA_TOKEN": "mine"})] == ["mine"]
    assert running(tmp_path, {"SYLA_SERVER": "https://lab.example"})[0].url == "https://lab.example"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": "x"}', '{"pid": 1, "start": -1, "info": "/dev/null"}'])
def test_what_says_nothing_of_use(tmp_path: Path, text: str) -> None:
    (tmp_path / "servers" / "abc").mkdir(parents=True)
    (tmp_path / "servers" / "abc" / FILE).write_text(text)
    with pytest.raises(NoServer):
        running(tmp_path, {})


def test_a_server_that_has_ended(tmp_path: Path) -> None:
    """Neither what it left nor a file of another server stands for it."""
    directory = tmp_path / "servers" / "abc"
    directory.mkdir(parents=True)
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    ended = int(done.stdout)
    (directory / FILE).write_text(json.dumps({"pid": ended, "start": 1, "info": str(info_of(tmp_path, ended))}))
    with pytest.raises(NoServer):
        running(tmp_path, {})
    note_server(directory, str(info_of(tmp_path, ended)))
    with pytest.raises(NoServer):
        running(tmp_path, {})
