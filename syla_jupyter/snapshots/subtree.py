"""The part of an object store that one repository has: keys without its prefix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ..model.errors import BadInput
from ..objects.base import Data, ObjectInfo, ObjectStore, check_key


class Subtree:
    """`ObjectStore` below `workspaces/<workspace id>/`. Closing it leaves the store open."""

    def __init__(self, objects: ObjectStore, workspace_id: str) -> None:
        if "/" in workspace_id:
            raise BadInput("workspace", f"{workspace_id[:100]!r} is no id of a workspace")
        self._objects = objects
        self._prefix = check_key(f"workspaces/{workspace_id}") + "/"

    @property
    def description(self) -> str:
        return f"{self._objects.description}/{self._prefix}"

    @property
    def conditional(self) -> bool:
        return self._objects.conditional

    def put(self, key: str, data: Data, *, if_absent: bool = False) -> None:
        self._objects.put(self._prefix + key, data, if_absent=if_absent)

    def get(self, key: str, *, start: int = 0, length: int | None = None, max_bytes: int = 1 << 30) -> bytes:
        return self._objects.get(self._prefix + key, start=start, length=length, max_bytes=max_bytes)

    def head(self, key: str) -> ObjectInfo:
        return self._own(self._objects.head(self._prefix + key))

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        start = self._prefix + after if after else ""
        return map(self._own, self._objects.list(self._prefix + prefix, after=start))

    def delete(self, keys: Iterable[str]) -> None:
        self._objects.delete(self._prefix + key for key in keys)

    def close(self) -> None:
        """Nothing: the store is the caller's."""

    def _own(self, info: ObjectInfo) -> ObjectInfo:
        return replace(info, key=info.key.removeprefix(self._prefix))
