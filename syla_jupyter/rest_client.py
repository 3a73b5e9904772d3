"""A server's REST, asked as anybody asks it: bounded, with a time limit, and no redirection takes the token along.

What the server refuses is the error of the tree that it names, so that whoever asked sees what he would have seen on
the server's own machine.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .model.errors import BadInput, Forbidden, NoServer, SylaError

PREFIX = "syla/v1"
ANSWER_MAX = 64 << 20  # bytes; what code printed is in an answer
ANSWER_SECONDS = 15.0
START_IT = "Start one with `jupyter lab`, or name one by SYLA_SERVER and SYLA_TOKEN"
TOKEN_HINT = "Give a token of that server in SYLA_TOKEN"


@dataclass(frozen=True)
class Server:
    url: str
    """With the base path."""
    token: str
    local: bool = True
    """Of this machine: reached without a proxy."""

    def __repr__(self) -> str:
        return f"Server({self.url!r})"


def ask(
    server: Server,
    method: str,
    path: str,
    *,
    query: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
    seconds: float = ANSWER_SECONDS,
) -> Any:
    """What JSON says; None where the answer is empty. `path`: below the prefix, its parts quoted (`quoted`).

    `NoServer` where there is none, or none of ours; else what it refuses with.
    """
    address = f"{server.url.rstrip('/')}/{PREFIX}/{path}"
    if query:
        address += "?" + urllib.parse.urlencode(query, doseq=True)
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise NoServer(f"{server.url!r} is no web address", "Write it like https://host:8888/ in SYLA_SERVER")
    handlers = [_Stays(), *([urllib.request.ProxyHandler({})] if server.local else [])]
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    headers |= {"Authorization": f"token {server.token}"} if server.token else {}
    content = None if method in ("GET", "DELETE") else json.dumps(body or {}).encode()
    try:
        request = urllib.request.Request(address, method=method, headers=headers, data=content)
        with urllib.request.build_opener(*handlers).open(request, timeout=seconds) as answer:
            return _json(_read(answer))
    except urllib.error.HTTPError as exc:
        with exc:
            raise refusal(server, exc.code, _said(exc)) from exc
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "reason", None) or exc
        raise NoServer(f"{server.url} gives no answer: {reason}", START_IT) from exc


def quoted(*parts: str) -> str:
    """A path of these parts, whatever is in them."""
    return "/".join(urllib.parse.quote(part, safe="") for part in parts)


def refusal(server: Server, status: int, said: Any) -> SylaError:
    """Pure. `said`: the body of the answer, as JSON."""
    error = said.get("error") if isinstance(said, Mapping) else None
    if not isinstance(error, Mapping):
        if status in (302, 401, 403):
            return Forbidden(f"{server.url} does not let us in", TOKEN_HINT)
        return NoServer(f"{server.url} answers {status}, which is none of our answers", "Is SYLA_SERVER the whole URL?")
    code, message, hint = (str(error.get(name) or "") for name in ("code", "message", "hint"))
    if status in (401, 403) and code in ("forbidden", "not_logged_in"):
        return Forbidden(message, TOKEN_HINT + (", or ask its owner for the role" if server.token else ""))
    kind = next((cls for cls in _kinds(SylaError) if cls.code == code), SylaError)
    if issubclass(kind, BadInput):
        field = str(error.get("field") or "request")
        return kind(field, message.removeprefix(f"{field}: "), hint)
    return kind(message, hint)


def _kinds(kind: type[SylaError]) -> Iterator[type[SylaError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


def _read(answer: Any) -> bytes:
    text: bytes = answer.read(ANSWER_MAX + 1)
    if len(text) > ANSWER_MAX:
        raise ValueError("it is too long")
    return text


def _said(answer: Any) -> Any:
    try:
        return _json(_read(answer))
    except (OSError, ValueError):
        return None


def _json(text: bytes) -> Any:
    return json.loads(text) if text else None


class _Stays(urllib.request.HTTPRedirectHandler):
    """A redirection would take the token along."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None
