"""Versions as people and programs see them; the names in JSON are those of the REST API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..model.errors import BadInput
from ..model.snapshot import Damage, Version
from ..workspaces.inventory import variable_lines
from ..workspaces.versions import Differences
from .words import clock_time, past, plural, printable, rfc3339, size

if TYPE_CHECKING:
    from ..snapshots.cell_diff import CellChange
    from ..snapshots.diff import Change
    from ..snapshots.file_diff import FileDiff
    from ..snapshots.line_diff import Line

COLUMNS = ("version", "taken", "reason", "files", "size", "new", "tags", "message")
NAMED_MAX = 200
"""Files of one kind in a comparison; a program asks with --json."""
SIGNS = {"added": "+ ", "removed": "- ", "same": "  ", "skipped": "  … "}
NOT_SHOWN = {
    "too_large": "Too large to be compared", "too_slow": "Comparing it takes too long",
    "no_text": "Neither a text nor a notebook",
}  # fmt: skip
LOST_MAX = 20
"""Files of one version that are named as lost."""


def parse_number(text: str) -> int:
    """`v3` or `3`."""
    digits = text.removeprefix("v")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 10) or not 0 < int(digits) < 1 << 31:
        raise BadInput("VERSION", f"{text[:40]!r} is no version", "Such as v3; `syla snapshot list` has them")
    return int(digits)


def as_json(version: Version) -> dict[str, Any]:
    return {
        "version": version.number,
        "created_at": rfc3339(version.created_at),
        "author": version.author,
        "message": version.message,
        "reason": version.reason.value,
        "parent": version.parent or None,
        "files": version.files,
        "bytes_total": version.bytes_total,
        "bytes_new": version.bytes_new,
        "tags": list(version.tags),
    }


def rows(versions: Sequence[Version], now: float) -> list[tuple[str, ...]]:
    """By `COLUMNS`, newest first."""
    return [
        (
            f"v{v.number}", clock_time(v.created_at, now), v.reason.value.replace("_", "-"), f"{v.files:,}",
            size(v.bytes_total), size(v.bytes_new), printable(", ".join(v.tags)), printable(v.message),
        )
        for v in reversed(versions)
    ]  # fmt: skip


def detail_rows(version: Version, now: float) -> list[tuple[str, str]]:
    packages = version.details.get("packages")
    found = [
        ("version", f"v{version.number}" + (f", after v{version.parent}" if version.parent else "")),
        ("taken", f"{clock_time(version.created_at, now)} ({past(version.created_at, now)})"),
        ("by", f"{printable(version.author)} ({version.reason.value.replace('_', '-')})"),
        ("holds", f"{plural(version.files, 'file')}, {size(version.bytes_total)}; {size(version.bytes_new)} of it new"),
    ]
    if version.message:
        found.insert(1, ("message", printable(version.message)))
    if version.tags:
        found.append(("tags", printable(", ".join(version.tags))))
    if version.details.get("image"):
        found.append(("image", printable(str(version.details["image"]))))
    if isinstance(packages, Mapping):
        found.append(("packages", printable(", ".join(f"{k} {v}" for k, v in packages.items())) or "none"))
    for line in variable_lines(version.details.get("variables")):
        found.append(("variables", printable(line)))
    said = version.details.get("said")
    if isinstance(said, Mapping):
        counts = said.get("counts", {})
        found.append(("left out", printable(", ".join(f"{n} {kind}" for kind, n in dict(counts).items()))))
    return found


def diff_json(found: Differences) -> dict[str, Any]:
    files = found.files
    kinds = {"added": files.added, "changed": files.changed, "removed": files.removed, "renamed": files.renamed}
    return {
        **{kind: [_change(change) for change in changes] for kind, changes in kinds.items()},
        "attributes": [_change(change) for change in files.attributes],
        "packages": list(found.packages),
        "variables": list(found.variables),
    }


def _change(change: Change) -> dict[str, Any]:
    row = {"path": change.path, "kind": change.kind, "bytes": change.new_size, "bytes_before": change.old_size}
    return {**row, "path_before": change.old_path or None}


def diff_lines(found: Differences) -> list[str]:
    files = found.files
    lines = [f"+ {_sized(c)}" for c in files.added]
    lines += [f"~ {c.path}  ({size(c.old_size or 0)} -> {size(c.new_size or 0)})" for c in files.changed]
    lines += [f"- {c.path}" for c in files.removed]
    lines += [f"> {c.old_path} -> {c.path}" for c in files.renamed]
    return lines + [f"= {c.path}  (mode, time or attributes)" for c in files.attributes]


def file_lines(found: FileDiff) -> list[str]:
    """Of one file, as in a patch, but by cells where it is a notebook."""
    if found.why:
        sizes = f"{size(found.bytes_before)} -> {size(found.bytes)}"
        return [f"{NOT_SHOWN[found.why]} ({sizes}): restore both elsewhere to compare them"]
    lines = _marked(found.lines)
    for cell in found.cells:
        lines += [_cell_words(cell), *(f"  {line}" for line in _marked(cell.lines))]
    if found.omitted:
        lines.append(f"and {plural(found.omitted, 'line')} more")
    return lines or ["No difference."]


def _cell_words(cell: CellChange) -> str:
    number = cell.before if cell.change == "removed" else cell.after
    words = f"Cell {number} {cell.change}"
    if cell.change in ("added", "removed"):
        return f"{words} ({cell.type})"
    if cell.moved:
        words += f", was {cell.before}" if cell.change == "moved" else f" and moved, was {cell.before}"
    if cell.type != cell.type_before:
        words += f", {cell.type} instead of {cell.type_before}"
    return words + (", other outputs" if cell.outputs else "")


def _marked(lines: Sequence[Line]) -> list[str]:
    return [SIGNS[one.sign] + (plural(one.number, "line") if one.sign == "skipped" else one.text) for one in lines]


def _sized(change: Change) -> str:
    return f"{change.path}/" if change.kind == "directory" else f"{change.path}  ({size(change.new_size or 0)})"


def damage_lines(damage: Sequence[Damage], lost_files: Mapping[int, Sequence[str]]) -> list[str]:
    """Objects first, then for each version what of it is lost."""
    lines = [f"{one.key}: {one.problem}" for one in damage]
    for number, files in lost_files.items():
        lines += [f"v{number}: {file} cannot be read" for file in files[:LOST_MAX]]
        if len(files) > LOST_MAX:
            lines.append(f"v{number}: nor can {len(files) - LOST_MAX:,} more")
    return lines
