"""The runtime port: an engine that runs workspace containers.

All methods block and may take a second; callers run them off the event loop. All are safe to call from any
thread. Errors: `EngineStopped` and `EngineForbidden` when the engine cannot be talked to, `NoSpace`,
`ImageMissing`, `StartFailed`; nothing else escapes an adapter. Every adapter passes
`syla_jupyter.testing.contracts.RuntimeContract`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ..model.runtime import ContainerInfo, ContainerSpec, Mount, MountVia
from ..model.workspace import Limits, Network

LABEL_PREFIX = "syla."  # reserved: a spec cannot be given such a label by a user
LABEL_HOME = "syla.home"  # which installation (data directory) a container belongs to
LABEL_KIND = "syla.kind"  # workspace | pool
LABEL_WORKSPACE = "syla.workspace"
LABEL_OWNER = "syla.owner"
LABEL_EXECUTION = "syla.execution"  # a fresh id per start; destructive calls name it
LABEL_RUN = "syla.run"  # name of the directory under the run directory


class Runtime(Protocol):
    @property
    def mount_via(self) -> MountVia:
        """How `attach`/`ContainerSpec.mounts` are honoured here."""

    def prepare(self, network: Network) -> None:
        """Have this host ready for containers on that network: what they may reach is closed off before they run a
        user's code. `create` does it; a container that another process made is used after it. Costs nothing when done.
        """

    def create(self, spec: ContainerSpec) -> ContainerInfo:
        """Create and start. When it raises, nothing of the container is left.

        The returned container's agent may not listen yet.
        """

    def attach(self, container: ContainerInfo, mounts: Sequence[Mount]) -> None:
        """Put host directories into a running container that has run no user code yet.

        Only where `mount_via` is `attach`. Sources are resolved on the host before anything else, targets
        inside without following links. Partial failure raises; the caller removes the container.
        """

    def limit_cpus(self, container_id: str, cpus: float) -> None:
        """Bring a container that started with more down to its limit."""

    def change_limits(self, container_id: str, limits: Limits) -> None:
        """Give a running container other limits of CPU, memory and processes; the others stay until it is started
        again. What runs already goes on, also where there are more processes than it may have now."""

    def freeze(self, container_id: str) -> None:
        """Stop every process of a container where it is; memory, sockets and connections stay. No error when frozen.

        `WorkspaceLost` when the container is gone.
        """

    def thaw(self, container_id: str) -> None:
        """Let a frozen container go on; no error when it runs. `WorkspaceLost` when it is gone."""

    def reclaim(self, container_id: str) -> int:
        """Move the memory of a frozen container to the host's swap. Bytes; 0 where nothing of the sort can be done.

        A thaw meanwhile ends it, and has not to wait for it.
        """

    def remove(self, container_id: str) -> None:
        """Kill and remove: it is gone when this returns, and when it was before."""

    def find(self, labels: Mapping[str, str]) -> list[ContainerInfo]:
        """Containers, in any state, that carry all the labels."""

    def image_exists(self, reference: str) -> bool: ...

    def ping(self) -> None:
        """Raise when the engine does not answer or refuses us."""
