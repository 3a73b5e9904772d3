"""What a container is made of, and which ready ones can be a workspace's: decides, and makes nothing.

A container of the pool is one of two kinds. For an ephemeral workspace all of a start is over: a spare waits in it. For
one with a record its home is missing, and nothing may have looked into it: profile, startup files, history, packages.
So such a container is kept *unopened*: its zygote has imported what the image has, there is no spare, and nothing of a
user's has been run or read. The claim puts home and files in their places and opens it; what is forked after that is
what a container made anew would have forked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ..model.runtime import HOME_DIR, WORKSPACE_DIR, AgentConfig, ContainerSpec, Mount, MountVia, User
from ..model.settings import Settings
from ..model.template import Template
from ..model.workspace import Limits, Network, WorkspaceSpec, WorkspaceType
from ..runtimes.base import (
    LABEL_EXECUTION,
    LABEL_HOME,
    LABEL_KIND,
    LABEL_OWNER,
    LABEL_RUN,
    LABEL_WORKSPACE,
)
from ..runtimes.rundir import RunDir
from .pool import pool_key

START_CPUS = 2.0
"""Cores a container may use while it starts, whatever its limit."""
UNCLAIMED_SECONDS = 30.0
"""Lease of a container whose maker has not held it yet: it died between two lines of `WorkspaceService._make`."""
NAMED_LATER = Path("later")
"""The home of a container that is made before it is known whose it will be."""


class TemplateSource(Protocol):
    def get(self, name: str) -> Template: ...


def pooled(spec: WorkspaceSpec, mount_via: MountVia) -> bool:
    """Whether a container made ahead can be this workspace's: a home that is on disk has to be attached to it."""
    return spec.home is None or mount_via is MountVia.ATTACH


def mounts(spec: WorkspaceSpec) -> list[Mount]:
    """Home and files, in the order in which they are mounted."""
    wanted = []
    if spec.files is not None:
        wanted.append(Mount(spec.files, WORKSPACE_DIR, spec.files_read_only))
        wanted += [Mount(None, f"{WORKSPACE_DIR}/{name}") for name in spec.masked if (spec.files / name).is_dir()]
    if spec.home is not None:
        wanted.append(Mount(spec.home, HOME_DIR))
    return wanted


class Recipe:
    """Of one installation. `agent_dir`, `python_dir` and `image_of` are asked at each container."""

    def __init__(
        self,
        *,
        settings: Settings,
        templates: TemplateSource,
        image_of: Callable[[Template], str],
        agent_dir: Callable[[], Path],
        python_dir: Callable[[], Path],
        user: User,
        owner: str,
        mount_via: MountVia,
        host_mounts: tuple[Mount, ...] = (),
    ) -> None:
        self._settings, self._templates, self._image_of = settings, templates, image_of
        self._agent_dir, self._python_dir = agent_dir, python_dir
        self._user, self._owner = user, owner
        self._mount_via, self._host_mounts = mount_via, host_mounts

    @property
    def home_label(self) -> str:
        """Which installation a container belongs to: told apart by data directory."""
        return pool_key(str(self._settings.data_dir))[:12]

    def container(self, spec: WorkspaceSpec, run: RunDir, kind: str) -> ContainerSpec:
        """`kind`: `workspace`, or `pool`, whose home is not there yet where it is to have one."""
        template = self._templates.get(spec.template)
        attaching = self._mount_via is MountVia.ATTACH and bool(mounts(spec)) and kind != "pool"
        opened = spec.home is None if kind == "pool" else not attaching
        bound = tuple(mounts(spec)) if self._mount_via is MountVia.BIND else ()
        return ContainerSpec(
            name=f"syla-{'pool' if kind == 'pool' else _label(spec.name)}-{run.id}",
            image=self._image_of(template),
            user=self._user,
            limits=spec.limits,
            network=spec.network,
            run_dir=run.container_side,
            agent_dir=self._agent_dir(),
            agent=AgentConfig(
                zygote=template.has_zygote,
                preload=template.preload,
                spares=self._settings.spares,
                lease_seconds=UNCLAIMED_SECONDS,
                open=opened,
            ),
            # Only the zygote needs the image's own Python.
            python_dir=None if template.has_zygote else self._python_dir(),
            mounts=self._host_mounts + bound,
            start_cpus=START_CPUS,
            labels={
                LABEL_HOME: self.home_label,
                LABEL_KIND: kind,
                LABEL_WORKSPACE: spec.name,
                LABEL_OWNER: self._owner,
                LABEL_EXECUTION: run.id,
                LABEL_RUN: run.id,
            },
        )

    def key(self, spec: WorkspaceSpec) -> tuple[str, dict[str, Any]]:
        """(pool key, description): of all that a container cannot be given any more once it runs."""
        described = dataclasses.asdict(spec)
        described.update(name="pool", home=None if spec.home is None else str(NAMED_LATER))
        if self._mount_via is MountVia.ATTACH:
            described.update(files=None, files_read_only=False, masked=())
        template = self._templates.get(spec.template)
        parts = [
            described,
            self._image_of(template),
            template.has_zygote,
            template.preload,
            dataclasses.asdict(self._user),
            str(self._agent_dir()),
            self._settings.spares,
        ]
        return pool_key(parts), described


def spec_from(description: Mapping[str, Any]) -> WorkspaceSpec:
    """What a container of the pool is made for, of a description that may have been JSON."""
    files = description["files"]
    return WorkspaceSpec(
        name=description["name"],
        type=WorkspaceType(description["type"]),
        template=description["template"],
        limits=Limits(**description["limits"]),
        network=Network(description["network"]),
        files=Path(files) if files else None,
        files_read_only=description["files_read_only"],
        home=NAMED_LATER if description["home"] else None,
        masked=tuple(description["masked"]),
    )


def _label(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())[:20] or "workspace"
