"""Everything of an installation but the engine: real store, real registry, real agents as plain processes.

What a server does with workspaces runs here without a container, on a clock that the test moves.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syla_jupyter.metadata.base import WorkspaceStore
from syla_jupyter.metadata.sql import open_store
from syla_jupyter.model.clock import Clock
from syla_jupyter.model.quota import Capacity, Quotas
from syla_jupyter.model.runtime import User
from syla_jupyter.model.settings import Settings
from syla_jupyter.model.template import Template
from syla_jupyter.model.workspace import GIB
from syla_jupyter.objects.base import ObjectStore
from syla_jupyter.objects.local import LocalObjects
from syla_jupyter.runtimes.base import Runtime
from syla_jupyter.snapshots.keys import MasterKey
from syla_jupyter.testing.fake_runtime import FakeRuntime
from syla_jupyter.workspaces.capacity import Admission
from syla_jupyter.workspaces.catalog import Catalog
from syla_jupyter.workspaces.copies import Copies
from syla_jupyter.workspaces.places import Places
from syla_jupyter.workspaces.pool import Pool
from syla_jupyter.workspaces.registry import Registry
from syla_jupyter.workspaces.service import WorkspaceService
from syla_jupyter.workspaces.vault import Vault
from syla_jupyter.workspaces.versions import Versions

PLENTY = Admission(Capacity(cpus=1000, memory_bytes=10_000 * GIB), Quotas())


class OneTemplate:
    def get(self, name: str) -> Template:
        return Template(name, name, "sh", kernel_argv=("sh", "-c", "exec sleep 1000"))


@dataclass
class Local:
    settings: Settings
    clock: Any
    runtime: FakeRuntime
    store: WorkspaceStore
    containers: WorkspaceService
    places: Places
    registry: Registry
    vault: Vault
    versions: Versions
    copies: Copies

    @property
    def root(self) -> Path:
        return self.settings.data_dir / "root"

    def create(self, name: str, **described: Any) -> Any:
        return self.registry.create(name, root=self.root, **described)


def open_vault(
    settings: Settings,
    clock: Clock,
    places: Places,
    objects: ObjectStore | None = None,
    backup: ObjectStore | None = None,
) -> Vault:
    """`objects`: None: the installation's own directory. The master key is beside the store, so who shares one has both."""
    directory = Path(settings.snapshot_store or settings.data_dir / "objects")
    return Vault(
        objects=objects or LocalObjects(directory),
        backup=backup,
        master=MasterKey.from_file(directory.with_name("master.key"), create=True),
        places=places,
        clock=clock,
        installation=str(settings.data_dir),
        owner=None,
        image_of=lambda template: "any:1",
    )


def connect(
    settings: Settings,
    clock: Clock,
    runtime: Runtime,
    store: WorkspaceStore,
    admission: Admission,
    objects: ObjectStore | None = None,
    backup: ObjectStore | None = None,
) -> Local:
    """One server's (or client's) part of the installation in `settings.data_dir`."""
    service = WorkspaceService(
        settings=settings,
        runtime=runtime,
        pool=Pool(data_dir=settings.data_dir, settings=settings.pool, clock=clock),
        templates=OneTemplate(),
        image_of=lambda template: "any:1",
        agent_dir=lambda: settings.data_dir,
        python_dir=lambda: settings.data_dir,
        user=User(1000, 1000),
        owner="ann",
        kept=lambda: store.executions().keys(),
    )
    places = Places(settings.data_dir)
    vault = open_vault(settings, clock, places, objects, backup)
    registry = Registry(
        catalog=Catalog(store=store, places=places, settings=settings, clock=clock, owner="ann"),
        store=store,
        containers=service,
        runtime=runtime,
        settings=settings,
        places=places,
        clock=clock,
        admission=admission,
        vault=lambda: vault,
    )
    versions = Versions(registry=registry, store=store, vault=lambda: vault, settings=settings, clock=clock)
    copies = Copies(
        registry=registry, store=store, versions=versions, vault=lambda: vault, clock=clock, check_template=str
    )
    return Local(settings, clock, runtime, store, service, places, registry, vault, versions, copies)  # type: ignore[arg-type]


@contextlib.contextmanager
def local_installation(
    clock: Clock,
    *,
    admission: Admission = PLENTY,
    objects: ObjectStore | None = None,
    backup: ObjectStore | None = None,
    parent: Path = Path("/tmp"),
    **settings: Any,
) -> Iterator[Local]:
    """A fresh one; nothing of it is left afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="sl", dir=parent))  # short: sockets are below
    given = Settings(data_dir=directory / "data", run_dir=directory / "r", disk_floor_bytes=0)
    given = dataclasses.replace(given, **settings)
    runtime = FakeRuntime(directory / "engine", environ=os.environ)
    (directory / "data" / "root").mkdir(parents=True)
    store = open_store(directory / "data" / "workspaces.db")
    local = connect(given, clock, runtime, store, admission, objects, backup)
    try:
        yield local
    finally:
        local.registry.detach()
        runtime.remove_all()
        store.close()
        shutil.rmtree(directory, ignore_errors=True)
