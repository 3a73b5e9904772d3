"""From a batch of new chunks to blocks: neighbours are compressed together, large chunks alone. Pure.

Small files compress better and faster together (ratio 2.9 instead of 2.5), and reading one costs its block. What does
not shrink is stored as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import zstandard

from ..objects.base import Data
from .crypto import PLAIN, ZSTD

BLOCK_BYTES = 1 << 20
ALONE_BYTES = 1 << 19
BLOCK_CHUNKS = 4096
LEVEL = 1
"""Faster than level 3 and smaller than it on tables; 10 % larger on code."""
WORTH_SHRINKING = 0.97
Chunk = tuple[bytes, Data]


class Compressor:
    """A context per thread, made once."""

    def __init__(self) -> None:
        self._local = threading.local()

    def compress(self, content: Data) -> tuple[int, Data]:
        """(codec, payload)"""
        context = getattr(self._local, "context", None)
        if context is None:
            context = self._local.context = zstandard.ZstdCompressor(level=LEVEL)
        packed = context.compress(content)
        return (ZSTD, packed) if len(packed) < WORTH_SHRINKING * len(content) else (PLAIN, content)


def group(chunks: Sequence[Chunk]) -> Iterator[list[Chunk]]:
    """Blocks of at most BLOCK_BYTES, of nearly the same size."""
    small = [chunk for chunk in chunks if len(chunk[1]) < ALONE_BYTES]
    for chunk in chunks:
        if len(chunk[1]) >= ALONE_BYTES:
            yield [chunk]
    total = sum(len(data) for _, data in small)
    target = total / max(1, -(-total // BLOCK_BYTES))
    block: list[Chunk] = []
    size = 0
    for chunk in small:
        if block and (size + len(chunk[1]) > BLOCK_BYTES or size >= target or len(block) >= BLOCK_CHUNKS):
            yield block
            block, size = [], 0
        block.append(chunk)
        size += len(chunk[1])
    if block:
        yield block
