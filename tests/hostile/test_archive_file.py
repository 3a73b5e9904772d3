"""A workspace as one file: there and back, readable without us, and hostile ones refused."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from syla_jupyter.model.errors import BadInput, Cancelled, InsufficientResources, SnapshotDamaged, SylaError
from syla_jupyter.snapshots import archive_file, tar_stream
from syla_jupyter.snapshots.archive_file import ABOUT, SUMS, export, sum_line
from syla_jupyter.snapshots.archive_import import Imported, import_archive, read_archive_config
from syla_jupyter.snapshots.tar_stream import Member, end, header, padding

from .. import trees

CONFIG = {"name": "my project", "type": "persistent", "limits": {"cpus": 2}}


def exported(place: Path) -> bytes:
    repository = trees.repository(place)
    home = place / "home"
    home.mkdir()
    (home / "x").write_text("home")
    version = trees.take(repository, files=trees.make(place / "files"), home=home).version
    assert version is not None
    out = io.BytesIO()
    export(repository, version, CONFIG, out, clock=trees.CLOCK)
    return out.getvalue()


def imported(data: bytes, place: Path, **options: object) -> Imported:
    place.mkdir(exist_ok=True)
    targets = {"files": place / "files", "home": place / "home"}
    return import_archive(io.BytesIO(data), targets, state_dir=place / "state", clock=trees.CLOCK, **options)  # type: ignore[arg-type]


def test_a_workspace_goes_through_one_file(tmp_path: Path) -> None:
    """Every kind of file comes back as it was, with its configuration; holes are holes again."""
    data = exported(tmp_path)
    found = imported(data, tmp_path / "there")
    assert found.config == read_archive_config(io.BytesIO(data)) == CONFIG
    assert not found.said.counts
    assert trees.seen(tmp_path / "there/files") == trees.seen(tmp_path / "files")
    assert trees.seen(tmp_path / "there/home") == trees.seen(tmp_path / "home")
    assert (tmp_path / "there/files/sparse.bin").stat().st_blocks * 512 < 5 << 20
    assert sorted(os.listdir(tmp_path / "there")) == ["files", "home", "state"]


def test_nobody_needs_us_to_read_it(tmp_path: Path) -> None:
    """GNU tar unpacks it to the same tree, and sha256sum finds all of it right."""
    data = exported(tmp_path)
    there = tmp_path / "there"
    there.mkdir()
    plain = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
    subprocess.run(["tar", "-x", "--xattrs", "--delay-directory-restore", "-C", there], input=plain, check=True)
    assert trees.seen(there / "files") == trees.seen(tmp_path / "files")
    subprocess.run(["sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS"], cwd=there, check=True)
    assert json.loads((there / "syla-workspace.json").read_bytes())["workspace"] == CONFIG
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        assert len(tar.getnames()) > 70


def test_the_configuration_goes_alone(tmp_path: Path) -> None:
    out = io.BytesIO()
    archive_file.export_config(CONFIG, out)
    assert archive_file.read_config(io.BytesIO(out.getvalue())) == CONFIG
    for bad in (
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"format": "syla-workspace-archive", "version": 99}',
        b" " * (2 << 20),
    ):
        with pytest.raises(BadInput):
            archive_file.read_config(io.BytesIO(bad))


# Hostile ones.


def archive(members: list[tuple[Member, bytes]], *, sums: bytes | None = None, tail: bytes = end()) -> bytes:
    """An archive made by hand; its list of hashes is right, unless another is given."""
    about = json.dumps({"format": archive_file.FORMAT, "version": 1, "workspace": CONFIG}).encode()
    blocks = [header(Member(ABOUT, b"0", len(about))) + about + padding(len(about))]
    lines = sum_line(hashlib.sha256(about).hexdigest(), ABOUT)
    for member, data in members:
        blocks.append(header(member) + data + padding(len(data)))
        if member.type == tar_stream.FILE:
            lines += sum_line(hashlib.sha256(data).hexdigest(), member.name)
    text = lines if sums is None else sums
    blocks.append(header(Member(SUMS, b"0", len(text))) + text + padding(len(text)))
    return zstandard.compress(b"".join(blocks) + tail)


FILES, HOME = (Member(b"files/", b"5", mode=0o755), b""), (Member(b"home/", b"5", mode=0o755), b"")
LINK = (Member(b"files/l", b"2", target=b"/tmp"), b"")


def plain(name: bytes, data: bytes = b"bad") -> tuple[Member, bytes]:
    return Member(name, b"0", len(data)), data


HOSTILE: dict[str, list[tuple[Member, bytes]]] = {
    "absolute": [FILES, plain(b"/tmp/syla-hostile"), HOME],
    "parent": [FILES, plain(b"files/../../syla-hostile"), HOME],
    "below a link": [FILES, LINK, plain(b"files/l/syla-hostile"), HOME],
    "hard link out": [FILES, (Member(b"files/h", b"1", target=b"/etc/passwd"), b""), HOME],
    "hard link to a link": [FILES, LINK, (Member(b"files/m", b"1", target=b"files/l"), b""), HOME],
    "twice": [FILES, plain(b"files/a"), plain(b"files/a"), HOME],
    "a device": [FILES, (Member(b"files/d", b"3"), b""), HOME],
    "a pipe": [FILES, (Member(b"files/d", b"6"), b""), HOME],
    "a GNU long name": [FILES, (Member(b"x", b"L", 3), b"abc"), HOME],
    "a sparse file": [FILES, (Member(b"files/s", b"S"), b""), HOME],
    "a directory with data": [FILES, (Member(b"files/d/", b"5", 3), b"abc"), HOME],
    "an attribute of the system": [FILES, (Member(b"files/x", b"0", xattrs=((b"trusted.x", b"y"),)), b""), HOME],
    "another part": [FILES, HOME, (Member(b"other/", b"5"), b"")],
    "a part missing": [FILES],
    "no directory": [plain(b"files/a"), HOME],
    "a huge header": [FILES, (Member(b"files/x", b"0", xattrs=((b"user.x", b"y" * 300_000),)), b""), HOME],
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_not_safe_is_refused(members: list[tuple[Member, bytes]], tmp_path: Path) -> None:
    """A clear error, nothing outside, and what was there before is as it was."""
    refused(lambda: imported(archive(members), tmp_path / "there"), tmp_path)


def refused(act: Callable[[], object], place: Path, error: type[SylaError] | tuple[type[SylaError], ...] = ()) -> None:
    (place / "there/files").mkdir(parents=True)
    (place / "there/files/mine").write_text("mine")
    with pytest.raises(error or (SnapshotDamaged, BadInput)):
        act()
    assert not os.path.lexists("/tmp/syla-hostile")
    assert (place / "there/files/mine").read_text() == "mine"
    assert sorted(os.listdir(place / "there")) == ["files", "state"]
    assert not os.listdir(place / "there/state")


def test_the_hand_made_ones_are_right_but_for_what_they_are_made_for(tmp_path: Path) -> None:
    """Or the tests above would show nothing."""
    imported(archive([FILES, plain(b"files/a"), LINK, HOME]), tmp_path)
    assert (tmp_path / "files/a").read_bytes() == b"bad"
    assert os.readlink(tmp_path / "files/l") == "/tmp"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"no zstd", zstandard.compress(b""), zstandard.compress(b"x" * 5000), zstandard.compress(bytes(5000)),
        archive([FILES, plain(b"files/a"), HOME], sums=b"0" * 64 + b"  files/a\n"),
        archive([FILES, plain(b"files/a"), HOME], sums=b""),
        archive([FILES, HOME], tail=b""),
        archive([FILES, HOME], tail=header(Member(b"home/late", b"0")) + end()),
        archive([FILES, HOME], tail=bytes(512) + b"x" * 512),
    ],
    ids=["empty", "no zstd", "nothing", "no tar", "only an end", "wrong hash", "no hash", "no end", "goes on", "half an end"],
)  # fmt: skip
def test_what_is_not_whole_is_refused(data: bytes, tmp_path: Path) -> None:
    refused(lambda: imported(data, tmp_path / "there"), tmp_path)


def test_cut_short_or_changed_anywhere_it_is_refused(tmp_path: Path) -> None:
    """At any of many places: an error of ours, and nothing in place."""
    data = archive([FILES, plain(b"files/a", os.urandom(3000)), HOME])
    for at in range(0, len(data), len(data) // 40):
        with pytest.raises((SnapshotDamaged, BadInput)):
            imported(data[:at], tmp_path / "there")
        flipped = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
        try:
            imported(flipped, tmp_path / f"flipped{at}")
        except (SnapshotDamaged, BadInput):
            assert not (tmp_path / f"flipped{at}/files").exists()
    assert os.listdir(tmp_path / "there/state") == []
    assert not (tmp_path / "there/files").exists()


def test_bombs_end_where_the_disk_would(tmp_path: Path) -> None:
    """A file that says it has a petabyte; millions of files; a stream of nothing: each is an end, in little memory."""

    def endless(member: Member) -> bytes:
        start = zstandard.ZstdDecompressor().decompressobj().decompress(archive([FILES], sums=b"", tail=b""))
        about = start[: 1024 + len(padding(0))]
        body = about + header(FILES[0]) + header(member) + b"x" * (1 << 20)
        return zstandard.compress(body)

    refused(
        lambda: imported(endless(Member(b"files/x", b"0", 1 << 50)), tmp_path / "there"), tmp_path,
        (SnapshotDamaged, InsufficientResources),
    )  # fmt: skip


def test_an_import_taken_back_leaves_nothing(tmp_path: Path) -> None:
    data = exported(tmp_path)
    refused(lambda: imported(data, tmp_path / "there", cancelled=lambda: True), tmp_path, Cancelled)
