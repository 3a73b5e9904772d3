"""tar(5), as much of it as an archive of ours has: files, directories, both kinds of links, pax headers.

What is written any tar reads. What is read is hostile: each header is bounded, its checksum counts, and a type that we
do not write is refused; names are checked by who uses them. Sizes are bytes, times nanoseconds since the epoch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from ..model.errors import SnapshotDamaged

BLOCK = 512
PAX_MAX_BYTES = 256 << 10
PAX, FILE, HARDLINK, SYMLINK, DIRECTORY = b"x", b"0", b"1", b"2", b"5"
XATTR = b"SCHILY.xattr."  # as GNU tar, star and bsdtar say it
_OCTAL_MAX = 0o77777777777
_TIME = re.compile(rb"(-?)(\d{1,12})(?:\.(\d{1,9})\d*)?")


class Member(NamedTuple):
    name: bytes
    type: bytes
    size: int = 0
    mode: int = 0o644
    mtime_ns: int = 0
    target: bytes = b""
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def header(member: Member) -> bytes:
    """All blocks before the data of a member."""
    pax: dict[bytes, bytes] = {XATTR + name: value for name, value in member.xattrs}
    for key, text in ((b"path", member.name), (b"linkpath", member.target)):
        if len(text) > 100 or not text.isascii():
            pax[key] = text
    seconds, nanoseconds = divmod(member.mtime_ns, 10**9)
    if nanoseconds or not 0 <= seconds <= _OCTAL_MAX:
        pax[b"mtime"] = _time(member.mtime_ns)
    if member.size > _OCTAL_MAX:
        pax[b"size"] = b"%d" % member.size
    blocks = b""
    if pax:
        body = _records(pax)
        blocks = _block(Member(b"pax", PAX, len(body))) + body + padding(len(body))
    return blocks + _block(member)


def padding(size: int) -> bytes:
    return bytes(-size % BLOCK)


def end() -> bytes:
    return bytes(2 * BLOCK)


def _time(ns: int) -> bytes:
    seconds, fraction = divmod(abs(ns), 10**9)
    return b"%s%d.%09d" % (b"-" if ns < 0 else b"", seconds, fraction)


def _records(pax: Mapping[bytes, bytes]) -> bytes:
    out = []
    for key, value in pax.items():
        rest = len(key) + len(value) + 3
        length = rest + len(str(rest))
        length = rest + len(str(length))
        out.append(b"%d %s=%s\n" % (length, key, value))
    return b"".join(out)


def _block(member: Member) -> bytes:
    """One ustar header; what does not fit is in the pax header before it."""
    fields = b"".join(
        (
            member.name[:100].ljust(100, b"\0"),
            b"%07o\0" % (member.mode & 0o7777),
            b"0000000\0" * 2,
            b"%011o\0" % (member.size if member.size <= _OCTAL_MAX else 0),
            b"%011o\0" % min(max(0, member.mtime_ns // 10**9), _OCTAL_MAX),
            b" " * 8,
            member.type,
            member.target[:100].ljust(100, b"\0"),
            b"ustar\x0000",
        )
    ).ljust(BLOCK, b"\0")
    return fields[:148] + b"%06o\0 " % sum(fields) + fields[156:]


def members(source: Readable) -> Iterator[Member]:
    """Each member up to the end mark; its data, and the padding, are to be read before the next is asked for."""
    while True:
        block = exactly(source, BLOCK)
        if block == bytes(BLOCK):
            if exactly(source, BLOCK) != bytes(BLOCK):
                raise SnapshotDamaged("The archive goes on after its end")
            return
        member = _parsed(block)
        pax: dict[bytes, bytes] = {}
        if member.type == PAX:
            if member.size > PAX_MAX_BYTES:
                raise SnapshotDamaged("The archive has a header that is too long")
            pax = _parse_records(exactly(source, member.size))
            exactly(source, len(padding(member.size)))
            member = _parsed(exactly(source, BLOCK))
        if member.type not in (FILE, DIRECTORY, SYMLINK, HARDLINK):
            raise SnapshotDamaged(f"The archive has an entry of type {member.type!r}", "Only what syla exports is read")
        if member.type != FILE and member.size:
            raise SnapshotDamaged("The archive has data where none can be")
        yield _with(member, pax)


def _with(member: Member, pax: Mapping[bytes, bytes]) -> Member:
    try:
        size = int(pax[b"size"]) if b"size" in pax else member.size
        mtime_ns = _parse_time(pax[b"mtime"]) if b"mtime" in pax else member.mtime_ns
    except ValueError as exc:
        raise SnapshotDamaged("The archive has a wrong number") from exc
    if size < 0 or (size and member.type != FILE):
        raise SnapshotDamaged("The archive has a wrong size")
    xattrs = tuple((key[len(XATTR) :], value) for key, value in pax.items() if key.startswith(XATTR))
    name, target = pax.get(b"path", member.name), pax.get(b"linkpath", member.target)
    return member._replace(name=name, target=target, size=size, mtime_ns=mtime_ns, xattrs=xattrs)


def _parsed(block: bytes) -> Member:
    try:
        if int(block[148:156].strip(b" \0"), 8) != sum(block[:148]) + 256 + sum(block[156:]):
            raise ValueError
        if block[257:263] != b"ustar\0" or block[345:500].strip(b"\0"):
            raise ValueError
        mode, size, mtime = (int(block[a:b].strip(b" \0") or b"0", 8) for a, b in ((100, 108), (124, 136), (136, 148)))
    except ValueError as exc:
        raise SnapshotDamaged("The archive has a damaged header") from exc
    name, target = block[:100].split(b"\0")[0], block[157:257].split(b"\0")[0]
    return Member(name, block[156:157], size, mode & 0o7777, mtime * 10**9, target)


def _parse_records(body: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(body):
        digits = body[at : at + 8].split(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        record = body[at : at + length]
        key, separator, value = record[len(digits) + 1 : -1].partition(b"=")
        if len(record) != length or not record.endswith(b"\n") or not separator or key in found:
            raise SnapshotDamaged("The archive has a damaged header")
        found[key] = value
        at += length
    return found


def _parse_time(text: bytes) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError
    ns = int(match[2]) * 10**9 + int((match[3] or b"").ljust(9, b"0"))
    return -ns if match[1] else ns


def exactly(source: Readable, size: int) -> bytes:
    """`SnapshotDamaged` where it ends before."""
    data = source.read(size)
    while len(data) < size:
        more = source.read(size - len(data))
        if not more:
            raise SnapshotDamaged("The archive ends in the middle", "It is not complete: copy it again")
        data += more
    return data
