"""Use cases: get a workspace with a running container, and give it up.

    ephemeral(...)   one caller's own: claimed from the pool, else made; ends with `close`, or with its caller
    start(...)       one for a workspace with a record (`registry`), which outlives its caller
    connect(...)     to such a one, from any process

Cold, with directories to attach: create -> agent listens -> attach -> open -> zygote forks the wanted kernel. Each
step that fails undoes the ones before it. All methods block; callers run them off their event loop.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any, Protocol

from ..model.errors import AgentError, StartFailed, SylaError, WorkspaceLost
from ..model.runtime import (
    HOME_DIR,
    WORKSPACE_DIR,
    AgentConfig,
    ContainerInfo,
    ContainerSpec,
    Mount,
    MountVia,
    User,
)
from ..model.settings import Settings
from ..model.template import Template
from ..model.workspace import Limits, Network, WorkspaceSpec, WorkspaceType
from ..runtimes.agent_client import AgentClient, wait_for_agent
from ..runtimes.base import (
    LABEL_EXECUTION,
    LABEL_HOME,
    LABEL_KIND,
    LABEL_OWNER,
    LABEL_RUN,
    LABEL_WORKSPACE,
    Runtime,
)
from ..runtimes.rundir import RunDir
from .live import LiveWorkspace
from .pool import Pool, pool_key
from .reconcile import reconcile

log = logging.getLogger("syla.workspaces")

START_CPUS = 2.0
"""Cores a container may use while it starts, whatever its limit."""
UNCLAIMED_SECONDS = 30.0
"""Lease of a container whose maker has not held it yet: it died between two lines of `_make`."""


class TemplateSource(Protocol):
    def get(self, name: str) -> Template: ...


class WorkspaceService:
    def __init__(
        self,
        *,
        settings: Settings,
        runtime: Runtime,
        pool: Pool,
        templates: TemplateSource,
        image_of: Callable[[Template], str],
        agent_dir: Callable[[], Path],
        python_dir: Callable[[], Path],
        user: User,
        owner: str,
        host_mounts: tuple[Mount, ...] = (),
        request_refill: Callable[[], None] = lambda: None,
        kept: Callable[[], Set[str]] = frozenset,
    ) -> None:
        self._settings, self._runtime, self._pool = settings, runtime, pool
        self._templates, self._image_of = templates, image_of
        self._agent_dir, self._python_dir = agent_dir, python_dir
        self._user, self._owner, self._host_mounts = user, owner, host_mounts
        self._request_refill = request_refill
        self._kept = kept
        self._live: set[LiveWorkspace] = set()
        self._lock = threading.Lock()
        self._reconciled = False

    @property
    def home_label(self) -> str:
        """Which installation a container belongs to: told apart by data directory."""
        return pool_key(str(self._settings.data_dir))[:12]

    # -- use cases ---------------------------------------------------------------------------------------------

    def ephemeral(self, spec: WorkspaceSpec) -> LiveWorkspace:
        """A workspace for one caller, from the pool where one fits."""
        if spec.home is not None:
            return self._make(spec, kind="workspace")
        key, description = self._key(spec)
        self._pool.want(key, description)
        try:
            return self._claim(spec, key) or self._make(spec, kind="workspace")
        finally:
            self._request_refill()

    def start(self, spec: WorkspaceSpec) -> LiveWorkspace:
        """A container for a workspace with a record; whoever writes the record disowns its run directory then."""
        return self._make(spec, kind="workspace")

    def connect(self, spec: WorkspaceSpec, execution: str) -> LiveWorkspace:
        """To a container that some process started, and that is not frozen; `WorkspaceLost` when it is gone."""
        run = RunDir(self._settings.run_dir / execution)
        noted = run.noted("container")
        if noted is None:
            raise WorkspaceLost(f"workspace {spec.name!r} has no container any more")
        container = ContainerInfo(noted["id"], noted["name"], {}, True)
        workspace = LiveWorkspace(spec, run, container, self._forget)
        workspace.starting = False
        self._connect(workspace, claim=False, hold_seconds=self._settings.detached_seconds)
        self._keep(workspace)
        return workspace

    def fill_pool(self, description: Mapping[str, Any], key: str) -> None:
        """Make one ready container of a key and put it into the pool; a key that no claim can ask for is dropped."""
        spec = _spec_from(description)
        if self._key(spec)[0] != key or (spec.files is not None and not spec.files.is_dir()):
            self._pool.drop(key)  # of another version or image, or of a directory that is gone
            return
        workspace = self._make(spec, kind="pool")
        with self._pool.putting(key, workspace.run.id, workspace.container):
            workspace.run.disown()
        workspace.agent.close()
        with self._lock:
            self._live.discard(workspace)

    def drain(self) -> int:
        """End every ready container; how many there were."""
        count = 0
        for status in self._pool.status():
            for ready in self._pool.take(status.key):
                run = RunDir(self._settings.run_dir / ready.run_id)
                try:
                    agent = AgentClient(run.agent_socket)
                    agent.call("stop", timeout=2)
                    agent.close()
                    count += 1
                except (AgentError, WorkspaceLost):
                    pass
                run.remove()
        return count

    def close_all(self) -> None:
        """End the ephemeral workspaces of this process, and let go of the others."""
        with self._lock:
            workspaces = list(self._live)
        for workspace in workspaces:
            workspace.close() if workspace.spec.home is None else workspace.detach()

    def reconcile(self) -> list[str]:
        """Remove what nobody owns of this installation; one line for each thing removed."""
        return reconcile(
            runtime=self._runtime,
            pool=self._pool,
            run_dir=self._settings.run_dir,
            data_dir=self._settings.data_dir,
            home_label=self.home_label,
            kept=self._kept,
        )

    # -- making ------------------------------------------------------------------------------------------------

    def _claim(self, spec: WorkspaceSpec, key: str) -> LiveWorkspace | None:
        reason, began = "nothing was ready", self._pool.clock.monotonic()
        for ready in self._pool.take(key):
            run = RunDir(self._settings.run_dir / ready.run_id)
            container = ContainerInfo(ready.container_id, ready.container_name, {}, True)
            workspace = LiveWorkspace(spec, run, container, self._forget)
            try:
                run.write_owner()
                self._connect(workspace, claim=True, hold_seconds=self._settings.lease_seconds)
                if self._runtime.mount_via is MountVia.ATTACH:
                    self._runtime.attach(workspace.container, self._mounts(spec))
            except SylaError as exc:
                reason = f"a ready container could not be claimed: {exc}"
                log.info("%s", reason)
                self._give_up(workspace)
                continue
            except OSError:
                reason = "a ready container had ended"
                run.remove()
                continue
            workspace.starting = False
            self._keep(workspace)
            self._pool.claimed(key, self._pool.clock.monotonic() - began)
            return workspace
        self._pool.missed(key, reason)
        return None

    def _make(self, spec: WorkspaceSpec, *, kind: str) -> LiveWorkspace:
        pooled = kind == "pool"
        if spec.files is not None and not spec.files.is_dir() and not pooled:
            raise StartFailed(f"{spec.files} is not a directory", "Make it, or start somewhere else")
        if spec.home is not None:
            spec.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        run = RunDir.create(self._settings.run_dir, self._user)
        (run.path / "data_dir").write_text(str(self._settings.data_dir))
        container_spec = self._container_spec(spec, run, kind)
        workspace = LiveWorkspace(spec, run, ContainerInfo("", container_spec.name, {}, False), self._forget)
        try:
            workspace.container = self._runtime.create(container_spec)
            run.note("container", {"id": workspace.container.id, "name": workspace.container.name})
            kept = self._settings.lease_seconds if spec.home is None else self._settings.detached_seconds
            hold_seconds = self._settings.pool.ttl_seconds if pooled else kept
            agent = self._connect(workspace, wait=True, claim=not pooled, hold_seconds=hold_seconds)
            if not container_spec.agent.open:
                self._runtime.attach(workspace.container, self._mounts(spec))
                agent.call("open")
            if pooled:
                agent.call("ready", timeout=self._settings.start_timeout_seconds)
                self._runtime.limit_cpus(workspace.container.id, spec.limits.cpus)
        except BaseException:
            self._give_up(workspace)
            raise
        self._keep(workspace)
        return workspace

    def settle_soon(self, workspace: LiveWorkspace) -> None:
        """`settle` off the caller's path; after a cold start, once, what others left behind is removed as well."""
        if workspace.starting:
            threading.Thread(target=self._settle, args=(workspace,), name="syla-settle", daemon=True).start()

    def _settle(self, workspace: LiveWorkspace) -> None:
        self.settle(workspace)
        with self._lock:
            first, self._reconciled = not self._reconciled, True
        if first:
            try:
                for line in self.reconcile():
                    log.info("reconciled: %s", line)
            except (SylaError, OSError) as exc:
                log.warning("left for the next time: %s", exc)

    def settle(self, workspace: LiveWorkspace) -> None:
        """Once the first kernel is up: from the CPUs of the start down to those of the limit."""
        with self._lock:
            needed, workspace.starting = workspace.starting, False
        if needed and workspace.spec.limits.cpus < START_CPUS:
            try:
                self._runtime.limit_cpus(workspace.container.id, workspace.spec.limits.cpus)
            except SylaError as exc:
                if not workspace.lost:
                    log.error("workspace %s keeps the CPUs of its start: %s", workspace.spec.name, exc)

    def _connect(
        self, workspace: LiveWorkspace, *, claim: bool, hold_seconds: float, wait: bool = False
    ) -> AgentClient:
        run = workspace.run
        empty_seconds = None if workspace.spec.home is None else self._settings.lease_seconds

        def gone() -> bool:
            return not any(c.running for c in self._runtime.find({LABEL_RUN: run.id}))

        if wait:
            socket = run.container_side / "agent"
            client = wait_for_agent(
                socket,
                timeout=self._settings.start_timeout_seconds,
                gone=gone,
                on_event=workspace.on_event,
                on_lost=workspace.on_lost,
                claim=claim,
                hold_seconds=hold_seconds,
                empty_seconds=empty_seconds,
            )
            run.adopt_agent()
        else:
            client = AgentClient(
                run.agent_socket,
                on_event=workspace.on_event,
                on_lost=workspace.on_lost,
                claim=claim,
                hold_seconds=hold_seconds,
                empty_seconds=empty_seconds,
            )
        workspace.agent = client
        workspace.container = dataclasses.replace(workspace.container, pid=client.peer_pid)
        return client

    def _give_up(self, workspace: LiveWorkspace) -> None:
        if hasattr(workspace, "agent"):
            workspace.agent.close()
        if workspace.container.id:
            try:
                self._runtime.remove(workspace.container.id)
            except SylaError as exc:
                log.warning("container %s may be left until its lease ends: %s", workspace.container.name, exc)
        workspace.run.remove()

    def _keep(self, workspace: LiveWorkspace) -> None:
        with self._lock:
            self._live.add(workspace)

    def _forget(self, workspace: LiveWorkspace) -> None:
        with self._lock:
            self._live.discard(workspace)

    def _mounts(self, spec: WorkspaceSpec) -> list[Mount]:
        mounts = []
        if spec.files is not None:
            mounts.append(Mount(spec.files, WORKSPACE_DIR, spec.files_read_only))
            mounts += [Mount(None, f"{WORKSPACE_DIR}/{name}") for name in spec.masked if (spec.files / name).is_dir()]
        if spec.home is not None:
            mounts.append(Mount(spec.home, HOME_DIR))
        return mounts

    def _container_spec(self, spec: WorkspaceSpec, run: RunDir, kind: str) -> ContainerSpec:
        template = self._templates.get(spec.template)
        attaching = self._runtime.mount_via is MountVia.ATTACH and bool(self._mounts(spec)) and kind != "pool"
        bound = tuple(self._mounts(spec)) if self._runtime.mount_via is MountVia.BIND else ()
        return ContainerSpec(
            name=f"syla-{'pool' if kind == 'pool' else _label(spec.name)}-{run.id}",
            image=self._image_of(template),
            user=self._user,
            limits=spec.limits,
            network=spec.network,
            run_dir=run.container_side,
            agent_dir=self._agent_dir(),
            agent=AgentConfig(
                zygote=template.has_zygote,
                preload=template.preload,
                spares=self._settings.spares,
                lease_seconds=UNCLAIMED_SECONDS,
                open=not attaching,
            ),
            # Only the zygote needs the image's own Python.
            python_dir=None if template.has_zygote else self._python_dir(),
            mounts=self._host_mounts + bound,
            start_cpus=START_CPUS,
            labels={
                LABEL_HOME: self.home_label,
                LABEL_KIND: kind,
                LABEL_WORKSPACE: spec.name,
                LABEL_OWNER: self._owner,
                LABEL_EXECUTION: run.id,
                LABEL_RUN: run.id,
            },
        )

    def _key(self, spec: WorkspaceSpec) -> tuple[str, dict[str, Any]]:
        """(pool key, what `fill_pool` needs to make one)."""
        described = dataclasses.asdict(spec)
        described["name"] = "pool"
        if self._runtime.mount_via is MountVia.ATTACH:
            described.update(files=None, files_read_only=False, masked=())
        image = self._image_of(self._templates.get(spec.template))
        parts = [
            described,
            image,
            dataclasses.asdict(self._user),
            str(self._agent_dir()),
            self._settings.spares,
        ]
        return pool_key(parts), described


def _label(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())[:20] or "workspace"


def _spec_from(description: Mapping[str, Any]) -> WorkspaceSpec:
    files = description["files"]
    return WorkspaceSpec(
        name=description["name"],
        type=WorkspaceType(description["type"]),
        template=description["template"],
        limits=Limits(**description["limits"]),
        network=Network(description["network"]),
        files=Path(files) if files else None,
        files_read_only=description["files_read_only"],
        home=None,
        masked=tuple(description["masked"]),
    )
