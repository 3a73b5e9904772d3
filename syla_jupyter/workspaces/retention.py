"""Which versions are kept and why: pure, from what each says of itself and the rules.

A version is kept for every reason that it has; one without any is let go. The newest is kept always, and so is what
somebody tagged. What a person took (with a message or without), imported or cloned is let go only when a person asks
for it: what happens by itself undoes only what happened by itself.

Periods are those of the calendar in UTC: two machines in two zones decide alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ..model.record import WorkspaceRecord
from ..model.retention import Retention
from ..model.snapshot import Reason, Version
from ..model.workspace import WorkspaceType

AUTOMATIC = frozenset({Reason.TIMER, Reason.SUSPEND, Reason.ARCHIVE, Reason.PRE_RESTORE})

PERIODS: dict[str, Callable[[datetime], object]] = {
    "hourly": lambda at: (at.date(), at.hour),
    "daily": lambda at: at.date(),
    "weekly": lambda at: at.isocalendar()[:2],
    "monthly": lambda at: (at.year, at.month),
}


def saved_by_itself(record: WorkspaceRecord) -> bool:
    """Not an ephemeral one, of which nothing is to survive, nor a default one, whose files were there before."""
    return not record.is_default and record.type is not WorkspaceType.EPHEMERAL


@dataclass(frozen=True)
class Verdict:
    version: Version
    kept: bool
    why: str
    """For a person: `newest, daily`; of one that is let go, what it was."""


def judge(versions: Sequence[Version], rules: Retention, *, automatic_only: bool = False) -> list[Verdict]:
    """One verdict for each, oldest first.

    Parameters
    ----------
    versions : in any order; none twice.
    automatic_only : keep what a person took, whatever the rules say.
    """
    newest_first = sorted(versions, key=lambda version: version.number, reverse=True)
    reasons: dict[int, list[str]] = {version.number: [] for version in newest_first}
    for position, version in enumerate(newest_first):
        if position == 0:
            reasons[version.number].append("newest")
        if version.tags:
            reasons[version.number].append("tagged")
        if automatic_only and version.reason not in AUTOMATIC:
            reasons[version.number].append("taken by a person")
        if 0 < position < rules.last:
            reasons[version.number].append("one of the last")
    for name, period in PERIODS.items():
        seen: set[object] = set()
        for version in newest_first:
            here = period(datetime.fromtimestamp(version.created_at, UTC))
            if here not in seen and len(seen) < getattr(rules, name):
                seen.add(here)
                reasons[version.number].append(name)
    return [
        Verdict(version, bool(reasons[version.number]), ", ".join(reasons[version.number]) or "no rule keeps it")
        for version in reversed(newest_first)
    ]
