"""What a room's websocket carries, taken apart and put together. Pure; the bytes are hostile.

    sync       0, then 0 (what I have), 1 (what you miss) or 2 (an update), length, bytes
    awareness  1, length, bytes: count, then for each client: its id, a clock, length, a state in JSON
    raw        2, length, text: `save`, then a number

Numbers are lib0's: seven bits a byte, the lowest first. The bytes that say what a message is are compared as they are,
since that is how the library below reads them: a number that is spelled another way is no message of ours.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

SYNC, AWARENESS, RAW = 0, 1, 2
NUMBER_MAX = (1 << 53) - 1  # what JavaScript counts to
STATE_MAX = 32 * 1024  # bytes of JSON: who, which file, cursors
CLIENTS_MAX = 1000  # in one message; pages repeat what they have heard of others
NO_UPDATE = b"\x00\x00"


class Kind(enum.Enum):
    ASKS = "what I have"
    ANSWERS_NOTHING = "a step 2 or an update with nothing in it"
    WRITES = "a step 2 or an update"
    AWARENESS = "who is there"
    SAVES = "save it now"
    NOTHING = "no message"


@dataclass(frozen=True)
class Presence:
    client: int
    clock: int
    state: dict[str, Any] | None
    """None: it has gone."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 127) << shift
            shift += 7
            if value > NUMBER_MAX or shift > 63:
                raise ValueError("too large")
            if byte < 128:
                return value

    def bytes(self) -> bytes:
        length = self.number()
        end = self._at + length
        if end > len(self._data):
            raise ValueError("too short")
        found, self._at = self._data[self._at : end], end
        return found


def kind_of(message: object) -> Kind:
    if not isinstance(message, bytes) or len(message) < 2:
        return Kind.NOTHING
    if message[0] == SYNC and message[1] in (0, 1, 2):
        try:
            body = _Reader(message[2:]).bytes()
        except (ValueError, IndexError):
            return Kind.NOTHING
        if message[1] == 0:
            return Kind.ASKS
        return Kind.ANSWERS_NOTHING if body == NO_UPDATE else Kind.WRITES
    if message[0] == AWARENESS:
        return Kind.AWARENESS
    return Kind.SAVES if message[0] == RAW and save_number(message) is not None else Kind.NOTHING


def save_number(message: bytes) -> int | None:
    """Which answer a request to save waits for; None: it is none."""
    reader = _Reader(message[1:])
    try:
        return reader.number() if reader.bytes() == b"save" else None
    except (ValueError, IndexError):
        return None


def presences(message: bytes) -> list[Presence]:
    """Of an awareness message; empty: it is none. States are JSON that every page can read."""
    try:
        reader = _Reader(_Reader(message[1:]).bytes())
        count = reader.number()
        if count > CLIENTS_MAX:
            return []
        return [Presence(reader.number(), reader.number(), _state(reader.bytes())) for _ in range(count)]
    except (ValueError, IndexError, RecursionError):
        return []


def clock_of(state: bytes, client: int) -> int:
    """How far a document has a client's changes, by its state vector: count, then for each client: its id, a clock."""
    reader = _Reader(state)
    return next((clock for found, clock in _pairs(reader) if found == client), 0)


def _pairs(reader: _Reader) -> Iterator[tuple[int, int]]:
    for _ in range(reader.number()):
        yield reader.number(), reader.number()


def _state(text: bytes) -> dict[str, Any] | None:
    if len(text) > STATE_MAX:
        raise ValueError("too long")
    state = json.loads(text)
    json.dumps(state, allow_nan=False)
    if state is not None and not isinstance(state, dict):
        raise ValueError("no state")
    return state


def awareness(rows: Sequence[Presence]) -> bytes:
    body = [_number(len(rows))]
    for row in rows:
        body += [_number(row.client), _number(row.clock), _sized(json.dumps(row.state).encode())]
    return bytes([AWARENESS]) + _sized(b"".join(body))


def told(content: dict[str, Any]) -> bytes:
    """Something for the page itself, as it gets answers to its requests to save."""
    return bytes([RAW]) + _sized(json.dumps(content).encode())


def _sized(data: bytes) -> bytes:
    return _number(len(data)) + data


def _number(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(128 | (value & 127))
        value >>= 7
    found.append(value)
    return bytes(found)
