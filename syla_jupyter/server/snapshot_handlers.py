"""What each route about versions does: one call of a use case, as in `handlers`."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from ..model.errors import BadInput
from ..model.people import Permission
from ..model.retention import Retention
from ..model.snapshot import Damage
from ..snapshots.line_diff import Line
from ..workspaces.copies import Copies
from ..workspaces.versions import Versions
from . import shown, snapshot_wire
from .handlers import Call, Reply, show
from .operations import Download
from .snapshot_wire import FILES_MAX, LOST_MAX

RULES = ("last", "hourly", "daily", "weekly", "monthly")


def list_snapshots(call: Call) -> Reply:
    versions = _versions(call).all(call.found().id)
    return Reply(snapshot_wire.SnapshotList(snapshots=[shown.snapshot(version) for version in versions]))


def take(call: Call) -> Reply:
    asked: snapshot_wire.TakeSnapshot = call.body
    record = call.found()
    with call.watched(record, "snapshot", Permission.WRITE) as watch:
        taken = _versions(call).take(
            record.id,
            author=call.caller.principal.name,
            message=asked.message,
            tags=asked.tags,
            if_changed=asked.if_changed,
            watch=watch,
        )
    return Reply(
        snapshot_wire.TakenSnapshot(
            snapshot=None if taken.version is None else shown.snapshot(taken.version),
            consistent=taken.consistent,
            said=dict(taken.report.said.counts),
        )
    )


def get_snapshot(call: Call) -> Reply:
    return Reply(shown.snapshot_details(_versions(call).get(call.found().id, _number(call))))


def change_snapshot(call: Call) -> Reply:
    return Reply(shown.snapshot(_versions(call).tag(call.found().id, _number(call), call.body.tags)))


def delete_snapshot(call: Call) -> Reply:
    _versions(call).delete(call.found().id, [_number(call)])
    return Reply(None, 204)


def restore(call: Call) -> Reply:
    asked: snapshot_wire.RestoreSnapshot = call.body
    record, number = call.found(), _number(call)
    if "into" in asked.model_fields_set:
        if asked.paths:
            raise BadInput("paths", "paths go back to where they were", "Leave out `paths`, or `into`")
        return _copied(call, asked.into, number, partial=asked.partial)
    author = call.caller.principal.name
    with call.watched(record, "restore", Permission.WRITE) as watch:
        rewound = _versions(call).restore(
            record.id, number, author=author, paths=asked.paths, partial=asked.partial, watch=watch
        )
    return Reply(
        snapshot_wire.RestoredSnapshot(
            workspace=show(call.services, rewound.record),
            saved=rewound.before.number if rewound.before else None,
            notes=[shown.plain(note) for note in rewound.notes],
        )
    )


def diff(call: Call) -> Reply:
    found = _versions(call).diff(call.found().id, _number(call, "a"), _number(call, "b"))
    files = found.files
    kinds = {
        "added": files.added,
        "changed": files.changed,
        "removed": files.removed,
        "renamed": files.renamed,
        "attributes": files.attributes,
    }
    rows: dict[str, Any] = {
        kind: [
            snapshot_wire.FileChange(
                path=shown.plain(one.path),
                kind=one.kind,
                path_before=shown.plain(one.old_path) or None,
                bytes=one.new_size,
                bytes_before=one.old_size,
            )
            for one in changes[:FILES_MAX]
        ]
        for kind, changes in kinds.items()
    }
    return Reply(
        snapshot_wire.SnapshotDiff(
            **rows,
            omitted=sum(max(0, len(changes) - FILES_MAX) for changes in kinds.values()),
            packages=[shown.plain(line) for line in found.packages],
            variables=[shown.plain(line) for line in found.variables],
        )
    )


def file_diff(call: Call) -> Reply:
    found = _versions(call).file_diff(call.found().id, _number(call, "a"), _number(call, "b"), call.query.path)
    cells = [snapshot_wire.CellChange(**{**vars(cell), "lines": _lines(cell.lines)}) for cell in found.cells]
    return Reply(snapshot_wire.FileDiff(**{**vars(found), "cells": cells, "lines": _lines(found.lines)}))


def _lines(lines: Sequence[Line]) -> list[snapshot_wire.DiffLine]:
    return [snapshot_wire.DiffLine(sign=sign, text=shown.plain(text), count=number) for sign, text, number in lines]


def clone(call: Call) -> Reply:
    asked: snapshot_wire.CloneWorkspace = call.body
    return _copied(call, asked.name, asked.version)


def export(call: Call) -> Reply:
    """Its operation lasts until the last byte is sent."""
    asked: snapshot_wire.ExportWorkspace = call.body
    record, user = call.found(), call.caller.principal.name
    if not asked.config_only:
        _may_save(call, record.id, asked.version)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile(dir=call.services.application.settings.data_dir))
        underway = call.services.operations.begin(record, "export", user, Permission.WRITE)
        stack.push(lambda kind, error, trace: underway.end(error))
        if asked.config_only:
            _copies(call).export_config(record.id, file)
        else:
            _copies(call).export(record.id, file, author=user, number=asked.version, watch=underway.watch())
        total_bytes = file.seek(0, os.SEEK_END)
        file.seek(0)
        stack.pop_all()
    headers = {"Content-Disposition": f'attachment; filename="{record.id}.syla"'}
    return Reply(None, 200, headers, Download(file, underway, total_bytes))


def verify(call: Call) -> Reply:
    part: float = call.body.part
    found = _versions(call).verify(call.found().id, data=part or False)
    return Reply(
        snapshot_wire.VerifyShown(
            ok=found.ok,
            versions=found.versions,
            chunks=found.chunks,
            packs=found.packs,
            packs_read=found.packs_read,
            bytes_read=found.bytes_read,
            damage=_damage(found.damage),
            lost=sorted(found.lost),
            lost_files=_lost_files(found.lost_files),
        )
    )


def repair(call: Call) -> Reply:
    found = _versions(call).repair(call.found().id)
    return Reply(
        snapshot_wire.RepairShown(
            packs_read=found.packs_read,
            chunks_found=found.chunks_found,
            damage=_damage(found.damage),
            lost=sorted(found.lost),
            lost_files=_lost_files(found.lost_files),
            versions_lost=list(found.versions_lost),
            healed=list(found.healed[:FILES_MAX]),
        )
    )


def prune(call: Call) -> Reply:
    asked: snapshot_wire.PruneSnapshots = call.body
    id, versions = call.found().id, _versions(call)
    given = {rule: getattr(asked, rule) for rule in RULES if rule in asked.model_fields_set}
    rules = Retention(**{**dict.fromkeys(RULES, 0), **given}) if given else None
    verdicts = versions.judged(id, rules) if rules else []
    report = versions.prune(id, rules, dry_run=asked.dry_run)
    return Reply(
        snapshot_wire.PruneShown(
            dry_run=asked.dry_run,
            deleted=[verdict.version.number for verdict in verdicts if not verdict.kept],
            bytes_kept=report.bytes_kept,
            bytes_freed=report.bytes_freed,
        )
    )


# -- parts -----------------------------------------------------------------------------------------------------------


def _may_save(call: Call, id: str, number: int | None) -> None:
    """Who may read has any version; to have it as it is now saves one. `Forbidden`."""
    if number is None:
        call.services.application.access().guard.require(
            call.caller.principal, Permission.WRITE, id, call.caller.origin
        )


def _copied(call: Call, name: str, number: int | None, *, partial: bool = False) -> Reply:
    record = call.found()
    _may_save(call, record.id, number)
    author = call.caller.principal.name
    with call.watched(record, "clone", Permission.WRITE) as watch:
        made = _copies(call).clone(
            record.id, name, root=call.services.root, author=author, number=number, partial=partial, watch=watch
        )
    return Reply(
        snapshot_wire.RestoredSnapshot(
            workspace=show(call.services, made.record), saved=None, notes=[shown.plain(note) for note in made.notes]
        )
    )


def _damage(damage: tuple[Damage, ...]) -> list[snapshot_wire.DamageShown]:
    return [snapshot_wire.DamageShown(key=one.key, problem=shown.plain(one.problem)) for one in damage[:FILES_MAX]]


def _lost_files(lost: Mapping[int, Sequence[str]]) -> dict[str, list[str]]:
    return {str(number): [shown.plain(file) for file in files[:LOST_MAX]] for number, files in lost.items()}


def _versions(call: Call) -> Versions:
    return call.services.application.versions()


def _copies(call: Call) -> Copies:
    return call.services.application.copies()


def _number(call: Call, name: str = "version") -> int:
    text = call.names[name]
    if not (text.isascii() and text.isdecimal() and len(text) <= 10) or not 0 < int(text) < 1 << 31:
        raise BadInput(name, f"{text[:40]!r} is no version", "A number, as in the list")
    return int(text)
