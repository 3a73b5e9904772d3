"""What a workspace's policy does next, when, and why: pure, from its record and the time.

Each duration of a `Policy` is a *rule*: it runs from some moment and ends in an action. Of the rules that count in the
present state the one that ends first is the next action, the milder one of two that end at once. `touch` puts every
rule off but the hard cap; activity puts off what runs from it.

*No action without its warning.* A warning goes out `warning_seconds` before the action; where the rule itself is
shorter than twice that, after half of it, so that somebody who works is not warned without end. Where the warning is
late (nobody swept, the clock was moved on) it goes first, and the action follows as long after it as ever. A warning
counts when it is no older than the present state and than the moment when this action's warning was to go out. So
activity and `touch` take a warning back by putting its action off, without clearing `warned_at`; which they must not,
since what they cannot put off (the hard cap, a fixed time to live) would be warned of for ever and never come.

*Clocks jump.* A moment that lies ahead of `now` counts as `now`: after a jump back everything is late, nothing early;
only a warning from ahead counts as none, so that another one goes out. A jump forward makes things due, which is a
warning first, and the action only when the clock has run its course after that.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

from ..model.policy import DAY, HOUR, MINUTE, Policy
from ..model.record import State, WorkspaceRecord


class Action(enum.StrEnum):
    """Mildest first: which of two goes first when both are due at once."""

    NONE = "none"
    WARN = "warn"
    SUSPEND = "suspend"
    STOP = "stop"
    ARCHIVE = "archive"
    DELETE = "delete"


SEVERITY = {action: number for number, action in enumerate(Action)}
DONE = {
    Action.SUSPEND: "suspended",
    Action.STOP: "stopped",
    Action.ARCHIVE: "archived",
    Action.DELETE: "deleted for good",
}


@dataclass(frozen=True)
class Due:
    action: Action
    """What is to be done now. Whoever warns writes `warned_at`; whoever acts clears it, and confirms a deletion."""
    reason: str
    """Of `next_action`, in words and durations for a person."""
    deadline: float | None
    """When `next_action` is done, in seconds since the epoch; never before that. None: never."""
    next_action: Action
    """`NONE` where there is no deadline, never `WARN`."""


class _Rule(NamedTuple):
    action: Action
    since: float
    """What `seconds` run from, not ahead of now."""
    seconds: float
    at: float
    """When it ends: `since` and `seconds`, or later where it was put off."""
    words: str
    """With the time since `since` for `{}`: `idle for {}`."""


def due_action(record: WorkspaceRecord, policy: Policy, now: float) -> Due:
    """What is to be done now, and what comes next. The default workspace is never archived or deleted."""
    rule = _first_rule(record, policy, now)
    if rule is None:
        return Due(Action.NONE, "nothing happens to it by itself", None, Action.NONE)
    action, deadline, _ = _step(rule, record, policy, now)
    return Due(action, _reason(rule, now), deadline, rule.action)


def next_look(record: WorkspaceRecord, now: float) -> float | None:
    """When the sweep has to look at it again, seconds since the epoch; None: not before the record changes.

    Until then `due_action` says `none`, whatever activity there is in between: that only puts things off.
    """
    rule = _first_rule(record, record.policy, now)
    return None if rule is None else _step(rule, record, record.policy, now)[2]


def readable_duration(seconds: float) -> str:
    """`40 s`, `55 min`, `1 h 5 min`, `2 days 3 h`: the two biggest units, rounded down."""
    if seconds < MINUTE:
        return f"{max(0, int(seconds))} s"
    if seconds < HOUR:
        return f"{int(seconds // MINUTE)} min"
    if seconds < DAY:
        big, rest, unit = f"{int(seconds // HOUR)} h", int(seconds % HOUR // MINUTE), "min"
    else:
        days = int(seconds // DAY)
        big, rest, unit = f"{days} day{'s' if days > 1 else ''}", int(seconds % DAY // HOUR), "h"
    return f"{big} {rest} {unit}" if rest else big


def _step(rule: _Rule, record: WorkspaceRecord, policy: Policy, now: float) -> tuple[Action, float, float]:
    """(what to do now, when the rule's action is done, until when this stays so)."""
    notice = min(policy.warning_seconds, rule.seconds / 2)
    warn_at = rule.at - notice
    counts_from = max(warn_at, record.state_since if record.state_since <= now else warn_at)
    if record.warned_at and counts_from <= record.warned_at <= now:
        at = max(rule.at, record.warned_at + notice)
        return (rule.action, at, now) if now >= at else (Action.NONE, at, at)
    if now >= warn_at:
        return Action.WARN, max(rule.at, now + notice), now
    return Action.NONE, rule.at, warn_at


def _first_rule(record: WorkspaceRecord, policy: Policy, now: float) -> _Rule | None:
    return min(_rules(record, policy, now), key=lambda r: (r.at, SEVERITY[r.action]), default=None)


def _rules(record: WorkspaceRecord, policy: Policy, now: float) -> list[_Rule]:
    made, since, active = (min(t, now) for t in (record.created_at, record.state_since, record.last_activity_at))
    rules: list[_Rule] = []

    def add(action: Action, start: float, seconds: float | None, words: str, *, fixed: bool = False) -> None:
        if seconds is None or (record.is_default and action in (Action.ARCHIVE, Action.DELETE)):
            return
        end = start + seconds
        rules.append(_Rule(action, start, seconds, end if fixed else max(end, record.extended_until), words))

    if record.state in (State.CREATED, State.ACTIVE, State.SUSPENDED):
        at_the_end = Action.DELETE if policy.ttl_ends_in_delete else Action.ARCHIVE
        if policy.ttl_extended_by_activity:
            add(at_the_end, max(made, active), policy.ttl_seconds, "not used for {}")
        else:
            add(at_the_end, made, policy.ttl_seconds, "made {} ago")
    if record.state is State.ACTIVE:
        add(Action.SUSPEND, max(since, active), policy.idle_seconds, "idle for {}")
        add(Action.SUSPEND, since, policy.hard_cap_seconds, "running for {}, idle or not", fixed=True)
    elif record.state is State.CREATED:
        add(Action.ARCHIVE, max(since, active), policy.archive_seconds, "not used for {}")
    elif record.state is State.SUSPENDED:
        add(Action.STOP, since, policy.stop_seconds if record.execution else None, "suspended for {}")
        add(Action.ARCHIVE, since, policy.archive_seconds, "suspended for {}")
    elif record.state is State.ARCHIVED:
        add(Action.DELETE, since, policy.retention_seconds, "archived for {}")
    return rules


def _reason(rule: _Rule, now: float) -> str:
    """`idle for 55 min (suspended after 1 h)`, and how long it was put off where it was."""
    seen = rule.words.format(readable_duration(now - rule.since))
    reason = f"{seen} ({DONE[rule.action]} after {readable_duration(rule.seconds)})"
    put_off = rule.at - max(now, rule.since + rule.seconds)
    if put_off > 0:
        reason += f", extended for another {readable_duration(rule.at - now)}"
    return reason
