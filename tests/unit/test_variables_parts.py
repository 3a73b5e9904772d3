"""The parts of saving variables that need no kernel: notes of what is due, groups, the store of blobs."""

from __future__ import annotations

import importlib.util
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

import syla_jupyter.agent
from syla_jupyter.workspaces.variables_due import ATTEMPTS_MAX, Due, variables_key

MIB = 1 << 20


def load(name: str) -> Any:
    """A module of the agent, under the name it has in a kernel."""
    known = sys.modules.get(f"_syla_{name}")
    if known is None:
        path = Path(syla_jupyter.agent.__file__).with_name(f"{name}.py")
        spec = importlib.util.spec_from_file_location(f"_syla_{name}", path)
        assert spec is not None
        assert spec.loader is not None
        known = sys.modules[f"_syla_{name}"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(known)
    return known


# -- what is due -----------------------------------------------------------------------------------------------------


def test_variables_are_due_in_another_container_once(tmp_path: Path) -> None:
    due = Due(tmp_path / "home")
    due.note("repl", "aaaa")
    assert due.begin("repl", "aaaa") is False  # a restart
    assert due.begin("repl", "bbbb") is True
    due.done("repl")
    assert due.begin("repl", "cccc") is False
    assert due.begin("notebook-00", "bbbb") is False


def test_a_start_that_fails_again_and_again_is_tried_without(tmp_path: Path) -> None:
    due = Due(tmp_path / "home")
    due.replace(["repl"])
    assert [due.begin("repl", "x") for _ in range(ATTEMPTS_MAX + 2)] == [True] * ATTEMPTS_MAX + [False, False]


def test_what_is_due_can_be_replaced_and_damaged_notes_are_none(tmp_path: Path) -> None:
    due = Due(tmp_path / "home")
    due.replace(["repl", "notebook-ab"])
    assert due.keys() == ["notebook-ab", "repl"]
    (tmp_path / "home.due" / "repl").write_text("{")
    assert due.begin("repl", "x") is False
    due.replace(["notebook-cd"])
    assert due.keys() == ["notebook-cd"]
    due.replace([])
    assert not (tmp_path / "home.due").exists()
    assert Due(tmp_path / "none").keys() == []


def test_keys_are_those_of_the_notebook_in_every_container_and_safe_as_names() -> None:
    assert variables_key("/workspace/a.ipynb", "00000000") == variables_key("/workspace/a.ipynb", "11111111")
    assert variables_key("", "main0a1b2c3d") == variables_key("", "main99999999") == "repl"
    keys = {variables_key(name, "00000000") for name in ("/workspace/../x", "/workspace/ü\udcff", "a/b\0c", "")}
    assert len(keys) == 4
    assert all(key.replace("-", "").isalnum() for key in keys)


# -- groups ----------------------------------------------------------------------------------------------------------


def grouped(namespace: dict[str, Any]) -> list[list[str]]:
    pickler, groups = load("variables_pickler"), load("variables_groups")
    rebuild, text = load("variables_rebuild"), load("variables_text")
    sharing = groups.Sharing(pickler.by_reference, [namespace])
    kept = []
    for value in namespace.values():
        made = pickler.Pickler(open(os.devnull, "wb"), rebuild, text, namespace, frozenset(), {})  # noqa: SIM115
        made.dump(value)
        sharing.add(made.memo.copy().values())
        kept.append(made)
    found: list[list[str]] = sharing.groups(list(namespace))
    return found


def test_only_what_can_change_binds() -> None:
    shared = [1]
    namespace = {
        "a": shared,
        "text": "word",
        "b": {"x": shared, "text": "word"},
        "c": ("word", 5, len),
        "d": [ValueError, Path],
        "e": (shared,),
        "f": [ValueError, Path("/x")],
    }
    assert grouped(namespace) == [["a", "b", "e"], ["text"], ["c"], ["d"], ["f"]]


# -- blobs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 4096, 4 * MIB, 4 * MIB + 1, 9 * MIB])
def test_what_is_put_comes_back_and_the_same_again_is_not_new(tmp_path: Path, size: int) -> None:
    stores = load("variables_store")
    store = stores.Store(str(tmp_path))
    data = os.urandom(1 << 16) * (size // (1 << 16) + 1)
    described = store.put(data[:size], None)
    assert store.read(described) == data[:size]
    mapped = store.map(described)
    assert bytes(mapped) == data[:size]
    before = store.new_bytes
    for hint in (described, None):
        assert store.put(data[:size], hint) == described
    assert store.new_bytes == before <= size
    if size:
        mapped[0] = (mapped[0] + 1) % 256  # private: what is on disk stays
        assert store.read(described) == data[:size]


def test_a_blob_that_was_changed_behind_our_back_is_written_again(tmp_path: Path) -> None:
    stores = load("variables_store")
    store = stores.Store(str(tmp_path))
    described = store.put(b"content", None)
    (blob,) = (path for path in (tmp_path / "blobs").rglob("*") if path.is_file())
    blob.write_bytes(b"CONTENT")
    with pytest.raises(stores.Damaged):
        store.read(described)
    assert store.put(b"content", described) == described
    assert store.read(described) == b"content"
    blob.unlink()
    for read in (store.read, store.map):
        with pytest.raises(stores.Damaged):
            read(described)


def test_what_no_manifest_names_is_removed_after_it_was_written(tmp_path: Path) -> None:
    store = load("variables_store").Store(str(tmp_path))
    kept, gone = store.put(b"kept", None), store.put(b"gone", None)
    manifest = {"format": 1, "groups": [{"stream": kept, "buffers": []}]}
    assert store.commit(manifest) == 4
    assert store.manifest() == manifest
    assert store.read(kept) == b"kept"
    with pytest.raises(load("variables_store").Damaged):
        store.read(gone)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "5", '{"format": 2, "groups": []}', '{"groups": 5}', "[" * 100_000,
             '{"format": 1, "groups": [{"stream": {"chunks": ["../../etc/passwd"]}, "buffers": []}]}'],
)  # fmt: skip
def test_a_manifest_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert load("variables_store").Store(str(tmp_path)).manifest() == {}


def test_a_placeholder_names_what_it_stands_for_and_survives_being_pickled() -> None:
    rebuild = load("variables_rebuild")
    placeholder = rebuild.missing("generator", "cannot pickle it")
    for use in (len, list, bool, lambda one: one.send(1), lambda one: one(), lambda one: one[0]):
        with pytest.raises(rebuild.NotSaved, match="generator"):
            use(placeholder)
    again = pickle.loads(pickle.dumps(placeholder))
    assert repr(again) == repr(placeholder) == "<not saved: generator (cannot pickle it)>"
