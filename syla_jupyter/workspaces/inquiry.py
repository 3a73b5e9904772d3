"""Whether something runs in a container that this process did not start: commands and kernels of other clients.

Asked of the agent, by whoever is to end things, just before. A command counts while it runs. Of a kernel that another
process started it is not known whether it is busy, so the container's use of the processor decides, since it was
asked last; at the first time it counts, because there is nothing to compare with. So it is with the REPL kernel,
whoever started it, because any process may run something in it; while it is somebody's turn, it is busy in any case.
"""

from __future__ import annotations

from ..model.clock import Clock
from ..model.errors import AgentError, WorkspaceLost
from ..model.record import WorkspaceRecord
from ..model.settings import Settings
from ..runtimes.agent_client import AgentClient, Event
from ..runtimes.rundir import RunDir
from . import repl
from .activity import Signals
from .registry import Registry

ASK_SECONDS = 2.0
BUSY_CPUS = 0.01
"""A kernel that waits uses a tenth of that."""
COMMAND = "command."


class Inquiry:
    def __init__(self, *, registry: Registry, settings: Settings, clock: Clock) -> None:
        self._registry, self._run_dir, self._clock = registry, settings.run_dir, clock
        self._cpu: dict[str, tuple[float, float]] = {}

    def __call__(self, record: WorkspaceRecord) -> Signals:
        """Signals of an active workspace; none where nobody answers in time."""
        live = self._registry.connected().get(record.id)
        known = {process.id for process in live.processes} if live is not None else set()
        known = {id for id in known if not repl.is_repl(id, record.execution)}
        try:
            if live is not None:
                return self._judge(record, known, live.agent)
            agent = AgentClient(self._run(record).agent_socket, timeout=ASK_SECONDS)  # no hold
            try:
                return self._judge(record, known, agent)
            finally:
                agent.close()
        except (AgentError, WorkspaceLost):
            return Signals()

    def _judge(self, record: WorkspaceRecord, known: set[str], agent: AgentClient) -> Signals:
        said = agent.call("processes", timeout=ASK_SECONDS).get("running")
        others = [id for id in said if isinstance(id, str) and id not in known] if isinstance(said, list) else []
        commands = sum(id.startswith(COMMAND) for id in others)
        kernels = len(others) - commands
        if not kernels:
            return Signals(user_processes=commands)
        busy = repl.is_taken(self._run(record))
        busy = self._busy(record.execution, agent.call("usage", timeout=ASK_SECONDS)) or busy
        return Signals(
            user_processes=commands, kernels_busy=kernels if busy else 0, kernels_idle=0 if busy else kernels
        )

    def _run(self, record: WorkspaceRecord) -> RunDir:
        return RunDir(self._run_dir / record.execution)

    def _busy(self, execution: str, usage: Event) -> bool:
        used, now = usage.get("cpu_seconds"), self._clock.monotonic()
        if not isinstance(used, int | float):
            return True
        before = self._cpu.get(execution)
        self._cpu = {**dict(list(self._cpu.items())[-1000:]), execution: (now, used)}
        return before is None or used - before[1] > BUSY_CPUS * (now - before[0])
