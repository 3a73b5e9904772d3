"""Whatever somebody does to the objects of a repository is seen, stays where it was done, and is named."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import zstandard

from syla_jupyter.model.errors import SnapshotDamaged, SylaError
from syla_jupyter.snapshots import crypto
from syla_jupyter.snapshots.config import make_config
from syla_jupyter.snapshots.format import Pack, decode_table, encode_table, pack_key
from syla_jupyter.snapshots.repository import Repository
from syla_jupyter.testing.memory_objects import MemoryObjects

from .repositories import KEY, PREFIX, WORKSPACE, assert_clean, content, create, reopen, save

FIRST, SECOND = [b"first" * 5000, b"shared"], [b"second" * 5000, b"shared"]


@pytest.fixture
def objects() -> MemoryObjects:
    objects = MemoryObjects()
    repository = create(objects)
    save(repository, FIRST)
    save(repository, SECOND)
    repository.tag(1, ["kept"])
    return objects


def keys(objects: MemoryObjects, kind: str) -> list[str]:
    return sorted(key for key in objects.objects if re.search(kind, key))


def change(objects: MemoryObjects, key: str, change: Callable[[bytes], bytes]) -> None:
    content, at = objects.objects[key]
    objects.objects[key] = (change(content), at)


def flipped(at: float) -> Callable[[bytes], bytes]:
    def flip(data: bytes) -> bytes:
        place = min(len(data) - 1, int(at * len(data)))
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    return flip


def readable(repository: Repository) -> dict[int, bool]:
    """Which versions come back; what comes back wrong fails the test."""
    result = {}
    for version in repository.versions():
        try:
            assert content(repository, version) == {1: FIRST, 2: SECOND}[version.number]
            result[version.number] = True
        except SnapshotDamaged:
            result[version.number] = False
    return result


WAYS = {
    **{f"bit at {at}": flipped(at) for at in (0, 0.02, 0.3, 0.5, 0.97, 1)},
    "half": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "longer": lambda data: data + b"\0",
    "other": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("kind", ["/packs/", "/index/", "/log/", "/config"])
@pytest.mark.parametrize("way", WAYS)
def test_every_changed_object_is_found_named_and_repaired(objects: MemoryObjects, kind: str, way: str) -> None:
    """`verify` names it; no wrong content is ever given; `repair` saves all that does not lie in that very object."""
    for key in keys(objects, kind):
        copy = objects.copy()
        change(copy, key, WAYS[way])
        repository = reopen(copy)
        report = repository.verify(data=True)
        assert key.removeprefix(PREFIX) in {damage.key for damage in report.damage}
        before = readable(repository)
        assert all(before[number] for number in before if number not in report.lost)
        repaired = repository.repair()
        assert {damage.key for damage in repaired.damage} >= {key.removeprefix(PREFIX)}
        again = reopen(copy)
        assert not again.verify(data=True).damage
        after = readable(again)
        assert {number for number, good in after.items() if not good} == set(repaired.lost)
        if kind in ("/index/", "/config"):
            assert after == {1: True, 2: True}
        if repaired.lost:
            save(again, FIRST if 1 in repaired.lost else SECOND)  # the workspace still has it: all is whole again
            again = reopen(copy)
            assert len(again.verify(data=True).lost) < 2
        save(again, [b"life goes on"])


def test_every_missing_object_is_found_and_repaired(objects: MemoryObjects) -> None:
    for key in keys(objects, "."):
        copy = objects.copy()
        del copy.objects[key]
        repository = reopen(copy)
        if key != keys(objects, "/log/")[-1]:  # of an end that is cut off, only who saw it knows: see the next test
            assert not repository.verify().ok, key
        repository.repair()
        again = reopen(copy)
        readable(again)
        assert not again.log.damage
        assert save(again, [b"life goes on"]).number > 2 or key == keys(objects, "/log/")[1]


def test_damage_stays_in_its_block() -> None:
    """One bit of one block: everything else of the same pack comes back, and what does not is named."""
    objects = MemoryObjects()
    repository = create(objects)
    pieces = [random.Random(n).randbytes(600_000) for n in range(8)]
    save(repository, pieces)
    ids = [repository.chunk_id(piece) for piece in pieces]
    at = repository.index.locate(ids[3])
    change(objects, PREFIX + at.pack.key, lambda data: flipped((at.offset + 5) / len(data))(data))
    damaged: dict[bytes, str] = {}
    found = {id: bytes(data) for id, data in repository.fetch(ids, damaged=damaged)}
    assert found == {id: piece for id, piece in zip(ids, pieces, strict=True) if id != ids[3]}
    assert list(damaged) == [ids[3]]
    with pytest.raises(SnapshotDamaged):
        list(repository.fetch(ids))
    assert repository.verify(data=True).lost == repository.repair().lost == {1: (ids[3],)}


def test_lost_content_heals_with_the_next_save(objects: MemoryObjects) -> None:
    """A version whose pack is gone is whole again once its content was saved anew; prune then cleans up."""
    repository = reopen(objects)
    location = repository.index.locate(repository.chunk_id(FIRST[0]))
    del objects.objects[PREFIX + location.pack.key]
    lost = repository.repair().lost
    assert set(lost) == {1, 2}  # "shared" was in it, too
    save(repository, [*FIRST, b"now"])
    assert repository.verify(data=True).ok
    assert content(repository, repository.version(1)) == FIRST
    assert content(repository, repository.version(2)) == SECOND
    repository.prune()
    assert_clean(objects, repository)


def test_a_record_that_is_lost_is_one_version_that_is_lost(objects: MemoryObjects) -> None:
    """The others stay, its number is not given again, and its content is found for the next save."""
    key = keys(objects, "/log/")[0]
    change(objects, key, flipped(0.5))
    repository = reopen(objects)
    with pytest.raises(SnapshotDamaged, match="repair"):
        save(repository, FIRST)
    report = repository.repair()
    assert report.versions_lost == (1,)
    again = reopen(objects)
    assert readable(again) == {2: True}
    with again.session() as session:
        session.add(FIRST)
        assert session.stats.new_chunks == 0
    assert save(again, FIRST).number > 2


def test_objects_in_each_others_place_are_refused(objects: MemoryObjects) -> None:
    """Two of a kind change places: nothing wrong is read, verify sees it."""
    for kind in ("/packs/", "/index/", "/log/"):
        found = keys(objects, kind)
        for one, two in itertools.pairwise(found):
            copy = objects.copy()
            copy.objects[one], copy.objects[two] = copy.objects[two], copy.objects[one]
            repository = reopen(copy)
            readable(repository)
            assert not repository.verify(data=True).ok


def test_blocks_in_each_others_place_are_refused() -> None:
    """Within a pack, too: the number of a block is part of what is authenticated."""
    objects = MemoryObjects()
    repository = create(objects)
    pieces = [random.Random(n).randbytes(600_000) for n in range(2)]
    save(repository, pieces)
    at = [repository.index.locate(repository.chunk_id(piece)) for piece in pieces]

    def swap(data: bytes) -> bytes:
        first, second, size = at[0].offset, at[1].offset, at[0].stored
        one, two = data[first : first + size], data[second : second + size]
        return data[:first] + two + data[first + size : second] + one + data[second + size :]

    change(objects, PREFIX + at[0].pack.key, swap)
    for piece in pieces:
        with pytest.raises(SnapshotDamaged):
            repository.read(repository.chunk_id(piece))


def test_another_workspaces_objects_are_refused(objects: MemoryObjects) -> None:
    """Its packs, index and log under our names open nothing."""
    other = MemoryObjects()
    Repository.create(other, WORKSPACE, KEY, clock=reopen(objects).clock)
    foreign = reopen(other, references=reopen(objects).references)
    save(foreign, FIRST)
    for kind in ("/packs/", "/index/", "/log/"):
        copy = objects.copy()
        copy.objects[keys(copy, kind)[0]] = other.objects[keys(other, kind)[0]]
        repository = reopen(copy)
        readable(repository)
        assert not repository.verify(data=True).ok


def test_a_changed_config_is_refused() -> None:
    """How content is cut is part of what the key vouches for."""
    objects = MemoryObjects()
    config, _, _ = make_config(WORKSPACE, bytes(32), KEY)
    for one, two in ((b'"min_bytes": 262144', b'"min_bytes": 262145'), (WORKSPACE.encode(), b"0" * 12)):
        changed = config.replace(one, two)
        assert changed != config
        for key in ("config", "config-copy"):
            objects.put(PREFIX + key, changed)
        with pytest.raises(SnapshotDamaged, match="changed"):
            reopen(objects)
    for broken in (b"", b"[]", b"{}", b"[" * 50_000, config[:-20], config.replace(b'"version": 1', b'"version": 2')):
        for key in ("config", "config-copy"):
            objects.put(PREFIX + key, broken)
        with pytest.raises(SnapshotDamaged):
            reopen(objects)


def test_declared_sizes_are_bounds() -> None:
    """A bomb costs what its index says, which is at most a block: never what it would unpack to."""
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 27))
    streamed = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1 << 27))
    for data in (bomb, streamed):
        with pytest.raises(SnapshotDamaged):
            crypto.decompress(crypto.ZSTD, data, 1 << 20)
    with pytest.raises(SnapshotDamaged, match="allowed"):
        crypto.opened(crypto._ENVELOPE.pack(crypto.ZSTD, 1 << 31) + bomb, crypto.SEALED_MAX_BYTES)


def test_tables_that_do_not_fit_themselves_are_refused() -> None:
    """More chunks than ids, blocks beyond the pack, sizes that do not add up: none gets into an index."""
    good = Pack(bytes(32), 1000, b"D", bytes(32), ((100, 90, 1, 2),), bytes(64), (40, 50))
    assert decode_table(encode_table(good), good.id, good.size) == good
    for bad in (
        replace(good, sizes=(40, 51)),
        replace(good, sizes=(40,)),
        replace(good, ids=bytes(63)),
        replace(good, kind=b"?"),
        replace(good, salt=b""),
        replace(good, blocks=((100, 90, 1, 3),)),
        replace(good, blocks=((980, 970, 1, 2),), sizes=(470, 500)),
        replace(good, blocks=((1 << 24, 1 << 24, 1, 2),), sizes=(1 << 23, 1 << 23), size=1 << 25),
        replace(good, blocks=((200, 90, 1, 2),)),
    ):
        with pytest.raises(SnapshotDamaged):
            decode_table(encode_table(bad), bad.id, bad.size)
    for table in ({}, {**encode_table(good), "blocks": b"123"}, {**encode_table(good), "ids": 5}):
        with pytest.raises(SnapshotDamaged):
            decode_table(table, good.id, good.size)


def test_random_changes_of_random_objects_give_no_wrong_content(objects: MemoryObjects) -> None:
    """Three changes at once, anywhere, a hundred times: right content or SnapshotDamaged, and repair always ends."""
    source = random.Random(7)
    for _ in range(100):
        copy = objects.copy()
        for key in source.sample(sorted(copy.objects), 3):
            change(copy, key, source.choice([flipped(source.random()), *WAYS.values()]))
        try:
            repository = reopen(copy)
        except SylaError:
            assert all(copy.objects[PREFIX + key] != objects.objects[PREFIX + key] for key in ("config", "config-copy"))
            continue
        readable(repository)
        repository.repair()
        again = reopen(copy)
        readable(again)
        save(again, [b"life goes on"])


def test_a_pack_is_named_by_what_it_holds(objects: MemoryObjects) -> None:
    for key in keys(objects, "/packs/"):
        id = crypto.object_hash(objects.objects[key][0])
        assert key == PREFIX + pack_key(id)
