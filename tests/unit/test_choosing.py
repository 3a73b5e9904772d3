"""Which workspace a command means, without any container: roots, sessions, and the order of who says it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syla_jupyter import Syla, app
from syla_jupyter.cli import choosing, deletion
from syla_jupyter.config import load_settings
from syla_jupyter.model.clock import SystemClock
from syla_jupyter.model.errors import BadInput, BadPath, UnknownWorkspace


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "SYLA_HOME": str(tmp_path / "home"), "SYLA_ROOT": str(tmp_path)}


@pytest.fixture
def application(environ: dict[str, str]) -> Iterator[app.Application]:
    made = app.build(load_settings(None, environ), environ)
    yield made
    made.store().close()


def in_session(application: app.Application, **variables: str) -> app.Application:
    """The same installation, from elsewhere."""
    return app.build(application.settings, {**application.environ, **variables})


def test_sessions_are_told_apart_by_name_and_by_terminal(application: app.Application) -> None:
    """Each has its own workspace; --workspace and SYLA_WORKSPACE come first; none is none."""
    catalog = application.registry().catalog
    one, two = (catalog.create(name, root=Path(application.environ["SYLA_ROOT"])) for name in ("one", "two"))
    first, second = (in_session(application, SYLA_SESSION=name) for name in ("a", "b/../\n" + "x" * 1000))
    choosing.use(first, one)
    choosing.use(second, two)
    assert choosing.chosen(first, None) == (one.id, "syla workspace use")
    assert choosing.chosen(second, None) == (two.id, "syla workspace use")
    assert choosing.chosen(application, None) is None
    assert choosing.chosen(first, "two") == ("two", "--workspace")
    assert choosing.chosen(first, "ephemeral") is None
    elsewhere = in_session(first, SYLA_WORKSPACE="two")
    assert choosing.chosen(elsewhere, None) == ("two", "SYLA_WORKSPACE")
    assert choosing.chosen(in_session(first, SYLA_WORKSPACE="ephemeral"), None) is None
    assert choosing.named(first, None).id == one.id
    choosing.use(first, None)
    assert choosing.chosen(first, None) is None
    with pytest.raises(UnknownWorkspace, match="in use in this terminal"):
        choosing.named(first, None)


def test_a_deleted_workspace_is_in_use_nowhere(application: app.Application) -> None:
    """What pointed at it points at nothing."""
    record = application.registry().create("one", root=Path(application.environ["SYLA_ROOT"]))
    session = in_session(application, SYLA_SESSION="a")
    choosing.use(session, record)
    application.registry().delete(record.id, confirmed=True)
    assert choosing.chosen(session, None) is None


def test_an_ephemeral_command_opens_no_database(application: app.Application) -> None:
    """Where this terminal has never used a workspace, nothing is read."""
    assert choosing.chosen(application, None) is None
    assert not (application.settings.data_dir / "workspaces.db").exists()


def test_a_session_is_its_terminals(environ: dict[str, str]) -> None:
    """Two programs of one terminal session agree, one of another does not."""
    code = "import os; from syla_jupyter.cli.choosing import terminal_session; print(terminal_session({}))"

    def seen(**how: Any) -> str:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, **how).stdout

    assert seen() == seen() == choosing.terminal_session({}) + "\n"
    assert seen(start_new_session=True) != seen()


def test_sessions_that_ended_leave_no_mark(application: app.Application) -> None:
    """The next use sweeps those of terminals that are gone."""
    record = application.registry().create("one", root=Path(application.environ["SYLA_ROOT"]))
    marks = application.settings.data_dir / "sessions"
    marks.mkdir(parents=True)
    (marks / "999999999.7").touch()
    choosing.use(application, record)
    assert [mark.name for mark in marks.iterdir()] == [choosing.terminal_session(application.environ)]


def test_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option, else the variable, else here; one that is not there is named by who said it."""
    monkeypatch.chdir(tmp_path)
    assert choosing.root_directory(None, {}) == tmp_path
    (tmp_path / "a").mkdir()
    assert choosing.root_directory(None, {"SYLA_ROOT": str(tmp_path / "a")}) == tmp_path / "a"
    assert choosing.root_directory("a", {"SYLA_ROOT": "/nosuch"}) == tmp_path / "a"
    with pytest.raises(BadPath, match=r"^SYLA_ROOT: "):
        choosing.root_directory(None, {"SYLA_ROOT": "/nosuch"})
    with pytest.raises(BadPath, match=r"^--root: "):
        choosing.root_directory("nosuch", {})


def test_an_unknown_workspace_names_who_said_it(application: app.Application) -> None:
    """And another template than its own is refused."""
    with pytest.raises(UnknownWorkspace, match=r"^SYLA_WORKSPACE: there is no workspace 'x'"):
        choosing.find(application, "x", "SYLA_WORKSPACE", None)
    application.registry().create("one", root=Path(application.environ["SYLA_ROOT"]))
    with pytest.raises(BadInput, match=r"^--template: "):
        choosing.find(application, "one", "--workspace", "bash")


def test_what_is_lost_is_counted_without_following_links(tmp_path: Path) -> None:
    """Files, bytes, packages by their metadata; a link counts as itself."""
    top = tmp_path / "top"
    site = top / ".local/lib/python3.11/site-packages"
    (site / "a-1.dist-info").mkdir(parents=True)
    (site / "b-1.dist-info").mkdir()
    (top / "file").write_bytes(b"x" * 1000)
    (tmp_path / "secret").write_bytes(b"x" * 50_000)
    (top / "link").symlink_to(tmp_path / "secret")
    (top / "up").symlink_to(tmp_path)
    counted = deletion.walk(top, SystemClock())
    assert (counted.files, counted.packages, counted.complete) == (2, 2, True)
    assert 1000 <= counted.bytes < 2000
    assert deletion.walk(tmp_path / "nosuch", SystemClock()) == deletion.Counted(0, 0, 0, True)


def test_the_api_closes_what_it_opened(environ: dict[str, str], tmp_path: Path) -> None:
    """It can be made again and again, beside itself."""
    with Syla(tmp_path, environ) as first, Syla(tmp_path, environ) as second:
        made = first.create("one")
        assert second.get("one").id == made.id
        assert made.variables() == []
        assert [r.name for r in second.list().records] == ["one"]
