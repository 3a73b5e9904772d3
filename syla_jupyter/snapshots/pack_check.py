"""Reading packs whole, many at once, and saying what is good of each: for `verify` and `repair`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from blake3 import blake3

from ..model.errors import ObjectMissing, SnapshotDamaged
from .crypto import BlockCipher, Keys, object_hash
from .format import ID_BYTES, LOST, PACK_MAX_BYTES, Pack, pack_key, split_ids
from .pack import read_block, read_table

if TYPE_CHECKING:
    from .repository import Repository

READERS = 2
AHEAD = 4


@dataclass(frozen=True)
class Checked:
    id: bytes
    pack: Pack | None
    """Its table, with unreadable blocks marked as lost; None where nothing can be read."""
    problem: str
    """Empty: it is as it was written."""
    bytes_read: int
    lost: tuple[bytes, ...] = ()


def check_packs(repository: Repository, wanted: Iterable[tuple[bytes, Pack | None]]) -> Iterator[Checked]:
    """`wanted`: ids of packs, and their tables where they are known; else the pack's own is read."""
    with ThreadPoolExecutor(READERS, "syla-check") as pool:
        waiting = iter(wanted)
        futures = deque(pool.submit(_check, repository, *item) for _, item in zip(range(AHEAD), waiting, strict=False))
        while futures:
            yield futures.popleft().result()
            for item in waiting:
                futures.append(pool.submit(_check, repository, *item))
                break


def _check(repository: Repository, id: bytes, known: Pack | None) -> Checked:
    try:
        data = repository.objects.get(pack_key(id), length=PACK_MAX_BYTES)  # what is longer is no pack
    except ObjectMissing:
        return Checked(id, None, "missing", 0, _all(known))
    whole = object_hash(data) == id
    try:
        pack = known or read_table(repository.keys, id, len(data), _reader(data))
        if len(data) < pack.size:
            raise SnapshotDamaged(f"it has {len(data)} of {pack.size} bytes")
        if whole and known is None and pack.size != len(data):
            raise SnapshotDamaged("its table says another size")
        checked, lost = check_pack(repository.keys, pack, data)
    except SnapshotDamaged as exc:
        return Checked(id, None, exc.message, len(data), _all(known))
    problem = "" if whole and not lost else f"{len(lost)} chunks cannot be read" if lost else "it was changed"
    return Checked(id, checked, problem, len(data), tuple(lost))


def check_pack(keys: Keys, pack: Pack, data: bytes) -> tuple[Pack, list[bytes]]:
    """The table, with the blocks marked that are not what they were, and the ids of what was in them."""
    view = memoryview(data)
    cipher = BlockCipher(keys.pack, pack.salt)
    blocks, lost = list(pack.blocks), list[bytes]()
    offset, first = len(cipher.header), 0
    for number, (stored, content_bytes, codec, count) in enumerate(pack.blocks):
        ids = [pack.ids[k * ID_BYTES : (k + 1) * ID_BYTES] for k in range(first, first + count)]
        try:
            content = memoryview(read_block(cipher, pack, number, view[offset : offset + stored]))
            at = 0
            for id, size in zip(ids, pack.sizes[first : first + count], strict=True):
                if blake3(content[at : at + size], key=keys.chunk_id).digest() != id:
                    raise SnapshotDamaged("a chunk is not what its id says")
                at += size
        except SnapshotDamaged:
            if codec != LOST:
                blocks[number] = (stored, content_bytes, LOST, count)
            lost += ids
        offset, first = offset + stored, first + count
    return replace(pack, blocks=tuple(blocks)), lost


def _reader(data: bytes) -> Callable[[int, int], bytes]:
    def get(start: int, length: int) -> bytes:
        first = start if start >= 0 else len(data) + start
        return data[first : first + length]

    return get


def _all(pack: Pack | None) -> tuple[bytes, ...]:
    return split_ids(pack.ids) if pack else ()
