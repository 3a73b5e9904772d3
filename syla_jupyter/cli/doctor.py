"""`syla doctor`: what this machine has, what it lacks, and the command that mends each."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from .. import app
from ..model.errors import EngineForbidden, EngineStopped, SylaError
from ..model.runtime import MountVia
from ..workspaces.disk_quota import facts_at
from ..workspaces.project_quota import in_force

DISK_FREE_MIN_BYTES = 3 << 30  # an image, its build and some homes
MARK = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "missing": "[red]missing[/]"}


@dataclass(frozen=True)
class Finding:
    level: str
    """ok | note (works, could be better) | missing (kernels will not start)"""
    subject: str
    text: str
    mend: str = ""


def examine(application: app.Application) -> list[Finding]:
    findings = [_engine(application)]
    if findings[0].level == "ok":
        findings.append(_image(application))
    findings += [_mounts(application), _network(), _swap(), _disk(application), _disk_limits(application), _cgroup()]
    findings += _snapshots(application)
    return findings


def _engine(application: app.Application) -> Finding:
    try:
        application.runtime.ping()
    except EngineForbidden as exc:
        return Finding("missing", "rights", exc.message, "sudo usermod -aG docker $USER, then log in again")
    except EngineStopped as exc:
        have = shutil.which("dockerd")
        mend = "sudo systemctl start docker (or: sudo dockerd &)" if have else "sudo apt-get install docker.io"
        return Finding("missing", "engine", exc.message, mend)
    except SylaError as exc:
        return Finding("missing", "engine", exc.message, exc.hint)
    return Finding("ok", "engine", "Docker Engine answers")


def _image(application: app.Application) -> Finding:
    template = application.templates.get(application.settings.template)
    try:
        if application.images().exists(template):
            return Finding("ok", "image", f"the image of template {template.name!r} is current")
    except SylaError as exc:
        return Finding("missing", "image", exc.message, exc.hint)
    return Finding("missing", "image", f"the image of template {template.name!r} is not built", "syla image build")


def _mounts(application: app.Application) -> Finding:
    if application.runtime.mount_via is MountVia.ATTACH:
        return Finding(
            "ok", "directories", "attached to running containers, ids mapped: ready ones serve stopped workspaces too"
        )
    if os.geteuid() == 0:
        return Finding(
            "note",
            "directories",
            "this kernel or file system cannot map ids: files made inside belong to user 1000",
            "run the server as an ordinary user of group docker",
        )
    return Finding(
        "ok",
        "directories",
        "named when a container is made (not root): the pool keeps one per directory, none for stopped workspaces",
    )


def _network() -> Finding:
    if os.geteuid() == 0:
        if shutil.which("iptables"):
            return Finding("ok", "network", "workspaces with a network are kept from this host and what is near")
        return Finding("missing", "network", "no iptables to close off workspaces", "sudo apt-get install iptables")
    return Finding(
        "note",
        "network",
        "only root can keep workspaces with a network from this host and what is near",
        "sudo syla network protect (once after each boot)",
    )


def _swap() -> Finding:
    swap = [line.split()[1] for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("SwapTotal")]
    if swap and int(swap[0]) > 0:
        return Finding("ok", "swap", f"{int(swap[0]) >> 10} MB")
    return Finding(
        "note",
        "swap",
        "none: the memory of suspended workspaces cannot be taken back",
        "sudo fallocate -l 4G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile && sudo swapon /swapfile",
    )


def _disk(application: app.Application) -> Finding:
    place = next(p for p in [application.settings.data_dir, *application.settings.data_dir.parents] if p.exists())
    free = shutil.disk_usage(place).free
    if free < DISK_FREE_MIN_BYTES:
        return Finding("note", "disk", f"only {free >> 20} MB free at {place}", "docker system prune, or a larger disk")
    return Finding("ok", "disk", f"{free >> 30} GB free at {place}")


def _disk_limits(application: app.Application) -> Finding:
    """What keeps a workspace within its size on disk: the file system's own quota where it can be, else measuring."""
    found = in_force(facts_at(application.settings.data_dir))
    if found.hard:
        return Finding("ok", "disk limits", f"{found.reason}: what is more than a workspace's limit cannot be written")
    measured = "the server measures workspaces, warns at 80 % of their limit, and suspends at the limit"
    return Finding("ok", "disk limits", f"{measured}; {found.reason}", found.mend)


def _snapshots(application: app.Application) -> list[Finding]:
    """Which stores and key are in force, and whether they answer."""
    settings = application.settings
    source = settings.master_key or str(settings.data_dir / "master.key")
    try:
        vault = application.vault()
        found = []
        for name, store in (("snapshots", vault.objects), ("backup", vault.backup)):
            if store is not None:
                next(iter(store.list("catalog/")), None)
                sure = "" if store.conditional else ", which cannot refuse a second writer: one machine at a time"
                found.append(Finding("note" if sure else "ok", name, f"saved in {store.description}{sure}"))
    except SylaError as exc:
        return [Finding("missing", "snapshots", exc.message, exc.hint or "c.Syla.snapshot_store, c.Syla.master_key")]
    if vault.backup is None:
        found.append(Finding("note", "backup", "no second copy of snapshots is kept", "set c.Syla.backup_store"))
    if settings.previous_master_key:
        found.append(
            Finding("note", "encryption", "a previous master key is set", "`syla snapshot rekey`, then unset it")
        )
    key = f"master key {vault.master.id} of {source}"
    return [*found, Finding("ok", "encryption", f"{key}; without it no snapshot can be read, so keep a copy")]


def _cgroup() -> Finding:
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return Finding("ok", "limits", "control groups version 2")
    if Path("/sys/fs/cgroup/memory").exists():
        return Finding("ok", "limits", "control groups version 1")
    return Finding(
        "missing", "limits", "no memory control group: limits would not hold", "boot with cgroup_enable=memory"
    )


def show(findings: list[Finding]) -> None:
    from rich.console import Console

    console = Console()
    for finding in findings:
        console.print(f"{MARK[finding.level]:<24} {finding.subject}: {finding.text}", soft_wrap=True)
        if finding.mend:
            console.print(f"         → {finding.mend}", markup=False, soft_wrap=True)
