"""What is said about the difference of two versions."""

from __future__ import annotations

import os
from pathlib import Path

from syla_jupyter.snapshots.diff import diff

from .. import trees


def test_each_change_is_named_once(tmp_path: Path) -> None:
    """Added, removed, changed, renamed, other attributes; directories only where something else than time changed."""
    repository = trees.repository(tmp_path)
    files = trees.make(tmp_path / "files")
    before = trees.take(repository, files=files).version
    (files / "added").write_text("12345")
    (files / "secret").unlink()
    (files / "notebook.ipynb").write_text("{}")
    (files / "zeros.bin").rename(files / "src/zeros.bin")
    (files / "run.sh").chmod(0o700)
    (files / "dangling").unlink()
    (files / "dangling").mkdir()
    after = trees.take(repository, files=files).version
    assert before is not None
    assert after is not None
    found = diff(repository, before, after)
    assert [(c.path, c.new_size) for c in found.added] == [("files/added", 5)]
    assert [(c.path, c.old_size) for c in found.removed] == [("files/secret", 1)]
    changed = [(c.path, c.kind, c.old_size, c.new_size) for c in found.changed]
    assert changed == [("files/dangling", "directory", 0, 0), ("files/notebook.ipynb", "file", 13, 2)]
    assert [(c.old_path, c.path) for c in found.renamed] == [("files/zeros.bin", "files/src/zeros.bin")]
    assert [c.path for c in found.attributes] == ["files/run.sh"]
    back = diff(repository, after, before)
    assert [c.path for c in back.added] == ["files/secret"]
    assert diff(repository, after, after) == type(found)((), (), (), (), ())


def test_names_are_shown_without_control_characters(tmp_path: Path) -> None:
    repository = trees.repository(tmp_path)
    files = tmp_path / "files"
    files.mkdir()
    empty = trees.take(repository, files=files).version
    for name in trees.ODD:
        Path(os.fsdecode(os.fsencode(files) + b"/" + name)).touch()
    full = trees.take(repository, files=files).version
    assert empty is not None
    assert full is not None
    added = [change.path for change in diff(repository, empty, full).added]
    assert len(added) == len(trees.ODD)
    assert all(path.isprintable() and path.encode() for path in added)
    assert "files/new\\nline" in added
