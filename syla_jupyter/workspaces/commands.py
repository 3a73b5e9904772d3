"""A command in a workspace's container whose output we want ourselves: within limits of time and size."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass

from ..model.clock import Clock
from ..model.errors import AgentTimeout
from ..model.runtime import WORKSPACE_DIR, Exit
from .live import LiveWorkspace, RunningProcess

READ_BYTES = 65536
SLICE_SECONDS = 0.5
LEFT_OPEN_SECONDS = 1.0  # for output that comes after the end, from children
KILL_SECONDS = 5.0


@dataclass(frozen=True)
class Captured:
    exit: Exit
    stdout: bytes
    stderr: bytes


def capture(
    live: LiveWorkspace,
    argv: Sequence[str],
    *,
    timeout_seconds: float,
    output_bytes: int,
    clock: Clock,
    cwd: str = WORKSPACE_DIR,
    environment: Mapping[str, str] | None = None,
) -> Captured:
    """Run a command without input; what is beyond `output_bytes` of a stream is read and thrown away.

    `AgentTimeout` when it had to be killed; `AgentRefused` where there is no such program.
    """
    in_read, in_write = os.pipe()
    os.close(in_write)
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    theirs = (in_read, out_write, err_write)
    try:
        try:
            process = live.start_command(argv, cwd=cwd, env=environment or {}, stdio=theirs, tty=False)
        finally:
            for fd in theirs:
                os.close(fd)
        read = _read(process, {out_read: bytearray(), err_read: bytearray()}, timeout_seconds, output_bytes, clock)
        try:
            ended = process.done.result(KILL_SECONDS)
        except FutureTimeout:
            raise AgentTimeout(f"{argv[0]} does not end in workspace {live.spec.name!r}") from None
    finally:
        os.close(out_read)
        os.close(err_read)
    return Captured(ended, bytes(read[out_read]), bytes(read[err_read]))


def _read(
    process: RunningProcess, found: dict[int, bytearray], timeout_seconds: float, output_bytes: int, clock: Clock
) -> dict[int, bytearray]:
    until = clock.monotonic() + timeout_seconds
    left_open = False
    reading = set(found)
    while reading:
        now = clock.monotonic()
        if process.done.done() and not left_open:
            left_open, until = True, min(until, now + LEFT_OPEN_SECONDS)
        if now >= until:
            if left_open:
                break
            process.signal(signal.SIGKILL)
            raise AgentTimeout(
                f"a command did not end within {timeout_seconds:g} s in workspace {process.workspace.spec.name!r}"
            )
        ready, _, _ = select.select(reading, [], [], min(SLICE_SECONDS, until - now))
        for fd in ready:
            data = b""
            with contextlib.suppress(OSError):
                data = os.read(fd, READ_BYTES)
            if not data:
                reading.discard(fd)
            found[fd] += data[: max(0, output_bytes - len(found[fd]))]
    return found
