"""A second copy of one repository in another store, object by object.

Objects never change, and none is named by another before it is there. What is missing is copied in the same order, of
lists that were made in the opposite one: so a copy is whole up to some version at any moment, also beside a save. The
key goes last: a first copy that was interrupted is no repository, and is completed by the next one. Nothing is removed
unless the caller says so, and it does only after the first store was found whole: what is damaged there is what the
copy is for.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..model.errors import Conflict, ObjectMissing
from ..objects.base import ObjectStore

ORDER = ("packs/", "index/", "log/", "config")
"""Below a repository's prefix; what is pending there belongs to saves that are not done."""
OBJECT_MAX_BYTES = 1 << 28
DELETE_BATCH = 1000


def replicate(source: ObjectStore, target: ObjectStore, prefix: str, *, remove: bool = False) -> int:
    """Copy what the target has not; the bytes that were copied.

    Parameters
    ----------
    prefix : `workspaces/<id>/`, of a repository.
    remove : delete from the target what the source does not have.

    `Conflict` where the target has another repository of that name: its key is never overwritten.
    """
    _check_same(source, target, f"{prefix}config")
    here = {part: [info.key for info in source.list(prefix + part)] for part in reversed(ORDER)}
    copied = 0
    there: dict[str, set[str]] = {}
    for part in ORDER:
        there[part] = {info.key for info in target.list(prefix + part)}
        for key in here[part]:
            if key not in there[part]:
                copied += _copy(source, target, key)
    if remove:
        for part in reversed(ORDER):
            _remove(target, sorted(there[part].difference(here[part])))
    return copied


def _check_same(source: ObjectStore, target: ObjectStore, key: str) -> None:
    try:
        here, there = (store.get(key, max_bytes=OBJECT_MAX_BYTES) for store in (source, target))
    except ObjectMissing:
        return
    if here != there:
        raise Conflict(
            f"{target.description} has another repository at {key} than {source.description}",
            "Choose another store, or move what is there away",
        )


def _copy(source: ObjectStore, target: ObjectStore, key: str) -> int:
    try:
        content = source.get(key, max_bytes=OBJECT_MAX_BYTES)
    except ObjectMissing:
        return 0  # a collector was faster
    target.put(key, content)
    return len(content)


def _remove(target: ObjectStore, keys: Sequence[str]) -> None:
    for start in range(0, len(keys), DELETE_BATCH):
        target.delete(keys[start : start + DELETE_BATCH])
