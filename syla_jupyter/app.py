"""The composition root: settings in, wired services out. The only file that names adapters.

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
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from traitlets.config import Config

from .config import default_run_dir, load_settings
from .model.clock import Clock, SystemClock
from .model.runtime import Mount, MountVia, User
from .model.settings import Settings
from .runtimes.agent_files import publish_agent
from .runtimes.docker import DockerRuntime
from .runtimes.image_name import image_reference
from .runtimes.portable_python import publish_python
from .runtimes.rundir import bound
from .runtimes.templates import Templates
from .workspaces.catalog import Catalog
from .workspaces.copies import Copies
from .workspaces.places import Places
from .workspaces.pool import Pool
from .workspaces.registry import Registry
from .workspaces.service import WorkspaceService
from .workspaces.vault import Vault
from .workspaces.versions import Versions

if TYPE_CHECKING:
    from .metadata.base import WorkspaceStore
    from .objects.base import ObjectStore
    from .objects.metered import Observe, Request
    from .runtimes.images import Images
    from .snapshots.keys import MasterKey

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
    object_listeners: list[Observe]
    """Told of each request to the object stores, attempts counted; they raise nothing."""

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


class Refiller:
    """Asks for a refill of the pool: by a process of its own, low in priority, that outlives us and ends by itself."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._environ = {**environ, "SYLA_HOME": str(settings.data_dir)}
        pool = settings.pool
        self._arguments = [
            f"--size={pool.size}",
            f"--ttl-seconds={pool.ttl_seconds}",
            f"--memory-cap-bytes={pool.memory_cap_bytes}",
        ]
        self._enabled = settings.pool.size > 0
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()
        atexit.register(self._now)

    def soon(self) -> None:
        """Shortly after the kernel that somebody waits for, and at the latest when this process ends."""
        with self._lock:
            if self._enabled and self._timer is None:
                self._timer = threading.Timer(0.5, self._now)
                self._timer.daemon, self._timer.name = True, "syla-refill"
                self._timer.start()

    def _now(self) -> None:
        with self._lock:
            timer, self._timer = self._timer, None
        if timer is None:
            return
        timer.cancel()
        subprocess.Popen(
            [sys.executable, "-m", "syla_jupyter.cli.main", "pool", "fill", *self._arguments],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        ).returncode = 0  # not ours to wait for; keeps the destructor quiet


def build(settings: Settings, environ: Mapping[str, str]) -> Application:
    clock = SystemClock()
    if os.geteuid() == 0 and settings.run_dir == default_run_dir({}, 0):
        bound(settings.run_dir)
    user, mount_via = choose_user(environ, settings)
    runtime = DockerRuntime(environ=environ, user=user, mount_via=mount_via, egress_allowed=settings.egress_allowed)
    templates = Templates(settings.data_dir)
    pool = Pool(data_dir=settings.data_dir, settings=settings.pool, clock=clock)
    owner = getpass.getuser()
    store = once(lambda: open_store(settings))
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
    vault = once(lambda: open_vault(settings, environ, places, templates, owner=(user, mount_via), heard=heard))
    registry = once(
        lambda: Registry(
            catalog=Catalog(store=store(), places=places, settings=settings, clock=clock, owner=owner),
            store=store(),
            containers=service,
            runtime=runtime,
            settings=settings,
            places=places,
            clock=clock,
            vault=vault,
        )
    )
    versions = once(lambda: Versions(registry=registry(), store=store(), vault=vault, settings=settings, clock=clock))
    copies = once(
        lambda: Copies(
            registry=registry(),
            store=store(),
            versions=versions(),
            vault=vault,
            clock=clock,
            check_template=templates.get,
        )
    )
    return Application(
        settings, environ, clock, runtime, templates, pool, service, store, registry, vault, versions, copies, heard
    )


def open_store(settings: Settings) -> WorkspaceStore:
    from .metadata.sql import open_store as open_sql

    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return open_sql(settings.database_url or settings.data_dir / "workspaces.db")


def open_vault(
    settings: Settings,
    environ: Mapping[str, str],
    places: Places,
    templates: Templates,
    *,
    owner: tuple[User, MountVia],
    heard: Sequence[Observe],
) -> Vault:
    """The object stores that the settings name, with the key that is in force. `BadInput`, `KeyRefused`."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    user, mount_via = owner
    backup = settings.backup_store

    def observe(request: Request) -> None:
        for listener in heard:
            listener(request)

    return Vault(
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
    from .snapshots.keys import KMS, MasterKey

    source = settings.master_key
    if source == "environment":
        return MasterKey.from_environment(environ.get("SYLA_MASTER_KEY", ""))
    if source.startswith("kms:"):
        import boto3

        return KMS(boto3.client("kms"), source.removeprefix("kms:"))
    if source:
        return MasterKey.from_file(Path(source).expanduser())
    return MasterKey.from_file(settings.data_dir / "master.key", create=True)


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
