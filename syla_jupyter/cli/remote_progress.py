"""A long verb of a server, from a terminal elsewhere: the bar of `progress`, and Ctrl-C that has it taken back there.

The request waits for its answer; beside it a thread asks what is under way. Which of that is ours is found out by what
was there before: the same verb on the same workspace may run for another terminal of ours.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import click

from ..model.clock import SystemClock
from ..model.errors import SylaError
from ..snapshots.progress import Progress
from .progress import line
from .remote_asking import asked, rows_of

EVERY_SECONDS = 0.5


@contextlib.contextmanager
def watched(what: str, workspace: str, verb: str, *, quiet: bool = False) -> Iterator[None]:
    """`what` is being done: `Saving`. `workspace`: its name or id; `verb`: as the server calls it."""
    shows = not quiet and sys.stderr.isatty()
    follower = _Follower(what, workspace, verb, shows)
    own = threading.current_thread() is threading.main_thread()

    def interrupted(*_: Any) -> None:
        if follower.stop.is_set():
            raise KeyboardInterrupt
        follower.stop.set()
        if shows:
            click.echo("\nTaking it back …", err=True)

    before = signal.signal(signal.SIGINT, interrupted) if own else None
    thread = threading.Thread(target=follower.run, name="syla-follow", daemon=True)
    thread.start()
    try:
        yield
    finally:
        follower.over.set()
        if own:
            signal.signal(signal.SIGINT, before)
        if shows:
            click.echo("\r\x1b[K", nl=False, err=True)


class _Follower:
    def __init__(self, what: str, workspace: str, verb: str, shows: bool) -> None:
        self._what, self._workspace, self._verb, self._shows = what, workspace, verb, shows
        self._clock = SystemClock()
        self._began = self._clock.monotonic()
        self._before = set(self._found())
        self.over, self.stop = threading.Event(), threading.Event()

    def run(self) -> None:
        told = False
        while not self.over.wait(EVERY_SECONDS):
            for id, row in self._found().items():
                if id in self._before or self.over.is_set():
                    continue
                if self.stop.is_set() and row["cancellable"]:
                    with contextlib.suppress(SylaError):  # it has ended, or it is too late: the next look tells
                        asked("DELETE", "workspaces", str(row["workspace_id"]), "operations", id)
                elif self.stop.is_set() and not row["cancelled"] and not told:
                    told = True
                    click.echo("It cannot be taken back any more: finishing …", err=True)
                elif self._shows and not self.stop.is_set() and row["bytes_done"] is not None:
                    click.echo(f"\r{line(self._what, self._progress(row))}\x1b[K", nl=False, err=True)

    def _found(self) -> dict[str, Mapping[str, Any]]:
        """By id; empty where the server does not say."""
        try:
            rows = rows_of(asked("GET", "operations", query={"mine": "true"}), "operations")
        except SylaError:
            return {}
        return {
            str(row["id"]): row
            for row in rows
            if row["verb"] == self._verb and self._workspace in (row["workspace"], row["workspace_id"])
        }

    def _progress(self, row: Mapping[str, Any]) -> Progress:
        seconds = self._clock.monotonic() - self._began
        return Progress(row["files_done"], row["files_total"], row["bytes_done"], row["bytes_total"], seconds)
