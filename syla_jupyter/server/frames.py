"""The parts of a kernel's message as it is on the wire, without parsing it: b"" for what is not there.

topics or identities, delimiter, signature, header, parent header, metadata, content, buffers
"""

from __future__ import annotations

DELIMITER = b"<IDS|MSG>"
SIGNATURE_BYTES = 32
"""This much of a signature, its first half, tells a message from all others."""


def signature_of(message: list[bytes]) -> bytes:
    return _part(message, 1)[:SIGNATURE_BYTES]


def header_of(message: list[bytes]) -> bytes:
    return _part(message, 2)


def parent_of(message: list[bytes]) -> bytes:
    return _part(message, 3)


def content_of(message: list[bytes]) -> bytes:
    return _part(message, 5)


def _part(message: list[bytes], number: int) -> bytes:
    try:
        return message[message.index(DELIMITER) + number]
    except (ValueError, IndexError):
        return b""
