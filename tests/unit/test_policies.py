"""What a policy does next: each duration, its warning, its reason, and what time can do to it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syla_jupyter.model.policy import DAY, DEFAULT_POLICIES, HOUR, MINUTE, Policy
from syla_jupyter.model.record import State, WorkspaceRecord
from syla_jupyter.model.workspace import WorkspaceType
from syla_jupyter.workspaces.policies import Action, due_action, next_look, readable_duration

from .records import EXECUTION, NOW, a_record

IDLE = Policy(idle_seconds=HOUR)
TTL = Policy(ttl_seconds=DAY, ttl_ends_in_delete=True)
USED_TTL = dataclasses.replace(TTL, ttl_extended_by_activity=True)
CAPPED = Policy(idle_seconds=HOUR, hard_cap_seconds=8 * HOUR)
SUSPENDED = Policy(stop_seconds=DAY, archive_seconds=30 * DAY)
RETENTION = Policy(retention_seconds=30 * DAY)
FROZEN: dict[str, Any] = {"state": State.SUSPENDED, "execution": EXECUTION}

RULES = [
    # policy, record, the action, and how long after everything began
    (IDLE, {}, Action.SUSPEND, HOUR),
    (IDLE, {"last_activity_at": NOW + 5 * HOUR}, Action.SUSPEND, 6 * HOUR),
    (IDLE, {"state_since": NOW + 5 * HOUR}, Action.SUSPEND, 6 * HOUR),
    (IDLE, {"extended_until": NOW + 9 * HOUR}, Action.SUSPEND, 9 * HOUR),
    (CAPPED, {"last_activity_at": NOW + 7.5 * HOUR}, Action.SUSPEND, 8 * HOUR),
    (CAPPED, {"extended_until": NOW + 9 * DAY}, Action.SUSPEND, 8 * HOUR),
    (CAPPED, {"state_since": NOW + 3 * HOUR, "extended_until": NOW + 9 * DAY}, Action.SUSPEND, 11 * HOUR),
    (Policy(hard_cap_seconds=HOUR), {}, Action.SUSPEND, HOUR),
    (TTL, {}, Action.DELETE, DAY),
    (TTL, {"state": State.CREATED, "last_activity_at": NOW + HOUR}, Action.DELETE, DAY),
    (TTL, {"state": State.SUSPENDED, "state_since": NOW + HOUR}, Action.DELETE, DAY),
    (TTL, {"extended_until": NOW + 2 * DAY}, Action.DELETE, 2 * DAY),
    (dataclasses.replace(TTL, ttl_ends_in_delete=False), {}, Action.ARCHIVE, DAY),
    (USED_TTL, {"last_activity_at": NOW + HOUR}, Action.DELETE, 25 * HOUR),
    (SUSPENDED, FROZEN, Action.STOP, DAY),
    (SUSPENDED, {"state": State.SUSPENDED}, Action.ARCHIVE, 30 * DAY),
    (SUSPENDED, {**FROZEN, "extended_until": NOW + 40 * DAY}, Action.STOP, 40 * DAY),
    (RETENTION, {"state": State.ARCHIVED}, Action.DELETE, 30 * DAY),
    (dataclasses.replace(IDLE, ttl_seconds=HOUR, ttl_ends_in_delete=True), {}, Action.SUSPEND, HOUR),
]
NEVER = [
    (Policy(), {}),
    (IDLE, {"state": State.CREATED}),
    (IDLE, {"state": State.SUSPENDED}),
    (TTL, {"state": State.ARCHIVED}),
    (RETENTION, {"state": State.SUSPENDED}),
    (SUSPENDED, {}),
    (Policy(stop_seconds=DAY), {"state": State.SUSPENDED}),
    (TTL, {"is_default": True}),
    (dataclasses.replace(TTL, ttl_ends_in_delete=False), {"is_default": True}),
    (SUSPENDED, {"state": State.SUSPENDED, "is_default": True}),
    (RETENTION, {"state": State.ARCHIVED, "is_default": True}),
    (DEFAULT_POLICIES[WorkspaceType.SESSION], {"state": State.DELETED}),
]


def record_of(policy: Policy, changes: dict[str, Any]) -> WorkspaceRecord:
    return a_record(**{"policy": policy, **changes})


@pytest.mark.parametrize(("policy", "changes", "action", "after"), RULES)
def test_each_rule_warns_and_then_acts(policy: Policy, changes: dict[str, Any], action: Action, after: float) -> None:
    """Nothing, the warning five minutes before, nothing again, the action at its deadline and ever after."""
    record = record_of(policy, changes)
    at = NOW + after
    steps = [(at - HOUR / 2, 0.0, Action.NONE), (at - 5 * MINUTE - 1, 0.0, Action.NONE)]
    warned = at - 5 * MINUTE
    steps += [(warned, 0.0, Action.WARN), (warned, warned, Action.NONE), (at - 1, warned, Action.NONE)]
    steps += [(at, warned, action), (at + 90 * DAY, warned, action)]
    for now, warned_at, expected in steps:
        due = due_action(dataclasses.replace(record, warned_at=warned_at), policy, now)
        assert (due.action, due.deadline, due.next_action) == (expected, at, action)


@pytest.mark.parametrize(("policy", "changes"), NEVER)
def test_what_no_policy_touches(policy: Policy, changes: dict[str, Any]) -> None:
    """Whatever time passes and whoever warned; the default workspace is neither archived nor deleted."""
    record = record_of(policy, changes)
    for now in (NOW, NOW + 400 * DAY):
        due = due_action(dataclasses.replace(record, warned_at=now), policy, now)
        assert (due.action, due.deadline, due.next_action) == (Action.NONE, None, Action.NONE)
        assert next_look(record, now) is None


def test_the_default_workspace_is_suspended_like_any_other() -> None:
    """It only never goes away."""
    record = record_of(IDLE, {"is_default": True, "warned_at": NOW + HOUR - 5 * MINUTE})
    assert due_action(record, IDLE, NOW + HOUR).action is Action.SUSPEND


@pytest.mark.parametrize(("policy", "changes", "action", "after"), RULES)
def test_a_late_warning_comes_first_and_the_action_as_long_after_it(
    policy: Policy, changes: dict[str, Any], action: Action, after: float
) -> None:
    """Nobody swept for a day: warn, wait the whole time of a warning, then act."""
    late = NOW + after + DAY
    record = record_of(policy, changes)
    due = due_action(record, policy, late)
    assert (due.action, due.deadline, due.next_action) == (Action.WARN, late + 5 * MINUTE, action)
    warned = dataclasses.replace(record, warned_at=late)
    assert due_action(warned, policy, late + 5 * MINUTE - 1).action is Action.NONE
    assert due_action(warned, policy, late + 5 * MINUTE).action is action


def test_activity_and_touch_take_a_warning_back() -> None:
    """Without anybody clearing it: the next action has a later deadline, and a warning of its own."""
    warned = record_of(IDLE, {"warned_at": NOW + 55 * MINUTE})
    used = dataclasses.replace(warned, last_activity_at=NOW + 56 * MINUTE)
    touched = dataclasses.replace(warned, extended_until=NOW + 116 * MINUTE)
    for record in (used, touched):
        assert due_action(record, IDLE, NOW + HOUR).action is Action.NONE
        assert due_action(record, IDLE, NOW + 111 * MINUTE).action is Action.WARN
        again = dataclasses.replace(record, warned_at=NOW + 111 * MINUTE)
        assert due_action(again, IDLE, NOW + 116 * MINUTE).action is Action.SUSPEND


def test_the_hard_cap_is_warned_of_once_however_busy_it_is() -> None:
    """Activity in the last minutes neither takes the warning back nor repeats it; nor does `touch`."""
    record = record_of(CAPPED, {})
    actions = []
    for minute in range(8 * 60 + 1):
        now = NOW + minute * MINUTE
        record = dataclasses.replace(record, last_activity_at=now, extended_until=now + DAY)
        due = due_action(record, CAPPED, now)
        if due.action is not Action.NONE:
            actions.append((minute, due.action))
            record = dataclasses.replace(record, warned_at=now)
    assert actions == [(8 * 60 - 5, Action.WARN), (8 * 60, Action.SUSPEND)]


def test_a_warning_of_suspension_is_none_of_deletion() -> None:
    """Both are overdue: after the first the second has its own warning and its own wait."""
    policy = dataclasses.replace(USED_TTL, idle_seconds=HOUR)
    now = NOW + 3 * DAY
    record = record_of(policy, {"warned_at": now - 5 * MINUTE})
    assert due_action(record, policy, now).action is Action.SUSPEND
    suspended = dataclasses.replace(record, state=State.SUSPENDED, state_since=now)
    assert due_action(suspended, policy, now).action is Action.WARN
    assert due_action(dataclasses.replace(suspended, warned_at=now), policy, now + 4 * MINUTE).action is Action.NONE
    assert due_action(dataclasses.replace(suspended, warned_at=now), policy, now + 5 * MINUTE).action is Action.DELETE


def test_a_short_rule_is_warned_of_at_half_time() -> None:
    """A warning longer than the rule would come with every pause of somebody who works."""
    policy = Policy(idle_seconds=MINUTE)
    record = record_of(policy, {})
    assert due_action(record, policy, NOW + 29).action is Action.NONE
    assert due_action(record, policy, NOW + 30).action is Action.WARN
    assert due_action(dataclasses.replace(record, warned_at=NOW + 30), policy, NOW + 60).action is Action.SUSPEND


def test_the_ephemeral_default() -> None:
    """Five minutes after it was made it is gone, and a minute before that it says so, whatever runs in it."""
    policy = DEFAULT_POLICIES[WorkspaceType.EPHEMERAL]
    record = record_of(policy, {"last_activity_at": NOW + 299})
    assert next_look(record, NOW) == NOW + 240
    assert due_action(record, policy, NOW + 240).action is Action.WARN
    warned = dataclasses.replace(record, warned_at=NOW + 240)
    assert next_look(warned, NOW + 240) == NOW + 300
    assert due_action(warned, policy, NOW + 300).action is Action.DELETE


@pytest.mark.parametrize("jump", [-DAY, -HOUR, -MINUTE])
@pytest.mark.parametrize(("policy", "changes", "action", "after"), RULES)
def test_after_a_jump_back_everything_is_late(
    policy: Policy, changes: dict[str, Any], action: Action, after: float, jump: float
) -> None:
    """Moments that now lie ahead count as now; a warning from ahead is given again, and the action waits for it."""
    at = NOW + after
    record = record_of(policy, {**changes, "warned_at": at - MINUTE})
    now = at - 2 * MINUTE + jump
    assert due_action(record, policy, now).action in (Action.NONE, Action.WARN)
    due = due_action(record, policy, at - 2 * MINUTE)
    if due.action is not Action.NONE:
        assert (due.action, due.deadline) == (Action.WARN, at + 3 * MINUTE)
    ahead = dataclasses.replace(record, last_activity_at=at + DAY, state_since=at + DAY, created_at=at + DAY)
    assert due_action(ahead, policy, at).action is Action.NONE
    look = next_look(ahead, at)
    assert look is not None
    assert look > at


def test_a_moment_ahead_counts_as_now_and_a_warning_from_ahead_as_none() -> None:
    """After a jump back: idle from now on, not from a day ahead; and warned again, once, in the time that is."""
    ahead = record_of(IDLE, {"last_activity_at": NOW + DAY, "state_since": NOW + DAY})
    assert due_action(ahead, IDLE, NOW).deadline == NOW + HOUR
    warned_ahead = record_of(IDLE, {"warned_at": NOW + DAY})
    assert due_action(warned_ahead, IDLE, NOW + 54 * MINUTE).action is Action.NONE
    assert due_action(warned_ahead, IDLE, NOW + 55 * MINUTE).action is Action.WARN
    again = dataclasses.replace(warned_ahead, warned_at=NOW + 55 * MINUTE)
    assert due_action(again, IDLE, NOW + 56 * MINUTE).action is Action.NONE
    # The state began in the time that is ahead: whether the warning is older cannot be known, and it is not repeated.
    assert due_action(dataclasses.replace(again, state_since=NOW + DAY), IDLE, NOW + 56 * MINUTE).action is Action.NONE


@pytest.mark.parametrize(("policy", "changes", "action", "after"), RULES)
def test_a_jump_forward_is_a_warning_first(
    policy: Policy, changes: dict[str, Any], action: Action, after: float
) -> None:
    """A day is skipped: the warning, its whole time by the clock, then the action; and none when it jumps back."""
    moments = [value for value in changes.values() if isinstance(value, float)]
    jumped = max([NOW, NOW + after - DAY + MINUTE, *moments]) + DAY
    record = record_of(policy, changes)
    assert due_action(record, policy, jumped).action is Action.WARN
    warned = dataclasses.replace(record, warned_at=jumped)
    assert due_action(warned, policy, jumped + 4 * MINUTE).action is Action.NONE
    assert due_action(warned, policy, jumped - DAY + 6 * MINUTE).action in (Action.NONE, Action.WARN)
    assert due_action(warned, policy, jumped + 5 * MINUTE).action is action


@pytest.mark.parametrize(
    ("policy", "changes", "after", "reason"),
    [
        (IDLE, {}, 55 * MINUTE, "idle for 55 min (suspended after 1 h)"),
        (IDLE, {"extended_until": NOW + 2 * HOUR}, 65 * MINUTE, "idle for 1 h 5 min (suspended after 1 h), extended for another 55 min"),
        (CAPPED, {"last_activity_at": NOW + 7.9 * HOUR}, 7.9 * HOUR, "running for 7 h 54 min, idle or not (suspended after 8 h)"),
        (TTL, {}, 23 * HOUR, "made 23 h ago (deleted for good after 1 day)"),
        (USED_TTL, {}, 90, "not used for 1 min (deleted for good after 1 day)"),
        (SUSPENDED, FROZEN, 5, "suspended for 5 s (stopped after 1 day)"),
        (SUSPENDED, {"state": State.SUSPENDED}, 49 * HOUR, "suspended for 2 days 1 h (archived after 30 days)"),
        (RETENTION, {"state": State.ARCHIVED}, 0, "archived for 0 s (deleted for good after 30 days)"),
        (Policy(), {}, DAY, "nothing happens to it by itself"),
    ],
)  # fmt: skip
def test_the_reason_is_in_words(policy: Policy, changes: dict[str, Any], after: float, reason: str) -> None:
    """What has lasted how long, and what that leads to."""
    assert due_action(record_of(policy, changes), policy, NOW + after).reason == reason


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((-5, "0 s"), (0.9, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (3661, "1 h 1 min")),
        *((86399, "23 h 59 min"), (86400, "1 day"), (90000, "1 day 1 h"), (14 * 86400 + 60, "14 days")),
    ],
)  # fmt: skip
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    """The two biggest units, rounded down."""
    assert readable_duration(seconds) == text


# -- properties ----------------------------------------------------------------------------------------------------

SECONDS = st.none() | st.sampled_from([0.0, 1.0, MINUTE, HOUR, DAY, 30 * DAY]) | st.floats(0, 90 * DAY)
POLICIES = st.builds(
    Policy,
    ttl_seconds=SECONDS,
    ttl_extended_by_activity=st.booleans(),
    ttl_ends_in_delete=st.booleans(),
    idle_seconds=SECONDS,
    stop_seconds=SECONDS,
    archive_seconds=SECONDS,
    retention_seconds=SECONDS,
    hard_cap_seconds=SECONDS,
    warning_seconds=st.sampled_from([0.0, 5 * MINUTE, DAY]),
)
PAST = st.floats(NOW - 60 * DAY, NOW)
ANY_TIME = st.floats(NOW - 60 * DAY, NOW + 2 * DAY)


def records(times: st.SearchStrategy[float], warned: st.SearchStrategy[float]) -> st.SearchStrategy[WorkspaceRecord]:
    return st.builds(
        lambda **changes: dataclasses.replace(a_record(), **changes),
        state=st.sampled_from(State),
        policy=POLICIES,
        created_at=times,
        state_since=times,
        last_activity_at=times,
        execution=st.sampled_from(["", EXECUTION]),
        is_default=st.booleans(),
        extended_until=st.just(0.0) | ANY_TIME,
        warned_at=warned,
    )


@settings(deadline=None)
@given(records(ANY_TIME, st.just(0.0) | ANY_TIME))
def test_nothing_acts_before_its_deadline_or_unwarned(record: WorkspaceRecord) -> None:
    """Whatever the record says, also of moments to come: an action is warned of and due, a warning leaves its time."""
    due = due_action(record, record.policy, NOW)
    if due.action is Action.NONE:
        assert due.deadline is None or due.deadline > NOW
    elif due.action is Action.WARN:
        assert due.deadline is not None
        assert due.deadline >= NOW
    else:
        assert due.action is due.next_action
        assert due.deadline is not None
        assert due.deadline <= NOW
        assert 0 < record.warned_at <= NOW
    assert (due.deadline is None) == (due.next_action is Action.NONE)
    assert due.next_action is not Action.WARN
    if record.is_default:
        assert due.next_action in (Action.NONE, Action.SUSPEND, Action.STOP)


@settings(deadline=None)
@given(records(PAST, st.just(0.0) | PAST), st.floats(0, 90 * DAY))
def test_time_only_brings_things_nearer(record: WorkspaceRecord, later: float) -> None:
    """What is due stays due, and no deadline comes forward."""
    first, second = due_action(record, record.policy, NOW), due_action(record, record.policy, NOW + later)
    assert first.next_action is second.next_action
    if first.action is not Action.NONE:
        assert second.action is first.action
    if first.deadline is not None:
        assert second.deadline is not None
        assert second.deadline >= first.deadline


@settings(deadline=None)
@given(records(PAST, st.just(0.0)), st.floats(NOW - 60 * DAY, NOW), st.floats(0, NOW + 90 * DAY))
def test_activity_and_touch_only_put_things_off(record: WorkspaceRecord, active: float, extended: float) -> None:
    """Later activity or a longer extension never makes anything due earlier."""
    before = due_action(record, record.policy, NOW)
    used = dataclasses.replace(
        record,
        last_activity_at=max(record.last_activity_at, active),
        extended_until=max(record.extended_until, extended),
    )
    after = due_action(used, record.policy, NOW)
    if before.action is Action.NONE and before.deadline is not None:
        assert after.action is Action.NONE
        assert after.deadline is not None
        assert after.deadline >= before.deadline


@settings(deadline=None)
@given(records(PAST, st.just(0.0) | PAST), st.floats(0, 1))
def test_between_two_looks_there_is_nothing_to_do(record: WorkspaceRecord, share: float) -> None:
    """At the next look there is; before it there is not; without one there never is."""
    look = next_look(record, NOW)
    if look is None:
        assert due_action(record, record.policy, NOW + 400 * DAY).action is Action.NONE
        return
    assert look >= NOW
    assert due_action(record, record.policy, look).action is not Action.NONE
    between = NOW + (look - NOW) * share
    if between < look:
        assert due_action(record, record.policy, between).action is Action.NONE


def test_one_that_crashed_and_is_not_used_again_is_archived_like_a_suspended_one() -> None:
    """Its container ended and nobody opened it: the time runs from that, and from its last use; a default one stays."""
    policy = Policy(archive_seconds=30 * DAY)
    crashed = a_record(State.CREATED)
    assert due_action(crashed, policy, NOW + DAY).deadline == NOW + 30 * DAY
    assert due_action(crashed, policy, NOW + 30 * DAY).action is Action.WARN
    warned = dataclasses.replace(crashed, warned_at=NOW + 30 * DAY - MINUTE * 5)
    due = due_action(warned, policy, NOW + 30 * DAY)
    assert (due.action, due.reason) == (Action.ARCHIVE, "not used for 30 days (archived after 30 days)")
    used = dataclasses.replace(crashed, last_activity_at=NOW + DAY)
    assert due_action(used, policy, NOW + DAY).deadline == NOW + 31 * DAY
    assert due_action(dataclasses.replace(crashed, is_default=True), policy, NOW + 90 * DAY).action is Action.NONE
