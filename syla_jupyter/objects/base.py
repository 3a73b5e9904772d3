"""The object store port: named bytes, written whole, read whole or in part, never changed.

Keys are lower-case letters, digits, `-`, `_`, `.` and `/`; no segment is empty, `.` or `..`, or longer than 200 bytes;
1000 bytes in all (`check_key`). What `put` has written is durable when it returns and seen by whoever reads after
that, here or on another machine; a write that fails or dies leaves nothing that `get` or `list` shows.

`put(if_absent=True)` is the only primitive for concurrency: of several writers of one key one wins, also across
processes and machines, where `conditional` says that the store can do it. An adapter that had to repeat a request
cannot know whether an earlier attempt had won: it says `ObjectExists`, and the caller tells its own object by content.

Safe to call from any thread and after a fork. Methods block; each wait is bounded. Errors: `ObjectMissing`,
`ObjectExists`, `BadInput` (a key that is none), `ObjectsFailed` for whatever the store has; nothing else escapes an
adapter. What a store gives is not trusted: who needs integrity checks it (`snapshots`). Every adapter and wrapper
passes `syla_jupyter.testing.objects_contract.ObjectsContract`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ..model.errors import BadInput

Data = bytes | bytearray | memoryview
KEY_MAX_BYTES = 1000
SEGMENT_MAX_BYTES = 200
_SEGMENT = re.compile(rf"[a-z0-9_.-]{{1,{SEGMENT_MAX_BYTES}}}")


@dataclass(frozen=True)
class ObjectInfo:
    key: str
    size_bytes: int
    modified_at: float
    """Seconds since the epoch, by the store's own clock."""


class ObjectStore(Protocol):
    @property
    def description(self) -> str:
        """For people: `s3://bucket/prefix at https://…`, `/var/lib/…`; no secrets."""
        ...

    @property
    def conditional(self) -> bool:
        """Whether `if_absent` is kept under a race; found out by trying, once per process at most."""
        ...

    def put(self, key: str, data: Data, *, if_absent: bool = False) -> None:
        """Replace or create; `ObjectExists` when `if_absent` and there is one."""
        ...

    def get(self, key: str, *, start: int = 0, length: int | None = None, max_bytes: int = 1 << 30) -> bytes:
        """`length` bytes from `start`, fewer where it ends before; `ObjectsFailed` for more than `max_bytes`.

        A negative `start` counts from the end.
        """
        ...

    def head(self, key: str) -> ObjectInfo: ...

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """Those whose key begins with `prefix` and sorts after `after`, by key."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """No error for what is not there."""
        ...

    def close(self) -> None: ...


def check_key(key: str) -> str:
    """The key; `BadInput` when it is none."""
    segments = key.split("/")
    if len(key) <= KEY_MAX_BYTES and all(_SEGMENT.fullmatch(s) and s not in (".", "..") for s in segments):
        return key
    raise BadInput("key", f"{key[:100]!r} is no key", "Lower-case letters, digits, - _ . and / between segments")
