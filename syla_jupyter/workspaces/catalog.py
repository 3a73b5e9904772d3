"""Which workspaces there are: made, found by name, by id or by directory, listed. No container is touched here.

A record whose container has ended by itself still names it until somebody works with it; what is given out here is how
it is *seen*: with that corrected, at the price of one connection attempt and no engine call.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ..metadata.base import PAGE_MAX, Page, Query, WorkspaceStore
from ..metadata.happenings_base import Tell
from ..model.clock import Clock
from ..model.errors import BadInput, BadPath, NameTaken, UnknownWorkspace
from ..model.policy import Policy
from ..model.record import State, WorkspaceRecord, new_id
from ..model.settings import Settings
from ..model.workspace import DEFAULT_WORKSPACE, Limits, Network, WorkspaceType
from ..runtimes.rundir import RunDir
from .lifecycle import Verb
from .moves import moved
from .names import check_name
from .placement import WORKSPACES_DIR, default_workspace
from .places import Places

DEFAULTS_MAX = 1000
ENDED = "its container has ended"
Reach = Callable[[str, str], None]
"""Called with (verb, step) when a step of `registry.STEPS` is done; a test ends the process there."""


class Catalog:
    def __init__(
        self,
        *,
        store: WorkspaceStore,
        places: Places,
        settings: Settings,
        clock: Clock,
        owner: str,
        reach: Reach = lambda verb, step: None,
    ) -> None:
        self._store, self._places, self._settings = store, places, settings
        self._clock, self.owner, self._reach = clock, owner, reach

    def get(self, name_or_id: str) -> WorkspaceRecord:
        """By id or by our owner's name, as it is seen now; `UnknownWorkspace`."""
        found = self._store.find(self.owner, name_or_id)
        if found is None:
            try:
                found = self._store.get(name_or_id)
            except UnknownWorkspace:
                raise UnknownWorkspace(
                    "workspace", f"there is no workspace {name_or_id!r}", "`syla workspace list` names them"
                ) from None
        return self.seen(found)

    def by_id(self, id: str) -> WorkspaceRecord:
        """Of any owner, as it is seen now; `UnknownWorkspace` also when it is deleted."""
        found = self._store.get(id)
        if found.state is State.DELETED:
            raise UnknownWorkspace("workspace", f"there is no workspace {id!r}", "`syla workspace list` names them")
        return self.seen(found)

    def list(self, query: Query) -> Page:
        page = self._store.list(query)
        return dataclasses.replace(page, records=[self.seen(record) for record in page.records])

    def all(self) -> Iterator[WorkspaceRecord]:
        """As they are stored, a page at a time: deleted ones that are not gone yet as well."""
        query = Query(states=tuple(State), limit=PAGE_MAX)
        while True:
            page = self._store.list(query)
            yield from page.records
            if not page.next:
                return
            query = dataclasses.replace(query, after=page.next)

    def unsettled(self) -> Iterator[WorkspaceRecord]:
        """Those that name a container and those that are being deleted, as they are stored."""
        yield from self.running()
        yield from self._store.list(Query(states=(State.DELETED,), limit=PAGE_MAX)).records

    def running(self) -> Iterator[WorkspaceRecord]:
        """Those that name a container, as they are stored."""
        for id in self._store.executions().values():
            with contextlib.suppress(UnknownWorkspace):
                yield self._store.get(id)

    def default(self, root: Path, template: str) -> tuple[WorkspaceRecord, str]:
        """The default workspace of a root directory and template, made at the first use, and a note for the log."""
        spec, note = default_workspace(self._settings, root, template, Path.home())
        assert spec.files is not None
        if note:
            spec.files.mkdir(parents=True, exist_ok=True)
        base = DEFAULT_WORKSPACE if template == self._settings.template else f"{DEFAULT_WORKSPACE}-{template}"
        for number in range(1, DEFAULTS_MAX):
            name = base if number == 1 else f"{base}-{number}"
            found = self._store.find(self.owner, name)
            if found is None:
                record = self._new(name, spec.type, template, spec.files, spec.limits, spec.network, None, {})
                record = dataclasses.replace(record, is_default=True, masked=spec.masked)
                with contextlib.suppress(BadInput):  # another process was faster
                    return self._store.insert(record), note
                found = self._store.find(self.owner, name)
            if found is not None and found.is_default and found.files == spec.files and found.template == template:
                return found, note
        raise BadInput("root_dir", "this user has a thousand default workspaces", "Delete some with `syla workspace`")

    def choose(
        self, name: str | None, *, root: Path, directory: Path | None, template: str
    ) -> tuple[WorkspaceRecord, str]:
        """For a kernel or command: the workspace of that name, else that of its directory; and a note for the log."""
        if name is None:
            record, note = self.place(root, directory, template)
        elif name == DEFAULT_WORKSPACE:
            record, note = self.default(root, template)
        else:
            record, note = self.get(name), ""
        if record.template != template:
            raise BadInput(
                "kernel",
                f"workspace {record.name!r} runs kernels of template {record.template!r}, not of {template!r}",
                f"Choose the kernel of {record.template!r}, or a workspace made with --template {template}",
            )
        return record, note

    def place(self, root: Path, directory: Path | None, template: str) -> tuple[WorkspaceRecord, str]:
        """The workspace of a host directory: the registered one at or above it, else the default one."""
        root = root.resolve()
        inside = _relative(directory, root) if directory is not None else ()
        if len(inside) >= 2 and inside[0] == WORKSPACES_DIR:
            found = self._store.at(root / WORKSPACES_DIR / inside[1])
            if found is not None and not found.is_default:
                return found, ""
            if found is None or not found.is_default:
                raise BadPath(
                    "path", f"{WORKSPACES_DIR}/{inside[1]} is not a workspace", f"syla workspace create {inside[1]}"
                )
        return self.default(root, template)

    def create(
        self,
        name: str,
        *,
        root: Path,
        type: WorkspaceType = WorkspaceType.PERSISTENT,
        template: str | None = None,
        limits: Limits | None = None,
        network: Network | None = None,
        policy: Policy | None = None,
        labels: Mapping[str, str] | None = None,
        owner: str = "",
        tell: Callable[[str], Tell[WorkspaceRecord]] = lambda verb: lambda record: None,
    ) -> WorkspaceRecord:
        """Record and directory; the container comes with the first use. `NameTaken`, `BadInput`.

        `owner` empty: who runs this installation. All owners' directories are in one place, so a name is taken when
        anybody below this root has it. `tell`: by verb, what is written down: `create`, and `delete` where no directory
        could be made.
        """
        name = check_name(name)
        files = root.resolve() / WORKSPACES_DIR / name
        wide = default_workspace(self._settings, root, self._settings.template, Path.home())[0].files
        if files == wide:
            raise BadInput("name", f"{name!r} is the default workspace's directory", "Choose another name")
        if self._store.at(files) is not None:
            raise NameTaken("name", f"there is a workspace {name!r} here already", "Choose another name")
        record = self._new(
            name,
            type,
            template or self._settings.template,
            files,
            limits or self._settings.limits[type],
            network or (Network.NONE if type is WorkspaceType.EPHEMERAL else Network.EGRESS),
            policy,
            labels or {},
        )
        record = self._store.insert(dataclasses.replace(record, owner=owner or self.owner), tell=tell("create"))
        self._reach("create", "record")
        try:
            self._places.make(record)
        except BaseException:
            undone = tell("delete")
            self._store.remove(record.id, record.version, tell=lambda removed: undone(record) if removed else None)
            raise
        self._reach("create", "directory")
        return record

    def seen(self, record: WorkspaceRecord) -> WorkspaceRecord:
        """What it is now, whatever was written last."""
        if not record.execution or RunDir(self._settings.run_dir / record.execution).listens():
            return record
        return moved(record, Verb.LOST, now=self._clock.now(), reason=ENDED)

    def _new(
        self,
        name: str,
        type: WorkspaceType,
        template: str,
        files: Path,
        limits: Limits,
        network: Network,
        policy: Policy | None,
        labels: Mapping[str, str],
    ) -> WorkspaceRecord:
        now = self._clock.now()
        return WorkspaceRecord(
            id=new_id(),
            owner=self.owner,
            name=name,
            type=type,
            state=State.CREATED,
            template=template,
            limits=limits,
            network=network,
            policy=policy or self._settings.policies[type],
            files=files,
            created_at=now,
            state_since=now,
            last_activity_at=now,
            labels=dict(labels),
        )


def _relative(directory: Path, root: Path) -> tuple[str, ...]:
    try:
        return directory.resolve().relative_to(root).parts
    except ValueError:
        return ()
