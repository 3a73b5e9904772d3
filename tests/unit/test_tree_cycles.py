"""Change, save, restore, compare: for every kind of file, again and again."""

from __future__ import annotations

import os
from pathlib import Path

from .. import trees

CYCLES = 20


def test_every_version_of_twenty_cycles_comes_back_as_it_was(tmp_path: Path) -> None:
    """Change, save, and now and then put an older version in place; at the end each version equals what was saved."""
    repository = trees.repository(tmp_path)
    files, home = trees.make(tmp_path / "files"), tmp_path / "home"
    home.mkdir()
    trees.sparse(files / "huge.bin", 5 * trees.GIB)
    wanted = {}
    for cycle in range(CYCLES):
        (home / ".profile").write_text(f"cycle {cycle}")
        report = trees.take(repository, tmp_path / "cache", files=files, home=home)
        assert report.version is not None
        assert report.version.number == cycle + 1
        assert not report.said.counts
        wanted[cycle + 1] = trees.seen(files), trees.seen(home)
        if cycle % 5 == 3:
            trees.back(repository, cycle, tmp_path / "state", files=files, home=home)
            assert (trees.seen(files), trees.seen(home)) == wanted[cycle]
        trees.change(files, cycle)
    again = trees.repository(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for number in (1, 7, 13, 20):
        came = trees.back(again, number, tmp_path / "state", files=elsewhere / "files", home=elsewhere / "home")
        assert not came.said.counts
        assert (trees.seen(elsewhere / "files"), trees.seen(elsewhere / "home")) == wanted[number]
    assert (elsewhere / "files/huge.bin").stat().st_blocks * 512 < 10 << 20
    assert sorted(os.listdir(elsewhere)) == ["files", "home"]
    assert not os.listdir(tmp_path / "state")
