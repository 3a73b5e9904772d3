"""Packs: objects of about 16 MiB that hold encrypted blocks of chunks, and say at their end what they hold.

    header | block 0 | block 1 | … | footer | length of the footer (4 bytes, little-endian)

`PackWriter` fills a buffer that is used again afterwards. Places are given out one after the other (`reserve`); the
encrypting itself (`write`) may run in several threads. `read_table` finds the table again from the pack alone, which
is what the index is rebuilt from.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from mmap import mmap

from ..model.errors import SnapshotDamaged
from ..objects.base import Data
from .crypto import (
    FOOTER_NUMBER,
    HEADER_BYTES,
    SALT_BYTES,
    TAG_BYTES,
    BlockCipher,
    Keys,
    block_cipher,
    decompress,
    enveloped,
    object_hash,
    opened,
)
from .format import BLOCK_MAX_BYTES, LOST, PACK_MAX_BYTES, Pack, decode, decode_table, encode, encode_table

PACK_BYTES = 1 << 24
"""A pack is closed before it would grow past this."""
PACK_CHUNKS = 1 << 15
FOOTER_ROOM_BYTES = 1 << 22
BUFFER_BYTES = PACK_BYTES + FOOTER_ROOM_BYTES
FULL_BYTES = PACK_BYTES - (1 << 20)
FOOTER_MAX_BYTES = 1 << 24
TAIL_BYTES = 1 << 18
"""Read at once from a pack's end: holds most footers."""
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Place:
    number: int
    offset: int


def new_buffer() -> mmap:
    """Takes memory only as far as it is written to: most saves are small."""
    return mmap(-1, BUFFER_BYTES)


class PackWriter:
    """`buffer`: ours until the upload of what `finish` gives is over."""

    def __init__(self, keys: Keys, kind: bytes, buffer: mmap) -> None:
        self.kind, self.buffer = kind, buffer
        self._view = memoryview(buffer)
        self._salt = os.urandom(SALT_BYTES)
        self._cipher = BlockCipher(keys.pack, self._salt)
        self._view[:HEADER_BYTES] = self._cipher.header
        self._end = HEADER_BYTES
        self._blocks: list[tuple[int, int, int, int]] = []
        self._ids: list[bytes] = []
        self._sizes: list[int] = []

    def has_room(self, stored_bytes: int, chunks: int) -> bool:
        if not self._blocks:
            return True
        return self._end + stored_bytes <= PACK_BYTES and len(self._ids) + chunks <= PACK_CHUNKS

    def reserve(
        self, payload_bytes: int, content_bytes: int, codec: int, ids: Sequence[bytes], sizes: Sequence[int]
    ) -> Place:
        """The place of the next block; not safe in two threads at once."""
        place = Place(len(self._blocks), self._end)
        stored = payload_bytes + TAG_BYTES
        self._blocks.append((stored, content_bytes, codec, len(ids)))
        self._ids.extend(ids)
        self._sizes.extend(sizes)
        self._end += stored
        return place

    def write(self, place: Place, payload: Data) -> None:
        into = self._view[place.offset : place.offset + len(payload) + TAG_BYTES]
        self._cipher.encrypt_into(place.number, self.kind, payload, into)

    def finish(self) -> tuple[Pack, memoryview]:
        """The pack's table, and the object: a view of the buffer."""
        blocks, ids, sizes = tuple(self._blocks), b"".join(self._ids), tuple(self._sizes)
        table = Pack(bytes(32), 0, self.kind, self._salt, blocks, ids, sizes)
        content = enveloped(encode(encode_table(table)))
        # Zeros, encrypted like the rest: the size of a last, small pack says little about what was saved.
        size = self._end + len(content) + TAG_BYTES + _LENGTH.size
        content += bytes(padded_size(size) - size if size < FULL_BYTES else 0)
        footer = self._view[self._end : self._end + len(content) + TAG_BYTES]
        self._cipher.encrypt_into(FOOTER_NUMBER, b"F", content, footer)
        end = self._end + len(footer)
        _LENGTH.pack_into(self.buffer, end, len(footer))
        data = self._view[: end + _LENGTH.size]
        return replace(table, id=object_hash(data), size=len(data)), data


def padded_size(size: int) -> int:
    """Padmé: the next of few sizes, at most 12 % up, and 3 % from 1 MiB on."""
    bits = max(2, size.bit_length())
    mask = (1 << (bits - 1 - (bits - 1).bit_length())) - 1
    return (size + mask) & ~mask


def read_table(keys: Keys, id: bytes, size: int, get: Callable[[int, int], bytes]) -> Pack:
    """From the pack's own end. `get(start, length)` reads the object, a negative start counts from its end."""
    if not HEADER_BYTES + TAG_BYTES + _LENGTH.size <= size <= PACK_MAX_BYTES:
        raise SnapshotDamaged(f"pack {id.hex()[:16]} has {size} bytes: it is no pack")
    tail = get(-min(size, TAIL_BYTES), min(size, TAIL_BYTES))
    length = _LENGTH.unpack_from(tail, len(tail) - _LENGTH.size)[0] if len(tail) >= _LENGTH.size else 0
    if not TAG_BYTES < length <= min(FOOTER_MAX_BYTES, size - HEADER_BYTES - _LENGTH.size):
        raise SnapshotDamaged(f"pack {id.hex()[:16]} does not end as one")
    wanted = length + _LENGTH.size
    if len(tail) < wanted:
        tail = get(-wanted, wanted)
    cipher = block_cipher(keys, get(0, HEADER_BYTES))
    footer = memoryview(tail)[len(tail) - wanted : len(tail) - _LENGTH.size]
    content = cipher.decrypt(FOOTER_NUMBER, b"F", footer)
    return decode_table(decode(opened(content, FOOTER_MAX_BYTES), "the table of a pack"), id, size)


def read_block(cipher: BlockCipher, pack: Pack, number: int, stored: Data) -> bytes:
    """The content of one block, of the size that the table says."""
    _, content_bytes, codec, _ = pack.blocks[number]
    if codec == LOST or content_bytes > BLOCK_MAX_BYTES:
        raise SnapshotDamaged(f"block {number} of pack {pack.id.hex()[:16]} is lost")
    return decompress(codec, cipher.decrypt(number, pack.kind, stored), content_bytes)
