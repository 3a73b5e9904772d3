"""The edge: traitlets and the environment in, frozen `Settings` out.

`c.Syla.<name>` in any Jupyter configuration file sets a trait; the environment variables of the same meaning win,
because they are how a program without a configuration file (nbclient, papermill, `syla exec`) says it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir
from traitlets import Float, Integer, List, TraitError, Unicode
from traitlets.config import Config, Configurable

from .model.errors import BadInput
from .model.quota import Quotas
from .model.retention import Retention
from .model.settings import PoolSettings, Settings
from .model.workspace import DEFAULT_LIMITS, Limits

REMEMBERED = "run_dir"
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_bytes(field: str, text: str) -> int:
    """`512m`, `4g`, `1.5G`, `1073741824` -> bytes (units are powers of 1024)."""
    match = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*([kmgt]?)i?b?\s*", text.lower())
    if not match:
        raise BadInput(field, f"{text!r} is not a size", "Write it like 512m or 4g")
    return int(float(match[1]) * _UNITS[match[2]])


class Syla(Configurable):
    """Settings of Syla workspaces (`c.Syla.<name> = value`)."""

    data_dir = Unicode(
        "",
        help="Directory for templates, homes and pool records. Empty: `syla` in Jupyter's data directory. "
        "Environment: SYLA_HOME.",
    ).tag(config=True)
    run_dir = Unicode(
        "",
        help="Short private directory for sockets. Empty: the one that this data directory had last, else /run/syla "
        "for root and the user's runtime directory for others.",
    ).tag(config=True)
    memory = Unicode(
        "",
        help="Memory limit of every workspace, such as '4g'. Empty: the default of its type. Environment: SYLA_MEMORY.",
    ).tag(config=True)
    cpus = Float(0.0, help="Cores every workspace may use. 0: the default of its type. Environment: SYLA_CPUS.").tag(
        config=True
    )
    spares = Integer(1, help="Kernels forked ahead in a running workspace. 0: every start forks.").tag(config=True)
    lease_seconds = Float(
        10.0, help="Seconds a workspace lives on after the last process that held it is gone; at least 1."
    ).tag(config=True)
    pool_size = Integer(
        1,
        help="Containers kept ready for each kind of ephemeral workspace in use, and of workspace that was stopped "
        "lately. 0: none, every start is cold.",
    ).tag(config=True)
    pool_ttl_seconds = Float(600.0, help="Seconds a ready container waits before it ends by itself.").tag(config=True)
    egress_allowed = List(
        Unicode(),
        help="Networks near this host that workspaces with network access may reach, such as '10.1.0.0/16' for a "
        "package mirror. Everything private, link-local or on this host is refused otherwise.",
    ).tag(config=True)
    pool_memory = Unicode("2g", help="Most memory that ready containers may hold together.").tag(config=True)
    workspaces_per_user = Integer(-1, help="Workspaces one user may have running or frozen. -1: any number.").tag(
        config=True
    )
    workspaces_per_server = Integer(-1, help="The same for all users together. -1: any number.").tag(config=True)
    cpus_per_user = Float(-1.0, help="Cores that one user's workspaces may hold together. -1: any number.").tag(
        config=True
    )
    memory_per_user = Unicode(
        "0", help="Memory that one user's workspaces may hold together, such as '16g'. 0: any amount."
    ).tag(config=True)
    cpu_overcommit = Float(
        8.0, help="The CPU limits of all workspaces may add up to this many times the machine's cores."
    ).tag(config=True)
    memory_overcommit = Float(
        4.0,
        help="The memory limits of all workspaces may add up to this many times the machine's memory without "
        "memory_reserve. 1: every limit is covered by memory that is there.",
    ).tag(config=True)
    memory_reserve = Unicode("512m", help="Memory kept for the host and the server.").tag(config=True)
    disk_floor = Unicode(
        "1g", help="Space of the host's disk that stays free: below it nothing starts, and what writes is suspended."
    ).tag(config=True)
    snapshot_store = Unicode(
        "",
        help="Where snapshots and archived workspaces are: a directory, or 's3://bucket/prefix' with options behind "
        "'?' such as endpoint_url=https://…. Empty: `objects` in the data directory. Environment: SYLA_STORE.",
    ).tag(config=True)
    backup_store = Unicode(
        "", help="A second store that gets a copy of every snapshot. Empty: none. Environment: SYLA_BACKUP_STORE."
    ).tag(config=True)
    master_key = Unicode(
        "",
        help="What encrypts the keys of snapshots: the path of a file with 64 hexadecimal digits, 'environment' "
        "(SYLA_MASTER_KEY), or 'kms:<key id>'. Empty: the environment where it has one, else `master.key` in the data "
        "directory, made at the first use. Without it no snapshot can be read: keep a copy.",
    ).tag(config=True)
    previous_master_key = Unicode(
        "",
        help="The master key before this one, given the same way ('environment': SYLA_PREVIOUS_MASTER_KEY): what it "
        "encrypts can be read until `syla snapshot rekey` has left nothing of that. Empty: none, or that variable.",
    ).tag(config=True)
    keep_last = Integer(10, help="Newest automatic snapshots of a workspace that are kept.").tag(config=True)
    keep_hourly = Integer(24, help="Hours of which the newest automatic snapshot is kept.").tag(config=True)
    keep_daily = Integer(7, help="The same, of days.").tag(config=True)
    keep_weekly = Integer(5, help="The same, of weeks.").tag(config=True)
    keep_monthly = Integer(12, help="The same, of months.").tag(config=True)


def _limits(memory: str, cpus: str) -> dict[Any, Limits]:
    changes: dict[str, Any] = {}
    if memory:
        changes["memory_bytes"] = parse_bytes("memory", memory)
    if cpus:
        try:
            changes["cpus"] = float(cpus)
        except ValueError:
            raise BadInput("cpus", f"{cpus!r} is not a number of cores", "Write it like 0.5 or 2") from None
    try:
        return {kind: dataclasses.replace(limits, **changes) for kind, limits in DEFAULT_LIMITS.items()}
    except ValueError as exc:
        raise BadInput("limits", str(exc)) from exc


def _quotas(traits: Syla) -> Quotas:
    return Quotas(
        workspaces_per_user=_none_below_zero(traits.workspaces_per_user),
        workspaces_per_server=_none_below_zero(traits.workspaces_per_server),
        cpus_per_user=_none_below_zero(traits.cpus_per_user),
        memory_bytes_per_user=parse_bytes("memory_per_user", traits.memory_per_user) or None,
    )


def _none_below_zero(number: Any) -> Any:
    return None if number < 0 else number


def default_run_dir(environ: Mapping[str, str], uid: int) -> Path:
    if uid == 0:
        return Path("/run/syla")
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime and os.path.isdir(runtime):
        return Path(runtime) / "syla"
    return Path(f"/tmp/syla-{uid}")


def remembered_run_dir(data_dir: Path) -> Path | None:
    """The run directory of the processes before us on this data directory; None: it is not there any more."""
    try:
        path = Path((data_dir / REMEMBERED).read_text())
        return path if path.is_absolute() and path.stat().st_uid == os.geteuid() else None
    except (OSError, ValueError):
        return None


def remember_run_dir(settings: Settings) -> None:
    """Have processes that come later use it too, whatever their environment: for who looks elsewhere, no container
    lives."""
    if remembered_run_dir(settings.data_dir) == settings.run_dir:
        return
    fresh = settings.data_dir / f"{REMEMBERED}.{os.getpid()}"
    try:
        for directory in (settings.data_dir, settings.run_dir):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.write_text(str(settings.run_dir))
        fresh.rename(settings.data_dir / REMEMBERED)
    except OSError:  # who makes a container says what is wrong
        with contextlib.suppress(OSError):
            fresh.unlink()


def load_settings(config: Config | None, environ: Mapping[str, str]) -> Settings:
    """Settings from a Jupyter configuration and an environment; BadInput names what is wrong."""
    try:
        traits = Syla(config=config or Config())
        home = environ.get("SYLA_HOME") or traits.data_dir or os.path.join(jupyter_data_dir(), "syla")
        data_dir = Path(home).expanduser().resolve()  # a directory below it may be mounted: no links
        run_dir = Path(traits.run_dir) if traits.run_dir else remembered_run_dir(data_dir)
        run_dir = run_dir or default_run_dir(environ, os.geteuid())
        return Settings(
            data_dir=data_dir,
            run_dir=run_dir.expanduser().absolute(),
            limits=_limits(
                environ.get("SYLA_MEMORY") or traits.memory,
                environ.get("SYLA_CPUS") or (str(traits.cpus) if traits.cpus else ""),
            ),
            spares=traits.spares,
            lease_seconds=traits.lease_seconds,
            egress_allowed=tuple(traits.egress_allowed),
            pool=PoolSettings(
                size=traits.pool_size,
                ttl_seconds=traits.pool_ttl_seconds,
                memory_cap_bytes=parse_bytes("pool_memory", traits.pool_memory),
            ),
            quotas=_quotas(traits),
            cpu_overcommit=traits.cpu_overcommit,
            memory_overcommit=traits.memory_overcommit,
            memory_reserve_bytes=parse_bytes("memory_reserve", traits.memory_reserve),
            disk_floor_bytes=parse_bytes("disk_floor", traits.disk_floor),
            snapshot_store=environ.get("SYLA_STORE") or traits.snapshot_store,
            backup_store=environ.get("SYLA_BACKUP_STORE") or traits.backup_store,
            master_key=traits.master_key or ("environment" if environ.get("SYLA_MASTER_KEY") else ""),
            previous_master_key=traits.previous_master_key
            or ("environment" if environ.get("SYLA_PREVIOUS_MASTER_KEY") else ""),
            retention=Retention(
                last=traits.keep_last,
                hourly=traits.keep_hourly,
                daily=traits.keep_daily,
                weekly=traits.keep_weekly,
                monthly=traits.keep_monthly,
            ),
        )
    except (TraitError, ValueError) as exc:
        raise BadInput("configuration", str(exc)) from exc
