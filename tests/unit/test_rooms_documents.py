"""Which of a file and a history is right, and when collaboration is used at all. Nothing runs."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jupyter_core.paths import jupyter_path
from traitlets.config import Config

from syla_jupyter.server import collaboration
from syla_jupyter.server.documents import Fate, Synced, SyncedStates, conflict_path, digest_of, fate_of


@pytest.mark.parametrize(
    ("file", "history", "synced", "fate"),
    [
        ("a", "a", Synced(), Fate.SAME), ("a", "a", Synced("x"), Fate.SAME),
        ("a", "b", Synced("a"), Fate.SAVE), ("a", "b", Synced("x", "a"), Fate.SAVE), ("a", "b", Synced("a", "b"), Fate.SAVE),
        ("b", "a", Synced("a"), Fate.TAKE), ("b", "a", Synced("x", "a"), Fate.TAKE),
        ("a", "b", Synced(), Fate.BOTH), ("a", "b", Synced("x", "y"), Fate.BOTH), ("a", "b", Synced("", ""), Fate.BOTH),
    ],
)  # fmt: skip
def test_who_has_moved_on(file: str, history: str, synced: Synced, fate: Fate) -> None:
    """Nothing that only one of them has is dropped, unless it is what the other one had before."""
    assert fate_of(file, history, synced) is fate


def test_what_a_document_says() -> None:
    """Not whether it is trusted, nor in which order; anything else."""
    cell: dict[str, Any] = {"cell_type": "code", "source": "1", "metadata": {"a": 1}}
    trusted = {**cell, "metadata": {"trusted": True, "a": 1}}
    assert digest_of({"cells": [cell], "metadata": {}}) == digest_of({"metadata": {}, "cells": [trusted]})
    assert digest_of({"cells": [cell]}) != digest_of({"cells": [{**cell, "source": "2"}]})
    assert digest_of("\ud800 text") != digest_of("text")
    assert digest_of({"cells": [7, {"metadata": None}]}) == digest_of({"cells": [7, {"metadata": None}]})


def test_names_of_what_is_kept_beside() -> None:
    assert conflict_path("workspaces/a/n.b.ipynb", 0) == "workspaces/a/n.b (conflict 1970-01-01 00.00.00).ipynb"
    assert conflict_path("n", 0, 2) == "n (conflict 1970-01-01 00.00.00 2)"


def test_what_is_remembered_is_there_again(tmp_path: Path) -> None:
    SyncedStates(tmp_path / "s.db").put("key", Synced("a", "b"))
    again = SyncedStates(tmp_path / "s.db")
    assert again.get("key") == Synced("a", "b")
    assert again.get("other") == Synced()


# -- whether it is used --------------------------------------------------------------------------------------------


def server_with(config: Config, *packages: str) -> Any:
    """As far as it is asked, while extensions are linked."""
    from jupyter_server_ydoc.stores import SQLiteYStore

    apps = {
        collaboration.PACKAGE: SimpleNamespace(config=config, disable_rtc=False, ystore_class=SQLiteYStore),
        collaboration.FILE_IDS: SimpleNamespace(config=config, file_id_manager_class=None),
    }
    manager = SimpleNamespace(
        extensions={name: SimpleNamespace(enabled=True) for name in packages},
        extension_apps={name: [apps[name]] for name in packages},
    )
    return SimpleNamespace(extension_manager=manager, log=logging.getLogger("syla.server"))


BOTH = (collaboration.PACKAGE, collaboration.FILE_IDS)


@pytest.mark.parametrize(
    ("asked", "users", "off"), [(None, True, False), (None, False, True), (True, True, True), (False, False, False)]
)
def test_on_where_there_are_users_unless_somebody_decides(
    tmp_path: Path, asked: bool | None, users: bool, off: bool
) -> None:
    """And whichever it is, nothing is kept in the directory that is served."""
    config = Config() if asked is None else Config({"YDocExtension": {"disable_rtc": asked}})
    server = server_with(config, *BOTH)
    (ydoc,) = server.extension_manager.extension_apps[collaboration.PACKAGE]
    ydoc.disable_rtc = bool(asked)
    assert collaboration.prepare(server, tmp_path / "kept", lambda: users)
    assert ydoc.disable_rtc is off
    assert ydoc.session_store_path == str(tmp_path / "kept" / "sessions.json")
    assert ydoc.ystore_class(path="x").db_path == str(tmp_path / "kept" / "history.db")


def test_versions_that_nobody_has_looked_at_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is off then; and if somebody asked for it, the server does not start without its guard."""
    monkeypatch.setitem(collaboration.KNOWN, "jupyter-server-ydoc", ("0.0.1",))
    server = server_with(Config(), *BOTH)
    assert not collaboration.prepare(server, tmp_path, lambda: True)
    assert not server.extension_manager.extensions[collaboration.PACKAGE].enabled
    server = server_with(Config({"YDocExtension": {"disable_rtc": False}}), *BOTH)
    with pytest.raises(RuntimeError, match="jupyter-server-ydoc"):
        collaboration.prepare(server, tmp_path, lambda: True)


def test_pages_without_it_are_as_they_were() -> None:
    """What it brings is left out, and what it had replaced is there again: just that, as its packages say it."""
    directories = [Path(one) / "labextensions" for one in jupyter_path()]
    replaced = set()
    for name in collaboration.PAGE_PARTS:
        package = next(file for one in directories if (file := one / name / "package.json").exists())
        replaced |= set(json.loads(package.read_text())["jupyterlab"].get("disabledExtensions", []))
    assert replaced == set(collaboration.REPLACED)
    config = {
        "federated_extensions": [{"name": "other"}, *({"name": name} for name in collaboration.PAGE_PARTS)],
        "disabledExtensions": [*collaboration.REPLACED, "somebody:else"],
        "kept": 1,
    }
    made = collaboration.without_page_part(lambda handler, config: {**config, "more": 2})(None, config)
    assert made == {
        "federated_extensions": [{"name": "other"}], "disabledExtensions": ["somebody:else"], "disableRTC": True,
        "kept": 1, "more": 2,
    }  # fmt: skip


def test_without_ids_of_files_there_are_no_rooms(tmp_path: Path) -> None:
    assert not collaboration.prepare(server_with(Config(), collaboration.PACKAGE), tmp_path, lambda: True)


def test_one_id_for_a_file_however_it_is_spelled(tmp_path: Path) -> None:
    ids = collaboration._file_ids_class(tmp_path / "ids.db")(root_dir="/srv/root")
    id = ids.index("workspaces/a/x.txt")
    for spelled in (
        "/workspaces/a/x.txt",
        "workspaces//a/./x.txt",
        "workspaces/b/../a/x.txt",
        "/srv/root/workspaces/a/x.txt",
    ):
        assert ids.index(spelled) == id, spelled
    assert ids.get_path(id) == "workspaces/a/x.txt"
    for outside in ("../x", "a/../../x", "x\0"):
        with pytest.raises(FileNotFoundError):
            ids.index(outside)
    other = collaboration._file_ids_class(tmp_path / "ids.db")(root_dir="/srv/roo")
    assert other.get_path(id) is None, "of another server's root"
    ids.con.close()
    other.con.close()
