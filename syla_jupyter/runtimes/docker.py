"""Adapter: Docker Engine, through its own SDK.

The SDK is imported at the first call: a kernel that comes out of the pool needs no engine call at all. Containers
are created with `AutoRemove`, so one whose agent ends (lease over, deadline, stop) is gone without anybody asking.
Liveness comes from the connection to the agent; this adapter polls nothing.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..model.errors import EngineForbidden, EngineStopped, SylaError, WorkspaceLost
from ..model.runtime import ContainerInfo, ContainerSpec, Mount, MountVia, User
from ..model.workspace import Limits, Network
from .attach import Attacher
from .control_groups import ContainerGroup
from .docker_errors import translate
from .docker_spec import EGRESS_NETWORK, cpu_limits, create_body, live_limits
from .firewall import protect
from .memory_reclaim import reclaim

if TYPE_CHECKING:
    import docker

API_SECONDS = 60
REMOVAL_SECONDS = 30
BRIDGE = "syla0"


class DockerRuntime:
    """Parameters: `environ` as of `docker.from_env`; `user` and `mount_via` as decided for this host; `egress_allowed`
    networks (CIDR) near this host that workspaces may reach all the same."""

    def __init__(
        self, *, environ: Mapping[str, str], user: User, mount_via: MountVia, egress_allowed: Sequence[str] = ()
    ) -> None:
        self._egress_allowed = egress_allowed
        self._environ = dict(environ)
        self._user = user
        self._mount_via = mount_via
        self._attacher = Attacher(user)
        self._lock = threading.Lock()
        self._client: docker.DockerClient | None = None
        self._egress_ready = False

    @property
    def mount_via(self) -> MountVia:
        return self._mount_via

    def connect(self) -> docker.DockerClient:
        """A new client of the SDK, connected; the caller closes it."""
        import docker

        host = self._environ.get("DOCKER_HOST", "")
        if host and not host.startswith(("unix://", "http+unix://")):
            raise EngineForbidden(
                f"DOCKER_HOST names an engine on another machine ({host})",
                "Workspaces share directories with this machine: unset DOCKER_HOST",
            )
        try:
            client = docker.from_env(environment=self._environ, timeout=API_SECONDS)
        except Exception as exc:
            raise translate(exc, doing="connect to Docker Engine") from exc
        return client

    def client(self) -> docker.DockerClient:
        """The one of this adapter, connected at the first call."""
        with self._lock:
            if self._client is None:
                self._client = self.connect()
            return self._client

    def prepare(self, network: Network) -> None:
        if network is Network.EGRESS:
            self.ensure_egress()

    def create(self, spec: ContainerSpec) -> ContainerInfo:
        api: Any = self.client().api
        self.prepare(spec.network)
        created: dict[str, Any] = {}
        try:
            created = api.create_container_from_config(create_body(spec), name=spec.name)
            api.start(created["Id"])
        except Exception as exc:
            if created:
                self.remove(created["Id"])
            raise translate(exc, doing=f"start a container from {spec.image}") from exc
        return ContainerInfo(created["Id"], spec.name, dict(spec.labels), True)

    def attach(self, container: ContainerInfo, mounts: Sequence[Mount]) -> None:
        self._attacher.attach(container.pid, mounts)

    def limit_cpus(self, container_id: str, cpus: float) -> None:
        self._call("limit a container's CPUs", lambda api: _update(api, container_id, cpu_limits(cpus)))

    def change_limits(self, container_id: str, limits: Limits) -> None:
        self._call("change a container's limits", lambda api: _update(api, container_id, live_limits(limits)))

    def freeze(self, container_id: str) -> None:
        group = ContainerGroup.of(container_id)
        with contextlib.suppress(OSError):  # it has ended: the engine says so
            if group is not None and group.freeze():
                return
        self._call("freeze a container", lambda api: api.pause(container_id), fine="already paused")

    def thaw(self, container_id: str) -> None:
        """Whoever has frozen it: we, where we may, or the engine, which goes on to call it paused until told."""
        group = ContainerGroup.of(container_id)
        if group is not None and not self._is_paused(container_id):
            with contextlib.suppress(OSError):  # it has ended: the engine says so
                group.thaw()
                return
        self._call("thaw a container", lambda api: api.unpause(container_id), fine="not paused")

    def reclaim(self, container_id: str) -> int:
        return reclaim(container_id)

    def _is_paused(self, container_id: str) -> bool:
        """By the engine itself; one that is not there has not."""
        try:
            found = self._call("look at a container", lambda api: api.inspect_container(container_id))
        except EngineStopped:
            return False
        return bool(found["State"]["Paused"])

    def _call(self, doing: str, call: Callable[[Any], Any], *, fine: str = "") -> Any:
        """One call about one container; no error when the engine says that it is `fine`."""
        import docker.errors

        try:
            return call(self.client().api)
        except docker.errors.APIError as exc:
            said = str(exc.explanation).lower()
            if fine and fine in said:
                return None
            if exc.status_code == 404 or "is not running" in said:
                raise WorkspaceLost(f"could not {doing}: it has ended") from exc
            raise translate(exc, doing=doing) from exc
        except Exception as exc:
            raise translate(exc, doing=doing) from exc

    def remove(self, container_id: str) -> None:
        import docker.errors

        try:
            self.client().api.remove_container(container_id, force=True, v=True)
        except docker.errors.NotFound:
            pass
        except docker.errors.APIError as exc:
            if exc.status_code != 409:
                raise translate(exc, doing="remove a container") from exc
            self._await_removal(container_id)
        except SylaError:
            raise
        except Exception as exc:
            raise translate(exc, doing="remove a container") from exc

    def _await_removal(self, container_id: str) -> None:
        """It was killed, and the engine is at removing it already (`AutoRemove`): who removes it finds it gone."""
        import docker.errors

        try:
            self.client().api.wait(container_id, timeout=REMOVAL_SECONDS, condition="removed")
        except docker.errors.NotFound:
            pass
        except Exception as exc:
            raise translate(exc, doing="remove a container") from exc

    def find(self, labels: Mapping[str, str]) -> list[ContainerInfo]:
        try:
            rows = self.client().api.containers(
                all=True, filters={"label": [f"{name}={value}" for name, value in labels.items()]}
            )
        except SylaError:
            raise
        except Exception as exc:
            raise translate(exc, doing="list containers") from exc
        return [
            ContainerInfo(
                row["Id"],
                row["Names"][0].lstrip("/") if row["Names"] else "",
                row["Labels"],
                row["State"] in ("running", "paused"),
                frozen=row["State"] == "paused" or _stands_still(row["Id"]),
            )
            for row in rows
        ]

    def image_exists(self, reference: str) -> bool:
        import docker.errors

        try:
            api: Any = self.client().api
            api.inspect_image(reference)
        except docker.errors.ImageNotFound:
            return False
        except SylaError:
            raise
        except Exception as exc:
            raise translate(exc, doing="look for an image") from exc
        return True

    def ping(self) -> None:
        try:
            self.client().api.ping()
        except SylaError:
            raise
        except Exception as exc:
            raise translate(exc, doing="talk to Docker Engine") from exc

    def supports_attach(self, directory: Path) -> bool:
        return self._attacher.supported(directory)

    def ensure_egress(self) -> None:
        """A bridge of our own: containers on it reach outwards, and neither one another nor what is near."""
        import docker.errors

        if self._egress_ready:
            return
        api = self.client().api
        try:
            try:
                api.inspect_network(EGRESS_NETWORK)
            except docker.errors.NotFound:
                api.create_network(
                    EGRESS_NETWORK,
                    driver="bridge",
                    check_duplicate=True,
                    options={
                        "com.docker.network.bridge.name": BRIDGE,
                        "com.docker.network.bridge.enable_icc": "false",
                    },
                )
        except docker.errors.APIError as exc:
            if exc.status_code != 409:  # another process made it meanwhile
                raise translate(exc, doing="make the network of the workspaces") from exc
        if os.geteuid() == 0:
            protect(BRIDGE, self._egress_allowed)
        self._egress_ready = True


def _stands_still(container_id: str) -> bool:
    group = ContainerGroup.of(container_id)
    with contextlib.suppress(OSError):
        return group is not None and group.frozen
    return False


def _update(api: Any, container_id: str, changes: Mapping[str, int]) -> None:
    """As the SDK's `update_container`, which has no word for the number of processes."""
    import docker.errors
    import requests

    url = f"{api.base_url}/v{api.api_version}/containers/{container_id}/update"
    answer = api.post(url, json=dict(changes), timeout=API_SECONDS)
    try:
        answer.raise_for_status()
    except requests.HTTPError as exc:
        docker.errors.create_api_error_from_http_exception(exc)  # raises it
