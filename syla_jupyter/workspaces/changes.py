"""What verbs on workspaces do, step by step, and what listeners are told of them."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.record import WorkspaceRecord

STEPS = {
    "create": ("record", "directory"),
    "claim": ("taken",),
    "start": ("container", "record", "disowned"),
    "suspend": ("frozen", "record"),
    "resume": ("thawed", "record"),
    "stop": ("record", "container"),
    "archive": ("saved", "record", "container", "files", "home"),
    "recover": ("files", "record"),
    "restore": ("saved", "record", "container", "files"),
    "delete": ("record", "container", "files", "home", "versions", "forgotten"),
}
"""What each verb has done when it reaches the step; a test kills the process at each of them."""


class Level:
    """Where a resumed workspace came from."""

    RUNNING = "running"
    THAWED = "thawed"
    RESTARTED = "restarted"
    RECOVERED = "recovered"


@dataclass(frozen=True)
class Change:
    """What listeners are told after it has happened, and what a line is worded of when its record says so."""

    verb: str
    record: WorkspaceRecord
    reason: str
    seconds: float
    """Until then."""
    changes: tuple[str, ...] = ()
    """Names of what is not as it was, where the verb is `change`."""
