"""What has happened to a workspace, as it is written down: who did what, when; never what was in it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Kind(enum.StrEnum):
    """What it is about; `Happening.action` says what was done."""

    WORKSPACE = "workspace"
    """create, start, suspend, resume, stop, archive, recover, restore, change, delete …: a verb of the life cycle;
    `lost`: its container was found to have ended by itself."""
    SNAPSHOT = "snapshot"
    """`take`."""
    MEMBERS = "members"
    """As in the audit log: `workspace.share` and the like."""
    ACCESS = "access"
    """`asked` for a role, or `refused`, by whom; for whoever may share it. That it was granted is a share."""
    PRESENCE = "presence"
    """`joined`, `left`."""
    EXECUTION = "execution"
    """`execute`: how often, and not what."""
    FILES = "files"
    """`save`, `rename`, `copy`, `delete`: which, and not what is in them."""
    WARNING = "warning"
    """policy, disk, memory, kernel."""


@dataclass(frozen=True)
class Happening:
    workspace: str
    """Id."""
    owner: str
    """Of the workspace, then."""
    at: float
    """Seconds since the epoch."""
    kind: Kind
    action: str
    actor: str = ""
    """Who did it; empty: it happened by itself."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """For people, small; what JSON can hold."""
    body: Mapping[str, Any] = field(default_factory=dict)
    """What an event of it needs besides; forgotten after a while."""
    n: int = 0
    """Its place among all of the installation's; given when it is written."""
