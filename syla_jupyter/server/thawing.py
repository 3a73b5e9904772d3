"""A kernel's websocket that resumes a suspended workspace before anything is forwarded to it.

A frozen kernel answers nothing, and takes everything: a message would lie in its queue, a new page would wait for ever.
So the workspace is thawed first, in a thread, for that takes some 15 ms; messages that come meanwhile wait in their
order, whatever their channel.

A dead kernel's websocket is refused at once, with the reason, which JupyterLab shows; jupyter_server would wait a
minute for it to live. JupyterLab does not restart what it knows to be dead, so the next page that opens, once people
were told, does.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.web import HTTPError

from ..model.errors import SylaError
from .adoption import DEAD

HELD_MAX = 1000
TOLD_SECONDS = 5.0
"""All pages that were open when the server came back ask within this time, and are told."""
CLOSE_CODE = 1013  # "try again later"
log = logging.getLogger("syla.server")


class ThawingWebsocketConnection(ZMQChannelsWebsocketConnection):
    _thawing: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        kernel: Any = self.kernel_manager
        try:
            if kernel.execution_state == DEAD:
                if kernel.tell() < TOLD_SECONDS:
                    raise HTTPError(410, kernel.reason or "The kernel is dead")
                await self.multi_kernel_manager.restart_kernel(self.kernel_id)
            await kernel.thawed()
        except SylaError as exc:
            raise HTTPError(503, str(exc)) from exc
        await super().prepare()  # type: ignore[no-untyped-call]

    def handle_incoming_message(self, incoming_msg: Any) -> None:
        kernel: Any = self.kernel_manager
        if self._thawing is None and not kernel.frozen:
            super().handle_incoming_message(incoming_msg)
            return
        if self._thawing is None:
            self._held: list[Any] = []
            self._thawing = asyncio.ensure_future(self._thaw())
        self._held.append(incoming_msg)
        if len(self._held) > HELD_MAX:
            self._refuse(f"more than {HELD_MAX} messages for a suspended workspace")

    async def _thaw(self) -> None:
        kernel: Any = self.kernel_manager
        try:
            await kernel.thawed()
        except Exception as exc:
            self._refuse(str(exc))
            return
        held, self._held, self._thawing = self._held, [], None
        for message in held:
            super().handle_incoming_message(message)

    def _refuse(self, reason: str) -> None:
        """Its page opens another one, which is told the reason."""
        log.warning("kernel %s: a websocket is closed: %s", self.kernel_id, reason)
        self._held = []
        self._thawing = None
        self.websocket_handler.close(CLOSE_CODE, reason[:100])
