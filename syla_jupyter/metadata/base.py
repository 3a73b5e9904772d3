"""The metadata port: workspace records, and which workspace a user's session points at.

Safe to call from any thread and from several processes at once. A record is replaced as a whole under its version:
of two writers that read the same version one is refused with `Conflict` and has changed nothing. All methods block, for
milliseconds. Errors: `NameTaken`, `Conflict`, `UnknownWorkspace`, `BadInput` (a query that makes no sense),
`StoreFailed` for whatever the database has; nothing else escapes an adapter. Every adapter passes
`syla_jupyter.testing.store_contract.StoreContract`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ..model.record import State, WorkspaceRecord
from ..model.workspace import WorkspaceType

PAGE_MAX = 1000
SORTS = ("name", "created", "activity", "size")
Sort = Literal["name", "created", "activity", "size"]


@dataclass(frozen=True)
class Query:
    """Which records, all conditions together; empty: all that are not deleted. Ages are seconds before `now`."""

    owner: str | None = None
    states: Sequence[State] = ()
    types: Sequence[WorkspaceType] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    """Each label has that value; an empty value: has the label at all."""
    name_part: str = ""
    """Anywhere in the name, whatever the case."""
    idle_for_seconds: float | None = None
    older_than_seconds: float | None = None
    now: float = 0.0
    sort: Sort = "name"
    descending: bool = False
    limit: int = 100
    after: str = ""
    """`Page.next` of the page before; the order is total, so that no row is given twice or missed."""


@dataclass(frozen=True)
class Page:
    records: Sequence[WorkspaceRecord]
    next: str
    """Empty on the last page."""
    total: int


@dataclass(frozen=True)
class Allocation:
    """What the workspaces of one owner hold while they run."""

    owner: str
    workspaces: int
    cpus: float
    memory_bytes: int


class WorkspaceStore(Protocol):
    def insert(self, record: WorkspaceRecord) -> WorkspaceRecord:
        """Store a new one; given back with version 1. `NameTaken` where its owner has that name already."""

    def get(self, id: str) -> WorkspaceRecord:
        """`UnknownWorkspace` where there is none."""

    def find(self, owner: str, name: str) -> WorkspaceRecord | None:
        """By name, exact after Unicode NFC and case folding."""

    def replace(self, record: WorkspaceRecord) -> WorkspaceRecord:
        """Store in place of the version it was read at; given back with the next version. `Conflict`, `NameTaken`."""

    def remove(self, id: str, version: int) -> None:
        """Forget a record and all that points at it. `Conflict`; no error when it is gone already."""

    def list(self, query: Query) -> Page: ...

    def due(self, before: float) -> Sequence[WorkspaceRecord]:
        """All that are neither deleted nor looked at since: whose `next_look` (see `plan_look`) is before that time."""

    def plan_look(self, looks: Mapping[str, float | None]) -> None:
        """When a policy can act on each of these records next; None: never. Not a change of the record."""

    def executions(self) -> Mapping[str, str]:
        """Run id -> workspace id of every record that has a container."""

    def allocations(self) -> Sequence[Allocation]:
        """By owner, of records that are active or frozen."""

    def set_active(self, owner: str, session: str, id: str | None, now: float) -> None:
        """Which workspace a session (a terminal, a token) of a user points at; None: none."""

    def active(self, owner: str, session: str) -> str | None: ...

    def touch_activity(self, id: str, at: float) -> None:
        """Move `last_activity_at` forward, never back, and clear `warned_at`; not a change of the version."""

    def close(self) -> None: ...
