"""Which room is of which document, and who is in it. Pure, but for the table that it keeps.

    <format>:<type>:<file id>    a document; its file id names a path
    JupyterLab:globalAwareness   who is on this server, and in which document
    32 hex digits                a copy of a document, made by an admin

Any other name is no room. A client number, which a page makes up, belongs to the connection that came with it first,
for as long as that is open, and a connection has one: so nobody speaks for another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .yjs_wire import Presence

GLOBAL = "JupyterLab:globalAwareness"
FORMATS = ("json", "text", "base64")
_DOCUMENT = re.compile(r"(json|text|base64):([a-z][a-z0-9_.+-]{0,63}):([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_COPY = re.compile(r"[0-9a-f]{32}")
_COLOR = re.compile(r"#[0-9a-fA-F]{3,8}|var\(--[a-zA-Z0-9-]{1,60}\)")
_CURRENT = re.compile(r"(?:RTC:)?\w+:(?:RTC:)?(.*)", re.DOTALL)
IDLE_SECONDS = 120.0
"""Who has done nothing for so long is idle."""
_OF_IDENTITY = ("username", "name", "display_name", "avatar_url")


@dataclass(frozen=True)
class Document:
    format: str
    type: str
    file_id: str


def document_of(name: str) -> Document | None:
    """None: it is no document's room."""
    found = _DOCUMENT.fullmatch(name)
    return None if found is None else Document(*found.groups())


def is_copy(name: str) -> bool:
    return _COPY.fullmatch(name) is not None


def current_path(state: Mapping[str, Any]) -> str:
    """Of the document that somebody has before him, as pages say it: `notebook:RTC:a.ipynb`. Empty: none."""
    current = state.get("current")
    found = _CURRENT.fullmatch(current) if isinstance(current, str) else None
    return found[1] if found is not None else ""


def vouched(state: Mapping[str, Any], identity: Mapping[str, Any], full: bool) -> dict[str, Any]:
    """What a page says of the person before it, with who that really is.

    Parameters
    ----------
    identity : as `/api/me` shows him.
    full : whether he may write; if not, whether documents are saved by themselves is not his to say.
    """
    given = state.get("user")
    color = given.get("color") if isinstance(given, Mapping) else None
    shown = str(identity.get("display_name") or identity.get("name") or identity["username"])
    user = {name: identity.get(name) for name in _OF_IDENTITY} | {
        "initials": "".join(word[0] for word in shown.split()[:2]).upper(),
        "color": color if isinstance(color, str) and _COLOR.fullmatch(color) else None,
    }
    left = {key: value for key, value in state.items() if full or key != "autosave"}
    return {**left, "user": user}


@dataclass
class Participant:
    """Somebody in a room, by one connection."""

    room: str
    username: str
    connection: Any
    joined_at: float
    client: int | None = None
    clock: int = 0
    state: dict[str, Any] = field(default_factory=dict)
    active_at: float = 0.0
    """When his state, or something in the document, was last changed by him."""


class Presences:
    """Who is in which room. In the event loop's thread. `listeners` hear who is elsewhere, awake again, or gone."""

    def __init__(self) -> None:
        self._rooms: dict[str, dict[Any, Participant]] = {}
        self._at: dict[str, Participant] = {}
        """By user name, where he has done something last."""
        self.listeners: list[Callable[[Participant], None]] = []

    def join(self, participant: Participant) -> None:
        self._rooms.setdefault(participant.room, {})[participant.connection] = participant

    def leave(self, room: str, connection: Any) -> Participant | None:
        here = self._rooms.get(room, {})
        gone = here.pop(connection, None)
        if not here:
            self._rooms.pop(room, None)
        if gone is not None:
            if self._at.get(gone.username) is gone:
                del self._at[gone.username]
            self._tell(gone)
        return gone

    def acts(self, participant: Participant, now: float) -> None:
        """He has done something there."""
        seen = self._at.get(participant.username) is participant and now - participant.active_at < IDLE_SECONDS
        participant.active_at, self._at[participant.username] = now, participant
        if not seen:
            self._tell(participant)

    def turns(self, participant: Participant) -> None:
        """He has another document before him, as his page says in `GLOBAL`."""
        for one in self.everybody():
            if one.username == participant.username:
                self._tell(one)

    def _tell(self, participant: Participant) -> None:
        for listener in self.listeners:
            listener(participant)

    def in_room(self, room: str) -> list[Participant]:
        return list(self._rooms.get(room, {}).values())

    def everybody(self) -> list[Participant]:
        """Who is in a document; may be asked in any thread."""
        return [one for room in list(self._rooms) if room != GLOBAL for one in self.in_room(room)]

    def rooms(self) -> list[str]:
        return list(self._rooms)

    def own(self, participant: Participant, rows: list[Presence], servers: int) -> Presence | None:
        """What of a message is about the sender himself; the rest, which pages repeat of others, is dropped.

        Parameters
        ----------
        servers : client number of the server in that room.
        """
        if participant.client is None and len(rows) == 1 and rows[0].client != servers:
            others = [other for other in self.in_room(participant.room) if other.client == rows[0].client]
            if all(other.username == participant.username for other in others):
                for other in others:  # he comes back before it was noticed that he had gone
                    other.client = None
                participant.client = rows[0].client
        return next((row for row in rows if row.client == participant.client), None)
