"""Whether a process stands still because its control group is frozen: the kernel's word, version 1 or 2.

The engine is not asked, so this may be looked at before every message, and it also tells what somebody did behind our
back (`docker pause`).
"""

from __future__ import annotations

from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")


def is_frozen(pid: int, proc: Path = Path("/proc"), groups: Path = GROUPS) -> bool:
    """`pid`: as this process sees it. False too where it is gone, or where this cannot be read."""
    try:
        lines = [line.split(":", 2) for line in (proc / str(pid) / "cgroup").read_text().splitlines()]
        paths = {name: path.lstrip("/") for _, names, path in lines for name in names.split(",")}
        if "freezer" in paths:
            return (groups / "freezer" / paths["freezer"] / "freezer.state").read_text() != "THAWED\n"
        events = (groups / paths[""] / "cgroup.events").read_text()
        return dict(line.split() for line in events.splitlines()).get("frozen") == "1"
    except (OSError, ValueError, KeyError):
        return False
