"""Deleting what no version needs, beside saves that go on.

1. List the packs and index objects, then the saves that run, then read the log: what was listed, belongs to no save
   and is not in the log's index is an orphan.
2. Read the manifests of all versions; decide (`plan`, pure) which packs go, which are written anew.
3. Copy what is needed out of the latter, write one index object for all that stays.
4. Commit a record that says so and names everything that is about to go. If versions were committed meanwhile, they
   are looked at first; if one of them needs something that would go, begin again.
5. Delete, the saves that were running before the record excepted: what they may rely on waits for the next time.

A crash after any step, or the wish to break it off, leaves either nothing changed, or orphans, or names in the log
that the next run deletes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..model.errors import Conflict, SnapshotDamaged
from ..model.snapshot import PruneReport
from . import pending
from .format import DATA, ID_BYTES, LOST, METADATA, Pack, index_key
from .reachable import Reached, reach
from .state import COLLECT, State, encode_indexes
from .verify import lists_of

if TYPE_CHECKING:
    from .progress import Meter
    from .repository import Repository
    from .session import Session

ATTEMPTS = 8
DELETE_BATCH = 1000
"""Then it is looked at whether to go on."""
KEEP_SHARE = 0.6
"""A pack is written anew when less of it than this is needed."""
SMALL_BYTES = 2 << 20
SMALL_PACKS = 16
"""More small packs of one kind than this are put together."""


@dataclass(frozen=True)
class Plan:
    delete: tuple[Pack, ...]
    rewrite: tuple[Pack, ...]
    keep: tuple[Pack, ...]


class _Again(Exception):
    """Something was committed that the plan did not know."""


def plan(packs: Collection[Pack], needed: Mapping[bytes, int]) -> Plan:
    """`needed`: pack id -> stored bytes of its blocks, in proportion, that are needed."""
    delete = [pack for pack in packs if not needed.get(pack.id)]
    rest = [pack for pack in packs if needed.get(pack.id)]
    rewrite = [pack for pack in rest if needed[pack.id] < KEEP_SHARE * sum(block[0] for block in pack.blocks)]
    for kind in {pack.kind for pack in rest}:
        small = [pack for pack in rest if pack.kind == kind and pack.size < SMALL_BYTES and pack not in rewrite]
        if len(small) > SMALL_PACKS:
            rewrite += small
    going = {pack.id for pack in rewrite}
    return Plan(tuple(delete), tuple(rewrite), tuple(pack for pack in rest if pack.id not in going))


def prune(
    repository: Repository, meter: Meter, *, dry_run: bool, without: Collection[int], expires_seconds: float | None
) -> PruneReport:
    """`without`: versions that a dry run counts as forgotten."""
    expires = pending.EXPIRES_SECONDS if expires_seconds is None else expires_seconds
    for _ in range(ATTEMPTS):
        collector = _Collector(repository, expires, meter)
        collector.look(without if dry_run else ())
        if dry_run:
            return collector.report(dry_run=True)
        try:
            with repository.session() as copying:
                return collector.collect(copying)
        except _Again:
            continue
    raise Conflict("Others save into this repository all the time", "Try again later")


class _Collector:
    def __init__(self, repository: Repository, expires_seconds: float, meter: Meter) -> None:
        self._repository, self._expires, self._meter = repository, expires_seconds, meter
        self._listed: dict[str, tuple[int, float]] = {}
        self._reached = Reached()
        self._plan = Plan((), (), ())
        self._orphans: list[str] = []
        self._needed_ids: set[bytes] = set()
        self._copied_ids: dict[bytes, bytes] = {}
        self._known: set[bytes] = set()
        self._waiting = self._copied = self._jumps = 0
        self._state = State()

    def look(self, without: Collection[int]) -> None:
        repository = self._repository
        objects = repository.objects
        for prefix in ("packs/", "index/"):
            self._listed |= {info.key: (info.size_bytes, info.modified_at) for info in objects.list(prefix)}
        now = _store_now(repository)
        running, _ = pending.running(objects, repository.keys, now=now, expires_seconds=self._expires)
        repository.refresh()
        repository.log.check_whole()
        if repository.index_damage:
            damage = next(iter(repository.index_damage.values()))
            raise SnapshotDamaged(f"{damage.key} is damaged ({damage.problem})", "syla snapshot repair, then prune")
        with repository.lock:  # what follows belongs together, and later commits do not change it
            self._state = state = repository.log.state.copy()
            index, self._jumps = repository.index, repository.log.jumps
            self._known = set(index.packs)
        known = {pack.key for pack in index.packs.values()} | {index_key(id) for id in state.indexes}
        orphans = [key for key in self._listed if key not in known and key not in state.tombstones]
        old = now - pending.EXPIRES_SECONDS
        self._orphans = [key for key in orphans if not running or self._listed[key][1] < old]
        versions = [version for version in state.versions.values() if version.number not in without]
        self._meter.expect(lists_of(versions), 0)
        self._reached = reach(repository, versions, self._meter)
        self._check()
        self._needed_ids = self._reached.ids()
        self._plan = plan([index.packs[id] for id in self._known], self._needed())

    def collect(self, copying: Session) -> PruneReport:
        repository, plan = self._repository, self._plan
        gone = [key for key in self._state.tombstones if key not in self._listed]
        if plan.delete or plan.rewrite or self._orphans:
            self._commit(copying, gone)
        self._delete(copying)
        repository.maintain()
        self._meter.tick(last=True)
        return self.report(dry_run=False)

    def report(self, *, dry_run: bool) -> PruneReport:
        plan = self._plan
        needed = self._needed() if dry_run else {}
        freed = sum(pack.size for pack in (*plan.delete, *plan.rewrite))
        freed -= sum(needed.get(pack.id, 0) for pack in plan.rewrite)
        orphans = [key for key in self._orphans if key.startswith("packs/")]
        kept = [pack.size for pack in self._repository.index.packs.values()]
        return PruneReport(
            dry_run=dry_run,
            packs_kept=len(plan.keep),
            packs_deleted=len(plan.delete),
            packs_rewritten=len(plan.rewrite),
            orphans_deleted=len(self._orphans),
            packs_waiting=self._waiting,
            bytes_kept=sum(kept) - (freed if dry_run else 0),
            bytes_freed=freed - (0 if dry_run else self._copied) + sum(self._listed[key][0] for key in orphans),
        )

    def _needed(self) -> dict[bytes, int]:
        """Per pack; a chunk that is in two packs is needed in the one where it is looked for."""
        index, needed = self._repository.index, dict[bytes, int]()
        for id in self._needed_ids:
            if id in index:
                at = index.locate(id)
                needed[at.pack.id] = needed.get(at.pack.id, 0) + max(1, at.stored * at.size // max(1, at.content))
        return needed

    def _check(self) -> None:
        """Nothing is deleted while it is not known what is needed."""
        if self._reached.unreadable:
            id, why = next(iter(self._reached.unreadable.items()))
            raise SnapshotDamaged(
                f"A manifest cannot be read ({id.hex()[:16]}: {why})",
                "syla snapshot repair names the versions; delete those",
            )

    def _commit(self, copying: Session, gone: list[str]) -> None:
        repository, plan = self._repository, self._plan
        self._copied_ids = self._to_copy()
        locate = repository.index.locate
        self._meter.expect(0, sum(locate(id).size for id in self._copied_ids))
        for kind in (DATA, METADATA):
            copying.copy([id for id, of in self._copied_ids.items() if of == kind], kind, tick=self._copying)
        new = copying.packs()
        self._copied = sum(pack.size for pack in new)
        going = {pack.id for pack in (*plan.delete, *plan.rewrite)}
        staying = [*plan.keep, *new]
        index = dict([repository.put_index(staying)]) if staying else {}
        dropped = [id for id in self._state.indexes if id not in index]
        dead = [pack.key for pack in (*plan.delete, *plan.rewrite)] + self._orphans + [index_key(id) for id in dropped]
        before = (self._state.collections, self._jumps)

        def record(state: State) -> dict[str, object]:
            repository.sync()
            changed = (state.collections, repository.log.jumps) != before
            if changed or any(id not in state.indexes for id in dropped):
                raise _Again
            self._look_at_new(state, going)
            copying.named()
            return {
                "kind": COLLECT,
                "index": encode_indexes(index),
                "drop": b"".join(dropped),
                "dead": dead,
                "gone": gone,
            }

        with repository.lock:
            repository.log.append(record)
            repository.sync()

    def _copying(self, bytes_: int) -> None:
        self._meter.add(0, bytes_)
        self._meter.tick()

    def _look_at_new(self, state: State, going: set[bytes]) -> None:
        """Versions committed since the plan was made: do they need what would go?"""
        index = self._repository.index
        committed = {pack.key for id, pack in index.packs.items() if id not in self._known}
        if committed & set(self._orphans):
            raise _Again
        fresh = [version for number, version in state.versions.items() if number not in self._state.versions]
        if not fresh:
            return
        reached = reach(self._repository, fresh)
        for version in fresh:
            for id in reached.of(version):
                if id not in self._copied_ids and (id not in index or index.locate(id).pack.id in going):
                    raise _Again
        if reached.unreadable:
            raise _Again

    def _to_copy(self) -> dict[bytes, bytes]:
        """What is needed of the packs that are written anew: id -> kind."""
        index, going = self._repository.index, {pack.id for pack in self._plan.rewrite}
        return {
            id: pack.kind
            for pack in self._plan.rewrite
            for id in self._ids(pack)
            if id in self._needed_ids and id in index and index.locate(id).pack.id in going
        }

    @staticmethod
    def _ids(pack: Pack) -> list[bytes]:
        at, found = 0, list[bytes]()
        for _, _, codec, count in pack.blocks:
            if codec != LOST:
                found += [pack.ids[k * ID_BYTES : (k + 1) * ID_BYTES] for k in range(at, at + count)]
            at += count
        return found

    def _delete(self, copying: Session) -> None:
        """What the log calls dead, unless a save that began before it was said may rely on it."""
        repository = self._repository
        objects, state = repository.objects, repository.log.state
        running, ended = pending.running(
            objects, repository.keys, now=_store_now(repository), expires_seconds=self._expires
        )
        oldest = min((session.sequence for session in running if session.key != copying.key), default=None)
        free, waiting = list[str](), list[str]()
        orphans = set(self._orphans)
        for key, sequence in state.tombstones.items():
            if key not in self._listed:
                continue  # deleted long ago
            (free if oldest is None or oldest >= sequence or key in orphans else waiting).append(key)
        self._waiting = sum(key.startswith("packs/") for key in waiting)
        objects.delete([key for key in ended if key != copying.key])
        self._meter.expect(len(free), 0)
        for first in range(0, len(free), DELETE_BATCH):
            self._meter.tick()
            batch = free[first : first + DELETE_BATCH]
            objects.delete(batch)
            self._meter.add(len(batch), 0)


def _store_now(repository: Repository) -> float:
    return pending.Pending(repository.objects, repository.keys, repository.log.state.sequence).store_now()
