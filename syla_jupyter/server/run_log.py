"""What the server knows of cells that run, in files that outlive it, however it dies.

    <data>/servers/runs/<kernel id>/session       the identity of our connection to that kernel, the same in each server
                                    <run id>.log  a row of JSON a line: first the request, then each message as it came

A row is written before the document shows what is in it, so the next server makes of the file what was shown, and of
what the kernel has kept since (`replay`) the rest. A message is known by its signature: one that is in the file is not
taken again. The file goes when the document, with the outputs in it, is on disk.

What a cell prints without end makes no file without end: beyond `COMPACT_BYTES` its rows become one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

COMPACT_BYTES = 32 << 20
SIGNATURES_MAX = 20_000
"""As many messages as can be on their way twice, and more than a kernel keeps in memory."""
NAME = re.compile(r"[\w-]{1,100}", re.ASCII)
Row = Mapping[str, Any]


class RunLog:
    """One run; `head`: all that it takes to go on with it."""

    def __init__(self, path: Path, head: Row | None = None) -> None:
        self.path = path
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if head else 0)
        self._file = os.open(path, flags, 0o600)
        self._size = os.fstat(self._file).st_size
        self._compact_at = COMPACT_BYTES
        if head is not None:
            self.note(head)

    def note(self, row: Row) -> None:
        """OSError when the disk is full."""
        data = json.dumps(row).encode() + b"\n"
        os.write(self._file, data)  # at once: what a dying process has in its own memory is lost
        self._size += len(data)

    @property
    def is_long(self) -> bool:
        return self._size > self._compact_at

    def replace(self, rows: Sequence[Row]) -> None:
        """By fewer that say the same; whole or not at all."""
        fresh = RunLog(self.path.with_suffix(".new"), rows[0])
        for row in rows[1:]:
            fresh.note(row)
        fresh.path.rename(self.path)
        os.close(self._file)
        self._file, self._size = fresh._file, fresh._size
        self._compact_at = max(COMPACT_BYTES, 2 * self._size)

    def close(self) -> None:
        os.close(self._file)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.close()


class RunLogs:
    """Of all kernels of an installation; each is some one server's."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def session_of(self, kernel: str) -> str:
        """Nobody can guess it, so nobody takes our place at the kernel's sockets."""
        file = self._of(kernel) / "session"
        try:
            known = file.read_text()
            if NAME.fullmatch(known):
                return known
        except OSError:
            pass
        made = f"server-{secrets.token_hex(16)}"
        self._make(kernel)
        fresh = file.with_suffix(".new")
        fresh.write_text(made)
        fresh.rename(file)
        return made

    def begin(self, kernel: str, run: str, head: Row) -> RunLog:
        self._make(kernel)
        return RunLog(self._of(kernel) / f"{run}.log", head)

    def unfinished(self, kernel: str) -> Iterator[tuple[RunLog, list[Row]]]:
        """The logs and their rows, oldest first; one that says nothing is removed."""
        with contextlib.suppress(OSError):
            for path in sorted(self._of(kernel).glob("*.log"), key=lambda path: path.stat().st_mtime_ns):
                rows = _rows(path)
                if rows:
                    yield RunLog(path), rows
                else:
                    path.unlink(missing_ok=True)

    def has_unfinished(self, kernel: str) -> bool:
        with contextlib.suppress(OSError):
            return any(self._of(kernel).glob("*.log"))
        return False

    def forget(self, kernel: str) -> None:
        shutil.rmtree(self._of(kernel), ignore_errors=True)

    def _of(self, kernel: str) -> Path:
        assert NAME.fullmatch(kernel), kernel
        return self._directory / kernel

    def _make(self, kernel: str) -> None:
        self._of(kernel).mkdir(mode=0o700, parents=True, exist_ok=True)


def _rows(path: Path) -> list[Row]:
    """Up to the first that is none: it was being written."""
    rows: list[Row] = []
    for line in path.read_bytes().split(b"\n"):
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict):
            break
        rows.append(row)
    return rows
