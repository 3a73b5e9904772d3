"""A process may die, and a store may fail, at any call: what was committed stays whole, and the verb works again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from syla_jupyter.model.errors import Conflict, SnapshotDamaged, SylaError, UnknownVersion
from syla_jupyter.snapshots import log
from syla_jupyter.snapshots.repository import Repository
from syla_jupyter.testing.faulty_objects import SAID, SILENT, Call, Fault, FaultyObjects, at, on
from syla_jupyter.testing.memory_objects import MemoryObjects

from .repositories import PREFIX, assert_clean, content, create, reopen, save

Verb = Callable[[Repository], object]
OLD, NEW = [b"1" * 5000, b"shared"], [b"3", b"shared"]


def prepared() -> MemoryObjects:
    """Version 1 to 3, of which the second one is forgotten: every verb has something to do."""
    objects = MemoryObjects()
    repository = create(objects)
    save(repository, OLD)
    save(repository, [b"2" * 100_000])
    save(repository, [b"2" * 100_000, b"kept"])
    repository.forget([2])
    return objects


def damaged() -> MemoryObjects:
    objects = prepared()
    del objects.objects[next(key for key in objects.objects if "/index/" in key)]
    return objects


VERBS: dict[str, tuple[Callable[[], MemoryObjects], Verb]] = {
    "save": (prepared, lambda repository: save(repository, NEW)),
    "forget": (prepared, lambda repository: repository.forget([3])),
    "tag": (prepared, lambda repository: repository.tag(1, ["t"])),
    "prune": (prepared, lambda repository: (repository.forget([3]), repository.prune())),
    "repair": (damaged, lambda repository: repository.repair()),
}


def calls_of(name: str) -> int:
    before, verb = VERBS[name]
    store = FaultyObjects(before())
    verb(reopen(store))
    return len(store.calls)


CASES = [(name, call) for name in VERBS for call in range(calls_of(name))]
"""Behind a call is before the next one."""


def assert_whole(objects: MemoryObjects, known: set[int]) -> Repository:
    repository = reopen(objects)
    report = repository.verify(data=True)
    assert not report.lost
    assert known <= {version.number for version in repository.versions()}
    assert content(repository, repository.version(1)) == OLD
    return repository


@pytest.mark.parametrize(("name", "call"), CASES)
def test_a_process_that_dies_at_any_call_breaks_nothing(name: str, call: int) -> None:
    """Every version verifies, the same verb then does its work, and a prune leaves nothing that nobody needs."""
    before, verb = VERBS[name]
    kept = {1} if name in ("forget", "prune") else {1, 3}
    objects = before()
    with contextlib.suppress(SylaError):
        verb(reopen(FaultyObjects(objects, at(call, Fault.STOP))))
    if name != "repair":
        assert_whole(objects, kept)
    again = reopen(objects)
    with contextlib.suppress(UnknownVersion):  # it was forgotten before the end
        verb(again)
    repository = assert_whole(objects, kept)
    assert repository.verify(data=True).ok
    repository.prune(expires_seconds=0)
    assert_clean(objects, repository)
    assert assert_whole(objects, kept).verify(data=True).ok


@pytest.mark.parametrize("fault", [*SAID, Fault.EXISTS, *SILENT], ids=lambda fault: fault.name)
def test_any_single_fault_of_the_store_loses_nothing(fault: Fault) -> None:
    """At every call of save, forget and prune in turn: an error or success, and nothing in between."""
    for name in ("save", "forget", "prune"):
        before, verb = VERBS[name]
        for call in range(calls_of(name)):
            objects = before()
            store = FaultyObjects(objects, at(call, fault))
            try:
                done = verb(reopen(store))
            except SylaError:
                done = None
            repository = assert_whole(objects, {1})
            assert repository.verify(data=True).ok
            if name == "save" and done:
                assert content(repository, repository.versions()[-1]) == NEW


def test_a_commit_whose_reply_is_lost_is_one_commit() -> None:
    """The record is ours, byte for byte: no second version, no error."""
    objects = prepared()
    version = save(reopen(FaultyObjects(objects, on("put", "/log/", Fault.RESET_AFTER))), NEW)
    assert [found.number for found in reopen(objects).versions()] == [1, 3, version.number]


def test_a_retried_commit_that_meets_itself_is_one_commit() -> None:
    """A client that sends again gets 412 from its own first attempt."""
    objects = prepared()

    class Twice(FaultyObjects):
        def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:  # type: ignore[override]
            super().put(key, data, if_absent=if_absent)
            if if_absent:
                super().put(key, data, if_absent=True)

    version = save(reopen(Twice(objects)), NEW)
    assert reopen(objects).versions()[-1] == version


def test_a_save_survives_a_collector_that_wants_what_it_relies_on() -> None:
    """Content of a version that was forgotten and pruned while the save ran is stored again before the commit."""
    objects = prepared()
    writer, collector = reopen(objects), reopen(objects)
    with writer.session() as session:
        ids = session.add([b"2" * 100_000, b"kept"])  # nothing new: version 3 has it
        assert session.stats.new_chunks == 0
        collector.forget([3])
        report = collector.prune()
        assert report.packs_waiting > 0
        root = session.add([b"".join(ids)], metadata=True)
        version = session.commit({"root": root})
    assert content(reopen(objects), version) == [b"2" * 100_000, b"kept"]
    collector.prune()
    repository = assert_whole(objects, {1, version.number})
    assert repository.verify(data=True).ok
    assert_clean(objects, repository)


def test_a_save_that_counted_as_dead_is_repeated() -> None:
    """Its packs, or what it relied on, were removed: it says Conflict, and the next try is a version."""
    for add in ([b"new" * 1000], [b"2" * 100_000]):
        objects = prepared()
        writer, collector = reopen(objects), reopen(objects)
        with pytest.raises(Conflict), writer.session() as session:
            ids = session.add(add)
            session.flush()
            collector.forget([3])
            collector.prune(expires_seconds=0)
            session.commit({"root": session.add([b"".join(ids)], metadata=True)})
        version = save(writer, add)
        assert content(reopen(objects), version) == add
        assert reopen(objects).verify(data=True).ok


def test_a_commit_that_slept_through_many_others_is_not_lost() -> None:
    """The number it wins was cleared away long ago; it notices, and commits at the end of the log."""
    objects = prepared()
    sleeper, others = reopen(objects), reopen(objects)
    slept = [False]

    def sleep(call: Call) -> Fault | None:
        if call.operation == "put" and call.key.startswith("log/0") and not slept[0]:
            slept[0] = True
            for n in range(3 * log.CHECKPOINT_EVERY):
                others.tag(1, [str(n)])
        return None

    sleeper.log._objects = FaultyObjects(sleeper.objects, sleep)  # type: ignore[assignment]
    version = save(sleeper, NEW)
    repository = reopen(objects)
    assert slept[0]
    assert content(repository, repository.version(version.number)) == NEW
    assert repository.version(1).tags == (str(3 * log.CHECKPOINT_EVERY - 1),)


def test_no_version_is_deleted_from_while_a_manifest_is_unreadable() -> None:
    """A collector that cannot see what is needed removes nothing."""
    objects = prepared()
    repository = reopen(objects)
    (root,) = repository.version(1).root
    del objects.objects[PREFIX + repository.index.locate(root).pack.key]
    repository.forget([3])
    keys = set(objects.objects)
    with pytest.raises(SnapshotDamaged, match="manifest"):
        reopen(objects).prune()
    assert {key for key in keys if "/packs/" in key} <= set(objects.objects)
