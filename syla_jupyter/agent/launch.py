"""Starts the zygote with as little as possible: it is the first thing a container does.

`posix_spawn` and the C socket module; `subprocess` and friends are imported afterwards, while the zygote imports
ipykernel on another core.
"""

from __future__ import annotations

import _socket
import os
import sys
from typing import Tuple

HERE = os.path.dirname(os.path.abspath(__file__))


def zygote() -> Tuple[int, int]:
    """(pid, our end of its SOCK_SEQPACKET pair)."""
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    os.set_inheritable(theirs.fileno(), True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SYLA_")}
    null = os.open(os.devnull, os.O_RDWR)
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, os.path.join(HERE, "zygote.py"), str(theirs.fileno())],
        environment,
        file_actions=[(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1)],
        setsigmask=(),
    )
    os.close(null)
    theirs.close()
    return pid, ours.detach()
