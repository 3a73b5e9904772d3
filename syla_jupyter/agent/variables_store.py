"""Saved variables on disk: blobs named by their content, and a manifest that names blobs.

    <home>/.local/state/syla/variables/<key>/
        manifest.json       written last, by a rename: until then the one before it is valid
        blobs/xx/<40 hex>   at most 4 MiB each
        loading             while variables are loaded: the group that is being loaded

What is the same as last time is found by comparing it with the blob it was then, which is ten times as fast as hashing
it. Buffers come back as memory that is mapped from their blobs, copied where it is written to: what is never looked at
is never read. Nothing is forced to the disk: a power failure is found by sizes and, for pickles, by hashes.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import mmap
import os
import re
import shutil
import tempfile
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Set

CHUNK_BYTES = 4 << 20
MANIFEST_BYTES_MAX = 64 << 20
FORMAT = 1
KEY = re.compile(r"[a-z]{1,16}(-[0-9a-f]{1,40})?")
DIGEST = re.compile(r"[0-9a-f]{40}")
_MAP_PRIVATE, _MAP_FIXED = 2, 16

Described = Dict[str, Any]
"""{"size": bytes, "chunks": [digest]}"""


class Damaged(Exception):
    """What is on disk is not what was written."""


class _Buffer(ctypes.Structure):
    """Py_buffer."""

    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("rest", ctypes.c_byte * 64),
    ]


class Store:
    """`directory` is made when something is written."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.new_bytes = 0
        self.tick: Callable[[], None] = lambda: None
        """Called for every part that is written or compared."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.mmap.restype = ctypes.c_void_p
        number = ctypes.c_int
        self._libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, number, number, number, ctypes.c_long]
        self._libc.memcmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]

    # -- blobs -------------------------------------------------------------------------------------------------------

    def put(self, data: Any, before: Optional[Described]) -> Described:
        """Write what is not there yet. `before`: what was in its place last time, likely the same."""
        whole = memoryview(data)
        whole = whole.cast("B") if whole.nbytes else memoryview(b"")
        parts = (whole[start : start + CHUNK_BYTES] for start in range(0, whole.nbytes, CHUNK_BYTES))
        return self._put(parts, whole.nbytes, before)

    def put_file(self, file: Any, before: Optional[Described]) -> Described:
        """The same of a file that stands at its end."""
        size = file.tell()
        file.seek(0)
        return self._put(map(memoryview, iter(lambda: file.read(CHUNK_BYTES), b"")), size, before)

    def _put(self, parts: Iterable[memoryview], size: int, before: Optional[Described]) -> Described:
        hints: Sequence[str] = before["chunks"] if before and before["size"] == size else ()
        chunks = []
        for number, part in enumerate(parts):
            self.tick()
            hint = hints[number] if number < len(hints) else ""
            if hint and self._is_blob(part, hint):
                chunks.append(hint)
                continue
            digest = digest_of(part)
            if digest == hint or not self._has(digest, part.nbytes):
                self._write(self._path(digest), part)
                self.new_bytes += part.nbytes
            chunks.append(digest)
        return {"size": size, "chunks": chunks}

    def read(self, described: Described) -> bytes:
        """All of it, its hash checked."""
        parts = []
        for digest, size in _parts(described):
            try:
                with open(self._path(digest), "rb") as file:
                    part = file.read(size + 1)
            except OSError as exc:
                raise Damaged("a saved file is missing: %s" % exc.strerror) from None
            if len(part) != size or digest_of(part) != digest:
                raise Damaged("a saved file is damaged")
            parts.append(part)
        return b"".join(parts)

    def map(self, described: Described) -> Any:
        """Its memory: read when it is looked at, private once it is written to."""
        size = described["size"]
        if not size:
            return bytearray()
        region = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        place = ctypes.addressof(ctypes.c_char.from_buffer(region))
        for digest, length in _parts(described):
            try:
                fd = os.open(self._path(digest), os.O_RDONLY | os.O_CLOEXEC)
            except OSError as exc:
                raise Damaged("a saved file is missing: %s" % exc.strerror) from None
            try:
                if os.fstat(fd).st_size != length:
                    raise Damaged("a saved file is damaged")
                protection, how = mmap.PROT_READ | mmap.PROT_WRITE, _MAP_PRIVATE | _MAP_FIXED
                if self._libc.mmap(place, length, protection, how, fd, 0) != place:
                    raise MemoryError("a saved file cannot be mapped")
            finally:
                os.close(fd)
            place += length
        return region

    def sweep(self, manifest: Dict[str, Any]) -> int:
        """Remove every blob that it does not name; what all of those that stay take, in bytes."""
        kept: Set[str] = set()
        for group in manifest.get("groups") or []:
            for described in [group["stream"], *group["buffers"]]:
                kept.update(described["chunks"])
        total = 0
        for folder, _, names in os.walk(os.path.join(self.directory, "blobs")):
            for name in names:
                path = os.path.join(folder, name)
                if name in kept:
                    total += os.stat(path).st_size
                else:
                    os.unlink(path)
        return total

    def _path(self, digest: str) -> str:
        return os.path.join(self.directory, "blobs", digest[:2], digest)

    def _has(self, digest: str, size: int) -> bool:
        try:
            return os.stat(self._path(digest)).st_size == size
        except OSError:
            return False

    def _is_blob(self, part: memoryview, digest: str) -> bool:
        try:
            with open(self._path(digest), "rb") as file:
                if os.fstat(file.fileno()).st_size != part.nbytes:
                    return False
                with mmap.mmap(file.fileno(), part.nbytes, prot=mmap.PROT_READ) as there:
                    return bool(self._equal(part, there))
        except OSError:
            return False

    def _equal(self, one: Any, other: Any) -> bool:
        views = []
        try:
            for data in (one, other):
                view = _Buffer()
                ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(data), ctypes.byref(view), 0)
                views.append(view)
            return int(self._libc.memcmp(views[0].buf, views[1].buf, views[0].len)) == 0
        finally:
            for view in views:
                ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))

    def _write(self, path: str, data: Any) -> None:
        """Whole or not at all."""
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        fd, fresh = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".new-")
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
            os.replace(fresh, path)
        except BaseException:
            os.unlink(fresh)
            raise

    # -- the manifest ------------------------------------------------------------------------------------------------

    def manifest(self) -> Dict[str, Any]:
        """{} where there is none that makes sense, or one of a later format."""
        try:
            with open(os.path.join(self.directory, "manifest.json"), "rb") as file:
                found = json.loads(file.read(MANIFEST_BYTES_MAX).decode())
            for group in found["groups"]:
                for described in [group["stream"], *group["buffers"]]:
                    if not all(DIGEST.fullmatch(digest) for digest in described["chunks"]):
                        return {}
            return dict(found) if found["format"] == FORMAT else {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return {}

    def commit(self, manifest: Dict[str, Any]) -> int:
        """Make it the one that is valid, and remove what it does not name; bytes of what stays."""
        self._write(os.path.join(self.directory, "manifest.json"), json.dumps(manifest).encode())
        self.set_marker(None)
        for name in os.listdir(self.directory):
            if name.startswith(".new-"):  # of a save that was killed
                os.unlink(os.path.join(self.directory, name))
        return self.sweep(manifest)

    def refuse(self, manifest: Dict[str, Any], refused: Dict[str, str]) -> None:
        """Note in the manifest what is not to be loaded, by key, with the reason."""
        self._write(os.path.join(self.directory, "manifest.json"), json.dumps(dict(manifest, refused=refused)).encode())

    def set_marker(self, group: Optional[str]) -> None:
        """That `group` is about to be loaded; None: none is."""
        path = os.path.join(self.directory, "loading")
        if group is not None:
            with open(path, "w") as file:
                file.write(group)
            return
        try:
            os.unlink(path)
        except OSError:
            pass

    def marker(self) -> Optional[str]:
        """The group whose load was the last thing a kernel did."""
        try:
            with open(os.path.join(self.directory, "loading")) as file:
                return file.read(200)
        except (OSError, ValueError):
            return None


def place_of(key: str) -> str:
    """The directory of a key; ValueError for what is none."""
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise ValueError("not a key of variables")
    return os.path.join(os.path.expanduser("~"), ".local", "state", "syla", "variables", key)


def digest_of(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()[:40]


def remove_old(directory: str, prefix: str, before: float) -> None:
    """Neighbours of `directory` whose manifest nobody has written since, seconds since the epoch."""
    parent = os.path.dirname(directory)
    for name in os.listdir(parent):
        path = os.path.join(parent, name)
        try:
            if name.startswith(prefix) and path != directory and os.lstat(path).st_mtime < before:
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            pass


def _parts(described: Described) -> List[Any]:
    sizes = [min(CHUNK_BYTES, described["size"] - start) for start in range(0, described["size"], CHUNK_BYTES)]
    if len(sizes) != len(described["chunks"]):
        raise Damaged("a saved list of files makes no sense")
    return [(digest, sizes[number]) for number, digest in enumerate(described["chunks"])]
