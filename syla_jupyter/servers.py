"""Servers of an installation that run now, and what only they know: asked over their own REST, as anybody asks.

    <data>/servers/<digest>/server.json     pid, its start, and the path of Jupyter's own file about the server, which
                                            has address and token and is its owner's alone

So there is no second copy of a token, and whoever may not read Jupyter's file gets nothing here either. `SYLA_SERVER`
and `SYLA_TOKEN` name one server instead, anywhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from .model.errors import NoServer
from .rest_client import START_IT, Server, ask, quoted
from .runtimes.rundir import process_identity

FILE = "server.json"
INFO_MAX = 64 * 1024
NO_SERVER = "no server of this installation runs, and who is in a workspace is known to a running one only"


@dataclass(frozen=True)
class Participant:
    """Somebody who has a document of a workspace open now, in one page."""

    workspace_id: str
    user: str
    display_name: str
    role: str | None
    """What he may do there now; None: nothing any more."""
    color: str | None
    path: str
    """Of the document, below the server's root."""
    front: bool
    """It is the one before him, of all that the caller may see."""
    cursors: Sequence[Any]
    """As his page says it, in positions of the shared document."""
    joined_at: float
    last_activity_at: float
    """Seconds since the epoch."""
    idle_seconds: float
    """Since then, by the server's clock."""


def note_server(directory: Path, info_file: str) -> None:
    """By a server, of itself. `directory`: of its own, below `<data>/servers`."""
    fresh = directory / f"{FILE}.new"
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        json.dump({**process_identity(os.getpid()), "info": info_file}, opened)
    fresh.rename(directory / FILE)


def running(data_dir: Path, environ: Mapping[str, str]) -> list[Server]:
    """`NoServer` where there is none."""
    if environ.get("SYLA_SERVER"):
        return [Server(environ["SYLA_SERVER"], environ.get("SYLA_TOKEN", ""), local=False)]
    found = [_server(file, environ) for file in sorted((data_dir / "servers").glob(f"*/{FILE}"))]
    servers = [server for server in found if server is not None]
    if not servers:
        raise NoServer(NO_SERVER, START_IT)
    return servers


def participants(servers: Sequence[Server], workspace: str) -> list[Participant]:
    """Of a workspace, by id, on all of these; who was active last first.

    `Forbidden`, `UnknownWorkspace`, `NoServer`.
    """
    found: list[Participant] = []
    for server in servers:
        answer = ask(server, "GET", quoted("workspaces", workspace, "participants"))
        try:
            found += [_participant(row) for row in answer["participants"]]
        except (KeyError, TypeError, ValueError) as exc:
            raise NoServer(f"{server.url} gave an answer that is none of ours", START_IT) from exc
    return sorted(found, key=lambda one: -one.last_activity_at)


def _participant(row: Mapping[str, Any]) -> Participant:
    times = {name: datetime.fromisoformat(row[name]).timestamp() for name in ("joined_at", "last_activity_at")}
    role, color = row["role"], row["color"]
    return Participant(
        workspace_id=str(row["workspace_id"]),
        user=str(row["user"]),
        display_name=str(row["display_name"]),
        role=None if role is None else str(role),
        color=None if color is None else str(color),
        path=str(row["path"]),
        front=bool(row["front"]),
        cursors=list(row["cursors"]),
        idle_seconds=float(row["idle_seconds"]),
        **times,
    )


def _server(file: Path, environ: Mapping[str, str]) -> Server | None:
    """None: it has ended, or is not ready yet, or says nothing of itself that is of use."""
    try:
        noted = json.loads(_text(file))
        if process_identity(int(noted["pid"])).get("start") != noted["start"]:
            return None
        info = json.loads(_text(Path(noted["info"])))
        url, token = info["url"], environ.get("SYLA_TOKEN") or info["token"]
        if info["pid"] != noted["pid"] or not isinstance(url, str) or not isinstance(token, str):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Server(url, token)


def _text(file: Path) -> str:
    with file.open() as opened:
        return opened.read(INFO_MAX)
