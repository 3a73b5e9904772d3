"""What a kernel has published and nobody may have seen yet.

The newest messages are kept in memory, always: a server that is killed takes with it what was on its way, at most two
queues of a thousand messages. While the journal is *held*, because the last listener has gone, what is pushed out of
memory goes to the spool on disk; otherwise it is forgotten, as any kernel forgets it.

A reader names the last message it has passed on, by the first half of its signature, which no other message has. That
acknowledges all before it; it gets what follows, in the order it was sent, a page at a time. One that does not know
gets what was sent since the last listener left. A reader that also hears what is published now (`live`) ends the hold
with the last page.

Calls come from two threads, the one that publishes and the one that answers requests.
"""

from __future__ import annotations

import struct
import threading
from collections import deque
from typing import Any, Deque, Dict, List, Optional, Sequence, Tuple

MEMORY_BYTES = 4 << 20  # 2000 small messages
ENTRY_BYTES = 1000  # what a message of a few words costs besides its text
DELIMITER = b"<IDS|MSG>"
SIGNATURE_BYTES = 32
PLAIN_FRAMES = 7  # topic, delimiter, signature, header, parent, metadata, content
OWN_REQUEST = b'"syla_replay_request"'

Frames = Sequence[bytes]


def signature_of(frames: Frames) -> bytes:
    return frames[frames.index(DELIMITER) + 1][:SIGNATURE_BYTES]


def packed(frames: Frames) -> bytes:
    """Number of frames, their lengths (32 bit little endian), the frames."""
    return struct.pack("<%dI" % (1 + len(frames)), len(frames), *map(len, frames)) + b"".join(frames)


def lines_of(frames: Frames) -> int:
    """Lines of text in an output; 1 for anything else."""
    return max(1, frames[-1].count(b"\\n")) if frames[0].startswith(b"stream") else 1


class Journal:
    def __init__(self, spool: Any, memory_bytes: int = MEMORY_BYTES) -> None:
        self._spool = spool
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._entries: Deque[Tuple[int, Frames]] = deque()
        self._bytes = 0
        self._held = False
        self._left: Optional[bytes] = None  # the last message before the last listener did
        self._acknowledged: Optional[bytes] = None
        self._forgotten = False  # something not acknowledged is gone for good
        self.busy = False
        """Whether the last status of a cell was that it runs."""

    @property
    def held(self) -> bool:
        return self._held

    def hold(self) -> None:
        """The last listener has left."""
        with self._lock:
            if not self._held and self._entries:
                self._left = signature_of(self._entries[-1][1])
            self._held = True

    def record(self, frames: List[Any]) -> None:
        """Keep a message that is being sent. Its frames must not change any more, so buffers are copied."""
        if len(frames) != PLAIN_FRAMES or type(frames[-1]) is not bytes:
            frames = self._plain(frames)
        if frames[0][-6:] == b"status" and self._is_ours(frames):
            return
        size = ENTRY_BYTES + sum(map(len, frames))
        with self._lock:
            self._entries.append((size, frames))
            self._bytes += size
            if self._bytes > self._memory_bytes:
                self._make_room()

    def page(self, after: Optional[bytes], live: bool, limit_bytes: int) -> Tuple[Dict[str, Any], List[bytes]]:
        """(what to know, packed messages) of what follows `after`; None: the last message that anybody listened to.

        To know: `end`, whether that is all; `missing_lines`, None, or how many lines at most stood before the first
        message and are lost, 0 when their number is not known; `busy`, whether a cell runs.
        """
        with self._lock:
            self._held = True
            missing: Optional[int] = None
            known = after if after is not None else self._left
            if known is not None and known != self._acknowledged and self._take_out(known):
                self._acknowledged, self._forgotten = known, False
            elif self._spool.dropped_lines or (after is not None and self._forgotten):
                missing = self._spool.dropped_lines
            bodies, end = self._spool.take(limit_bytes)
            limit_bytes -= sum(map(len, bodies))
            if end:
                for _, frames in self._entries:
                    if limit_bytes <= 0:
                        end = False
                        break
                    bodies.append(packed(frames))
                    limit_bytes -= len(bodies[-1])
            if end and live:
                self._held = False
            return {"end": end, "missing_lines": missing, "busy": self.busy}, bodies

    def _take_out(self, signature: bytes) -> bool:
        """Forget this message and all before it; False when it is not here."""
        if self._spool.drop_through(signature):
            return True
        for number, (_, frames) in enumerate(self._entries, 1):
            if signature_of(frames) == signature:
                for _ in range(number):
                    self._bytes -= self._entries.popleft()[0]
                self._spool.clear()
                return True
        return False

    def _make_room(self) -> None:
        while self._bytes > self._memory_bytes and len(self._entries) > 1:
            size, frames = self._entries.popleft()
            self._bytes -= size
            if self._held:
                self._spool.append(signature_of(frames), lines_of(frames), packed(frames))
            else:
                self._forgotten = True
                if self._spool:  # older still, and of a hold that is over
                    self._spool.clear()

    def _plain(self, frames: List[Any]) -> List[bytes]:
        plain = [frame if type(frame) is bytes else bytes(frame) for frame in frames]
        if DELIMITER not in plain[:-5]:
            raise ValueError("not a message")
        return plain

    def _is_ours(self, frames: Frames) -> bool:
        """Note a cell's state. True for the busy and idle of a request for a page: those would never end."""
        if OWN_REQUEST in frames[4]:
            return True
        if b'"execute_request"' in frames[4]:
            self.busy = b'"busy"' in frames[6]
        return False
