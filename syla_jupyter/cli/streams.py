"""A command in a container, with our standard streams or terminal.

It gets three descriptors of ours: the far ends of pipes, or of a pseudo-terminal when we are on one. Never the caller's
own files or terminal: what is inside could reopen, truncate or type into those.
"""

from __future__ import annotations

import contextlib
import os
import signal
import termios
import threading
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from ..model.runtime import Exit
from ..workspaces.live import LiveWorkspace, RunningProcess

TIMED_OUT = 124  # as timeout(1)
DRAIN_SECONDS = 5.0
GRACE_SECONDS = 5.0
"""For an interrupted command to end."""

Write = Callable[[bytes], object]
Streams = tuple[tuple[int, int, int], Callable[[], None]]
"""(stdin, stdout, stderr of the command, what to call to have all its output)."""


@dataclass(frozen=True)
class Ended:
    process: RunningProcess
    exit: Exit
    timed_out: bool


def run(
    live: LiveWorkspace,
    argv: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    streams: AbstractContextManager[Streams],
    tty: bool = False,
    timeout_seconds: float | None = None,
    on_start: Callable[[RunningProcess], None] = lambda _: None,
) -> Ended:
    """Run a command to its end. At `timeout_seconds` it is interrupted, later killed: it alone, not its container.

    Interrupt and termination of ours go to the command; a second one ends it.
    """
    with streams as (theirs, wait_for_output):
        process = live.start_command(argv, cwd=cwd, env=env, stdio=theirs, tty=tty)
        for fd in set(theirs):
            os.close(fd)
        on_start(process)
        with _signals_forwarded(process), _time_limit(process, timeout_seconds) as limit:
            ended = _wait(process)
        wait_for_output()
    return Ended(process, ended, limit.is_set())


def _wait(process: RunningProcess) -> Exit:
    while True:  # in slices, so that signal handlers get their turn
        try:
            return process.done.result(timeout=3600)
        except FutureTimeout:
            continue


@contextlib.contextmanager
def _time_limit(process: RunningProcess, seconds: float | None) -> Iterator[threading.Event]:
    passed, ended = threading.Event(), threading.Event()

    def enforce() -> None:
        if ended.wait(seconds):
            return
        passed.set()
        process.signal(signal.SIGINT)
        if not ended.wait(GRACE_SECONDS):
            process.signal(signal.SIGKILL)

    if seconds is not None:
        threading.Thread(target=enforce, name="syla-limit", daemon=True).start()
    try:
        yield passed
    finally:
        ended.set()


@contextlib.contextmanager
def _signals_forwarded(process: RunningProcess) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen = 0

    def forward(number: int, _frame: Any) -> None:
        nonlocal seen
        seen += 1
        chosen = number if seen == 1 else signal.SIGKILL
        threading.Thread(target=process.signal, args=(int(chosen),), daemon=True).start()

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def pipes(out: Write | None = None, err: Write | None = None, *, read_input: bool = True) -> Iterator[Streams]:
    """Pipes, pumped by threads; what stays open after the command ended is given a moment and then left.

    `out`, `err`: where output goes, our own standard streams where nothing is said.
    """
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    pumps = [
        threading.Thread(target=_pump, args=(out_read, out or _to(1)), daemon=True),
        threading.Thread(target=_pump, args=(err_read, err or _to(2)), daemon=True),
    ]
    if read_input:
        threading.Thread(target=_pump, args=(0, _to(in_write), in_write), daemon=True).start()
    else:
        os.close(in_write)
    for pump in pumps:
        pump.start()

    def wait() -> None:
        for pump in pumps:
            pump.join(DRAIN_SECONDS)

    yield (in_read, out_write, err_write), wait


@contextlib.contextmanager
def terminal() -> Iterator[Streams]:
    """A pseudo-terminal of our own between the caller's terminal and the command."""
    ours, theirs = os.openpty()

    def resize(*_: Any) -> None:
        with contextlib.suppress(OSError):
            termios.tcsetwinsize(theirs_size, termios.tcgetwinsize(0))

    theirs_size = os.dup(theirs)
    resize()
    signal.signal(signal.SIGWINCH, resize)
    before = termios.tcgetattr(0)
    tty.setraw(0)
    out = threading.Thread(target=_pump, args=(ours, _to(1)), daemon=True)
    out.start()
    threading.Thread(target=_pump, args=(0, _to(ours)), daemon=True).start()

    def wait() -> None:
        os.close(theirs_size)
        out.join(DRAIN_SECONDS)

    try:
        yield (theirs, theirs, theirs), wait
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _to(target: int) -> Write:
    def write(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(target, view) :]

    return write


def _pump(source: int, write: Write, close: int | None = None) -> None:
    try:
        while data := os.read(source, 65536):
            write(data)
    except OSError:
        pass
    if close is not None:
        with contextlib.suppress(OSError):
            os.close(close)
