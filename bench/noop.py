"""A provisioner that does nothing: the floor under every start through Jupyter Server.

`launch_kernel` takes a kernel that runs already (a connection file in the directory `standby` of the lab, put there
by `Standby`) and gives its connection info. What then remains of a start is the server's own path and the kernel's
answer. Its kernels end by the shutdown request every server sends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase

from .client import PYTHON, channels, end, reply_to


def standby_dir() -> Path:
    return Path(os.environ["SYLA_BENCH_LAB"]) / "standby"


async def until_ended(pid: int) -> None:
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(watched, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(watched)
        os.close(watched)


class NoopProvisioner(KernelProvisionerBase):
    _pid = 0

    @property
    def has_process(self) -> bool:
        return self._pid != 0

    async def poll(self) -> int | None:
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return 0
        return None

    async def wait(self) -> int | None:
        await until_ended(self._pid)
        self._pid = 0
        return 0

    async def send_signal(self, signum: int) -> None:
        if self._pid and signum != signal.SIGINT:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signum)

    async def kill(self, restart: bool = False) -> None:
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        await self.send_signal(signal.SIGTERM)

    async def cleanup(self, restart: bool = False) -> None:
        pass

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        return dict(await super().pre_launch(cmd=[], **kwargs))

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        for place in standby_dir().glob("*.json"):
            taken = place.with_suffix(".taken")
            try:
                place.rename(taken)
            except OSError:
                continue
            info = json.loads(taken.read_text())
            self._pid = info.pop("pid")
            info["key"] = info["key"].encode()
            return info
        raise RuntimeError("no kernel stands by")


class Standby:
    """Makes kernels stand by, and ends those that nobody took."""

    def __init__(self) -> None:
        self._managers: list[Any] = []

    async def add(self) -> None:
        """One more, which has answered: sockets are unix sockets, as those of our kernels are."""
        km: Any = AsyncKernelManager(kernel_name=PYTHON, transport="ipc")
        self._managers.append(km)
        await km.start_kernel()
        client = channels(km)
        try:
            await reply_to(client, "1+1")
        finally:
            client.stop_channels()
        names = ("transport", "ip", "signature_scheme", "shell_port", "iopub_port", "stdin_port", "control_port")
        info = {name: getattr(km, name, None) for name in (*names, "hb_port")}
        info["signature_scheme"] = km.session.signature_scheme
        info.update(key=km.session.key.decode(), pid=km.provisioner.pid)
        fresh = standby_dir() / f"{km.provisioner.pid}.new"
        fresh.write_text(json.dumps(info))
        fresh.rename(fresh.with_suffix(".json"))

    async def settle(self) -> None:
        """Reap the kernels that were taken and have ended."""
        for km in list(self._managers):
            if await km.provisioner.poll() is not None:
                await end(km)
                self._managers.remove(km)

    async def close(self) -> None:
        for km in self._managers:
            await end(km)
        self._managers.clear()
