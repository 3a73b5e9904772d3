"""Servers of an installation that run now, and what only they know: asked over their own REST, as anybody asks.

    <data>/servers/<digest>/server.json     pid, its start, and the path of Jupyter's own file about the server, which
                                            has address and token and is its owner's alone

So there is no second copy of a token, and whoever may not read Jupyter's file gets nothing here either. `SYLA_SERVER`
and `SYLA_TOKEN` name one server instead, anywhere. What a server answers is looked at as anybody's answer is: bounded,
with a time limit, and no redirection takes the token elsewhere.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from .model.errors import Forbidden, NoServer, UnknownWorkspace
from .runtimes.rundir import process_identity

FILE = "server.json"
INFO_MAX = 64 * 1024
ANSWER_MAX = 4 << 20  # bytes
ANSWER_SECONDS = 15.0
START_IT = "Start one with `jupyter lab`, or name one by SYLA_SERVER and SYLA_TOKEN"
NO_SERVER = "no server of this installation runs, and who is in a workspace is known to a running one only"


@dataclass(frozen=True)
class Server:
    url: str
    """With the base path."""
    token: str
    local: bool = True
    """Of this machine: reached without a proxy."""

    def __repr__(self) -> str:
        return f"Server({self.url!r})"


@dataclass(frozen=True)
class Participant:
    """Somebody who has a document of a workspace open now, in one page."""

    user: str
    display_name: str
    role: str | None
    """What he may do there now; None: nothing any more."""
    color: str | None
    path: str
    """Of the document, below the server's root."""
    cursors: Sequence[Any]
    """As his page says it, in positions of the shared document."""
    joined_at: float
    last_activity_at: float
    """Seconds since the epoch."""


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
        answer = _get(server, f"workspaces/{urllib.parse.quote(workspace, safe='')}/participants")
        try:
            found += [_participant(row) for row in answer["participants"]]
        except (KeyError, TypeError, ValueError) as exc:
            raise NoServer(f"{server.url} gave an answer that is none of ours", START_IT) from exc
    return sorted(found, key=lambda one: -one.last_activity_at)


def _participant(row: Mapping[str, Any]) -> Participant:
    times = {name: datetime.fromisoformat(row[name]).timestamp() for name in ("joined_at", "last_activity_at")}
    role, color = row["role"], row["color"]
    return Participant(
        user=str(row["user"]),
        display_name=str(row["display_name"]),
        role=None if role is None else str(role),
        color=None if color is None else str(color),
        path=str(row["path"]),
        cursors=list(row["cursors"]),
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


class _Stays(urllib.request.HTTPRedirectHandler):
    """A redirection would take the token along."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _get(server: Server, path: str) -> Any:
    address = f"{server.url.rstrip('/')}/syla/v1/{path}"
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise NoServer(f"the server listens at {server.url}, which is no web address", "Name one by SYLA_SERVER")
    handlers = [_Stays(), *([urllib.request.ProxyHandler({})] if server.local else [])]
    opener = urllib.request.build_opener(*handlers)
    headers = {"Authorization": f"token {server.token}"} if server.token else {}
    try:
        request = urllib.request.Request(address, headers=headers)
        with opener.open(request, timeout=ANSWER_SECONDS) as answer:
            text = answer.read(ANSWER_MAX + 1)
        if len(text) > ANSWER_MAX:
            raise ValueError("it is too long")
        return json.loads(text)
    except urllib.error.HTTPError as exc:
        exc.close()
        raise _refusal(server, exc.code) from exc
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "reason", None) or exc
        raise NoServer(f"{server.url} gives no answer: {reason}", START_IT) from exc


def _refusal(server: Server, status: int) -> Exception:
    if status == 404:
        return UnknownWorkspace("workspace", f"{server.url} does not know it", "Is it a server of this installation?")
    if status in (302, 401, 403):
        return Forbidden(f"{server.url} does not let us ask", "Give a token of that server in SYLA_TOKEN")
    return NoServer(f"{server.url} answers {status}", "Its log says more")
