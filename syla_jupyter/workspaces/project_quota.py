"""Whether the file system beneath a place could enforce a workspace's size itself: project quotas of ext4 and XFS.

Pure, from the text of `/proc/self/mountinfo`; proc(5) has its format.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath

from ..runtimes.mounts import plain

OPTIONS = {"ext4": {"prjquota"}, "xfs": {"prjquota", "pquota"}}
"""Options of a mount whose project quotas are enforced; `pqnoenforce` of XFS only counts."""


@dataclass(frozen=True)
class MountPoint:
    place: Path
    type: str
    project_quota: bool


def mount_of(place: Path, mountinfo: str) -> MountPoint | None:
    """The mount that holds an absolute path without links; None where the text has none."""
    found: MountPoint | None = None
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields, more = before.split(" "), after.split(" ")
        if not separator or len(fields) < 5 or len(more) < 3:
            continue
        where = Path(plain(fields[4]))
        # Of two mounts on one place the later one is on top.
        if PurePath(place).is_relative_to(where) and (found is None or len(where.parts) >= len(found.place.parts)):
            options = set(more[2].split(","))
            found = MountPoint(where, more[0], bool(options & OPTIONS.get(more[0], set())))
    return found
