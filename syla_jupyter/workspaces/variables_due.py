"""Which saved variables a workspace's kernels get back at their next start: noted on the host, beside the home.

    <data>/homes/<id>.due/<key>     {"execution": the container they were saved in, "attempts": n}

A *key* names a kernel through all containers and machines: its notebook, the REPL, else its slot. Variables are due in
any other container than the one they were saved in, once. So a kernel that is restarted in its container starts empty,
and one that starts after its container was stopped, archived, moved or lost gets them back. The container says nothing
about it and cannot reach it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

REPL = "repl"
KEY = re.compile(r"[a-z]{1,16}(-[0-9a-f]{1,40})?")
ATTEMPTS_MAX = 3
KEYS_MAX = 200


def variables_key(session_name: str, slot: str) -> str:
    """The key of a kernel. `session_name`: its notebook's path in the container, empty where there is none."""
    if slot.startswith("main"):
        return REPL
    text, kind = (session_name, "notebook") if session_name else (slot, "slot")
    return f"{kind}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def is_key(text: object) -> bool:
    return isinstance(text, str) and KEY.fullmatch(text) is not None


def keys_of(details: object) -> list[str]:
    """The keys in what `VariablesReport.details` gave once, of those kernels whose variables were saved."""
    kernels = details.get("kernels") if isinstance(details, Mapping) else None
    found = []
    for kernel in kernels[:KEYS_MAX] if isinstance(kernels, list) else ():
        if isinstance(kernel, Mapping) and is_key(kernel.get("key")) and not kernel.get("error"):
            found.append(str(kernel["key"]))
    return found


class Due:
    """Of the workspace with this home; safe for several threads and processes, a rename or a removal at a time."""

    def __init__(self, home: Path) -> None:
        self._directory = home.with_name(f"{home.name}.due")

    def note(self, key: str, execution: str) -> None:
        """Variables were saved under `key`, in the container `execution`; empty: in none of this host."""
        self._write(key, {"execution": execution, "attempts": 0})

    def replace(self, keys: Iterable[str]) -> None:
        """These alone are due, wherever the next start is; none of them: nothing is."""
        wanted = set(keys)
        for name in self._names() - wanted:
            self.done(name)
        for key in wanted:
            self.note(key, "")
        with contextlib.suppress(OSError):
            self._directory.rmdir()  # if it is empty

    def begin(self, key: str, execution: str) -> bool:
        """Whether a kernel that starts now in the container `execution` is to get them; counts the attempt."""
        try:
            noted = dict(json.loads((self._directory / key).read_text()))
            attempts = int(noted["attempts"])
        except (OSError, ValueError, KeyError, TypeError):
            return False
        if noted.get("execution") == execution or attempts >= ATTEMPTS_MAX:
            return False
        self._write(key, {**noted, "attempts": attempts + 1})
        return True

    def done(self, key: str) -> None:
        """A kernel has started with them, or without: they are not due any more."""
        with contextlib.suppress(OSError):
            (self._directory / key).unlink()

    def keys(self) -> list[str]:
        return sorted(self._names())

    def _names(self) -> set[str]:
        try:
            return {name for name in os.listdir(self._directory) if is_key(name)}
        except OSError:
            return set()

    def _write(self, key: str, value: Mapping[str, Any]) -> None:
        if not is_key(key):
            raise ValueError(f"{key!r} is not a key of variables")
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._directory / f"{key}.{os.getpid()}.new"
        fresh.write_text(json.dumps(value))
        fresh.replace(self._directory / key)
