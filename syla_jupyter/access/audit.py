"""The audit log: lines are added and never changed; who takes one away shows.

    audit/00000001.jsonl   the oldest lines; the last file is the one that grows
    audit/head             number and hash of the newest line, so that its loss shows as well

One writer at a time, of all processes (a lock file). A line is on disk before `write` returns; a process that dies in
the middle leaves half a line, which nobody was told of, and which the next writer removes. A full file is followed by
another; none is removed by us: who removes old files keeps those that follow, whose chain begins with them.

Who can write these files can forge all of them: the chain shows what was lost or touched, not by whom. Send the lines
to another machine where that matters.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..model.clock import Clock
from ..model.errors import AuditDamaged, StoreFailed
from .audit_line import BEGINNING, Entry, Line, read, write

FILE_BYTES = 16 * 1024 * 1024
LIST_MAX = 10_000


@dataclass(frozen=True)
class Verified:
    lines: int
    first: int
    """Number of the oldest line that is there; 0: none."""
    problems: tuple[str, ...]


class Audit:
    def __init__(self, directory: Path, clock: Clock, *, file_bytes: int = FILE_BYTES) -> None:
        self._directory, self._clock, self._file_bytes = directory, clock, file_bytes

    def write(self, entry: Entry) -> None:
        """Blocks for a write to disk. `StoreFailed`: it is not in the log, and what it says is not to happen."""
        try:
            with self._locked():
                file, n, previous = self._end()
                line, hash = write(entry, n=n + 1, at=self._clock.now(), previous=previous)
                if file is None or file.stat().st_size + len(line) > self._file_bytes:
                    file = self._directory / f"{n + 1:08}.jsonl"
                _append(file, line)
                self._note_head(n + 1, hash)
        except OSError as exc:
            raise StoreFailed(
                f"could not write the audit log: {exc.strerror}", f"Check {self._directory} and its disk"
            ) from exc

    def newest(
        self, *, actor: str | None = None, action: str | None = None, since: float = 0.0, limit: int = 100
    ) -> list[Line]:
        """The newest `limit` of those, oldest first. `AuditDamaged`: `verify` says where."""
        found: deque[Line] = deque(maxlen=max(0, min(limit, LIST_MAX)))
        for file in self._files():
            for number, text in _lines(file):
                try:
                    line = read(text)
                except ValueError as exc:
                    hint = "`syla audit verify` tells more"
                    raise AuditDamaged(f"line {number} of {file.name} cannot be read: {exc}", hint) from exc
                if (actor in (None, line.actor)) and (action in (None, line.action)) and line.at >= since:
                    found.append(line)
        return list(found)

    def verify(self) -> Verified:
        """Look at every line; no writer is let in meanwhile."""
        if not self._directory.is_dir():
            return Verified(0, 0, ())
        with self._locked():
            return self._verify()

    def _verify(self) -> Verified:
        problems: list[str] = []
        count, first, n, previous = 0, 0, 0, ""
        for file in self._files():
            for number, text in _lines(file):
                where = f"line {number} of {file.name}"
                count += 1
                try:
                    line = read(text)
                except (ValueError, TypeError) as exc:
                    problems.append(f"{where} is damaged: {exc}")
                    n, previous = n + 1, ""
                    continue
                first = first or line.n
                if n and line.n != n + 1:
                    problems.append(f"{where}: {n + 1} should come here, and {line.n} does")
                elif previous and line.previous != previous:
                    problems.append(f"{where} does not follow the line before it")
                elif line.n == 1 and line.previous != BEGINNING:
                    problems.append(f"{where} is no beginning")
                n, previous = line.n, line.hash
        head = self._head()
        if head != (n, previous) and (head[0] or n):
            problems.append(f"the newest line is {n}, and should be {head[0]}: lines are missing at the end")
        return Verified(count, first, tuple(problems))

    # -- files -------------------------------------------------------------------------------------------------

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _files(self) -> list[Path]:
        return sorted(self._directory.glob("*.jsonl"), key=lambda file: int(file.stem) if file.stem.isdigit() else 0)

    def _end(self) -> tuple[Path | None, int, str]:
        """(file that grows, number and hash of the newest line); half a line is removed.

        What the head says is newer counts: lines that somebody took from the end are missing for good.
        """
        head = self._head()
        files = self._files()
        if not files:
            return None, head[0], head[1] or BEGINNING
        text = _last_line(files[-1])
        try:
            line = read(text)
        except (ValueError, TypeError):
            return files[-1], head[0], head[1] or BEGINNING  # `verify` tells of it
        # The process before us may have died between a line and its head.
        return (files[-1], line.n, line.hash) if line.n >= head[0] else (files[-1], *head)

    def _head(self) -> tuple[int, str]:
        try:
            n, hash = json.loads((self._directory / "head").read_bytes())
            return int(n), str(hash)
        except (FileNotFoundError, ValueError, TypeError):
            return 0, ""

    def _note_head(self, n: int, hash: str) -> None:
        made = self._directory / "head.new"
        made.write_text(json.dumps([n, hash]))
        made.replace(self._directory / "head")


def _append(file: Path, line: bytes) -> None:
    fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, line)
        os.fdatasync(fd)
    finally:
        os.close(fd)


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    with file.open("rb") as opened:
        for number, text in enumerate(opened, 1):
            if text.endswith(b"\n"):  # else it is being written
                yield number, text


def _last_line(file: Path) -> bytes:
    """Without reading all of it; half a line behind the last line feed is cut off."""
    size = file.stat().st_size
    with file.open("rb+") as opened:
        opened.seek(max(0, size - 64 * 1024))
        tail = opened.read()
        whole = tail.rfind(b"\n") + 1
        if whole < len(tail):
            opened.truncate(size - len(tail) + whole)
    return tail[:whole].rstrip(b"\n").rpartition(b"\n")[2]
