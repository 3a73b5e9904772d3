"""Fourteen days of a fleet in seconds: the rules under an injected clock, swept every minute, with people at work.

The sweep is the janitor's with everything but the decision left out: it looks at what is due for a look, warns, acts
and writes down. People come and go by a seeded dice; the clock may jump.
"""

from __future__ import annotations

import dataclasses
import heapq
import random
from collections import Counter

import pytest

from syla_jupyter.model.policy import DAY, DEFAULT_POLICIES, HOUR, MINUTE
from syla_jupyter.model.record import State, WorkspaceRecord
from syla_jupyter.model.workspace import WorkspaceType
from syla_jupyter.workspaces.lifecycle import Verb, next_state
from syla_jupyter.workspaces.policies import Action, due_action, next_look

from .records import NOW, a_record

DAYS = 14
WORK_MINUTES = 5
"""How often it is noticed that somebody works."""
VERBS = {
    Action.SUSPEND: Verb.SUSPEND,
    Action.STOP: Verb.STOP,
    Action.ARCHIVE: Verb.ARCHIVE,
    Action.DELETE: Verb.DELETE,
}
PERSISTENT = dataclasses.replace(
    # Short enough that a workspace goes all the way within the fourteen days.
    DEFAULT_POLICIES[WorkspaceType.PERSISTENT],
    stop_seconds=12 * HOUR,
    archive_seconds=4 * DAY,
    retention_seconds=5 * DAY,
    hard_cap_seconds=10 * HOUR,
)
POLICIES = {**DEFAULT_POLICIES, WorkspaceType.PERSISTENT: PERSISTENT}


@dataclasses.dataclass
class Event:
    at: float
    id: str
    action: Action
    next_action: Action
    deadline: float
    record: WorkspaceRecord


class Fleet:
    """Records by id and when to look at each next; `now` is the clock, `run` moves it."""

    def __init__(self, seed: int, per_type: int) -> None:
        self.now = NOW
        self.dice = random.Random(seed)
        self.records: dict[str, WorkspaceRecord] = {}
        self.looks: dict[str, float | None] = {}
        self.due: list[tuple[float, str]] = []
        self.busy_until: dict[str, float] = {}
        self.events: list[Event] = []
        self.decisions = 0
        for kind in WorkspaceType:
            for number in range(per_type):
                self.keep(
                    a_record(
                        id=f"{kind}-{number}",
                        type=kind,
                        policy=POLICIES[kind],
                        execution="run-0",
                        is_default=number % 10 == 0 and kind is not WorkspaceType.EPHEMERAL,
                    )
                )

    def keep(self, record: WorkspaceRecord) -> None:
        self.records[record.id] = record
        look = self.looks[record.id] = next_look(record, self.now)
        if look is not None:
            heapq.heappush(self.due, (look, record.id))

    def people_come(self) -> None:
        """A few begin to work for some hours; one that is suspended is resumed by that, one archived is not found."""
        for id in self.dice.sample(sorted(self.records), k=min(2, len(self.records))):
            record = self.records[id]
            if record.state in (State.ACTIVE, State.SUSPENDED):
                self.busy_until[id] = self.now + self.dice.uniform(0, 14 * HOUR)
                if record.state is State.SUSPENDED:
                    self.move(record, Verb.RESUME)

    def people_work(self) -> None:
        for id, until in list(self.busy_until.items()):
            record = self.records.get(id)
            if record is None or record.state is not State.ACTIVE or until < self.now:
                del self.busy_until[id]
            else:  # as the store does it: no change of anything else, and no new plan
                self.records[id] = dataclasses.replace(record, last_activity_at=max(record.last_activity_at, self.now))

    def sweep(self) -> None:
        looks = []
        while self.due and self.due[0][0] <= self.now:
            looks.append(heapq.heappop(self.due))
        for look, id in looks:
            if self.looks.get(id) != look:  # planned anew since
                continue
            self.decisions += 1
            record = self.records[id]
            due = due_action(record, record.policy, self.now)
            if due.action is not Action.NONE:
                assert due.deadline is not None
                self.events.append(Event(self.now, id, due.action, due.next_action, due.deadline, record))
            if due.action is Action.WARN:
                self.keep(dataclasses.replace(record, warned_at=self.now))
            elif due.action is not Action.NONE:
                self.move(record, VERBS[due.action])
            else:
                self.keep(record)

    def move(self, record: WorkspaceRecord, verb: Verb) -> None:
        state = next_state(record, verb, execution=record.execution, confirmed=True)
        if state is State.DELETED:
            del self.records[record.id], self.looks[record.id]
            return
        execution = record.execution or "run-1"
        self.keep(
            dataclasses.replace(
                record,
                state=state,
                state_since=self.now if state is not record.state else record.state_since,
                execution=execution if verb in (Verb.SUSPEND, Verb.RESUME) else "",
                last_activity_at=self.now if verb is Verb.RESUME else record.last_activity_at,
                warned_at=0.0,
            )
        )

    def run(self, days: float, jumps: dict[int, float]) -> None:
        for minute in range(int(days * DAY / MINUTE)):
            self.now += MINUTE + jumps.get(minute, 0.0)
            if minute % 20 == 0:
                self.people_come()
            if minute % WORK_MINUTES == 0:
                self.people_work()
            self.sweep()


def check_warnings(fleet: Fleet) -> None:
    """Every action was announced, in that very state, its whole time before by the clock, and came no earlier."""
    announced: dict[str, Event] = {}
    for event in fleet.events:
        if event.action is Action.WARN:
            assert event.deadline - event.at >= event.record.policy.warning_seconds - 1e-3
            announced[event.id] = event
            continue
        warning = announced.pop(event.id)
        assert warning.next_action is event.action
        assert warning.record.state is event.record.state
        assert event.at >= warning.at + event.record.policy.warning_seconds - 1e-3
        assert event.at >= event.deadline


def test_fourteen_days_of_a_fleet() -> None:
    """Each type ends as its policy says, nobody at work is disturbed before the hard cap, and few looks are needed."""
    per_type = 50
    fleet = Fleet(seed=1, per_type=per_type)
    fleet.run(DAYS, {})
    check_warnings(fleet)
    done = Counter((event.action, event.record.type) for event in fleet.events)
    for event in fleet.events:
        record, policy = event.record, event.record.policy
        if event.action is Action.SUSPEND:
            idle, running = event.at - record.last_activity_at, event.at - record.state_since
            assert policy.idle_seconds is not None
            capped = policy.hard_cap_seconds is not None and running >= policy.hard_cap_seconds
            assert capped or policy.idle_seconds <= idle <= policy.idle_seconds + 2 * MINUTE
            assert policy.hard_cap_seconds is None or running <= policy.hard_cap_seconds + 2 * MINUTE
        if event.action in (Action.ARCHIVE, Action.DELETE):
            assert not record.is_default
        if event.action is Action.DELETE and record.type is WorkspaceType.EPHEMERAL:
            assert 5 * MINUTE <= event.at - record.created_at <= 6 * MINUTE
        if event.action is Action.DELETE and record.type is WorkspaceType.SESSION:
            assert DAY <= event.at - record.last_activity_at <= DAY + 10 * MINUTE
        if event.action is Action.DELETE and record.type is WorkspaceType.PERSISTENT:
            assert record.state is State.ARCHIVED
            assert 5 * DAY <= event.at - record.state_since <= 5 * DAY + 2 * MINUTE
    left = Counter(record.type for record in fleet.records.values())
    assert WorkspaceType.EPHEMERAL not in left
    assert left[WorkspaceType.COLLABORATIVE] == per_type
    assert done[Action.SUSPEND, WorkspaceType.COLLABORATIVE] > per_type
    assert done[Action.STOP, WorkspaceType.PERSISTENT] > 0
    assert done[Action.ARCHIVE, WorkspaceType.PERSISTENT] > 0
    assert done[Action.DELETE, WorkspaceType.PERSISTENT] > 0
    assert done[Action.DELETE, WorkspaceType.SESSION] > per_type / 2
    # One look at each in each sweep would be four million.
    assert fleet.decisions < 0.01 * DAYS * DAY / MINUTE * len(WorkspaceType) * per_type


@pytest.mark.parametrize(
    "jumps",
    [{1000: DAY}, {1000: -DAY}, {1000: DAY, 1003: -DAY}, {1000: -DAY, 1600: DAY}, {1: DAY}, {2: -DAY}],
    ids=["forward", "back", "forward and back", "back and forward", "forward at once", "back at once"],
)
def test_a_clock_that_jumps_a_day_does_no_harm(jumps: dict[int, float]) -> None:
    """Nothing is done unannounced, the default workspaces stay, and everything else comes to its end all the same."""
    per_type = 20
    fleet = Fleet(seed=2, per_type=per_type)
    fleet.run(3, jumps)
    check_warnings(fleet)
    defaults = [record for record in fleet.records.values() if record.is_default]
    assert len(defaults) == 3 * per_type / 10
    assert all(record.state in (State.ACTIVE, State.SUSPENDED) for record in defaults)
    assert not any(r.type is WorkspaceType.EPHEMERAL for r in fleet.records.values())
    warnings = Counter(event.id for event in fleet.events if event.action is Action.WARN)
    actions = Counter(event.id for event in fleet.events if event.action is not Action.WARN)
    assert sum(warnings.values()) < 2 * sum(actions.values()) + 4 * per_type


def test_a_short_jump_forward_loses_nothing() -> None:
    """Set back within the time of a warning, the clock has cost warnings and no workspace."""
    steady, jumped = Fleet(seed=3, per_type=20), Fleet(seed=3, per_type=20)
    for fleet, jumps in ((steady, {}), (jumped, {100: DAY, 103: -DAY})):
        fleet.run(0.2, jumps)
    assert set(steady.records) == set(jumped.records)
    assert len(steady.records) == 3 * 20  # all but the ephemeral ones
    assert not any(r.state is State.ARCHIVED for r in jumped.records.values())
