"""What Linux says of the control group that a process is in, version 1 or 2: whether it stands still, how much memory
and how many processes it may have.

The engine is not asked, so this may be looked at before every message, and it also tells what somebody did behind our
back (`docker pause`, `docker update`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
UNLIMITED_BYTES = 1 << 60  # version 1 has no word for it, but a number near 2**63


def is_frozen(pid: int, proc: Path = PROC, groups: Path = GROUPS) -> bool:
    """`pid`: as this process sees it. False too where it is gone, or where this cannot be read."""
    try:
        paths = _paths(pid, proc)
        if "freezer" in paths:
            return (groups / "freezer" / paths["freezer"] / "freezer.state").read_text() != "THAWED\n"
        events = (groups / paths[""] / "cgroup.events").read_text()
        return dict(line.split() for line in events.splitlines()).get("frozen") == "1"
    except (OSError, ValueError, KeyError):
        return False


def memory_limit_bytes(pid: int, proc: Path = PROC, groups: Path = GROUPS) -> int | None:
    """None: there is none, or the process is gone, or this cannot be read."""
    try:
        paths = _paths(pid, proc)
        if "memory" in paths:
            limit = int((groups / "memory" / paths["memory"] / "memory.limit_in_bytes").read_text())
        else:
            limit = int((groups / paths[""] / "memory.max").read_text())
        return limit if limit < UNLIMITED_BYTES else None
    except (OSError, ValueError, KeyError):
        return None


@dataclass(frozen=True)
class ProcessCount:
    """Of processes and threads."""

    limit: int | None
    """None: there is none."""
    refused: int
    """How often one was wanted and not given, since the group was made."""


def process_count(pid: int, proc: Path = PROC, groups: Path = GROUPS) -> ProcessCount | None:
    """None: the process is gone, or this cannot be read."""
    try:
        paths = _paths(pid, proc)
        group = groups / "pids" / paths["pids"] if "pids" in paths else groups / paths[""]
        limit, events = (group / "pids.max").read_text().strip(), (group / "pids.events").read_text()
        refused = int(dict(line.split() for line in events.splitlines())["max"])
        return ProcessCount(None if limit == "max" else int(limit), refused)
    except (OSError, ValueError, KeyError):
        return None


def _paths(pid: int, proc: Path) -> Mapping[str, str]:
    lines = [line.split(":", 2) for line in (proc / str(pid) / "cgroup").read_text().splitlines()]
    return {name: path.lstrip("/") for _, names, path in lines for name in names.split(",")}
