"""Control groups, version 1 or 2, without the engine: whether a process or a container stands still, how much memory
and how many processes it may have; and to make a container stand still, or go on.

The engine is not asked, so this may be looked at before every message, and it also tells what somebody did behind our
back (`docker pause`, `docker update`). What it takes to freeze is one write to a file of the kernel's, of root's;
the engine does the same write by starting a program, which takes a hundred times as long.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
UNLIMITED_BYTES = 1 << 60  # version 1 has no word for it, but a number near 2**63
CONTAINER_PLACES = ("docker/{}", "system.slice/docker-{}.scope")
"""Where the engine puts containers, by its two drivers, `cgroupfs` and `systemd`."""
SWAP_LIMIT = "memory.swap.max"
LOOKS, LOOK_SECONDS = 1000, 0.0005  # a process that waits for a disk stands still when the disk has answered


class ContainerGroup:
    """The freezer of one container, of which nothing is frozen by the engine."""

    def __init__(self, directory: Path, file: str) -> None:
        self._directory, self._file = directory, directory / file
        self._version_1 = file == "freezer.state"

    @classmethod
    def of(cls, container_id: str, groups: Path = GROUPS) -> ContainerGroup | None:
        """None: this process may not change it, it is elsewhere, or the container does not run."""
        if not re.fullmatch(r"[0-9a-f]{64}", container_id):
            return None
        for top, file in ((groups / "freezer", "freezer.state"), (groups, "cgroup.freeze")):
            for place in CONTAINER_PLACES:
                directory = top / place.format(container_id)
                if os.access(directory / file, os.R_OK | os.W_OK):
                    return cls(directory, file)
        return None

    @property
    def frozen(self) -> bool:
        """`OSError` when the container has ended."""
        if self._version_1:
            return self._file.read_text() == "FROZEN\n"
        return "frozen 1" in (self._directory / "cgroup.events").read_text().splitlines()

    def freeze(self) -> bool:
        """Whether all of it stands still now; if not, it goes on. `OSError` when the container has ended."""
        if self._written("FROZEN" if self._version_1 else "1", True):
            return True
        self.thaw()
        return False

    def thaw(self) -> None:
        """`OSError` when the container has ended."""
        self._written("THAWED" if self._version_1 else "0", False)
        swap = self._directory / SWAP_LIMIT
        if not self._version_1 and swap.exists():
            swap.write_text("0")  # whoever let it swap while it stood still may be gone (`memory_reclaim`)

    def _written(self, word: str, frozen: bool) -> bool:
        for _ in range(LOOKS):
            self._file.write_text(word)  # again: version 1 looks for what does not stand still yet only then
            if self.frozen is frozen:
                return True
            time.sleep(LOOK_SECONDS)
        return False


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
