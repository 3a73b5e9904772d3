"""Which limit of a workspace's size on disk is in force: the file system's own, or that it is measured. Pure.

The file system's own is a quota of a project (`runtimes/projects`): what is too much is refused at once (EDQUOT, or
ENOSPC from XFS), what is used is known without a walk, and no other part of the disk is harmed. Where one thing is
missing for it, workspaces are measured and suspended at their limit (`disk_watch`).

Projects have numbers, and other software numbers its own on the same file system: administrators small ones, container
engines and clusters from a million on. Ours are above 2**30, found from the workspace's id, so that a directory's
number tells whether it is one of that workspace's, and nothing has to be remembered elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from ..runtimes.mounts import plain

OPTIONS = {"ext4": {"prjquota"}, "xfs": {"prjquota", "pquota"}}
"""Options of a mount whose project quotas are enforced; `pqnoenforce` of XFS only counts."""
FILTERED_MACHINES = ("x86_64", "aarch64")
"""Where code in a container cannot give its files another project (`agent/seccomp`)."""
FIRST_ID = 1 << 30
CANDIDATES = 16


@dataclass(frozen=True)
class MountPoint:
    place: Path
    type: str
    project_quota: bool


@dataclass(frozen=True)
class DiskFacts:
    """Of the directory that workspaces' directories are made in."""

    mount: MountPoint | None
    project: int
    """The directory's own, that what is made in it has too; 0: none."""
    privileged: bool
    answers: bool
    """The kernel says what a project uses there."""
    machine: str


@dataclass(frozen=True)
class InForce:
    hard: bool
    """The file system refuses what is too much."""
    reason: str
    """One clause for a person."""
    mend: str = ""


def in_force(facts: DiskFacts) -> InForce:
    mount = facts.mount
    if mount is None:
        return InForce(False, "nothing is known of the file system")
    where = f"{mount.type} on {mount.place}"
    if mount.type not in OPTIONS:
        return InForce(False, f"{where} has no project quotas")
    if not mount.project_quota:
        return InForce(False, f"{where} has no project quotas on", _turn_on(mount))
    if not facts.privileged:
        return InForce(False, f"{where} has project quotas on, which only root of this machine can set")
    if facts.machine not in FILTERED_MACHINES:
        return InForce(False, f"on {facts.machine} nothing keeps a container's files in their project")
    if facts.project:
        return InForce(False, f"project {facts.project} of {where} is there already, and stays somebody else's")
    if not facts.answers:
        return InForce(False, f"{where} has project quotas on, and the kernel does not answer for them (Linux 5.14)")
    return InForce(True, f"project quotas of {where}")


def _turn_on(mount: MountPoint) -> str:
    if mount.type == "xfs":
        return f"mount {mount.place} with prjquota (the root file system: rootflags=prjquota at boot)"
    return f"unmounted: tune2fs -O quota,project -Q prjquota; then mount {mount.place} with prjquota"


def candidates(workspace_id: str) -> Iterator[int]:
    """Numbers that a workspace's project may have, in the order to try; always the same."""
    for attempt in range(CANDIDATES):
        digest = hashlib.sha256(f"project {attempt} {workspace_id}".encode()).digest()
        yield FIRST_ID | int.from_bytes(digest[:4], "big") % FIRST_ID


def is_ours(project: int) -> bool:
    """Of some workspace, of this installation or another."""
    return FIRST_ID <= project < 2 * FIRST_ID


def mount_of(place: Path, mountinfo: str) -> MountPoint | None:
    """The mount that holds an absolute path without links; None where the text (proc(5)) has none."""
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
