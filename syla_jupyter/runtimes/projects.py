"""Projects of a file system (ext4, XFS): a number that each file and directory has, for which the kernel counts what is
used and refuses what is more than its limit.

What is made in a directory that hands its project on has it too, whoever makes it, and nothing else can be renamed or
linked into there (EXDEV). Setting limits takes root in the initial user namespace. **A file's owner may give it another
project**, and so leave the quota, unless that call is refused him: in containers it is (`agent/seccomp`).

Plain system calls: `ioctl_fsgetxattr(2)`, and `quotactl_fd` (Linux 5.14), which needs no name of a device. Errors are
`OSError`s.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import secrets
import stat
import struct
from pathlib import Path
from typing import NamedTuple

_FSGETXATTR, _FSSETXATTR, _PROJINHERIT = 0x801C581F, 0x401C5820, 0x200
_FSXATTR = struct.Struct("=5I8s")  # xflags, extsize, nextents, projid, cowextsize, padding
_SYS_QUOTACTL_FD = 443  # the same on every architecture
_Q_GETQUOTA, _Q_SETQUOTA, _PRJQUOTA = 0x800007, 0x800008, 2
_DQBLK = struct.Struct("=8QI4x")  # limits and use of blocks, of inodes; two times; which of them count
_VALID_LIMITS = 1 | 4
_LIMIT_UNIT = 1024  # of block limits; what is used is in bytes
INODE_BYTES = 4096
"""A file or directory counts at least that much: an empty one takes no block, and disks run out of inodes too."""
INODES_MIN = 4096
DEPTH_MAX = 256
_CAP_SYS_ADMIN = 21
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_libc = ctypes.CDLL(None, use_errno=True)


class Project(NamedTuple):
    id: int
    """0: none."""
    inherited: bool
    """What is made in it has the project too."""


class Used(NamedTuple):
    bytes: int
    inodes: int
    limit_bytes: int
    """0: none."""


def may_set_limits() -> bool:
    """Whether this process is root of the whole machine, not of a container with a user namespace or without rights."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        rights = int(Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0], 16)
        whole = Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]
        return whole and bool(rights >> _CAP_SYS_ADMIN & 1)
    return False


def project(fd: int) -> Project:
    """Of an open file or directory; none where the file system has no projects."""
    fields = bytearray(_FSXATTR.size)
    try:
        fcntl.ioctl(fd, _FSGETXATTR, fields)
    except OSError:
        return Project(0, False)
    xflags, _, _, id, _, _ = _FSXATTR.unpack(fields)
    return Project(id, bool(xflags & _PROJINHERIT))


def assign(fd: int, id: int) -> None:
    """A directory hands it on from then on."""
    fields = bytearray(_FSXATTR.size)
    fcntl.ioctl(fd, _FSGETXATTR, fields)
    xflags, extsize, extents, before, cow, padding = _FSXATTR.unpack(fields)
    wanted = xflags | (_PROJINHERIT if stat.S_ISDIR(os.fstat(fd).st_mode) else 0)
    if (wanted, id) != (xflags, before):
        fcntl.ioctl(fd, _FSSETXATTR, _FSXATTR.pack(wanted, extsize, extents, id, cow, padding))


def used(fd: int, id: int) -> Used:
    """By a project, on the file system of an open directory. `OSError` where quotas of projects are off."""
    fields = ctypes.create_string_buffer(_DQBLK.size)
    try:
        _quotactl(fd, _Q_GETQUOTA, id, fields)
    except FileNotFoundError:  # XFS has never heard of it
        return Used(0, 0, 0)
    limit, _, space, _, _, inodes, *_ = _DQBLK.unpack(fields.raw)
    return Used(space, inodes, limit * _LIMIT_UNIT)


def limit(fd: int, id: int, limit_bytes: int) -> None:
    """So much may a project use of the file system of an open directory; 0: as much as there is."""
    inodes = max(INODES_MIN, limit_bytes // INODE_BYTES) if limit_bytes else 0
    blocks = -(-limit_bytes // _LIMIT_UNIT)
    fields = _DQBLK.pack(blocks, 0, 0, inodes, 0, 0, 0, 0, _VALID_LIMITS)
    _quotactl(fd, _Q_SETQUOTA, id, ctypes.create_string_buffer(fields, len(fields)))


def take_in(root: int, id: int) -> None:
    """Give all that is in an open directory, and itself, to a project. Nobody else may change it meanwhile.

    No link is followed, no other file system entered. A symbolic link cannot be given away: it is made anew. Pipes and
    sockets stay what they are. `OSError`: ENAMETOOLONG for a tree that is deeper than `DEPTH_MAX`.
    """
    assign(root, id)
    _take_in_below(root, id, os.fstat(root).st_dev, 0)


def _take_in_below(directory: int, id: int, device: int, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise OSError(errno.ENAMETOOLONG, f"more than {DEPTH_MAX} directories deep")
    for name in os.listdir(directory):
        info = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if info.st_dev != device:
            continue
        if stat.S_ISLNK(info.st_mode):
            _made_anew(directory, name, info, id)
        elif stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode):
            below = stat.S_ISDIR(info.st_mode)
            fd = os.open(name, _DIRECTORY if below else _FILE, dir_fd=directory)
            try:
                if not os.path.samestat(info, os.fstat(fd)):
                    raise OSError(errno.EBUSY, "changed meanwhile")
                assign(fd, id)
                if below:
                    _take_in_below(fd, id, device, depth + 1)
            finally:
                os.close(fd)


def _made_anew(directory: int, name: str, info: os.stat_result, id: int) -> None:
    """A symbolic link has the project of the directory it is made in, which is ours by now."""
    fresh = f".syla-project-{secrets.token_hex(8)}"
    os.symlink(os.readlink(name, dir_fd=directory), fresh, dir_fd=directory)
    try:
        os.chown(fresh, info.st_uid, info.st_gid, dir_fd=directory, follow_symlinks=False)
        os.utime(fresh, ns=(info.st_atime_ns, info.st_mtime_ns), dir_fd=directory, follow_symlinks=False)
        os.rename(fresh, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh, dir_fd=directory)
        raise


def _quotactl(fd: int, command: int, id: int, fields: ctypes.Array[ctypes.c_char]) -> None:
    if _libc.syscall(_SYS_QUOTACTL_FD, fd, ctypes.c_uint(command << 8 | _PRJQUOTA), ctypes.c_uint(id), fields) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
