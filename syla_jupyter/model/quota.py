"""What there is to give, and how much of it one may have. CPU is in cores, memory in bytes.

Limits are what containers *may* use, and most use a part of it: what all limits add up to may be more than there is.
How much more is in the capacity: cores have their factor beside them, memory has it in it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Capacity:
    """Of the machine (or cluster) under one installation."""

    cpus: float
    memory_bytes: int
    """The memory limits of all workspaces may add up to this."""
    cpu_overcommit: float = 4.0
    """The CPU limits of all workspaces may add up to this many times the cores."""

    def __post_init__(self) -> None:
        if not 0 < self.cpus < 1 << 31:
            raise ValueError(f"cpus must be more than 0, not {self.cpus}")
        if not 0 < self.memory_bytes < 1 << 62:
            raise ValueError(f"memory_bytes must be more than 0, not {self.memory_bytes}")
        if not 1 <= self.cpu_overcommit < 1 << 31:
            raise ValueError(f"cpu_overcommit must be 1 or more, not {self.cpu_overcommit}")

    @property
    def cpus_offered(self) -> float:
        return self.cpus * self.cpu_overcommit


@dataclass(frozen=True)
class Quotas:
    """How much may run or be frozen at once; None: as much as the capacity allows, 0: nothing."""

    workspaces_per_user: int | None = None
    cpus_per_user: float | None = None
    memory_bytes_per_user: int | None = None
    workspaces_per_server: int | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not 0 <= value < 1 << 62:
                raise ValueError(f"{name} must be 0 or more, not {value}")
