"""Events of this server's workspaces, for clients that listen: kept for a while, and given to each in order.

Whoever has something to tell calls `EventHub.publish` from any thread; it waits for nobody. Each listener has a queue
of its own, bounded: one that is too slow is *dropped*, and comes back with the id of the last event that it has. Ids
are `<hub>-<number>`; of another hub (the server was started again), or too long ago, is told as a *reset*.

What is not worth keeping (output, of which there may be much) has no id, and is given to who listens now.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

from ..model.people import Permission

KEPT_MAX = 1000
KEPT_BYTES_MAX = 4 << 20
QUEUED_MAX = 4000
QUEUED_BYTES_MAX = 4 << 20


@dataclass(frozen=True)
class Published:
    workspace_id: str
    owner: str
    line: str
    """One JSON object."""
    to: str = ""
    """The one user whom it is for, whatever he may read; empty: who has the permission."""
    needs: Permission = Permission.READ


class Listener:
    """One client's queue; it lives on the event loop of whoever made it."""

    def __init__(self, wanted: Callable[[Published], bool], loop: asyncio.AbstractEventLoop) -> None:
        self.wanted = wanted
        self.dropped = False
        self._loop = loop
        self._queue: collections.deque[Published] = collections.deque()
        self._bytes = 0
        self._news = asyncio.Event()

    async def next(self) -> Published | None:
        """The next one, when there is one; None when this listener was dropped, with all that was left for it."""
        while not self._queue and not self.dropped:
            self._news.clear()
            await self._news.wait()
        if self.dropped:
            return None
        event = self._queue.popleft()
        self._bytes -= len(event.line)
        return event

    def offer(self, event: Published) -> None:
        """From any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended, and its clients with it
            self._loop.call_soon_threadsafe(self.put, event)

    def put(self, event: Published) -> None:
        """On the loop."""
        self._bytes += len(event.line)
        if len(self._queue) >= QUEUED_MAX or self._bytes > QUEUED_BYTES_MAX:
            self.dropped = True
            self._queue.clear()
        elif not self.dropped:
            self._queue.append(event)
        self._news.set()


class EventHub:
    def __init__(self) -> None:
        self._hub = secrets.token_hex(4)
        self._last = 0
        self._kept: collections.deque[tuple[int, Published]] = collections.deque()
        self._kept_bytes = 0
        self._listeners: set[Listener] = set()
        self._lock = threading.Lock()

    def publish(
        self,
        workspace_id: str,
        owner: str,
        write: Callable[[str], str],
        *,
        to: str = "",
        needs: Permission = Permission.READ,
    ) -> None:
        """`write` gives the line with the event's id in it."""
        with self._lock:
            self._last += 1
            event = Published(workspace_id, owner, write(self._id(self._last)), to, needs)
            self._kept.append((self._last, event))
            self._kept_bytes += len(event.line)
            while len(self._kept) > KEPT_MAX or self._kept_bytes > KEPT_BYTES_MAX:
                self._kept_bytes -= len(self._kept.popleft()[1].line)
            self._offer(event)

    def stream(self, workspace_id: str, owner: str, line: str) -> None:
        """For who listens now."""
        with self._lock:
            self._offer(Published(workspace_id, owner, line))

    def listen(self, wanted: Callable[[Published], bool], after: str = "") -> tuple[Listener, str, bool]:
        """(listener, id after which it misses nothing, whether that is a later one than `after`, the rest being lost).

        Call it on the loop that will wait for the listener; events after that id come, kept ones first.
        """
        with self._lock:
            listener = Listener(wanted, asyncio.get_running_loop())
            since = self._number(after) if after else self._last
            oldest = self._kept[0][0] if self._kept else self._last + 1
            reset = since is None or since + 1 < oldest
            if since is None or reset:
                since = self._last
            for number, event in self._kept:
                if number > since and wanted(event):
                    listener.put(event)
            self._listeners.add(listener)
            return listener, self._id(since), reset

    def has_listeners(self) -> bool:
        return bool(self._listeners)

    def forget(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.discard(listener)

    def _offer(self, event: Published) -> None:
        for listener in self._listeners:
            if listener.wanted(event):
                listener.offer(event)

    def _id(self, number: int) -> str:
        return f"{self._hub}-{number}"

    def _number(self, id: str) -> int | None:
        """None for what is no id of an event of this hub."""
        hub, _, number = id.partition("-")
        if hub != self._hub or not (number.isascii() and number.isdigit()) or len(number) > 18:
            return None
        return int(number) if int(number) <= self._last else None
