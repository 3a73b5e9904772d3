"""One save: chunks in, one commit at the end.

`add` does the work of a batch in the caller's thread (hash, compress, encrypt into the open pack); full packs go up in
threads of their own. The number of pack buffers bounds the memory: when all are on their way, `add` waits.

`commit` writes what is open, then the index object, then the log record. If a collector has committed meanwhile, it
looks at everything that the new version needs: what is about to be deleted is read once more and stored again, what is
gone already makes it `Conflict`: repeat the save.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from mmap import mmap
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..model.errors import BadInput, Conflict, ObjectMissing, SnapshotDamaged, SylaError
from ..model.snapshot import Reason, SessionStats, Version
from ..objects.base import Data
from .blocks import Chunk, Compressor, group
from .crypto import TAG_BYTES
from .format import CHUNK_MAX_BYTES, DATA, METADATA, Pack, decode, decode_version, encode, encode_version, index_key
from .index import Index
from .pack import PackWriter, new_buffer
from .pending import TOUCH_SECONDS, Pending
from .progress import nothing
from .state import SNAPSHOT, State, encode_indexes

if TYPE_CHECKING:
    from .repository import ChunkId, Repository

UPLOADS = 4
RECORD_MAX_BYTES = 1 << 24
COPY_BATCH_BYTES = 1 << 22
BUFFERS = UPLOADS + 3
WAIT_SECONDS = 0.2
_KEYS = {"author", "message", "reason", "root", "files", "bytes_total", "bytes_new", "parent", "tags"} | {
    "details",
    "created_at",
}
_log = logging.getLogger(__name__)


class _Open:
    """A pack that is being filled."""

    def __init__(self, writer: PackWriter) -> None:
        self.writer, self.writing, self.closed = writer, 0, False


class Session:
    """Made by `Repository.session`. `add` may be called by several threads at once; the rest by one."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        repository.refresh()
        self._pending = Pending(repository.objects, repository.keys, repository.log.state.sequence)
        try:
            self._pending.put()
            repository.refresh()  # whoever collects from now on sees us; whoever did is seen
        except BaseException:
            self._unmark()
            raise
        self._touched = repository.clock.monotonic()
        self._known, self._seen = repository.index, self._collector()
        self._compressor = Compressor()
        self._lock, self._counting = threading.Lock(), threading.Lock()
        self._own: set[bytes] = set()
        self._open: dict[bytes, _Open] = {}
        self._packs: list[Pack] = []
        self._uploads: list[Future[None]] = []
        self._error: BaseException | None = None
        self._pool = ThreadPoolExecutor(UPLOADS, "syla-upload")
        self._room = threading.BoundedSemaphore(BUFFERS)
        self._buffers: list[mmap] = []
        self._stats = [0] * 6
        self._committing = self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._ended:
            self.abort()

    @property
    def key(self) -> str:
        """Of its mark in the store."""
        return self._pending.key

    @property
    def stats(self) -> SessionStats:
        return SessionStats(*self._stats)

    def add(self, datas: Sequence[Data], *, metadata: bool = False) -> list[ChunkId]:
        """The ids, in order; at most CHUNK_MAX_BYTES each. The buffers are the caller's again when it returns.

        Raises what an upload in the background has met.
        """
        self._check()
        ids = [self._repository.chunk_id(data) for data in datas]
        try:
            new = self._new(ids, datas)
            for block in group(new):
                self._store(block, METADATA if metadata else DATA)
        except BaseException as exc:
            self._error = self._error or exc  # ids that others already rely on are not stored
            raise
        return ids

    def commit(
        self,
        record: Mapping[str, Any],
        *,
        tick: Callable[[], None] = nothing,
        decided: Callable[[], None] = nothing,
    ) -> Version:
        """Make it a version; `Repository.versions` shows it, here and elsewhere.

        `tick` is called while it waits for what is on its way, `decided` when all of that is there: what they raise
        leaves no version.

        `record`: author, message, reason, root, files, bytes_total, parent, tags, details; created_at and bytes_new
        only where they are not the time and the new bytes of this session. `Conflict`: repeat the save.
        """
        fields = _fields(record, self._repository.clock.now(), self._stats[3])
        self._check()
        repository = self._repository
        self.flush(tick)
        decided()
        index = self._index()
        state_before = self._seen

        def snapshot(state: State) -> dict[str, Any]:
            repository.sync()
            nonlocal index
            if self._collector() != state_before:
                index = self._look_again(fields["root"], index)
            self._has_root(fields["root"])
            version = Version(number=state.next_number, **fields)
            return {"kind": SNAPSHOT, "version": encode_version(version), "index": encode_indexes(index)}

        with repository.lock:
            self.named()
            done = repository.log.append(snapshot)
            repository.sync()
            version = repository.version(int(done["version"]["number"]))
        self._end()
        repository.maintain()
        return version

    def copy(
        self,
        ids: Sequence[bytes],
        kind: bytes,
        index: Index | None = None,
        *,
        tick: Callable[[int], None] = lambda bytes_: None,
    ) -> None:
        """Store chunks of this repository once more, in new packs. `tick` is told of every batch, and may raise."""
        self._known = Index()
        batch, size = list[memoryview](), 0
        with contextlib.closing(self._repository.fetch(ids, index=index)) as chunks:
            for _, data in chunks:
                batch.append(data)
                size += len(data)
                if size >= COPY_BATCH_BYTES:
                    self.add(batch, metadata=kind == METADATA)
                    tick(size)
                    batch, size = [], 0
        self.add(batch, metadata=kind == METADATA)
        tick(size)

    def packs(self) -> list[Pack]:
        """All that was stored, after it is up."""
        self.flush()
        return list(self._packs)

    def named(self) -> None:
        """A log record is about to name the packs: from now on `abort` leaves them."""
        self._committing = True

    def abort(self) -> None:
        """Nothing of it stays, as far as the store still answers; `prune` finds the rest."""
        if self._ended:
            return
        self._error = self._error or Conflict("The save was given up")
        for upload in self._uploads:
            if upload.cancel():
                self._room.release()  # somebody may wait in `add`
        self._pool.shutdown(wait=True)
        if not self._committing:  # a commit whose reply was lost may yet turn out to have happened
            try:
                self._repository.objects.delete([pack.key for pack in self._packs])
            except SylaError as exc:
                _log.info("Packs of a save that was given up are left for prune: %s", exc)
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._pool.shutdown(wait=True)
        self._buffers.clear()
        self._open.clear()
        self._unmark()

    def _unmark(self) -> None:
        try:
            self._pending.remove()
        except SylaError as exc:
            _log.info("The mark of a save is left for prune: %s", exc)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._ended:
            raise Conflict("This save has ended")
        now = self._repository.clock.monotonic()
        if now - self._touched > TOUCH_SECONDS:
            self._touched = now
            self._pending.put()

    def _new(self, ids: Sequence[bytes], datas: Sequence[Data]) -> list[Chunk]:
        known, own, new = self._known, self._own, list[Chunk]()
        total = new_bytes = 0
        with self._lock:
            for id, data in zip(ids, datas, strict=True):
                size = len(data)
                total += size
                if id not in own and id not in known:
                    if size > CHUNK_MAX_BYTES:
                        raise BadInput("chunk", f"has {size} bytes", f"At most {CHUNK_MAX_BYTES}")
                    own.add(id)
                    new.append((id, data))
                    new_bytes += size
            for at, amount in enumerate((len(ids), total, len(new), new_bytes)):
                self._stats[at] += amount
        return new

    def _store(self, block: list[Chunk], kind: bytes) -> None:
        content = block[0][1] if len(block) == 1 else b"".join(data for _, data in block)
        codec, payload = self._compressor.compress(content)
        ids, sizes = [id for id, _ in block], [len(data) for _, data in block]
        with self._lock:
            pack = self._pack(kind, len(payload) + TAG_BYTES, len(ids))
            place = pack.writer.reserve(len(payload), len(content), codec, ids, sizes)
            pack.writing += 1
            self._stats[4] += len(payload) + TAG_BYTES
        try:
            pack.writer.write(place, payload)
        finally:
            with self._lock:
                pack.writing -= 1
                if pack.closed and not pack.writing:
                    self._upload(pack)

    def _pack(self, kind: bytes, stored_bytes: int, chunks: int) -> _Open:
        pack = self._open.get(kind)
        if pack is not None and not pack.writer.has_room(stored_bytes, chunks):
            self._close(pack)
            pack = None
        if pack is None:
            self._room.acquire()
            if self._error is not None:
                self._room.release()
                raise self._error
            buffer = self._buffers.pop() if self._buffers else new_buffer()
            pack = self._open[kind] = _Open(PackWriter(self._repository.keys, kind, buffer))
        return pack

    def _close(self, pack: _Open) -> None:
        self._open.pop(pack.writer.kind, None)
        pack.closed = True
        if not pack.writing:
            self._upload(pack)

    def _upload(self, pack: _Open) -> None:
        if self._error is None:
            try:
                self._uploads.append(self._pool.submit(self._put, pack.writer))
                return
            except RuntimeError:
                pass  # given up in this moment: the pool takes nothing any more
        self._room.release()

    def _put(self, writer: PackWriter) -> None:
        try:
            if self._error is None:
                table, data = writer.finish()
                self._packs.append(table)
                self._repository.objects.put(table.key, data)
                with self._counting:
                    self._stats[5] += len(data)
        except BaseException as exc:
            self._error = self._error or exc
        finally:
            self._buffers.append(writer.buffer)
            self._room.release()

    def flush(self, tick: Callable[[], None] = nothing) -> None:
        """Every chunk that was added is in the store. `tick`: called meanwhile, and may raise."""
        with self._lock:
            for pack in list(self._open.values()):
                self._close(pack)
        while self._uploads:
            done, _ = wait(self._uploads[-1:], WAIT_SECONDS)
            tick()
            if done:
                self._uploads.pop().result()
        self._check()

    def _index(self) -> dict[bytes, int]:
        """Flush, and write an index object that names all packs; none where nothing is new."""
        self.flush()
        return dict([self._repository.put_index(self._packs)]) if self._packs else {}

    def _collector(self) -> tuple[int, int]:
        """Changes when a collector may have committed."""
        log = self._repository.log
        return log.state.collections, log.jumps

    def _has_root(self, root: Sequence[bytes]) -> None:
        index = self._repository.index
        if missing := [id for id in root if id not in index and id not in self._own]:
            raise SnapshotDamaged(f"{len(missing)} chunks of the manifest were never stored", "Repeat the save")

    def _look_again(self, root: Sequence[bytes], index: dict[bytes, int]) -> dict[bytes, int]:
        """A collector was here: is all that the version needs still there, and going to stay?"""
        repository = self._repository
        dead = repository.log.state.tombstones
        keys = [pack.key for pack in self._packs] + [index_key(id) for id in index]
        try:
            if any(key in dead for key in keys):
                raise Conflict("What this save had stored was removed as left over")
            for key in keys:
                repository.objects.head(key)
            own = Index(self._packs)
            names = [name for id in root for name in repository.references(self._read(id, own))]
            missing = [id for id in dict.fromkeys([*root, *names]) if id not in own and id not in repository.index]
            if not missing:
                return index
            for id in missing:  # of a pack that is dead but not yet deleted
                self._own.discard(id)
            known, self._known = self._known, repository.index
            for id in missing:
                self.add([repository.read_at(id, known)], metadata=id in root)
        except (ObjectMissing, SnapshotDamaged) as exc:
            raise Conflict(f"What this save relied on was removed ({exc.message})", "Repeat the save") from exc
        return self._index()

    def _read(self, id: bytes, own: Index) -> bytes:
        for index in (own, self._repository.index, self._known):
            if id in index:
                return self._repository.read_at(id, index)
        raise SnapshotDamaged(f"chunk {id.hex()[:16]} is in no pack")


def _fields(record: Mapping[str, Any], now: float, new_bytes: int) -> dict[str, Any]:
    if unknown := set(record) - _KEYS:
        raise BadInput("record", f"{sorted(unknown)[0]} is no field of a version", ", ".join(sorted(_KEYS)))
    fields: dict[str, Any] = {
        "created_at": float(record.get("created_at", now)),
        "author": str(record.get("author", "")),
        "message": str(record.get("message", "")),
        "reason": Reason(record.get("reason", Reason.MANUAL)),
        "parent": int(record.get("parent") or 0),
        "root": tuple(bytes(id) for id in record["root"]),
        "files": int(record.get("files", 0)),
        "bytes_total": int(record.get("bytes_total", 0)),
        "bytes_new": int(record.get("bytes_new", new_bytes)),
        "tags": tuple(str(tag) for tag in record.get("tags", ())),
        "details": dict(record.get("details") or {}),
    }
    try:  # what cannot be read again must not be written
        data = encode(encode_version(Version(number=1, **fields)))
        fields["details"] = decode_version(decode(data, "the record")).details
    except (SnapshotDamaged, ValueError, TypeError, OverflowError) as exc:
        raise BadInput(
            "record", f"cannot be stored ({exc})", "Texts, numbers, lists, and maps with text for keys"
        ) from exc
    if len(data) > RECORD_MAX_BYTES:
        raise BadInput("record", f"has {len(data)} bytes", f"At most {RECORD_MAX_BYTES}")
    return fields
