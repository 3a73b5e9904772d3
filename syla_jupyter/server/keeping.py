"""The way of a room's updates into its history: one write at a time, of all that wait for it together.

A write is a transaction, on a disk that may be slow, and thirty people make updates faster than one disk takes them. So
what has come while one was written is merged, and is the next: the history is never behind by more than two writes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pycrdt import merge_updates

RETRY_SECONDS = 1.0
log = logging.getLogger("syla.server")


class Keeping:
    """
    Parameters
    ----------
    write : an update into the history; in the order of calls, and never two at a time.
    """

    def __init__(self, write: Callable[[bytes], Awaitable[None]], retry_seconds: float = RETRY_SECONDS) -> None:
        self._write, self._retry_seconds = write, retry_seconds
        self.made = self.kept = 0
        """Updates, since the room is open; and how many of them are in the history."""
        self._waiting: list[bytes] = []
        self._count = 0
        """Of updates that wait: some of them are in one piece already."""
        self._come, self._more = asyncio.Event(), asyncio.Event()

    def put(self, update: bytes) -> None:
        """One of those that were made; must not wait."""
        self._waiting.append(update)
        self._count += 1
        self._come.set()

    async def run(self) -> None:
        """Until it is cancelled; may be called again then, and goes on."""
        while True:
            while self._waiting:
                await self._keep()
            self._come.clear()
            await self._come.wait()

    async def _keep(self) -> None:
        pieces, count = len(self._waiting), self._count
        if pieces > 1:
            self._waiting[:pieces] = [merge_updates(*self._waiting)]
        try:
            await self._write(self._waiting[0])
        except Exception as exc:
            log.warning("%d updates of a document are not in its history, once more soon: %r", count, exc)
            await asyncio.sleep(self._retry_seconds)
            return
        del self._waiting[0]
        self._count -= count
        self.kept += count
        self._more.set()

    async def up_to_now(self) -> None:
        """All that was made until now is kept. May wait for ever."""
        made = self.made
        while self.kept < made:
            self._more.clear()
            await self._more.wait()
