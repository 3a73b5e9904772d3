"""What is tried again, for how long, and what is not. The store below is a real one that fails when it is told to."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syla_jupyter.model.errors import BadInput, ObjectExists, ObjectMissing, ObjectsFailed
from syla_jupyter.objects.local import LocalObjects
from syla_jupyter.objects.metered import MeteredObjects, Request
from syla_jupyter.objects.retry import Patience, RetryingObjects, wait_seconds
from syla_jupyter.testing.faulty_objects import SAID, Fault, FaultyObjects, Plan, at, now_and_then, on

from .clocks import HandClock

OPERATIONS: dict[str, Callable[[RetryingObjects], object]] = {
    "put": lambda objects: objects.put("a/2", b"2"),
    "get": lambda objects: objects.get("a/1"),
    "head": lambda objects: objects.head("a/1").size_bytes,
    "list": lambda objects: [entry.key for entry in objects.list("a/")],
    "delete": lambda objects: objects.delete(iter(["a/1"])),
}
GIVEN = {"a/0": b"0", "a/1": b"one", "a/3": b"3"}


class Store:
    """Three objects, a plan of faults, and waits that only move the clock."""

    def __init__(self, directory: Path, plan: Plan) -> None:
        self.local, self.clock, self.waits = LocalObjects(directory), HandClock(), list[float]()
        for key, data in GIVEN.items():
            self.local.put(key, data)
        self.faulty = FaultyObjects(self.local, plan)
        self.objects = RetryingObjects(self.faulty, clock=self.clock, wait=self._wait, chance=lambda: 0.5)

    def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.move(seconds)

    def content(self) -> dict[str, bytes]:
        return {entry.key: self.local.get(entry.key) for entry in self.local.list("")}


@pytest.mark.parametrize("fault", SAID)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_may_pass_is_tried_again(tmp_path: Path, operation: str, fault: Fault) -> None:
    """After one failure of any kind, before or after the effect, result and store are as without it."""
    perform = OPERATIONS[operation]
    smooth, rough = Store(tmp_path / "smooth", at(99, fault)), Store(tmp_path / "rough", at(0, fault))
    for store in (smooth, rough):
        store.local.head("a/1")
    assert perform(rough.objects) == perform(smooth.objects)
    assert rough.content() == smooth.content()
    assert (len(rough.waits), len(smooth.waits)) == (1, 0)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_it_ends_in_time_with_the_stores_own_error(tmp_path: Path, operation: str) -> None:
    """Waits grow up to the longest; together they stay within the limit."""
    store = Store(tmp_path, lambda call: Fault.SLOW_DOWN)
    with pytest.raises(ObjectsFailed, match="503"):
        OPERATIONS[operation](store.objects)
    patience = Patience()
    assert store.waits == sorted(store.waits)
    assert patience.total_seconds - patience.longest_seconds < sum(store.waits) <= patience.total_seconds


def test_what_is_said_for_good_is_not_tried_again(tmp_path: Path) -> None:
    """Nor what is wrong with the question."""
    store = Store(tmp_path, lambda call: None)
    with pytest.raises(ObjectMissing):
        store.objects.get("b")
    with pytest.raises(ObjectExists):
        store.objects.put("a/1", b"", if_absent=True)
    with pytest.raises(BadInput):
        store.objects.get("A")
    with pytest.raises(ObjectsFailed):
        store.objects.get("a/1", max_bytes=1)
    assert store.waits == []


def test_a_commit_whose_answer_was_lost_says_that_there_is_one(tmp_path: Path) -> None:
    """The port's rule: who wrote it tells it by its content."""
    store = Store(tmp_path, on("put", "log/", Fault.RESET_AFTER))
    with pytest.raises(ObjectExists):
        store.objects.put("log/1", b"mine", if_absent=True)
    assert store.objects.get("log/1") == b"mine"


def test_a_list_goes_on_behind_what_was_given(tmp_path: Path) -> None:
    """Each entry once, although it broke in the middle, twice."""
    faults = iter([Fault.RESET_AFTER, Fault.RESET_AFTER, None])
    store = Store(tmp_path, lambda call: next(faults))
    assert [entry.key for entry in store.objects.list("a/")] == list(GIVEN)
    assert len(store.faulty.calls) == 3


def test_attempts_are_logged_without_content(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What was tried, and why again."""
    store = Store(tmp_path, at(0, Fault.TIMEOUT))
    with caplog.at_level(logging.INFO, logger="syla_jupyter"):
        store.objects.put("a/2", b"private")
    assert "a/2" in caplog.text
    assert "private" not in caplog.text


@given(st.integers(1, 5000), st.floats(0, 1))
def test_waits_are_bounded_and_jittered(failures: int, chance: float) -> None:
    """Between half of what is due and all of it, never more than the longest."""
    patience = Patience()
    seconds = wait_seconds(failures, patience, chance)
    due = min(patience.longest_seconds, patience.first_seconds * 2 ** min(failures - 1, 100))
    assert due / 2 <= seconds <= due


def test_patience_makes_sense() -> None:
    """Waits that would not grow are refused."""
    for values in ({"first_seconds": 0.0}, {"first_seconds": 9.0, "longest_seconds": 8.0}):
        with pytest.raises(ValueError):
            Patience(**values)


def test_each_request_is_told_of(tmp_path: Path) -> None:
    """Kind, bytes, duration and result, of failures too; a list that somebody stops reading is fine."""
    requests, clock = list[Request](), HandClock()
    faulty = FaultyObjects(LocalObjects(tmp_path / "objects"), lambda call: clock.move(2.0))
    objects = MeteredObjects(faulty, requests.append, clock=clock)
    objects.put("a/1", b"12345")
    objects.put("a/2", memoryview(b"1"))
    objects.get("a/1", start=2)
    with pytest.raises(ObjectMissing):
        objects.head("b")
    listed = objects.list("a/")
    next(listed)
    listed.close()  # type: ignore[attr-defined]
    faulty.plan = at(len(faulty.calls), Fault.TIMEOUT)
    with pytest.raises(ObjectsFailed):
        objects.delete(["a/1"])
    assert [(r.operation, r.sent_bytes, r.received_bytes, r.result) for r in requests] == [
        ("put", 5, 0, "ok"),
        ("put", 1, 0, "ok"),
        ("get", 0, 3, "ok"),
        ("head", 0, 0, "object_missing"),
        ("list", 0, 0, "ok"),
        ("delete", 0, 0, "objects_failed"),
    ]
    assert [r.seconds for r in requests[:5]] == [2.0] * 5


def test_many_random_failures_change_nothing(tmp_path: Path) -> None:
    """A third of all calls fail; what is there in the end is what was meant."""
    store = Store(tmp_path, now_and_then(seed=7, rate=0.33))
    for number in range(60):
        store.objects.put(f"b/{number % 7}", b"%d" % number)
        if number % 3 == 0:
            store.objects.delete([f"b/{number % 5}"])
    expected = dict(GIVEN)
    for number in range(60):
        expected[f"b/{number % 7}"] = b"%d" % number
        if number % 3 == 0:
            expected.pop(f"b/{number % 5}", None)
    assert store.content() == expected
    assert len(store.waits) > 15
