"""The memory of a container that stands still, moved to the host's swap; a page comes back when it is touched.

Where the container goes on meanwhile, this ends within moments. Version 2 of control groups moves so many bytes a time
(`memory.reclaim`, Linux 5.19), and between two of them it is looked. Version 1 knows one request for everything
(`memory.force_empty`), which ends early only with the process that makes it: a child does.

A running container of ours never swaps: its limit of memory is that of memory and swap. Version 2 says so with
`memory.swap.max` = 0, which is lifted here for as long as it takes, and is back at the latest with the thaw.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from pathlib import Path

from ..model.workspace import MIB
from .control_groups import CONTAINER_PLACES, GROUPS, SWAP_LIMIT, ContainerGroup

MEMINFO = Path("/proc/meminfo")
RESIDENT_MIN_BYTES = 16 * MIB
"""Less is not worth the writes."""
STEP_BYTES, STEPS_MAX = 64 * MIB, 256
LOOK_SECONDS, LOOKS_MAX = 0.05, 200
END_SECONDS = 5.0
ASK = 'echo 0 > "$1"'


def swap_free_bytes(meminfo: Path = MEMINFO) -> int:
    """0 where there is none, or where it is not told."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in meminfo.read_text().splitlines():
            if line.startswith("SwapFree:"):
                return int(line.split()[1]) << 10
    return 0


def worth_moving(resident_bytes: int, swap_free_bytes: int) -> bool:
    """Pure. Never so much that the host would be left without swap."""
    return RESIDENT_MIN_BYTES <= resident_bytes < swap_free_bytes


def reclaim(container_id: str, groups: Path = GROUPS, meminfo: Path = MEMINFO) -> int:
    """Bytes that are no longer in memory. 0: it goes on, or this process may not, or it is not worth it."""
    freezer, memory = ContainerGroup.of(container_id, groups), memory_directory(container_id, groups)
    if freezer is None or memory is None:
        return 0
    try:
        before = resident_bytes(memory)
        if not freezer.frozen or not worth_moving(before, swap_free_bytes(meminfo)):
            return 0
        move = _move_by_steps if (memory / "memory.reclaim").exists() else _move_all
        move(memory, freezer)
        return max(0, before - resident_bytes(memory))
    except OSError:
        return 0  # it has ended meanwhile


def memory_directory(container_id: str, groups: Path = GROUPS) -> Path | None:
    """Of a container, where memory can be taken back from it; None: this process may not, or the kernel cannot."""
    for top, file in ((groups, "memory.reclaim"), (groups / "memory", "memory.force_empty")):
        for place in CONTAINER_PLACES:
            directory = top / place.format(container_id)
            if os.access(directory / file, os.W_OK):
                return directory
    return None


def resident_bytes(memory: Path) -> int:
    """What a group has in memory, what it has of files there included."""
    file = memory / "memory.current"
    return int((file if file.exists() else memory / "memory.usage_in_bytes").read_text())


def _move_by_steps(memory: Path, freezer: ContainerGroup) -> None:
    swap = memory / SWAP_LIMIT
    swap.write_text("max")
    try:
        for _ in range(STEPS_MAX):
            if not freezer.frozen:
                break
            (memory / "memory.reclaim").write_text(str(STEP_BYTES))
    except OSError as exc:
        if exc.errno != errno.EAGAIN:  # less than a step was left
            raise
    finally:
        swap.write_text("0")


def _move_all(memory: Path, freezer: ContainerGroup) -> None:
    asking = subprocess.Popen(
        ["/bin/sh", "-c", ASK, "sh", str(memory / "memory.force_empty")],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(LOOKS_MAX):
            if asking.poll() is not None or not freezer.frozen:
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                asking.wait(LOOK_SECONDS)
    finally:
        asking.kill()
        asking.wait(END_SECONDS)
