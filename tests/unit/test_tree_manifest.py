"""The list of files: there and back, cheap to change, and nothing unsafe gets out of it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syla_jupyter.model.errors import SnapshotDamaged
from syla_jupyter.snapshots import manifest
from syla_jupyter.snapshots.tree import Entry, Kind, order_key


def ids(count: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(32 * count)


def directory(path: bytes) -> Entry:
    return Entry(path, Kind.DIRECTORY, 0o755, 1, 0)


def file(path: bytes, size: int = 3, **fields: object) -> Entry:
    return Entry(path, Kind.FILE, 0o644, -5, size, ids(1), **fields)  # type: ignore[arg-type]


def through(entries: Sequence[Entry]) -> list[Entry]:
    chunks = {hashlib.sha256(chunk).digest(): chunk for chunk in manifest.encode(entries)}
    return list(manifest.entries(chunks.__getitem__, list(chunks)))


NAMES = st.binary(min_size=1, max_size=8).filter(lambda n: b"/" not in n and b"\0" not in n and n not in (b".", b".."))
PATHS = st.lists(st.lists(NAMES, min_size=1, max_size=4).map(b"/".join), max_size=20)


@settings(max_examples=100, deadline=None)
@given(PATHS, st.integers(-(1 << 63), (1 << 63) - 1), st.booleans())
def test_any_tree_comes_back(paths: list[bytes], mtime_ns: int, torn: bool) -> None:
    """Whatever names are: entries in the order of a walk come back as they were."""
    directories = {b"files"}
    for path in paths:
        names = path.split(b"/")
        directories |= {b"/".join([b"files", *names[:n]]) for n in range(len(names))}
    leaves = {b"files/" + path for path in paths} - directories
    entries = [directory(path) for path in directories]
    entries += [Entry(p, Kind.FILE, 0o644, mtime_ns, 9, ids(1), torn=torn, ctime_ns=7, inode=8) for p in leaves]
    entries.sort(key=lambda entry: order_key(entry.path))
    assert through(entries) == entries


def test_a_large_file_goes_over_several_records_and_comes_back_whole() -> None:
    """With tens of thousands of pieces; ten more in its middle change few chunks."""
    count = 40_000
    content = ids(count)
    lengths = [random.Random(n).randrange(1, 5 << 20) for n in range(count)]

    def chunks(content: bytes, lengths: list[int]) -> list[bytes]:
        pieces = tuple(n for length in lengths for n in (0, length))
        large = Entry(b"files/large", Kind.FILE, 0o644, 0, sum(lengths), content, pieces)
        assert through([directory(b"files"), large]) == [directory(b"files"), large]
        return list(manifest.encode([directory(b"files"), large]))

    before = chunks(content, lengths)
    middle = count // 2
    after = chunks(
        content[: 32 * middle] + ids(10, 9) + content[32 * middle :], lengths[:middle] + [5] * 10 + lengths[middle:]
    )
    assert max(map(len, before)) < 400 << 10
    changed = sum(map(len, set(after) - set(before)))
    assert changed < sum(map(len, after)) / 20


def test_one_file_more_costs_one_chunk() -> None:
    entries = [directory(b"files"), *(file(b"files/%06d" % n) for n in range(20_000))]
    before = list(manifest.encode(entries))
    entries.insert(10_000, file(b"files/%06d-and" % 9_998))
    after = list(manifest.encode(entries))
    assert len(before) > 50
    assert len(set(after) - set(before)) <= 2


GOLDEN = Path(__file__).parent.parent / "golden" / "manifest-1"


def test_format_1_is_read_for_ever() -> None:
    """One chunk as the first version wrote it: every kind of entry, each field."""
    content = bytes(range(32))
    assert list(manifest.entries(lambda _: GOLDEN.read_bytes(), [b""])) == [
        Entry(b"files", 0, 0o755, 1_700_000_000_123_456_789, 0, ctime_ns=5, inode=6),
        Entry(b"files/empty", 1, 0o600, 0, 0),
        Entry(b"files/hole", 1, 0o600, 0, 1 << 33),
        Entry(b"files/large", 1, 0o600, 0, 1 << 30, content * 2, (1 << 20, 4 << 20, 0, 5)),
        Entry(b"files/link", 2, 0o777, 0, 0, b"../x"),
        Entry(b"files/other", 3, 0o600, 0, 0, b"files/large"),
        Entry(b"files/\xff\n", 1, 0o4640, -1, 7, content, xattrs=((b"user.a", b"\0"),), torn=True),
    ]


def test_references_are_the_chunks_of_all_files() -> None:
    entries = [directory(b"files"), *(file(b"files/%d" % n)._replace(content=ids(1, n)) for n in range(10))]
    (chunk,) = manifest.encode(entries)
    assert manifest.references(chunk) == [ids(1, n) for n in range(10)]
    for bad in (b"", b"\xc1", b"x" * 100, msgpack.packb([1]), msgpack.packb({}), b"\x91" * 5000):
        with pytest.raises(SnapshotDamaged):
            manifest.references(bad)


TOP = directory(b"files")
LINK = Entry(b"files/l", Kind.SYMLINK, 0o777, 0, 0, b"/etc")
HOSTILE: dict[str, list[Entry]] = {
    "absolute": [TOP, file(b"/etc/passwd")],
    "no part": [file(b"files")],
    "part with a slash": [directory(b"../files"), file(b"../files/x")],
    "part of odd letters": [directory(b"Files")],
    "parent": [TOP, file(b"files/../x")],
    "dot": [TOP, file(b"files/./x")],
    "only parent": [TOP, directory(b"files/..")],
    "empty name": [TOP, file(b"files//x")],
    "NUL": [TOP, file(b"files/a\0b")],
    "long name": [TOP, file(b"files/" + b"x" * 256)],
    "twice": [TOP, file(b"files/a"), file(b"files/a")],
    "out of order": [TOP, file(b"files/b"), file(b"files/a")],
    "part twice": [TOP, directory(b"home"), TOP],
    "below a symlink": [TOP, LINK, file(b"files/l/x")],
    "below a file": [TOP, file(b"files/f"), file(b"files/f/x")],
    "below nothing": [TOP, file(b"files/d/x")],
    "link and directory": [TOP, LINK, directory(b"files/l")],
    "too deep": [TOP, *(directory(b"files" + b"/d" * n) for n in range(1, 300))],
    "hard link outside": [TOP, Entry(b"files/h", Kind.HARDLINK, 0o644, 0, 0, b"/etc/shadow")],
    "hard link to later": [TOP, Entry(b"files/a", Kind.HARDLINK, 0o644, 0, 0, b"files/b"), file(b"files/b")],
    "hard link to a symlink": [TOP, LINK, Entry(b"files/m", Kind.HARDLINK, 0o644, 0, 0, b"files/l")],
    "hard link to another part": [TOP, file(b"files/a"), directory(b"home"), Entry(b"home/h", 3, 0, 0, 0, b"files/a")],
    "symlink to nothing": [TOP, LINK._replace(content=b"")],
    "symlink with NUL": [TOP, LINK._replace(content=b"a\0b")],
    "symlink too long": [TOP, LINK._replace(content=b"a" * 4096)],
    "unknown kind": [TOP, Entry(b"files/x", 9, 0, 0, 0)],
    "device": [TOP, Entry(b"files/x", 7, 0, 0, 0)],
    "negative size": [TOP, file(b"files/x", -1)],
    "size beyond everything": [TOP, file(b"files/x", 1 << 60)],
    "one piece of a terabyte": [TOP, file(b"files/x", 1 << 40)],
    "two chunks without lengths": [TOP, file(b"files/x")._replace(content=ids(2))],
    "half a chunk id": [TOP, file(b"files/x")._replace(content=ids(1)[:-1])],
    "pieces longer than the file": [TOP, file(b"files/x", 5, pieces=(0, 6))],
    "a negative hole": [TOP, file(b"files/x", 50, pieces=(-5, 6))],
    "a piece of nothing": [TOP, file(b"files/x", 50, pieces=(5, 0))],
    "more lengths than chunks": [TOP, file(b"files/x", 50, pieces=(0, 1, 0, 1))],
    "pieces of another file": [TOP, file(b"files/x"), file(b"files/y")._replace(kind=manifest.MORE, pieces=(0, 1))],
    "pieces of none": [TOP, file(b"files/y")._replace(kind=manifest.MORE, pieces=(0, 1))],
    "a directory with content": [TOP, directory(b"files/d")._replace(content=ids(1))],
    "a mode beyond all bits": [TOP, file(b"files/x")._replace(mode=0o100644)],
    "a time beyond all": [TOP, file(b"files/x")._replace(mtime_ns=1 << 63)],
    "an attribute of the system": [TOP, file(b"files/x", xattrs=((b"security.capability", b"x"),))],
    "attributes without end": [TOP, file(b"files/x", xattrs=((b"user.a", b"x" * 70_000),))],
    "text for bytes": [TOP, file("files/x")],  # type: ignore[arg-type]
    "a size that is text": [TOP, file(b"files/x")._replace(size="3")],  # type: ignore[arg-type]
    "a flag that is a number": [TOP, file(b"files/x")._replace(torn=1)],  # type: ignore[arg-type]
}


@pytest.mark.parametrize("entries", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_not_safe_is_refused(entries: list[Entry]) -> None:
    """None of these gets as far as somebody who writes."""
    with pytest.raises(SnapshotDamaged):
        forged(entries)


def forged(entries: list[Entry]) -> None:
    pack = msgpack.packb
    records = [[list(entry[:9]), entry.ctime_ns, entry.inode] for entry in entries if entry.mtime_ns < 1 << 63]
    if len(records) < len(entries):
        records.append([["x", 0, 0, 0, 0, 0, 0, 0, 0], 0, 0])
    list(manifest.entries(lambda _: pack([manifest.FORMAT, records]), [b""]))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 10_000))
def test_damaged_bytes_give_one_error(noise: bytes, at: int) -> None:
    """Bytes put anywhere into a chunk: its entries, or `SnapshotDamaged`; nothing else."""
    (chunk,) = manifest.encode([TOP, *(file(b"files/%03d" % n) for n in range(20))])
    at %= len(chunk)
    try:
        list(manifest.entries(lambda _: chunk[:at] + noise + chunk[at + len(noise) :], [b""]))
    except SnapshotDamaged:
        pass
