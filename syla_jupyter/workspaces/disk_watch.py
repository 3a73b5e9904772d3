"""What the sweep does about disk: a warning from 80 % of a workspace's limit on, suspension at the limit.

Where the file system keeps the limit itself (`disk_quota`) it is asked what is used, nothing is walked, and who is full
is told so and goes on: what it writes is refused, and it can delete.

A workspace that was suspended because it is full can be resumed, so that somebody deletes files: it is suspended again
when it has grown since, or when it is still full after `GRACE_SECONDS`. When the host itself has less free than its
floor, whoever grew since the last look is suspended at once, and nothing is started (`registry`).

Of the default workspace only the home counts: its files are the user's own directory, which was there before.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ..model.clock import Clock
from ..model.errors import Conflict, SylaError, UnknownWorkspace
from ..model.record import State, WorkspaceRecord
from ..model.workspace import MIB, readable_bytes
from .disk import DiskMeter, Measured, free_bytes
from .places import Places
from .registry import Registry
from .sizes import DiskLevel, disk_verdict

log = logging.getLogger("syla.janitor")
GRACE_SECONDS = 600.0
FLOOR_BUDGET_SECONDS = 5.0
GROWTH_BYTES = 4 * MIB
"""Less is no writer to speak of."""


class DiskWatch:
    """`free`: (device, free bytes) of the file system of a place."""

    def __init__(
        self,
        *,
        registry: Registry,
        places: Places,
        clock: Clock,
        floor_bytes: int,
        meter: DiskMeter | None = None,
        warned: Callable[[WorkspaceRecord, str], None] = lambda record, message: None,
        free: Callable[[Path], tuple[int, int]] = free_bytes,
    ) -> None:
        self._registry, self._places, self._clock, self._floor = registry, places, clock, floor_bytes
        self._meter, self._warned, self._free = meter or DiskMeter(clock=clock), warned, free
        self._levels: dict[str, DiskLevel] = {}
        self._full: dict[str, tuple[int, float]] = {}
        self._low = False

    def sweep(self) -> list[str]:
        """One line for each thing done."""
        records = {record.id: record for record in self._registry.catalog.running()}
        self._levels = {id: level for id, level in self._levels.items() if id in records}
        self._full = {id: full for id, full in self._full.items() if id in records}
        known = {id: used for id, record in records.items() if (used := self._places.used_bytes(record)) is not None}
        wanted = {id: self._places.counted(record) for id, record in records.items() if id not in known}
        low = self._least_free(records.values())
        measured = self._meter.measure(wanted, None if low is None else FLOOR_BUDGET_SECONDS, known)
        done: list[str] = []
        for id, found in measured.items():
            with leaving_others_alone(records[id]):
                done += self._judge(self._registry.note_disk(id, found.bytes), found, refused=id in known)
        if low is not None:
            done += self._make_room(low, records, measured)
        self._low = low is not None
        return done

    def _judge(self, record: WorkspaceRecord, found: Measured, *, refused: bool) -> list[str]:
        """`refused`: the file system takes no more than the limit."""
        verdict = disk_verdict(found.bytes, record.limits.disk_bytes)
        before = self._levels.get(record.id, DiskLevel.OK)
        self._levels[record.id] = verdict.level
        line = f"workspace {record.name!r}: {verdict.message}"
        worse = before is DiskLevel.OK or (verdict.level is DiskLevel.FULL and before is DiskLevel.WARN)
        if worse and (verdict.level is DiskLevel.WARN or (refused and verdict.level is DiskLevel.FULL)):
            log.warning("%s", line)
            self._warned(record, line)
            return [line]
        if verdict.level is not DiskLevel.FULL or refused:
            self._full.pop(record.id, None)
            return []
        at_once = self._full.get(record.id)
        now = self._clock.monotonic()
        if record.state is not State.ACTIVE:
            return []
        if at_once is not None and found.bytes <= at_once[0] and now - at_once[1] < GRACE_SECONDS:
            return []
        self._full[record.id] = (found.bytes, now)
        return self._suspend(record, f"its disk is {verdict.message}")

    def _least_free(self, records: Iterable[WorkspaceRecord]) -> int | None:
        """The least that is free on a file system of an active workspace, where that is below the floor."""
        free: dict[int, int] = {}
        for record in records:
            for place in self._places.disks(record) if record.state is State.ACTIVE else ():
                with contextlib.suppress(OSError):
                    device, number = self._free(place)
                    free[device] = number
        least = min(free.values(), default=self._floor)
        return least if least < self._floor else None

    def _make_room(self, free: int, records: dict[str, WorkspaceRecord], measured: dict[str, Measured]) -> list[str]:
        if not self._low:
            log.error("only %s are free on this machine's disk: no workspace is started", readable_bytes(free))
        growing = [(found.grown_bytes, id) for id, found in measured.items() if found.grown_bytes >= GROWTH_BYTES]
        done: list[str] = []
        for grown, id in sorted(growing, reverse=True):
            reason = (
                f"this machine's disk is nearly full ({readable_bytes(free)} free), and it grew by "
                f"{readable_bytes(grown)}. Delete files, then resume it"
            )
            with leaving_others_alone(records[id]):
                if records[id].state is State.ACTIVE:
                    done += self._suspend(records[id], reason)
        return done

    def _suspend(self, record: WorkspaceRecord, reason: str) -> list[str]:
        after = self._registry.suspend(record.id, execution=record.execution, reason=reason)
        if after.state is not State.SUSPENDED:
            return []
        line = f"workspace {record.name!r}: suspended, {reason}"
        log.warning("%s", line)
        return [line]


@contextlib.contextmanager
def leaving_others_alone(record: WorkspaceRecord) -> Iterator[None]:
    """What goes wrong with one is tried again at the next sweep, and keeps nobody from the others."""
    try:
        yield
    except (Conflict, UnknownWorkspace):
        pass  # somebody is at it
    except SylaError as exc:
        log.warning("workspace %s is left for the next time: %s", record.name, exc)
