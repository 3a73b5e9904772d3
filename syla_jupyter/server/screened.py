"""A kernel's websocket of somebody else than the server's owner: who may look on hears everything and says nothing.

What he may do is asked at each message, because it changes while the websocket is open. For the owner each message
takes one more look at an attribute. Looking on changes nothing: it neither resumes nor restarts, takes no output that
is kept for somebody who comes back, and is never asked for input.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jupyter_client.jsonutil import json_default
from jupyter_server.services.kernels.connection.base import serialize_msg_to_ws_v1
from tornado.web import HTTPError

from .adoption import DEAD
from .incoming import V1
from .looking_on import Told, answer, heard, is_sound, session_of
from .websocket import TellingWebsocketConnection


class ScreenedWebsocketConnection(TellingWebsocketConnection):
    @property
    def _passed(self) -> Any:
        """What the doorkeeper says now; None: nothing is allowed any more."""
        return getattr(self.websocket_handler, "_passed", None)

    @property
    def _looks_on(self) -> bool:
        passed = self._passed
        return passed is None or not passed.full

    async def prepare(self) -> None:
        passed, kernel = self._passed, self.kernel_manager
        if passed is None or passed.principal is None:
            raise HTTPError(403)
        if not passed.lasting:
            self.session.session = session_of(passed.principal.name, self.session.session, passed.full)
        if self._looks_on and kernel.execution_state == DEAD:
            raise HTTPError(410, kernel.reason or "The kernel is dead")
        if self._looks_on and kernel.frozen:
            raise HTTPError(503, "The workspace is suspended, until somebody who may run code comes")
        await super().prepare()  # type: ignore[no-untyped-call]

    def _takes_missed(self) -> bool:
        return not self._looks_on

    def handle_incoming_message(self, incoming_msg: Any) -> None:
        passed = self._passed
        if passed is not None and passed.full:
            if passed.lasting or is_sound(incoming_msg, self.subprotocol == V1):
                super().handle_incoming_message(incoming_msg)
            return
        message = heard(incoming_msg, self.subprotocol == V1)
        if passed is None or message is None:
            return
        for told in answer(message, self._kernel_info(), str(self.kernel_manager.execution_state)):
            self._tell(told, message.header)

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[bytes]) -> None:
        passed = self._passed
        if passed is None:
            return  # it is being closed
        if not passed.full and (stream if isinstance(stream, str) else stream.channel) == "stdin":
            return  # about a cell that it ran before its role changed
        super().handle_outgoing_message(stream, outgoing_msg)

    def _say(self, type: str, content: dict[str, Any], header: dict[str, Any]) -> None:
        if self._passed is not None:
            super()._say(type, content, header)

    def _kernel_info(self) -> Mapping[str, Any]:
        """As the kernel itself has said, to whichever page came first."""
        future = getattr(self.kernel_manager, "_kernel_info_future", None)
        known = future.result() if future is not None and future.done() and not future.cancelled() else None
        return known if isinstance(known, dict) else {}

    def _tell(self, told: Told, parent: Mapping[str, str]) -> None:
        message = self.session.msg(told.type, dict(told.content), parent={"header": dict(parent)})
        message["parent_header"] = dict(parent)
        if self.subprotocol == V1:
            self.write_message(serialize_msg_to_ws_v1(message, told.channel, self.session.pack), binary=True)
        else:
            message["channel"] = told.channel
            self.write_message(json.dumps(message, default=json_default))
