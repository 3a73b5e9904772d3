"""A workspace with a running container: its kernels, and how they end.

The agent reports ends; the loss of its connection ends everything at once. State is only ever read from memory,
so asking whether a kernel lives costs nothing and never reaches the engine.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from pathlib import Path
from typing import Any, TypeVar

from ..model.errors import AgentError, AgentRefused, BadPath, WorkspaceLost
from ..model.runtime import WORKSPACE_DIR, ContainerInfo, Exit
from ..model.workspace import MIB, WorkspaceSpec, readable_bytes
from ..runtimes.agent_client import AgentClient, Event, shown
from ..runtimes.control_groups import is_frozen, memory_limit_bytes
from ..runtimes.rundir import RunDir
from .process_limit import COMMAND, told
from .variables_due import Due, variables_key

log = logging.getLogger("syla.workspaces")
T = TypeVar("T")
SESSION_NAME = "JPY_SESSION_NAME"
KERNEL = "kernel-"
NOTES_MAX = 20  # lines a container may cause in our log
ENDED = {
    75: "nobody held it any longer",
    76: "it reached its deadline",
}


def container_path(spec: WorkspaceSpec, host_path: Path | None) -> str:
    """Where `host_path` is inside; `/workspace` for what the workspace does not contain."""
    if host_path is None or spec.files is None:
        return WORKSPACE_DIR
    try:
        relative = host_path.resolve().relative_to(spec.files.resolve())
    except ValueError:
        return WORKSPACE_DIR
    if relative.parts and relative.parts[0] in spec.masked:
        raise BadPath("path", f"{host_path} is not part of workspace {spec.name!r}")
    return "/".join([WORKSPACE_DIR, *relative.parts])


class RunningProcess:
    """A kernel or a command. `done` gives its `Exit` when it has ended, however it did."""

    def __init__(self, workspace: LiveWorkspace, id: str) -> None:
        self.workspace = workspace
        self.id = id
        self.done: Future[Exit] = Future()

    @property
    def exit(self) -> Exit | None:
        return self.done.result() if self.done.done() else None

    def signal(self, number: int) -> bool:
        """To its process group; False when it has ended. Never raises for the dead."""
        if self.done.done():
            return False
        try:
            return bool(self.workspace.agent.call("signal", process=self.id, number=number)["delivered"])
        except (AgentError, WorkspaceLost, KeyError):
            return False

    def why(self) -> str:
        """One line for a person: why it ended; empty while it runs or when it ended well."""
        ended = self.exit
        if ended is None or (ended.code == 0 and not ended.detail):
            return ""
        if ended.out_of_memory:
            spec, limit = self.workspace.spec, self.workspace.memory_limit_bytes
            more = f"{2 * limit // MIB}m"
            raising = f"SYLA_MEMORY={more}, or c.Syla.memory in the configuration"
            if spec.home is not None:
                raising = f"`syla workspace set {spec.name} --memory {more}`"
            return (
                f"The kernel was stopped: it passed its memory limit of {readable_bytes(limit)}. "
                f"Free what is not needed, or raise the limit: {raising}."
            )
        if ended.signal is not None:
            return f"The kernel was ended by signal {_signal_name(ended.signal)}. {ended.detail}".strip()
        if ended.code is None:
            return f"The kernel ended with its container: {ended.detail}"
        return f"The kernel ended with exit code {ended.code}. {ended.detail}".strip()


class LiveWorkspace:
    """`on_closed` is called once, when the container is gone or given up."""

    def __init__(
        self,
        spec: WorkspaceSpec,
        run: RunDir,
        container: ContainerInfo,
        on_closed: Callable[[LiveWorkspace], None],
    ) -> None:
        self.spec, self.run, self.container = spec, run, container
        self.agent: AgentClient
        self.starting = True
        """It still has the CPUs of the start."""
        self._notes = 0
        self._on_closed = on_closed
        self._processes: dict[str, RunningProcess] = {}
        self._lock = threading.Lock()
        self._lost = False
        self._ending = "its container was killed, or the engine has stopped"

    @property
    def lost(self) -> bool:
        return self._lost

    @property
    def memory_limit_bytes(self) -> int:
        """As it is now: anybody may have changed it since the start."""
        now = None if self._lost else memory_limit_bytes(self.container.pid)
        return now or self.spec.limits.memory_bytes

    @property
    def frozen(self) -> bool:
        """Whether somebody has frozen it, at the engine and behind our back too, or is about to; nothing inside answers
        then. Costs a look into a directory and into a control group."""
        return self.run.has("frozen") or (not self._lost and is_frozen(self.container.pid))

    @property
    def processes(self) -> Sequence[RunningProcess]:
        with self._lock:
            return list(self._processes.values())

    def start_kernel(
        self,
        slot: str,
        *,
        key: bytes,
        cwd: str,
        env: Mapping[str, str],
        argv: Sequence[str] = (),
        timeout: float,
    ) -> RunningProcess:
        """Start a kernel whose clients connect to `run.client_prefix(slot)`; its sockets are bound on return.

        Variables that are due to it are there then (`variables_due`), which a start waits for. `InsufficientResources`
        where the workspace may have no more processes.
        """
        session = env.get(SESSION_NAME, "")
        variables = "" if argv else variables_key(session, slot)
        request = {"key": key.hex(), "cwd": cwd, "env": dict(env), "argv": list(argv) or None}
        due = Due(self.spec.home) if self.spec.home is not None and variables else None
        restore = due is not None and due.begin(variables, self.run.id)
        with told(self):
            try:
                process, answer = self._start(slot, request, variables if restore else None, timeout)
            except AgentRefused as exc:
                if not restore or exc.code != "start_failed":
                    raise
                # A kernel that was ended by what it loaded has noted it: the next one leaves that out.
                process, answer = self._start(slot, request, variables, timeout)
        try:
            self.run.link_kernel(str(answer.get("prefix")), slot)
            noted = {"process": process.id, "key": key.decode("ascii"), "variables": variables, "session": session}
            self.run.note(f"kernel-{slot}", noted)
            if due is not None:
                due.done(variables)
        except BaseException:
            process.signal(9)
            self._forget(process)
            raise
        return process

    def _start(
        self, slot: str, request: Mapping[str, Any], restore: str | None, timeout: float
    ) -> tuple[RunningProcess, Event]:
        process = self._register(slot)
        try:
            answer = self.agent.call("start", process=process.id, restore_variables=restore, timeout=timeout, **request)
        except BaseException:
            process.signal(9)
            self._forget(process)
            raise
        return process, answer

    def saved_kernels(self) -> list[tuple[str, dict[str, str]]]:
        """(slot, what was noted of it) of the kernels that run and can save their variables, whoever started them."""
        running = set(listed(self.agent.call("processes"), "running", str))
        found = []
        for path in sorted((self.run.path / "h").glob(f"{KERNEL}*")):
            noted = self.run.noted(path.name)
            if noted is not None and noted.get("variables") and noted.get("process") in running and "key" in noted:
                found.append((path.name[len(KERNEL) :], noted))
        return found

    def find_kernel(self, slot: str) -> tuple[RunningProcess, bytes] | None:
        """The kernel in `slot` with its key, whichever process started it; None when none runs there."""
        noted = self.run.noted(f"kernel-{slot}")
        if noted is None or "process" not in noted or "key" not in noted:
            return None
        with self._lock:
            known = self._processes.get(noted["process"])
            process = known or RunningProcess(self, noted["process"])
            if known is None:
                self._processes[process.id] = process  # before the question: no exit event may fall between
        answer = self.agent.call("processes")
        if process.id not in listed(answer, "running", str):
            ended = [event for event in listed(answer, "ended", dict) if event.get("process") == process.id]
            self._end(process, _exit_of(ended[-1]) if ended else Exit(detail="it ended while nobody watched"))
        return process, noted["key"].encode("ascii")

    def start_command(
        self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], stdio: tuple[int, int, int], tty: bool
    ) -> RunningProcess:
        """Run a command on three descriptors of ours, which the container gets: hand over pipe or pty ends only."""
        process = self._register(COMMAND)
        asked: dict[str, Any] = {"process": process.id, "argv": list(argv), "cwd": cwd, "env": dict(env), "tty": tty}
        try:
            with told(self):
                self.agent.call("command", fds=stdio, **asked)
        except BaseException:
            self._forget(process)
            raise
        return process

    def detach(self) -> None:
        """Let go of the container, which lives on; this object is of no use afterwards."""
        self.agent.close()
        with self._lock:
            self._lost = True
        self._on_closed(self)

    def close(self) -> None:
        """End the container and everything in it; safe to call again."""
        if not self._lost:
            try:
                self.agent.call("stop", timeout=2)
            except (AgentError, WorkspaceLost):
                pass
            self._ending = "the workspace was closed"
        self.agent.close()
        self.on_lost()
        self.run.remove()

    # -- from the agent client's thread ------------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        kind = event.get("event")
        if kind == "exit":
            process = self._processes.get(str(event.get("process")))
            if process is not None:
                self._end(process, _exit_of(event))
        elif kind == "preload" and event.get("ok") is not True and self._notes < NOTES_MAX:
            self._notes += 1
            module, reason = str(event.get("module"))[:200], str(event.get("reason"))[:200]
            log.warning("workspace %s: %r is not preloaded: %r", self.spec.name, module, reason)
        elif kind == "ending":
            code = event.get("code")
            self._ending = ENDED.get(code if isinstance(code, int) else -1, self._ending)

    def on_lost(self) -> None:
        with self._lock:
            if self._lost:
                return
            self._lost = True
        for process in self.processes:
            self._end(process, Exit(detail=self._ending))
        self._on_closed(self)

    def _register(self, slot: str) -> RunningProcess:
        with self._lock:
            if self._lost:
                raise WorkspaceLost(f"workspace {self.spec.name!r} has ended: {self._ending}")
            process = RunningProcess(self, f"{slot}.{secrets.token_hex(4)}")
            self._processes[process.id] = process
        return process

    def _forget(self, process: RunningProcess) -> None:
        with self._lock:
            self._processes.pop(process.id, None)

    def _end(self, process: RunningProcess, ended: Exit) -> None:
        self._forget(process)
        with contextlib.suppress(InvalidStateError):  # it was told already: here and in the agent's words at once
            process.done.set_result(ended)


def listed(answer: Event, name: str, kind: type[T]) -> list[T]:
    """What an answer of the agent, which may be anything, lists under that name."""
    given = answer.get(name)
    return [one for one in given if isinstance(one, kind)] if isinstance(given, list) else []


def _signal_name(number: int) -> str:
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:
        return str(number)


def _exit_of(event: Event) -> Exit:
    """The agent's word, which may be anything, as an Exit."""
    code, number = event.get("code"), event.get("signal")
    if not isinstance(code, int) and not isinstance(number, int):
        return Exit(detail="its end was reported without a code")
    return Exit(
        code=code if isinstance(code, int) else None,
        signal=number if isinstance(number, int) else None,
        out_of_memory=event.get("out_of_memory") is True,
        detail=" ".join(shown(event.get("detail") or "").split())[-500:],
    )
