"""A long verb on a terminal: a bar on standard error, and Ctrl-C that takes the verb back instead of breaking it off.

The first Ctrl-C asks the verb to stop where nothing is half done; a second one does not wait for that. One that comes
when it cannot be taken back any more is told so, and the verb goes on to its end.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from ..model.errors import Cancelled
from ..workspaces.policies import readable_duration
from ..workspaces.vault import Watch
from .words import printable, size

if TYPE_CHECKING:
    from ..snapshots.progress import Progress

WIDTH = 24  # characters of the bar


@contextlib.contextmanager
def watched(what: str, *, quiet: bool = False) -> Iterator[Watch]:
    """`what` is being done: `Saving`; `quiet`: nothing is shown but what a person has to know."""
    stop, late, goes_through = threading.Event(), threading.Event(), threading.Event()
    shows = not quiet and sys.stderr.isatty()

    def interrupted(*_: Any) -> None:
        if stop.is_set() or late.is_set():
            raise KeyboardInterrupt
        (late if goes_through.is_set() else stop).set()
        if shows:
            click.echo("\nToo late to take it back: finishing …" if late.is_set() else "\nTaking it back …", err=True)

    def decided() -> None:
        goes_through.set()  # first: an interrupt in between is one or the other
        if stop.is_set():
            raise Cancelled("Cancelled")

    def show(progress: Progress) -> None:
        if not stop.is_set():
            click.echo(f"\r{line(what, progress)}\x1b[K", nl=False, err=True)

    def note(text: str) -> None:
        click.echo(f"{clear}{printable(text)}", err=True)

    clear = "\r\x1b[K" if shows else ""
    own = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, interrupted) if own else None
    try:
        yield Watch(show if shows else None, stop.is_set, decided, note)
    finally:
        if own:
            signal.signal(signal.SIGINT, before)
        if shows:
            click.echo(clear, nl=False, err=True)


def line(what: str, progress: Progress) -> str:
    """`Saving  [######      ]  812 of 2,000 files, 34 MB, 80 MB/s, 12 s left`"""
    parts = []
    if progress.files_total:
        done = min(1.0, progress.files_done / progress.files_total)
        if progress.bytes_total:
            done = min(1.0, progress.bytes_done / progress.bytes_total)
        parts.append(f"[{'#' * round(done * WIDTH):{WIDTH}}]")
    files = f"{progress.files_done:,}" + (f" of {progress.files_total:,}" if progress.files_total else "")
    parts.append(f"{files} {progress.unit}, {size(progress.bytes_done)}, {size(int(progress.bytes_per_second))}/s")
    if progress.seconds_left is not None:
        parts[-1] += f", {readable_duration(progress.seconds_left)} left"
    return f"{what}  " + "  ".join(parts)
