"""`syla exec --watch`: run a script again when it, or a module beside it, has changed.

Only the script's own directory is watched, and only Python files in it: what the script writes does not start it again,
and a link in there leads nowhere.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import click

DEBOUNCE_MS = 300
"""Editors write a file in several steps."""


def watch(script: Path, run: Callable[[], int], interrupt: Callable[[], None]) -> int:
    """Call `run` now and after each change, interrupting one that is not over; until Ctrl-C. 130."""
    from watchfiles import PythonFilter
    from watchfiles import watch as changes

    code: list[int] = []
    errors: list[BaseException] = []

    def once() -> None:
        try:
            code[:] = [run()]
        except BaseException as exc:
            errors.append(exc)
            ended.set()
            return
        click.echo(f"syla: exit code {code[0]}; waiting for a change of {script.name} …", err=True)

    ended = threading.Event()
    running = threading.Thread(target=once, daemon=True)
    running.start()
    try:
        for _ in changes(
            script.parent,
            watch_filter=PythonFilter(),
            debounce=DEBOUNCE_MS,
            stop_event=ended,
            recursive=False,
            raise_interrupt=True,
        ):
            if running.is_alive():
                interrupt()
                running.join()
            click.echo(f"syla: {script.name} changed.", err=True)
            running = threading.Thread(target=once, daemon=True)
            running.start()
    except KeyboardInterrupt:
        if running.is_alive():
            interrupt()
            running.join()
    if errors:
        raise errors[0]
    return 130
