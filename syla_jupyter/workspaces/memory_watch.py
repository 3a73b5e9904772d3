"""What the sweep does about memory: a workspace that has stood still for a while gives its memory back to the host.

Not at once: who comes back within the minute has it as it was. From swap it comes back page by page. What did not work
is not tried again until the workspace was used in between.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable

from ..model.clock import Clock
from ..model.errors import SylaError
from ..model.policy import MINUTE
from ..model.record import WorkspaceRecord
from ..model.workspace import readable_bytes
from .policies import readable_duration

log = logging.getLogger("syla.janitor")
FROZEN_SECONDS_MIN = MINUTE
SWEEP_SECONDS_MAX = 20.0
"""Of each sweep; what was begun then is finished."""


def may_give_back(record: WorkspaceRecord, now: float) -> bool:
    """Pure."""
    return record.frozen and now - record.state_since >= FROZEN_SECONDS_MIN


class MemoryWatch:
    """`reclaim`: moves the memory of a frozen workspace to swap; bytes, 0 where that cannot be done."""

    def __init__(
        self,
        *,
        running: Callable[[], Iterable[WorkspaceRecord]],
        reclaim: Callable[[WorkspaceRecord], int],
        clock: Clock,
    ) -> None:
        self._running, self._reclaim, self._clock = running, reclaim, clock
        self._tried: set[tuple[str, float]] = set()
        """Executions, each with the time since when it stands still."""

    def sweep(self) -> list[str]:
        """One line for each thing done."""
        now, until = self._clock.now(), self._clock.monotonic() + SWEEP_SECONDS_MAX
        frozen = {(record.execution, record.state_since): record for record in self._running() if record.frozen}
        self._tried &= frozen.keys()
        done: list[str] = []
        for key, record in frozen.items():
            if self._clock.monotonic() >= until:
                break
            if key in self._tried or not may_give_back(record, now):
                continue
            self._tried.add(key)
            with contextlib.suppress(SylaError):  # it has ended, or goes on
                moved = self._reclaim(record)
                if moved:
                    since = readable_duration(now - record.state_since)
                    done.append(f"workspace {record.name!r}: {readable_bytes(moved)} moved to swap, frozen for {since}")
                    log.info("%s", done[-1])
        return done
