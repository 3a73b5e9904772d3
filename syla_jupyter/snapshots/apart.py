"""Work on what came from containers, in a process of its own with an end: hostile input can take for ever, and all
memory. The module's `main` reads two contents with `read_both` and writes to standard output; it sees none of our
environment."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

TIME_LIMIT_SECONDS = 30.0
MEMORY_BYTES = 2 << 30


def compared_apart(module: str, old: bytes, new: bytes, *options: str) -> bytes | None:
    """Output of that module; None: it took more time or memory than it gets."""
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", module, *options],
            input=b"%d\n%s%s" % (len(old), old, new), capture_output=True, timeout=TIME_LIMIT_SECONDS, check=False,
            env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    return None if ended.returncode else ended.stdout


def read_both() -> tuple[bytes, bytes]:
    """In that process, which has no more than `MEMORY_BYTES` from now on."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    length = int(sys.stdin.buffer.readline())
    return sys.stdin.buffer.read(length), sys.stdin.buffer.read()
