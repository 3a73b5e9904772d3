"""Workspaces from Python.

    with Syla() as syla:
        project = syla.create("my-project")
        project.execute("a = 1")
        project.suspend()                          # frozen, with all variables
        print(project.execute("a + 1").result)     # resumed by being used

`AsyncSyla` and `AsyncWorkspace` have the same verbs as coroutines; they run in threads.

An installation of its own beside whatever else runs in this process: leaving the block lets go of the containers, which
live on. Errors are `syla_jupyter.model.errors`.
"""

from __future__ import annotations

import asyncio
import builtins
import enum
import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from . import app
from .config import load_settings
from .metadata.base import Page, Query
from .model.errors import BadInput
from .model.policy import Policy
from .model.record import WorkspaceRecord
from .model.workspace import Limits, Network, WorkspaceType
from .workspaces import commands, repl
from .workspaces.execution import Execution, OnMessage, execute
from .workspaces.inspection import Package, Variable, packages, variables
from .workspaces.live import LiveWorkspace
from .workspaces.policies import Due, due_action

TIMEOUT_SECONDS = 60.0
OUTPUT_BYTES = 16 << 20
E = TypeVar("E", bound=enum.StrEnum)


class Workspace:
    """One workspace; `record` is how it was when this object last heard of it. Verbs raise `SylaError`s."""

    def __init__(self, application: app.Application, record: WorkspaceRecord) -> None:
        self._application = application
        self._registry = application.registry()
        self.record = record

    def __repr__(self) -> str:
        return f"<Workspace {self.record.name!r}: {self.record.state}>"

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def files(self) -> Path:
        """The directory that is `/workspace` inside."""
        return self.record.files

    def refresh(self) -> WorkspaceRecord:
        """The record as it is now."""
        self.record = self._registry.catalog.get(self.id)
        return self.record

    def due(self) -> Due:
        """What its policy does next, when and why, by the record as it is now."""
        record = self.refresh()
        return due_action(record, record.policy, self._application.clock.now())

    # -- use -------------------------------------------------------------------------------------------------------

    def execute(
        self, code: str, *, timeout_seconds: float | None = TIMEOUT_SECONDS, on_message: OnMessage | None = None
    ) -> Execution:
        """Run code in its REPL kernel, started or resumed when it has to be; as `workspaces.execution.execute`."""
        live = self._open()
        try:
            return execute(
                live,
                code,
                timeout_seconds=timeout_seconds,
                on_message=on_message,
                start=self._kernel_start(),
                clock=self._application.clock,
            )
        finally:
            self._application.service.settle_soon(live)
            self._used()

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        environment: Mapping[str, str] | None = None,
    ) -> commands.Captured:
        """Run a command in `/workspace`: its exit and output, of each stream 16 MiB at most."""
        captured = commands.capture(
            self._open(),
            argv,
            timeout_seconds=timeout_seconds,
            output_bytes=OUTPUT_BYTES,
            clock=self._application.clock,
            environment=environment,
        )
        self._used()
        return captured

    def variables(self) -> list[Variable]:
        """Of its REPL kernel: resumes a frozen workspace, and starts no stopped one, which has none."""
        return variables(self._open(), clock=self._application.clock) if self.refresh().execution else []

    def packages(self) -> list[Package]:
        """In its home, on top of the image; starts a stopped workspace."""
        return packages(self._open(), clock=self._application.clock)

    # -- life ------------------------------------------------------------------------------------------------------

    def resume(self) -> str:
        """Have it running with a kernel; `running`, `thawed` or `restarted`: where it came from."""
        self.record, level = self._registry.resume(self.id)
        live = self._open()
        repl.ensure(live, self._kernel_start(), self._application.clock)
        self._application.service.settle_soon(live)
        return level

    def suspend(self, *, stop: bool = False, execution: str | None = None) -> None:
        """Freeze it; with `stop` end its container, and its variables with it."""
        self.record = self._registry.suspend(self.id, stop=stop, execution=execution)

    def archive(self, *, execution: str | None = None) -> None:
        self.record = self._registry.archive(self.id, execution=execution)

    def recover(self) -> None:
        self.record = self._registry.recover(self.id)

    def delete(self, *, execution: str | None = None, confirmed: bool = False) -> None:
        """For good; one that is not archived only when `confirmed`."""
        self._registry.delete(self.id, execution=execution, confirmed=confirmed)

    def touch(self, seconds: float) -> None:
        """Nothing happens to it by itself for that long."""
        self.record = self._registry.touch(self.id, seconds)

    def change(
        self, *, limits: Limits | None = None, policy: Policy | None = None, labels: Mapping[str, str] | None = None
    ) -> None:
        """Other limits, policy, labels; `Conflict` when somebody else changed it since `record` was read."""
        self.record = self._registry.change(
            self.id, limits=limits, policy=policy, labels=labels, version=self.record.version
        )

    def _open(self) -> LiveWorkspace:
        return self._registry.open(self.id)

    def _used(self) -> None:
        self._application.store().touch_activity(self.id, self._application.clock.now())

    def _kernel_start(self) -> repl.KernelStart:
        template = self._application.templates.get(self.record.template)
        return repl.kernel_start(self._application.settings, template, self._application.environ)


class Syla:
    """An installation. `root`: new workspaces have their files in `<root>/workspaces/<name>` (default: the current
    directory); `environ`: what configures it, as `SYLA_HOME` does (default: this process's environment)."""

    def __init__(self, root: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None) -> None:
        environ = dict(os.environ if environ is None else environ)
        self._root = Path(root) if root is not None else Path.cwd()
        self._application = app.build(load_settings(None, environ), environ)

    def __enter__(self) -> Syla:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the containers; they live on."""
        self._application.service.close_all()
        self._application.store().close()

    def create(
        self,
        name: str,
        *,
        type: WorkspaceType | str = WorkspaceType.PERSISTENT,
        template: str | None = None,
        limits: Limits | None = None,
        network: Network | str | None = None,
        policy: Policy | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Workspace:
        """A new one; its container comes with the first use. `NameTaken`, `BadInput`, `UnknownTemplate`."""
        if template is not None:
            self._application.templates.get(template)
        record = self._application.registry().create(
            name,
            root=self._root,
            type=_one_of("type", WorkspaceType, type),
            template=template,
            limits=limits,
            network=None if network is None else _one_of("network", Network, network),
            policy=policy,
            labels=labels,
        )
        return Workspace(self._application, record)

    def get(self, name_or_id: str) -> Workspace:
        """`UnknownWorkspace` where there is none."""
        return Workspace(self._application, self._application.registry().catalog.get(name_or_id))

    def default(self) -> Workspace:
        """The default workspace of the root, made when it is not there."""
        settings = self._application.settings
        record, _ = self._application.registry().catalog.default(self._root, settings.template)
        return Workspace(self._application, record)

    def list(self, query: Query | None = None) -> Page:
        """A page of records, of all owners unless the query names one; `Page.next` goes into the next query."""
        return self._application.registry().catalog.list(query or Query())


class AsyncWorkspace:
    """The verbs of `Workspace` as coroutines; `sync` is the workspace itself."""

    def __init__(self, workspace: Workspace) -> None:
        self.sync = workspace

    @property
    def record(self) -> WorkspaceRecord:
        return self.sync.record

    @property
    def name(self) -> str:
        return self.sync.name

    async def refresh(self) -> WorkspaceRecord:
        return await asyncio.to_thread(self.sync.refresh)

    async def due(self) -> Due:
        return await asyncio.to_thread(self.sync.due)

    async def execute(self, code: str, **how: Any) -> Execution:
        return await asyncio.to_thread(self.sync.execute, code, **how)

    async def run(self, argv: Sequence[str], **how: Any) -> commands.Captured:
        return await asyncio.to_thread(self.sync.run, argv, **how)

    async def variables(self) -> list[Variable]:
        return await asyncio.to_thread(self.sync.variables)

    async def packages(self) -> list[Package]:
        return await asyncio.to_thread(self.sync.packages)

    async def resume(self) -> str:
        return await asyncio.to_thread(self.sync.resume)

    async def suspend(self, **how: Any) -> None:
        await asyncio.to_thread(self.sync.suspend, **how)

    async def archive(self, **how: Any) -> None:
        await asyncio.to_thread(self.sync.archive, **how)

    async def recover(self) -> None:
        await asyncio.to_thread(self.sync.recover)

    async def delete(self, **how: Any) -> None:
        await asyncio.to_thread(self.sync.delete, **how)

    async def touch(self, seconds: float) -> None:
        await asyncio.to_thread(self.sync.touch, seconds)

    async def change(self, **what: Any) -> None:
        await asyncio.to_thread(self.sync.change, **what)


class AsyncSyla:
    """A `Syla` whose verbs are coroutines; `async with AsyncSyla() as syla`."""

    def __init__(self, root: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None) -> None:
        self._make = functools.partial(Syla, root, environ)
        self.sync: Syla

    async def __aenter__(self) -> AsyncSyla:
        self.sync = await asyncio.to_thread(self._make)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.sync.close)

    async def create(self, name: str, **described: Any) -> AsyncWorkspace:
        return AsyncWorkspace(await asyncio.to_thread(self.sync.create, name, **described))

    async def get(self, name_or_id: str) -> AsyncWorkspace:
        return AsyncWorkspace(await asyncio.to_thread(self.sync.get, name_or_id))

    async def default(self) -> AsyncWorkspace:
        return AsyncWorkspace(await asyncio.to_thread(self.sync.default))

    async def list(self, query: Query | None = None) -> Page:
        return await asyncio.to_thread(self.sync.list, query)


def _one_of(field: str, kind: builtins.type[E], value: str) -> E:
    try:
        return kind(value)
    except ValueError:
        raise BadInput(field, f"{value!r} is unknown", f"One of {', '.join(kind)}") from None
