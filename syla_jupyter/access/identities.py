"""Who a token belongs to, from memory while the store's version stands; so each request may ask.

May be called from any thread; blocks as the store does, for one look at its version when nothing has changed.
"""

from __future__ import annotations

import threading

from ..metadata.people_base import PeopleStore
from ..model.clock import Clock
from ..model.people import Token
from . import secret


class Identities:
    def __init__(self, people: PeopleStore, clock: Clock) -> None:
        self._people, self._clock = people, clock
        self._lock = threading.Lock()
        self._version = -1
        self._tokens: dict[str, Token] = {}
        self._digests: dict[str, str] = {}
        self._users = False

    def has_users(self) -> bool:
        """Whether anybody was ever given a name here."""
        self._refresh()
        return self._users

    def by_secret(self, text: str) -> Token | None:
        """In force now; None for whatever else."""
        if not secret.looks_like(text, secret.TOKEN_PREFIX):
            return None
        self._refresh()
        digest = secret.digest(text)
        id = self._digests.get(digest)
        if id is None:
            found = self._people.token(digest)
            if found is None:
                return None
            id = found.id
            with self._lock:
                self._digests[digest] = id  # only of tokens that there are: nobody fills this by guessing
        return self.by_id(id)

    def by_id(self, id: str, version: int | None = None) -> Token | None:
        """Of one that was proved before, as a cookie remembers it. `version`: of the store, where it was just read."""
        self._refresh(version)
        found = self._tokens.get(id)
        return found if found is not None and found.in_force(self._clock.now()) else None

    def _refresh(self, version: int | None = None) -> None:
        version = self._people.version() if version is None else version
        if version <= self._version:
            return
        tokens = {token.id: token for token in self._people.tokens()}
        users = bool(self._people.users())
        with self._lock:
            if version > self._version:
                self._tokens, self._users, self._version = tokens, users, version
                self._digests = {digest: id for digest, id in self._digests.items() if id in tokens}
