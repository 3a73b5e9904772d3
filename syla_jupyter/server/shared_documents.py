"""The documents of jupyter-collaboration, as the server itself uses them: the only file that knows its insides.

A document is known by its room, `json:notebook:<file id>`. It is in memory while a page has it open and a while longer;
whoever asks for one that is not has it loaded. `USED` lists what is used though it is private; a test fails when a
version lacks any of it.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jupyter_server.utils import ensure_async

from .yjs_wire import clock_of

EXTENSION = "jupyter_server_ydoc"
ROOM = re.compile(r"json:notebook:([\w-]{1,100})", re.ASCII)
UNUSED_SECONDS = 60.0
"""A document that we have had loaded, and that no page has opened, is let go so long after."""
EDITS_SECONDS = 10.0
"""A change that a page has made is here within that, or its connection is broken."""
USED = {
    "jupyter_server_ydoc.app:YDocExtension": ("get_document", "_room_locks"),
    "jupyter_server_ydoc.rooms:DocumentRoom": ("_save_to_disc", "_maybe_save_document"),
    "jupyter_server_ydoc.websocketserver:JupyterWebsocketServer": ("room_exists", "delete_room"),
    "jupyter_ydoc:YNotebook": ("ycells", "ydoc"),
}
log = logging.getLogger("syla.server")


@dataclass(frozen=True)
class Edits:
    """How far the changes are that one page has made."""

    client: int
    clock: int


async def arrival(notebook: Any, edits: Edits, seconds: float = EDITS_SECONDS) -> bool:
    """Whether the document has them, within that time."""
    changed = asyncio.Event()
    watch = notebook.ydoc.observe(lambda _: changed.set())
    try:
        async with asyncio.timeout(seconds):
            while clock_of(notebook.ydoc.get_state(), edits.client) < edits.clock:
                changed.clear()
                await changed.wait()
    except TimeoutError:
        return False
    finally:
        notebook.ydoc.unobserve(watch)
    return True


def extension_of(server: Any) -> Any | None:
    """jupyter-collaboration's own, when it is there and documents are shared."""
    apps = server.extension_manager.extension_apps.get(EXTENSION) or ()
    for one in apps:
        return None if getattr(one, "disable_rtc", True) else one
    return None


class SharedDocuments:
    """All on the server's loop."""

    def __init__(self, extension: Any, server: Any) -> None:
        self._extension, self._server = extension, server
        self._letting_go: dict[str, asyncio.Task[None]] = {}
        self.in_use: Callable[[str], bool] = lambda room: False
        """Whether something is still to be written to it, page or no page."""

    @property
    def _files(self) -> Any:
        return self._server.web_app.settings["file_id_manager"]

    def path_of(self, room: str) -> str | None:
        """API path of a notebook's file; None: there is none, or it is no room of a notebook."""
        named = ROOM.fullmatch(room)
        path = self._files.get_path(named.group(1)) if named else None
        return None if path is None else str(path).strip("/")

    def room_of(self, path: str) -> str | None:
        """None: nobody has had it open."""
        id = self._files.get_id(path)
        return None if id is None else f"json:notebook:{id}"

    def is_open(self, room: str) -> bool:
        return bool(self._extension.ywebsocket_server.room_exists(room))

    async def notebook(self, room: str) -> Any | None:
        """Its `YNotebook`, which is the one that pages see; None when its file is gone or is no notebook."""
        if self.is_open(room):
            found = self._extension.ywebsocket_server.rooms[room]
            return found._document if found.ready else await self._load(room)
        loaded = await self._load(room)
        self.let_go_later(room)
        return loaded

    async def _load(self, room: str) -> Any | None:
        try:
            return await self._extension.get_document(room_id=room, copy=False, create=True)
        except Exception as exc:  # whatever a file that was changed outside gives
            log.warning("document %s cannot be had: %r", self.path_of(room), exc)
            return None

    async def save(self, room: str) -> None:
        """Soon, in the way that an edit is saved."""
        found = self._extension.ywebsocket_server.rooms.get(room)
        task = found._save_to_disc() if found is not None else None
        if task is not None:
            await asyncio.wait({task})

    async def saved_cell(self, room: str, cell: str) -> Any | None:
        """As it is on disk, empty for a file that cannot be read now; None: it is not there."""
        path = self.path_of(room)
        if path is None:
            return None
        try:
            model = await ensure_async(self._server.contents_manager.get(path, content=True, type="notebook"))
            return next((one for one in model["content"]["cells"] if one.get("id") == cell), None)
        except Exception:  # whatever is in the file, which is anybody's
            return {}

    # -- letting go ----------------------------------------------------------------------------------------------

    def let_go_later(self, room: str) -> None:
        if room not in self._letting_go:
            self._letting_go[room] = asyncio.ensure_future(self._let_go(room))

    async def _let_go(self, room: str) -> None:
        try:
            while self.is_open(room):
                await asyncio.sleep(UNUSED_SECONDS)
                found = self._extension.ywebsocket_server.rooms.get(room)
                if found is None or found.clients:
                    return  # who closes it last lets it go
                if self.in_use(room):
                    continue
                await self.save(room)
                async with self._extension._room_locks[room]:
                    if not found.clients and self._extension.ywebsocket_server.rooms.get(room) is found:
                        await self._extension.ywebsocket_server.delete_room(room=found)
                        await self._drop_loader(room)
        except Exception as exc:
            log.warning("document %s stays in memory: %r", self.path_of(room), exc)
        finally:
            self._letting_go.pop(room, None)

    async def _drop_loader(self, room: str) -> None:
        loaders, named = self._extension.file_loaders, ROOM.fullmatch(room)
        if named is not None and named.group(1) in loaders and not loaders[named.group(1)].number_of_subscriptions:
            await loaders.remove(named.group(1))
