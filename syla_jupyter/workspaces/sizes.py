"""What the space on disk that a workspace takes means: fine, worth a warning, or full. Bytes everywhere.

Space is the sum of files and home. Whoever measures it decides how; whoever hears `full` stops what writes.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ..model.workspace import readable_bytes

WARN_PERCENT = 80


class DiskLevel(enum.StrEnum):
    OK = "ok"
    WARN = "warn"
    FULL = "full"


@dataclass(frozen=True)
class DiskVerdict:
    level: DiskLevel
    message: str
    """One line for a person: what is used of what, and the way out."""


def disk_verdict(used_bytes: int, limit_bytes: int) -> DiskVerdict:
    """`WARN` from 80 % on, `FULL` from the limit on; in whole numbers, so that each begins at an exact byte."""
    used = f"{readable_bytes(used_bytes)} of {readable_bytes(limit_bytes)} on disk used"
    if used_bytes >= limit_bytes:
        return DiskVerdict(DiskLevel.FULL, f"full: {used}. Delete files, or have its limit raised")
    if used_bytes * 100 >= limit_bytes * WARN_PERCENT:
        percent = used_bytes * 100 // limit_bytes
        return DiskVerdict(DiskLevel.WARN, f"{used} ({percent} %). At 100 % nothing more can be written")
    return DiskVerdict(DiskLevel.OK, used)
