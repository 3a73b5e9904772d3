"""Records and other values of ours as they are shown to clients. Pure, but for the time that is given."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..metadata.base import Allocation
from ..model.policy import Policy
from ..model.quota import Capacity, Quotas
from ..model.record import WorkspaceRecord
from ..model.snapshot import Version
from ..model.template import Template
from ..model.workspace import Limits
from ..workspaces.execution import Execution
from ..workspaces.inspection import Package, Variable
from ..workspaces.lifecycle import allowed
from ..workspaces.policies import due_action
from . import operation_wire, snapshot_wire, usage_wire, wire
from .operations import Operation

DEPTH_MAX = 100
CACHED = 256  # different limits, or policies: nearly all workspaces share a few
_LATEST = datetime.max.replace(microsecond=0, tzinfo=UTC)


def workspace(record: WorkspaceRecord, *, root: Path, now: float) -> wire.Workspace:
    """`root`: of the contents API, resolved; `now` in seconds since the epoch, which decides on the deadline."""
    due = due_action(record, record.policy, now)
    return wire.Workspace(
        id=record.id,
        owner=record.owner,
        name=record.name,
        type=record.type,
        state=record.state,
        frozen=record.frozen,
        reason=record.reason,
        allowed=[verb.value for verb in allowed(record)],
        next=wire.NextAction(
            action=due.next_action.value, at=None if due.deadline is None else time(due.deadline), reason=due.reason
        ),
        template=record.template,
        network=record.network,
        limits=_limits(record.limits),
        policy=_policy(record.policy),
        labels=dict(record.labels),
        path=api_path(record.files, root),
        is_default=record.is_default,
        shared=record.shared,
        execution=record.execution,
        created_at=time(record.created_at),
        state_since=time(record.state_since),
        last_activity_at=time(record.last_activity_at),
        extended_until=time(record.extended_until) if record.extended_until else None,
        warned_at=time(record.warned_at) if record.warned_at else None,
        disk_bytes=record.disk_bytes,
        version=record.version,
    )


def template(one: Template, *, default: str) -> wire.TemplateShown:
    return wire.TemplateShown(
        name=one.name,
        display_name=one.display_name,
        language=one.language,
        packages=list(one.packages),
        debian_packages=list(one.debian_packages),
        preload=list(one.preload),
        is_default=one.name == default,
    )


def usage(
    allocations: Sequence[Allocation],
    owner: str,
    capacity: Capacity,
    quotas: Quotas,
    running: Sequence[usage_wire.Used],
) -> usage_wire.Usage:
    return usage_wire.Usage(
        running=list(running),
        mine=_held([a for a in allocations if a.owner == owner]),
        everybody=_held(allocations),
        offered=usage_wire.Offered(cpus=capacity.cpus_offered, memory_bytes=capacity.memory_bytes),
        quotas=usage_wire.QuotasShown(**vars(quotas)),
    )


def _held(allocations: Sequence[Allocation]) -> usage_wire.Held:
    return usage_wire.Held(
        workspaces=sum(a.workspaces for a in allocations),
        cpus=sum(a.cpus for a in allocations),
        memory_bytes=sum(a.memory_bytes for a in allocations),
    )


def execution(one: Execution) -> wire.ExecutionShown:
    """With nothing in it that JSON cannot carry, whatever its kernel has sent."""
    error = None
    if one.error is not None:
        lines = [plain(line) for line in one.error.traceback]
        error = wire.ExecutionError(name=plain(one.error.name), value=plain(one.error.value), traceback=lines)
    return wire.ExecutionShown(
        id=one.id,
        status=one.status,
        stdout=plain(one.stdout),
        stderr=plain(one.stderr),
        result=None if one.result is None else plain(one.result),
        displays=[plain(bundle) for bundle in one.displays],
        error=error,
        exit_code=one.exit_code,
        started_at=time(one.started_at),
        seconds=one.seconds,
        truncated=one.truncated,
    )


def variable(one: Variable) -> wire.VariableShown:
    return wire.VariableShown(
        name=plain(one.name), type=plain(one.type), size_bytes=one.size_bytes, repr=plain(one.repr)
    )


def package(one: Package) -> wire.PackageShown:
    return wire.PackageShown(name=plain(one.name), version=plain(one.version), requested=one.requested)


def operation(one: Operation) -> operation_wire.OperationShown:
    far = one.progress
    return operation_wire.OperationShown(
        id=one.id,
        workspace_id=one.record.id,
        workspace=one.record.name,
        verb=one.verb,
        user=one.user,
        started_at=time(one.began),
        cancellable=one.cancellable,
        cancelled=one.cancelled,
        files_done=None if far is None else far.files_done,
        files_total=None if far is None else far.files_total,
        bytes_done=None if far is None else far.bytes_done,
        bytes_total=None if far is None else far.bytes_total,
    )


def snapshot(version: Version) -> wire.Snapshot:
    return wire.Snapshot(**_snapshot(version))


def snapshot_details(version: Version) -> snapshot_wire.SnapshotDetails:
    """What it says of itself, of which a container may have written some."""
    packages = version.details.get("packages")
    rows = packages.items() if isinstance(packages, Mapping) else ()
    return snapshot_wire.SnapshotDetails(
        **_snapshot(version),
        packages={plain(str(name)): plain(str(number)) for name, number in rows},
        image=plain(str(version.details.get("image", ""))),
        variables=plain(version.details.get("variables") or {}),
    )


def _snapshot(version: Version) -> dict[str, Any]:
    return {
        "version": version.number,
        "created_at": time(version.created_at),
        "author": plain(version.author),
        "message": plain(version.message),
        "reason": version.reason,
        "parent": version.parent or None,
        "files": version.files,
        "bytes_total": version.bytes_total,
        "bytes_new": version.bytes_new,
        "tags": [plain(tag) for tag in version.tags],
    }


def plain(value: Any, depth: int = 0) -> Any:
    """What came as JSON, so that it can go as JSON: no half surrogate pairs, no NaN, not too deep."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, bool | int | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth >= DEPTH_MAX:
        return None
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item, depth + 1) for key, item in value.items()}
    return [plain(item, depth + 1) for item in value]


def time(seconds: float) -> datetime:
    """To the millisecond; what no calendar reaches is the last moment of ours."""
    try:
        return datetime.fromtimestamp(round(seconds, 3), UTC)
    except (OverflowError, ValueError, OSError):
        return _LATEST


@functools.lru_cache(CACHED)
def _limits(limits: Limits) -> wire.LimitsShown:
    return wire.LimitsShown(**vars(limits))


@functools.lru_cache(CACHED)
def _policy(policy: Policy) -> wire.PolicyShown:
    return wire.PolicyShown(**vars(policy))


def api_path(files: Path, root: Path) -> str | None:
    """None: not below the root."""
    if files == root:
        return ""
    base, path = str(root).rstrip("/") + "/", str(files)
    return path.removeprefix(base) if path.startswith(base) else None
