"""What this container uses, read from its own control groups, version 1 or 2.

Everything here reads files the engine mounts read-only; a file that is missing gives None, never an error.
"""

from __future__ import annotations

import os
from typing import Any, Dict, Optional

ROOT = "/sys/fs/cgroup"


def _read(*names: str) -> Optional[str]:
    for name in names:
        try:
            with open(os.path.join(ROOT, name)) as file:
                return file.read(65536)
        except OSError:
            continue
    return None


def _number(text: Optional[str]) -> Optional[int]:
    try:
        return int(text) if text is not None else None
    except ValueError:  # "max"
        return None


def _field(text: Optional[str], name: str) -> Optional[int]:
    for line in (text or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return _number(value)
    return None


def oom_kills() -> int:
    """How many processes the kernel's out-of-memory killer has ended in this container."""
    return _field(_read("memory.events", "memory/memory.oom_control"), "oom_kill") or 0


def memory_limit() -> Optional[int]:
    return _number(_read("memory.max", "memory/memory.limit_in_bytes"))


def usage() -> Dict[str, Any]:
    """CPU seconds since the start, memory bytes, number of processes and threads; None where unknown."""
    cpu_v2 = _field(_read("cpu.stat"), "usage_usec")
    cpu_v1 = _number(_read("cpuacct/cpuacct.usage", "cpu,cpuacct/cpuacct.usage"))
    seconds = None
    if cpu_v2 is not None:
        seconds = cpu_v2 / 1e6
    elif cpu_v1 is not None:
        seconds = cpu_v1 / 1e9
    return {
        "cpu_seconds": seconds,
        "memory_bytes": _number(_read("memory.current", "memory/memory.usage_in_bytes")),
        "memory_limit_bytes": memory_limit(),
        "pids": _number(_read("pids.current", "pids/pids.current")),
        "oom_kills": oom_kills(),
    }
