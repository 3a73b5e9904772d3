"""The server extension: every kernel of this server runs in a workspace.

Set while extensions are linked, before the server makes its managers (explicit configuration of the user still wins):
kernelspecs without a provisioner get ours, the default kernel is ours, kernels that would run on the host are neither
offered nor started, kernels outlive the server, websockets resume what is suspended and tell why a kernel was ended,
files are served without following a link out of their workspace, terminals run inside, and doors that run code on the
host are closed, and every request passes by the doorkeeper, who asks for a name and for permissions. If any of that is
not in force when the extension loads, the server stops: a server that silently runs kernels on the host is worse than
none.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, cast

from jupyter_server.extension.application import ExtensionApp
from tornado.ioloop import IOLoop
from traitlets import Bool, List, Unicode
from traitlets.utils.importstring import import_item

from .. import app
from ..access.attempts import Attempts
from ..access.guard import Guard
from ..model.errors import SylaError
from ..model.people import Permission
from ..servers import note_server
from ..workspaces.live import LiveWorkspace, container_path
from ..workspaces.placement import kernel_environment
from . import collaboration
from .attendance import Attending
from .auth import Proofs, WorkspaceIdentityProvider, holds, of_hub, without_token
from .auth import out_of_force as identity_out_of_force
from .cell_queue import Asked
from .cells import Cells
from .collaboration import Collaboration
from .contents import WorkspaceContentsManager, out_of_force
from .doorkeeper import Doorkeeper, WorkspaceAuthorizer, put_in_force
from .doorkeeper import out_of_force as out_of_force_doorkeeper
from .doors import check_doors, close_doors, without_language_servers
from .execute_handler import ROUTES as EXECUTE_ROUTES
from .execute_handler import SETTING as CELLS
from .gates import JUPYTER, Gates
from .housekeeping import Housekeeping, terminal_signals
from .jupyter_signals import NoForgery, signals
from .kernel import WorkspaceKernel
from .kernel_ends import is_gone, tell_end, why_not_restart
from .kernel_runs import Around
from .kernels import Survival, WorkspaceKernelManager
from .kernelspecs import PROVISIONER, WorkspaceKernelSpecManager
from .naming import NOWHERE, Naming
from .own_pages import OwnPages, without_builds
from .records import claim
from .rest import Rest
from .room_socket import SETTING as ROOMS_SETTING
from .room_socket import Rooms, RoomSocket, SessionOfFile, may_read
from .run_log import RunLogs
from .screened import ScreenedWebsocketConnection
from .sessions import WorkspaceSessionManager
from .shared_documents import SharedDocuments, extension_of
from .terminal_handlers import ROUTES as TERMINAL_ROUTES
from .terminals import WorkspaceTerminalManager
from .thawing import ThawingWebsocketConnection

log = logging.getLogger("syla.server")
KERNEL = "syla-python"
SESSION_NAME = "JPY_SESSION_NAME"


class WorkspaceWebsocketConnection(ScreenedWebsocketConnection, ThawingWebsocketConnection):
    """Asks who may say what, notes what is asked, thaws, forwards."""


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

    open_routes = List(
        Unicode(),
        help="Regular expressions for paths of other extensions, below the server's base, that every user may ask for. "
        "All that is not known to us is for admins otherwise. What such a route does is not checked.",
    ).tag(config=True)

    def load_config_file(self, suppress_errors: bool = True) -> None:  # type: ignore[override]
        super().load_config_file(suppress_errors)
        self.config.KernelProvisionerFactory.default_provisioner_name = PROVISIONER
        self.config.MultiKernelManager.default_kernel_name = KERNEL
        self.config.ServerApp.kernel_manager_class = WorkspaceKernelManager
        self.config.ServerApp.session_manager_class = WorkspaceSessionManager
        self.config.ServerApp.kernel_websocket_connection_class = WorkspaceWebsocketConnection
        self.config.ServerApp.contents_manager_class = WorkspaceContentsManager
        self.config.ServerApp.identity_provider_class = WorkspaceIdentityProvider
        self.config.ServerApp.authorizer_class = WorkspaceAuthorizer
        self.config.ServerApp.allow_unauthenticated_access = False
        if not self._local_allowed():
            close_doors(self._server)
            self.config.ServerApp.kernel_spec_manager_class = WorkspaceKernelSpecManager
            self.config.KernelSpecManager.ensure_native_kernel = False
        self._prepare_collaboration()

    def _prepare_collaboration(self) -> None:
        """Its own extension is linked before ours, and loaded before ours too."""
        if not collaboration.is_installed(self._server):
            return
        config = deepcopy(self.config)
        config.merge(self._server.config)
        try:
            application = app.shared(config)
            directory, users = application.settings.data_dir / "collaboration", application.access().identities
            self._collaborates = collaboration.prepare(self._server, directory, users.has_users)
        except Exception as exc:
            log.critical("Rooms of documents cannot be guarded, so the server stops: %s", exc)
            raise SystemExit(1) from exc

    _terminals: WorkspaceTerminalManager | None = None
    _rest: Rest | None = None
    _housekeeping: Housekeeping | None = None
    _collaborates = False
    _collaboration: Collaboration | None = None

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
            self._run_cells(application)
            self._adopt(application)
            self._offer_terminals(application)
            self._watch_doors(application)
            self._keep_house(application)
        except Exception as exc:
            log.critical("Syla workspaces are not in force, so the server stops: %s", exc)
            raise SystemExit(1) from exc
        threading.Thread(target=self._warm, args=(application,), name="syla-warm", daemon=True).start()

    def _verify(self) -> None:
        """What the server will really use, whatever was configured where."""
        server = self._server
        if not self._local_allowed():
            check_doors(server)
        if why := out_of_force(server.contents_manager):
            raise RuntimeError(why)
        if why := identity_out_of_force(server.identity_provider):
            raise RuntimeError(why)
        specs = server.kernel_spec_manager
        if not self._local_allowed() and not isinstance(specs, WorkspaceKernelSpecManager):
            raise RuntimeError(f"kernel_spec_manager_class is {type(specs).__name__}, which offers kernels on the host")
        connection = server.kernel_websocket_connection_class
        for trait, used, ours in (
            ("kernel_manager_class", type(server.kernel_manager), WorkspaceKernelManager),
            ("session_manager_class", type(server.session_manager), WorkspaceSessionManager),
            ("authorizer_class", type(server.authorizer), WorkspaceAuthorizer),
            ("kernel_websocket_connection_class", connection, WorkspaceWebsocketConnection),
        ):
            if not issubclass(used, ours):
                raise RuntimeError(f"{trait} is {used.__name__}, not ours")
        kernel = import_item(server.kernel_manager.kernel_manager_class)
        if not issubclass(kernel, WorkspaceKernel):
            raise RuntimeError(f"the kernel manager's kernel_manager_class is {kernel.__name__}, not ours")

    def _run_cells(self, application: app.Application) -> None:
        """Where documents are shared, pages have the server run their cells."""
        server = self._server
        extension = extension_of(server)
        if extension is None:
            return
        assert self._rest is not None
        naming, sessions = self._naming(application), server.session_manager
        around = Around(
            documents=SharedDocuments(extension, server),
            logs=RunLogs(application.settings.data_dir / "servers" / "runs"),
            clock=application.clock,
            may_execute=partial(may_execute, application.access().guard),
            changed=self._rest.ran,
            vouched=self._rest.vouched,
            aside=self._rest.aside,
        )
        cells = Cells(around, kernels=server.kernel_manager, sessions=sessions.list_sessions, workspace_at=naming.at)
        server.kernel_manager.cells = cells
        loop: Any = IOLoop.current()
        self._rest.desk.open(cells, loop.asyncio_loop)
        server.web_app.settings[CELLS] = cells
        page = server.web_app.settings.setdefault("page_config_data", {})
        if server.config.YDocExtension.get("server_side_execution", True):
            page["serverSideExecution"] = True

    def _adopt(self, application: app.Application) -> None:
        """Have the kernels and sessions of the server before us, before the first request."""
        directory = claim(application.settings.data_dir / "servers", Path(self._server.root_dir))
        self._server.session_manager.keep_in(directory.sessions_file, directory.take_over())
        note_server(directory.path, self._server.info_file)
        survival = Survival(
            directory=directory,
            clock=application.clock,
            environment_kept=[*application.settings.environment_allowed, SESSION_NAME],
            let_go=lambda: application.registry().detach(),
            why_not_restart=lambda id: why_not_restart(application.registry().catalog, id),
        )
        began = application.clock.monotonic()
        lines = list(self._server.kernel_manager.adopt_all(survival))
        for line in lines:
            self.log.info("%s", line)
        if lines:
            seconds = application.clock.monotonic() - began
            self.log.info("%d kernels of the server before this one in %.3f s", len(lines), seconds)

    def _watch_doors(self, application: app.Application) -> None:
        """From here on nothing is answered before it is known who asks, and whether he may."""
        server, access = self._server, application.access()
        if isinstance(server.identity_provider, WorkspaceIdentityProvider):
            attempts = Attempts(application.clock)
            server.identity_provider.keep(Proofs(access.identities, access.guard, access.audit, attempts, access.owner))
        assert self._rest is not None
        naming = self._naming(application)
        keeper = Doorkeeper(
            gates=Gates([*JUPYTER, *self._rest.gates()], server.base_url),
            naming=naming,
            guard=access.guard,
            find_session=lambda id: server.session_manager.get_session(session_id=id),
            base_url=server.base_url,
            open_routes=self.open_routes,
            hub_owner=application.environ.get("JUPYTERHUB_USER", "") if of_hub(server.identity_provider) else "",
            holds=partial(holds, access.identities),
            came=access.visits.came,
            own=OwnPages(application.settings.data_dir / "pages").give,
        )
        put_in_force(server.web_app, keeper, {"EventHandler": NoForgery, **self._guard_rooms(application, naming)})
        settings = server.web_app.settings
        hook = without_builds(without_token(settings.get("page_config_hook")))
        settings["page_config_hook"] = hook if self._local_allowed() else without_language_servers(hook)
        if collaboration.is_installed(server) and not (self._collaboration and self._collaboration.is_on):
            settings["page_config_hook"] = collaboration.without_page_part(settings["page_config_hook"])
        if why := out_of_force_doorkeeper(server.web_app):
            raise RuntimeError(why)

    def _guard_rooms(self, application: app.Application, naming: Naming) -> Mapping[str, type]:
        """What handlers of rooms get in front."""
        server = self._server
        if not self._collaborates:
            return {}
        assert self._rest is not None
        directory = application.settings.data_dir / "collaboration"
        self._collaboration = Collaboration(server, directory, naming.at, application.clock, self._rest.conflicted)
        rooms = Rooms(
            self._rest.presences,
            application.clock,
            may_read(application.access().guard, naming, application.clock),
            collaboration.document_types(),
            Attending(self._rest.presences, application.clock, self._rest.attended).look,
        )
        server.web_app.settings[ROOMS_SETTING] = rooms
        if why := self._collaboration.out_of_force(server):
            raise RuntimeError(why)
        self._collaboration.attend(application.registry(), server.io_loop.asyncio_loop)
        return {"YDocWebSocketHandler": RoomSocket, "DocSessionHandler": SessionOfFile}

    def _naming(self, application: app.Application) -> Naming:
        server, root = self._server, Path(self._server.root_dir).resolve()

        def default_id() -> str:
            record, _ = application.registry().catalog.default(root, application.settings.template)
            return record.id if record.files == root else NOWHERE

        return Naming(
            store=application.store(),
            people=application.access().store,
            root=root,
            default_id=default_id,
            kernel_workspace=server.kernel_manager.workspace_of,
            terminal_directory=lambda name: self._terminals.directory(name) if self._terminals is not None else None,
            file_path=self._file_path,
        )

    def _file_path(self, file_id: str) -> str | None:
        """None: there is no such file, or nobody has ids of files."""
        manager = self._server.web_app.settings.get("file_id_manager") if self._collaborates else None
        path: str | None = manager.get_path(file_id) if manager is not None else None
        return path

    def _has_terminals(self) -> bool:
        return bool(self._server.terminals_enabled) and not self._local_allowed()

    def initialize_handlers(self) -> None:
        if self._has_terminals():
            self.handlers.extend(TERMINAL_ROUTES)
        self._rest = Rest(
            app.shared(self._server.config), root=Path(self._server.root_dir), base_url=self._server.base_url
        )
        self.handlers.extend(EXECUTE_ROUTES)
        self.handlers.extend(self._rest.handlers())  # the last of them takes all of /syla that is left

    def _offer_terminals(self, application: app.Application) -> None:
        """Terminals in the workspace of the directory where they are opened."""
        if not self._has_terminals():
            return
        root = Path(self._server.root_dir)

        def open_workspace(directory: Path) -> tuple[LiveWorkspace, str]:
            registry = application.registry()
            record, _ = registry.catalog.place(root, directory, application.settings.template)
            live = registry.open(record.id)
            application.service.settle_soon(live)
            return live, container_path(live.spec, directory)

        self._terminals = WorkspaceTerminalManager(
            root=root,
            open_workspace=open_workspace,
            clock=application.clock,
            environment=kernel_environment(application.settings, {}, application.environ, ""),
            parent=self._server,
        )
        self._server.web_app.settings.update(terminal_manager=self._terminals, terminals_available=True)

    def current_activity(self) -> Any:
        return self._terminals.terminals if self._terminals is not None else None

    async def stop_extension(self) -> None:
        if self._collaboration is not None:
            await self._collaboration.stop()
        if self._housekeeping is not None:
            await asyncio.to_thread(self._housekeeping.stop)
        if self._rest is not None:
            self._rest.written.stop()
            await self._rest.telling.stop()
        if self._terminals is not None:
            await self._terminals.terminate_all()

    def _keep_house(self, application: app.Application) -> None:
        assert self._rest is not None
        activity = [self._server.kernel_manager.activity, self._rest.activity]
        if self._terminals is not None:
            activity.append(terminal_signals(self._terminals, application.store().executions))
        warned, telling = application.chronicle().warned, self._rest.telling
        self._rest.also = signals(self._server)
        self._housekeeping = Housekeeping(
            application,
            activity=activity,
            disk_warned=partial(warned, kind="disk"),
            tidy=partial(self._forget_histories, application),
        )
        self._server.kernel_manager.tell_end = partial(tell_end, application.registry().catalog, warned)
        telling.loop = self._rest.written.loop = cast(Any, self._server.io_loop).asyncio_loop
        telling.workspace_at = self._naming(application).at
        self._server.kernel_manager.tell_execute = telling.executed
        self._server.kernel_manager.tell_run = self._rest.written.runs
        self._server.contents_manager.tell_change = self._rest.file_changed
        self._server.contents_manager.vouch = self._rest.trust.add
        self._housekeeping.start()

    def _forget_histories(self, application: app.Application) -> list[str]:
        if self._collaboration is None:
            return []
        return self._collaboration.histories.sweep(partial(is_gone, application.registry().catalog))

    def _warm(self, application: app.Application) -> None:
        """In the background: tidy up after servers that died, then have the default workspace ready."""
        try:
            for line in [*application.registry().finish(), *application.service.reconcile()]:
                log.info("reconciled: %s", line)
            if self.warm_start:
                registry = application.registry()
                record, note = registry.catalog.default(Path(self._server.root_dir), application.settings.template)
                if note:
                    log.warning("%s", note)
                if not record.frozen:  # a suspended one is as fast, and stays so until somebody comes
                    application.service.settle(registry.open(record.id))
        except (SylaError, OSError) as exc:
            log.warning("kernels cannot start yet: %s (`syla doctor` says more)", exc)


def may_execute(guard: Guard, asked: Asked, workspace: str) -> bool:
    """Blocks."""
    if asked.owner:
        return True
    principal = guard.principal(asked.user)
    return principal is not None and guard.decide(principal, Permission.EXECUTE, workspace).allowed
