"""Is everything there that the versions need, and is it what was written? Changes nothing, so it can be broken off.

Without data: the log, the config and its copy, the index objects, the sizes of all packs, all manifests, and that
every chunk they name is in a pack that is there. With data: packs are read whole, and every chunk in them is compared
with its id.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from ..model.errors import ObjectMissing
from ..model.snapshot import Damage, VerifyReport, Version
from .config import CONFIG_MAX_BYTES, COPY_KEY, KEY
from .crypto import SEALED_MAX_BYTES, object_hash
from .format import Pack, index_key, split_ids
from .pack_check import check_packs
from .reachable import Reached, reach

if TYPE_CHECKING:
    from .progress import Meter
    from .repository import Repository


def verify(repository: Repository, meter: Meter, *, data: float, numbers: Collection[int] | None) -> VerifyReport:
    """`data`: the share of the packs whose content is read, by chance; 0 none, 1 all. `numbers`: of versions."""
    repository.refresh()
    index = repository.index
    versions = [one for one in repository.versions() if numbers is None or one.number in numbers]
    damage = {**repository.log.damage, **repository.index_damage, **check_config(repository)}
    damage |= check_indexes(repository, data=data > 0)
    bad: set[bytes] = set()
    for pack, problem in _misfits(repository, index.packs.values()):
        damage[pack.key] = Damage(pack.key, problem)
        bad.update(id for id in split_ids(pack.ids) if index.locate(id).pack is pack)
    chosen = _choose([pack for pack in index.packs.values() if pack.key not in damage], data)
    bytes_read = 0
    meter.expect(len(chosen) + lists_of(versions), sum(pack.size for pack in chosen))
    meter.tick()
    with contextlib.closing(check_packs(repository, [(pack.id, pack) for pack in chosen])) as checks:
        for checked in checks:
            bytes_read += checked.bytes_read
            if checked.problem:
                pack = index.packs[checked.id]
                damage[pack.key] = Damage(pack.key, checked.problem)
                bad.update(id for id in checked.lost if id in index and index.locate(id).pack is pack)
            meter.add(1, checked.bytes_read)
            meter.tick()
    reached = reach(repository, versions, meter)
    meter.tick(last=True)
    return VerifyReport(
        versions=len(versions),
        chunks=len(index),
        packs=len(index.packs),
        packs_read=len(chosen),
        bytes_read=bytes_read,
        damage=tuple(damage.values()),
        lost=lost_of(repository, versions, reached, bad),
    )


def lists_of(versions: Iterable[Version]) -> int:
    """How many chunks their manifests have."""
    return len({id for version in versions for id in version.root})


def lost_of(
    repository: Repository, versions: Sequence[Version], reached: Reached, bad: set[bytes]
) -> dict[int, tuple[bytes, ...]]:
    """Version -> chunks that it needs and that are unreadable, in a bad place, or in no place."""
    index, lost = repository.index, dict[int, tuple[bytes, ...]]()
    for version in versions:
        ids = dict.fromkeys(
            id for id in reached.of(version) if id in bad or id in reached.unreadable or id not in index
        )
        if ids:
            lost[version.number] = tuple(ids)
    return lost


def check_config(repository: Repository) -> dict[str, Damage]:
    """Config and copy: the other one serves when one of them is damaged."""
    damage = {}
    for key in (KEY, COPY_KEY):
        try:
            if repository.objects.get(key, max_bytes=CONFIG_MAX_BYTES) != repository.config:
                damage[key] = Damage(key, "is not what was written")
        except ObjectMissing:
            damage[key] = Damage(key, "missing")
    return damage


def check_indexes(repository: Repository, *, data: bool) -> dict[str, Damage]:
    """Index objects in the store itself: this machine may well have copies that another one has not."""
    objects, damage = repository.objects, dict[str, Damage]()
    sizes = {info.key: info.size_bytes for info in objects.list("index/")}
    for id, expected in repository.log.state.indexes.items():
        key = index_key(id)
        try:
            size = sizes[key] if key in sizes else objects.head(key).size_bytes  # a list is no proof
            if size != expected:
                damage[key] = Damage(key, f"has {size} bytes instead of {expected}")
            elif data and object_hash(objects.get(key, max_bytes=SEALED_MAX_BYTES)) != id:
                damage[key] = Damage(key, "is not what was written")
        except ObjectMissing:
            damage[key] = Damage(key, "missing")
    return damage


def _misfits(repository: Repository, packs: Iterable[Pack]) -> Iterable[tuple[Pack, str]]:
    sizes = {info.key: info.size_bytes for info in repository.objects.list("packs/")}
    for pack in packs:
        size = sizes.get(pack.key)
        if size is None:
            try:
                size = repository.objects.head(pack.key).size_bytes  # a list is no proof
            except ObjectMissing:
                yield pack, "missing"
                continue
        if size != pack.size:
            yield pack, f"has {size} bytes instead of {pack.size}"


def _choose(packs: list[Pack], share: float) -> list[Pack]:
    if share >= 1 or not packs:
        return packs if share > 0 else []
    return secrets.SystemRandom().sample(packs, min(len(packs), -int(-share * len(packs) // 1)))
