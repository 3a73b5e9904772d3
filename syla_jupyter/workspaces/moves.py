"""A record after a verb: pure; `lifecycle` says whether, here is what else changes with the state."""

from __future__ import annotations

import dataclasses

from ..model.record import WorkspaceRecord
from .lifecycle import TABLE, Phase, Verb, next_state, phase


def moved(
    record: WorkspaceRecord,
    verb: Verb,
    *,
    now: float,
    reason: str,
    started: str = "",
    execution: str | None = None,
    confirmed: bool = False,
) -> WorkspaceRecord:
    """The record after the verb, not stored yet; the very same one where there is nothing to do.

    Parameters
    ----------
    now : seconds since the epoch.
    reason : one line for a person.
    started : the fresh execution, where a container was started for it; a thawed one keeps its own.
    execution, confirmed : as in `next_state`, with its errors.
    """
    next_state(record, verb, execution=execution, confirmed=confirmed)
    before = phase(record)
    after = TABLE[before][verb]
    if after is before:
        return record
    running = record.execution if Phase.FROZEN in (before, after) else started
    if after is Phase.ACTIVE and not running:
        raise ValueError(f"{verb} needs the execution that was started")
    used = after is Phase.ACTIVE or verb is Verb.RECOVER
    extended_until = record.extended_until
    if verb is Verb.RECOVER and record.policy.ttl_seconds is not None:
        # Its time to live is over in most cases, and would send it back at once.
        extended_until = max(extended_until, now + record.policy.ttl_seconds)
    return dataclasses.replace(
        record,
        state=after.state,
        # Stopping a frozen one is no new state: it is archived as long after its suspension as ever.
        state_since=now if after.state is not record.state else record.state_since,
        last_activity_at=max(record.last_activity_at, now) if used else record.last_activity_at,
        execution=running if after in (Phase.ACTIVE, Phase.FROZEN) else "",
        extended_until=extended_until,
        warned_at=0.0,  # that warning was of this step, and speaks for no other
        reason=reason,
    )
