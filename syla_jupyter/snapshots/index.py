"""Where each chunk is. An index object holds the tables of the packs that one commit added, or of many, merged.

In memory a chunk is one entry of a dictionary: its id, and an integer made of the number of its block, its place in
the block's content and its size. The same chunk may be in two packs (two saves at once): the first one found serves.
"""

from __future__ import annotations

from collections.abc import Iterable, KeysView, Sequence
from typing import NamedTuple

from ..model.errors import SnapshotDamaged
from .crypto import HEADER_BYTES, Keys, seal, unseal
from .format import ID_BYTES, LOST, Pack, decode, decode_table, encode, encode_table

KIND = b"I"
MERGE_ABOVE = 16
"""More index objects than this are merged at a commit."""
_INNER, _BLOCK = 24, 48
_LOW = (1 << 24) - 1


class Location(NamedTuple):
    pack: Pack
    block: int
    offset: int
    """Of the block in the pack."""
    stored: int
    content: int
    start: int
    """Of the chunk in the block's content."""
    size: int


class Index:
    """Of many packs. Grows by `add`; readers in other threads see a chunk at once or not yet."""

    def __init__(self, packs: Iterable[Pack] = ()) -> None:
        self.packs: dict[bytes, Pack] = {}
        self._chunks: dict[bytes, int] = {}
        self._blocks: list[tuple[Pack, int, int]] = []  # pack, number in it, offset
        self.add(packs)

    def __contains__(self, id: object) -> bool:
        return id in self._chunks

    def __len__(self) -> int:
        return len(self._chunks)

    def ids(self) -> KeysView[bytes]:
        return self._chunks.keys()

    def add(self, packs: Iterable[Pack]) -> None:
        for pack in packs:
            if pack.id not in self.packs:
                self._add(pack)
                self.packs[pack.id] = pack

    def _add(self, pack: Pack) -> None:
        chunks, ids, sizes = self._chunks, pack.ids, pack.sizes
        offset, at = HEADER_BYTES, 0
        for number, (stored, _, codec, count) in enumerate(pack.blocks):
            if codec != LOST:
                place = len(self._blocks) << _BLOCK
                self._blocks.append((pack, number, offset))
                for k in range(at, at + count):
                    size = sizes[k]
                    chunks.setdefault(ids[k * ID_BYTES : (k + 1) * ID_BYTES], place | size)
                    place += size << _INNER
            offset += stored
            at += count

    def block_of(self, id: bytes) -> int | None:
        """A number that is the same for all chunks of one block and grows along a pack."""
        value = self._chunks.get(id)
        return None if value is None else value >> _BLOCK

    def locate(self, id: bytes) -> Location:
        """`SnapshotDamaged` where no pack has it."""
        value = self._chunks.get(id)
        if value is None:
            raise SnapshotDamaged(f"chunk {id.hex()[:16]} is in no pack", "syla snapshot repair says what is lost")
        pack, number, offset = self._blocks[value >> _BLOCK]
        stored, content, _, _ = pack.blocks[number]
        return Location(pack, number, offset, stored, content, value >> _INNER & _LOW, value & _LOW)


def encode_index(keys: Keys, packs: Iterable[Pack]) -> bytes:
    tables = [encode_table(pack, id=pack.id, size=pack.size) for pack in packs]
    return seal(keys, KIND, "", encode({"packs": tables}))


def decode_index(keys: Keys, data: bytes) -> list[Pack]:
    value = decode(unseal(keys, KIND, "", data), "an index object")
    try:
        return [decode_table(table, table["id"], table["size"]) for table in value["packs"]]
    except (KeyError, TypeError) as exc:
        raise SnapshotDamaged(f"an index object is damaged ({type(exc).__name__})") from None


def to_merge(sizes: Sequence[tuple[bytes, int]]) -> list[bytes]:
    """Which index objects (id, bytes) become one; none while there are few.

    A large one stays until the smaller ones together are as large: each entry is written anew a logarithmic number of
    times only.
    """
    if len(sizes) <= MERGE_ABOVE:
        return []
    chosen: list[bytes] = []
    total = 0
    for id, size in sorted(sizes, key=lambda item: item[1]):
        if size > 2 * total and len(chosen) >= 2:
            break
        chosen.append(id)
        total += size
    return chosen
