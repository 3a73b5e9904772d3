"""A kernel's websocket that holds a bounded part of what its kernel sends, and says where something is missing.

A browser that does not take what is sent to it is given up: the page opens another websocket. When a message was too
large to be taken, the kernel's "idle" after it may be lost as well, and the cell would seem to run for ever: so the
page is told of its end here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import Any

from jupyter_client.jsonutil import json_default
from jupyter_server.services.kernels.connection.base import serialize_msg_to_ws_v1
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

from .bounded import MISSED, TOO_LARGE, UNSENT_BYTES_MAX, Unsent, Watch
from .frames import header_of
from .incoming import V1, request_header

WATCHED = ("iopub", "shell")
EXECUTE_REPLY = b'"execute_reply"'
SILENT = re.compile(r'"silent": ?true')
SILENT_BYTES = re.compile(SILENT.pattern.encode())
CLOSE_CODE = 1013  # "try again later"
log = logging.getLogger("syla.server")


class BoundedWebsocketConnection(ZMQChannelsWebsocketConnection):
    _last_execute: dict[str, Any] | None = None
    _last_write: asyncio.Future[None] | None = None
    _replied = True
    """To the last cell."""
    _owes_idle = False
    _was_cut = False
    _given_up = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._unsent = Unsent()

    # -- towards the browser -------------------------------------------------------------------------------------

    @property
    def write_message(self) -> Any:
        return self._write

    def _write(self, message: Any, binary: bool = False) -> asyncio.Future[None]:
        if self._given_up and self._last_write is not None:
            return self._last_write
        self._last_write = write = self.websocket_handler.write_message(message, binary=binary)
        if not self._unsent.has_room(len(message), self._unfinished_write()):
            self._give_up()
        return write

    def _unfinished_write(self) -> asyncio.Future[None] | None:
        """The last one, unless the system has taken all its bytes already."""
        stream = getattr(self.websocket_handler.ws_connection, "stream", None)
        return self._last_write if stream is None or stream.writing() else None

    def _give_up(self) -> None:
        self._given_up = True
        self.kernel_manager.missed = self._last_execute or {}
        log.warning("kernel %s: a page that takes none of %d bytes is closed", self.kernel_id, UNSENT_BYTES_MAX)
        self.websocket_handler.close(CLOSE_CODE, "the page does not take what the kernel sends")

    def _say(self, type: str, content: dict[str, Any], header: dict[str, Any]) -> None:
        """As if the kernel had said it, about the request with that header."""
        message = self.session.msg(type, content, parent={"header": header})
        message["parent_header"] = header
        if self.subprotocol == V1:
            self.write_message(serialize_msg_to_ws_v1(message, "iopub", self.session.pack), binary=True)
        else:
            message["channel"] = "iopub"
            self.write_message(json.dumps(message, default=json_default))

    # -- from the kernel -----------------------------------------------------------------------------------------

    def create_stream(self) -> None:
        super().create_stream()  # type: ignore[no-untyped-call]
        for channel in WATCHED:
            self.channels[channel].syla_watch = Watch(self.channels[channel])

    def connect(self) -> Any:
        connected = super().connect()
        for channel in WATCHED:
            watch = getattr(self.channels.get(channel), "syla_watch", None)
            if watch is not None:
                watch.told = self._cut
        if connected is not None and getattr(self.kernel_manager, "missed", None) is not None:
            connected.add_done_callback(lambda _: self._tell_missed())
        return connected

    def handle_incoming_message(self, incoming_msg: Any) -> None:
        marker: Any = b"execute_request" if isinstance(incoming_msg, bytes) else "execute_request"
        if marker in incoming_msg[:2048]:
            header = request_header(incoming_msg, self.subprotocol)
            if header.get("msg_type") == "execute_request":
                self._last_execute, self._replied = dict(header), False
                self._tell_execute(incoming_msg)
        super().handle_incoming_message(incoming_msg)

    def _tell_execute(self, incoming_msg: Any) -> None:
        """That somebody has code run, and not what; what pages ask by themselves says that it is silent."""
        tell: Any = getattr(self.multi_kernel_manager, "tell_execute", None)
        passed: Any = getattr(self.websocket_handler, "_passed", None)
        start = incoming_msg[:4096]
        silent: Any = SILENT_BYTES if isinstance(start, bytes) else SILENT
        if tell is not None and passed is not None and passed.principal is not None and not silent.search(start):
            tell(getattr(self.kernel_manager, "workspace_id", ""), passed.principal.name)

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[bytes]) -> None:
        super().handle_outgoing_message(stream, outgoing_msg)
        if not self._replied and EXECUTE_REPLY in header_of(outgoing_msg):
            self._replied = True
            self._settle()

    def _cut(self) -> None:
        log.log(logging.DEBUG if self._was_cut else logging.WARNING, "kernel %s: %s", self.kernel_id, TOO_LARGE)
        self._was_cut = self._owes_idle = True
        if self._last_execute is not None:
            self._say("stream", {"name": "stderr", "text": f"{TOO_LARGE}\n"}, self._last_execute)
        self._settle()

    def _settle(self) -> None:
        if self._owes_idle and self._replied and self._last_execute is not None:
            self._owes_idle = False
            self._say("status", {"execution_state": "idle"}, self._last_execute)

    def _tell_missed(self) -> None:
        header, self.kernel_manager.missed = self.kernel_manager.missed, None
        if header is not None:
            self._say("stream", {"name": "stderr", "text": f"{MISSED}\n"}, dict(header))
