"""Which files of a workspace have changed since a moment: one look, for a bounded price, at a tree that is hostile.

The time of a file's last change of any kind (`ctime`) says it. The host's kernel sets it, of content, name and mode
alike, and nobody sets it back; so nothing is remembered of a tree between two looks, whatever its size. What was
removed has left nothing but the change of its directory: one that has changed, and nothing in it, is named itself.

The look goes from the top down and ends after so many entries, or so much time: of a tree that is larger, what lies
deep is not seen. A directory is opened name by name beneath the root, no link is followed, no other file system is
entered. What the contents API does not show is left out, and so is what Python keeps of imports.
"""

from __future__ import annotations

import collections
import contextlib
import os
import stat
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from ..model.clock import Clock
from .disk import opened

ENTRIES_MAX = 4000
BUDGET_SECONDS = 0.03
DEPTH_MAX = 32
NAMES_MAX = 20
TICK_SECONDS = 0.02
"""File systems take the time of the last tick of the kernel's clock, which was up to so long before."""
SKIPPED = "__pycache__"
_LOOK_AT_CLOCK = 64  # entries


@dataclass
class Changed:
    count: int = 0
    paths: list[str] = field(default_factory=list)
    """Below the root, the first ones; empty text: the root itself."""

    def add(self, path: str) -> None:
        self.count += 1
        if len(self.paths) < NAMES_MAX:
            self.paths.append(path)


def changed_since(
    root: Path,
    since: float,
    clock: Clock,
    *,
    barred: str = "",
    known: Collection[str] = (),
    entries_max: int = ENTRIES_MAX,
    budget_seconds: float = BUDGET_SECONDS,
) -> Changed:
    """No error ever: what cannot be read is not seen.

    Parameters
    ----------
    since : seconds since the epoch.
    barred : a name directly below the root that is not looked at.
    known : paths below the root whose changes are no news.
    """
    found, since_ns = Changed(), int((since - TICK_SECONDS) * 1e9)
    until, left = clock.monotonic() + budget_seconds, entries_max
    pending: collections.deque[tuple[str, ...]] = collections.deque([()])
    device: int | None = None
    while pending and left > 0 and clock.monotonic() < until:
        names = pending.popleft()
        with contextlib.suppress(OSError), opened(root, names) as fd:
            own = os.fstat(fd)
            device = own.st_dev if device is None else device
            if own.st_dev != device:
                continue
            explained, whole = False, True
            with os.scandir(fd) as entries:
                for entry in entries:
                    left -= 1
                    if left <= 0 or (left % _LOOK_AT_CLOCK == 0 and clock.monotonic() >= until):
                        whole, left = False, 0
                        break
                    is_directory, is_new = _seen(entry, since_ns)
                    explained = explained or is_new
                    if _hidden(entry.name) or (not names and entry.name == barred):
                        continue
                    path = "/".join((*names, entry.name))
                    if is_directory and len(names) < DEPTH_MAX:
                        pending.append((*names, entry.name))
                    elif is_new and not is_directory and path not in known:
                        found.add(path)
            if whole and not explained and own.st_ctime_ns >= since_ns:
                found.add("/".join(names))
    return found


def _seen(entry: os.DirEntry[str], since_ns: int) -> tuple[bool, bool]:
    """(is a directory, has changed)."""
    try:
        details = entry.stat(follow_symlinks=False)
    except OSError:
        return False, False
    return stat.S_ISDIR(details.st_mode), details.st_ctime_ns >= since_ns


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == SKIPPED
