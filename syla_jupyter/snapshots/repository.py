"""A repository: the versions of one workspace in an object store, and all verbs on them.

    config ── data key (wrapped) ── keys of everything else
    log/…  ── which versions there are, and which index objects count
    index/… ─ which chunk is where in which pack
    packs/… ─ the chunks

Writes go packs → index → log record: what is not in the log does not exist. Deletes go the other way round. Bytes and
rules stand in FORMAT.md. An object of this class may be used from several threads; what it shows is as of its last
`refresh`, which every verb that changes something does by itself.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

from ..model.clock import Clock
from ..model.errors import (
    Conflict,
    KeyRefused,
    ObjectExists,
    ObjectMissing,
    SnapshotDamaged,
    SylaError,
    UnknownVersion,
)
from ..model.snapshot import Damage, PruneReport, RepairReport, VerifyReport, Version
from ..objects.base import Data, ObjectStore
from . import fetch, manifest
from .config import CONFIG_MAX_BYTES, COPY_KEY, KEY, Chunking, make_config, read_config, rewrapped
from .crypto import Keys, new_data_key, object_hash
from .format import Pack, index_key
from .head import Head
from .index import Index, decode_index, encode_index, to_merge
from .index_cache import IndexCache
from .keys import MasterKey
from .log import Log
from .progress import Meter, Report, never
from .state import FORGET, INDEX, TAG, encode_indexes
from .subtree import Subtree

if TYPE_CHECKING:
    from .session import Session

ChunkId = bytes
References = Callable[[bytes], Iterable[ChunkId]]
"""The ids of the chunks that one chunk of a manifest names."""
READERS = 8
_REPAIR = "syla snapshot repair says what is lost"
_log = logging.getLogger(__name__)


class Repository:
    """Made by `create` or `open`. `cache_dir`: a directory for it alone on this machine, which may be lost."""

    def __init__(
        self,
        objects: Subtree,
        config: bytes,
        keys: Keys,
        chunking: Chunking,
        *,
        clock: Clock,
        cache_dir: Path | None = None,
        references: References = manifest.references,
    ) -> None:
        self.objects, self.keys, self.chunking, self.clock = objects, keys, chunking, clock
        self.config, self.cache_dir, self.references = config, cache_dir, references
        self.log = Log(objects, keys, Head(cache_dir))
        self.index = Index()
        self.index_damage: dict[str, Damage] = {}
        self.warnings: tuple[str, ...] = ()
        self._tables: dict[bytes, list[Pack]] = {}
        self._cache = IndexCache(objects, cache_dir)
        self._reader = fetch.BlockReader(objects, keys)
        self.lock = threading.RLock()
        if not objects.conditional:
            self.warnings = (f"{objects.description} has no conditional writes: only one process may save at a time",)
            _log.warning("%s", self.warnings[0])

    @classmethod
    def create(
        cls,
        objects: ObjectStore,
        workspace_id: str,
        master: MasterKey,
        *,
        clock: Clock,
        cache_dir: Path | None = None,
        references: References = manifest.references,
    ) -> Repository:
        """`Conflict` where there is one already."""
        own = Subtree(objects, workspace_id)
        config, keys, chunking = make_config(workspace_id, new_data_key(), master)
        try:
            if not own.conditional:
                _absent(own)
            own.put(KEY, config, if_absent=True)
        except ObjectExists:
            if own.get(KEY, max_bytes=CONFIG_MAX_BYTES) != config:  # else our own, whose reply was lost
                raise Conflict(f"{own.description} holds a repository already", "Open it") from None
        own.put(COPY_KEY, config)
        return cls(own, config, keys, chunking, clock=clock, cache_dir=cache_dir, references=references)

    @classmethod
    def open(
        cls,
        objects: ObjectStore,
        workspace_id: str,
        master: MasterKey,
        *,
        clock: Clock,
        cache_dir: Path | None = None,
        references: References = manifest.references,
    ) -> Repository:
        """`ObjectMissing` where there is none: neither config nor copy; `KeyRefused`, `SnapshotDamaged`."""
        own = Subtree(objects, workspace_id)
        config, keys, chunking = _read_either(own, workspace_id, master)
        repository = cls(own, config, keys, chunking, clock=clock, cache_dir=cache_dir, references=references)
        repository.refresh()
        return repository

    @staticmethod
    def destroy(objects: ObjectStore, workspace_id: str) -> None:
        """Delete all of it, the key first: what is left after a crash cannot be read by anybody."""
        own = Subtree(objects, workspace_id)
        own.delete([KEY, COPY_KEY])
        own.delete([info.key for info in own.list("")])

    @staticmethod
    def rekey(objects: ObjectStore, workspace_id: str, master: MasterKey, copy: ObjectStore | None = None) -> bool:
        """Have the data key wrapped by what `master` wraps with now; whether it was not.

        `copy`: another store, whose config is to be the same. Cut at any point, each config is one of before or of
        after, which `master` opens both; done again, all are. One that has another data key, or none that can be read,
        is left as it is. Errors as of `open`.
        """
        own = Subtree(objects, workspace_id)
        config, keys, _ = _read_either(own, workspace_id, master)
        after = rewrapped(config, workspace_id, master)
        changed = False
        for store in [Subtree(copy, workspace_id), own] if copy is not None else [own]:
            for name in (COPY_KEY, KEY):
                with contextlib.suppress(ObjectMissing, SnapshotDamaged, KeyRefused):
                    there = store.get(name, max_bytes=CONFIG_MAX_BYTES)
                    if there != after and read_config(there, workspace_id, master)[0] == keys:
                        store.put(name, after)
                        changed = True
        return changed

    def chunk_id(self, data: Data) -> ChunkId:
        return blake3(data, key=self.keys.chunk_id).digest()

    def has(self, id: ChunkId) -> bool:
        return id in self.index

    def refresh(self) -> None:
        with self.lock:
            read_to = -1
            while True:
                self.log.refresh()
                # What is missing, and is named by a log that has not moved since, was not just merged: it is lost.
                if self.sync(final=self.log.state.sequence == read_to):
                    return
                read_to = self.log.state.sequence

    def versions(self) -> list[Version]:
        return sorted(self.log.state.versions.copy().values(), key=lambda version: version.number)

    def version(self, number: int) -> Version:
        found = self.log.state.versions.get(number)
        if found is None:
            raise UnknownVersion("version", f"there is no version {number}", "syla snapshot list shows them")
        return found

    def session(self) -> Session:
        """A save, from here to its `commit`; a context manager."""
        from .session import Session

        return Session(self)

    def read(self, id: ChunkId) -> bytes:
        location = self.index.locate(id)
        try:
            return self._reader.chunk(id, location)
        except ObjectMissing:
            self.refresh()  # a collector has moved it
            moved = self.index.locate(id)
            if moved.pack.id == location.pack.id:
                raise SnapshotDamaged(f"{location.pack.key} is missing", _REPAIR) from None
            return self._reader.chunk(id, moved)

    def read_at(self, id: ChunkId, index: Index) -> bytes:
        """By an index that may be an older one; `ObjectMissing` when its pack has gone."""
        return self._reader.chunk(id, index.locate(id))

    def fetch(
        self, ids: Iterable[ChunkId], *, damaged: dict[ChunkId, str] | None = None, index: Index | None = None
    ) -> Generator[tuple[ChunkId, memoryview]]:
        """Each chunk once, in any order. With `damaged`, what cannot be read is put there, and the rest goes on.

        `index`: another one than the repository's own.
        """

        def lost(id: bytes, error: SnapshotDamaged) -> None:
            if damaged is None:
                raise error
            damaged[id] = error.message

        todo, missing = fetch.plan(self.index if index is None else index, ids)
        for id in missing:
            lost(id, SnapshotDamaged(f"chunk {id.hex()[:16]} is in no pack", _REPAIR))
        return fetch.fetch(self._reader, todo, self.read, lost)

    def forget(self, numbers: Iterable[int]) -> None:
        """Their content stays until `prune`. `UnknownVersion` for any that there is not."""
        wanted = sorted(set(numbers))
        with self.lock:
            self.refresh()
            for number in wanted:
                self.version(number)
            if wanted:
                self.log.append(lambda state: {"kind": FORGET, "numbers": wanted})
                self.maintain()

    def tag(self, number: int, tags: Sequence[str]) -> Version:
        """These and no others."""
        with self.lock:
            self.refresh()
            self.version(number)
            self.log.append(lambda state: {"kind": TAG, "number": number, "tags": list(tags)})
            self.maintain()
            return self.version(number)

    def prune(
        self,
        *,
        dry_run: bool = False,
        without: Collection[int] = (),
        expires_seconds: float | None = None,
        progress: Report | None = None,
        cancelled: Callable[[], bool] = never,
    ) -> PruneReport:
        """Delete what no version needs. `expires_seconds`: after how long without a sign a save counts as dead; 0 where
        the caller knows that nobody saves. `without`: versions that a dry run counts as forgotten. `Cancelled`: what
        was not deleted yet the next one deletes."""
        from .prune import prune

        meter = self._meter(progress, cancelled)
        return prune(self, meter, dry_run=dry_run, without=without, expires_seconds=expires_seconds)

    def verify(
        self,
        *,
        data: bool | float = False,
        numbers: Collection[int] | None = None,
        progress: Report | None = None,
        cancelled: Callable[[], bool] = never,
    ) -> VerifyReport:
        """Tables and manifests; with `data`, the content of all packs, or of that share of them.

        `numbers`: of the versions that count; None: all of them.
        """
        from .verify import verify

        return verify(self, self._meter(progress, cancelled), data=float(data), numbers=numbers)

    def repair(self, *, progress: Report | None = None, cancelled: Callable[[], bool] = never) -> RepairReport:
        """Read everything, make a new index of what is good, and name what is lost."""
        from .repair import repair

        return repair(self, self._meter(progress, cancelled))

    def _meter(self, progress: Report | None, cancelled: Callable[[], bool]) -> Meter:
        return Meter(progress, cancelled, self.clock, unit="parts")

    def close(self) -> None:
        """Nothing is held open; the object store is the caller's."""

    def sync(self, *, final: bool = False) -> bool:
        """Load the index objects that the log names. False: one was missing, the log has to be read again."""
        wanted = self.log.state.indexes
        new = [id for id in wanted if id not in self._tables]
        damage: dict[str, Damage] = {}
        complete = True
        for id, result in zip(new, self._load(new), strict=True):
            if isinstance(result, list):
                self._tables[id] = result
            else:
                complete = complete and not isinstance(result, ObjectMissing)
                problem = "missing" if isinstance(result, ObjectMissing) else result.message
                damage[index_key(id)] = Damage(index_key(id), problem)
        if not complete and not final:
            return False
        self.index_damage = damage
        dropped = [id for id in self._tables if id not in wanted]
        if dropped:
            for id in dropped:
                del self._tables[id]
            self.index = Index(pack for tables in self._tables.values() for pack in tables)
            self._cache.keep(wanted)
        else:
            for id in new:
                self.index.add(self._tables.get(id, []))
        return True

    def put_index(self, packs: Iterable[Pack]) -> tuple[bytes, int]:
        """Write an index object: its id and size. It counts when a log record names it."""
        data = encode_index(self.keys, packs)
        id = object_hash(data)
        self.objects.put(index_key(id), data)
        self._cache.put(id, data)
        return id, len(data)

    def maintain(self) -> None:
        """After a commit: merge index objects, write a checkpoint. What fails here is done by the next one."""
        try:
            with self.lock:
                merge = to_merge(list(self.log.state.indexes.items()))
                if merge and self.sync() and not self.index_damage:
                    self._merge(merge)
                if self.log.checkpoint_due:
                    self.log.checkpoint()
        except Exception:
            _log.warning("The log of %s could not be tidied up", self.objects.description, exc_info=True)

    def _merge(self, ids: Sequence[bytes]) -> None:
        merged = self.put_index(pack for id in ids for pack in self._tables[id])

        def record(state: object) -> dict[str, object]:
            if any(id not in self.log.state.indexes for id in ids):
                raise Conflict("Somebody else merged the index")
            return {"kind": INDEX, "index": encode_indexes(dict([merged])), "drop": b"".join(ids)}

        try:
            self.log.append(record)
        except Conflict:
            self.objects.delete([index_key(merged[0])])
            return
        self.sync()
        self.objects.delete([index_key(id) for id in ids])

    def _load(self, ids: Sequence[bytes]) -> list[list[Pack] | ObjectMissing | SnapshotDamaged]:
        def one(id: bytes) -> list[Pack] | ObjectMissing | SnapshotDamaged:
            try:
                return decode_index(self.keys, self._cache.get(id))
            except (ObjectMissing, SnapshotDamaged) as exc:
                return exc

        if len(ids) < 2:
            return [one(id) for id in ids]
        with ThreadPoolExecutor(READERS, "syla-index") as pool:
            return list(pool.map(one, ids))


def _read_either(own: Subtree, workspace_id: str, master: MasterKey) -> tuple[bytes, Keys, Chunking]:
    """The config, or its copy. `ObjectMissing` only where there is neither: on that word a new one may be made."""
    trouble: list[SylaError] = []
    for key in (KEY, COPY_KEY):
        try:
            config = own.get(key, max_bytes=CONFIG_MAX_BYTES)
            return config, *read_config(config, workspace_id, master)
        except (ObjectMissing, SnapshotDamaged, KeyRefused) as exc:
            trouble.append(exc)
    raise next((exc for exc in trouble if not isinstance(exc, ObjectMissing)), trouble[0])


def _absent(objects: ObjectStore) -> None:
    try:
        objects.head(KEY)
    except ObjectMissing:
        return
    raise ObjectExists(f"{KEY} is there")
