"""Documents that several people edit: jupyter-collaboration, as far as it is installed, made fit for this server.

It is used through parts that are not its public face, so only versions that were looked at are; of any other the
extension is not loaded, and pages are told that it is not there. Real-time collaboration is on for a server that has
users when it starts, unless `YDocExtension.disable_rtc` is set; with a single person JupyterLab is as it is without.

What it keeps goes into our data directory. It would write into the server's root directory, by names that a container
can turn into links.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import sqlite3
from collections.abc import Callable, Coroutine
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..model.clock import Clock
from ..model.record import WorkspaceRecord
from ..workspaces.registry import Change
from . import paths
from .histories import Histories

PACKAGE, FILE_IDS = "jupyter_server_ydoc", "jupyter_server_fileid"
KNOWN = {
    "jupyter-server-ydoc": ("3.0.4",),
    "jupyter-server-fileid": ("0.10.0",),
    "pycrdt-websocket": ("0.16.5",),
    "pycrdt-store": ("0.1.5",),
}
STOP_SECONDS = 8.0
FLUSH_SECONDS = 5.0
log = logging.getLogger("syla.server")
PAGE_PARTS = ("@jupyter/collaboration-extension", "@jupyter/docprovider-extension")
REPLACED = ("@jupyterlab/filebrowser-extension:defaultFileBrowser", "@jupyterlab/notebook-extension:cell-executor")
"""Parts of JupyterLab that are disabled where those are installed, because they bring their own."""
SECTION, SWITCH = "YDocExtension", "disable_rtc"


def unknown_versions() -> str:
    """What is installed that was not looked at; empty: nothing."""
    found = {}
    for package in KNOWN:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return ", ".join(f"{package} {found[package]}" for package, known in KNOWN.items() if found[package] not in known)


def is_installed(server: Any) -> bool:
    """And would be loaded, but for us."""
    return PACKAGE in server.extension_manager.extensions


def prepare(server: Any, directory: Path, has_users: Callable[[], bool]) -> bool:
    """Call it while extensions are linked, those it is about before ours. Whether there is something to guard.

    Parameters
    ----------
    directory : for what is kept; is made.

    RuntimeError: collaboration was asked for, and cannot be guarded.
    """
    packages = server.extension_manager.extensions
    if not packages[PACKAGE].enabled:
        return False
    (ydoc,) = server.extension_manager.extension_apps[PACKAGE]
    asked = ydoc.config.get(SECTION, {}).get(SWITCH)
    if why := unknown_versions() or _missing(packages):
        if asked is False:
            raise RuntimeError(f"{SECTION}.{SWITCH} is False, and rooms cannot be guarded: {why} (known: {KNOWN})")
        server.log.warning("Real-time collaboration is off, because its rooms cannot be guarded: %s", why)
        packages[PACKAGE].enabled = False
        return False
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if asked is None:
        ydoc.disable_rtc = not has_users()
    ydoc.session_store_path = str(directory / "sessions.json")
    ydoc.document_load_progressively = False
    ydoc.ystore_class = _history_class(ydoc.ystore_class, directory)
    (file_ids,) = server.extension_manager.extension_apps[FILE_IDS]
    file_ids.file_id_manager_class = _file_ids_class(directory / "file_ids.db")
    return True


def _missing(packages: Any) -> str:
    return "" if FILE_IDS in packages and packages[FILE_IDS].enabled else f"{FILE_IDS} is not enabled"


def _history_class(configured: Any, directory: Path) -> Any:
    from jupyter_server_ydoc.stores import SQLiteYStore
    from traitlets import Unicode

    from .history_store import HistoryStore

    if not issubclass(configured, SQLiteYStore):
        return configured  # an operator's choice
    members = {"db_path": Unicode(str(directory / "history.db"), config=True)}
    return type("WorkspaceYStore", (HistoryStore, configured), members)


def _file_ids_class(file: Path) -> Any:
    from jupyter_server_fileid.manager import ArbitraryFileIdManager
    from traitlets import Unicode

    class WorkspaceFileIds(ArbitraryFileIdManager):  # type: ignore[misc]
        """One id for each file, however its path is spelled; may be asked in any thread."""

        db_path = Unicode(str(file), config=True)
        con: Any

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.con.close()
            self.con = sqlite3.connect(self.db_path, check_same_thread=False, timeout=10)

        def _normalize_path(self, path: str) -> str:
            below = path.removeprefix(f"{self.root_dir.rstrip('/')}/")
            return f"{self.root_dir.rstrip('/')}/{paths.parse(below).text}"

        def _from_normalized_path(self, path: str | None) -> str | None:
            root = f"{self.root_dir.rstrip('/')}/"
            return path[len(root) :] if path is not None and path.startswith(root) else None

    return WorkspaceFileIds


class Collaboration:
    """In force on one server: its rooms, and what documents are kept by."""

    def __init__(
        self,
        server: Any,
        directory: Path,
        workspace_at: Callable[[str], str],
        clock: Clock,
        conflicted: Callable[[str, str, str], None],
    ) -> None:
        import jupyter_server_ydoc.app as ydoc_app
        from jupyter_server_ydoc import handlers, loaders

        from .document_room import Documents, WorkspaceFileLoader, WorkspaceRoom
        from .documents import SyncedStates

        documents = Documents(SyncedStates(directory / "synced.db"), workspace_at, clock, conflicted)
        self._room_class: Any = type("WorkspaceDocumentRoom", (WorkspaceRoom,), {"documents": documents})
        handlers.DocumentRoom = ydoc_app.DocumentRoom = self._room_class
        loaders.FileLoader = WorkspaceFileLoader
        self.histories = Histories(directory)
        (self.ydoc,) = server.extension_manager.extension_apps[PACKAGE]

    def out_of_force(self, server: Any) -> str:
        """Why rooms are not ours; empty: they are."""
        import jupyter_server_ydoc.app as ydoc_app
        from jupyter_server_ydoc import handlers, loaders

        from .document_room import WorkspaceFileLoader

        if handlers.DocumentRoom is not self._room_class or ydoc_app.DocumentRoom is not self._room_class:
            return "documents' rooms are not ours"
        if loaders.FileLoader is not WorkspaceFileLoader:
            return "documents' files are watched by another class than ours"
        if not server.web_app.settings.get("collaborative_session_store_path"):
            return "sessions would be kept in the server's root directory, through links"
        if type(server.web_app.settings.get("file_id_manager")).__name__ != "WorkspaceFileIds":
            return "file ids are not ours"
        return ""

    @property
    def is_on(self) -> bool:
        return not self.ydoc.disable_rtc

    def _rooms(self, workspace: str = "") -> list[Any]:
        """Of documents that are open, in one workspace or in all."""
        rooms: list[Any] = list(self.ydoc.ywebsocket_server.rooms.values())
        open_ones = [room for room in rooms if isinstance(room, self._room_class) and room.ready]
        return [room for room in open_ones if workspace in ("", room.workspace)]

    async def _flush(self, workspace: str = "") -> None:
        for room in self._rooms(workspace):
            await room.save()

    async def _look(self, workspace: str) -> None:
        for room in self._rooms(workspace):
            await room.look()

    def attend(self, registry: Any, loop: asyncio.AbstractEventLoop) -> None:
        """Have on disk what is open before a version is saved, in the rooms what was restored, and nowhere what was
        deleted."""

        def flush(record: WorkspaceRecord) -> None:
            self._within(loop, self._flush(record.id), "save before a version is taken")

        def look(change: Change) -> None:
            if change.verb == "restore":
                self._within(loop, self._look(change.record.id), "look at what was restored")

        def forget(change: Change) -> None:
            if change.verb == "delete":
                self.histories.purge(change.record.id)

        registry.before_saves.append(flush)
        registry.listeners += [look, forget]

    def _within(self, loop: asyncio.AbstractEventLoop, doing: Coroutine[Any, Any, None], what: str) -> None:
        """Blocks, in a thread that is not the loop's; the rooms do it by themselves a moment later in any case."""
        if not loop.is_running() or not self._rooms():
            doing.close()
            return
        future = asyncio.run_coroutine_threadsafe(doing, loop)
        try:
            future.result(FLUSH_SECONDS)
        except Exception as exc:
            future.cancel()
            log.warning("open documents: could not %s: %s", what, exc or type(exc).__name__)

    async def stop(self) -> None:
        """Before the server ends: what is not saved now is in the history, and saved when it is opened again. In a task
        of its own, as `document_room.WorkspaceRoom.initialize`."""
        flushing = asyncio.create_task(self._flush())
        await asyncio.wait([flushing], timeout=STOP_SECONDS)
        if not flushing.done() or flushing.exception() is not None:
            log.warning("not every open document is saved; their history has what is missing")
            flushing.cancel()
        await asyncio.sleep(0)


def without_page_part(hook: Any) -> Any:
    """A `page_config_hook` for a server where it is off: JupyterLab is as it is where nothing of it is installed."""

    def left_out(handler: Any, page_config: dict[str, Any]) -> dict[str, Any]:
        if hook is not None:
            page_config = hook(handler, page_config)
        parts = [one for one in page_config.get("federated_extensions", ()) if one.get("name") not in PAGE_PARTS]
        disabled = [one for one in page_config.get("disabledExtensions", ()) if one not in REPLACED]
        return {**page_config, "federated_extensions": parts, "disabledExtensions": disabled, "disableRTC": True}

    return left_out


@functools.cache
def document_types() -> frozenset[str]:
    from jupyter_ydoc import ydocs

    return frozenset(ydocs)
