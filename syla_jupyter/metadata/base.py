"""The metadata port: workspace records, and which workspace a user's session points at.

Safe to call from any thread, from several processes at once, and in a child after a fork. A record is replaced as a
whole under its version: of two writers that read the same version one is refused with `Conflict` and has changed
nothing. What a method has written is seen by whoever reads after it returned, and survives the end of the process.

All methods block, for milliseconds; the longest wait, for a writer that hangs, is bounded. Errors: `NameTaken`,
`Conflict`, `UnknownWorkspace`, `BadInput` (a query that makes no sense, a text that cannot be stored), `StoreFailed`
for whatever the database has; nothing else escapes an adapter but what the caller's own `admit` raises. Every adapter
passes `syla_jupyter.testing.store_contract.StoreContract`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, get_args

from ..model.record import State, WorkspaceRecord
from ..model.workspace import WorkspaceType
from .happenings_base import Tell

PAGE_MAX = 1000
TOTAL_MAX = 1000
DUE_MAX = 1000
SESSIONS_MAX = 256
Sort = Literal["name", "created", "activity", "size"]
SORTS: tuple[Sort, ...] = get_args(Sort)


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
    """`Page.next` of the page before, with all conditions as they were. The order is total and a page begins after the
    last row of the one before: whatever is made or removed meanwhile, no row is given twice, and none is missed whose
    name (or time, or size) stays as it is."""


@dataclass(frozen=True)
class Page:
    records: Sequence[WorkspaceRecord]
    next: str
    """Empty on the last page."""
    total: int
    """How many there were when the first page was read; `TOTAL_MAX` means that many or more."""


@dataclass(frozen=True)
class Allocation:
    """What the workspaces of one owner hold while they run."""

    owner: str
    workspaces: int
    cpus: float
    memory_bytes: int


@dataclass(frozen=True)
class Count:
    """How many workspaces of a type are in a state, and what they take on disk."""

    type: WorkspaceType
    state: State
    workspaces: int
    disk_bytes: int


@dataclass(frozen=True)
class Look:
    """When a policy can act on a record next, worked out from this version of it."""

    id: str
    version: int
    at: float | None
    """None: never."""


Admit = Callable[[Sequence[Allocation]], None]
"""Says no by raising. Called with what all *other* records hold, and may be called again: it changes nothing itself."""


def name_key(name: str) -> str:
    """Two names of an owner are the same when this is: Unicode NFC, case folded."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


class WorkspaceStore(Protocol):
    """`tell`: what is written down of it, in the same transaction."""

    def insert(self, record: WorkspaceRecord, *, tell: Tell[WorkspaceRecord] | None = None) -> WorkspaceRecord:
        """Store a new one; given back with version 1. `NameTaken` where its owner has that name already."""

    def get(self, id: str) -> WorkspaceRecord:
        """`UnknownWorkspace` where there is none."""

    def find(self, owner: str, name: str) -> WorkspaceRecord | None:
        """By name; `name_key` says which names are one."""

    def at(self, files: Path) -> WorkspaceRecord | None:
        """Of any owner, not deleted, whose directory that is and which is named like it; of several, one that is not a
        default workspace, then the oldest."""

    def replace(
        self, record: WorkspaceRecord, *, admit: Admit | None = None, tell: Tell[WorkspaceRecord] | None = None
    ) -> WorkspaceRecord:
        """Store in place of the version it was read at; given back as it is now, with the next version.

        `last_activity_at` never goes back: what `touch_activity` moved since the record was read stays. The record is
        due at once (`due`): it is for its new version to say when it will be looked at.

        `admit` is asked in the same transaction, one replacement with `admit` after the other, so that two cannot both
        take what is left for one. `Conflict`, `NameTaken`, `UnknownWorkspace`.
        """

    def remove(self, id: str, version: int, *, tell: Tell[bool] | None = None) -> bool:
        """Forget a record and all that points at it. `Conflict`; False, and no error, when it was gone already."""

    def list(self, query: Query) -> Page: ...

    def due(self, before: float, limit: int = DUE_MAX) -> Sequence[WorkspaceRecord]:
        """Not deleted, and to be looked at before that time (`plan_look`; new and replaced ones: at once).

        At most `limit`, the longest overdue first; one that is not planned again comes again.
        """

    def plan_look(self, looks: Iterable[Look]) -> None:
        """When to look at each again. Not a change of the record; nothing happens to one that is of another version by
        now (it is due) or gone."""

    def executions(self) -> Mapping[str, str]:
        """Run id -> workspace id of every record that has a container."""

    def allocations(self) -> Sequence[Allocation]:
        """By owner, of records that are active or frozen."""

    def counts(self) -> Sequence[Count]:
        """All that are not deleted, by type and state."""

    def set_active(self, owner: str, session: str, id: str | None, now: float) -> None:
        """Which workspace a session (a terminal, a token) of a user points at; None: none. `UnknownWorkspace`.

        An owner's sessions beyond the `SESSIONS_MAX` last set are forgotten.
        """

    def active(self, owner: str, session: str) -> str | None: ...

    def touch_activity(self, id: str, at: float) -> None:
        """Move `last_activity_at` forward, never back, and leave `warned_at`. The version stays.

        Nothing happens to a record that is gone. A write: call it as often as a policy can tell the difference, not for
        every message.
        """

    def close(self) -> None:
        """Let go of connections. The store can be used again and opens new ones."""
