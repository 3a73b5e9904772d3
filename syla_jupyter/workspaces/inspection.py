"""What is in a workspace beyond its files: the variables of its REPL kernel, and the packages in its home.

Both are asked of the container, and what it says is checked for form and cut to size: names, types and texts are the
container's own, to be shown as text and never to be interpreted.
"""

from __future__ import annotations

import functools
import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from ..model.clock import Clock, SystemClock
from ..model.errors import AgentRefused, AgentTimeout
from .commands import capture
from .execution import payloads
from .live import LiveWorkspace
from .repl import KernelStart, find, talk

VARIABLES_MAX = 500
PACKAGES_MAX = 2000
REPR_WIDTH = 80  # characters
TEXT_MAX = 300
LOOK_SECONDS = 2.0
"""For the kernel to look at its variables."""
ANSWER_SECONDS = 10.0
"""For a busy kernel to get free, and then for its answer."""
ANSWER_BYTES = 2 << 20


@dataclass(frozen=True)
class Variable:
    name: str
    type: str
    size_bytes: int | None
    """Of its data where it says so (arrays, tables), else of the object itself; None: it did not say in time."""
    repr: str
    """One line; shape and kind of numbers for an array or a table."""


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    requested: bool
    """By the user; False: it came with another one."""


@functools.cache
def program() -> str:
    return resources.files("syla_jupyter.agent").joinpath("repl.py").read_text(encoding="utf-8")


def asking(call: str) -> str:
    """Code for the kernel that calls a function of the program; nothing of it stays there."""
    return f"__import__('builtins').exec({program() + call!r}, {{'__name__': '_syla'}})"


def variables(live: LiveWorkspace, *, clock: Clock | None = None) -> list[Variable]:
    """Of the REPL kernel, by name: the first `VARIABLES_MAX`; none where no kernel runs, which is not started for it.

    Errors: `Conflict` (busy), `AgentTimeout`, and those of the container.
    """
    clock = clock or SystemClock()
    if find(live) is None:
        return []
    with talk(live, timeout_seconds=ANSWER_SECONDS, start=KernelStart(), clock=clock) as (kernel, client):
        code = asking(f"list_variables({VARIABLES_MAX}, {LOOK_SECONDS}, {REPR_WIDTH})")
        asked = client.send("execute_request", {"code": code, "silent": True, "store_history": False})
        until = clock.monotonic() + ANSWER_SECONDS
        while (now := clock.monotonic()) < until and not kernel.process.done.done():
            message = client.receive(min(0.5, until - now))
            if message is not None and message.type == "execute_reply" and message.parent == asked:
                for payload in payloads(message.content):
                    given = payload.get("variables")
                    if isinstance(given, list):
                        return [v for v in map(_variable, given[:VARIABLES_MAX]) if v]
                raise AgentRefused(f"the kernel of workspace {live.spec.name!r} does not list its variables")
        kernel.process.signal(signal.SIGINT)
        raise AgentTimeout(f"the kernel of workspace {live.spec.name!r} did not list its variables", "Try again")


def packages(live: LiveWorkspace, *, clock: Clock | None = None) -> list[Package]:
    """Installed in the home, on top of the image, by name; at most `PACKAGES_MAX`. Whatever the kernels do.

    Errors: `AgentRefused` (an image without Python, or an answer that makes no sense), `AgentTimeout`.
    """
    code = f"{program()}\nimport json\nprint(json.dumps(list_packages({PACKAGES_MAX})))"
    captured = capture(
        live,
        ["python3", "-I", "-c", code],  # isolated: nothing of the home is run
        timeout_seconds=ANSWER_SECONDS,
        output_bytes=ANSWER_BYTES,
        clock=clock or SystemClock(),
    )
    try:
        given = json.loads(captured.stdout)["packages"]
        return [p for p in map(_package, given[:PACKAGES_MAX]) if p]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise AgentRefused(
            f"Python in workspace {live.spec.name!r} did not say which packages it has", captured.exit.detail
        ) from None


def _variable(given: object) -> Variable | None:
    if not isinstance(given, Mapping):
        return None
    size = given.get("size_bytes")
    sized = isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 1 << 62
    name, type, text = (_text(given.get(key)) for key in ("name", "type", "repr"))
    return Variable(name, type, size if sized else None, text) if name else None


def _package(given: object) -> Package | None:
    if not isinstance(given, Mapping):
        return None
    name, version = _text(given.get("name")), _text(given.get("version"))
    return Package(name, version, given.get("requested") is True) if name else None


def _text(given: Any) -> str:
    return given[:TEXT_MAX] if isinstance(given, str) else ""
