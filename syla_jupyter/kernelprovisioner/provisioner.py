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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from traitlets import Unicode

from .. import app
from ..model.errors import WorkspaceLost
from ..model.runtime import Exit
from ..model.template import Template
from ..workspaces.live import LiveWorkspace, RunningProcess, container_path
from ..workspaces.placement import chosen_workspace, ephemeral_workspace, kernel_environment

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
        self._record = ""
        """Id of the workspace's record; empty for an ephemeral one."""
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
            if self.frozen:
                await asyncio.to_thread(self.thaw)
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
            workspace.run.forget(f"kernel-{self._slot}")
            workspace.run.forget(f"seen-{self._slot}")
            if not self._record:
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
        return self._connection(self._workspace)

    def _connection(self, workspace: LiveWorkspace) -> KernelConnectionInfo:
        return {
            "transport": "ipc",
            "ip": str(workspace.run.client_prefix(self._slot)),
            "key": self._key,  # type: ignore[typeddict-item] # bytes, whatever the TypedDict says
            "signature_scheme": "hmac-sha256",
            "shell_port": 1,
            "iopub_port": 2,
            "stdin_port": 3,
            "control_port": 4,
            "hb_port": 5,
        }

    # -- a kernel that outlives its server ---------------------------------------------------------------------

    @property
    def frozen(self) -> bool:
        """Whether its workspace is suspended: nothing it is asked is answered before `thaw`."""
        return self._workspace is not None and bool(self._record) and self._workspace.frozen

    def thaw(self) -> None:
        """Resume its workspace; blocks for some milliseconds, or as long as somebody else changes the workspace."""
        if self._record:
            app.shared(self.config).registry().open(self._record)

    @property
    def workspace_id(self) -> str:
        return self._record

    @property
    def seen_path(self) -> Path | None:
        """Where the server notes how far browsers have got with this kernel's output; host only."""
        if self._workspace is None or not self._record:
            return None
        return self._workspace.run.path / "h" / f"seen-{self._slot}"

    def saved(self) -> dict[str, str] | None:
        """What `adopt` needs in another process; None for a kernel that ends with this one."""
        if not self._record or self._workspace is None or self._kernel is None or self._kernel.exit is not None:
            return None
        return {"workspace": self._record, "execution": self._workspace.run.id, "slot": self._slot}

    def adopt(self, saved: Mapping[str, str]) -> KernelConnectionInfo:
        """Take over a kernel that another process started; blocks. `WorkspaceLost` when it has ended meanwhile."""

        def ask(live: LiveWorkspace) -> tuple[LiveWorkspace, tuple[RunningProcess, bytes] | None]:
            return live, live.find_kernel(saved["slot"])

        registry = app.shared(self.config).registry()
        workspace, found = registry.attach(saved["workspace"], saved["execution"], ask)
        if found is None:
            raise WorkspaceLost("the kernel has ended")
        kernel, key = found
        if kernel.exit is not None:
            raise WorkspaceLost(kernel.why() or "the kernel has ended")
        self._record, self._slot, self._key = saved["workspace"], saved["slot"], key
        self._workspace, self._kernel, self._waited = workspace, kernel, False
        return self._connection(workspace)

    async def _ended_within(self, seconds: float) -> None:
        """Wait for the kernel's end here, where it is an event, which spares the caller its polls of 0.1 s."""
        if self._kernel is not None:
            await asyncio.wait([asyncio.wrap_future(self._kernel.done)], timeout=seconds)

    # -- ours --------------------------------------------------------------------------------------------------

    def _start(self, cwd: Path | None, given: dict[str, str]) -> RunningProcess:
        application = app.shared(self.config)
        template = application.templates.get(self.template)
        workspace = self._workspace = self._open(application, cwd)
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

    def _open(self, application: app.Application, cwd: Path | None) -> LiveWorkspace:
        """The running workspace of this kernel; it stays in the one where it was started first."""
        workspace = self._workspace
        if workspace is not None and not self._record:
            if not workspace.lost:
                return workspace
            workspace.close()
        root = getattr(getattr(self.parent, "parent", None), "root_dir", None)
        name = chosen_workspace(application.environ)
        if not (self._record or root or name):
            spec = ephemeral_workspace(application.settings, application.environ, Path.cwd(), cwd, self.template)
            return application.service.ephemeral(spec)
        registry = application.registry()
        if not self._record:
            record, note = registry.catalog.choose(
                None if root else name, root=Path(root or os.getcwd()), directory=cwd, template=self.template
            )
            if note:
                self.log.warning("%s", note)
            self._record = record.id
        return registry.open(self._record)

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

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel was ended because it passed the memory limit."""
        ended = self._kernel.exit if self._kernel is not None else None
        return ended is not None and ended.out_of_memory

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
