"""`syla workspace clone-repo`: git, run inside the workspace's container, so that a hostile repository is its affair.

A URL's credentials are taken out of it before anybody sees it: git's argv, `.git/config` and every message have the
bare URL. They get to git by its environment, as a credential helper that answers for that one host; the user's own
helpers are switched off for the call, since they might store what they are told.
"""

from __future__ import annotations

import re
import sys
import threading
from collections import deque
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

import click

from .. import app
from ..app import Application
from ..model.errors import BadInput, StartFailed
from ..model.record import WorkspaceRecord
from ..model.runtime import WORKSPACE_DIR
from . import choosing
from .streams import pipes, run
from .words import printable

SCHEMES = ("https", "http", "ssh", "git", "file")
SCP_LIKE = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^\s]+")
DIRECTORY = re.compile(r"(?!-)[^/\0]+(/[^/\0]+)*")
URL_MAX = 2000
HELPER = '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" "$SYLA_GIT_USER" "$SYLA_GIT_SECRET"; }; f'
TAIL_LINES = 20
LINE_MAX = 10_000
GIT_OR_127 = 'command -v git >/dev/null || exit 127; exec "$0" "$@"'


@dataclass(frozen=True)
class Source:
    url: str
    """Without credentials."""
    host: str
    """`https://host:port`, what the credentials are for; empty: there are none."""
    user: str = ""
    secret: str = ""

    @property
    def directory(self) -> str:
        """What git would call it."""
        last = self.url.rstrip("/").replace(":", "/").rsplit("/", 1)[-1]
        return last.removesuffix(".git") or "repository"


def checked_url(text: str) -> Source:
    """A URL, taken apart; `BadInput` says what is wrong without saying the URL's secret."""
    if len(text) > URL_MAX or not text.isprintable() or " " in text:
        raise BadInput("URL", "it is no address", "Write it like https://host/path.git")
    if SCP_LIKE.fullmatch(text):
        return Source(text, "")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadInput("URL", "it is no address", "Write it like https://host/path.git") from None
    if parts.scheme not in SCHEMES or not (parts.hostname or parts.scheme == "file"):
        raise BadInput("URL", f"its scheme is none of {', '.join(SCHEMES)}", "Write it like https://host/path.git")
    if parts.scheme not in ("https", "http") or parts.username is None:
        if parts.password is not None:
            raise BadInput("URL", f"a password is of no use with {parts.scheme}", "Use https, or leave it out")
        return Source(text, "")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    place = host if port is None else f"{host}:{port}"
    bare = urlunsplit(SplitResult(parts.scheme, place, parts.path, parts.query, parts.fragment))
    user, secret = unquote(parts.username), unquote(parts.password or "")
    return Source(bare, f"{parts.scheme}://{place}", user, secret)


def environment(source: Source) -> dict[str, str]:
    """For git: it asks nobody, and hears of credentials only for their host."""
    settings = {"credential.helper": ""}
    values = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -oBatchMode=yes"}
    if source.host:
        settings[f"credential.{source.host}.helper"] = HELPER
        values.update(SYLA_GIT_USER=source.user, SYLA_GIT_SECRET=source.secret)
    values["GIT_CONFIG_COUNT"] = str(len(settings))
    for number, (key, value) in enumerate(settings.items()):
        values[f"GIT_CONFIG_KEY_{number}"], values[f"GIT_CONFIG_VALUE_{number}"] = key, value
    return values


@click.command("clone-repo")
@click.argument("url")
@click.argument("directory", required=False)
@click.option("--workspace", metavar="NAME", help="Where to (default: the one in use here).")
def clone_command(url: str, directory: str | None, workspace: str | None) -> None:
    """Clone a git repository into a workspace, as DIRECTORY."""
    application = app.shared()
    source = checked_url(url)
    into = directory or source.directory
    if not DIRECTORY.fullmatch(into) or ".." in into.split("/") or not into.isprintable():
        raise BadInput("DIRECTORY", f"{into[:80]!r} is no directory in a workspace", "Give a name, without '..'")
    record = choosing.named(application, workspace)
    clone(application, record, source, into)
    click.echo(f"Cloned {printable(source.url)} into {into} of workspace {record.name!r}.")


def clone(application: Application, record: WorkspaceRecord, source: Source, directory: str) -> None:
    """Run it, with git's progress on standard error; `StartFailed` says why it failed."""
    said = Said(source)
    with choosing.in_use(application, record) as live:
        ended = run(
            live,
            ["sh", "-c", GIT_OR_127, "git", "clone", "--progress", "--", source.url, directory],
            cwd=WORKSPACE_DIR,
            env=environment(source),
            streams=pipes(said.hear, said.hear, read_input=False),
            on_start=lambda _: application.service.settle_soon(live),
        )
    if ended.exit.code == 127:
        raise StartFailed(
            f"there is no git in the image of template {record.template!r}",
            f"syla image build {record.template} --debian-packages git",
        )
    if ended.exit.code != 0:
        raise StartFailed(f"git could not clone {printable(source.url)}: {said.last() or ended.process.why()}")


class Said:
    """What git says, as it says it, on standard error; without secrets, and with nothing a terminal would obey."""

    def __init__(self, source: Source) -> None:
        self._hidden = [text for text in (source.secret, source.user, quote(source.secret, "")) if len(text) > 3]
        self._line = b""
        self._last: deque[str] = deque(maxlen=TAIL_LINES)
        self._lock = threading.Lock()

    def hear(self, data: bytes) -> None:
        with self._lock:
            *whole, self._line = re.split(rb"(?<=[\r\n])", self._line + data)
            if len(self._line) > LINE_MAX:
                whole, self._line = [*whole, self._line], b""
            for line in whole:
                self._say(line)

    def _say(self, line: bytes) -> None:
        text = line.decode(errors="replace")
        for hidden in self._hidden:
            text = text.replace(hidden, "***")
        words = printable(text.rstrip("\r\n"))
        if not words.strip():
            return
        if text.endswith("\n"):
            self._last.append(words)
        if text.endswith("\n") or sys.stderr.isatty():
            sys.stderr.write(words + ("\n" if text.endswith("\n") else "\r"))
            sys.stderr.flush()

    def last(self) -> str:
        """The last thing it complained of."""
        errors = [line for line in self._last if line.startswith(("fatal:", "error:"))]
        return (errors or list(self._last) or [""])[-1]
