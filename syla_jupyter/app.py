"""The composition root: settings in, wired services out. The only file that names adapters.

What a start from the pool has no use for is imported when it is asked for: every command and kernel would wait for it.

One application per process, because jupyter_client makes provisioners by itself and they have to share the live
workspaces: `shared()` builds it at the first call. After a fork the child starts without one; the parent's
connections are not its own.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import getpass
import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from traitlets.config import Config

from .config import default_run_dir, load_settings, remember_run_dir
from .model.clock import Clock, SystemClock
from .model.runtime import Mount, MountVia, User
from .model.settings import Settings
from .runtimes.agent_files import publish_agent
from .runtimes.docker import DockerRuntime
from .runtimes.image_name import image_reference
from .runtimes.portable_python import publish_python
from .runtimes.rundir import bound
from .runtimes.templates import Templates
from .workspaces.places import Places
from .workspaces.pool import Pool
from .workspaces.refill import Refiller
from .workspaces.service import WorkspaceService

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from .access.access import Access
    from .metadata.base import WorkspaceStore
    from .objects.base import ObjectStore
    from .objects.metered import Observe, Request
    from .runtimes.images import Images
    from .snapshots.keys import MasterKey
    from .workspaces.chronicle import Chronicle
    from .workspaces.copies import Copies
    from .workspaces.registry import Registry
    from .workspaces.vault import Saved, Vault
    from .workspaces.versions import Versions

CONTAINER_USER = User(1000, 1000)  # of the image; used where the host's user is root
T = TypeVar("T")
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class Application:
    settings: Settings
    environ: Mapping[str, str]
    clock: Clock
    runtime: DockerRuntime
    templates: Templates
    pool: Pool
    service: WorkspaceService
    store: Callable[[], WorkspaceStore]
    """Opened at the first call: an ephemeral workspace needs no database."""
    registry: Callable[[], Registry]
    vault: Callable[[], Vault]
    """Opened at the first call: it needs the object store's libraries."""
    versions: Callable[[], Versions]
    copies: Callable[[], Copies]
    access: Callable[[], Access]
    """Opened at the first call, with the store."""
    chronicle: Callable[[], Chronicle]
    """The same. What the registry, versions and sharing do is written there."""
    object_listeners: list[Observe]
    """Told of each request to the object stores, attempts counted; they raise nothing."""
    version_listeners: list[Callable[[Saved], None]]
    """Told of each version of a workspace that was saved, whoever had it taken."""

    def images(self) -> Images:
        """Imported when asked for: it needs the engine's SDK, which a start from the pool does not."""
        from .runtimes.images import Images

        return Images(self.runtime.connect, self.environ, self.templates)


def choose_user(environ: Mapping[str, str], settings: Settings) -> tuple[User, MountVia]:
    """Whose ids containers run with, and how directories get in.

    Not root: our own ids, so that files belong to us; directories are named at creation. Root: the image's user,
    with ids mapped while attaching; where the host cannot do that, its plain ids.
    """
    if os.geteuid() != 0:
        return User(os.geteuid(), os.getegid()), MountVia.BIND
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    probe = DockerRuntime(environ=environ, user=CONTAINER_USER, mount_via=MountVia.ATTACH)
    return CONTAINER_USER, MountVia.ATTACH if probe.supports_attach(settings.data_dir) else MountVia.BIND


def host_mounts(settings: Settings, user: User) -> tuple[Mount, ...]:
    """What every container sees of the host: the certificates it trusts, and a name for its own user id."""
    mounts = []
    if CA_BUNDLE.is_file():
        mounts.append(Mount(CA_BUNDLE.resolve(), str(CA_BUNDLE), read_only=True))
    if user != CONTAINER_USER:
        names = settings.data_dir / "etc" / f"passwd-{user.uid}-{user.gid}"
        if not names.exists():
            names.parent.mkdir(parents=True, exist_ok=True)
            names.write_text(f"root:x:0:0:root:/root:/bin/sh\nsyla:x:{user.uid}:{user.gid}::/home/syla:/bin/bash\n")
            names.chmod(0o644)
        mounts.append(Mount(names, "/etc/passwd", read_only=True))
    return tuple(mounts)


def build(settings: Settings, environ: Mapping[str, str]) -> Application:
    clock = SystemClock()
    if os.geteuid() == 0 and settings.run_dir == default_run_dir({}, 0):
        bound(settings.run_dir)
    remember_run_dir(settings)
    user, mount_via = choose_user(environ, settings)
    runtime = DockerRuntime(environ=environ, user=user, mount_via=mount_via, egress_allowed=settings.egress_allowed)
    templates = Templates(settings.data_dir)
    pool = Pool(data_dir=settings.data_dir, settings=settings.pool, clock=clock)
    owner = getpass.getuser()
    engine = once(lambda: open_database(settings))
    store = once(lambda: open_store(engine()))
    chronicle = once(lambda: open_chronicle(engine(), clock, owner))
    access = once(lambda: open_access(engine(), settings, clock, owner, chronicle()))
    service = WorkspaceService(
        settings=settings,
        runtime=runtime,
        pool=pool,
        templates=templates,
        image_of=image_reference,
        agent_dir=functools.cache(lambda: publish_agent(settings.data_dir)),
        python_dir=lambda: publish_python(
            runtime.client().api, image_reference(templates.get(settings.template)), settings.data_dir
        ),
        user=user,
        owner=owner,
        host_mounts=host_mounts(settings, user),
        request_refill=Refiller(settings, environ).soon,
        kept=lambda: store().executions().keys(),
    )
    places = Places(settings.data_dir)
    heard: list[Observe] = []
    told: list[Callable[[Saved], None]] = [lambda saved: chronicle().saved(saved)]
    vault = once(
        lambda: open_vault(settings, environ, places, templates, owner=(user, mount_via), heard=heard, told=told)
    )
    registry = once(
        lambda: open_registry(store(), service, runtime, settings, places, clock, owner, vault, chronicle())
    )
    versions = once(lambda: open_versions(registry(), store(), vault, settings, clock))
    copies = once(lambda: open_copies(registry(), store(), versions(), vault, clock, templates))
    return Application(
        settings, environ, clock, runtime, templates, pool, service, store, registry, vault, versions, copies, access,
        chronicle, heard, told,
    )  # fmt: skip


def open_database(settings: Settings) -> Engine:
    from .metadata.sql_transactions import open_engine

    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return open_engine(settings.database_url or settings.data_dir / "workspaces.db")


def open_store(engine: Engine) -> WorkspaceStore:
    from .metadata.sql import SqlStore

    return SqlStore(engine)


def open_chronicle(engine: Engine, clock: Clock, owner: str) -> Chronicle:
    from .metadata.happenings_sql import SqlHappenings
    from .workspaces.chronicle import Chronicle

    happenings = SqlHappenings(engine)
    return Chronicle(lambda: happenings, clock, owner)


def open_access(engine: Engine, settings: Settings, clock: Clock, owner: str, chronicle: Chronicle) -> Access:
    from .access.access import Access
    from .access.asking import Asking
    from .access.audit import Audit
    from .access.guard import Guard
    from .access.identities import Identities
    from .access.service import People
    from .access.sharing import Sharing
    from .access.visits import Visits
    from .metadata.people_sql import SqlPeople

    store, audit = SqlPeople(engine), Audit(settings.data_dir / "audit", clock)
    guard = Guard(people=store, audit=audit, clock=clock)

    def news() -> None:
        chronicle.news()  # which a server sets later

    sharing = Sharing(people=store, guard=guard, audit=audit, clock=clock, word=chronicle.word_people, news=news)
    return Access(
        owner=owner,
        store=store,
        guard=guard,
        audit=audit,
        identities=Identities(store, clock),
        people=People(people=store, guard=guard, audit=audit, clock=clock),
        sharing=sharing,
        asking=Asking(people=store, guard=guard, audit=audit, clock=clock, word=chronicle.word_asked, news=news),
        visits=Visits(people=store, guard=guard, clock=clock),
    )


def open_registry(
    store: WorkspaceStore,
    service: WorkspaceService,
    runtime: DockerRuntime,
    settings: Settings,
    places: Places,
    clock: Clock,
    owner: str,
    vault: Callable[[], Vault],
    chronicle: Chronicle,
) -> Registry:
    from .workspaces.catalog import Catalog
    from .workspaces.registry import Registry

    registry = Registry(
        catalog=Catalog(store=store, places=places, settings=settings, clock=clock, owner=owner),
        store=store,
        containers=service,
        runtime=runtime,
        settings=settings,
        places=places,
        clock=clock,
        vault=vault,
        word=chronicle.word,
    )
    registry.listeners.append(chronicle.changed)
    return registry


def open_versions(
    registry: Registry, store: WorkspaceStore, vault: Callable[[], Vault], settings: Settings, clock: Clock
) -> Versions:
    from .workspaces.versions import Versions

    return Versions(registry=registry, store=store, vault=vault, settings=settings, clock=clock)


def open_copies(
    registry: Registry,
    store: WorkspaceStore,
    versions: Versions,
    vault: Callable[[], Vault],
    clock: Clock,
    templates: Templates,
) -> Copies:
    from .workspaces.copies import Copies

    return Copies(
        registry=registry, store=store, versions=versions, vault=vault, clock=clock, check_template=templates.get
    )


def open_vault(
    settings: Settings,
    environ: Mapping[str, str],
    places: Places,
    templates: Templates,
    *,
    owner: tuple[User, MountVia],
    heard: Sequence[Observe],
    told: Sequence[Callable[[Saved], None]] = (),
) -> Vault:
    """The object stores that the settings name, with the key that is in force. `BadInput`, `KeyRefused`."""
    from .workspaces.vault import Vault

    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    user, mount_via = owner
    backup = settings.backup_store

    def observe(request: Request) -> None:
        for listener in heard:
            listener(request)

    vault = Vault(
        objects=open_objects(settings.snapshot_store or str(settings.data_dir / "objects"), "snapshot_store", observe),
        backup=open_objects(backup, "backup_store", observe) if backup else None,
        master=open_master_key(settings, environ),
        places=places,
        clock=SystemClock(),
        installation=installation_id(settings.data_dir),
        # Attached directories have the container's user and root change places; named ones have plain ids.
        owner=(0, 0) if mount_via is MountVia.ATTACH else (user.uid, user.gid),
        image_of=lambda template: image_reference(templates.get(template)),
    )
    vault.listeners = told
    return vault


def open_objects(address: str, field: str, observe: Observe) -> ObjectStore:
    """A directory, or a bucket with requests repeated; `address` as `objects.address` describes it."""
    from .objects.address import parse
    from .objects.local import LocalObjects
    from .objects.metered import MeteredObjects

    place = parse(address, field=field)
    if isinstance(place, Path):
        return MeteredObjects(LocalObjects(place), observe)
    from .objects.retry import RetryingObjects
    from .objects.s3 import S3Objects

    return RetryingObjects(MeteredObjects(S3Objects(place), observe))


def open_master_key(settings: Settings, environ: Mapping[str, str]) -> MasterKey:
    """`KeyRefused` when it is not there; only the file in the data directory is made."""
    from .snapshots.keys import KMS, KeyRing, MasterKey

    def opened(source: str, variable: str) -> MasterKey:
        if source == "environment":
            return MasterKey.from_environment(environ.get(variable, ""), variable)
        if source.startswith("kms:"):
            import boto3

            return KMS(boto3.client("kms"), source.removeprefix("kms:"))
        return MasterKey.from_file(Path(source).expanduser())

    if settings.master_key:
        current = opened(settings.master_key, "SYLA_MASTER_KEY")
    else:
        current = MasterKey.from_file(settings.data_dir / "master.key", create=True)
    if not settings.previous_master_key:
        return current
    return KeyRing(current, [opened(settings.previous_master_key, "SYLA_PREVIOUS_MASTER_KEY")])


def installation_id(data_dir: Path) -> str:
    """16 hexadecimal digits, made at the first call; the same for all processes on a data directory."""
    file = data_dir / "installation"
    with contextlib.suppress(FileExistsError):
        with file.with_name(f"installation.{secrets.token_hex(4)}").open("x") as made:
            made.write(secrets.token_hex(8))
        try:
            os.link(made.name, file)
        finally:
            os.unlink(made.name)
    return file.read_text().strip()


def once(make: Callable[[], T]) -> Callable[[], T]:
    """The same thing at every call, made at the first, by one thread."""
    lock, made = threading.Lock(), list[T]()

    def get() -> T:
        if not made:
            with lock:
                if not made:
                    made.append(make())
        return made[0]

    return get


_shared: Application | None = None
_shared_lock = threading.Lock()


def shared(config: Config | None = None) -> Application:
    """This process's application; the first caller's configuration decides."""
    global _shared
    with _shared_lock:
        if _shared is None:
            environ = dict(os.environ)
            _shared = build(load_settings(config, environ), environ)
            atexit.register(_shared.service.close_all)
        return _shared


def _after_fork() -> None:
    global _shared
    _shared = None


os.register_at_fork(after_in_child=_after_fork)
