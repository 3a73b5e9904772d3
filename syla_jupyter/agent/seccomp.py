"""A second seccomp filter over the engine's own: no set-id programs, no other project for a file, no io_uring.

A container's user is often the host's user, or root, on a shared directory (`runtimes/attach.py`): a setuid bit set
inside would count outside; and who owns a file may give it another project, and so leave the quota of the workspace.
Refused: chmod, mknod and creating opens with a set-id bit, the ioctls that set a file's project or whether a directory
hands its own on (EPERM); system calls that pass such things where a filter cannot look (`openat2`, `file_setattr`),
calls of another ABI, and io_uring, which gets around filters (ENOSYS). Inherited by every process of the container;
needs no privilege, because no-new-privileges is set.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from typing import Dict, List, Tuple

_SET_ID = 0o6000
_CREATES = 0o20000100  # O_CREAT and the bit of O_TMPFILE
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_PR_SET_SECCOMP, _FILTER = 22, 2

# machine: (audit arch, {system call: argument that is a mode}, {system call: (flags, mode)}, ioctl)
_MACHINES: Dict[str, Tuple[int, Dict[int, int], Dict[int, Tuple[int, int]], int]] = {
    "x86_64": (0xC000003E, {90: 1, 91: 1, 268: 2, 452: 2, 133: 1, 259: 2, 85: 1}, {2: (1, 2), 257: (2, 3)}, 16),
    "aarch64": (0xC00000B7, {52: 1, 53: 2, 452: 2, 33: 2}, {56: (2, 3)}, 29),
}
_ABSENT = (437, 425, 426, 427, 469)  # openat2, io_uring_*, file_setattr: the same number on both
_SET_PROJECT = (0x401C5820, 0x40086602, 0x40046602)  # FS_IOC_FSSETXATTR, FS_IOC_SETFLAGS, FS_IOC32_SETFLAGS

Instruction = Tuple[int, int, int, int]


def program(machine: str) -> List[Instruction]:
    """(code, jump if true, jump if false, operand)."""
    arch, modes, opens, ioctl = _MACHINES[machine]
    allow, refuse, absent = ((_RETURN, 0, 0, what) for what in (_ALLOW, _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS))

    def load(argument: int) -> Instruction:
        return (_LOAD, 0, 0, _ARGUMENTS + 8 * argument)

    lines: List[Instruction] = [(_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, arch), absent, (_LOAD, 0, 0, _NUMBER)]
    lines += [(_AT_LEAST, 0, 1, 0x40000000), absent]  # the x32 ABI
    for number in _ABSENT:
        lines += [(_EQUAL, 0, 1, number), absent]
    for number, mode in modes.items():
        lines += [(_EQUAL, 0, 4, number), load(mode), (_ANY_BIT, 0, 1, _SET_ID), refuse, allow]
    for number, (flags, mode) in opens.items():
        lines += [(_EQUAL, 0, 6, number), load(flags), (_ANY_BIT, 0, 3, _CREATES)]
        lines += [load(mode), (_ANY_BIT, 0, 1, _SET_ID), refuse, allow]
    lines += [(_EQUAL, 0, 2 + 2 * len(_SET_PROJECT), ioctl), load(1)]
    for request in _SET_PROJECT:  # the kernel looks at its lower half only, as this does
        lines += [(_EQUAL, 0, 1, request), refuse]
    lines.append(allow)
    return [*lines, allow]


def install() -> None:
    """For this process and all it starts; on another machine there is the engine's filter alone."""
    machine = os.uname().machine
    if machine not in _MACHINES or sys.byteorder != "little":
        return
    lines = program(machine)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
    head = ctypes.create_string_buffer(struct.pack("@HP", len(lines), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(head), 0, 0):
        raise OSError(ctypes.get_errno(), "cannot set the seccomp filter")
