"""A kernel's websocket that says why the kernel was ended, and what it printed while no server ran.

Jupyter's own says "restarting" or "dead" and nothing else. Before that goes out, the person whose cell was running gets
the reason as output of that cell: memory limit passed, killed, container gone. The provisioner leaves the reason in
`KernelManager.reason`.

It notes how far its browser has got (`seen`). The first one of an adopted kernel goes through what was missed before it
goes on with what is live (`replay`); Jupyter's limit of the output rate does not count what was printed before.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClosedError

from .bounded_websocket import EXECUTE_REPLY, BoundedWebsocketConnection
from .control import REQUEST
from .frames import header_of, parent_of, signature_of
from .replay import CatchUp, replay_of, take_missed
from .seen import OUTPUT, REPLY, Deliveries, Seen, seen_at, seen_path_of

OWN_REQUEST = f'"{REQUEST}"'.encode()
log = logging.getLogger("syla.server")


class TellingWebsocketConnection(BoundedWebsocketConnection):
    _seen_path: Path | None = None
    _deliveries: Deliveries | None = None
    _catch_up: CatchUp | None = None
    _catching_up: asyncio.Task[None] | None = None
    _unlimited = False

    # -- what was missed, and how far the browser has got --------------------------------------------------------

    def connect(self) -> Any:
        if not self._takes_missed():
            return super().connect()
        after = self._catch_up_after()
        connected = super().connect()
        if connected is not None and self._catch_up is not None:
            connected.add_done_callback(lambda _: self._begin_to_catch_up(after))
        elif connected is not None and (left := take_missed(self.kernel_manager)):
            connected.add_done_callback(lambda _: self._write_all_missed(left))
        return connected

    def _catch_up_after(self) -> bytes | None:
        """Have a `CatchUp` where something is due that nobody else takes; the last that the browser has got."""
        seen = self._open_seen()
        replay = replay_of(self.kernel_manager)
        if replay is not None and replay.taken_by is None:
            self._catch_up = CatchUp(
                replay, write=self._write_missed, flushed=self._flushed, missing=self._tell_missing
            )
        return seen.last(OUTPUT) if seen else None

    def _take_missed(self) -> None:
        if self._takes_missed() and self._catch_up is None:
            after = self._catch_up_after()
            if self._catch_up is None:
                self._write_all_missed(take_missed(self.kernel_manager))
            self._begin_to_catch_up(after)

    def _takes_missed(self) -> bool:
        """Whether what its browser has got need not be kept for another."""
        return True

    def disconnect(self) -> None:  # type: ignore[override] # as its parent has it
        if self._catching_up is not None:
            self._catching_up.cancel()
        if self._catch_up is not None:
            self._catch_up.give_back()
        self._catch_up = None
        if self._deliveries is not None:
            self._deliveries.close()
        self._deliveries = None
        self._seen_path = None
        super().disconnect()  # type: ignore[no-untyped-call]

    def _open_seen(self) -> Seen | None:
        """Where the kernel runs now: a restart may have moved it to another container."""
        self._seen_path = seen_path_of(self.kernel_manager)
        if self._deliveries is not None:
            self._deliveries.close()
        seen = seen_at(self._seen_path)
        self._deliveries = Deliveries(seen) if seen else None
        return seen

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[bytes]) -> None:
        channel = stream if isinstance(stream, str) else stream.channel
        if channel == "iopub":
            parent = parent_of(outgoing_msg)
            if OWN_REQUEST in parent:
                if self._catch_up is not None:
                    self._catch_up.hear(parent)
                return  # busy and idle of our own questions, which are not the kernel's state
            if self._catch_up is not None and self._catch_up.takes(outgoing_msg):
                return
            if self._catch_up is not None and self._catch_up.over:
                self._catch_up = None
        self._forward(channel, stream, outgoing_msg)

    def _forward(self, channel: str, stream: Any, message: list[bytes]) -> None:
        super().handle_outgoing_message(stream, message)
        if self._deliveries is None:
            return
        if channel == "iopub":
            due = replay_of(self.kernel_manager)
            if due is not None and (self._catch_up is None or due.taken_by is not self._catch_up):
                return  # what is due has not been seen, however much that is newer has
            self._deliveries.written(OUTPUT, signature_of(message), self._unfinished_write())
        elif channel == "shell" and EXECUTE_REPLY in header_of(message):
            self._deliveries.written(REPLY, signature_of(message), self._unfinished_write())

    def _begin_to_catch_up(self, after: bytes | None) -> None:
        if self._catch_up is not None:
            self._catching_up = asyncio.ensure_future(self._run_catch_up(after))

    async def _run_catch_up(self, after: bytes | None) -> None:
        try:
            if self._catch_up is not None:
                await self._catch_up.run(after)
        except WebSocketClosedError:
            pass  # still due, for the next one

    def _write_all_missed(self, messages: list[list[bytes]]) -> None:
        with contextlib.suppress(WebSocketClosedError):
            for message in messages:
                self._write_missed(message)

    def _write_missed(self, message: list[bytes]) -> None:
        self._unlimited = True
        try:
            self._forward("iopub", self.channels["iopub"], message)
        except (ValueError, TypeError, KeyError, IndexError, RecursionError) as exc:
            log.warning("kernel %s: a kept message is not one: %s", self.kernel_id, type(exc).__name__)
        finally:
            self._unlimited = False

    def _limit_rate(self, channel: Any, msg: Any, msg_list: Any) -> bool:
        return not self._unlimited and bool(super()._limit_rate(channel, msg, msg_list))  # type: ignore[no-untyped-call]

    async def _flushed(self) -> None:
        if self._last_write is not None:
            await asyncio.shield(self._last_write)

    def _tell_missing(self, lines: int, before: list[bytes]) -> None:
        number = f"Up to {lines} lines of output are" if lines else "Some output is"
        try:
            parent = json.loads(parent_of(before))
        except (ValueError, RecursionError):
            parent = {}
        self.write_stderr(f"{number} missing here: too much was printed while nobody listened.", parent)

    # -- why a kernel has ended ----------------------------------------------------------------------------------

    def handle_incoming_message(self, incoming_msg: Any) -> None:
        before = self._last_execute
        super().handle_incoming_message(incoming_msg)
        if self._last_execute is not before and self._seen_path != seen_path_of(self.kernel_manager):
            self._open_seen()

    def on_kernel_restarted(self) -> None:
        self._tell_reason()
        super().on_kernel_restarted()  # type: ignore[no-untyped-call]

    def on_restart_failed(self) -> None:
        self._tell_reason()
        super().on_restart_failed()  # type: ignore[no-untyped-call]

    def _tell_reason(self) -> None:
        reason = getattr(self.kernel_manager, "reason", "")
        header = self._last_execute
        if reason and header is not None:
            self._say("stream", {"name": "stderr", "text": f"{reason}\n"}, header)


def say_to_pages(kernel_id: str, type: str, content: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    """To all that have a websocket to that kernel, as if it had said so about the request with that header."""
    for connection in list(TellingWebsocketConnection._open_sockets):
        if isinstance(connection, TellingWebsocketConnection) and connection.kernel_id == kernel_id:
            with contextlib.suppress(WebSocketClosedError):
                connection._say(type, dict(content), dict(header))
