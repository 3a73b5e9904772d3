"""Websockets that are open: whether who opened them may still have them.

A request is over before anything can change; a websocket is not. While there are any of other people than the server's
owner, this asks the store for its version, and when that has moved on asks about each of them what was asked when it
was opened. A role that was taken, a user who was disabled, a token that was revoked or has run out counts within
`PERIOD_SECONDS` and the time of the answer. A store that does not answer for `SILENT_SECONDS` allows nothing any more.

Where there is only the owner nothing runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

PERIOD_SECONDS = 0.4
SILENT_SECONDS = 10.0
NEVER = -1
log = logging.getLogger("syla.server")
P = TypeVar("P")


class Socket(Protocol[P]):
    @property
    def passed(self) -> P | None: ...

    def decided(self, passed: P | None) -> None:
        """Called in the loop, with what holds now; None: close."""


class OpenSockets(Generic[P]):
    """
    Parameters
    ----------
    version : of all that a decision depends on; grows. May block, and raise.
    holds : (passed, version that was just read) -> whether what proved who somebody is still does; asked each time, of
        each. May block, and is to ask the store for nothing while the version is the same.
    again : decide once more. May block, and raise.
    """

    def __init__(
        self,
        *,
        version: Callable[[], int],
        holds: Callable[[P, int], bool],
        again: Callable[[P], P | None],
        period_seconds: float = PERIOD_SECONDS,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        self._version, self._holds, self._again = version, holds, again
        self._period_seconds, self._silent_seconds = period_seconds, silent_seconds
        self._open: dict[Socket[P], int] = {}
        """With the version under which it was decided last."""
        self._watching: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None
        """Its own: others' are busy when much is going on."""

    def add(self, socket: Socket[P]) -> None:
        """From now on; what was decided before it was open is asked again."""
        self._open[socket] = NEVER
        if self._watching is None or self._watching.done():
            self._watching = asyncio.ensure_future(self._watch())

    def __len__(self) -> int:
        return len(self._open)

    def discard(self, socket: Socket[P]) -> None:
        self._open.pop(socket, None)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        answered = loop.time()
        while self._open:
            await asyncio.sleep(self._period_seconds)
            try:
                await self.look()
                answered = loop.time()
            except Exception as exc:
                log.warning("who may have which websocket cannot be found out: %s", exc)
                if loop.time() - answered > self._silent_seconds:
                    for socket in list(self._open):
                        self._decided(socket, None)

    async def look(self) -> None:
        """Once, at all of them."""
        self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="syla-sockets")
        rows = [(socket, socket.passed, version) for socket, version in self._open.items()]
        version, found = await asyncio.get_running_loop().run_in_executor(self._thread, self._changed, rows)
        for socket, passed in found:
            if socket in self._open:  # not closed meanwhile
                self._open[socket] = version
                self._decided(socket, passed)

    def _changed(self, rows: Sequence[tuple[Socket[P], P | None, int]]) -> tuple[int, list[tuple[Socket[P], P | None]]]:
        """Blocks. The version comes first: what changes while we ask is asked about next time."""
        version = self._version()
        found: list[tuple[Socket[P], P | None]] = []
        for socket, passed, decided_at in rows:
            if passed is None or not self._holds(passed, version):
                found.append((socket, None))
            elif decided_at != version:
                found.append((socket, self._again(passed)))
        return version, found

    def _decided(self, socket: Socket[P], passed: P | None) -> None:
        if passed is None:
            self.discard(socket)
        socket.decided(passed)
