"""Bytes on their way to and from an S3 service, without copies that matter and with a time limit."""

from __future__ import annotations

from typing import Any

from ..model.clock import Clock
from ..model.errors import ObjectsRefused
from .base import Data

BLOCK_BYTES = 1 << 20
PIECE_BYTES = 16 << 20
"""A pack in one: put together from pieces of 1 MiB it took four times the processor time."""


class Body:
    """A file over a buffer, as boto3 likes its bodies.

    Given bytes, the HTTP client copies them behind the headers; given a file, it asks for 16 KiB at a time. This one
    answers a question for less than a block with a block: the client passes on whatever it gets.
    """

    def __init__(self, data: Data) -> None:
        self._view = memoryview(data).cast("B")
        self._position = 0

    def __len__(self) -> int:
        return len(self._view)

    def read(self, size: int | None = -1) -> memoryview:
        end = len(self._view) if size is None or size < 0 else self._position + max(size, BLOCK_BYTES)
        block = self._view[self._position : end]
        self._position += len(block)
        return block

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._position, len(self._view))[whence]
        self._position = min(max(0, base + offset), len(self._view))
        return self._position

    def tell(self) -> int:
        return self._position


def read_body(response: Any, *, max_bytes: int, clock: Clock, timeout_seconds: float) -> bytes:
    """All of an answer's body; ValueError where it is shorter than announced, ObjectsRefused above `max_bytes`.

    Every wait for the network has the client's limit; `timeout_seconds` is looked at between pieces.
    """
    body, announced = response["Body"], int(response["ContentLength"])
    deadline = clock.monotonic() + timeout_seconds
    try:
        if announced > max_bytes:
            raise ObjectsRefused(f"the service sends {announced} bytes, and {max_bytes} were expected at most")
        pieces, missing = [], announced
        while missing > 0:
            piece = body.read(min(missing, PIECE_BYTES))
            if not piece:
                raise ValueError("the answer ended too soon")
            if clock.monotonic() > deadline:
                raise TimeoutError
            pieces.append(piece)
            missing -= len(piece)
        body.read(1)  # the end: the connection can be used again
    finally:
        body.close()
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
