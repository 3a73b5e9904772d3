"""Versions that are taken by themselves while a workspace is in use, and let go of by the installation's rules.

Asked once a minute, it looks at the workspaces that run and whose policy has `snapshot_seconds`. One is due when that
long has passed since its newest version and somebody worked in it after that. A save may take long, so it has a thread
of its own: policies do not wait for it, and there is one at a time. One that fails is tried again after a minute, two,
four, up to an hour, and told at the first time only.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from ..model.clock import Clock
from ..model.errors import SylaError
from ..model.record import State, WorkspaceRecord
from ..model.snapshot import Reason
from .registry import Registry
from .retention import saved_by_itself
from .versions import Versions

log = logging.getLogger("syla.snapshots")
AGAIN_SECONDS, AGAIN_SECONDS_MAX = 60.0, 3600.0
TOLD, TOLD_AGAIN = logging.WARNING, logging.DEBUG


def is_due(record: WorkspaceRecord, newest_at: float | None, now: float) -> bool:
    """Pure. `newest_at`: when its newest version was taken, seconds since the epoch; None: there is none."""
    seconds = record.policy.snapshot_seconds
    if seconds is None or record.state is not State.ACTIVE or not saved_by_itself(record):
        return False
    since = record.created_at if newest_at is None else newest_at
    return now - since >= seconds and record.last_activity_at > since


class SnapshotTimer:
    """`run`: starts a save beside the caller; for tests, one that does it at once."""

    def __init__(
        self,
        *,
        registry: Registry,
        versions: Versions,
        clock: Clock,
        run: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        self._registry, self._versions, self._clock = registry, versions, clock
        self._run = run or _in_thread
        self._newest: dict[str, float | None] = {}
        """When each was last saved, as far as this process knows: the store is asked once for each."""
        self._failed: dict[str, tuple[int, float]] = {}
        """How often in a row, and when it may be tried again by the monotonic clock."""
        self._busy = threading.Lock()

    def sweep(self) -> list[str]:
        """Begin what is due. Never blocks for a save, so it has no line to tell: the log has one when it is done."""
        records = [r for r in self._registry.catalog.running() if r.policy.snapshot_seconds is not None]
        ids = {record.id for record in records}
        self._newest = {id: at for id, at in self._newest.items() if id in ids}
        self._failed = {id: failed for id, failed in self._failed.items() if id in ids}
        if not records or not self._busy.acquire(blocking=False):
            return []
        try:
            self._run(lambda: self._all(records))
        except BaseException:
            self._busy.release()
            raise
        return []

    def _all(self, records: Iterable[WorkspaceRecord]) -> None:
        try:
            for record in records:
                count, not_before = self._failed.get(record.id, (0, 0.0))
                if count and self._clock.monotonic() < not_before:
                    continue
                try:
                    self._one(record)
                    self._failed.pop(record.id, None)
                except (SylaError, OSError) as exc:
                    log.log(TOLD_AGAIN if count else TOLD, "workspace %s was not saved by itself: %s", record.name, exc)
                    wait = min(AGAIN_SECONDS * 2 ** min(count, 10), AGAIN_SECONDS_MAX)
                    self._failed[record.id] = (count + 1, self._clock.monotonic() + wait)
        except Exception:
            log.exception("snapshots by themselves failed")
        finally:
            self._busy.release()

    def _one(self, record: WorkspaceRecord) -> None:
        if record.id not in self._newest:
            versions = self._versions.all(record.id)
            self._newest[record.id] = versions[-1].created_at if versions else None
        if not is_due(record, self._newest[record.id], self._clock.now()):
            return
        taken = self._versions.take(record.id, author=record.owner, reason=Reason.TIMER, if_changed=True)
        self._newest[record.id] = self._clock.now()
        if taken.version is not None:
            log.info("workspace %s: v%d saved by itself", record.name, taken.version.number)
            self._versions.thin_out(record.id)


def _in_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="syla-snapshots", daemon=True).start()
