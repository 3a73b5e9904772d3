"""The server extension: every kernel of this server runs in a workspace.

Set while extensions are linked, before the server makes its managers (explicit configuration of the user still wins):
kernelspecs without a provisioner get ours, the default kernel is ours, kernels that would run on the host are neither
offered nor started, and websockets tell people why a kernel was ended. If any of that is not in force when the
extension loads, the server stops: a server that silently runs kernels on the host is worse than none.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

from jupyter_server.extension.application import ExtensionApp
from traitlets import Bool

from .. import app
from ..model.errors import SylaError
from ..workspaces.placement import default_workspace
from .kernelspecs import PROVISIONER, WorkspaceKernelSpecManager
from .websocket import TellingWebsocketConnection

log = logging.getLogger("syla.server")
KERNEL = "syla-python"


class SylaExtension(ExtensionApp):
    name = "syla_jupyter"
    extension_url = "/syla"
    load_other_extensions = True

    warm_start = Bool(
        True, help="Start the default workspace with the server, so that the first kernel is as fast as the next."
    ).tag(config=True)
    allow_local_kernels = Bool(
        False, help="Also offer kernels that run on this machine, outside of any container. True gives up isolation."
    ).tag(config=True)

    def load_config_file(self, suppress_errors: bool = True) -> None:  # type: ignore[override]
        super().load_config_file(suppress_errors)
        self.config.KernelProvisionerFactory.default_provisioner_name = PROVISIONER
        self.config.MultiKernelManager.default_kernel_name = KERNEL
        self.config.ServerApp.kernel_websocket_connection_class = TellingWebsocketConnection
        if not self._local_allowed():
            self.config.ServerApp.kernel_spec_manager_class = WorkspaceKernelSpecManager
            self.config.KernelSpecManager.ensure_native_kernel = False

    def _local_allowed(self) -> bool:
        section: Any = self.config.get("SylaExtension", {})
        return bool(section.get("allow_local_kernels", self.allow_local_kernels))

    @property
    def _server(self) -> Any:
        return self.serverapp

    def initialize(self) -> None:  # type: ignore[override] # as ExtensionApp has it
        initialize: Any = super().initialize
        try:
            initialize()
            self._verify()
            application = app.shared(self._server.config)
        except Exception as exc:
            log.critical("Syla workspaces are not in force, so the server stops: %s", exc)
            raise SystemExit(1) from exc
        threading.Thread(target=self._warm, args=(application,), name="syla-warm", daemon=True).start()

    def _verify(self) -> None:
        """What the server will really use, whatever was configured where."""
        manager = self._server.kernel_spec_manager
        if not self._local_allowed() and not isinstance(manager, WorkspaceKernelSpecManager):
            raise RuntimeError(
                f"kernel_spec_manager_class is {type(manager).__name__}, which offers kernels on the host"
            )
        connection = self._server.kernel_websocket_connection_class
        if not issubclass(connection, TellingWebsocketConnection):
            raise RuntimeError(f"kernel_websocket_connection_class is {connection.__name__}, not ours")

    def _warm(self, application: app.Application) -> None:
        """In the background: tidy up after servers that died, then have the default workspace ready."""
        try:
            for line in application.service.reconcile():
                log.info("reconciled: %s", line)
            if self.warm_start:
                spec, note = default_workspace(
                    application.settings, Path(self._server.root_dir), application.settings.template, Path.home()
                )
                if note:
                    log.warning("%s", note)
                    assert spec.files is not None
                    spec.files.mkdir(parents=True, exist_ok=True)
                application.service.settle(application.service.named(spec))
        except SylaError as exc:
            log.warning("kernels cannot start yet: %s (`syla doctor` says more)", exc)
