"""A Jupyter server that has one kernel, which it did not start: for tests that kill servers and keep kernels.

    python -m tests.adopting_server '{"port": …, "root": path, "kernel": id, "seen": path, "connection": {…, "key": text}}'

Says `ready` when the kernel is adopted and the server answers. The kernel's process is somebody else's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from jupyter_server._tz import utcnow
from jupyter_server.serverapp import ServerApp
from traitlets.config import Config

from syla_jupyter.server.replay import catch_up
from syla_jupyter.server.websocket import TellingWebsocketConnection

TOKEN = "token-of-the-tests"


class Attached(KernelProvisionerBase):  # type: ignore[misc]
    """A kernel that lives elsewhere, as long as anybody asks."""

    seen_path: Path | None = None
    has_process = True

    async def poll(self) -> int | None:
        return None

    async def wait(self) -> int | None:
        return 0

    async def send_signal(self, signum: int) -> None:
        pass

    async def kill(self, restart: bool = False) -> None:
        pass

    async def terminate(self, restart: bool = False) -> None:
        pass

    async def cleanup(self, restart: bool = False) -> None:
        pass

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        raise NotImplementedError


async def adopt(server: Any, wanted: dict[str, Any]) -> None:
    """As notes of jupyter_server's private ways have it; the product's own adoption is tested elsewhere."""
    managers, id = server.kernel_manager, wanted["kernel"]
    kernel = managers.kernel_manager_factory(
        connection_file=str(Path(wanted["root"]) / f"kernel-{id}.json"), parent=managers, log=server.log
    )
    kernel.kernel_id = id
    kernel.provisioner = Attached(kernel_id=id, parent=kernel)
    kernel.provisioner.seen_path = Path(wanted["seen"])
    connection = wanted["connection"]
    kernel.load_connection_info({**connection, "key": connection["key"].encode()})
    kernel._launch_args, kernel._attempted_start = {}, True
    kernel.ready.set_result(None)
    kernel.execution_state, kernel.reason, kernel.last_activity = "idle", "", utcnow()
    managers._kernels[id], managers._kernel_connections[id] = kernel, 0
    await managers._finish_kernel_start(id)
    await catch_up(managers, id)


def main(wanted: dict[str, Any]) -> None:
    config = Config()
    config.ServerApp.update(
        port=wanted["port"], port_retries=0, root_dir=wanted["root"], allow_root=True, open_browser=False,
        kernel_websocket_connection_class=TellingWebsocketConnection,
    )  # fmt: skip
    config.IdentityProvider.token = TOKEN
    server = ServerApp(config=config)
    server.initialize(argv=[], find_extensions=False)
    server.io_loop.run_sync(lambda: adopt(server, wanted))
    server.io_loop.add_callback(print, "ready", flush=True)
    server.start()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
