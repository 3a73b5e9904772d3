"""What a workspace is: its type, its limits, and where its files are.

Sizes are bytes, durations seconds, CPU is in cores. The defaults by type are the table of the design;
an operator changes them through `Settings`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024
GIB = 1024 * MIB

DEFAULT_WORKSPACE = "default"


class WorkspaceType(enum.StrEnum):
    EPHEMERAL = "ephemeral"
    SESSION = "session"
    PERSISTENT = "persistent"
    COLLABORATIVE = "collaborative"


class Network(enum.StrEnum):
    """`none`: a loopback of its own and nothing else. `egress`: outwards only, own bridge, no neighbours."""

    NONE = "none"
    EGRESS = "egress"


class MountMode(enum.StrEnum):
    """How the caller's directory appears in an ephemeral workspace (`SYLA_MOUNT`)."""

    READ_WRITE = "rw"
    READ_ONLY = "ro"
    NONE = "none"


@dataclass(frozen=True)
class Limits:
    """What one container may use; each limit is enforced by the host kernel, never by the container."""

    cpus: float
    memory_bytes: int
    disk_bytes: int
    """Largest single file, and the size of a home that is not on disk."""
    pids: int = 512
    tmp_bytes: int = 256 * MIB
    open_files: int = 4096

    def __post_init__(self) -> None:
        floor = {"cpus": 0.05, "memory_bytes": 64 * MIB, "disk_bytes": MIB, "pids": 32, "tmp_bytes": MIB}
        for name, least in floor.items():
            if not least <= getattr(self, name) < 1 << 62:  # also not a number, or infinite
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")


DEFAULT_LIMITS = {
    WorkspaceType.EPHEMERAL: Limits(0.5, 512 * MIB, 1 * GIB, pids=256, tmp_bytes=128 * MIB),
    WorkspaceType.SESSION: Limits(1, 2 * GIB, 5 * GIB),
    WorkspaceType.PERSISTENT: Limits(2, 4 * GIB, 20 * GIB),
    WorkspaceType.COLLABORATIVE: Limits(4, 8 * GIB, 50 * GIB),
}


@dataclass(frozen=True)
class WorkspaceSpec:
    """Everything that decides what a workspace's container is made of."""

    name: str
    type: WorkspaceType
    template: str
    limits: Limits
    network: Network
    files: Path | None
    """Host directory that is `/workspace` inside; None: an empty one that is gone with the container."""
    files_read_only: bool = False
    home: Path | None = None
    """Host directory that is the home; None: in memory, gone with the container."""
    masked: tuple[str, ...] = ()
    """Names directly under `/workspace` that are covered by an empty directory."""


def readable_bytes(count: int) -> str:
    """`512 MB`, `2 GB`: the way limits are written in messages (1 MB = 2**20 bytes)."""
    if count >= GIB and count % GIB == 0:
        return f"{count // GIB} GB"
    return f"{count // MIB} MB"
