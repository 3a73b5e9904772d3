"""A workspace as it is remembered: one record, whichever process made it, whether or not it runs.

Times are seconds since the epoch. A record is a value: who wants another one replaces it in the store, naming the
version that was read, and is refused when somebody was faster.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .policy import Policy
from .workspace import Limits, Network, WorkspaceSpec, WorkspaceType


class State(enum.StrEnum):
    CREATED = "created"
    """Never started, or stopped by a crash: it has files, and no container."""
    ACTIVE = "active"
    SUSPENDED = "suspended"
    """Frozen (it has an execution), or stopped (it has none)."""
    ARCHIVED = "archived"
    DELETED = "deleted"
    """Being removed for good; seen only between two steps, or after a crash between them."""


@dataclass(frozen=True)
class WorkspaceRecord:
    id: str
    """12 hexadecimal digits, never given twice; also the name of its home in the data directory."""
    owner: str
    name: str
    type: WorkspaceType
    state: State
    template: str
    limits: Limits
    network: Network
    policy: Policy
    files: Path
    """Host directory that is `/workspace` inside, also while it is archived and the directory is elsewhere."""
    created_at: float
    state_since: float
    last_activity_at: float
    masked: tuple[str, ...] = ()
    is_default: bool = False
    shared: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    execution: str = ""
    """Of the running or frozen container; a fresh one at every start, empty where there is none."""
    extended_until: float = 0.0
    """No policy acts before this (`touch`)."""
    warned_at: float = 0.0
    """When the last warning went out; 0: none in this state."""
    reason: str = ""
    """Why it is in its state: one line for a person."""
    disk_bytes: int = 0
    """Of files and home, when they were last measured."""
    version: int = 0
    """Counts the changes; 0: not stored yet."""

    @property
    def frozen(self) -> bool:
        return self.state is State.SUSPENDED and bool(self.execution)

    def spec(self, home: Path) -> WorkspaceSpec:
        return WorkspaceSpec(
            name=self.name,
            type=self.type,
            template=self.template,
            limits=self.limits,
            network=self.network,
            files=self.files,
            home=home,
            masked=self.masked,
        )


def new_id() -> str:
    return secrets.token_hex(6)
