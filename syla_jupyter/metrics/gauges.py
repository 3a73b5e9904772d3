"""What is, when somebody asks: numbers by type and state, and what containers use.

Asked on the server's event loop, so nobody may wait long: a look is taken in a thread of its own, at most every few
seconds, and whoever comes while it takes too long gets what the look before had found. What containers use is read
from the host's control groups: nothing inside is asked, and frozen ones count too.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ..metadata.base import Count
from ..model.clock import Clock
from ..model.record import State
from ..model.workspace import WorkspaceType
from .table import GAUGES

log = logging.getLogger("syla.metrics")
FRESH_SECONDS = 5.0
WAIT_SECONDS = 0.25
CGROUPS = Path("/sys/fs/cgroup")

Values = Mapping[str, Mapping[tuple[str, ...], float]]
"""metric -> values of its labels -> number."""


@dataclass(frozen=True)
class Running:
    type: WorkspaceType
    pid: int
    """Of its agent, as the host sees it."""


class Gauges(Collector):
    def __init__(
        self,
        *,
        counts: Callable[[], Sequence[Count]],
        running: Callable[[], Sequence[Running]],
        clock: Clock,
        usage: Callable[[int], tuple[float, float] | None] | None = None,
    ) -> None:
        """`usage(pid)`: (CPU seconds since its start, memory bytes) of a process's control group."""
        self._counts, self._running, self._clock = counts, running, clock
        self._usage = usage or group_usage
        self._values: Values = {}
        self._looked: float | None = None
        self._cpu: dict[int, tuple[float, float]] = {}
        self._looking: threading.Thread | None = None
        self._failed = False
        self._lock = threading.Lock()

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return [GaugeMetricFamily(name, text, labels=labels) for name, (text, labels) in GAUGES.items()]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        self._refresh()
        values = self._values
        for name, (text, labels) in GAUGES.items():
            family = GaugeMetricFamily(name, text, labels=labels)
            for of, number in sorted(values.get(name, {}).items()):
                family.add_metric(of, number)
            yield family

    def _refresh(self) -> None:
        with self._lock:
            now = self._clock.monotonic()
            if self._looked is not None and 0 <= now - self._looked < FRESH_SECONDS:
                return
            if self._looking is None or not self._looking.is_alive():
                self._looking = threading.Thread(target=self._look, name="syla-metrics", daemon=True)
                self._looking.start()
            looking = self._looking
        looking.join(WAIT_SECONDS)

    def _look(self) -> None:
        try:
            self._values = {**self._recorded(), **self._used()}
            self._looked, self._failed = self._clock.monotonic(), False
        except Exception:
            if not self._failed:
                log.warning("the workspaces cannot be counted for /metrics", exc_info=True)
            self._failed = True

    def _recorded(self) -> Values:
        states: dict[tuple[str, ...], float] = {
            (str(kind), str(state)): 0 for kind in WorkspaceType for state in State if state is not State.DELETED
        }
        disk: dict[tuple[str, ...], float] = {(str(kind),): 0 for kind in WorkspaceType}
        for count in self._counts():
            states[str(count.type), str(count.state)] = count.workspaces
            disk[(str(count.type),)] += count.disk_bytes
        return {"syla_workspaces": states, "syla_workspace_disk_bytes": disk}

    def _used(self) -> Values:
        memory: dict[tuple[str, ...], float] = {(str(kind),): 0 for kind in WorkspaceType}
        cores = dict(memory)
        now, before, self._cpu = self._clock.monotonic(), self._cpu, {}
        for one in self._running():
            found = self._usage(one.pid)
            if found is None:
                continue
            of = (str(one.type),)
            seconds, memory_bytes = found
            memory[of] += memory_bytes
            since, used = before.get(one.pid, (now, seconds))
            if now > since:
                cores[of] += max(0.0, seconds - used) / (now - since)
            self._cpu[one.pid] = (now, seconds)
        return {"syla_workspace_memory_bytes": memory, "syla_workspace_cpu_cores": cores}


def group_usage(pid: int, proc: Path = Path("/proc"), groups: Path = CGROUPS) -> tuple[float, float] | None:
    """From control groups of version 1 or 2; None when the process is gone or they are not to be read."""
    try:
        lines = [line.split(":", 2) for line in (proc / str(pid) / "cgroup").read_text().splitlines()]
        paths = {name: path.lstrip("/") for _, names, path in lines for name in names.split(",")}
        if "memory" in paths and "cpuacct" in paths:
            memory = (groups / "memory" / paths["memory"] / "memory.usage_in_bytes").read_text()
            return int((groups / "cpuacct" / paths["cpuacct"] / "cpuacct.usage").read_text()) / 1e9, float(memory)
        group = groups / paths[""]
        rows = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
        return int(rows["usage_usec"]) / 1e6, float((group / "memory.current").read_text())
    except (OSError, ValueError, KeyError):
        return None
