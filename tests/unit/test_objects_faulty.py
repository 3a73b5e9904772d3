"""The faulty store does what its faults say, or tests that use it prove nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from syla_jupyter.model.errors import ObjectExists, ObjectMissing, ObjectsFailed
from syla_jupyter.objects.local import LocalObjects
from syla_jupyter.objects.race import one_wins
from syla_jupyter.testing.faulty_objects import Fault, FaultyObjects, at, now_and_then, on

DATA = bytes(range(200))


class Killed(Exception):
    pass


def kill() -> None:
    raise Killed


@pytest.fixture
def local(tmp_path: Path) -> LocalObjects:
    local = LocalObjects(tmp_path / "objects")
    for name in "abcd":
        local.put(f"x/{name}", DATA)
    return local


def is_there(local: LocalObjects, key: str) -> bool:
    try:
        return local.get(key) == b"new"
    except ObjectMissing:
        return False


@pytest.mark.parametrize("fault", Fault)
def test_a_put_is_done_or_not_as_the_fault_says(local: LocalObjects, fault: Fault) -> None:
    """Only what says AFTER has an effect."""
    objects = FaultyObjects(local, at(0, fault), kill=kill)
    with pytest.raises((ObjectsFailed, Killed)) as raised:
        objects.put("x/new", b"new")
    assert is_there(local, "x/new") == fault.name.endswith("AFTER")
    assert (raised.type is ObjectExists) == (fault is Fault.EXISTS)
    assert (raised.type is Killed) == (fault in (Fault.KILL, Fault.KILL_AFTER))


def test_silent_faults_are_silent(local: LocalObjects) -> None:
    """Half of it, or one bit."""
    short, flipped = FaultyObjects(local, lambda call: Fault.SHORT), FaultyObjects(local, lambda call: Fault.FLIP)
    assert short.get("x/a") == DATA[:100]
    assert [entry.key for entry in short.list("x/")] == ["x/a", "x/b"]
    changed = [one ^ other for one, other in zip(flipped.get("x/a"), DATA, strict=True) if one != other]
    assert len(changed) == 1
    assert changed[0].bit_count() == 1


def test_what_has_stopped_stays_so(local: LocalObjects) -> None:
    """Whatever is asked; the store below has what was done before."""
    objects = FaultyObjects(local, at(1, Fault.STOP_AFTER))
    objects.put("x/1", b"new")
    for ask in (lambda: objects.put("x/2", b"new"), lambda: objects.get("x/1"), lambda: list(objects.list(""))):
        with pytest.raises(ObjectsFailed):
            ask()
    assert (is_there(local, "x/1"), is_there(local, "x/2"), is_there(local, "x/3")) == (True, True, False)
    assert objects.stopped


def test_plans_choose_their_calls(local: LocalObjects) -> None:
    """By operation and key, so many times; at random, but the same for the same seed."""
    objects = FaultyObjects(local, on("get", "/b", Fault.ERROR, times=2))
    objects.get("x/a")
    objects.head("x/b")
    for _ in range(2):
        with pytest.raises(ObjectsFailed):
            objects.get("x/b")
    assert objects.get("x/b") == DATA
    assert [call.operation for call in objects.calls] == ["get", "head", "get", "get", "get"]
    drawn = [[plan(call) for call in objects.calls * 40] for plan in (now_and_then(3, 0.3), now_and_then(3, 0.3))]
    assert drawn[0] == drawn[1]
    assert 30 < sum(fault is not None for fault in drawn[0]) < 90


def test_a_race_shows_who_keeps_conditions(local: LocalObjects) -> None:
    """A store that always writes, one that never does, one that keeps it in turn but not in a race."""

    def put(key: str, data: bytes) -> bool:
        try:
            local.put(key, data, if_absent=True)
        except ObjectExists:
            return False
        return True

    late: list[str] = []

    def put_until_late(key: str, data: bytes) -> bool:
        late.append(key)
        return len(late) <= 2

    deleted: list[str] = []
    assert one_wins(put, lambda key: local.delete([key]))
    assert [entry.key for entry in local.list("probe/")] == []
    for bad in (lambda key, data: True, lambda key, data: False, put_until_late):
        assert not one_wins(bad, deleted.append)
    assert len(deleted) == 3
