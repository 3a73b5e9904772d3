"""What this machine has to give to workspaces, and the question whether one more fits.

Limits are what a container *may* use, and most use a small part of it most of the time; so memory is offered several
times over, as cores are, and what all limits add up to may be more than there is. However small the machine, two
workspaces of the default kind fit: who is alone on it is not refused what an unconfigured server starts by itself.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from ..metadata.base import Allocation
from ..model.quota import Capacity, Quotas
from ..model.record import WorkspaceRecord
from ..model.settings import Settings
from ..model.workspace import Limits, WorkspaceType
from .admission import admit

ALWAYS = 2
"""So many workspaces of the default kind fit on any machine."""


class Admission:
    """Of one process. The word that counts is `check`, in the transaction that records the start; `starting` says no
    to most of those that would be refused then, before they have a container."""

    def __init__(self, capacity: Capacity, quotas: Quotas) -> None:
        self.capacity, self.quotas = capacity, quotas
        self._starting: dict[str, Allocation] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def starting(
        self, record: WorkspaceRecord, recorded: Callable[[], Sequence[Allocation]]
    ) -> Iterator[Callable[[], AbstractContextManager[None]]]:
        """It counts, beside what is recorded, while this process makes its container.

        Gives the context in which the start is recorded: it counts by its record from then on.
        """
        with self._lock:
            self.check(record, record.limits, [*recorded(), *self._starting.values()])
            mine = Allocation(record.owner, 1, record.limits.cpus, record.limits.memory_bytes)
            self._starting[record.id] = mine
        try:
            yield lambda: self._recording(record.id)
        finally:
            with self._lock:
                self._starting.pop(record.id, None)

    @contextlib.contextmanager
    def _recording(self, id: str) -> Iterator[None]:
        with self._lock:
            self._starting.pop(id, None)
            yield

    def check(self, record: WorkspaceRecord, limits: Limits, others: Sequence[Allocation]) -> None:
        """`InsufficientResources` where it does not fit beside what the other workspaces hold."""
        admit(limits, record.owner, others, self.capacity, self.quotas)


def host_admission(settings: Settings) -> Admission:
    """Of the machine this runs on."""
    cpus, memory = os.cpu_count() or 1, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Admission(capacity_of(settings, cpus=cpus, memory_bytes=memory), settings.quotas)


def capacity_of(settings: Settings, *, cpus: float, memory_bytes: int) -> Capacity:
    """What a machine of that size offers. `memory_bytes`: all of it, the host's own part included."""
    least = settings.limits[WorkspaceType.PERSISTENT]
    free = max(0, memory_bytes - settings.memory_reserve_bytes)
    return Capacity(
        cpus=cpus,
        memory_bytes=max(int(free * settings.memory_overcommit), ALWAYS * least.memory_bytes),
        cpu_overcommit=max(settings.cpu_overcommit, ALWAYS * least.cpus / cpus, 1.0),
    )
