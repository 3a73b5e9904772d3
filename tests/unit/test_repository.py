"""The repository's verbs on a store that does what it should."""

from __future__ import annotations

import random
import threading
from dataclasses import asdict
from pathlib import Path

import pytest

from syla_jupyter.model.errors import (
    BadInput,
    Cancelled,
    Conflict,
    KeyRefused,
    ObjectMissing,
    ObjectsFailed,
    SnapshotDamaged,
    UnknownVersion,
)
from syla_jupyter.objects.base import Data
from syla_jupyter.objects.local import LocalObjects
from syla_jupyter.snapshots import blocks, index, pack, pending, prune
from syla_jupyter.snapshots.crypto import seal
from syla_jupyter.snapshots.format import CHUNK_MAX_BYTES, DATA, Pack, encode
from syla_jupyter.snapshots.keys import LocalKey
from syla_jupyter.snapshots.pack import padded_size
from syla_jupyter.snapshots.progress import Progress
from syla_jupyter.snapshots.repository import Repository
from syla_jupyter.snapshots.subtree import Subtree
from syla_jupyter.testing.faulty_objects import Fault, FaultyObjects
from syla_jupyter.testing.memory_objects import MemoryObjects

from .clocks import HandClock
from .repositories import KEY, PREFIX, WORKSPACE, assert_clean, content, create, reopen, save


def some(count: int, size: int, seed: int = 0) -> list[bytes]:
    source = random.Random(seed)
    return [source.randbytes(size // 2) * 2 for _ in range(count)]


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_what_was_saved_comes_back_in_another_process(tmp_path: Path, kind: str) -> None:
    """Empty, tiny, compressible, random, more than one pack: all of it, from the store alone."""
    objects = MemoryObjects() if kind == "memory" else LocalObjects(tmp_path / "store")
    pieces = [b"", b"x", b"y" * 3_000_000, *some(3000, 600), *(random.Random(n).randbytes(4 << 20) for n in range(6))]
    version = save(create(objects), pieces, "first")
    assert (version.number, version.message, version.files) == (1, "first", len(pieces))
    other = reopen(objects)
    assert other.versions() == [version]
    assert content(other, version) == pieces
    assert other.verify(data=True).ok


def test_content_is_stored_once() -> None:
    """Again in the same save, in the next one, and beside new content: only what is new is stored."""
    repository = create(MemoryObjects())
    pieces = some(50, 10_000)
    save(repository, pieces * 2)
    with repository.session() as session:
        session.add([*pieces, b"new"])
        assert (session.stats.chunks, session.stats.new_chunks, session.stats.new_bytes) == (51, 1, 3)


def test_ids_and_places_say_nothing_without_the_key() -> None:
    """The same content has other ids and other packs in another repository, and no object shows it."""
    one, two = MemoryObjects(), MemoryObjects()
    secret = b"a secret that is long enough to be looked for"
    first, second = create(one), create(two)
    assert first.chunk_id(secret) != second.chunk_id(secret)
    assert first.chunking.seed != second.chunking.seed
    save(first, [secret], "the message")
    for data, _ in one.objects.values():
        assert secret not in data
        assert b"the message" not in data


def test_a_version_is_there_for_everybody_after_refresh() -> None:
    objects = MemoryObjects()
    one, two = create(objects), reopen(objects)
    save(one, [b"1"])
    assert two.versions() == []
    two.refresh()
    assert [version.number for version in two.versions()] == [1]
    assert save(two, [b"2"]).number == 2
    one.refresh()
    assert [content(one, version) for version in one.versions()] == [[b"1"], [b"2"]]


def test_many_commits_cost_few_requests_to_open() -> None:
    """Index objects are merged, old log records go, and all versions are still there, with their numbers."""
    objects = MemoryObjects()
    repository = create(objects)
    for n in range(150):
        save(repository, [b"%d" % n, b"always"])
    assert sum(key.startswith(PREFIX + "log/") for key in objects.objects) < 110
    assert sum(key.startswith(PREFIX + "index/") for key in objects.objects) <= index.MERGE_ABOVE + 1
    other = reopen(objects)
    assert [version.number for version in other.versions()] == list(range(1, 151))
    assert content(other, other.version(77)) == [b"76", b"always"]
    assert other.verify(data=True).ok


def test_forget_tag_and_numbers() -> None:
    """Numbers are never given twice; unknown ones are named."""
    repository = create(MemoryObjects())
    for n in range(3):
        save(repository, [b"%d" % n])
    assert repository.tag(2, ["release"]).tags == ("release",)
    repository.forget([3, 1])
    assert [version.number for version in repository.versions()] == [2]
    assert save(repository, [b"more"]).number == 4
    with pytest.raises(UnknownVersion, match="no version 3"):
        repository.forget([3])
    with pytest.raises(UnknownVersion):
        repository.tag(9, [])


def test_prune_frees_what_no_version_needs() -> None:
    """Packs without use go, mostly unused ones are written anew, a dry run says the same and does nothing."""
    objects = MemoryObjects()
    repository = create(objects)
    shared, own = some(20, 30_000, 1), some(400, 30_000, 2)
    save(repository, shared + own)
    save(repository, shared)
    before = sum(len(data) for data, _ in objects.objects.values())
    early = repository.prune(dry_run=True, without=[1])
    repository.forget([1])
    dry = repository.prune(dry_run=True)
    assert early == dry
    assert sum(len(data) for data, _ in objects.objects.values()) >= before
    report = repository.prune()
    assert (dry.packs_rewritten, dry.packs_deleted) == (report.packs_rewritten, report.packs_deleted)
    assert report.packs_rewritten >= 1
    after = sum(len(data) for data, _ in objects.objects.values())
    assert after < before / 5
    assert abs(before - after - report.bytes_freed) < 100_000
    assert_clean(objects, repository)
    other = reopen(objects)
    assert content(other, other.version(2)) == shared
    assert other.verify(data=True).ok
    assert repository.prune().bytes_freed == 0


def test_a_reader_that_slept_through_a_prune_goes_on() -> None:
    """Its index names packs that are gone: it reads the log again and finds the chunks elsewhere."""
    objects = MemoryObjects()
    writer = create(objects)
    shared = some(10, 30_000, 1)
    save(writer, shared + some(100, 30_000, 2))
    save(writer, shared)
    reader = reopen(objects)
    writer.forget([1])
    writer.prune()
    assert content(reader, reader.version(2)) == shared


def test_many_small_packs_become_few() -> None:
    objects = MemoryObjects()
    repository = create(objects)
    for n in range(prune.SMALL_PACKS + 2):
        save(repository, [b"%d" % n])
    assert repository.prune().packs_rewritten == 2 * (prune.SMALL_PACKS + 2)
    assert len(repository.index.packs) == 2
    assert [content(repository, version)[0] for version in repository.versions()] == [
        b"%d" % n for n in range(prune.SMALL_PACKS + 2)
    ]


def test_several_threads_add_to_one_save() -> None:
    """Each piece is stored once, whoever comes first, and memory is bounded by the buffers."""
    repository = create(MemoryObjects())
    pieces = [random.Random(n).randbytes(300_000) for n in range(200)]
    with repository.session() as session:
        found: list[list[bytes]] = []
        threads = [
            threading.Thread(target=lambda part=part: found.append(session.add(part)))
            for part in (pieces[:120], pieces[80:], pieces[40:160])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert session.stats.new_chunks == 200
        root = session.add([b"".join(repository.chunk_id(piece) for piece in pieces)], metadata=True)
        version = session.commit({"root": root})
        assert len(session._buffers) == 0
    assert content(repository, version) == pieces


def test_a_save_that_is_given_up_leaves_nothing() -> None:
    objects = MemoryObjects()
    repository = create(objects)
    before = set(objects.objects)
    with pytest.raises(ZeroDivisionError), repository.session() as session:
        session.add([random.Random(n).randbytes(4 << 20) for n in range(6)])
        raise ZeroDivisionError
    assert set(objects.objects) == before
    with pytest.raises(Conflict):
        session.add([b"late"])


def test_giving_up_wakes_whoever_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that does not answer: `add` waits for a buffer, `abort` ends it, and nothing is left."""
    monkeypatch.setattr(pack, "PACK_BYTES", 1 << 16)
    going, waiting = threading.Event(), threading.Event()

    class Slow(MemoryObjects):
        def put(self, key: str, data: Data, *, if_absent: bool = False) -> None:
            if "/packs/" in key:
                waiting.set()
                assert going.wait(30)
            super().put(key, data, if_absent=if_absent)

    objects = Slow()
    session = create(objects).session()
    ended: list[BaseException] = []

    def add() -> None:
        try:
            for n in range(100):
                session.add([random.Random(n).randbytes(60_000)])
        except BaseException as exc:
            ended.append(exc)

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert waiting.wait(30)
    aborting = threading.Thread(target=session.abort)
    aborting.start()
    going.set()
    for thread in [aborting, *threads]:
        thread.join(30)
        assert not thread.is_alive()
    assert [type(error) for error in ended] == [Conflict, Conflict]
    assert set(objects.objects) == {PREFIX + "config", PREFIX + "config-copy"}


def test_without_versions_nothing_is_left() -> None:
    objects = MemoryObjects()
    repository = create(objects)
    for n in range(3):
        save(repository, [b"%d" % n])
    repository.forget([1, 2, 3])
    report = repository.prune()
    assert (report.packs_kept, report.bytes_kept) == (0, 0)
    assert not [key for key in objects.objects if "/packs/" in key or "/index/" in key]
    assert save(reopen(objects), [b"again"]).number == 4


def test_a_save_that_cannot_begin_leaves_no_mark() -> None:
    objects = MemoryObjects()
    create(objects)
    store = FaultyObjects(objects)
    repository = reopen(store)
    first = len(store.calls)
    store.plan = lambda call: Fault.TIMEOUT if call.operation == "list" and call.index > first + 1 else None
    with pytest.raises(ObjectsFailed):
        repository.session()
    assert not [key for key in objects.objects if "/pending/" in key]


def test_what_cannot_be_a_version_is_refused() -> None:
    repository = create(MemoryObjects())
    with repository.session() as session, pytest.raises(BadInput, match="colour"):
        session.commit({"root": [], "colour": "red"})
    for odd in (
        {"details": {1: 2}},
        {"message": "\udcff"},
        {"details": {"a": object()}},
        {"details": {"a": "x" * (1 << 25)}},
    ):
        with repository.session() as session, pytest.raises(BadInput, match="record"):
            session.commit({"root": [], **odd})
    assert reopen(repository.objects._objects).verify().ok
    with repository.session() as session, pytest.raises(SnapshotDamaged, match="never stored"):
        session.commit({"root": [bytes(32)]})
    with repository.session() as session, pytest.raises(BadInput, match=str(CHUNK_MAX_BYTES)):
        session.add([bytes(CHUNK_MAX_BYTES + 1)])


def test_long_verbs_say_how_far_they_are_and_can_be_broken_off() -> None:
    """At any look whether to go on: nothing is lost, no mark stays, and the next one does all of it."""
    objects = MemoryObjects()
    repository = create(objects)
    for number in range(6):  # each version has a piece of the one before it: packs are deleted, and written anew
        own, shared, before = (random.Random(seed) for seed in (number, 100 + number, 99 + number))
        save(repository, [own.randbytes(3 << 20), shared.randbytes(1 << 20), before.randbytes(1 << 20)])
    repository.forget([2, 4])
    said: list[Progress] = []
    assert repository.verify(data=True, progress=said.append).packs_read == 12
    assert (said[-1].files_done, said[-1].files_total, said[-1].unit) == (16, 16, "parts")
    assert said[-1].bytes_done == said[-1].bytes_total
    for verb in ("verify", "repair", "prune"):
        for looks in range(100):
            copy = objects.copy()
            left = iter(range(looks))
            opened = reopen(copy)
            options = {"data": True} if verb == "verify" else {}
            try:
                getattr(opened, verb)(cancelled=lambda left=left: next(left, None) is None, **options)
                break
            except Cancelled:
                again = reopen(copy)
                assert again.verify(data=True).ok
                assert [version.number for version in again.versions()] == [1, 3, 5, 6]
                assert not list(copy.list(f"{PREFIX}pending/"))
                again.prune()
                assert_clean(copy, again)
        assert 3 <= looks < 99


def test_one_repository_per_workspace_and_one_key() -> None:
    """A second one is refused; another key and another workspace's config open nothing."""
    objects = MemoryObjects()
    create(objects)
    with pytest.raises(Conflict, match="already"):
        create(objects)
    with pytest.raises(KeyRefused, match=KEY.id):
        Repository.open(objects, WORKSPACE, LocalKey(bytes(32)), clock=HandClock())
    with pytest.raises(ObjectMissing):
        Repository.open(objects, "ffffffffffff", KEY, clock=HandClock())
    del objects.objects[PREFIX + "config"]
    with pytest.raises(KeyRefused):  # not missing: a new config would be written over the copy, which has the key
        Repository.open(objects, WORKSPACE, LocalKey(bytes(32)), clock=HandClock())
    for name in ("config", "config-copy"):
        objects.put(f"workspaces/ffffffffffff/{name}", objects.get(PREFIX + "config-copy"))
    with pytest.raises(KeyRefused):
        Repository.open(objects, "ffffffffffff", KEY, clock=HandClock())


def test_destroy_leaves_nothing() -> None:
    objects = MemoryObjects()
    save(create(objects), [b"x"])
    Repository.destroy(objects, WORKSPACE)
    assert objects.objects == {}


def test_the_cache_saves_requests_and_is_not_trusted(tmp_path: Path) -> None:
    """Index objects come from this machine; a changed or missing file is fetched again."""
    objects = MemoryObjects()
    save(create(objects, cache_dir=tmp_path), [b"x"])
    (cached,) = (tmp_path / "index").iterdir()
    for damage in (b"", cached.read_bytes()[:-1], b"x" * 100):
        cached.write_bytes(damage)
        again = reopen(objects, cache_dir=tmp_path)
        assert content(again, again.version(1)) == [b"x"]
    for key in [key for key in objects.objects if "/index/" in key]:
        del objects.objects[key]
    again = reopen(objects, cache_dir=tmp_path)
    assert content(again, again.version(1)) == [b"x"]


def test_a_store_that_goes_back_in_time_is_noticed(tmp_path: Path) -> None:
    """An older copy of the store is refused by who has seen the newer one, and so is one with another history."""
    objects = MemoryObjects()
    repository = create(objects, cache_dir=tmp_path / "a")
    save(repository, [b"1"])
    older = objects.copy()
    save(repository, [b"2"])
    with pytest.raises(SnapshotDamaged, match="gone back"):
        reopen(older, cache_dir=tmp_path / "a")
    save(reopen(older), [b"other"])
    with pytest.raises(SnapshotDamaged, match="gone back"):
        reopen(older, cache_dir=tmp_path / "a")
    assert len(reopen(older).versions()) == 2


def test_a_store_without_conditional_writes_has_one_writer() -> None:
    """It is said loudly; a second writer on another machine is refused while the first one runs."""
    objects = MemoryObjects(conditional=False)
    repository = create(objects)
    assert "conditional" in repository.warnings[0]
    assert save(repository, [b"1"]).number == 1
    with pytest.raises(Conflict):
        create(objects)
    with repository.session():
        lease = objects.get(PREFIX + "pending/lease")
        assert save(reopen(objects), [b"2"]).number == 2  # this process may: the caller's locks are its own
    assert lease
    own = Subtree(objects, WORKSPACE)
    elsewhere = {"sequence": 0, "process": {**asdict(pending.Process.this()), "host": "another"}}
    own.put(pending.LEASE, seal(repository.keys, pending.KIND, pending.LEASE, encode(elsewhere)))
    for _ in range(2):  # who was refused does not take the other one's lease away
        with pytest.raises(Conflict, match="Another save"):
            save(repository, [b"3"])
    own.delete([pending.LEASE])
    assert save(repository, [b"3"]).number == 3


def test_blocks_are_even_and_bounded() -> None:
    """No block above its size but single large chunks; nothing is lost, small ones keep their order."""
    source = random.Random(5)
    sizes = [source.choice([0, 10, 5000, 400_000, 600_000, 3_000_000]) for _ in range(300)]
    chunks = [(bytes([n % 256]), bytes(size)) for n, size in enumerate(sizes)]
    grouped = list(blocks.group(chunks))
    assert sorted(len(data) for block in grouped for _, data in block) == sorted(sizes)
    for block in grouped:
        assert len(block) == 1 or sum(len(data) for _, data in block) <= blocks.BLOCK_BYTES
        assert len(block) <= blocks.BLOCK_CHUNKS


def test_merging_leaves_the_large_index_alone() -> None:
    sizes = [(bytes([n]), 1000 + n) for n in range(20)]
    assert index.to_merge(sizes[:16]) == []
    assert len(index.to_merge(sizes)) == 20
    assert bytes([99]) not in index.to_merge([*sizes, (bytes([99]), 1_000_000)])


def test_padding_leaves_few_sizes_and_costs_little() -> None:
    sizes = range(1 << 20, 1 << 21, 999)
    assert len({padded_size(size) for size in sizes}) <= 33
    assert all(size <= padded_size(size) <= size * 1.035 for size in sizes)
    assert all(size <= padded_size(size) <= size * 1.13 for size in range(100, 5000))


def test_the_plan_of_a_prune() -> None:
    """Unneeded: deleted; half needed: written anew; small ones only when there are many."""
    packs = [
        Pack(bytes([n]) * 32, 4 << 20, DATA, bytes(32), ((4 << 20, 4 << 20, 0, 1),), bytes(32), (1,)) for n in range(3)
    ]
    plan = prune.plan(packs, {packs[1].id: 1 << 20, packs[2].id: 4 << 20})
    assert (plan.delete, plan.rewrite, plan.keep) == ((packs[0],), (packs[1],), (packs[2],))
