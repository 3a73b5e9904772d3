"""What travels about versions; `wire` has what is common, and the version itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ..model.retention import COUNT_MAX
from ..workspaces.versions import MESSAGE_MAX, TAG_MAX, TAGS_MAX
from .wire import Bytes, Query, Snapshot, Whole, Wire, Workspace, left_out

Tag = Annotated[str, Field(min_length=1, max_length=TAG_MAX)]
Tags = Annotated[list[Tag], Field(max_length=TAGS_MAX)]
Path = Annotated[str, Field(min_length=1, max_length=4096)]
Number = Annotated[Whole, Field(ge=1, le=2**31 - 1)]
FILES_MAX = 10_000
"""Of each kind in a comparison."""
LOST_MAX = 1000
"""Files of one version that are named as lost."""
LOST_FILES = f"By version, the files of it that cannot be brought back; at most {LOST_MAX} each."


# -- requests --------------------------------------------------------------------------------------------------------


class TakeSnapshot(Wire):
    message: str = Field(default="", max_length=MESSAGE_MAX)
    tags: Tags = Field(default=[])
    if_changed: bool = Field(default=False, description="None where nothing has changed since the newest one.")


class ChangeSnapshot(Wire):
    tags: Tags = Field(description="Replaces its tags.")


class RestoreSnapshot(Wire):
    paths: list[Path] = Field(
        default=[],
        max_length=1000,
        description="Only these: `a/b.ipynb` of the files, `home/a`. None: all of it, which ends the container.",
    )
    partial: bool = Field(default=False, description="Of a damaged version, what is left of it.")
    into: str = left_out(
        min_length=1, max_length=1000, description="Name of a new workspace to restore it into; here nothing changes."
    )


class CloneWorkspace(Wire):
    name: str = Field(min_length=1, max_length=1000)
    version: Number = left_out(description="As it was in this version; else as it is now.")


class ExportWorkspace(Wire):
    version: Number = left_out(description="This version; else as it is now.")
    config_only: bool = Field(default=False, description="What it is made of, without what is in it.")


class VerifySnapshots(Wire):
    part: float = Field(default=0.0, ge=0, le=1, description="Of the data to read and check; 0: by the index alone.")


Count = Annotated[Whole, Field(ge=0, le=COUNT_MAX)]


class FileQuery(Query):
    path: Path = Field(description="As `changed` has it: `files/a.ipynb`, `home/a`.")


class PruneSnapshots(Wire):
    """With any of the counts, versions go that none of the given rules keeps; without, only what no version needs."""

    last: Count = left_out()
    hourly: Count = left_out()
    daily: Count = left_out()
    weekly: Count = left_out()
    monthly: Count = left_out()
    dry_run: bool = False


# -- answers ---------------------------------------------------------------------------------------------------------


class SnapshotList(Wire):
    snapshots: list[Snapshot] = Field(description="Oldest first.")


class SnapshotDetails(Snapshot):
    packages: dict[str, str] = Field(description="Installed in the workspace, on top of its image.")
    image: str
    variables: dict[str, Any] = Field(description="Of its kernels: what became of each.")


class TakenSnapshot(Wire):
    snapshot: Snapshot | None = Field(description="null: nothing had changed.")
    consistent: bool = Field(description="All of one moment.")
    said: dict[str, int] = Field(description="What could not be saved as it was, counted by kind.")


class RestoredSnapshot(Wire):
    workspace: Workspace = Field(description="That has the version now.")
    saved: int | None = Field(description="The version that holds what was overwritten.")
    notes: list[str] = Field(description="What did not come back, and why; for a person.")


class FileChange(Wire):
    path: str
    kind: str = Field(description="file, directory, symlink, hardlink")
    path_before: str | None = Field(description="Where it was, if that is another place.")
    bytes: int | None = Field(description="null: it is not there any more.")
    bytes_before: int | None = Field(description="null: it was not there.")


class SnapshotDiff(Wire):
    added: list[FileChange]
    changed: list[FileChange]
    removed: list[FileChange]
    renamed: list[FileChange]
    attributes: list[FileChange] = Field(description="The same content with another mode, time, or attribute.")
    omitted: int = Field(description="Files that are not listed because there are too many.")
    packages: list[str]
    variables: list[str]


class DiffLine(Wire):
    sign: Literal["added", "removed", "same", "skipped"]
    text: str = Field(description="What is not seen, such as control characters, as escapes; very long ones cut off.")
    count: int = Field(description="Of `skipped`: so many are the same and not shown.")


class CellChange(Wire):
    change: Literal["added", "removed", "changed", "moved"]
    type: Literal["code", "markdown", "raw"]
    type_before: Literal["code", "markdown", "raw"]
    before: int | None = Field(description="Its number in the notebook, from 1; null: it was not there.")
    after: int | None = Field(description="null: it is not there any more.")
    moved: bool = Field(description="Past others that stayed, whatever else changed.")
    outputs: bool = Field(description="Have changed.")
    lines: list[DiffLine] = Field(description="Of its source.")


class FileDiff(Wire):
    kind: Literal["notebook", "text", "none"]
    why: Literal["", "too_large", "too_slow", "no_text"] = Field(description="Why it cannot be shown.")
    bytes_before: Bytes
    bytes: Bytes
    cells: list[CellChange] = Field(description="Of a notebook, those that are not the same.")
    lines: list[DiffLine] = Field(description="Of a text.")
    omitted: int = Field(description="Lines and cells that are too many.")


class DamageShown(Wire):
    key: str
    problem: str


class VerifyShown(Wire):
    ok: bool
    versions: int
    chunks: int
    packs: int
    packs_read: int
    bytes_read: Bytes
    damage: list[DamageShown]
    lost: list[int] = Field(description="Versions that cannot be brought back whole.")
    lost_files: dict[str, list[str]] = Field(description=LOST_FILES)


class RepairShown(Wire):
    packs_read: int
    chunks_found: int
    damage: list[DamageShown]
    lost: list[int] = Field(description="Versions of which something is lost.")
    lost_files: dict[str, list[str]] = Field(description=LOST_FILES)
    versions_lost: list[int]
    healed: list[str] = Field(description="Objects that were damaged and are taken anew from the backup.")


class PruneShown(Wire):
    dry_run: bool
    deleted: list[int] = Field(description="Versions; of a dry run, those that would go.")
    bytes_kept: Bytes
    bytes_freed: int
