"""`syla-provisioner`: starts kernels in workspaces for anything that uses jupyter_client.

The contract has traps (call orders of jupyter_client 8, each verified): `kill` and `terminate` are also part of a
restart, so only `cleanup(restart=False)` gives the workspace up; a launch that raises is never cleaned up by the
caller, so it undoes itself; `poll` is called ten times a second during a shutdown, so it reads memory only;
`send_signal` is called on the dead and must not mind; the key is bytes.

Key and socket names stay the same for the kernel's whole life, restarts included: open clients reconnect.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from traitlets import Unicode

from .. import app
from ..model.runtime import Exit
from ..model.template import Template
from ..model.workspace import WorkspaceSpec
from ..workspaces.live import LiveWorkspace, RunningProcess, container_path
from ..workspaces.placement import chosen_workspace, default_workspace, ephemeral_workspace, kernel_environment

SHUTDOWN_NOTICE_SECONDS = 2.0
KILL_SECONDS = 2.0


class SylaProvisioner(KernelProvisionerBase):
    """`template` in the kernelspec's provisioner config names the template; the built-in Python one otherwise."""

    template = Unicode("python", help="Name of the template whose image and kernel are used.").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._slot = secrets.token_hex(4)
        self._key = secrets.token_hex(32).encode()
        self._workspace: LiveWorkspace | None = None
        self._kernel: RunningProcess | None = None
        self._waited = False
        self._asked_to_end = False
        self._told = False

    # -- jupyter_client's contract -----------------------------------------------------------------------------

    @property
    def has_process(self) -> bool:
        return self._kernel is not None and not self._waited

    async def poll(self) -> int | None:
        if self._kernel is None:
            return 0
        ended = self._kernel.exit
        if ended is None:
            return None
        self._tell(ended)
        return ended.returncode

    async def wait(self) -> int | None:
        if self._kernel is None:
            return 0
        ended = await asyncio.wrap_future(self._kernel.done)
        self._waited = True
        self._tell(ended)
        return ended.returncode

    async def send_signal(self, signum: int) -> None:
        kernel = self._kernel
        if kernel is not None and signum:
            await asyncio.to_thread(kernel.signal, int(signum))

    async def kill(self, restart: bool = False) -> None:
        self._asked_to_end = True
        await self.send_signal(signal.SIGKILL)
        await self._ended_within(KILL_SECONDS)

    async def terminate(self, restart: bool = False) -> None:
        self._asked_to_end = True
        await self.send_signal(signal.SIGTERM)

    async def shutdown_requested(self, restart: bool = False) -> None:
        """The kernel was asked to leave."""
        self._asked_to_end = True
        await self._ended_within(SHUTDOWN_NOTICE_SECONDS)

    async def cleanup(self, restart: bool = False) -> None:
        if restart:
            return
        workspace, self._workspace = self._workspace, None
        if workspace is not None:
            workspace.run.unlink_kernel(self._slot)
            if workspace.spec.home is None:
                await asyncio.to_thread(workspace.close)

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """The command is made by the agent; host paths and the host's environment end here."""
        kwargs = await super().pre_launch(cmd=[], **kwargs)
        return kwargs

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        cwd = Path(kwargs["cwd"]) if kwargs.get("cwd") else None
        given = kwargs.get("env") or os.environ
        self._asked_to_end = self._told = False
        try:
            self._kernel = await asyncio.to_thread(self._start, cwd, dict(given))
        except BaseException:
            await self.cleanup(restart=False)
            self._kernel = None
            raise
        self._waited = False
        assert self._workspace is not None
        return {
            "transport": "ipc",
            "ip": str(self._workspace.run.client_prefix(self._slot)),
            "key": self._key,  # type: ignore[typeddict-item] # bytes, whatever the TypedDict says
            "signature_scheme": "hmac-sha256",
            "shell_port": 1,
            "iopub_port": 2,
            "stdin_port": 3,
            "control_port": 4,
            "hb_port": 5,
        }

    async def _ended_within(self, seconds: float) -> None:
        """Wait for the kernel's end here, where it is an event, which spares the caller its polls of 0.1 s."""
        if self._kernel is not None:
            await asyncio.wait([asyncio.wrap_future(self._kernel.done)], timeout=seconds)

    # -- ours --------------------------------------------------------------------------------------------------

    def _start(self, cwd: Path | None, given: dict[str, str]) -> RunningProcess:
        application = app.shared(self.config)
        template = application.templates.get(self.template)
        if self._workspace is not None and self._workspace.lost:
            self._workspace.close()
            self._workspace = None
        if self._workspace is None:
            spec, single = self._place(application, cwd, given)
            self._workspace = application.service.ephemeral(spec) if single else application.service.named(spec)
        workspace = self._workspace
        inside = container_path(workspace.spec, cwd)
        kernel = workspace.start_kernel(
            self._slot,
            key=self._key,
            cwd=inside,
            env=kernel_environment(application.settings, self.kernel_spec.env, given, inside),
            argv=self._argv(template),
            timeout=application.settings.start_timeout_seconds,
        )
        application.service.settle_soon(workspace)
        return kernel

    def _place(
        self, application: app.Application, cwd: Path | None, given: dict[str, str]
    ) -> tuple[WorkspaceSpec, bool]:
        """(what the workspace is to be, whether this kernel has it to itself)."""
        root = getattr(getattr(self.parent, "parent", None), "root_dir", None)
        name = chosen_workspace(application.environ)
        if root or name:
            spec, note = default_workspace(application.settings, Path(root or os.getcwd()), self.template, Path.home())
            if note:
                self.log.warning("%s", note)
                assert spec.files is not None
                spec.files.mkdir(parents=True, exist_ok=True)
            return spec, False
        return (
            ephemeral_workspace(application.settings, application.environ, Path.cwd(), cwd, self.template),
            True,
        )

    def _argv(self, template: Template) -> tuple[str, ...]:
        """Empty for a zygote kernel; a kernelspec of another maker runs its own argv, on the container's Python."""
        if template.kernel_argv:
            return template.kernel_argv
        stanza = (self.kernel_spec.metadata or {}).get("kernel_provisioner") or {}
        if stanza.get("provisioner_name") == "syla-provisioner":
            return ()
        argv = list(self.kernel_spec.argv)
        if argv and (argv[0] == sys.executable or Path(argv[0]).name.startswith("python")):
            argv[0] = "python3"
        return () if argv[:3] == ["python3", "-m", "ipykernel_launcher"] else tuple(argv)

    def _tell(self, ended: Exit) -> None:
        """Say once, in the log and in `KernelManager.reason`, why a kernel ended that nobody asked to."""
        if self._told or self._asked_to_end or self._kernel is None:
            return
        self._told = True
        reason = self._kernel.why()
        if reason:
            self.log.error("kernel %s: %s", self.kernel_id, reason)
            if self.parent is not None:
                self.parent.reason = reason
