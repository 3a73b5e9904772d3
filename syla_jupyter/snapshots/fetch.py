"""Chunks out of packs: one at a time with a small cache, or very many, each block fetched and decrypted once.

`fetch` sorts what is wanted by pack and place, reads neighbouring blocks in one request, several requests at once, and
keeps what is under way below a bound: a request is made when there is room for its answer *and* for what becomes of it,
which the index says beforehand. Every chunk is hashed and compared with its id before anybody sees it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from blake3 import blake3

from ..model.errors import ObjectMissing, SnapshotDamaged
from ..objects.base import ObjectStore
from .crypto import BlockCipher, Keys
from .format import Pack
from .index import Index, Location
from .pack import read_block

RUN_BYTES = 4 << 20
"""Of one request, unless one block is larger."""
GAP_BYTES = 128 << 10
"""Rather read this much for nothing than ask once more."""
BUDGET_BYTES = 48 << 20
READERS = 4
CACHED_BLOCKS = 8


@dataclass(frozen=True)
class Wanted:
    """One block and the chunks that are wanted of it."""

    pack: Pack
    block: int
    offset: int
    stored: int
    content: int
    chunks: tuple[tuple[bytes, int, int], ...]
    """(id, start, size)"""


@dataclass(frozen=True)
class Run:
    """Blocks of one pack that are read in one request."""

    pack: Pack
    start: int
    length: int
    blocks: tuple[Wanted, ...]

    @property
    def cost(self) -> int:
        return self.length + sum(block.content for block in self.blocks)


class BlockReader:
    """Reads, decrypts and checks; remembers a few blocks. Safe in several threads."""

    def __init__(self, objects: ObjectStore, keys: Keys) -> None:
        self._objects, self._keys = objects, keys
        self._blocks: OrderedDict[tuple[bytes, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def chunk(self, id: bytes, location: Location) -> bytes:
        key = (location.pack.id, location.block)
        with self._lock:
            content = self._blocks.get(key)
        if content is None:
            stored = self._objects.get(location.pack.key, start=location.offset, length=location.stored)
            content = read_block(self._cipher(location.pack), location.pack, location.block, stored)
            with self._lock:
                self._blocks[key] = content
                while len(self._blocks) > CACHED_BLOCKS:
                    self._blocks.popitem(last=False)
        piece = memoryview(content)[location.start : location.start + location.size]
        self.check(id, piece)
        return bytes(piece)

    def run(self, run: Run) -> list[tuple[Wanted, bytes | SnapshotDamaged]]:
        """Each block's content, or what is wrong with it; damage stays with its block."""
        data = memoryview(self._objects.get(run.pack.key, start=run.start, length=run.length))
        cipher, result = self._cipher(run.pack), list[tuple[Wanted, bytes | SnapshotDamaged]]()
        for block in run.blocks:
            at = block.offset - run.start
            try:
                content = read_block(cipher, run.pack, block.block, data[at : at + block.stored])
                view = memoryview(content)
                for id, start, size in block.chunks:
                    self.check(id, view[start : start + size])
                result.append((block, content))
            except SnapshotDamaged as exc:
                result.append((block, exc))
        return result

    def check(self, id: bytes, piece: memoryview) -> None:
        if blake3(piece, key=self._keys.chunk_id).digest() != id:
            raise SnapshotDamaged(f"chunk {id.hex()[:16]} is not what its id says")

    def _cipher(self, pack: Pack) -> BlockCipher:
        return BlockCipher(self._keys.pack, pack.salt)


def plan(index: Index, ids: Iterable[bytes]) -> tuple[list[Run], list[bytes]]:
    """What to read, in the order of packs and places; and the ids that are in no pack."""
    blocks: dict[int, set[bytes]] = {}
    missing: list[bytes] = []
    for id in ids:
        number = index.block_of(id)
        if number is None:
            missing.append(id)
        else:
            blocks.setdefault(number, set()).add(id)
    wanted = []
    for number in sorted(blocks):
        places = [(id, index.locate(id)) for id in blocks[number]]
        first = places[0][1]
        chunks = tuple(sorted(((id, at.start, at.size) for id, at in places), key=lambda chunk: chunk[1]))
        wanted.append(Wanted(first.pack, first.block, first.offset, first.stored, first.content, chunks))
    return runs(wanted), list(dict.fromkeys(missing))


def runs(wanted: Sequence[Wanted]) -> list[Run]:
    """Neighbours together; `wanted` sorted by pack and offset."""
    result: list[Run] = []
    open_: list[Wanted] = []

    def close() -> None:
        if open_:
            start, last = open_[0].offset, open_[-1]
            result.append(Run(last.pack, start, last.offset + last.stored - start, tuple(open_)))
            open_.clear()

    for block in wanted:
        if open_:
            last = open_[-1]
            end = last.offset + last.stored
            apart = block.pack is not last.pack or not 0 <= block.offset - end <= GAP_BYTES
            if apart or block.offset + block.stored - open_[0].offset > RUN_BYTES:
                close()
        open_.append(block)
    close()
    return result


def fetch(
    reader: BlockReader,
    todo: Sequence[Run],
    again: Callable[[bytes], bytes],
    lost: Callable[[bytes, SnapshotDamaged], None],
) -> Iterator[tuple[bytes, memoryview]]:
    """`again` reads a chunk whose pack has gone meanwhile; `lost` is told of what cannot be read (and may raise)."""
    if len(todo) == 1:  # no threads for one request
        yield from _chunks(todo[0], lambda: reader.run(todo[0]), again, lost)
        return
    waiting = deque(todo)
    under_way: dict[Future[list[tuple[Wanted, bytes | SnapshotDamaged]]], Run] = {}
    used = 0
    pool = ThreadPoolExecutor(READERS, "syla-fetch")
    try:
        while waiting or under_way:
            while waiting and (not under_way or used + waiting[0].cost <= BUDGET_BYTES):
                run = waiting.popleft()
                under_way[pool.submit(reader.run, run)] = run
                used += run.cost
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                run = under_way.pop(future)
                yield from _chunks(run, future.result, again, lost)
                used -= run.cost
                del future
            done.clear()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _chunks(
    run: Run,
    result: Callable[[], list[tuple[Wanted, bytes | SnapshotDamaged]]],
    again: Callable[[bytes], bytes],
    lost: Callable[[bytes, SnapshotDamaged], None],
) -> Iterator[tuple[bytes, memoryview]]:
    try:
        contents = result()
    except ObjectMissing:
        missing = SnapshotDamaged(f"pack {run.pack.id.hex()[:16]} is missing")
        contents = [(block, missing) for block in run.blocks]
    for block, content in contents:
        if isinstance(content, SnapshotDamaged):
            for id, _, _ in block.chunks:
                try:
                    yield id, memoryview(again(id))
                except SnapshotDamaged as exc:
                    lost(id, exc)
        else:
            view = memoryview(content)
            for id, start, size in block.chunks:
                yield id, view[start : start + size]
