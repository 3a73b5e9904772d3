"""What is written down of workspaces, told to this server's clients: its own doings, and those of every other process,
in one order and once.

One thread writes what happens here and is not written yet (`Chronicle.write`), and tells what has come to the table
since it looked last, which is how this server's own lines get out, too: at once, since it is told that there is one
(`Chronicle.news`). While somebody listens it looks twice a second, one look at an index; when nobody does, nothing
runs. Whoever begins to listen waits for `settled`, so that what happened before is behind him.

Many small things are kept back for a second and told as one: which files somebody changed, how often he ran code.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from ..access.acting import AND, actor
from ..metadata.happenings_base import AFTER_MAX, HappeningStore
from ..model.clock import Clock
from ..model.errors import SylaError
from ..model.happening import Happening, Kind
from ..workspaces.chronicle import Chronicle

LOOK_SECONDS = 0.5
TALLY_SECONDS = 1.0
SETTLE_SECONDS = 5.0
NAMES_MAX = 20
TALLIES_MAX = 1000
log = logging.getLogger("syla.server")


@dataclass(frozen=True)
class What:
    """Of a tally. `place`: a workspace's id, or the API path of something in it."""

    place: str
    kind: Kind
    action: str
    actor: str


@dataclass
class Tally:
    count: int = 0
    names: dict[str, None] = field(default_factory=dict)


class Telling:
    """
    Parameters
    ----------
    tell : has clients hear of one; in the thread that writes, in order.
    owner_of : of a workspace, by id; `UnknownWorkspace`.
    """

    def __init__(
        self,
        chronicle: Chronicle,
        clock: Clock,
        tell: Callable[[Happening], None],
        owner_of: Callable[[str], str],
    ) -> None:
        self._chronicle, self._clock, self._tell, self._owner_of = chronicle, clock, tell, owner_of
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="syla-telling")
        self._told = self._chronicle.store().newest()
        """Number of the last that was told: what was there before is not news."""
        self._tallies: dict[What, Tally] = {}
        self._lock = threading.Lock()
        self._watching: asyncio.Task[None] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.workspace_at: Callable[[str], str] = lambda path: ""
        """Of an API path; may block."""

    @property
    def _store(self) -> HappeningStore:
        return self._chronicle.store()

    def submit(self, work: Callable[..., Any], *arguments: Any) -> None:
        """In its turn among what is told; nothing when the server has ended, and nobody listens any more."""
        with contextlib.suppress(RuntimeError):
            self._thread.submit(work, *arguments)

    def note(self, happening: Happening) -> None:
        """From any thread; waits for nobody, but when the server has ended."""
        try:
            self._thread.submit(self._note, happening)
        except RuntimeError:
            self._chronicle.write_now(happening)

    def news(self) -> None:
        """Something was written down: look. From any thread; waits for nobody."""
        self.submit(self._look)

    def tally(self, what: What, name: str = "") -> None:
        """One more of that; written and told within a second. From any thread."""
        with self._lock:
            first = not self._tallies
            found = self._tallies.get(what)
            if found is None:
                if len(self._tallies) >= TALLIES_MAX:
                    return
                found = self._tallies[what] = Tally()
            found.count += 1
            if name and (name in found.names or len(found.names) < NAMES_MAX):
                found.names[name] = None
        if first and self.loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended; what is kept back was written then
                self.loop.call_soon_threadsafe(self._flush_later)

    def _flush_later(self) -> None:
        assert self.loop is not None
        self.loop.call_later(TALLY_SECONDS, self._flush_now)

    def _flush_now(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._thread.submit(self._flush)

    def file_changed(self, action: str, path: str) -> None:
        """By a door of this server; who did it is who acts, several where several edit one document."""
        for who in actor().split(AND):
            self.tally(What(path, Kind.FILES, action, who), path)

    def executed(self, workspace: str, user: str) -> None:
        self.tally(What(workspace, Kind.EXECUTION, "execute", user))

    async def settled(self) -> None:
        """All that has happened until now is told, also by other processes; or some seconds have passed."""
        done = asyncio.wrap_future(self._thread.submit(self._catch_up))
        await asyncio.wait([done], timeout=SETTLE_SECONDS)

    def settle(self) -> None:
        """The same, in a thread of the caller's."""
        try:
            self._thread.submit(self._catch_up).result(SETTLE_SECONDS)
        except RuntimeError:
            return  # the server has ended
        except TimeoutError:
            log.warning("what happens to workspaces is written down slowly")

    def watch(self, anybody: Callable[[], bool]) -> None:
        """In the loop: look at what other processes do, for as long as anybody listens."""
        if self._watching is None or self._watching.done():
            self._watching = asyncio.ensure_future(self._watch(anybody))

    async def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Blocks for a moment: what is kept back is written."""
        self.settle()
        self._thread.shutdown(wait=False)

    async def _watch(self, anybody: Callable[[], bool]) -> None:
        while anybody():
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.wait([asyncio.wrap_future(self._thread.submit(self._look))])

    # -- in the thread -----------------------------------------------------------------------------------------------

    def _note(self, happening: Happening) -> None:
        if self._chronicle.write_now(happening):
            self._look()
        else:
            self._said(happening)

    def _catch_up(self) -> None:
        self._flush()
        self._look()

    def _look(self) -> None:
        try:
            if self._store.newest() <= self._told:
                return
            while rows := self._store.after(self._told):
                self._tell_all(rows)
                if len(rows) < AFTER_MAX:
                    return
        except SylaError as exc:
            log.warning("what happens to workspaces cannot be read: %s", exc)

    def _tell_all(self, rows: Sequence[Happening]) -> None:
        for row in rows:
            self._told = row.n
            self._said(row)

    def _said(self, happening: Happening) -> None:
        try:
            self._tell(happening)
        except Exception:
            log.exception("%s %s of a workspace is not told", happening.kind, happening.action)

    def _flush(self) -> None:
        with self._lock:
            tallies, self._tallies = self._tallies, {}
        gathered: dict[What, Tally] = {}
        for what, tally in tallies.items():
            place = what.place if what.kind is Kind.EXECUTION else self._place(what.place)
            whole = gathered.setdefault(replace(what, place=place), Tally())
            whole.count += tally.count
            whole.names |= tally.names
        for what, tally in gathered.items():
            self._write(what, tally)

    def _place(self, path: str) -> str:
        try:
            return self.workspace_at(path)
        except SylaError:
            return ""

    def _write(self, what: What, tally: Tally) -> None:
        try:
            owner = self._owner_of(what.place) if what.place else ""
        except SylaError:
            return  # of no workspace, or of one that is gone
        if not owner:
            return
        names = {"names": list(tally.names)[:NAMES_MAX]} if tally.names else {}
        detail = {"count": tally.count, **names}
        one = Happening(what.place, owner, self._clock.now(), what.kind, what.action, what.actor, detail)
        if self._chronicle.write_now(one, merge=True) > self._told:
            self._look()
        else:  # it came to a line that was told, or is in no line
            self._said(one)
