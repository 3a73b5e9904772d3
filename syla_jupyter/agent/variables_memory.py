"""How much memory a forked child may still take: what the control group and the machine have left, in bytes."""

from __future__ import annotations

from typing import Any, Optional

FLOOR_BYTES = 24 << 20
"""Below this a child gives up before the kernel of the machine picks somebody to kill."""


def available(cgroup: Any) -> int:
    """`cgroup`: the module. Files of the page cache that nobody uses count as free."""
    found = _machine()
    limit = cgroup.memory_limit()
    used = cgroup._number(cgroup._read("memory.current", "memory/memory.usage_in_bytes"))
    if limit is not None and used is not None:
        stat = cgroup._read("memory.stat", "memory/memory.stat")
        cache = cgroup._field(stat, "inactive_file")
        cache = cache if cache is not None else cgroup._field(stat, "total_inactive_file")
        free = limit - used + (cache or 0)
        found = free if found is None else min(found, free)
    return 1 << 62 if found is None else max(0, found)


def fork_needs() -> int:
    """For the page tables of a child of this process, and its first steps."""
    return resident() // 400 + FLOOR_BYTES


def resident() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096
    except (OSError, ValueError, IndexError):
        return 0


def why_not(need: int, free: int) -> str:
    return "%d MB of memory are left, and %d MB are needed" % (free >> 20, need >> 20)


def _machine() -> Optional[int]:
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None
