"""Files by API path, each operation within the workspaces that it names.

Everything here is synchronous and may take as long as a disk does. Errors are `OSError`s, as from the kernel; EXDEV
says that a link leads out of its workspace. Numbers bound what a container can make of its files: a listing's length,
how much is read into memory, how far links are followed.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from ..runtimes import projects
from . import tree
from .beneath import Place, Steps, descend, find
from .paths import ApiPath, parse

READ_MAX_BYTES = 256 * 1024 * 1024
"""Of a file that is read as a whole, for an editor; downloads have no limit."""
BACKUP_MAX_BYTES = READ_MAX_BYTES
LIST_MAX = 50_000
LIST_STEPS_MAX = 200_000


@dataclass(frozen=True)
class Entry:
    name: str
    info: os.stat_result
    """Of what a link leads to, where it leads anywhere in its workspace; else of the link."""
    writable: bool

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.info.st_mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.info.st_mode)

    @property
    def is_link(self) -> bool:
        """One that leads out, or nowhere."""
        return stat.S_ISLNK(self.info.st_mode)


def modified(info: os.stat_result) -> datetime:
    """When a file was changed; the epoch where its time is none that can be written."""
    return _utc(info.st_mtime)


def created(info: os.stat_result) -> datetime:
    return _utc(info.st_ctime)


def _utc(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime(1970, 1, 1, tzinfo=UTC)


def backup_name(name: str) -> str:
    """Where Jupyter keeps what a file was, while it is written."""
    return f".~{name}"


def _back_up(writer: int, place: Place) -> Place | None:
    """A copy beside a file; None: the directory takes none, or it is too large to be worth one."""
    if os.fstat(writer).st_size > BACKUP_MAX_BYTES:
        return None
    kept = place.beside(backup_name(place.name))
    try:
        reader = os.open(f"/proc/self/fd/{writer}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(kept.name, dir_fd=kept.directory)
            tree.copy_file(reader, kept, tree.Allowance(2 * BACKUP_MAX_BYTES))
        finally:
            os.close(reader)
    except PermissionError:
        return None
    return kept


def _project(place: Place) -> int:
    """That a file made there has, and counts in; 0: none, or we may not look."""
    try:
        directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place.directory)
    except OSError:
        return 0
    try:
        return projects.project(directory).id
    finally:
        os.close(directory)


def write_all(writer: int, data: memoryview) -> None:
    while data:
        data = data[os.write(writer, data) :]


class WorkspaceFiles:
    def __init__(self, root: str) -> None:
        self.root = root

    # -- places --------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _top(self, path: ApiPath) -> Iterator[int]:
        root = os.open(self.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            top = descend(root, path.top)
        finally:
            os.close(root)
        try:
            yield top
        finally:
            os.close(top)

    def place(self, path: str, *, follow: bool = True) -> Place:
        """Close it. With `follow=False` the name itself, which is not `.` but for the root."""
        parsed = parse(path)
        if not follow and parsed.top and not parsed.names:
            parsed = ApiPath(parsed.top[:-1], parsed.top[-1:])
            with self._top(parsed) as top:
                return find(top, parsed.names, follow=False)
        with self._top(parsed) as top:
            return find(top, parsed.names, follow=follow, barred=parsed.barred)

    def _entry_place(self, path: str) -> Place:
        """Of something that can be made, moved or removed; EBUSY for the root."""
        place = self.place(path, follow=False)
        if place.name == ".":
            os.close(place.directory)
            raise OSError(errno.EBUSY, "the server's own directory")
        return place

    def look(self, path: str, *, or_link: bool = False) -> Entry:
        """What is there, a link followed; with `or_link`, the link itself where it leads out or nowhere."""
        name = path.rpartition("/")[2]
        try:
            with self.place(path) as place:
                return Entry(name, place.stat(), place.writable())
        except OSError as exc:
            if or_link and exc.errno in (errno.EXDEV, errno.ENOENT, errno.ENOTDIR):
                with self.place(path, follow=False) as place:
                    return Entry(name, place.stat(), False)
            raise

    def exists(self, path: str) -> bool:
        """Whether there is anything of that name, a link that leads nowhere included."""
        try:
            with self.place(path, follow=False) as place:
                place.stat()
        except OSError:
            return False
        return True

    # -- reading -------------------------------------------------------------------------------------------------

    def open(self, path: str) -> int:
        """A descriptor to read a regular file."""
        with self.place(path) as place:
            return place.open_file(os.O_RDONLY)

    def read(self, path: str) -> bytes:
        """All of a regular file; EFBIG above READ_MAX_BYTES."""
        reader = self.open(path)
        try:
            size, left = os.fstat(reader).st_size, READ_MAX_BYTES + 1
            chunks: list[bytes] = []
            while size <= READ_MAX_BYTES and (chunk := os.read(reader, min(left, size + 1))):
                chunks.append(chunk)  # the next one is empty, unless it grows while we read
                left -= len(chunk)
        finally:
            os.close(reader)
        if size > READ_MAX_BYTES or not left:
            raise OSError(errno.EFBIG, "too large to be opened as a whole")
        return b"".join(chunks)

    def entries(self, path: str) -> tuple[list[Entry], bool]:
        """What is in a directory, pipes and the like left out; whether there is more than LIST_MAX."""
        parsed = parse(path)
        steps = Steps(LIST_STEPS_MAX)
        found: list[Entry] = []
        with self._top(parsed) as top, find(top, parsed.names, barred=parsed.barred) as place:
            here = place.open_directory()
            try:
                with os.scandir(here) as scanned:
                    for item in itertools.islice(scanned, LIST_MAX):
                        with contextlib.suppress(OSError, UnicodeEncodeError):
                            item.name.encode()  # a URL cannot name what is not UTF-8
                            found.extend(self._entry(top, parsed, Place(here, item.name), steps))
                    return found, next(scanned, None) is not None
            finally:
                os.close(here)

    def _entry(self, top: int, directory: ApiPath, place: Place, steps: Steps) -> Iterator[Entry]:
        info = place.stat()
        if directory.top and not directory.names and len(directory.top) == 1:
            if stat.S_ISDIR(info.st_mode) and not place.name.startswith("."):
                yield Entry(place.name, info, place.writable())
        elif stat.S_ISLNK(info.st_mode):
            try:
                with find(top, (*directory.names, place.name), barred=directory.barred, steps=steps) as target:
                    entry = Entry(place.name, target.stat(), target.writable())
                if entry.is_dir or entry.is_file:
                    yield entry
            except OSError as exc:
                if exc.errno != errno.ELOOP:
                    yield Entry(place.name, info, False)
        elif stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode):
            yield Entry(place.name, info, place.writable())

    # -- writing -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def rewriting(self, path: str, *, backup: bool) -> Iterator[int]:
        """A file to write from its beginning; cut off where the writer ends, synchronised to disk and closed; put back
        when the writer fails.

        It stays the same file where there was one: its links, mode and owner, and who has it open, are untouched. So it
        is not exchanged for another one as a whole: write all at once, and who reads it meanwhile finds it never empty.
        """
        with self.place(path) as place:
            kept: Place | None = None
            try:
                writer, made = place.open_file(os.O_WRONLY), False
            except FileNotFoundError:
                writer, made = place.create_file(), True
            try:
                if backup and not made:
                    kept = _back_up(writer, place)
                try:
                    yield writer
                    os.ftruncate(writer, os.lseek(writer, 0, os.SEEK_CUR))
                    os.fsync(writer)
                except BaseException:
                    if kept is not None:
                        os.rename(kept.name, place.name, src_dir_fd=kept.directory, dst_dir_fd=place.directory)
                        kept = None
                    elif made:
                        tree.remove(place)
                    raise
            finally:
                os.close(writer)
            if kept is not None:
                tree.remove(kept)

    def restore_backup(self, path: str, aside: str) -> bool:
        """Put the backup that a broken writer left in the file's place, the file beside as `aside`; False: none."""
        with self.place(path) as place:
            kept, spoilt = place.beside(backup_name(place.name)), place.beside(aside)
            try:
                kept.stat()
            except FileNotFoundError:
                return False
            for old, new in ((place, spoilt), (kept, place)):
                os.rename(old.name, new.name, src_dir_fd=old.directory, dst_dir_fd=new.directory)
        return True

    def append(self, path: str, data: bytes) -> None:
        with self.place(path) as place:
            try:
                writer = place.open_file(os.O_WRONLY | os.O_APPEND)
            except FileNotFoundError:
                writer = place.create_file()
        with os.fdopen(writer, "wb") as file:
            file.write(data)

    def make_directory(self, path: str, *, parents: bool = False) -> None:
        """No error where there is one."""
        if parents and (above := path.rpartition("/")[0]):
            self.make_directory(above, parents=True)
        with self.place(path) as place:
            try:
                os.mkdir(place.name, dir_fd=place.directory)
            except FileExistsError:
                if not stat.S_ISDIR(place.stat().st_mode):
                    raise

    # -- whole entries -------------------------------------------------------------------------------------------

    def is_empty(self, path: str, *, but: str) -> bool:
        """Whether it is no directory, or one with nothing in it but a directory `but`; a link is not followed."""
        with self.place(path, follow=False) as place:
            if not stat.S_ISDIR(place.stat().st_mode):
                return True
            here = place.open_directory()
            try:
                return set(tree.list_names(here, 2)) <= {but}
            finally:
                os.close(here)

    def remove(self, path: str) -> None:
        """With everything in it; of a link, the link."""
        with self._entry_place(path) as place:
            place.stat()  # ENOENT where there is nothing
            tree.remove(place)

    def rename(self, old_path: str, new_path: str, *, replace: bool = False) -> None:
        """Of a link, the link; EEXIST where there is something else that is not to be replaced."""
        with self._entry_place(old_path) as old, self._entry_place(new_path) as new:
            info = old.stat()
            with contextlib.suppress(FileNotFoundError):
                if not replace and not os.path.samestat(info, new.stat()):
                    raise FileExistsError(errno.EEXIST, "exists")
            try:
                if _project(old) != _project(new):  # it would count in the workspace it came from for good
                    raise OSError(errno.EXDEV, "another project")
                os.rename(old.name, new.name, src_dir_fd=old.directory, dst_dir_fd=new.directory)
            except OSError as exc:
                if exc.errno != errno.EXDEV:  # from rename(2): another file system, or into a project
                    raise
                tree.copy(old, new, tree.Allowance(info.st_size if stat.S_ISREG(info.st_mode) else 1 << 62))
                tree.remove(old)

    def copy(self, source_path: str, target_path: str, allowance: tree.Allowance) -> None:
        """A file or tree, to where nothing is; the source may be a link, those within it stay links."""
        with self.place(source_path) as source, self._entry_place(target_path) as target:
            tree.copy(source, target, allowance)

    def overwrite(self, source_path: str, target_path: str) -> None:
        """Contents, mode and times of one file become those of another, which is made where it is missing."""
        with os.fdopen(self.open(source_path), "rb") as source:
            with self.place(target_path) as place:
                try:
                    target = place.open_file(os.O_WRONLY)
                except FileNotFoundError:
                    target = place.create_file()
            try:
                if not os.path.sameopenfile(source.fileno(), target):  # as a hard link would make it
                    os.ftruncate(target, 0)
                    tree.copy_data(source.fileno(), target)
                    with contextlib.suppress(PermissionError):  # another owner's, that we may write
                        tree.copy_metadata(source.fileno(), target)
            finally:
                os.close(target)
