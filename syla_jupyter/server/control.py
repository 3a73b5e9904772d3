"""What the server itself asks a kernel: a control channel of its own, and the pages that `agent/offline` answers with.

A page is the kernel's word: every length in it is checked, and what is no message is left out. Its size is what the
kernel makes it, as with anything that comes through a kernel's sockets.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_client.session import Session

from .frames import signature_of

REQUEST, REPLIED = "syla_replay_request", "syla_replay_reply"
FRAMES_MIN, FRAMES_MAX = 6, 1000  # delimiter, signature, header, parent, metadata, content; topic, buffers

Message = list[bytes]


@dataclass(frozen=True)
class Page:
    messages: list[Message]
    end: bool
    missing_lines: int | None
    busy: bool
    question: Mapping[str, Any] | None
    """What `input()` waits for: id of the request, prompt, password; empty: nothing; None: it does not say."""


def parse_page(content: Mapping[str, Any], packed: bytes) -> Page:
    """ValueError for what is not a page."""
    messages: list[Message] = []
    place = 0
    while place < len(packed):
        try:
            (count,) = struct.unpack_from("<I", packed, place)
            if not FRAMES_MIN <= count <= FRAMES_MAX:
                raise ValueError(f"a message of {count} frames")
            lengths = struct.unpack_from(f"<{count}I", packed, place + 4)
        except struct.error as exc:
            raise ValueError("a page was cut") from exc
        place += 4 * (1 + count)
        if place + sum(lengths) > len(packed):
            raise ValueError("a page was cut")
        frames: Message = []
        for length in lengths:
            frames.append(packed[place : place + length])
            place += length
        if signature_of(frames):
            messages.append(frames)
    missing = content.get("missing_lines")
    missing = missing if isinstance(missing, int) else None
    question = content.get("question")
    asked = question if isinstance(question, dict) else None
    return Page(messages, content.get("end") is True, missing, content.get("busy") is True, asked)


class Control:
    """A connection of its own to a kernel's control channel."""

    def __init__(self, kernel: Any) -> None:
        self._session = Session(key=kernel.session.key, signature_scheme=kernel.session.signature_scheme)
        self._stream = kernel.connect_control()
        self._stream.on_recv(self._received)
        self._asked: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._known = False
        self.asked_for_page = b""
        """Id of the last request for a page: it is in the parent header of the busy and idle that go with it."""

    async def page(self, content: dict[str, Any], seconds: float) -> Page | None:
        """None when the kernel answers, but knows of no replay; TimeoutError when it does not answer; ValueError."""
        page = self.ask(REQUEST, content)
        self.asked_for_page = next(reversed(self._asked)).encode()
        waited = {page}
        if not self._known:  # a kernel that does not know this question stays silent, and then answers the next
            waited.add(self.ask("kernel_info_request", {}))
        done, _ = await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise TimeoutError
        if page not in done:
            return None
        self._known = True
        message = page.result()
        if message["msg_type"] != REPLIED:
            return None
        return parse_page(message["content"], b"".join(bytes(buffer) for buffer in message["buffers"]))

    def ask(self, type: str, content: dict[str, Any]) -> asyncio.Future[dict[str, Any]]:
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        request = self._session.msg(type, content)
        self._session.send(self._stream, request)
        self._asked = {id: future for id, future in self._asked.items() if not future.done()}
        self._asked[request["msg_id"]] = answer
        return answer

    def close(self) -> None:
        self._stream.on_recv(None)
        self._stream.close(0)

    def _received(self, frames: Message) -> None:
        try:
            _, rest = self._session.feed_identities(frames)
            message = self._session.deserialize(rest)
            answer = self._asked.pop(message["parent_header"]["msg_id"], None)
        except Exception:  # whatever unpacking makes of bytes from there: RecursionError, KeyError, ValueError
            return
        if answer is not None and not answer.done() and isinstance(message["content"], dict):
            answer.set_result(message)
