"""Repositories of every released format can be read, and what is written today is written as FORMAT.md says.

`python -m tests.unit.test_repository_format DIRECTORY` makes a golden repository of the current format.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from syla_jupyter.model.snapshot import Reason
from syla_jupyter.objects.local import LocalObjects
from syla_jupyter.snapshots.crypto import HEADER_BYTES, Keys
from syla_jupyter.snapshots.repository import Repository

from .repositories import KEY, WORKSPACE, content, create, reopen, save

GOLDEN = Path(__file__).parent.parent / "golden"
TEXT = b"the same content in every release\n" * 40
PIECES = {1: [TEXT, b"one"], 3: [TEXT, b"three", bytes(2000)], 4: [TEXT]}


def make(directory: Path) -> Repository:
    """Every kind of record, a checkpoint, a forgotten version, a pruned one, one record behind the checkpoint."""
    repository = create(LocalObjects(directory))
    for number, pieces in {1: PIECES[1], 2: [b"gone"], 3: PIECES[3]}.items():
        with repository.session() as session:
            root = session.add([b"".join(session.add(pieces))], metadata=True)
            record = {"author": "ada", "message": f"number {number}", "reason": Reason.TIMER, "root": root}
            session.commit({**record, "details": {"tree": "ab", "list": [1, None, "x"]}, "parent": number - 1})
    repository.tag(1, ["release"])
    repository.forget([2])
    repository.prune()
    repository.log.checkpoint()
    save(repository, PIECES[4])
    return repository


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("repository-*")), ids=lambda path: path.name)
def test_every_released_format_is_read_and_written_on(path: Path, tmp_path: Path) -> None:
    """All versions, records and chunks; then a save, a prune and a repair go on from there."""
    shutil.copytree(path, tmp_path / "store")
    objects = LocalObjects(tmp_path / "store")
    repository = reopen(objects)
    assert {version.number: content(repository, version) for version in repository.versions()} == PIECES
    version = repository.version(3)
    assert (version.author, version.message, version.reason) == ("ada", "number 3", Reason.TIMER)
    assert (version.parent, version.details) == (2, {"tree": "ab", "list": [1, None, "x"]})
    assert repository.version(1).tags == ("release",)
    assert repository.verify(data=True).ok
    with repository.session() as session:
        session.add(PIECES[3])
        assert session.stats.new_chunks == 0, "the same content has the same ids for ever"
    assert save(repository, [b"more"]).number == 5
    repository.forget([1])
    repository.prune()
    repository.repair()
    assert reopen(objects).verify(data=True).ok


def test_keys_and_ids_are_what_they_have_always_been() -> None:
    """Derivations never change: these numbers were written down with format 1."""
    keys = Keys.derive(bytes(range(32)))
    assert keys.chunk_id.hex()[:16] == "63ad81b1cdeebcd4"
    assert keys.chunking_seed == 5971910497204782757
    assert KEY.id == "d491f1125ad8d55f"


def test_golden_repositories_are_small_and_of_the_expected_shape() -> None:
    for path in GOLDEN.glob("repository-*"):
        files = [file for file in path.rglob("*") if file.is_file()]
        assert sum(file.stat().st_size for file in files) < 20_000
        (directory,) = (path / "workspaces").iterdir()
        assert directory.name == WORKSPACE
        for file in directory.rglob("*"):
            kind = {"packs": b"P", "index": b"I", "log": b"L"}.get(file.relative_to(directory).parts[0])
            if file.is_file() and kind:
                kind = b"B" if file.name.startswith("base-") else kind
                assert file.read_bytes()[:6] == b"SYLA\x01" + kind
                assert file.stat().st_size > HEADER_BYTES


if __name__ == "__main__":
    make(Path(sys.argv[1]))
