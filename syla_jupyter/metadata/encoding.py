"""A record as a row and back. Pure; of the database it knows the column names.

Limits and policy are JSON. A field that this version does not know, written by a newer one, is left out when it is read
(and so is gone from the row once this version replaces the record); a field that is missing has its default. Whatever
else is wrong with a row is `StoreFailed`: nobody can mend it above.

What goes in is checked here alike for all databases: text that is no Unicode or has a zero character, text longer
than its column, numbers that are none.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..model.errors import BadInput, StoreFailed
from ..model.policy import Policy
from ..model.record import State, WorkspaceRecord
from ..model.workspace import Limits, Network, WorkspaceType
from .base import name_key

COLUMNS = tuple(field.name for field in dataclasses.fields(WorkspaceRecord))
"""In the order in which `from_row` takes them."""

TEXT_MAX = 255  # bytes of UTF-8; columns that are indexed
NAME_KEY_MAX = 1024  # case folding can make a name three times as long
LABELS_MAX = 64
LONG_TEXT_MAX = 64 * 1024
_LONG = {"reason", "files"}
_CACHED = 4096  # different ones; nearly all records share a few


def to_row(record: WorkspaceRecord) -> dict[str, Any]:
    """Column values, `name_key` among them; `next_look` is not of the record. `BadInput` names the field."""
    if len(record.labels) > LABELS_MAX:
        raise BadInput("labels", f"{len(record.labels)} are too many", f"Give {LABELS_MAX} at most")
    for key, value in record.labels.items():
        check_text("labels", key)
        check_text("labels", value)
        if not key:
            raise BadInput("labels", "a label needs a name")
    row: dict[str, Any] = {}
    for name in COLUMNS:
        value = getattr(record, name)
        if isinstance(value, float) and not math.isfinite(value):
            raise BadInput(name, f"{value} is not a number")
        row[name] = str(value) if isinstance(value, str | Path) else value
        if isinstance(row[name], str):
            check_text(name, row[name], LONG_TEXT_MAX if name in _LONG else TEXT_MAX)
    if not 0 <= record.disk_bytes < 1 << 63:
        raise BadInput("disk_bytes", f"{record.disk_bytes} is not a size")
    for part in record.masked:
        check_text("masked", part)
    row.update(
        name_key=name_key(record.name),
        limits=_fields_text(record.limits),
        policy=_fields_text(record.policy),
        masked=json.dumps(list(record.masked)),
        labels=json.dumps(dict(record.labels), sort_keys=True),
    )
    return row


def from_row(row: Sequence[Any]) -> WorkspaceRecord:
    """The record of a row that was selected as `COLUMNS`."""
    (
        id, owner, name, type, state, template, limits, network, policy, files, created_at, state_since,
        last_activity_at, masked, is_default, shared, labels, execution, extended_until, warned_at, reason, disk_bytes,
        version,
    ) = row  # fmt: skip
    try:
        return WorkspaceRecord(
            id, owner, name, _type_of(type), _state_of(state), template, limits_of(limits), _network_of(network),
            _policy_of(policy), _path_of(files), created_at, state_since, last_activity_at,
            tuple(json.loads(masked)) if masked != "[]" else (), is_default, shared,
            dict(_labels_of(labels)), execution, extended_until, warned_at, reason, disk_bytes, version,
        )  # fmt: skip
    except (ValueError, TypeError) as exc:
        raise StoreFailed(
            f"the record of workspace {id} ({name!r}) cannot be read: {exc}", "A newer version may have written it"
        ) from exc


def check_text(field: str, value: str, most: int = TEXT_MAX) -> None:
    """`BadInput` for what one of the databases could not store, or not find again."""
    if "\0" in value:
        raise BadInput(field, "a zero character cannot be stored")
    try:
        length = len(value.encode())
    except UnicodeEncodeError as exc:
        raise BadInput(field, f"{value!r} is not Unicode text") from exc
    if length > most:
        raise BadInput(field, f"{length} bytes are too long", f"Use {most} at most")


def storable(*values: str) -> bool:
    """Whether a row can have these at all; what cannot be stored names nothing."""
    try:
        for value in values:
            check_text("", value)
    except BadInput:
        return False
    return True


@functools.lru_cache(_CACHED)
def _fields_text(value: Limits | Policy) -> str:
    return json.dumps({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})


@functools.lru_cache(_CACHED)
def limits_of(text: str) -> Limits:
    return Limits(**_known(text, Limits))


@functools.lru_cache(_CACHED)
def _policy_of(text: str) -> Policy:
    return Policy(**_known(text, Policy))


# Each costs more than all the rest of a row, and a list has many rows that say the same.
_type_of = functools.lru_cache(_CACHED)(WorkspaceType)
_state_of = functools.lru_cache(_CACHED)(State)
_network_of = functools.lru_cache(_CACHED)(Network)
_path_of = functools.lru_cache(_CACHED)(Path)


@functools.lru_cache(_CACHED)
def _labels_of(text: str) -> dict[str, str]:
    return dict(json.loads(text))


def _known(text: str, type_: type[Limits] | type[Policy]) -> dict[str, Any]:
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError(f"{type_.__name__.lower()} are no object")
    names = {field.name for field in dataclasses.fields(type_)}
    return {name: value for name, value in values.items() if name in names}
