"""What goes on beside requests while a server runs: the janitor with its sources, and the metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import prometheus_client

from ..metrics.collector import Metered
from ..metrics.gauges import Running
from ..model.record import WorkspaceRecord
from ..workspaces.activity import Signals
from ..workspaces.disk_watch import DiskWatch
from ..workspaces.engine import Engine
from ..workspaces.inquiry import Inquiry
from ..workspaces.janitor import Janitor, JanitorThread
from ..workspaces.memory_watch import MemoryWatch
from ..workspaces.places import Places
from ..workspaces.snapshot_timer import SnapshotTimer

if TYPE_CHECKING:
    from ..app import Application
    from .terminals import WorkspaceTerminalManager

_metered: list[Metered] = []  # the process has one place for metrics


def terminal_signals(
    terminals: WorkspaceTerminalManager, executions: Callable[[], Mapping[str, str]]
) -> Callable[[], Mapping[str, Signals]]:
    """A source of the janitor: which workspaces have terminals that printed something since the last call.

    Parameters
    ----------
    executions : run id -> workspace id.
    """
    shown: dict[str, float] = {}

    def signals() -> Mapping[str, Signals]:
        found: dict[str, Signals] = {}
        known = executions()
        for terminal in list(terminals.terminals.values()):
            process = terminal.process
            id = known.get(process.workspace.run.id, "") if process is not None and process.exit is None else ""
            if not id:
                continue
            printed = terminal.last_output is not None and terminal.last_output > shown.get(terminal.name, 0.0)
            if terminal.last_output is not None:
                shown[terminal.name] = terminal.last_output
            before = found.get(id, Signals())
            found[id] = Signals(
                terminals_with_output=before.terminals_with_output + printed, open_tabs=before.open_tabs + 1
            )
        return found

    return signals


class Housekeeping:
    """Parameters
    ----------
    activity : who is at work, by workspace id; each is asked at every sweep, from the janitor's thread.
    disk_warned : told when a disk is nearly full.
    tidy : removes what is nobody's any more, besides what is removed here; gives a line for each thing done.
    """

    def __init__(
        self,
        application: Application,
        *,
        activity: list[Callable[[], Mapping[str, Signals]]],
        disk_warned: Callable[[WorkspaceRecord, str], None],
        tidy: Callable[[], list[str]] = list,
    ) -> None:
        registry, store, settings = application.registry(), application.store(), application.settings
        watch = DiskWatch(
            registry=registry,
            places=Places(settings.data_dir),
            clock=application.clock,
            floor_bytes=settings.disk_floor_bytes,
            warned=disk_warned,
        )
        memory = MemoryWatch(
            running=registry.catalog.running,
            reclaim=Engine(application.runtime, settings.run_dir).reclaim,
            clock=application.clock,
        )
        timer = SnapshotTimer(registry=registry, versions=application.versions(), clock=application.clock)

        def forget() -> list[str]:
            count = application.chronicle().store().trim(application.clock.now())
            return [f"forgot {count} lines of what happened long ago"] if count else []

        janitor = Janitor(
            registry=registry,
            store=store,
            clock=application.clock,
            lock_file=settings.data_dir / "janitor.lock",
            activity=activity,
            inside=Inquiry(registry=registry, settings=settings, clock=application.clock),
            extra=lambda: [*watch.sweep(), *memory.sweep(), *timer.sweep()],
            tidy=lambda: [*registry.finish(), *application.service.reconcile(), *forget(), *tidy()],
        )
        self._thread = JanitorThread(janitor.sweep)
        if not _metered:
            _metered.append(
                Metered(
                    registry=prometheus_client.REGISTRY,
                    counts=store.counts,
                    pool_dir=settings.data_dir / "pool",
                    clock=application.clock,
                    running=lambda: [
                        Running(live.spec.type, live.container.pid) for live in registry.connected().values()
                    ],
                )
            )
            registry.listeners.append(_metered[0].changed)
            application.version_listeners.append(_metered[0].saved)
            application.object_listeners.append(_metered[0].requested)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Blocks for the end of a sweep that is under way, some seconds at most."""
        self._thread.stop()
