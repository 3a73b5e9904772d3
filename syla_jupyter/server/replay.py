"""A tab that comes back after the server was away gets all its kernel printed meanwhile: in order, each message once.

The kernel kept it (`agent/offline`). `catch_up`, at adoption, asks the kernel to go on keeping it and marks it as due;
it is fetched when the first websocket connects, page by page, each page when the one before has left for the browser.
So this process holds one page, however much there is and however long nobody comes.

From missed to live, without a gap: what arrives on iopub meanwhile is held back. A page that was asked for *after* the
echo of the page before was heard on iopub, and is the last, and short, leaves nothing between itself and what is held
back: iopub drops messages, but not while so few are on their way. What stands in both is written once. A kernel that
prints faster than its browser reads is read page by page until it does not, or the limit is reached.

The kernel is hostile: a kept message is forwarded as any iopub message is, and the whole has a limit in bytes and time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from typing import Any

from .control import REQUEST, Control, Message, Page
from .frames import header_of, signature_of
from .seen import OUTPUT, REPLY, seen_at, seen_path_of

log = logging.getLogger("syla.server")
ADOPT_SECONDS = 2.0
SILENT_SECONDS = 5.0
ECHO_SECONDS = 0.5
CALM_MESSAGES = 200  # a tenth of what iopub's queues hold
PAGE_BYTES = 1 << 20
REPLAY_BYTES = 96 << 20  # the kernel keeps 64 MiB on disk and 4 in memory
HELD_BACK_BYTES = 8 << 20

NOTHING_KNOWN = b"-"
"""No message's signature: who asks for what follows it gets all that is kept, and acknowledges nothing."""
WELCOME = b'"iopub_welcome"'


class Replay:
    """What is due for one kernel. `KernelManager.syla_replay` until it has been delivered."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.replied_told = False
        self.taken_by: CatchUp | None = None

    def finish(self) -> None:
        self.kernel.syla_replay = None


def replay_of(kernel: Any) -> Replay | None:
    return getattr(kernel, "syla_replay", None)


def take_missed(kernel: Any) -> list[Message]:
    """What no page has got of what somebody else has fetched; the caller is the one that gets it."""
    missed: list[Message] = getattr(kernel, "syla_missed", [])
    kernel.syla_missed = []
    return missed


async def catch_up(kernel_manager: Any, kernel_id: str, *, keep_all: bool = False) -> None:
    """Call for an adopted kernel before its first websocket; returns within `ADOPT_SECONDS`, whatever the kernel does.
    `keep_all`: also what browsers have got is still wanted.

    Also learns what a websocket would have to ask a busy kernel for, and wait for its cell: protocol version, state.
    """
    kernel = kernel_manager.get_kernel(kernel_id)
    if REQUEST not in kernel_manager.untracked_message_types:
        kernel_manager.untracked_message_types = [*kernel_manager.untracked_message_types, REQUEST]
    replay = kernel.syla_replay = Replay(kernel)
    control = Control(kernel)
    try:
        async with asyncio.timeout(ADOPT_SECONDS):
            info = control.ask("kernel_info_request", {})
            after = NOTHING_KNOWN if keep_all else _seen(kernel, OUTPUT)
            page = await control.page(request(replay, after, live=False, limit_bytes=0), ADOPT_SECONDS)
            answer = await info
    except (TimeoutError, ValueError):
        return  # it computes without letting go: the first websocket asks again
    finally:
        control.close()
    if page is None:
        replay.finish()
    elif page.busy:
        kernel.execution_state = "busy"
    replay.replied_told = True
    known: Future[Any] = Future()
    known.set_result(answer["content"])
    kernel._kernel_info_future = known


def request(replay: Replay, after: bytes | None, *, live: bool, limit_bytes: int = PAGE_BYTES) -> dict[str, Any]:
    content: dict[str, Any] = {"after": _text(after), "live": live, "limit_bytes": limit_bytes}
    if not replay.replied_told and seen_path_of(replay.kernel) is not None:
        content["replied"] = _text(_seen(replay.kernel, REPLY))
    return content


def _seen(kernel: Any, what: int) -> bytes | None:
    seen = seen_at(seen_path_of(kernel))
    if seen is None:
        return None
    try:
        return seen.last(what)
    finally:
        seen.close()


def _text(signature: bytes | None) -> str | None:
    return None if signature is None else signature.decode("ascii", "replace")


class CatchUp:
    """The way of one websocket from what was missed to what is live.

    `write` takes a message for the browser at once; `flushed` waits until all that was written has left; `missing` says
    that so many lines before a message are lost (0: their number is not known).
    """

    def __init__(
        self,
        replay: Replay,
        *,
        write: Callable[[Message], None],
        flushed: Callable[[], Awaitable[Any]],
        missing: Callable[[int, Message], None],
    ) -> None:
        self._replay = replay
        self._write, self._flushed, self._missing = write, flushed, missing
        self._held_back: list[Message] = []
        self._held_back_bytes = 0
        self._control: Control | None = None
        self._echo = asyncio.Event()
        self._gaps = 0
        self.done = False
        self.question: Mapping[str, Any] | None = None
        """As `Page` has it, of the last page."""
        self._written: set[bytes] = set()
        replay.taken_by = self

    def takes(self, message: Message) -> bool:
        """True for a message from iopub that is not to be written now: it was already, or follows what was missed."""
        if self.done:
            return not self._is_new(message)
        self._held_back.append(message)
        self._held_back_bytes += sum(map(len, message))
        if self._held_back_bytes > HELD_BACK_BYTES:
            self._held_back, self._held_back_bytes = [], 0
            self._gaps += 1  # the kernel keeps it: once more, from a later moment on
        return True

    def hear(self, parent: bytes) -> None:
        """The busy or idle of a request of ours arrived on iopub."""
        if self._control is not None and self._control.asked_for_page in parent:
            self._echo.set()

    @property
    def over(self) -> bool:
        """Nothing that was written can arrive any more."""
        return self.done and not self._written

    def give_back(self) -> None:
        """The websocket is closed, or has all."""
        if self._replay.taken_by is self:
            self._replay.taken_by = None

    async def run(self, after: bytes | None) -> None:
        """Deliver. Cancelled, it stays due for the next websocket."""
        control = self._control = Control(self._replay.kernel)
        try:
            await self._deliver(control, after)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as exc:
            log.warning("kernel %s: what it sends is no replay: %r", self._replay.kernel.kernel_id, exc)
        finally:
            control.close()
            self.give_back()
        self._replay.finish()
        for message in self._held_back:
            if self._is_new(message):
                self._write(message)
        self.done = True

    def _is_new(self, message: Message) -> bool:
        """Both ways bring messages in the order they were sent: after the first new one, all are."""
        if not self._written:
            return True
        if signature_of(message) in self._written:
            return False
        if WELCOME not in header_of(message):  # that goes by no other way, so it says nothing
            self._written = set()
        return True

    async def _deliver(self, control: Control, after: bytes | None) -> None:
        room, live = REPLAY_BYTES, False
        while room > 0:
            gaps = self._gaps
            self._echo.clear()
            page = await self._page(control, request(self._replay, after, live=live))
            if page is None or not (page.messages or page.end):
                return
            self._replay.replied_told = True
            self.question = page.question
            if page.missing_lines is not None and page.messages:
                self._missing(page.missing_lines, page.messages[0])
            for message in page.messages:
                self._write(message)
                self._written.add(signature_of(message))
                room -= sum(map(len, message))
            if page.messages:
                after = signature_of(page.messages[-1])
                await self._flushed()
            if page.end and live and gaps == self._gaps and len(page.messages) <= CALM_MESSAGES:
                return
            live = page.end and await self._echoed()

    async def _echoed(self) -> bool:
        try:
            await asyncio.wait_for(self._echo.wait(), ECHO_SECONDS)
        except TimeoutError:
            return False
        return True

    async def _page(self, control: Control, content: dict[str, Any]) -> Page | None:
        """None when there is none to be had."""
        while True:
            try:
                return await control.page(content, SILENT_SECONDS)
            except TimeoutError:
                if self._held_back:  # it prints, so it could answer
                    return None
