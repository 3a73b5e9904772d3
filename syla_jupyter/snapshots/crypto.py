"""Keys derived from a workspace's data key, and the two envelopes everything is stored in.

From the data key (32 random bytes) come: the key of chunk ids (keyed BLAKE3, so an id says nothing about content to
who has not the key), the root of pack keys, the root of keys of sealed objects, the key of the config's hash and the
seed of the chunker. Every pack and every sealed object has a key of its own, from its root and a random salt of 32
bytes: nonces can be counters, and a machine that was copied while it ran repeats none.

A *sealed object* (index, log record, checkpoint, pending session) is encrypted whole. A *pack* is encrypted block by
block, so that one can be read alone. What is authenticated beside the content: format, salt, kind, and the number of
the block or the key of the object; so nothing can be put in the place of something else.
"""

from __future__ import annotations

import os
import struct
import threading
from dataclasses import dataclass

import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..model.errors import InsufficientResources, SnapshotDamaged
from ..objects.base import Data

MAGIC = b"SYLA\x01"
KEY_BYTES = SALT_BYTES = HASH_BYTES = 32
TAG_BYTES = 16
HEADER_BYTES = len(MAGIC) + 1 + SALT_BYTES
FOOTER_NUMBER = 0xFFFF_FFFF
PLAIN, ZSTD = 0, 1
SEALED_MAX_BYTES = 1 << 28
"""Of a sealed object, and of its content."""
_ENVELOPE = struct.Struct("<BI")
_CONTEXT = "syla-jupyter snapshots 2026-11 "
_LOCAL = threading.local()


@dataclass(frozen=True)
class Keys:
    chunk_id: bytes
    pack: bytes
    sealed: bytes
    config: bytes
    chunking_seed: int

    @classmethod
    def derive(cls, data_key: bytes) -> Keys:
        def key(purpose: str) -> bytes:
            return blake3(data_key, derive_key_context=_CONTEXT + purpose).digest()

        seed = int.from_bytes(key("chunking seed")[:8], "little")
        return cls(key("chunk id"), key("pack"), key("sealed object"), key("config"), seed)

    def __repr__(self) -> str:
        return "Keys(…)"  # never into a log


def new_data_key() -> bytes:
    return os.urandom(KEY_BYTES)


def object_hash(data: Data) -> bytes:
    """32 bytes: the name of packs and index objects, and the links of the log."""
    return blake3(data).digest()


def header(kind: bytes, salt: bytes) -> bytes:
    return MAGIC + kind + salt


class BlockCipher:
    """Of one pack. `key`: `Keys.pack`; `salt`: of the pack."""

    def __init__(self, key: bytes, salt: bytes) -> None:
        self.header = header(b"P", salt)
        self._cipher = AESGCM(blake3(salt, key=key).digest())

    def encrypt_into(self, number: int, kind: bytes, data: Data, into: memoryview) -> None:
        """`into`: TAG_BYTES longer than `data`. A number is used once."""
        self._cipher.encrypt_into(_nonce(number), data, self._beside(number, kind), into)

    def decrypt(self, number: int, kind: bytes, data: Data) -> bytes:
        try:
            return self._cipher.decrypt(_nonce(number), data, self._beside(number, kind))
        except InvalidTag:
            raise SnapshotDamaged(f"block {number} of a pack is not what was written") from None

    def _beside(self, number: int, kind: bytes) -> bytes:
        return self.header + struct.pack("<I", number) + kind


def block_cipher(keys: Keys, head: Data) -> BlockCipher:
    """For reading; `head`: the first HEADER_BYTES of a pack."""
    head = bytes(head)
    if len(head) != HEADER_BYTES or not head.startswith(MAGIC + b"P"):
        raise SnapshotDamaged("a pack does not begin as one")
    return BlockCipher(keys.pack, head[-SALT_BYTES:])


def seal(keys: Keys, kind: bytes, name: str, data: bytes) -> bytes:
    """One object, encrypted. `kind`: one byte; `name`: its key, or empty where its hash is the key.

    `InsufficientResources` for what `unseal` would refuse.
    """
    head = header(kind, os.urandom(SALT_BYTES))
    cipher = AESGCM(blake3(head[-SALT_BYTES:], key=keys.sealed).digest())
    result = head + cipher.encrypt(_nonce(0), enveloped(data), head + name.encode())
    if max(len(data), len(result)) > SEALED_MAX_BYTES:
        what = f"{name or 'an index object'} would hold {len(data)} bytes, and {SEALED_MAX_BYTES} can be read"
        raise InsufficientResources(what, "Let go of versions, or keep fewer files in one workspace")
    return result


def unseal(keys: Keys, kind: bytes, name: str, data: Data) -> bytes:
    """What `seal` was given; `SnapshotDamaged` for anything else."""
    data = memoryview(data)
    head = bytes(data[:HEADER_BYTES])
    if not head.startswith(MAGIC + kind) or len(data) < HEADER_BYTES + TAG_BYTES:
        raise SnapshotDamaged(f"{name or 'an object'} does not begin as what it should be")
    try:
        cipher = AESGCM(blake3(head[-SALT_BYTES:], key=keys.sealed).digest())
        return opened(cipher.decrypt(_nonce(0), data[HEADER_BYTES:], head + name.encode()), SEALED_MAX_BYTES)
    except InvalidTag:
        raise SnapshotDamaged(f"{name or 'an object'} is not what was written") from None


def enveloped(data: bytes) -> bytes:
    """How it is packed (one byte), its length (four bytes), and the content, compressed where that helps."""
    packed = zstandard.ZstdCompressor(level=1).compress(data)
    codec, body = (ZSTD, packed) if len(packed) < len(data) else (PLAIN, data)
    return _ENVELOPE.pack(codec, len(data)) + body


def opened(data: bytes, max_bytes: int) -> bytes:
    """What `enveloped` was given."""
    if len(data) < _ENVELOPE.size:
        raise SnapshotDamaged("an object is too short")
    codec, size = _ENVELOPE.unpack_from(data)
    if size > max_bytes:
        raise SnapshotDamaged(f"an object says that it holds {size} bytes, more than the {max_bytes} allowed")
    body = memoryview(data)[_ENVELOPE.size :]  # zeros may follow: padding
    return decompress(codec, body[:size] if codec == PLAIN else body, size)


def decompress(codec: int, data: Data, size: int) -> bytes:
    """Exactly `size` bytes, or `SnapshotDamaged`; never makes room for more."""
    if codec == PLAIN:
        result = bytes(data)
    elif codec == ZSTD:
        try:
            # The decompressor allocates what the frame declares, so that is looked at first.
            if zstandard.frame_content_size(data) != size:
                raise SnapshotDamaged("a compressed piece declares another size than its index")
            result = _decompressor().decompress(data, max_output_size=size)
        except zstandard.ZstdError as exc:
            raise SnapshotDamaged(f"a piece cannot be decompressed ({exc})") from None
    else:
        raise SnapshotDamaged(f"a piece is packed in an unknown way ({codec})", "Use a newer version")
    if len(result) != size:
        raise SnapshotDamaged("a piece has another size than its index says")
    return result


def _decompressor() -> zstandard.ZstdDecompressor:
    """This thread's: making one costs more than unpacking a small block."""
    found: zstandard.ZstdDecompressor | None = getattr(_LOCAL, "decompressor", None)
    if found is None:
        found = _LOCAL.decompressor = zstandard.ZstdDecompressor()
    return found


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")
