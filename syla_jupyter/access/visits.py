"""Who has come to a workspace because every user may: his list has it, for as long as it is open so.

Members are listed by their grants. To who comes by a link alone nothing was granted, so what is remembered is that he
came: the newest `OF_PERSON_MAX` of each person, in the database; it goes with the workspace, or when he takes it from
his list. He who reads on and on costs one look in memory, and a row is read again only after `AGAIN_SECONDS`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from ..metadata.people_base import PeopleStore
from ..model.clock import Clock
from ..model.errors import SylaError, UnknownWorkspace
from .guard import Guard

OF_PERSON_MAX = 50
AGAIN_SECONDS = 600.0
KEPT_MAX = 10_000
log = logging.getLogger("syla.server")


@dataclass(frozen=True)
class Visit:
    """Made, or forgotten."""

    workspace: str
    owner: str
    user: str


class Visits:
    """Workspaces are named by id; from any thread. `listeners` hear whose list has changed, and raise nothing."""

    def __init__(self, *, people: PeopleStore, guard: Guard, clock: Clock) -> None:
        self._people, self._guard, self._clock = people, guard, clock
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], float] = OrderedDict()
        self.listeners: list[Callable[[Visit], None]] = []

    def came(self, user: str, workspace: str) -> None:
        """Whoever may read does so whether it is remembered or not: what goes wrong is logged."""
        key, now = (user, workspace), self._clock.monotonic()
        with self._lock:
            known = self._known.get(key)
            if known is not None and now - known < AGAIN_SECONDS:
                return
            self._known[key] = now
            self._known.move_to_end(key)
            if len(self._known) > KEPT_MAX:
                self._known.popitem(last=False)
        try:
            if self._people.add_visit(workspace, user, self._clock.now(), OF_PERSON_MAX):
                self._tell(user, workspace)
        except SylaError as exc:
            log.warning("that %s came to workspace %s is not remembered: %s", user, workspace, exc)

    def forget(self, user: str, workspace: str) -> bool:
        """False: it was not in his list by a visit."""
        removed = self._people.remove_visit(workspace, user)
        with self._lock:
            self._known.pop((user, workspace), None)
        if removed:
            self._tell(user, workspace)
        return removed

    def _tell(self, user: str, workspace: str) -> None:
        with contextlib.suppress(UnknownWorkspace):  # deleted meanwhile
            visit = Visit(workspace, self._guard.access(workspace).owner, user)
            for listener in self.listeners:
                listener(visit)
