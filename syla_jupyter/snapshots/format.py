"""The bytes inside the envelopes: tables of packs, log records, checkpoints. FORMAT.md describes the same in words.

Everything is msgpack of maps, lists, integers, text and bytes. What is read was authenticated before, and is checked
all the same: a table that names more than its pack holds would be believed by everything above.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from ..model.errors import SnapshotDamaged
from ..model.snapshot import Reason, Version
from .crypto import HASH_BYTES, HEADER_BYTES, SALT_BYTES, TAG_BYTES

ID_BYTES = HASH_BYTES
CHUNK_MAX_BYTES = 1 << 23
BLOCK_MAX_BYTES = CHUNK_MAX_BYTES
PACK_MAX_BYTES = 1 << 26
DATA, METADATA = b"D", b"M"
LOST = 255
"""In place of a codec: this block cannot be read any more (`repair` found out)."""


@dataclass(frozen=True)
class Pack:
    """The table of one pack. Blocks lie one after the other behind the header; in a block, its chunks."""

    id: bytes
    """Hash of the whole object; its key is `packs/<first byte>/<id>`, hexadecimal."""
    size: int
    kind: bytes
    salt: bytes
    blocks: tuple[tuple[int, int, int, int], ...]
    """(stored bytes with tag, content bytes, codec, number of chunks)."""
    ids: bytes
    """Of all chunks in order, 32 bytes each."""
    sizes: tuple[int, ...]

    @property
    def key(self) -> str:
        return pack_key(self.id)


def pack_key(id: bytes) -> str:
    return f"packs/{id[:1].hex()}/{id.hex()}"


def index_key(id: bytes) -> str:
    return f"index/{id.hex()}"


def log_key(number: int) -> str:
    return f"log/{number:08}"


def base_key(number: int) -> str:
    return f"log/base-{number:08}"


def encode(value: Any) -> bytes:
    data: bytes = msgpack.packb(value, use_bin_type=True)
    return data


def decode(data: bytes, what: str) -> dict[str, Any]:
    """A map with text for keys; `SnapshotDamaged` naming `what`."""
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=True)
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError) as exc:
        raise SnapshotDamaged(f"{what} is damaged ({type(exc).__name__})") from None
    if not isinstance(value, dict):
        raise SnapshotDamaged(f"{what} is not a map")
    return value


def encode_table(pack: Pack, **beside: Any) -> dict[str, Any]:
    numbers = [number for block in pack.blocks for number in block]
    return {
        "kind": pack.kind,
        "salt": pack.salt,
        "blocks": _pack_numbers(numbers),
        "ids": pack.ids,
        "sizes": _pack_numbers(pack.sizes),
        **beside,
    }


def decode_table(value: Mapping[str, Any], id: bytes, size: int) -> Pack:
    try:
        numbers, sizes = _unpack_numbers(value["blocks"]), _unpack_numbers(value["sizes"])
        blocks = tuple(zip(*(iter(numbers),) * 4, strict=True))
        kind, salt, ids = bytes(value["kind"]), bytes(value["salt"]), bytes(value["ids"])
        pack = Pack(bytes(id), int(size), kind, salt, blocks, ids, tuple(sizes))
    except (KeyError, TypeError, ValueError) as exc:
        raise SnapshotDamaged(f"the table of a pack is damaged ({type(exc).__name__})") from None
    _check_table(pack)
    return pack


def _check_table(pack: Pack) -> None:
    count, end = len(pack.sizes), HEADER_BYTES + sum(block[0] for block in pack.blocks)
    good = (
        len(pack.id) == HASH_BYTES
        and len(pack.salt) == SALT_BYTES
        and pack.kind in (DATA, METADATA)
        and len(pack.ids) == count * ID_BYTES
        and sum(block[3] for block in pack.blocks) == count
        and end <= pack.size <= PACK_MAX_BYTES
    )
    first = 0
    for stored, content, codec, chunks in pack.blocks:
        last = first + chunks
        good = good and content <= BLOCK_MAX_BYTES and TAG_BYTES <= stored <= content + TAG_BYTES
        good = good and (codec == LOST or sum(pack.sizes[first:last]) == content)
        first = last
    if not good:
        raise SnapshotDamaged(f"the table of pack {pack.id.hex()[:16]} does not fit itself")


def encode_version(version: Version) -> dict[str, Any]:
    return {
        "number": version.number,
        "created_at": version.created_at,
        "author": version.author,
        "message": version.message,
        "reason": version.reason.value,
        "parent": version.parent,
        "root": b"".join(version.root),
        "files": version.files,
        "bytes_total": version.bytes_total,
        "bytes_new": version.bytes_new,
        "tags": list(version.tags),
        "details": dict(version.details),
    }


def decode_version(value: Mapping[str, Any]) -> Version:
    try:
        return Version(
            number=int(value["number"]),
            created_at=float(value["created_at"]),
            author=str(value["author"]),
            message=str(value["message"]),
            reason=_reason(value["reason"]),
            parent=int(value["parent"]),
            root=split_ids(value["root"]),
            files=int(value["files"]),
            bytes_total=int(value["bytes_total"]),
            bytes_new=int(value["bytes_new"]),
            tags=tuple(str(tag) for tag in value["tags"]),
            details=dict(value["details"]),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise SnapshotDamaged(f"the record of a version is damaged ({type(exc).__name__}: {exc})") from None


def split_ids(data: bytes) -> tuple[bytes, ...]:
    if len(data) % ID_BYTES:
        raise ValueError("a list of ids has an odd length")
    return tuple(data[at : at + ID_BYTES] for at in range(0, len(data), ID_BYTES))


def _reason(value: str) -> Reason:
    try:
        return Reason(value)
    except ValueError:
        return Reason.MANUAL  # of a newer release: the version can be read all the same


def _pack_numbers(numbers: Sequence[int]) -> bytes:
    """32 bits each, little-endian."""
    values = array("I", numbers)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def _unpack_numbers(data: bytes) -> array[int]:
    values = array("I")
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values
