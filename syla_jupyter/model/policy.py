"""What happens to a workspace by itself: durations in seconds, sizes in bytes; None: never.

    ttl        lives this long at most after it was made (or after the last `touch`, or activity where it extends)
    idle       suspended after this long without activity
    stop       once suspended, its container is stopped after this long; until then it resumes with its variables
    archive    once suspended, or ended by a crash and not used again, archived after this long
    retention  once archived, deleted for good after this long
    snapshot   a version of an active workspace is saved this often, where it was used since the one before
    hard cap   activity and `touch` extend up to this long after it was made or resumed; then it is suspended anyway

An operator's defaults by type, and each workspace's own, both have this shape.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from .workspace import WorkspaceType

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass(frozen=True)
class Policy:
    ttl_seconds: float | None = None
    ttl_extended_by_activity: bool = False
    ttl_ends_in_delete: bool = False
    """What the end of the time to live does: True deletes, False archives."""
    idle_seconds: float | None = None
    stop_seconds: float | None = None
    archive_seconds: float | None = None
    retention_seconds: float | None = None
    hard_cap_seconds: float | None = None
    snapshot_seconds: float | None = None
    warning_seconds: float = 5 * MINUTE
    """A warning goes out this long before anything is stopped."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_seconds") and value is not None and not 0 <= value < 1 << 40:
                raise ValueError(f"{field.name} must be 0 or more, not {value}")


DEFAULT_POLICIES = {
    WorkspaceType.EPHEMERAL: Policy(ttl_seconds=5 * MINUTE, ttl_ends_in_delete=True, warning_seconds=MINUTE),
    WorkspaceType.SESSION: Policy(
        ttl_seconds=DAY, ttl_extended_by_activity=True, ttl_ends_in_delete=True, idle_seconds=HOUR
    ),
    WorkspaceType.PERSISTENT: Policy(idle_seconds=HOUR, archive_seconds=30 * DAY, retention_seconds=30 * DAY),
    WorkspaceType.COLLABORATIVE: Policy(idle_seconds=4 * HOUR),
}
