"""A version as one plain file: tar in zstd, so that nobody needs us to get at it.

    syla-workspace.json     what the workspace is: its configuration, which version this was
    files/… home/…          everything in it, in the order of a manifest
    SHA256SUMS              of all of the above that are files, as sha256sum(1) reads it; last, so it shows completeness

Holes become zeros in the file. `archive_import` reads it back. The configuration alone is the first of these files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import zstandard

from ..model.clock import Clock
from ..model.errors import BadInput, SnapshotDamaged
from ..model.snapshot import Version
from . import manifest, tar_stream
from .progress import Meter, Report, never
from .tar_stream import Member, padding
from .tree import Entry, Kind, placed_chunks, shown

if TYPE_CHECKING:
    from .repository import Repository

FORMAT = "syla-workspace-archive"
FORMAT_VERSION = 1
ABOUT, SUMS = b"syla-workspace.json", b"SHA256SUMS"
ABOUT_MAX_BYTES = 1 << 20
GROUP_BYTES = 16 << 20
PIECE_BYTES = 1 << 20
LEVEL = 3
ZEROS = bytes(PIECE_BYTES)
TYPES = {
    Kind.DIRECTORY: tar_stream.DIRECTORY,
    Kind.FILE: tar_stream.FILE,
    Kind.SYMLINK: tar_stream.SYMLINK,
    Kind.HARDLINK: tar_stream.HARDLINK,
}


def export_config(config: Mapping[str, Any], out: BinaryIO) -> None:
    """The configuration alone, as JSON."""
    out.write(about(config, None) + b"\n")


def read_config(source: BinaryIO) -> Mapping[str, Any]:
    """What `export_config` wrote. `BadInput`."""
    return parse_about(source.read(ABOUT_MAX_BYTES + 1))


def about(config: Mapping[str, Any], version: Version | None) -> bytes:
    document: dict[str, Any] = {"format": FORMAT, "version": FORMAT_VERSION, "workspace": dict(config)}
    if version is not None:
        document["snapshot"] = {
            "number": version.number, "created_at": version.created_at, "author": version.author,
            "message": version.message, "files": version.files, "bytes_total": version.bytes_total,
        }  # fmt: skip
    return json.dumps(document, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass")


def parse_about(text: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(text) if len(text) <= ABOUT_MAX_BYTES else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise BadInput("archive", "is no configuration of a workspace", "Give what `syla workspace export` wrote")
    if document.get("version") != FORMAT_VERSION or not isinstance(document.get("workspace"), dict):
        raise BadInput("archive", f"has format {document.get('version')!r}"[:100], "A newer version of syla reads it")
    workspace: Mapping[str, Any] = document["workspace"]
    return workspace


def export(
    repository: Repository,
    version: Version,
    config: Mapping[str, Any],
    out: BinaryIO,
    *,
    clock: Clock,
    progress: Report | None = None,
    cancelled: Callable[[], bool] = never,
) -> None:
    """Write a version and a configuration (what JSON can hold) into `out`. `SnapshotDamaged`, `Cancelled`."""
    meter = Meter(progress, cancelled, clock)
    meter.files_total, meter.bytes_total = version.files, version.bytes_total
    with zstandard.ZstdCompressor(LEVEL, threads=2, write_checksum=True).stream_writer(out, closefd=False) as sink:
        sums = hashlib.sha256
        document = about(config, version)
        lines = [sum_line(sums(document).hexdigest(), ABOUT)]
        sink.write(
            tar_stream.header(Member(ABOUT, tar_stream.FILE, len(document), mtime_ns=int(version.created_at * 1e9)))
        )
        sink.write(document + padding(len(document)))
        total = sums()
        for entry, data in _contents(repository, version):
            if data is None:
                sink.write(tar_stream.header(_member(entry)))
                total = sums()
            else:
                sink.write(data)
                total.update(data)
                meter.add(0, len(data))
            if data == b"":
                sink.write(padding(entry.size))
                lines.append(sum_line(total.hexdigest(), entry.path))
                meter.add(1, 0)
            meter.tick()
        text = b"".join(lines)
        sink.write(tar_stream.header(Member(SUMS, tar_stream.FILE, len(text))))
        sink.write(text + padding(len(text)) + tar_stream.end())
    meter.tick(last=True)


def _member(entry: Entry) -> Member:
    kind = Kind(entry.kind)
    name = entry.path + b"/" if kind is Kind.DIRECTORY else entry.path
    target = b"" if kind is Kind.FILE else entry.content
    return Member(name, TYPES[kind], entry.size, entry.mode & 0o777, entry.mtime_ns, target, entry.xattrs)


def sum_line(digest: str, path: bytes) -> bytes:
    """As sha256sum(1): a line with an escape begins with a backslash."""
    escaped = path.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    return b"%s%s  %s\n" % (b"\\" if escaped != path else b"", digest.encode(), escaped)


def _contents(repository: Repository, version: Version) -> Iterator[tuple[Entry, bytes | memoryview | None]]:
    """Each entry with None, then for a file its data in pieces, zeros for holes, and an empty one at its end."""
    group: list[_Item] = []
    size = 0
    for entry in manifest.entries(repository.read, version.root):
        group.append(_Item(entry, -1, 0, b""))
        if entry.kind != Kind.FILE:
            continue
        end = 0
        for offset, length, id_ in placed_chunks(entry):
            group.append(_Item(entry, offset - end, length, id_))
            end = offset + length
            size += length
            if size >= GROUP_BYTES:
                yield from _group(repository, group)
                group, size = [], 0
        group.append(_Item(entry, entry.size - end, 0, b""))
    yield from _group(repository, group)


class _Item(NamedTuple):
    entry: Entry
    hole: int
    """Zeros before it; -1: it is the entry's beginning."""
    length: int
    id: bytes
    """Empty: the end of the file."""


def _group(repository: Repository, group: list[_Item]) -> Iterator[tuple[Entry, bytes | memoryview | None]]:
    chunks = dict(repository.fetch({item.id for item in group if item.id}))
    for entry, hole, length, id_ in group:
        if hole < 0:
            yield entry, None
            continue
        for start in range(0, hole, PIECE_BYTES):
            yield entry, ZEROS[: hole - start]
        if id_ and len(chunks[id_]) != length:
            raise SnapshotDamaged(f"A piece of {shown(entry.path)} has a wrong length")
        yield entry, chunks[id_] if id_ else b""
