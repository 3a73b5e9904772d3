"""The server as a client of a kernel: it asks for cells to be run, hears all output, and is asked for input.

Its connection has an identity that the next server has again, so that a kernel which was left in the middle of a cell
gives its reply, or asks for its input, there (`agent/replies`). Nothing that comes from a kernel is believed before its
signature was checked, nor to have any form.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from jupyter_client.session import Session

from .control import REQUEST
from .frames import parent_of
from .replay import CatchUp

HEARD_SECONDS = 0.25
"""Whether our subscription counts is asked this often: what a kernel publishes before goes nowhere."""
CONNECT_SECONDS = 30.0
OWN_REQUEST = f'"{REQUEST}"'.encode()
Frames = list[bytes]


class CellClient:
    """
    Parameters
    ----------
    kernel : a `WorkspaceKernel` that runs.
    session : the identity.
    on_output, on_reply, on_question : called with the frames from iopub, and with messages from shell and stdin.
    """

    def __init__(
        self,
        kernel: Any,
        session: str,
        *,
        on_output: Callable[[Frames], None],
        on_reply: Callable[[Mapping[str, Any]], None],
        on_question: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._session = Session(
            session=session, key=kernel.session.key, signature_scheme=kernel.session.signature_scheme
        )
        self._on_output = on_output
        self._on_reply, self._on_question = on_reply, on_question
        self._heard = asyncio.Event()
        self.catch_up: CatchUp | None = None
        """While it is there, it decides what is heard, and when."""
        identity = session.encode()
        self._iopub, self._control = kernel.connect_iopub(), kernel.connect_control()
        self._shell, self._stdin = kernel.connect_shell(identity=identity), kernel.connect_stdin(identity=identity)
        self._iopub.on_recv(self._output)
        self._shell.on_recv(lambda frames: self._pass_on(frames, self._on_reply))
        self._stdin.on_recv(lambda frames: self._pass_on(frames, self._on_question))
        self._control.on_recv(lambda frames: None)

    async def ready(self) -> None:
        """Return when output is heard; TimeoutError."""
        async with asyncio.timeout(CONNECT_SECONDS):
            while not self._heard.is_set():
                for stream in (self._control, self._shell):  # whichever it listens to; its state is published
                    self._session.send(stream, "kernel_info_request")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._heard.wait(), HEARD_SECONDS)

    def execute(self, id: str, code: str, cell: str, *, stop_on_error: bool) -> None:
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": True}
        request = self._session.msg(
            "execute_request", {**content, "stop_on_error": stop_on_error}, metadata={"cellId": cell}
        )
        request["header"]["msg_id"] = request["msg_id"] = id
        self._session.send(self._shell, request)

    def answer(self, question: Mapping[str, Any], text: str) -> None:
        self._session.send(self._stdin, "input_reply", {"value": text, "status": "ok"}, parent=dict(question))

    def tell_widget(self, id: str, data: Mapping[str, Any]) -> None:
        """As a page does that shows it."""
        self._session.send(self._shell, "comm_msg", {"comm_id": id, "data": dict(data)})

    def wake(self) -> None:
        """What waits for us at the kernel comes with the next thing that we send."""
        self._session.send(self._shell, "kernel_info_request")

    def parsed(self, frames: Frames) -> Mapping[str, Any] | None:
        """None for what the kernel did not sign, or is no message."""
        try:
            _, rest = self._session.feed_identities(frames, copy=True)
            message: dict[str, Any] = self._session.deserialize(rest)
            content, parent, header = message["content"], message["parent_header"], message["header"]
        except Exception:  # whatever unpacking makes of bytes from there: RecursionError, KeyError, ValueError
            return None
        return message if all(isinstance(part, dict) for part in (content, parent, header)) else None

    def close(self) -> None:
        for stream in (self._iopub, self._shell, self._stdin, self._control):
            if not stream.closed():
                stream.on_recv(None)
                stream.close(0)

    def _output(self, frames: Frames) -> None:
        self._heard.set()
        if OWN_REQUEST in (parent := parent_of(frames)):
            if self.catch_up is not None:
                self.catch_up.hear(parent)
            return
        if self.catch_up is not None and self.catch_up.takes(frames):
            return
        if self.catch_up is not None and self.catch_up.over:
            self.catch_up = None
        self._on_output(frames)

    def _pass_on(self, frames: Frames, take: Callable[[Mapping[str, Any]], None]) -> None:
        message = self.parsed(frames)
        if message is not None:
            take(message)
