"""Workspaces from Python, as coroutines: the verbs of `api`, which run in threads.

A task that is cancelled takes back what takes long (`taken_back`); of other verbs it does not wait for the end.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import dataclasses
import functools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

from .access.sharing import Invited, Members
from .api import Syla, Workspace
from .metadata.base import Page, Query
from .model.errors import Cancelled
from .model.happening import Happening
from .model.people import AccessMode, AccessRequest, Grant, Role
from .model.record import WorkspaceRecord
from .model.retention import Retention
from .model.snapshot import PruneReport, RepairReport, VerifyReport, Version
from .servers import Participant
from .workspaces import commands
from .workspaces.execution import Execution
from .workspaces.inspection import Package, Variable
from .workspaces.policies import Due
from .workspaces.rewinding import Rewound
from .workspaces.vault import QUIET, Watch
from .workspaces.versions import Differences, Taken

T = TypeVar("T")


async def taken_back(verb: Callable[..., T], *args: Any, watch: Watch = QUIET, **how: Any) -> T:
    """A verb that takes a `Watch`: a task that is cancelled has it taken back, and ends when that is done.

    Where it comes too late for that, the verb is done nevertheless.
    """
    stop = threading.Event()

    def decided() -> None:
        if stop.is_set():
            raise Cancelled("Cancelled")
        watch.decided()

    both = dataclasses.replace(watch, cancelled=lambda: stop.is_set() or watch.cancelled(), decided=decided)
    work = asyncio.ensure_future(asyncio.to_thread(verb, *args, watch=both, **how))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        with contextlib.suppress(Exception):
            await work
        raise


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
        await taken_back(self.sync.archive, **how)

    async def recover(self, **how: Any) -> None:
        await taken_back(self.sync.recover, **how)

    async def delete(self, **how: Any) -> None:
        await asyncio.to_thread(self.sync.delete, **how)

    async def touch(self, seconds: float) -> None:
        await asyncio.to_thread(self.sync.touch, seconds)

    async def change(self, **what: Any) -> None:
        await asyncio.to_thread(self.sync.change, **what)

    async def snapshot(self, message: str = "", **how: Any) -> Taken:
        return await taken_back(self.sync.snapshot, message, **how)

    async def snapshots(self) -> list[Version]:
        return await asyncio.to_thread(self.sync.snapshots)

    async def diff(self, a: int, b: int) -> Differences:
        return await asyncio.to_thread(self.sync.diff, a, b)

    async def restore(self, number: int, **how: Any) -> Rewound:
        return await taken_back(self.sync.restore, number, **how)

    async def tag(self, number: int, *tags: str) -> Version:
        return await asyncio.to_thread(self.sync.tag, number, *tags)

    async def delete_snapshots(self, *numbers: int) -> None:
        await asyncio.to_thread(self.sync.delete_snapshots, *numbers)

    async def prune(self, rules: Retention | None = None, *, dry_run: bool = False) -> PruneReport:
        return await taken_back(self.sync.prune, rules, dry_run=dry_run)

    async def verify(self, **how: Any) -> VerifyReport:
        return await taken_back(self.sync.verify, **how)

    async def repair(self) -> RepairReport:
        return await taken_back(self.sync.repair)

    async def clone(self, name: str, **how: Any) -> AsyncWorkspace:
        return AsyncWorkspace(await taken_back(self.sync.clone, name, **how))

    async def export(self, out: BinaryIO, **how: Any) -> Version:
        return await taken_back(self.sync.export, out, **how)

    async def share(self, who: str, role: str = "viewer", *, team: bool = False) -> Grant:
        return await asyncio.to_thread(self.sync.share, who, role, team=team)

    async def unshare(self, who: str, *, team: bool = False) -> bool:
        return await asyncio.to_thread(self.sync.unshare, who, team=team)

    async def members(self) -> Members:
        return await asyncio.to_thread(self.sync.members)

    async def activity(self, **which: Any) -> list[Happening]:
        return await asyncio.to_thread(self.sync.activity, **which)

    async def participants(self) -> list[Participant]:
        return await asyncio.to_thread(self.sync.participants)

    async def set_access(self, mode: AccessMode | str) -> None:
        await asyncio.to_thread(self.sync.set_access, mode)

    async def requests(self) -> Sequence[AccessRequest]:
        return await asyncio.to_thread(self.sync.requests)

    async def refuse(self, who: str) -> bool:
        return await asyncio.to_thread(self.sync.refuse, who)

    async def invite(self, role: str = "viewer", **how: Any) -> Invited:
        return await asyncio.to_thread(self.sync.invite, role, **how)


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

    async def receive(self, source: BinaryIO, name: str | None = None, **how: Any) -> AsyncWorkspace:
        return AsyncWorkspace(await taken_back(self.sync.receive, source, name, **how))

    async def recover(self, name_or_id: str, **how: Any) -> AsyncWorkspace:
        return AsyncWorkspace(await taken_back(self.sync.recover, name_or_id, **how))

    async def default(self) -> AsyncWorkspace:
        return AsyncWorkspace(await asyncio.to_thread(self.sync.default))

    async def list(self, query: Query | None = None) -> Page:
        return await asyncio.to_thread(self.sync.list, query)

    async def shared(self) -> builtins.list[tuple[AsyncWorkspace, Role]]:
        return [(AsyncWorkspace(one), role) for one, role in await asyncio.to_thread(self.sync.shared)]
