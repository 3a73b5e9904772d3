"""Making a damaged repository whole again, as far as what is there allows; and naming what is lost.

Every pack is read. What is good goes into one new index object, whether or not an index knew of it: tables stand at the
end of each pack. Of a damaged pack, what is good is copied into a new one. A checkpoint takes the place of log records
that cannot be read. Chunks that are lost are in no index any more, so the next save of a workspace that still has their
content stores it again, and older versions that share it are whole again, too.

Nothing is deleted but index objects that the new one replaces; `prune` takes away what has become useless.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ..model.errors import Conflict
from ..model.snapshot import Damage, RepairReport
from .format import DATA, METADATA, Pack, index_key, pack_key
from .index import Index
from .pack_check import check_packs
from .reachable import reach
from .state import COLLECT, State, encode_indexes
from .verify import check_config, check_indexes, lost_of

if TYPE_CHECKING:
    from .progress import Meter
    from .repository import Repository
    from .session import Session


def repair(repository: Repository, meter: Meter) -> RepairReport:
    """Safe beside saves. Done again after a crash, it does the same; `Cancelled` before anything has changed."""
    repository.refresh()
    damage = {**repository.log.damage, **repository.index_damage, **check_indexes(repository, data=True)}
    good, bad, dead = list[Pack](), list[Pack](), list[str]()
    before, known = set(repository.index.packs), repository.index.packs
    ids = _ids(repository)
    meter.expect(len(ids), sum(pack.size for pack in known.values()))
    with contextlib.closing(check_packs(repository, [(id, known.get(id)) for id in ids])) as checks:
        for checked in checks:
            key = pack_key(checked.id)
            if checked.problem:
                damage[key] = Damage(key, checked.problem)
                dead.append(key)
            if checked.pack is not None:
                (bad if checked.problem else good).append(checked.pack)
            meter.add(1, checked.bytes_read)
            meter.tick()
    for key, problem in check_config(repository).items():
        repository.objects.put(key, repository.config)
        damage[key] = problem
    with repository.session() as copying:
        _copy(copying, bad, Index(good))
        with repository.lock:
            if repository.log.damage:
                repository.log.rebuild()
            _commit(repository, copying, [*good, *copying.packs()], dead, before | set(ids))
    versions = repository.versions()
    reached = reach(repository, versions)
    meter.tick(last=True)
    return RepairReport(
        packs_read=len(ids),
        chunks_found=len(repository.index),
        damage=tuple(damage.values()),
        lost=lost_of(repository, versions, reached, set()),
        versions_lost=repository.log.state.lost,
    )


def _copy(copying: Session, bad: list[Pack], elsewhere: Index) -> None:
    """What is good of damaged packs goes into new ones."""
    for kind in (DATA, METADATA):
        index = Index(pack for pack in bad if pack.kind == kind)
        copying.copy([id for id in index.ids() if id not in elsewhere], kind, index)


def _ids(repository: Repository) -> list[bytes]:
    """Of all packs that are there or should be, and that nobody has called dead."""
    found = dict.fromkeys(repository.index.packs)
    for info in repository.objects.list("packs/"):
        name = info.key.rpartition("/")[2]
        if info.key not in repository.log.state.tombstones and len(name) == 64:
            try:
                found[bytes.fromhex(name)] = None
            except ValueError:
                continue
    return list(found)


def _commit(repository: Repository, copying: Session, packs: list[Pack], dead: list[str], known: set[bytes]) -> None:
    index = dict([repository.put_index(packs)]) if packs else {}
    dropped: list[bytes] = []

    def record(state: State) -> dict[str, object]:
        """Saves that run look at everything again, as after a collector."""
        repository.sync(final=True)
        if any(pack not in known for pack in repository.index.packs):
            raise Conflict("A save was committed during the repair", "Repair again")
        dropped[:] = [id for id in state.indexes if id not in index]
        copying.named()
        return {
            "kind": COLLECT,
            "index": encode_indexes(index),
            "drop": b"".join(dropped),
            "dead": dead,
            "gone": [],
        }

    repository.log.append(record)
    repository.sync(final=True)
    repository.objects.delete([index_key(id) for id in dropped])
