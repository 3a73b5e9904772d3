"""Frozen settings; the only shape in which configuration travels below the edge.

`config.py` makes one from traitlets and the environment. Relations between fields are checked here, so that a
settings object that exists is a usable one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .policy import DEFAULT_POLICIES, Policy
from .quota import Quotas
from .retention import Retention
from .workspace import DEFAULT_LIMITS, GIB, MIB, Limits, WorkspaceType

SOCKET_PATH_MAX = 107  # bytes of sun_path less the terminating zero, unix(7); zmq.IPC_PATH_MAX_LEN


@dataclass(frozen=True)
class PoolSettings:
    size: int = 1
    """Containers kept ready per key; 0 keeps none."""
    ttl_seconds: float = 600.0
    """A ready container nobody claimed ends by itself after this."""
    memory_cap_bytes: int = 2 * GIB
    """No refill that would take the ready containers' estimated memory past this."""
    container_estimate_bytes: int = 150 * 1024 * 1024
    """Assumed for one ready container: agent, zygote and one spare (measured by `scripts/bench --only
    idle_memory`)."""
    refill_delay_seconds: float = 1.0
    """A refill never starts sooner than this after a claim: the wanted kernel has the machine first."""

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"pool size must be 0 or more, not {self.size}")
        if self.ttl_seconds <= self.refill_delay_seconds:
            raise ValueError("pool ttl_seconds must be longer than refill_delay_seconds")


@dataclass(frozen=True)
class Settings:
    data_dir: Path
    """Templates, homes, pool records: what outlives a process."""
    run_dir: Path
    """Sockets: short, private, emptied by whoever made them."""
    template: str = "python"
    limits: Mapping[WorkspaceType, Limits] = field(default_factory=lambda: dict(DEFAULT_LIMITS))
    pool: PoolSettings = field(default_factory=PoolSettings)
    spares: int = 1
    """Kernels forked ahead in a live container."""
    lease_seconds: float = 10.0
    """An ephemeral container ends this long after the last process that held it is gone."""
    detached_seconds: float = 7 * 86400.0
    """A workspace in which something runs lives on this long after the last process that held it is gone; one in which
    nothing runs, `lease_seconds`."""
    database_url: str = ""
    """Of the workspace records, `postgresql+psycopg://…`; empty: an SQLite file in `data_dir`."""
    policies: Mapping[WorkspaceType, Policy] = field(default_factory=lambda: dict(DEFAULT_POLICIES))
    quotas: Quotas = field(default_factory=Quotas)
    cpu_overcommit: float = 8.0
    """The CPU limits of all workspaces that run or are frozen may add up to this many times the cores."""
    memory_overcommit: float = 4.0
    """The same for memory limits, of what is left of the machine's memory without `memory_reserve_bytes`: a workspace
    counts by its limit, and uses a small part of it most of the time."""
    memory_reserve_bytes: int = 512 * MIB
    """For the host and the server itself."""
    disk_floor_bytes: int = 1 * GIB
    """So much of the host's file systems stays free: below it nothing is started, and what writes is suspended."""
    snapshot_store: str = ""
    """Where snapshots and archived workspaces are: a directory, or `s3://bucket/prefix?…`; empty: in `data_dir`."""
    backup_store: str = ""
    """A second store of the same kinds, with a copy of each snapshot; empty: none."""
    master_key: str = ""
    """What wraps the keys of snapshots: a file, `environment` (SYLA_MASTER_KEY), or `kms:<key id>`; empty: a file in
    `data_dir`, made at the first use."""
    retention: Retention = field(default_factory=Retention)
    """Of snapshots that were taken by themselves."""
    start_timeout_seconds: float = 60.0
    environment_allowed: tuple[str, ...] = ("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "COLUMNS", "LINES")
    """Names a kernel may inherit from the process that starts it; nothing else crosses."""

    egress_allowed: tuple[str, ...] = ()
    """Networks (CIDR) near this host that workspaces with network `egress` may reach."""

    def __post_init__(self) -> None:
        for network in self.egress_allowed:
            ipaddress.IPv4Network(network)
        # <run>/<8 hex>/h/agent is the longest path a client connects to.
        longest = len(str(self.run_dir).encode()) + len("/12345678/h/agent")
        if longest > SOCKET_PATH_MAX:
            raise ValueError(
                f"run directory {self.run_dir} is too long for sockets: {longest} bytes with file names, "
                f"{SOCKET_PATH_MAX} at most"
            )
        if self.backup_store and self.backup_store == self.snapshot_store:
            raise ValueError("backup_store is snapshot_store: a second copy belongs somewhere else")
        if self.spares < 0:
            raise ValueError(f"spares must be 0 or more, not {self.spares}")
        for name in ("cpu_overcommit", "memory_overcommit"):
            if not 1 <= getattr(self, name) < 1 << 31:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)}")
        for name in ("memory_reserve_bytes", "disk_floor_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name)}")
        if self.lease_seconds < 1:
            raise ValueError(f"lease_seconds must be 1 or more, not {self.lease_seconds}")
