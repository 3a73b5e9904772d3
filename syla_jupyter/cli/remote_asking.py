"""The server that SYLA_SERVER names, asked: each answer checked for its form, each refusal an error of the tree."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ..model.errors import NoServer
from ..rest_client import ANSWER_SECONDS, Server, ask, quoted

SAME_VERSION = "Install the server's version of syla-jupyter here"
LONG_SECONDS = 3600.0
"""Of what moves data: saving, restoring."""


def server() -> Server:
    return Server(os.environ["SYLA_SERVER"], os.environ.get("SYLA_TOKEN", ""), local=False)


def asked(
    method: str,
    *path: str,
    query: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
    seconds: float = ANSWER_SECONDS,
) -> Any:
    """What the server answers; its refusal is an error of the tree."""
    return ask(server(), method, quoted(*path), query=query, body=body, seconds=seconds)


@contextlib.contextmanager
def understood() -> Iterator[None]:
    """`NoServer` where an answer has not the form that it is read by."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as exc:
        why = f"{type(exc).__name__}: {exc}"
        raise NoServer(f"SYLA_SERVER answers what this version does not understand ({why})", SAME_VERSION) from exc


def rows_of(answer: Any, field: str) -> list[Any]:
    rows = answer.get(field) if isinstance(answer, Mapping) else None
    if not isinstance(rows, list):
        raise NoServer(f"SYLA_SERVER answers without {field!r}", SAME_VERSION)
    return rows
