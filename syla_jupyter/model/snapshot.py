"""What is said about versions of a workspace: the version itself, and reports of the verbs on a repository.

A chunk id is 32 bytes. Sizes are bytes of content unless a name says `stored`: those are as encrypted in the object
store. Times are seconds since the epoch.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Reason(enum.StrEnum):
    """Why a version was made."""

    MANUAL = "manual"
    TIMER = "timer"
    SUSPEND = "suspend"
    ARCHIVE = "archive"
    PRE_RESTORE = "pre_restore"
    """What a restore was about to overwrite."""
    CLONE = "clone"
    IMPORT = "import"


@dataclass(frozen=True)
class Version:
    number: int
    """From 1, never given twice in one repository."""
    created_at: float
    author: str
    message: str
    reason: Reason
    parent: int
    """Number of the version it was compared with; 0: none."""
    root: tuple[bytes, ...]
    """Ids of the manifest's chunks, in order."""
    files: int = 0
    bytes_total: int = 0
    bytes_new: int = 0
    """Content that no earlier version had."""
    tags: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    """For the layers above: packages, variables, image … (what msgpack can hold)."""


@dataclass(frozen=True)
class SessionStats:
    """What a save has handed over so far."""

    chunks: int = 0
    bytes_total: int = 0
    new_chunks: int = 0
    new_bytes: int = 0
    stored_bytes: int = 0
    """Of the new chunks, compressed and encrypted."""
    uploaded_bytes: int = 0
    """Of packs that the object store has confirmed."""


@dataclass(frozen=True)
class Damage:
    """One object that is not what was put there."""

    key: str
    problem: str
    """One line: missing, wrong hash, cannot be decrypted …"""


@dataclass(frozen=True)
class PruneReport:
    dry_run: bool
    packs_kept: int = 0
    packs_deleted: int = 0
    """No version needs them."""
    packs_rewritten: int = 0
    """Mostly unneeded, or small: what is needed was copied into new packs."""
    orphans_deleted: int = 0
    """Objects of saves that never ended."""
    packs_waiting: int = 0
    """Not needed, and kept until saves that run now have ended."""
    bytes_kept: int = 0
    """Stored bytes after it."""
    bytes_freed: int = 0
    """Stored bytes of what was deleted, less what was copied."""


@dataclass(frozen=True)
class VerifyReport:
    versions: int = 0
    chunks: int = 0
    packs: int = 0
    packs_read: int = 0
    bytes_read: int = 0
    damage: tuple[Damage, ...] = ()
    lost: Mapping[int, tuple[bytes, ...]] = field(default_factory=dict)
    """Version number -> chunk ids that it needs and that cannot be read."""
    lost_files: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Version number -> the files that these chunks belong to, for people."""

    @property
    def ok(self) -> bool:
        return not self.damage and not self.lost


@dataclass(frozen=True)
class RepairReport:
    packs_read: int = 0
    chunks_found: int = 0
    damage: tuple[Damage, ...] = ()
    """Objects that could not be used, and are left out from now on."""
    healed: tuple[str, ...] = ()
    """Keys of damaged objects that were taken anew from the backup."""
    lost: Mapping[int, tuple[bytes, ...]] = field(default_factory=dict)
    """Version number -> chunk ids that it needs and that are gone. The next save stores anew what is still there."""
    lost_files: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Version number -> the files that these chunks belong to, for people."""
    versions_lost: tuple[int, ...] = ()
    """Versions of which not even the record is left; their numbers are not given again."""
