"""Frames between host and agent: a 4-byte big-endian length, then that many bytes of UTF-8 JSON, an object.

    request    {"id": n, "op": "...", ...}             host -> agent; may carry file descriptors
    answer     {"id": n, "ok": true, ...}              agent -> host
               {"id": n, "ok": false, "code": "...", "message": "..."}
    event      {"event": "...", ...}                   agent -> host, to every connection that holds a lease

The first request is `hello` with the version; another major version is refused. A frame is at most
`FRAME_MAX` bytes and each side drops a peer that announces more: lengths from the other side are never used
to allocate before they were compared with it.
"""

from __future__ import annotations

import json
import struct
from typing import Any, Dict, List

VERSION = 1
FRAME_MAX = 256 * 1024
_HEAD = struct.Struct("!I")

Message = Dict[str, Any]


class ProtocolError(Exception):
    """The peer broke the rules above; the connection is of no further use."""


def encode(message: Message) -> bytes:
    """One frame; ProtocolError when it would be longer than the peer accepts."""
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > FRAME_MAX:
        raise ProtocolError("frame of %d bytes is over the limit of %d" % (len(body), FRAME_MAX))
    return _HEAD.pack(len(body)) + body


def decode(body: bytes) -> Message:
    """The object in one frame's body."""
    try:
        message = json.loads(body.decode())
    except (ValueError, RecursionError) as exc:  # the C scanner counts its own depth
        raise ProtocolError("frame is not JSON") from exc
    if not isinstance(message, dict):
        raise ProtocolError("frame is not an object")
    return message


class FrameReader:
    """Turns a byte stream into frames; holds at most one incomplete frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> List[Message]:
        """The frames completed by `data`; ProtocolError at the first bad one."""
        self._buffer += data
        messages = []
        while len(self._buffer) >= _HEAD.size:
            (length,) = _HEAD.unpack_from(self._buffer)
            if length > FRAME_MAX:
                raise ProtocolError("peer announces a frame of %d bytes" % length)
            end = _HEAD.size + length
            if len(self._buffer) < end:
                break
            messages.append(decode(bytes(self._buffer[_HEAD.size : end])))
            del self._buffer[:end]
        return messages
