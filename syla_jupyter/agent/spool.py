"""Messages on disk, in order, within a limit: the oldest go first, and are counted.

A spool is a row of segment files without names: no other program finds them, nothing of them is left however the
kernel ends. A record is

    body length, lines (32 bit little endian each), signature (32 bytes), body

What does not fit (limit reached, disk full, file size limit) costs the oldest segment, or the record itself when there
is no older one: what is missing is always older than what is there. What is read back is checked; a segment that was
cut or overwritten ends where it stops making sense.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections import deque
from typing import Any, Deque, Iterator, List, Optional, Sequence, Tuple

LIMIT_BYTES = 64 << 20
SEGMENT_BYTES = 8 << 20
SIGNATURE_BYTES = 32
HEAD = struct.Struct("<II%ds" % SIGNATURE_BYTES)


class Segment:
    def __init__(self, file: Any) -> None:
        self.file = file
        self.start = 0  # offset of the first record that was not taken out
        self.end = 0
        self.lines = 0

    def records(self, limit_bytes: Optional[int] = None) -> Iterator[Tuple[int, int, bytes, bytes]]:
        """(offset behind it, lines, signature, body) of each from `start` on; at least one, then up to the limit."""
        place = self.start
        rest = self.end - place
        wanted = rest if limit_bytes is None else min(limit_bytes + HEAD.size, rest)
        data = self._read(wanted, place)
        if HEAD.size <= len(data) < HEAD.size + HEAD.unpack_from(data)[0] <= rest:  # the first is larger than that
            wanted = HEAD.size + HEAD.unpack_from(data)[0]
            data = self._read(wanted, place)
        good, broken = 0, False
        while good + HEAD.size <= len(data):
            length, lines, signature = HEAD.unpack_from(data, good)
            body = good + HEAD.size
            if body + length > len(data):
                broken = body + length > rest
                break
            good = body + length
            yield place + good, lines, signature, data[body:good]
        if broken or len(data) < wanted or 0 < rest - good < HEAD.size:
            self.end = place + good  # cut, or overwritten: what follows means nothing

    def _read(self, size: int, offset: int) -> bytes:
        try:
            return os.pread(self.file.fileno(), size, offset)
        except OSError:
            return b""


class Spool:
    """The files are made in the first of `directories` that takes them; where none does, all is counted as dropped."""

    def __init__(
        self, directories: Sequence[str], limit_bytes: int = LIMIT_BYTES, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self._directories = directories
        self._limit_bytes, self._segment_bytes = limit_bytes, segment_bytes
        self._segments: Deque[Segment] = deque()
        self.dropped_lines = 0
        """Lines (of a message without any: one) that had to go since the last `clear` or `drop_through`."""

    def __bool__(self) -> bool:
        return any(segment.start < segment.end for segment in self._segments)

    @property
    def size_bytes(self) -> int:
        return sum(segment.end for segment in self._segments)

    def append(self, signature: bytes, lines: int, body: bytes) -> None:
        """Never raises: what cannot be kept is counted."""
        record = HEAD.pack(len(body), lines, signature) + body
        while True:
            while self._segments and self.size_bytes + len(record) > self._limit_bytes:
                self._drop_oldest()
            if len(record) <= self._limit_bytes and self._write(record):
                self._segments[-1].lines += lines
                return
            if not self._segments:
                self.dropped_lines += lines
                return
            self._drop_oldest()

    def take(self, limit_bytes: int) -> Tuple[List[bytes], bool]:
        """(bodies from the oldest on, whether these are all); they stay until `drop_through`."""
        bodies: List[bytes] = []
        for segment in self._segments:
            if limit_bytes <= 0:
                return bodies, False
            last = segment.start
            for offset, _, _, body in segment.records(limit_bytes):
                bodies.append(body)
                limit_bytes -= len(body)
                last = offset
            if last < segment.end:
                return bodies, False
        return bodies, True

    def drop_through(self, signature: bytes) -> bool:
        """Take out the record with this signature and all before it; False when there is none."""
        for number, segment in enumerate(self._segments):
            for offset, _, found, _ in segment.records():
                if found == signature:
                    for _ in range(number):
                        self._segments.popleft().file.close()
                    segment.lines = sum(lines for end, lines, _, _ in segment.records() if end > offset)
                    segment.start = offset
                    self.dropped_lines = 0
                    return True
        return False

    def clear(self) -> None:
        while self._segments:
            self._segments.popleft().file.close()
        self.dropped_lines = 0

    def _drop_oldest(self) -> None:
        segment = self._segments.popleft()
        self.dropped_lines += segment.lines
        segment.file.close()

    def _write(self, record: bytes) -> bool:
        try:
            if not self._segments or self._segments[-1].end + len(record) > self._segment_bytes:
                self._segments.append(Segment(self._new_file()))
            segment = self._segments[-1]
            written = os.pwrite(segment.file.fileno(), record, segment.end)
        except OSError:
            written = 0
        if written == len(record):
            segment.end += written
            return True
        if self._segments and self._segments[-1].end == 0:
            self._segments.pop().file.close()
        return False

    def _new_file(self) -> Any:
        error: Optional[OSError] = None
        for directory in self._directories:
            try:
                return tempfile.TemporaryFile(dir=directory, buffering=0)
            except OSError as exc:
                error = exc
        raise error or OSError("no directory")
