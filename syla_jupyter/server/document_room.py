"""A document's room and its file: jupyter-collaboration's, with a saving of its own, so that nothing is lost.

    saved             a second after the first change that is not saved, however many follow; what fails is tried again
    changed on disk   taken over; what was not saved yet is kept beside it first, in a file with `conflict` in its name
    opened again      what the history has and the file has not is kept, and the other way round (`documents`)
    another workspace in the same place: the room is let go, its history is not the other's
    ended             saved first

Theirs waits until nobody types; takes the file for newer whenever it differs; and does not see a file that has become
older, which is what a restore does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_server.utils import ensure_async
from jupyter_server_ydoc.loaders import FileLoader
from jupyter_server_ydoc.utils import LogLevel, OutOfBandChanges
from jupyter_ydoc import ydocs
from pycrdt import Doc
from pycrdt.store import YDocNotFound

from ..access.acting import AND, acting
from ..model.clock import Clock
from .documents import Fate, Synced, SyncedStates, conflict_path, digest_of, fate_of
from .fanout import FanoutRoom

RETRY_MAX_SECONDS = 8.0
STOP_SECONDS = 10.0
KEEP_UP_SECONDS = 1.0
CONFLICTS_MAX = 100
NOT_AN_UPDATE = 1007  # "invalid payload", RFC 6455


@dataclass(frozen=True)
class Documents:
    """What all rooms share."""

    states: SyncedStates
    workspace_at: Callable[[str], str]
    """Of an API path; may block."""
    clock: Clock
    conflicted: Callable[[str, str, str], None] = lambda workspace, path, kept: None
    """Told (workspace id, path, path of what is kept beside it); must not wait."""


class WorkspaceFileLoader(FileLoader):  # type: ignore[misc]
    if TYPE_CHECKING:
        last_modified: Any
        _current_path: str

    @property
    def path_or_none(self) -> str | None:
        """None: it was deleted."""
        path: str | None = self._file_id_manager.get_path(self.file_id)
        return path

    async def maybe_save_content(self, model: dict[str, Any]) -> Any:
        before = self.last_modified
        try:
            return await super().maybe_save_content(model)
        except OutOfBandChanges:
            self.last_modified = before  # until it has been read: whoever saves next must not overwrite it
            raise

    async def maybe_notify(self) -> None:
        """Whether the file's time is another one; older ones are of files that were restored."""
        async with self._lock:
            path = self.path_or_none or ""
            moved, self._current_path = self._current_path != path, path
            model = await ensure_async(self._contents_manager.get(path, content=False)) if path else {}
            changed = bool(path) and self.last_modified not in (None, model["last_modified"])
        for callback in list(self._filepath_subscriptions.values()) if moved else ():
            await ensure_async(callback())
        for callback in list(self._subscriptions.values()) if changed else ():
            await callback()


class WorkspaceRoom(FanoutRoom):
    documents: Documents
    """Of the class that is made for a server."""
    if TYPE_CHECKING:
        ready: bool
        _saving_document: asyncio.Task[None] | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._revision = self._saved_revision = 0
        self._taking = False
        """Whether the change that is heard of is our own."""
        self._saving = asyncio.Lock()
        self._workspace = self._key = self._opened_path = ""
        self._abandoned = False
        self.editors: set[str] = set()
        """Who has written into it since it was saved."""
        self._synced = Synced()
        super().__init__(*args, **kwargs)

    @property
    def unsaved(self) -> bool:
        return bool(self._revision != self._saved_revision) and not self._abandoned

    # -- opened ----------------------------------------------------------------------------------------------------

    async def initialize(self) -> None:
        """In a task of its own: threads in which files are read live as long as the task that had them made, a process
        waits for its threads, and the task that asks is a websocket's, which may be open when the server ends."""
        if not self.ready:
            await asyncio.create_task(self._initialize())

    async def _initialize(self) -> None:
        await self._find_place()
        model = await self._file.load_content(self._file_format, self._file_type)
        async with self._update_lock:
            self._taking = True
            try:
                kept = await self._apply_history()
                await self._begin(model["content"], kept)
            finally:
                self._taking = False
            self.ready = True
        await self.ydoc_observed.wait()
        self._emit(LogLevel.INFO, "initialize", "Room initialized")
        if self.unsaved:
            self._save_soon()
        else:
            self._document.dirty = False  # its history may say otherwise, from a server that ended

    async def _find_place(self) -> None:
        self._opened_path = self._file.path
        self._workspace = await asyncio.to_thread(self.documents.workspace_at, self._opened_path)
        self._key = f"{self._workspace}:{self._file_format}:{self._file_type}:{self._file.file_id}"
        if self.ystore is not None:
            self.ystore.path = self._key

    async def _apply_history(self) -> bool:
        """Whether there is any."""
        if self.ystore is None:
            return False
        async with self.ystore.start_lock:
            if not self.ystore.started.is_set():
                self.create_task(self.ystore.start())
                await self.ystore.started.wait()
        try:
            await self.ystore.apply_updates(self.ydoc)
        except YDocNotFound:
            return False
        return True

    async def _begin(self, content: Any, kept: bool) -> None:
        file = await asyncio.to_thread(self._digest_read, content)
        if not kept:
            await self._remember(Synced(known=file))
            await self._apply_deterministic_source_content(content)
            await self._keep_all()
            return
        mine = self._document.get()
        fate = fate_of(file, digest_of(mine), await asyncio.to_thread(self.documents.states.get, self._key))
        if fate is Fate.SAVE:
            self._synced = Synced(known=file)
            self._revision += 1
            return
        if fate is Fate.BOTH:
            await self._keep_beside(mine)
        if fate is not Fate.SAME:
            self._document.set(content)
            await self._keep_all()
        await self._remember(Synced(known=file))

    def _digest_read(self, content: Any) -> str:
        """As the document says it: what is not of today's form is put into it."""
        document = ydocs.get(self._file_type, ydocs["file"])(Doc())
        document.set(content)
        return digest_of(document.get())

    async def _remember(self, synced: Synced) -> None:
        self._synced = synced
        await asyncio.to_thread(self.documents.states.put, self._key, synced)

    # -- kept in the history ---------------------------------------------------------------------------------------

    async def _keep_all(self) -> None:
        """In one piece, whatever is in the history already. Without a history there is still the file."""
        if self.ystore is None:
            return
        try:
            await self.ystore.write(self.ydoc.get_update())
        except Exception as exc:
            self.log.warning("%s is not in its history: %r", self._room_id, exc)

    async def keep_up(self) -> None:
        """All that was heard until now is in the history. That must not be behind the file either: it would be taken
        for ahead of it when it is opened again."""
        if self._keeping is None:
            return
        try:
            async with asyncio.timeout(KEEP_UP_SECONDS):
                await self._keeping.up_to_now()
        except TimeoutError:
            await self._keep_all()

    # -- saved -----------------------------------------------------------------------------------------------------

    def _on_document_change(self, target: str, event: Any) -> None:
        if self._taking or (target == "state" and not _says_unsaved(event)):
            return
        self._revision += 1
        says = [state.get("autosave", True) for state in self.awareness.states.values() if state]
        if self._save_delay is not None and (any(says) or not says):
            self._save_soon()

    def _save_soon(self) -> None:
        if self._saving_document is None or self._saving_document.done():
            self._saving_document = asyncio.create_task(self._save_until_saved())

    async def _save_until_saved(self) -> None:
        wait = self._save_delay or 0
        while self.unsaved:
            await asyncio.sleep(wait)
            try:
                await self.save()
                wait = self._save_delay or 0
            except Exception as exc:
                wait = min(RETRY_MAX_SECONDS, max(1.0, 2 * wait))
                self.log.warning("%s is not saved, once more in %g s: %s", self._room_id, wait, exc)

    def _save_to_disc(self) -> asyncio.Task[None]:
        """What a page asks for; it is told whether that went well."""
        return asyncio.create_task(self.save(asked=True))

    async def _maybe_save_document(self, saving_document: Any, save_now: bool = False) -> None:
        await self.save(asked=save_now)

    async def save(self, asked: bool = False) -> None:
        """What the document says now is on disk, or kept beside what somebody else wrote there. Raises as the contents
        manager does. `asked`: by a person, who is not told that it is there unless it was just written."""
        async with self._saving:
            if not (asked or self.unsaved):
                return
            if await self._is_anothers():
                if asked:
                    raise OSError(f"{self._opened_path} is gone")
                return
            revision, content = self._revision, self._document.get()
            editors, self.editors = self.editors, set()
            said = digest_of(content)
            if asked or said != self._synced.known:
                await self.keep_up()
                await self._remember(Synced(self._synced.known, said))
                try:
                    model = {"format": self._file_format, "type": self._file_type, "content": content}
                    with acting(AND.join(sorted(editors))):
                        saved = await self._file.maybe_save_content(model)
                except OutOfBandChanges:
                    await self._take_file()
                    return
                if saved is None:
                    raise OSError(f"{self._file.path} is not writable")
                self._document.hash = saved["hash"]
                await self._remember(Synced(known=said))
            self._saved_revision = revision
            if self._revision == revision:
                self._document.dirty = False
        self._emit(LogLevel.INFO, "save", "Content saved.")

    # -- changed by somebody else ----------------------------------------------------------------------------------

    async def _on_outofband_change(self) -> None:
        async with self._saving:
            if not await self._is_anothers():
                await self._take_file()

    async def _take_file(self) -> None:
        """Until it is done, the file counts as changed: whatever fails is tried again, and nobody saves over it."""
        before = self._file.last_modified
        model = await self._file.load_content(self._file_format, self._file_type)
        read, self._file.last_modified = self._file.last_modified, before
        file = await asyncio.to_thread(self._digest_read, model["content"])
        kept = -1
        while self.unsaved and kept != self._revision:
            kept, mine = self._revision, self._document.get()
            if digest_of(mine) not in (file, self._synced.known):
                await self._keep_beside(mine)
        self._take(model["content"])
        self._file.last_modified = read
        self._saved_revision = self._revision
        self._document.dirty = False
        await self._remember(Synced(known=file))
        self._emit(LogLevel.INFO, "overwrite", "The file was changed on disk.")

    def _take(self, content: Any) -> None:
        self._taking = True
        try:
            self._document.set(content)
        finally:
            self._taking = False

    async def _keep_beside(self, content: Any) -> None:
        """Raises as the contents manager does: then nothing may be taken."""
        manager, now = self._file._contents_manager, self.documents.clock.now()
        for number in range(CONFLICTS_MAX):
            path = conflict_path(self._file.path, now, number)
            if not await ensure_async(manager.file_exists(path)):
                break
        type = self._file_type if self._file_type == "notebook" else "file"
        await ensure_async(manager.save({"format": self._file_format, "type": type, "content": content}, path))
        message = f"{self._file.path} was changed on disk; what was not saved yet is in {path}"
        self.log.warning("%s", message)
        self._emit(LogLevel.INFO, None, message)  # of a warning the page would say that there are two views
        self.documents.conflicted(self._workspace, self._file.path, path)

    # -- moved, ended ----------------------------------------------------------------------------------------------

    async def _is_anothers(self) -> bool:
        """Whether it was deleted, or in its workspace's place there is another one now, whose file this is not."""
        path = self._file.path_or_none
        if path is None:
            self._abandoned = True
            return True
        workspace = await asyncio.to_thread(self.documents.workspace_at, path)
        if workspace == self._workspace:
            self._opened_path = path
            return self._abandoned
        if path == self._opened_path:
            self._abandoned = True
            self.log.warning("%s: its workspace is gone; what was not saved is dropped", self._room_id)
        else:
            await self._find_place()
            await self._keep_all()
            await self._remember(self._synced)
        return self._abandoned

    def _on_filepath_change(self) -> None:
        """Who is in the room is asked about again: it may be in a workspace now where he has no business."""
        if path := self._file.path_or_none:
            self._document.path = path
        for client in list(self.clients):
            client.ask_again()

    @property
    def workspace(self) -> str:
        """Its id; empty before it is opened."""
        return self._workspace

    async def look(self) -> None:
        """Whether somebody else has written the file, now and not in a second."""
        await self._file.maybe_notify()

    async def let_go(self) -> bool:
        """Whether it is of a workspace that is gone."""
        return self.ready and await self._is_anothers()

    async def stop(self) -> None:
        saving, self._saving_document = self._saving_document, None
        if saving is not None:
            saving.cancel()
        if self.ready and self.unsaved:
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await self.save()
            except Exception as exc:
                self.log.error("%s is not saved; its history has it: %s", self._room_id, exc)
        await super().stop()

    async def _handle_sync_message_error(self, exc: Exception, message: bytes, channel: Any) -> bool:
        if not await super()._handle_sync_message_error(exc, message, channel):
            self.log.warning("%s: not an update: %s", self._room_id, exc)
            channel.close(NOT_AN_UPDATE, "not an update")
        return True


def _says_unsaved(event: Any) -> bool:
    """A page says so after each change, and sometimes without one: it is to be told that nothing is unsaved."""
    change = event.keys.get("dirty")
    return change is not None and change.get("newValue") is True
