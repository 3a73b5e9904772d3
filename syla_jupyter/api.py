"""Workspaces from Python.

    with Syla() as syla:
        project = syla.create("my-project")
        project.execute("a = 1")
        project.suspend()                          # frozen, with all variables
        print(project.execute("a + 1").result)     # resumed by being used

`api_async` has the same verbs as coroutines.

An installation of its own beside whatever else runs in this process: leaving the block lets go of the containers, which
live on. Errors are `syla_jupyter.model.errors`.
"""

from __future__ import annotations

import builtins
import contextlib
import enum
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, TypeVar

from . import app
from .access.access import Access
from .api_people import People, SharedWorkspace, caller
from .config import load_settings
from .metadata.base import Page, Query
from .metadata.happenings_base import HappeningStore
from .model.errors import BadInput, UnknownWorkspace
from .model.people import Role
from .model.policy import Policy
from .model.record import WorkspaceRecord
from .model.retention import Retention
from .model.snapshot import PruneReport, RepairReport, VerifyReport, Version
from .model.workspace import Limits, Network, WorkspaceType
from .rest_client import Server
from .servers import running
from .workspaces import commands, repl
from .workspaces.execution import Execution, OnMessage, execute
from .workspaces.inspection import Package, Variable, packages, variables
from .workspaces.live import LiveWorkspace
from .workspaces.policies import Due, due_action
from .workspaces.rewinding import Rewound
from .workspaces.vault import QUIET, Watch
from .workspaces.versions import Differences, Taken

TIMEOUT_SECONDS = 60.0
OUTPUT_BYTES = 16 << 20
E = TypeVar("E", bound=enum.StrEnum)


class Workspace(SharedWorkspace):
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
    def _access(self) -> Access:
        return self._application.access()

    @property
    def _happenings(self) -> HappeningStore:
        return self._application.chronicle().store()

    @property
    def _servers(self) -> Sequence[Server]:
        return running(self._application.settings.data_dir, self._application.environ)

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
            self._application.chronicle().executed(self.record)

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
        """Freeze it; with `stop` end its container, its variables saved for its next kernels."""
        self.record = self._registry.suspend(self.id, stop=stop, execution=execution)

    def archive(self, *, execution: str | None = None, watch: Watch = QUIET) -> None:
        """Save it in the object store and free this machine."""
        self.record = self._registry.archive(self.id, execution=execution, watch=watch)

    def recover(self, *, watch: Watch = QUIET) -> None:
        self.record = self._registry.recover(self.id, watch=watch)

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

    # -- versions --------------------------------------------------------------------------------------------------

    def snapshot(
        self, message: str = "", *, tags: Sequence[str] = (), if_changed: bool = False, watch: Watch = QUIET
    ) -> Taken:
        """Save files, packages and variables as they are now."""
        taken = self._application.versions().take(
            self.id, author=self.record.owner, message=message, tags=tags, if_changed=if_changed, watch=watch
        )
        self.refresh()
        return taken

    def snapshots(self) -> list[Version]:
        """Oldest first."""
        return self._application.versions().all(self.id)

    def diff(self, a: int, b: int) -> Differences:
        """What changed from version `a` to version `b`."""
        return self._application.versions().diff(self.id, a, b)

    def restore(self, number: int, *, paths: Sequence[str] = (), watch: Watch = QUIET) -> Rewound:
        """Go back to a version after saving what is overwritten; a whole one ends the container."""
        rewound = self._application.versions().restore(
            self.id, number, author=self.record.owner, paths=paths, watch=watch
        )
        self.record = rewound.record
        return rewound

    def tag(self, number: int, *tags: str) -> Version:
        """Instead of the tags that it has; a tagged version is kept by every rule."""
        return self._application.versions().tag(self.id, number, tags)

    def delete_snapshots(self, *numbers: int) -> None:
        """For good; `prune` frees their space."""
        self._application.versions().delete(self.id, numbers)

    def prune(self, rules: Retention | None = None, *, dry_run: bool = False, watch: Watch = QUIET) -> PruneReport:
        """Free what no version needs; with rules, let go of those that none of them keeps first."""
        return self._application.versions().prune(self.id, rules, dry_run=dry_run, watch=watch)

    def verify(self, *, data: bool | float = False, watch: Watch = QUIET) -> VerifyReport:
        """By the index, or with a part (0 to 1) or all (True) of the data read and checked."""
        return self._application.versions().verify(self.id, data=data, watch=watch)

    def repair(self, *, watch: Watch = QUIET) -> RepairReport:
        """Save what can be saved of damaged versions."""
        return self._application.versions().repair(self.id, watch=watch)

    def clone(self, name: str, *, version: int | None = None, watch: Watch = QUIET) -> Workspace:
        """A workspace beside this one that is as this one is now, or was in a version."""
        root = self.files.parent.parent
        made = self._application.copies().clone(
            self.id, name, root=root, author=self.record.owner, number=version, watch=watch
        )
        return Workspace(self._application, made.record)

    def export(self, out: BinaryIO, *, version: int | None = None, watch: Watch = QUIET) -> Version:
        """As one file, not encrypted, for `Syla.receive`."""
        return self._application.copies().export(self.id, out, author=self.record.owner, number=version, watch=watch)

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

    def receive(self, source: BinaryIO, name: str | None = None, *, watch: Watch = QUIET) -> Workspace:
        """A workspace from a file that `Workspace.export` wrote; the file may be anybody's."""
        application = self._application
        made = application.copies().receive(
            source, root=self._root, author=application.registry().catalog.owner, name=name, watch=watch
        )
        return Workspace(application, made.record)

    def recover(self, name_or_id: str, *, confirmed: bool = False, watch: Watch = QUIET) -> Workspace:
        """An archived workspace of here, or of any installation with the same store and master key."""
        application = self._application
        try:
            record = application.registry().catalog.get(name_or_id)
        except UnknownWorkspace:
            record = application.copies().adopt(name_or_id, root=self._root, confirmed=confirmed)
        return Workspace(application, application.registry().recover(record.id, watch=watch))

    def default(self) -> Workspace:
        """The default workspace of the root, made when it is not there."""
        settings = self._application.settings
        record, _ = self._application.registry().catalog.default(self._root, settings.template)
        return Workspace(self._application, record)

    def list(self, query: Query | None = None) -> Page:
        """A page of records, of all owners unless the query names one; `Page.next` goes into the next query."""
        return self._application.registry().catalog.list(query or Query())

    @property
    def people(self) -> People:
        """Users, tokens, teams."""
        return People(self._application.access())

    def shared(self) -> builtins.list[tuple[Workspace, Role]]:
        """Workspaces of others that are shared with who runs this installation, and the role there."""
        access, catalog = self._application.access(), self._application.registry().catalog
        found = []
        for one, role in access.sharing.shared_with(caller(access)):
            with contextlib.suppress(UnknownWorkspace):
                found.append((Workspace(self._application, catalog.by_id(one.workspace)), role))
        return found


def _one_of(field: str, kind: builtins.type[E], value: str) -> E:
    try:
        return kind(value)
    except ValueError:
        raise BadInput(field, f"{value!r} is unknown", f"One of {', '.join(kind)}") from None
