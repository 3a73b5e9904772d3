"""Use cases: get a workspace with a running container, and give it up.

    ephemeral(...)   one caller's own; ends with `close`, or with its caller
    start(...)       one for a workspace with a record (`registry`), which outlives its caller
    connect(...)     to such a one, from any process

The first two claim a container of the pool, else make one (`recipe` says which fits, and what it is made of):

    made       create -> agent listens -> attach -> open -> the zygote forks the wanted kernel
    claimed    agent says yes -> attach, and for a record: -> open -> the same

Each step that fails undoes the ones before it. All methods block; callers run them off their event loop.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any

from ..model.errors import AgentError, StartFailed, SylaError, WorkspaceLost
from ..model.runtime import ContainerInfo, Mount, MountVia, User
from ..model.settings import Settings
from ..model.template import Template
from ..model.workspace import WorkspaceSpec
from ..runtimes.agent_client import AgentClient, wait_for_agent
from ..runtimes.base import LABEL_RUN, Runtime
from ..runtimes.rundir import RunDir
from .live import LiveWorkspace
from .pool import Pool
from .recipe import START_CPUS, Recipe, TemplateSource, mounts, pooled, spec_from
from .reconcile import reconcile

log = logging.getLogger("syla.workspaces")


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
        self._settings, self._runtime, self._pool, self._user = settings, runtime, pool, user
        self._recipe = Recipe(
            settings=settings,
            templates=templates,
            image_of=image_of,
            agent_dir=agent_dir,
            python_dir=python_dir,
            user=user,
            owner=owner,
            mount_via=runtime.mount_via,
            host_mounts=host_mounts,
        )
        self._request_refill = request_refill
        self._kept = kept
        self._live: set[LiveWorkspace] = set()
        self._lock = threading.Lock()
        self._reconciled = False

    @property
    def home_label(self) -> str:
        """Which installation a container belongs to: told apart by data directory."""
        return self._recipe.home_label

    # -- use cases ---------------------------------------------------------------------------------------------

    def ephemeral(self, spec: WorkspaceSpec) -> LiveWorkspace:
        """A workspace for one caller, from the pool where one fits."""
        if spec.home is not None:
            return self._make(spec, kind="workspace")
        key, description = self._recipe.key(spec)
        self._pool.want(key, description)
        try:
            return self._claim(spec, key) or self._make(spec, kind="workspace")
        finally:
            self._request_refill()

    def start(self, spec: WorkspaceSpec, *, taken: Callable[[], None] = lambda: None) -> LiveWorkspace:
        """A container for a workspace with a record; whoever writes the record disowns its run directory then.

        `taken` is called where a ready one is ours and not opened yet: somewhere to die, for tests.
        """
        self._check(spec)
        if not pooled(spec, self._runtime.mount_via):
            return self._make(spec, kind="workspace")
        self._runtime.prepare(spec.network)  # who made the ready one may have done so before this host was restarted
        claimed = self._claim(spec, self._recipe.key(spec)[0], taken)
        if claimed is None:
            return self._make(spec, kind="workspace")
        self.expect(spec)  # whose key is asked for once is asked for again
        return claimed

    def expect(self, spec: WorkspaceSpec) -> None:
        """One like it will be started, where it can come from the pool: have it ready then. Returns at once, and raises
        nothing: without it the start takes longer."""
        if not self._settings.pool.size or not pooled(spec, self._runtime.mount_via):
            return
        try:
            self._pool.want(*self._recipe.key(spec))
            self._request_refill()
        except (SylaError, OSError) as exc:
            log.warning("nothing is made ready for workspaces like %s: %s", spec.name, exc)

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
        spec = spec_from(description)
        if self._recipe.key(spec)[0] != key or (spec.files is not None and not spec.files.is_dir()):
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

    def _claim(self, spec: WorkspaceSpec, key: str, taken: Callable[[], None] = lambda: None) -> LiveWorkspace | None:
        reason, began = "nothing was ready", self._pool.clock.monotonic()
        for ready in self._pool.take(key):
            run = RunDir(self._settings.run_dir / ready.run_id)
            container = ContainerInfo(ready.container_id, ready.container_name, {}, True)
            workspace = LiveWorkspace(spec, run, container, self._forget)
            try:
                run.write_owner()
                agent = self._connect(workspace, claim=True, hold_seconds=self._kept_seconds(spec))
                if self._runtime.mount_via is MountVia.ATTACH:
                    self._runtime.attach(workspace.container, mounts(spec))
                if spec.home is not None:
                    taken()
                    agent.call("open")
            except SylaError as exc:
                reason = f"a ready container could not be claimed: {exc}"
                log.info("%s", reason)
                self._give_up(workspace)
                continue
            except OSError:
                reason = "a ready container had ended"
                run.remove()
                continue
            workspace.starting = spec.home is not None  # an unopened one has the CPUs of the start until then
            self._keep(workspace)
            self._pool.claimed(key, self._pool.clock.monotonic() - began)
            return workspace
        self._pool.missed(key, reason)
        return None

    def _make(self, spec: WorkspaceSpec, *, kind: str) -> LiveWorkspace:
        for_pool = kind == "pool"
        if not for_pool:
            self._check(spec)
        run = RunDir.create(self._settings.run_dir, self._user)
        (run.path / "data_dir").write_text(str(self._settings.data_dir))
        container_spec = self._recipe.container(spec, run, kind)
        workspace = LiveWorkspace(spec, run, ContainerInfo("", container_spec.name, {}, False), self._forget)
        try:
            workspace.container = self._runtime.create(container_spec)
            run.note("container", {"id": workspace.container.id, "name": workspace.container.name})
            hold_seconds = self._settings.pool.ttl_seconds if for_pool else self._kept_seconds(spec)
            agent = self._connect(workspace, wait=True, claim=not for_pool, hold_seconds=hold_seconds)
            opened = container_spec.agent.open
            if not opened and not for_pool:
                self._runtime.attach(workspace.container, mounts(spec))
                agent.call("open")
            if for_pool:
                agent.call("ready", timeout=self._settings.start_timeout_seconds)
            if for_pool and opened:
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
        outlives = claim or not wait  # a container of the pool waits for its claim with nothing in it
        empty_seconds = self._settings.lease_seconds if workspace.spec.home is not None and outlives else None

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

    def _kept_seconds(self, spec: WorkspaceSpec) -> float:
        """How long it goes on when nobody holds it any more."""
        return self._settings.lease_seconds if spec.home is None else self._settings.detached_seconds

    def _check(self, spec: WorkspaceSpec) -> None:
        """Its directories are there, before anything is claimed or made for it."""
        if spec.files is not None and not spec.files.is_dir():
            raise StartFailed(f"{spec.files} is not a directory", "Make it, or start somewhere else")
        if spec.home is not None:
            spec.home.mkdir(mode=0o700, parents=True, exist_ok=True)
