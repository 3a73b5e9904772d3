"""Values that cross the runtime port: what a container is to be, and what one is."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .workspace import Limits, Network

WORKSPACE_DIR = "/workspace"
HOME_DIR = "/home/syla"
RUN_DIR = "/run/syla"
AGENT_DIR = "/opt/syla/agent"
PYTHON_DIR = "/opt/syla/python"


@dataclass(frozen=True)
class User:
    """Numeric ids the container runs as. Never 0."""

    uid: int
    gid: int

    def __post_init__(self) -> None:
        if self.uid <= 0 or self.gid <= 0:
            raise ValueError(f"a container never runs as root (uid {self.uid}, gid {self.gid})")


class MountVia(enum.StrEnum):
    """How host directories get into a container.

    `attach`: moved into the running container's mount namespace, ids mapped so that what the container's user
    writes belongs to the user outside; needs root, and lets one pooled container serve any directory.
    `bind`: named when the container is created; needs nothing, and a pooled container serves one directory.
    """

    ATTACH = "attach"
    BIND = "bind"


@dataclass(frozen=True)
class Mount:
    """`source` on the host appears at `target`; `source=None` is an empty read-only directory (a mask)."""

    source: Path | None
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class AgentConfig:
    """What the agent is told when the container starts; see `syla_jupyter.agent`."""

    zygote: bool
    preload: tuple[str, ...]
    spares: int
    lease_seconds: float
    """The container ends when nobody has held it for this long."""
    deadline_seconds: float | None = None
    open: bool = True
    """False: spares wait for `open`, because directories are still being attached."""


@dataclass(frozen=True)
class ContainerSpec:
    name: str
    image: str
    user: User
    limits: Limits
    network: Network
    run_dir: Path
    """Host directory that is `/run/syla` inside: sockets, nothing else."""
    agent_dir: Path
    agent: AgentConfig
    python_dir: Path | None = None
    """Host directory with a Python for the agent; None: the image's own."""
    mounts: tuple[Mount, ...] = ()
    """Host directories named at creation; those that are attached later are not here."""
    start_cpus: float = 0.0
    """Cores it may use until `Runtime.limit_cpus` brings it down to `limits.cpus`: the start is our work, not the
    user's."""
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ContainerInfo:
    id: str
    name: str
    labels: Mapping[str, str]
    running: bool
    """Also while it is frozen."""
    pid: int = 0
    """Process id of the agent as the host sees it; 0 when not running or not known."""
    frozen: bool = False


@dataclass(frozen=True)
class Exit:
    """How a process or container ended."""

    code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False
    detail: str = ""

    @property
    def returncode(self) -> int:
        """The `subprocess` convention: the exit code, or minus the signal."""
        if self.signal is not None:
            return -self.signal
        return self.code if self.code is not None else 1
