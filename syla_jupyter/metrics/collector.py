"""Listens to what happens and counts it: verbs on workspaces, and the claims of the pool by any process.

Claims are made by short-lived processes that nobody scrapes; what they leave is lines in the pool's logs, of which the
new ones are read when somebody asks for the metrics.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from ..metadata.base import Count
from ..model.clock import Clock
from ..model.record import WorkspaceRecord
from ..model.snapshot import Version
from ..objects.metered import Request
from .gauges import Gauges, Running
from .table import VERBS, Metrics

READ_MAX = 1 << 20


class Happened(Protocol):
    """As the registry's listeners are told."""

    @property
    def verb(self) -> str: ...
    @property
    def record(self) -> WorkspaceRecord: ...
    @property
    def seconds(self) -> float: ...


class Stats(Protocol):
    @property
    def new_bytes(self) -> int: ...
    @property
    def stored_bytes(self) -> int: ...


class SaveReport(Protocol):
    @property
    def bytes_total(self) -> int: ...
    @property
    def stats(self) -> Stats: ...


class Saved(Protocol):
    """As listeners of versions are told."""

    @property
    def version(self) -> Version | None: ...
    @property
    def report(self) -> SaveReport: ...
    @property
    def seconds(self) -> float: ...


class Metered:
    """All of it: hand `changed` to the registry's listeners, `saved` to those of
    versions, `requested` to those of objects."""

    def __init__(
        self,
        *,
        registry: CollectorRegistry,
        counts: Callable[[], Sequence[Count]],
        running: Callable[[], Sequence[Running]],
        pool_dir: Path,
        clock: Clock,
    ) -> None:
        self._metrics = Metrics(registry)
        registry.register(PoolClaims(pool_dir, self._metrics))
        registry.register(Gauges(counts=counts, running=running, clock=clock))

    def changed(self, change: Happened) -> None:
        verb = str(change.verb)
        if verb in VERBS:
            self._metrics.changes.labels(verb, str(change.record.type)).inc()
            self._metrics.duration.labels(verb).observe(change.seconds)

    def saved(self, taken: Saved) -> None:
        if taken.version is None:
            return
        reason = str(taken.version.reason)
        self._metrics.snapshots.labels(reason).inc()
        self._metrics.duration.labels("snapshot").observe(taken.seconds)
        for kind, count in (
            ("saved", taken.report.bytes_total),
            ("new", taken.report.stats.new_bytes),
            ("stored", taken.report.stats.stored_bytes),
        ):
            self._metrics.snapshot_bytes.labels(kind).inc(count)

    def requested(self, request: Request) -> None:
        """Hand it to whoever meters the object stores."""
        self._metrics.object_requests.labels(request.operation, request.result).inc()
        self._metrics.object_seconds.labels(request.operation).observe(request.seconds)
        self._metrics.object_bytes.labels("sent").inc(request.sent_bytes)
        self._metrics.object_bytes.labels("received").inc(request.received_bytes)


class PoolClaims(Collector):
    """Shows nothing itself: it brings the counters up to date, before they are shown or one scrape later."""

    def __init__(self, pool_dir: Path, metrics: Metrics) -> None:
        self._metrics, self._lock = metrics, threading.Lock()
        self._hits, self._misses = Tail(pool_dir / "hits.log"), Tail(pool_dir / "misses.log")

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            for line in self._hits.new():
                self._hit(line)
            for line in self._misses.new():
                self._metrics.claims.labels(_result(line)).inc()
        return []

    def _hit(self, line: str) -> None:
        self._metrics.claims.labels("hit").inc()
        try:
            self._metrics.duration.labels("claim").observe(float(line.split()[2]))
        except (IndexError, ValueError):
            pass  # half a line: its process was killed


class Tail:
    """Whole lines that were added to a file since the last call, across a rename to `<name>.1`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._inode, self._offset = _inode(file), _size(file)

    def new(self) -> list[str]:
        inode = _inode(self._file)
        text = ""
        if inode != self._inode:
            old = self._file.with_name(f"{self._file.name}.1")
            if self._inode and _inode(old) == self._inode:
                text = self._read(old, self._offset)
            self._inode, self._offset = inode, 0
        fresh = self._read(self._file, self._offset)
        fresh = fresh[: fresh.rfind("\n") + 1]
        self._offset += len(fresh)
        return [line for line in (text + fresh).splitlines() if line]

    def _read(self, file: Path, offset: int) -> str:
        try:
            with file.open("rb") as opened:
                opened.seek(offset)
                return opened.read(READ_MAX).decode("latin-1")
        except OSError:
            return ""


def _inode(file: Path) -> int:
    try:
        return file.stat().st_ino
    except OSError:
        return 0


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _result(line: str) -> str:
    """Of a line of the misses: `time key reason`."""
    reason = line.split(" ", 2)[-1]
    if reason.startswith("nothing"):
        return "empty"
    return "ended" if "had ended" in reason else "refused"
