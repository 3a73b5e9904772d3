"""A room's websocket as everybody gets it: in front of jupyter-collaboration's own handler, behind the doorkeeper.

That handler makes room, file loader and watcher before it looks who asks, takes every update from everybody, asks
nobody where the page is from, and believes what a page says of its user. So here, for each connection:

    before anything is made   it is a websocket, from a page of this server, for a room that can be
    who may read              hears everything; says what he has, and who he is
    who may write too         says everything
    who he is                 is what the server knows, whatever his page says; what it repeats of others is dropped

A page of somebody who looks on writes into the document by itself (its name, for one); that is dropped without a word
each time, and told once in a while, in a message of its own. A request to save is answered: failed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from jupyter_server.base.websocket import WebSocketMixin
from jupyter_server.utils import ensure_async
from tornado import web
from tornado.iostream import StreamClosedError

from ..model.clock import Clock
from ..model.people import Permission, Principal
from .bounded import UNSENT_BYTES_MAX, Unsent
from .bounded_websocket import CLOSE_CODE
from .naming import NOWHERE
from .rooms import GLOBAL, Participant, Presences, current_path, document_of, is_copy, vouched
from .yjs_wire import Kind, Presence, awareness, kind_of, presences, save_number, told

SETTING = "syla_rooms"
READERS_MESSAGE_MAX = 1 << 20  # bytes: what somebody has, and who he is
WRITERS_MESSAGE_MAX = 128 << 20  # bytes: a notebook with its outputs
TOLD_SECONDS = 30.0
NAMED_SECONDS = 1.0
NAMED_MAX = 1000  # paths
ANSWER = b"\x00\x01"  # of the server, to "what I have"
HANDSHAKE = ("Sec-Websocket-Key", "Sec-Websocket-Version")
COME_AGAIN = 1012  # "service restart": pages connect again by themselves, and say all that they have
SHOWN_ELSEWHERE = ("user", "current")
log = logging.getLogger("syla.server")
READ_ONLY = {"type": "read-only", "reason": "you may look on here, and not change anything; ask who shares this"}


@dataclass(frozen=True)
class Rooms:
    """What all connections share."""

    presences: Presences
    clock: Clock
    may_read: Any
    """(principal, API path) -> bool; may block for one look at the store."""
    types: frozenset[str]
    """Of documents that there are."""
    look: Callable[[], None] = lambda: None
    """Called when somebody has come to a document or gone."""


class RoomSocket:
    _passed: Any
    _unsent: Unsent
    _participant: Participant | None = None
    _heard_of = False
    """Whether anything of his was dropped: what comes later cannot be understood without it."""
    _told_at = -TOLD_SECONDS

    @property
    def _rooms(self: Any) -> Rooms:
        rooms: Rooms = self.settings[SETTING]
        return rooms

    @property
    def _full(self) -> bool:
        return self._passed is not None and bool(self._passed.full)

    # -- before anything is made -----------------------------------------------------------------------------------

    async def prepare(self: Any) -> None:
        if self._passed is None or self._passed.principal is None:
            self.current_user = None
            raise web.HTTPError(403)
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            raise web.HTTPError(400, "a websocket is expected here")
        if not all(self.request.headers.get(name) for name in HANDSHAKE):
            raise web.HTTPError(400, "not a websocket's handshake")
        if not self.check_origin(self.get_origin()):
            raise web.HTTPError(403, "cross-origin websockets are not allowed")
        name = self.request.path.rpartition("/")[2]
        if [*self.path_args, *self.path_kwargs.values()] != [name] or not self._can_be(name):
            raise web.HTTPError(404, "there is no such room")
        await self._let_go(name)
        await super().prepare()  # type: ignore[misc]

    async def _let_go(self: Any, name: str) -> None:
        """Of a workspace that is gone, in whose place there is another: its room is not the new one's."""
        server = self._websocket_server
        if document_of(name) is None or not server.room_exists(name):
            return
        async with self._room_lock(name):
            room = server.rooms.get(name)
            if room is None or not await room.let_go():
                return
            for client in list(room.clients):
                client.close(COME_AGAIN, "the workspace was deleted")
            if room.cleaner is not None:
                room.cleaner.cancel()
            await server.delete_room(room=room)

    def _can_be(self: Any, name: str) -> bool:
        document = document_of(name)
        if document is not None:
            return document.type in self._rooms.types and self._file_id_manager.get_path(document.file_id) is not None
        return name == GLOBAL or (is_copy(name) and self._websocket_server.room_exists(name))

    def check_origin(self: Any, origin: str | None = None) -> bool:
        return bool(WebSocketMixin.check_origin(self, origin))

    def document(self: Any) -> tuple[str, str]:
        """(id of its workspace, its path); empty: of none, or of none any more. May be asked in any thread."""
        document = document_of(self._room_id)
        path = self._file_id_manager.get_path(document.file_id) if document is not None else None
        return (self.room.workspace, path) if path else ("", "")

    @property
    def workspace(self: Any) -> str:
        """Id of its document's, once that is open; empty: of none."""
        return str(getattr(self.room, "workspace", ""))

    @property
    def max_message_size(self: Any) -> int:
        return WRITERS_MESSAGE_MAX if self._full else READERS_MESSAGE_MAX

    # -- while it is open ------------------------------------------------------------------------------------------

    async def open(self: Any, *args: Any, **kwargs: Any) -> None:
        rooms, now = self._rooms, self._rooms.clock.now()
        self._participant = Participant(self._room_id, self.current_user.username, self, now, active_at=now)
        rooms.presences.join(self._participant)
        self._unsent = Unsent()
        await super().open(*args, **kwargs)  # type: ignore[misc]
        rooms.look()

    async def on_message(self: Any, message: Any) -> None:
        kind, participant = kind_of(message), self._participant
        if self._passed is None or participant is None or kind is Kind.NOTHING:
            return
        if kind is Kind.AWARENESS:
            message = self._own_awareness(participant, presences(message))
            if message is None:
                return
        elif kind in (Kind.WRITES, Kind.SAVES):
            if not self._writes():
                await self._refuse(kind, message)
                return
            self._rooms.presences.acts(participant, self._rooms.clock.now())
            if kind is Kind.WRITES:
                getattr(self.room, "editors", set()).add(participant.username)
            if self._heard_of:
                self.close(COME_AGAIN, "your role has changed")
                return
        await super().on_message(message)  # type: ignore[misc]

    def _writes(self: Any) -> bool:
        return bool(self._full) and self._room_id != GLOBAL

    def _own_awareness(self: Any, participant: Participant, rows: list[Presence]) -> bytes | None:
        own = self._rooms.presences.own(participant, rows, self.room.awareness.client_id)
        if own is None:
            return None
        state = own.state
        if state is not None:
            state = vouched(state, self.identity_provider.identity_model(self.current_user), self._full)
        before = participant.state
        participant.clock, participant.state = own.clock, state or {}
        if participant.state != before:
            self._moves(participant, before)
        return awareness([Presence(own.client, own.clock, state)])

    def _moves(self: Any, participant: Participant, before: Mapping[str, Any]) -> None:
        presences = self._rooms.presences
        if self._room_id != GLOBAL:
            presences.acts(participant, self._rooms.clock.now())
        elif current_path(participant.state) != current_path(before):
            presences.turns(participant)

    async def _refuse(self: Any, kind: Kind, message: bytes) -> None:
        now = self._rooms.clock.monotonic()
        if kind is Kind.SAVES:
            await self.send(told({"type": "save", "responseTo": save_number(message), "status": "failed"}))
        if self._room_id == GLOBAL:
            return  # there is nothing to write in it, for anybody
        self._heard_of = self._heard_of or kind is Kind.WRITES
        if now - self._told_at >= TOLD_SECONDS:
            self._told_at = now
            await self.send(told(READ_ONLY))

    async def send(self: Any, message: bytes) -> None:
        passed = self._passed
        if passed is None or self.ws_connection is None:
            return  # it is being closed
        if self._room_id == GLOBAL and not passed.principal.admin and kind_of(message) is Kind.AWARENESS:
            message = self._readable(passed.principal, presences(message))
        if message[:2] == ANSWER and document_of(self._room_id) is not None:
            await self.room.keep_up()  # so that a page knows from the answer that what it said before is kept
        await super().send(message)  # type: ignore[misc]

    def hand(self: Any, frame: bytes) -> None:
        """What everybody in a document hears alike (`fanout`). Who takes nothing of it is given up."""
        connection = self.ws_connection
        if self._passed is None or connection is None or connection.is_closing():
            return
        try:
            write = connection.stream.write(frame)
        except StreamClosedError:
            return
        if not self._unsent.has_room(len(frame), write if connection.stream.writing() else None):
            log.warning("room %s: a page that takes none of %d bytes is closed", self._room_id, UNSENT_BYTES_MAX)
            self.close(CLOSE_CODE, "the page does not take what happens here")

    def _readable(self: Any, principal: Principal, rows: list[Presence]) -> bytes:
        """Somebody is seen where he works on what one may read, and nothing else of him; elsewhere he is not there."""
        mine = self._participant.client if self._participant is not None else None
        return awareness([row if row.client == mine else self._seen(principal, row) for row in rows])

    def _seen(self: Any, principal: Principal, row: Presence) -> Presence:
        path = current_path(row.state or {})
        if not path or not self._rooms.may_read(principal, path):
            return Presence(row.client, row.clock, None)
        state = {name: value for name, value in (row.state or {}).items() if name in SHOWN_ELSEWHERE}
        return Presence(row.client, row.clock, state)

    def on_close(self: Any) -> None:
        gone = self._rooms.presences.leave(self._room_id, self)
        super().on_close()  # type: ignore[misc]
        self._rooms.look()
        if gone is not None and gone.client is not None and gone.state and self.room is not None:
            message = awareness([Presence(gone.client, gone.clock, None)])
            self.create_task(self._tell_gone(self.room, message))

    async def _tell_gone(self: Any, room: Any, message: bytes) -> None:
        """Others would see him for half a minute."""
        room.awareness.apply_awareness_update(_body(message), room)
        for client in list(room.clients):
            if client is not self:
                await client.send(message)


def _body(message: bytes) -> bytes:
    from pycrdt import read_message

    return bytes(read_message(message[1:]))


def may_read(guard: Any, naming: Any, clock: Clock) -> Any:
    """Everybody's place is told to everybody, so whose a path is is asked once for all of them; whether one may, each
    time. Call it on the event loop alone."""
    named: dict[str, tuple[float, str]] = {}

    def at(path: str) -> str:
        now = clock.monotonic()
        asked_at, workspace = named.get(path, (-NAMED_SECONDS, ""))
        if now - asked_at >= NAMED_SECONDS:
            if len(named) >= NAMED_MAX:
                named.clear()
            workspace = naming.at(path)
            named[path] = now, workspace
        return workspace

    def decide(principal: Principal, path: str) -> bool:
        workspace = at(path)
        return workspace != NOWHERE and bool(guard.decide(principal, Permission.READ, workspace).allowed)

    return decide


class SessionOfFile:
    """Of a document, before it is opened: ids are given to files that there are, and to nothing else."""

    async def prepare(self: Any) -> None:
        path = self.path_args[0] if self.path_args else self.path_kwargs.get("path", "")
        if self.request.method == "PUT" and not await ensure_async(self.contents_manager.file_exists(path)):
            raise web.HTTPError(404, "there is no such file")
        done = super().prepare()  # type: ignore[misc]
        if isawaitable(done):
            await done
