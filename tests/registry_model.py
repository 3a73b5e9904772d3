"""The whole registry against a model of it, by two processes, with containers that end and freeze and clocks that jump.

The model knows of each workspace its phase, its container and what was left in its directories. What a verb does to
the phase is written down here once more (`AFTER`), from the design and not from `lifecycle`: a second opinion. After
each step record, container, directories and names are as the model says; a verb that is refused has changed nothing
and names both states. When a policy acts is asked of `due_action`, which has tests of its own; what comes of it is not.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from syla_jupyter.metadata.base import WorkspaceStore
from syla_jupyter.model.errors import (
    Conflict,
    NameTaken,
    NotConfirmed,
    SylaError,
    UnknownWorkspace,
    WorkspaceLost,
    WrongState,
)
from syla_jupyter.model.policy import DAY, HOUR, MINUTE, Policy
from syla_jupyter.model.record import State, WorkspaceRecord
from syla_jupyter.model.settings import Settings
from syla_jupyter.model.workspace import GIB, MIB, Limits, Network
from syla_jupyter.runtimes.base import LABEL_EXECUTION, LABEL_HOME
from syla_jupyter.workspaces.janitor import Janitor
from syla_jupyter.workspaces.live import LiveWorkspace
from syla_jupyter.workspaces.places import Places
from syla_jupyter.workspaces.policies import Action, due_action
from syla_jupyter.workspaces.registry import Registry
from syla_jupyter.workspaces.service import WorkspaceService

from .unit.clocks import HandClock

# What a verb makes of a phase; what is not here is refused.
AFTER: Mapping[str, Mapping[str, str]] = {
    "open": {"created": "active", "active": "active", "frozen": "active", "stopped": "active"},
    "suspend": {"active": "frozen", "frozen": "frozen", "stopped": "stopped"},
    "stop": {"created": "created", "active": "stopped", "frozen": "stopped", "stopped": "stopped"},
    "archive": {phase: "archived" for phase in ("created", "active", "frozen", "stopped", "archived")},
    "recover": {"stopped": "stopped", "archived": "stopped"},
}
TARGET = {"open": "active", "suspend": "suspended", "stop": "suspended", "archive": "archived", "recover": "suspended"}
LOST = {"active": "created", "frozen": "stopped"}
LEVEL = {
    "created": "restarted", "stopped": "restarted", "frozen": "thawed", "active": "running", "archived": "recovered",
}  # fmt: skip
STATE = {"frozen": "suspended", "stopped": "suspended"}  # of the others the phase is the state
DUE = {Action.SUSPEND: "suspend", Action.STOP: "stop", Action.ARCHIVE: "archive"}

NAMES = ("alpha", "Beta", "gámma 3")
POLICIES = (
    Policy(),
    Policy(idle_seconds=HOUR, stop_seconds=DAY, archive_seconds=3 * DAY, retention_seconds=3 * DAY),
    Policy(ttl_seconds=2 * DAY, ttl_ends_in_delete=True, idle_seconds=2 * HOUR, hard_cap_seconds=4 * HOUR),
    Policy(ttl_seconds=DAY, ttl_extended_by_activity=True, archive_seconds=2 * DAY, warning_seconds=MINUTE),
)
LIMITS = (Limits(1, 256 * MIB, GIB), Limits(0.5, 512 * MIB, GIB), Limits(2, GIB, GIB))
NOTHING = "ffffffff"
"""An execution that no workspace has."""

processes = st.sampled_from((0, 1))
of_two = st.booleans()
existing = st.runner().flatmap(lambda machine: st.sampled_from(sorted(machine.known)))
running = st.runner().flatmap(
    lambda machine: st.sampled_from(sorted(name for name, known in machine.known.items() if known.execution))
)
there_is_one = precondition(lambda machine: machine.known)
one_runs = precondition(lambda machine: any(known.execution for known in machine.known.values()))


@dataclass
class Known:
    """A workspace as the model has it."""

    record: WorkspaceRecord
    """As it was made: what no verb changes."""
    limits: Limits
    phase: str = "created"
    execution: str = ""
    """Of the container that is there; empty: none."""
    frozen: bool = False
    """The container, whatever the record says."""
    inside: str = ""
    """A process that was left running in the container."""


@dataclass(frozen=True)
class Part:
    """What one server, or client, has of an installation."""

    settings: Settings
    runtime: Any
    store: WorkspaceStore
    containers: WorkspaceService
    places: Places
    registry: Registry

    @property
    def root(self) -> Path:
        return self.settings.data_dir / "root"


@dataclass
class Process:
    local: Part
    janitor: Janitor
    lives: dict[str, LiveWorkspace] = field(default_factory=dict)


class RegistryMachine(RuleBasedStateMachine):
    """`start` gives one of two processes' view of a fresh installation, more than once; `end` removes it all."""

    template: str = "python"

    def start(self, who: int) -> Part:
        raise NotImplementedError

    def end(self) -> None:
        raise NotImplementedError

    def memory_limit(self, process: Part, container_id: str) -> int:
        """Bytes, as the engine has it; of a container whose limits `process` set last."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock()
        self.latest = self.clock.now()
        self.known: dict[str, Known] = {}
        self.gone: list[str] = []
        self.executions: set[str] = set()
        self.ticks = itertools.count(1)
        self.processes = [self._process(who) for who in (0, 1)]

    def teardown(self) -> None:
        for process in self.processes:
            process.local.registry.detach()
        self.end()

    def _process(self, who: int) -> Process:
        local = self.start(who)
        janitor = Janitor(
            registry=local.registry,
            store=local.store,
            clock=self.clock,
            lock_file=local.settings.data_dir / "janitor.lock",
            tidy=local.containers.reconcile,
        )
        return Process(local, janitor)

    # -- made and gone -----------------------------------------------------------------------------------------

    @initialize(policies=st.tuples(st.sampled_from(POLICIES), st.sampled_from(POLICIES)))
    def two_that_run(self, policies: tuple[Policy, Policy]) -> None:
        for who, policy in enumerate(policies):
            self.create(who, NAMES[who], False, policy, LIMITS[0])
            self.use(who, NAMES[who], False)

    @rule(
        who=processes,
        name=st.sampled_from(NAMES),
        variant=of_two,
        policy=st.sampled_from(POLICIES),
        limits=st.sampled_from(LIMITS),
    )
    def create(self, who: int, name: str, variant: bool, policy: Policy, limits: Limits) -> None:
        local = self.processes[who].local
        described = {"policy": policy, "limits": limits, "template": self.template, "network": Network.NONE}
        if name in self.known:
            self._refused(
                NameTaken,
                lambda: local.registry.create(name.upper() if variant else name, root=local.root, **described),
            )
            return
        record = local.registry.create(name, root=local.root, **described)
        self._made(name, record, limits)
        (record.files / "kept").write_text(record.id)

    @rule(who=processes)
    def default(self, who: int) -> None:
        local = self.processes[who].local
        record, _ = local.registry.catalog.default(local.root, self.template)
        if record.name not in self.known:
            self._made(record.name, record, record.limits)
        assert record.id == self.known[record.name].record.id

    def _made(self, name: str, record: WorkspaceRecord, limits: Limits) -> None:
        assert record.id not in self.gone
        self.known[name] = Known(record, limits)
        home = self.processes[0].local.places.home(record)
        home.mkdir(parents=True)
        (home / "kept").write_text(record.id)

    @there_is_one
    @rule(who=processes, name=existing, confirmed=of_two)
    def delete(self, who: int, name: str, confirmed: bool) -> None:
        registry, known = self.processes[who].local.registry, self.known[name]
        if known.record.is_default:
            self._refused(WrongState, lambda: registry.delete(known.record.id, confirmed=confirmed))
        elif confirmed or known.phase == "archived":
            registry.delete(known.record.id, confirmed=confirmed)
            self._forget(name)
        else:
            error = self._refused(NotConfirmed, lambda: registry.delete(known.record.id))
            self._names_both(error, known, "deleted")

    @precondition(lambda self: self.gone)
    @rule(who=processes, verb=st.sampled_from([*AFTER, "delete", "touch"]))
    def of_one_that_is_gone(self, who: int, verb: str) -> None:
        self._refused(UnknownWorkspace, lambda: self._do(self.processes[who].local.registry, verb, self.gone[-1]))

    # -- verbs -------------------------------------------------------------------------------------------------

    @there_is_one
    @rule(who=processes, name=existing, resume=of_two)
    def use(self, who: int, name: str, resume: bool) -> None:
        """Opened or resumed, by a process that may be connected already."""
        process, known = self.processes[who], self.known[name]
        registry, id = process.local.registry, known.record.id
        if known.phase == "archived" and not resume:  # no kernel brings files back; who resumes it wants that
            error = self._refused(WrongState, lambda: registry.open(id))
            self._names_both(error, known, "active")
            return
        if resume:
            record, level = registry.resume(id)
            assert (record.state, level) == (State.ACTIVE, LEVEL[known.phase])
        live = registry.open(id)
        self._active(known, live, process)

    @there_is_one
    @rule(who=processes, name=existing, verb=st.sampled_from(("suspend", "suspend", "stop")))
    def put_down(self, who: int, name: str, verb: str) -> None:
        self._verb(self.processes[who].local.registry, self.known[name], verb)

    @there_is_one
    @rule(who=processes, name=existing, recover=of_two)
    def archive(self, who: int, name: str, recover: bool) -> None:
        self._verb(self.processes[who].local.registry, self.known[name], "recover" if recover else "archive")

    @there_is_one
    @rule(who=processes, name=existing, verb=st.sampled_from(("suspend", "stop", "archive", "delete", "change")))
    def decided_on_what_it_was(self, who: int, name: str, verb: str) -> None:
        """The caller read a version of the record that is not the present one."""
        local, known = self.processes[who].local, self.known[name]
        version = local.store.get(known.record.id).version - 1
        self._refused(Conflict, lambda: self._do(local.registry, verb, known.record.id, version=version))

    @there_is_one
    @rule(who=processes, name=existing, verb=st.sampled_from(("suspend", "stop", "archive", "delete")))
    def meant_for_another_container(self, who: int, name: str, verb: str) -> None:
        registry, known = self.processes[who].local.registry, self.known[name]
        after = _after(known, verb)
        if after == known.phase:
            self._do(registry, verb, known.record.id, execution=NOTHING)
            return
        kind = Conflict if after else WrongState
        self._refused(kind, lambda: self._do(registry, verb, known.record.id, execution=NOTHING))

    @there_is_one
    @rule(who=processes, name=existing, seconds=st.sampled_from((0.0, MINUTE, 5 * HOUR)))
    def touch(self, who: int, name: str, seconds: float) -> None:
        registry, known = self.processes[who].local.registry, self.known[name]
        if not seconds:
            self._refused(SylaError, lambda: registry.touch(known.record.id, seconds))
            return
        record = registry.touch(known.record.id, seconds)
        assert record.extended_until == self.clock.now() + seconds

    @there_is_one
    @rule(who=processes, name=existing, limits=st.sampled_from(LIMITS))
    def change_limits(self, who: int, name: str, limits: Limits) -> None:
        local, known = self.processes[who].local, self.known[name]
        assert local.registry.change(known.record.id, limits=limits).limits == limits
        known.limits = limits
        if known.execution:
            assert self.memory_limit(local, self._containers()[known.execution].id) == limits.memory_bytes

    @there_is_one
    @rule(who=processes, name=existing, foreign=of_two)
    def attach(self, who: int, name: str, foreign: bool) -> None:
        """A server that adopts its kernels asks a container, frozen or not, and leaves it as it is."""
        process, known = self.processes[who], self.known[name]

        def attach() -> Any:
            execution = NOTHING if foreign else known.execution
            return process.local.registry.attach(
                known.record.id, execution, lambda live: live.agent.call("processes")["running"]
            )

        if foreign or not known.execution:
            self._refused(WorkspaceLost, attach)
            return
        assert known.inside in attach()
        known.frozen = known.frozen or known.phase == "frozen"

    # -- what nobody asked for ---------------------------------------------------------------------------------

    @one_runs
    @rule(name=running)
    def killed(self, name: str) -> None:
        """Out of memory, or somebody at the engine."""
        known = self.known[name]
        self.processes[0].local.runtime.remove(self._containers()[known.execution].id)
        self._lost(known)

    @one_runs
    @rule(who=processes, name=running)
    def died_half_way(self, who: int, name: str) -> None:
        """A process froze or thawed a container, and died before it could say so in the record."""
        local, known = self.processes[who].local, self.known[name]
        engine = local.registry._engine
        if known.phase == "active":
            engine.freeze(local.store.get(known.record.id))
        else:
            engine.thaw(local.store.get(known.record.id))
        known.frozen = known.phase == "active"

    @one_runs
    @rule(who=processes, name=running)
    def frozen_or_thawed_by_hand(self, who: int, name: str) -> None:
        """At the engine, behind our back: nothing sees it, and the next verb brings it in order."""
        process, known = self.processes[who], self.known[name]
        container = self._containers()[known.execution].id
        if known.phase == "active":
            process.local.runtime.freeze(container)
            self._verb(process.local.registry, known, "suspend")
        else:
            process.local.runtime.thaw(container)
            self._active(known, process.local.registry.open(known.record.id), process)

    @rule(seconds=st.sampled_from((MINUTE, 50 * MINUTE, 3 * HOUR, DAY, 4 * DAY)))
    def time_passes(self, seconds: float) -> None:
        self.clock.move(seconds)

    @rule(seconds=st.sampled_from((-DAY, DAY)))
    def clock_jumps(self, seconds: float) -> None:
        self.latest = max(self.latest, self.clock.now())
        self.clock.jump(seconds)

    @rule(who=processes)
    def sweep(self, who: int) -> None:
        """A janitor's minute: what died half way is set right, and what is due is done, or warned of first."""
        self.clock.move(next(self.ticks) / 1024)  # what was planned for this very moment is for the next sweep
        before = self._seen()
        now = self.clock.now()
        said = self.processes[who].janitor.sweep()
        after = self._seen()
        for name, known in list(self.known.items()):
            was = before[known.record.id]
            known.frozen = bool(known.execution) and known.phase == "frozen"  # as the record says
            due = due_action(was, was.policy, now).action
            record = after.get(known.record.id)
            if due is Action.NONE or (now < self.latest and record is not None and record.state is was.state):
                continue  # after a jump back a sweep may look later
            if due is Action.WARN:
                assert record is not None
                assert record.warned_at == now
            elif due is Action.DELETE:
                self._forget(name)
            else:
                self._moved(known, _after(known, DUE[due]) or "")
            assert any(repr(known.record.name) in line for line in said)

    @rule(who=processes)
    def restart(self, who: int) -> None:
        """A server ends, and the next one puts in order what it finds; what runs goes on."""
        self.processes[who].local.registry.detach()
        process = self.processes[who] = self._process(who)
        process.local.registry.finish()
        process.local.containers.reconcile()
        for known in self.known.values():
            known.frozen = bool(known.execution) and known.phase == "frozen"
        self._only_these_directories()

    # -- after each step ---------------------------------------------------------------------------------------

    @invariant()
    def records_are_as_the_model_says(self) -> None:
        seen = self._seen()
        assert sorted(seen) == sorted(known.record.id for known in self.known.values())
        for name, known in self.known.items():
            record = seen[known.record.id]
            assert (record.name, record.state) == (known.record.name, STATE.get(known.phase, known.phase)), name
            assert record.execution == known.execution, name
            assert (record.limits, record.files) == (known.limits, known.record.files)
        assert len({record.name.casefold() for record in seen.values()}) == len(seen)

    @invariant()
    def containers_are_those_of_the_records(self) -> None:
        wanted = {known.execution: known.frozen for known in self.known.values() if known.execution}
        assert {execution: container.frozen for execution, container in self._containers().items()} == wanted

    @invariant()
    def directories_are_there_or_gone(self) -> None:
        local = self.processes[0].local
        for known in self.known.values():
            record = known.record
            if known.phase == "archived":
                assert not record.files.exists()
                continue
            assert (local.places.home(record) / "kept").read_text() == record.id
            assert record.is_default or (record.files / "kept").read_text() == record.id
        there = {known.record.name for known in self.known.values() if known.phase != "archived"}
        listed = {path.name for path in _listed(local.root / "workspaces") if not path.name.startswith(".")}
        assert listed == {name for name in there if not self.known[name].record.is_default}
        ids = {known.record.id for known in self.known.values()}
        assert {path.name for path in _listed(local.settings.data_dir / "homes")} <= ids
        assert {path.name for path in _listed(local.settings.data_dir / "locks")} <= ids

    # -- the model ---------------------------------------------------------------------------------------------

    def _verb(self, registry: Registry, known: Known, verb: str) -> None:
        after = _after(known, verb)
        if after is None:
            error = self._refused(WrongState, lambda: self._do(registry, verb, known.record.id))
            self._names_both(error, known, TARGET[verb])
            return
        record = self._do(registry, verb, known.record.id)
        assert record.state == STATE.get(after, after)
        self._moved(known, after)

    def _moved(self, known: Known, after: str) -> None:
        if after in ("stopped", "archived", "created"):
            known.execution, known.frozen, known.inside = "", False, ""
        elif after != known.phase:
            known.frozen = after == "frozen"
        elif after == "active":
            known.frozen = False
        known.phase = after

    def _active(self, known: Known, live: LiveWorkspace, process: Process) -> None:
        """It runs, in the container that it had or else in one that is new, and what ran in there runs on."""
        assert not live.lost
        if known.execution:
            assert live.run.id == known.execution
        else:
            assert live.run.id not in self.executions
            self.executions.add(live.run.id)
            known.execution = live.run.id
        known.phase, known.frozen = "active", False
        if not known.inside:
            known.inside = _leave_running(live)
        assert known.inside in live.agent.call("processes")["running"]

    def _lost(self, known: Known) -> None:
        known.execution, known.frozen, known.inside = "", False, ""
        known.phase = LOST[known.phase]

    def _forget(self, name: str) -> None:
        self.gone.append(self.known.pop(name).record.id)

    # -- what there is -----------------------------------------------------------------------------------------

    def _seen(self) -> dict[str, WorkspaceRecord]:
        catalog = self.processes[1].local.registry.catalog
        return {record.id: catalog.seen(record) for record in catalog.all()}

    def _containers(self) -> dict[str, Any]:
        local = self.processes[0].local
        found = local.runtime.find({LABEL_HOME: local.containers.home_label})
        return {container.labels[LABEL_EXECUTION]: container for container in found if container.running}

    def _only_these_directories(self) -> None:
        given = self.processes[0].local.settings
        runs = {path.name for path in _listed(given.run_dir) if _text(path / "data_dir") == str(given.data_dir)}
        assert runs == {known.execution for known in self.known.values() if known.execution}

    def _do(self, registry: Registry, verb: str, id: str, **which: Any) -> Any:
        if verb == "stop":
            return registry.suspend(id, stop=True, **which)
        if verb == "delete":
            return registry.delete(id, confirmed=True, **which)
        if verb == "touch":
            return registry.touch(id, HOUR)
        if verb == "change":
            return registry.change(id, labels={"not": "this"}, **which)
        return getattr(registry, verb)(id, **which)

    def _refused(self, kind: type[SylaError], call: Callable[[], object]) -> SylaError:
        """The error; nothing is another than before, but that a container's end may be written down by now."""
        before, containers = self._seen(), set(self._containers())
        with pytest.raises(kind) as caught:
            call()
        assert type(caught.value) is kind or kind is SylaError
        assert set(self._containers()) == containers
        after = self._seen()
        assert {id: dataclasses.replace(r, version=0) for id, r in after.items()} == {
            id: dataclasses.replace(r, version=0) for id, r in before.items()
        }
        return caught.value

    def _names_both(self, error: SylaError, known: Known, target: str) -> None:
        assert f"is {STATE.get(known.phase, known.phase)}" in error.message
        assert target in error.message
        assert "Possible now" in error.hint or isinstance(error, NotConfirmed)


def _after(known: Known, verb: str) -> str | None:
    """The phase; None: refused."""
    if verb in ("archive", "delete") and known.record.is_default:
        return None
    return "deleted" if verb == "delete" else AFTER[verb].get(known.phase)


def _leave_running(live: LiveWorkspace) -> str:
    """A command that goes on by itself; its id."""
    with open(os.devnull, "rb") as reading, open(os.devnull, "wb") as writing:
        fds = (reading.fileno(), writing.fileno(), writing.fileno())
        return live.start_command(["sleep", "1000"], cwd="/", env={}, stdio=fds, tty=False).id


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _listed(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []
