"""What code in workspaces wrote, told soon after it has run; files that this server writes are told by its doors.

Nothing is watched (ARCHITECTURE, decisions). The server knows when code begins and ends, by the state of kernels and by
requests; a moment after an end it has one look at the workspace's files (`workspaces/recent`), from the host, where it
costs some milliseconds: at most once in `EVERY_SECONDS` for each workspace, one at a time, and a tenth of the time for
all together, whatever is in there. Nothing runs while no code does.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator

from ..model.clock import Clock

SETTLE_SECONDS = 0.3
"""After the end of a cell, of which there may be several in a row."""
EVERY_SECONDS = 2.0
REST = 9
"""Times as long as a look took."""
SAVED_MAX = 1000
log = logging.getLogger("syla.server")


class Written:
    """Parameters
    ----------
    look : called with (workspace id, since when, in seconds since the epoch), in a thread; blocks.
    """

    def __init__(self, clock: Clock, look: Callable[[str, float], None]) -> None:
        self._clock, self._look = clock, look
        self._busy: dict[str, set[str]] = {}
        """What runs in each workspace."""
        self._since: dict[str, float] = {}
        """From when on its changes are not told yet."""
        self._due: dict[str, float] = {}
        self._looked: dict[str, float] = {}
        self._saved: collections.OrderedDict[str, float] = collections.OrderedDict()
        self._requests = itertools.count()
        self._task: asyncio.Task[None] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    # -- from any thread -----------------------------------------------------------------------------------------

    def runs(self, workspace: str, what: str, busy: bool) -> None:
        """Code begins or ends. `what`: a kernel, or a request."""
        if self.loop is not None:
            with contextlib.suppress(RuntimeError):  # the server has ended
                self.loop.call_soon_threadsafe(self._runs, workspace, what, busy, self._clock.now())

    @contextlib.contextmanager
    def running(self, workspace: str) -> Iterator[None]:
        what = f"request {next(self._requests)}"
        self.runs(workspace, what, True)
        try:
            yield
        finally:
            self.runs(workspace, what, False)

    def saved(self, path: str) -> None:
        """By a door of this server: it is told there."""
        self._saved[path] = self._clock.now()
        self._saved.move_to_end(path)
        with contextlib.suppress(KeyError):
            while len(self._saved) > SAVED_MAX:
                self._saved.popitem(last=False)

    def saved_since(self, since: float) -> set[str]:
        return {path for path, at in list(self._saved.items()) if at >= since}

    # -- on the loop -----------------------------------------------------------------------------------------------

    def stop(self) -> None:
        self.loop = None
        if self._task is not None:
            self._task.cancel()

    def _runs(self, workspace: str, what: str, busy: bool, at: float) -> None:
        running = self._busy.setdefault(workspace, set())
        if busy:
            running.add(what)
            self._since.setdefault(workspace, at)
            return
        running.discard(what)
        if not running:
            del self._busy[workspace]
        if workspace not in self._since:  # it began before this server did
            return
        earliest = self._looked.get(workspace, float("-inf")) + EVERY_SECONDS
        self._due.setdefault(workspace, max(self._clock.monotonic() + SETTLE_SECONDS, earliest))
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._go())

    async def _go(self) -> None:
        while self._due:
            workspace = min(self._due, key=self._due.__getitem__)
            now = self._clock.monotonic()
            self._looked = {id: at for id, at in self._looked.items() if now - at < EVERY_SECONDS}
            if self._due[workspace] > now:
                await asyncio.sleep(min(self._due[workspace] - now, SETTLE_SECONDS))
                continue
            del self._due[workspace]
            since = self._since.pop(workspace)
            if workspace in self._busy:
                self._since[workspace] = self._clock.now()
            self._looked[workspace] = now
            try:
                await asyncio.to_thread(self._look, workspace, since)
            except Exception:
                log.exception("what code has written is not told")
            await asyncio.sleep((self._clock.monotonic() - now) * REST)
