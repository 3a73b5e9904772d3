"""Who is where: the rows of it, and a word to pages when they are not true any more.

A person has a row for each document that he has open; the one *before him* is what his page says in the room of all,
where it says so, else the one where he has done something last. That somebody moves is told at most once in
`TELL_SECONDS` for each workspace, however many move how often, and without saying who: pages ask.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..access.decide import permissions_of, role_of
from ..model.errors import UnknownWorkspace
from ..model.people import Access, Permission
from . import people_wire as wire
from . import shown
from .handlers import Call, Reply
from .rooms import GLOBAL, Participant, current_path

TELL_SECONDS = 0.5
CURSORS_MAX = 4096  # characters of JSON


class Whereabouts:
    """On the event loop.

    Parameters
    ----------
    tell : told the id of a workspace; must not wait.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._waiting: set[str] = set()

    def moved(self, participant: Participant) -> None:
        """A listener of `Presences`."""
        workspace = getattr(getattr(participant.connection, "room", None), "workspace", "")
        if workspace and workspace not in self._waiting:
            self._waiting.add(workspace)
            asyncio.get_running_loop().call_later(TELL_SECONDS, self._now, workspace)

    def _now(self, workspace: str) -> None:
        self._waiting.discard(workspace)
        self._tell(workspace)


@dataclass(frozen=True)
class Place:
    workspace: str
    path: str
    one: Participant


def before_them(places: Iterable[Place], said: Mapping[str, str]) -> dict[str, Place]:
    """By user name, the document before him. Pure.

    Parameters
    ----------
    said : by user name, the path of the document that his page shows.
    """
    found: dict[str, Place] = {}
    for place in places:
        user = place.one.username
        best = found.get(user)
        if best is None or _rank(place, said.get(user)) > _rank(best, said.get(user)):
            found[user] = place
    return found


def _rank(place: Place, said: str | None) -> tuple[bool, float]:
    return place.path == said, place.one.active_at


def list_participants(call: Call) -> Reply:
    """Of one workspace, or of all that the caller may read. Names are those that the doorkeeper found out; what a page
    says of itself is its colour and its cursors."""
    presences, wanted = call.services.presences, call.found().id if "workspace" in call.names else None
    said = {one.username: current_path(one.state) for one in presences.in_room(GLOBAL)}
    places = [_place(one) for one in presences.everybody()]
    access = {id: _access(call, id) for id in {place.workspace for place in places if place.workspace}}
    readable = [(place, found) for place in places if (found := access.get(place.workspace)) is not None]
    front = before_them([place for place, _ in readable], said)
    rows = [
        _row(call, place, found, front[place.one.username] is place)
        for place, found in readable
        if wanted in (None, place.workspace)
    ]
    return Reply(wire.ParticipantList(participants=rows))


def _row(call: Call, place: Place, access: Access, front: bool) -> wire.Participant:
    application, one = call.services.application, place.one
    principal, user = application.access().guard.principal(one.username), one.state.get("user", {})
    return wire.Participant(
        workspace_id=place.workspace,
        user=one.username,
        display_name=shown.plain(user.get("display_name") or one.username),
        role=None if principal is None else role_of(principal, access),
        color=user.get("color"),
        path=place.path,
        front=front,
        cursors=cursors_of(one.state),
        joined_at=shown.time(one.joined_at),
        last_activity_at=shown.time(one.active_at),
        idle_seconds=max(0.0, application.clock.now() - one.active_at),
    )


def cursors_of(state: Mapping[str, Any]) -> list[Any]:
    """As a page says them, if that is little: it can say anything."""
    said = state.get("cursors")
    cursors: list[Any] = shown.plain(said) if isinstance(said, list) else []
    return cursors if len(json.dumps(cursors)) <= CURSORS_MAX else []


def _place(one: Participant) -> Place:
    workspace, path = one.connection.document()
    return Place(workspace, path, one)


def _access(call: Call, workspace: str) -> Access | None:
    """None: the caller may not read it, or it is gone."""
    principal = call.caller.principal
    try:
        found = call.services.application.access().guard.access(workspace)
    except UnknownWorkspace:
        return None
    return found if Permission.READ in permissions_of(principal, found)[0] else None
