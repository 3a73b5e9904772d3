"""A kernel's websocket that resumes a suspended workspace when somebody wants something of it, and not before.

A frozen kernel answers nothing, and takes everything: a message would lie in its queue, a new page would wait for ever.
So messages wait here, in their order and whatever their channel. One that a person has sent, and a new page, thaw the
workspace, in a thread, for that takes some 15 ms. What pages ask by themselves (`incoming`), and a page whose websocket
opens again, wait until it runs for another reason, be it of another process: else no workspace would stay suspended for
which a page is open somewhere.

A dead kernel's websocket is refused at once, with the reason, which JupyterLab shows; jupyter_server would wait a
minute for it to live. JupyterLab does not restart what it knows to be dead, so the next page that opens, once people
were told, does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.web import HTTPError

from ..model.errors import SylaError
from .adoption import DEAD
from .incoming import is_wanted, request_header

HELD_MAX = 1000
LOOK_SECONDS = 1.0
"""How often a websocket for which something waits looks whether somebody else has resumed the workspace."""
TOLD_SECONDS = 5.0
"""All pages that were open when the server came back ask within this time, and are told."""
CLOSE_CODE = 1013  # "try again later"
log = logging.getLogger("syla.server")


class ThawingWebsocketConnection(ZMQChannelsWebsocketConnection):
    _releasing: asyncio.Task[None] | None = None
    """While there is one, all messages wait."""
    _not_nudged = False
    """Its sockets were opened while the kernel could not answer, so nobody knows yet whether they are connected."""

    async def prepare(self) -> None:
        kernel: Any = self.kernel_manager
        try:
            if kernel.execution_state == DEAD:
                if kernel.tell() < TOLD_SECONDS:
                    raise HTTPError(410, kernel.reason or "The kernel is dead")
                await self.multi_kernel_manager.restart_kernel(self.kernel_id)
            if not (kernel.frozen and kernel.is_known_page(self.session.session)):
                await kernel.thawed()
        except SylaError as exc:
            raise HTTPError(503, str(exc)) from exc
        await super().prepare()  # type: ignore[no-untyped-call]
        kernel.note_page(self.session.session)

    def nudge(self) -> asyncio.Future[None]:
        """Nothing is read from the websocket before this is done: a kernel that stands still is not waited for."""
        if not self.kernel_manager.frozen:
            nudged = super().nudge()
            return nudged if nudged.done() else asyncio.ensure_future(self._nudged(nudged))
        self._nudge_later()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def _nudged(self, nudged: asyncio.Future[None]) -> None:
        """The workspace may be suspended before its kernel has answered."""
        while not nudged.done():
            await asyncio.wait({nudged}, timeout=LOOK_SECONDS)
            if not nudged.done() and self.kernel_manager.frozen:
                nudged.cancel()
                await asyncio.wait({nudged})
                self._nudge_later()
                return
        await nudged

    def _nudge_later(self) -> None:
        self._not_nudged = True
        self._hold()

    def disconnect(self) -> None:  # type: ignore[override] # as its parent has it
        self._stop_releasing()
        super().disconnect()  # type: ignore[no-untyped-call]

    def handle_incoming_message(self, incoming_msg: Any) -> None:
        if self._releasing is None and not self.kernel_manager.frozen:
            super().handle_incoming_message(incoming_msg)
            return
        self._hold()
        self._held.append(incoming_msg)
        if len(self._held) > HELD_MAX:
            self._stop_releasing()
            self._refuse(f"more than {HELD_MAX} messages for a suspended workspace")
        elif not self._wanted.is_set() and is_wanted(incoming_msg, self.subprotocol):
            type = request_header(incoming_msg, self.subprotocol).get("msg_type")
            log.info("kernel %s: its workspace is wanted for %.40r", self.kernel_id, type)
            self._wanted.set()

    def _stop_releasing(self) -> None:
        if self._releasing is not None:
            self._releasing.cancel()

    def _hold(self) -> None:
        if self._releasing is None:
            self._held: list[Any] = []
            self._wanted = asyncio.Event()
            self._releasing = asyncio.ensure_future(self._release())

    async def _release(self) -> None:
        kernel: Any = self.kernel_manager
        try:
            while kernel.frozen and not self._wanted.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wanted.wait(), LOOK_SECONDS)
            await kernel.thawed()
            if self._not_nudged:
                await self._nudge_now()
                self._take_missed()
        except Exception as exc:
            self._refuse(str(exc))
            return
        held, self._held, self._releasing = self._held, [], None
        for message in held:
            super().handle_incoming_message(message)

    def _take_missed(self) -> None:
        """The kernel can be asked at last what it printed while no server ran."""

    async def _nudge_now(self) -> None:
        self._not_nudged = False
        await super().nudge()
        for stream in self.channels.values():  # it has taken the output's from us
            stream.on_recv_stream(self.handle_outgoing_message)

    def _refuse(self, reason: str) -> None:
        """Its page opens another one, which is told the reason."""
        log.warning("kernel %s: a websocket is closed: %s", self.kernel_id, reason)
        self._held = []
        self._releasing = None
        self.websocket_handler.close(CLOSE_CODE, reason[:100])
