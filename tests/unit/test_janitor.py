"""The janitor on a real store, a real registry and real agents without containers, on a clock moved by hand."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from syla_jupyter.model.errors import UnknownWorkspace
from syla_jupyter.model.policy import DAY, HOUR, MINUTE, Policy
from syla_jupyter.model.record import State, WorkspaceRecord
from syla_jupyter.workspaces.activity import Signals
from syla_jupyter.workspaces.changes import Change
from syla_jupyter.workspaces.inquiry import Inquiry
from syla_jupyter.workspaces.janitor import SWEEP_SECONDS, Janitor, JanitorThread

from ..local_installation import Local, local_installation
from .clocks import HandClock

IDLE = Policy(idle_seconds=HOUR, stop_seconds=DAY, archive_seconds=3 * DAY, retention_seconds=3 * DAY)
BUSY = Signals(kernels_busy=1)


class Swept:
    """An installation with a janitor; `at_work` is who its activity source sees, `warnings` what people were told."""

    def __init__(self, local: Local) -> None:
        self.local, self.clock, self.registry = local, local.clock, local.registry
        self.at_work: dict[str, Signals] = {}
        self.on_ask: Callable[[], None] = lambda: None
        self.warnings: list[tuple[str, str]] = []
        self.tidied = 0
        self.changes: list[tuple[str, str]] = []
        self.registry.listeners.append(self._heard)
        self.janitor = self.make()

    def _heard(self, change: Change) -> None:
        self.changes.append((str(change.verb), change.record.name))
        if change.verb == "warn":
            self.warnings.append((change.record.name, change.reason))

    def make(self, **more: Any) -> Janitor:
        given: dict[str, Any] = {
            "registry": self.registry,
            "store": self.local.store,
            "clock": self.clock,
            "lock_file": self.local.settings.data_dir / "janitor.lock",
            "activity": [self.source],
            "inside": Inquiry(registry=self.registry, settings=self.local.settings, clock=self.clock),
            "tidy": self.tidy,
        }
        return Janitor(**{**given, **more})

    def source(self) -> Mapping[str, Signals]:
        self.on_ask()
        return dict(self.at_work)

    def tidy(self) -> list[str]:
        self.tidied += 1
        return []

    def minutes(self, number: int, step: int = 1) -> list[str]:
        """Sweep each minute (each `step` minutes) for so long; what was done."""
        done: list[str] = []
        for _ in range(number // step):
            self.clock.move(step * MINUTE)
            done += self.janitor.sweep()
        return done

    def running(self, name: str, policy: Policy = IDLE) -> WorkspaceRecord:
        record = self.local.create(name, policy=policy)
        self.registry.open(record.id)
        return self.local.store.get(record.id)

    def now(self, record: WorkspaceRecord) -> WorkspaceRecord:
        return self.local.store.get(record.id)


@pytest.fixture
def swept() -> Iterator[Swept]:
    with local_installation(HandClock()) as local:
        yield Swept(local)


def test_an_idle_workspace_is_warned_of_then_frozen_then_stopped_archived_and_deleted(swept: Swept) -> None:
    """Each after its time and never without a warning; the record says why; files are there until the end."""
    record = swept.running("proj")
    (record.files / "kept.txt").write_text("x")
    swept.minutes(54)
    assert swept.warnings == []
    swept.minutes(2)
    assert [name for name, _ in swept.warnings] == ["proj"]
    assert "suspend in 5 min" in swept.warnings[0][1]
    assert swept.now(record).state is State.ACTIVE
    swept.minutes(6)
    now = swept.now(record)
    assert now.frozen
    assert now.reason.startswith("idle for 1 h")
    swept.minutes(24 * 60 + 60, step=20)
    assert swept.now(record).state is State.SUSPENDED
    assert not swept.now(record).execution
    swept.minutes(2 * 24 * 60, step=20)
    assert swept.now(record).state is State.ARCHIVED
    assert not record.files.exists()
    assert [version.reason.value for version in swept.local.versions.all(record.id)] == ["suspend"]
    swept.minutes(3 * 24 * 60, step=20)
    with pytest.raises(UnknownWorkspace):
        swept.now(record)
    assert list(swept.local.vault.objects.list("")) == []
    assert len(swept.warnings) == 4
    assert [verb for verb, _ in swept.changes if verb != "warn"] == [
        "create", "start", "suspend", "stop", "archive", "delete",
    ]  # fmt: skip


def test_who_works_is_not_suspended_and_an_open_tab_does_not_count(swept: Swept) -> None:
    busy, watched = swept.running("busy"), swept.running("watched")
    swept.at_work = {busy.id: BUSY, watched.id: Signals(open_tabs=3, kernels_idle=1)}
    swept.minutes(65)
    assert swept.now(busy).state is State.ACTIVE
    assert swept.now(busy).last_activity_at == swept.clock.now()
    assert swept.now(watched).frozen
    assert [name for name, _ in swept.warnings] == ["watched"]


def test_a_command_of_another_process_counts(swept: Swept) -> None:
    """`syla exec` in another terminal: nobody in this process knows of it, the container does."""
    record = swept.running("proj")
    other = swept.local.containers.connect(record.spec(swept.local.places.home(record)), record.execution)
    with open("/dev/null", "rb") as reading, open("/dev/null", "wb") as writing:
        fds = (reading.fileno(), writing.fileno(), writing.fileno())
        process = other.start_command(["sleep", "1000"], cwd="/", env={}, stdio=fds, tty=False)
    swept.minutes(140, step=4)
    assert swept.now(record).state is State.ACTIVE
    assert swept.warnings == []
    process.signal(9)
    process.done.result(20)
    swept.minutes(80, step=4)
    assert swept.now(record).frozen
    other.detach()


def test_work_that_begins_between_decision_and_act_wins(swept: Swept) -> None:
    """Whoever knows is asked once more just before; the second answer counts."""
    record = swept.running("proj")
    swept.minutes(59)
    assert len(swept.warnings) == 1
    swept.clock.move(10 * MINUTE)
    asked: list[int] = []

    def begin() -> None:
        asked.append(1)
        if len(asked) > 1:
            swept.at_work = {record.id: BUSY}

    swept.on_ask = begin
    assert swept.janitor.sweep() == []
    assert len(asked) == 2
    assert swept.now(record).state is State.ACTIVE


@pytest.mark.parametrize("verb", ["touch", "restart", "delete", "change"])
def test_what_changed_since_the_decision_is_left_alone(swept: Swept, verb: str) -> None:
    """Another version, another execution or no record at all by then: nothing happens, and nothing is logged."""
    record = swept.running("proj")
    swept.minutes(59)
    swept.clock.move(10 * MINUTE)

    def meddle(asked: WorkspaceRecord) -> Signals:
        if verb == "touch":
            swept.registry.touch(record.id, DAY)
        elif verb == "restart":
            swept.registry.suspend(record.id, stop=True)
            swept.registry.open(record.id)
        elif verb == "delete":
            swept.registry.delete(record.id, confirmed=True)
        else:
            swept.registry.change(record.id, policy=Policy())
        return Signals()

    assert swept.make(inside=meddle).sweep() == []
    if verb == "delete":
        with pytest.raises(UnknownWorkspace):
            swept.now(record)
    else:
        assert swept.now(record).state is State.ACTIVE


def test_a_touch_puts_it_off_and_the_warning_comes_again(swept: Swept) -> None:
    record = swept.running("proj")
    swept.minutes(57)
    assert len(swept.warnings) == 1
    swept.registry.touch(record.id, 2 * HOUR)
    swept.minutes(100)
    assert len(swept.warnings) == 1
    assert swept.now(record).state is State.ACTIVE
    swept.minutes(30)
    assert len(swept.warnings) == 2
    assert swept.now(record).frozen


def test_the_hard_cap_comes_whoever_works_and_is_warned_of_once(swept: Swept) -> None:
    record = swept.running("proj", Policy(idle_seconds=HOUR, hard_cap_seconds=2 * HOUR))
    swept.at_work = {record.id: BUSY}
    swept.minutes(125)
    assert swept.now(record).frozen
    assert "running for 2 h" in swept.now(record).reason
    assert len(swept.warnings) == 1


def test_one_that_fails_is_told_once_tried_later_and_stops_nothing_else(
    swept: Swept, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = swept.running("first"), swept.running("second")
    freeze, tried = swept.local.runtime.freeze, []

    def broken(container_id: str) -> None:
        container = [c for c in swept.local.runtime.find({}) if c.id == container_id]
        if first.execution in container[0].labels.values():
            tried.append(swept.clock.now())
            raise OSError("no such luck")
        freeze(container_id)

    monkeypatch.setattr(swept.local.runtime, "freeze", broken)
    with caplog.at_level(logging.WARNING):
        swept.minutes(120)
    assert swept.now(first).state is State.ACTIVE
    assert swept.now(second).frozen
    assert sum("no such luck" in message for message in caplog.messages) == 1
    assert 4 <= len(tried) <= 7  # after 2, 4, 8, … minutes
    monkeypatch.undo()
    swept.minutes(70)
    assert swept.now(first).frozen


def test_a_source_that_fails_suspends_nobody_it_should_have_known_for_ever(
    swept: Swept, caplog: pytest.LogCaptureFixture
) -> None:
    """The other sources are asked all the same, and it is told once."""
    record = swept.running("proj")

    def broken() -> Mapping[str, Signals]:
        raise RuntimeError("cannot say")

    swept.at_work = {record.id: BUSY}
    janitor = swept.make(activity=[broken, swept.source])
    for _ in range(90):
        swept.clock.move(MINUTE)
        janitor.sweep()
    assert swept.now(record).state is State.ACTIVE
    assert sum("who is at work" in message for message in caplog.messages) == 1


def test_a_container_that_ended_by_itself_is_noted_and_the_leavings_are_looked_for(swept: Swept) -> None:
    record = swept.running("proj")
    swept.minutes(1)
    assert swept.tidied == 1  # at the first sweep
    swept.minutes(30)
    assert swept.tidied == 1
    (container,) = swept.local.runtime.find({})
    swept.local.runtime.remove(container.id)
    swept.minutes(1)
    assert swept.now(record).state is State.CREATED
    assert not swept.now(record).execution
    assert swept.tidied == 2
    swept.minutes(61)
    assert swept.tidied == 3
    swept.minutes(3 * 24 * 60 + 60, step=20)
    assert swept.now(record).state is State.ARCHIVED  # nobody opened it again


def test_what_a_dead_process_left_half_done_is_finished(swept: Swept) -> None:
    """Frozen and not said so, thawed and not said so, being deleted: each is as its record says after one sweep."""
    frozen, thawed, deleted = (swept.running(name) for name in ("frozen", "thawed", "deleted"))
    swept.registry.suspend(thawed.id)
    swept.registry._engine.freeze(frozen)
    swept.registry._engine.thaw(thawed)
    swept.local.store.replace(dataclasses.replace(deleted, state=State.DELETED, execution=""))
    swept.janitor.sweep()
    by_name = {c.labels["syla.workspace"]: c.frozen for c in swept.local.runtime.find({})}
    assert by_name["frozen"] is False
    assert by_name["thawed"] is True
    with pytest.raises(UnknownWorkspace):
        swept.now(deleted)


def test_an_idle_minute_calls_no_engine(swept: Swept) -> None:
    swept.running("a")
    swept.registry.suspend(swept.running("b").id)
    swept.minutes(1)
    swept.local.runtime.calls.clear()
    swept.minutes(30)
    assert swept.local.runtime.calls == []


def test_a_frozen_workspace_that_is_looked_at_all_day_stays(swept: Swept) -> None:
    """Each look is a connection that nobody accepts; its queue is full after some, and it lives all the same."""
    record = swept.running("proj", Policy())
    swept.registry.suspend(record.id)
    swept.minutes(200)
    assert swept.now(record).frozen
    assert swept.registry.resume(record.id)[1] == "thawed"
    assert swept.registry.open(record.id).agent.call("usage")["kernels"] == 0


def test_one_sweep_at_a_time(swept: Swept) -> None:
    swept.running("proj", Policy(idle_seconds=MINUTE, warning_seconds=0))
    swept.clock.move(HOUR)
    with (swept.local.settings.data_dir / "janitor.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert swept.janitor.sweep() == []
    assert swept.janitor.sweep() != []


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_clock_that_jumps_stops_nothing_without_a_warning(swept: Swept, jump: float) -> None:
    record = swept.running("proj")
    swept.minutes(10)
    swept.clock.jump(jump)
    swept.minutes(2)
    assert swept.now(record).state is State.ACTIVE
    swept.minutes(2 * 24 * 60, step=20)
    assert swept.now(record).state is State.SUSPENDED
    assert swept.warnings


def test_all_that_are_due_at_once_are_done_however_many(swept: Swept) -> None:
    """More than one batch, records only: none is missed, none done twice."""
    policy = Policy(archive_seconds=HOUR, warning_seconds=0)
    made = [swept.local.create(f"w{number}", policy=policy) for number in range(45)]
    swept.clock.move(2 * HOUR)
    janitor = swept.make(batch=10)
    assert len(janitor.sweep()) == len(made)
    swept.clock.move(MINUTE)
    assert len(janitor.sweep()) == len(made)
    assert {swept.now(record).state for record in made} == {State.ARCHIVED}


# -- the thread --------------------------------------------------------------------------------------------------


def test_who_is_to_be_frozen_does_not_wait_for_archives(swept: Swept) -> None:
    """Archives that take half a minute each: in every sweep as many as begin in its first 40 s, and after all else."""
    for number in range(5):
        swept.local.create(f"old-{number}", policy=dataclasses.replace(IDLE, archive_seconds=HOUR))
    record = swept.running("proj")
    archived = [0]

    def slowly(change: Any) -> None:
        if str(change.verb) == "archive":
            swept.clock.move(30)
            archived[0] += 1

    swept.registry.listeners.append(slowly)
    counts, acts = [], []
    while archived[0] < 5:
        before = archived[0]
        acts += [
            line.split()[2].strip(",") for line in swept.minutes(1) if ": suspend, " in line or ": archive, " in line
        ]
        counts += [archived[0] - before] if archived[0] > before else []
    assert counts == [2, 2, 1]
    assert acts == ["suspend"] + 5 * ["archive"]
    assert swept.now(record).frozen


def test_the_thread_sweeps_each_minute_until_it_is_stopped_and_survives_errors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    waits: list[float] = []
    sweeps: list[int] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) > 4

    def sweep() -> None:
        sweeps.append(1)
        raise RuntimeError("this sweep")

    thread = JanitorThread(sweep, wait=wait)
    thread.start()
    thread._thread.join(10)
    assert waits == [SWEEP_SECONDS] * 5
    assert len(sweeps) == 4
    assert sum("a sweep failed" in message for message in caplog.messages) == 1


def test_the_thread_ends_at_once_when_the_server_does() -> None:
    swept = threading.Event()
    thread = JanitorThread(swept.set, seconds=3600)
    thread.start()
    thread.stop()
    assert not thread._thread.is_alive()
    assert not swept.is_set()
    with contextlib.suppress(RuntimeError):
        thread.stop()
