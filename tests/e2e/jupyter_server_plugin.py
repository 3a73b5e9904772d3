"""Loaded by jupyter_server's own tests: their servers get our extension, and our classes in place of those they name.

All of them have one root directory, so one workspace, which is there from the second test on. What a test leaves in it
is removed, and its kernels are shut down: they would outlive its server, and be the next one's.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp

ASYNC = "jupyter_server.services.kernels.kernelmanager.AsyncMappingKernelManager"
SYNC = "jupyter_server.services.kernels.kernelmanager.MappingKernelManager"
NEW_PORTS = "tests.services.sessions.test_api.NewPortsMappingKernelManager"
OURS = "syla_jupyter.server.kernels.WorkspaceKernelManager"
KERNELS = Path(sys.prefix) / "share" / "jupyter" / "kernels"


def named_by(config: Any) -> str:
    return str(config.get("ServerApp", {}).get("kernel_manager_class", ASYNC))


def reason_to_leave_out(config: Any) -> str:
    """Why a server of this configuration is not tested; empty: it is."""
    if named_by(config) == SYNC:
        return "the synchronous kernel manager is deprecated, and refused by our extension"
    if named_by(config) == NEW_PORTS and "AsyncMappingKernelManager" not in config:
        return "our kernels keep their sockets when they are restarted, so this would be the same test once more"
    return ""


class Fixtures:
    """Registered last, so these come before those of the same name."""

    @pytest.fixture(scope="session")
    def syla_root(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp("root")

    @pytest.fixture
    def jp_root_dir(self, syla_root: Path) -> Iterator[Path]:
        yield syla_root
        for path in syla_root.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    @pytest.fixture(autouse=True)
    def syla(self, request: pytest.FixtureRequest, jp_server_cleanup: None, jp_asyncio_loop: Any) -> Iterator[None]:
        """The kernelspecs that an installation has, and no kernel afterwards."""
        if "jp_configurable_serverapp" in request.fixturenames:
            for name in ("python3", "syla-python"):
                shutil.copytree(KERNELS / name, request.getfixturevalue("jp_data_dir") / "kernels" / name)
        server = request.getfixturevalue("jp_serverapp") if "jp_serverapp" in request.fixturenames else None
        yield
        if server is not None:
            jp_asyncio_loop.run_until_complete(shut_down(server.kernel_manager))


async def shut_down(kernels: Any) -> None:
    for id in kernels.list_kernel_ids():
        async with asyncio.timeout(20):
            await kernels.shutdown_kernel(id, now=True)
            await asyncio.gather(*kernels._pending_kernels.values(), return_exceptions=True)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Fixtures())
    initialize = ServerApp.initialize

    def with_our_extension(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.jpserver_extensions = {**self.jpserver_extensions, "syla_jupyter": True}
        self.config.SylaExtension.warm_start = False  # some tests change HOME while it would look at it
        if named_by(self.config) in (ASYNC, NEW_PORTS):
            self.config.ServerApp.kernel_manager_class = self.kernel_manager_class = OURS
        return initialize(self, *args, **kwargs)

    ServerApp.initialize = with_our_extension


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = []
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if reason_to_leave_out(parameters.get("jp_server_config", {})):
            left_out.append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
