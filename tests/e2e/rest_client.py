"""A program's side of our REST interface: plain HTTP and a websocket, against a real server."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import requests
import websocket

from tests.installation import wait_until
from tests.lab import HEADERS, TOKEN, Lab

SECONDS = 60


class Client:
    """`call` gives the response as it is; `ok` its JSON, and fails when it was refused."""

    def __init__(self, lab: Lab) -> None:
        self.base = f"http://127.0.0.1:{lab.port}/syla/v1"
        self._events = f"ws://127.0.0.1:{lab.port}/syla/v1"
        self._session = requests.Session()
        self._session.headers.update(HEADERS)

    def be(self, token: str) -> None:
        """Somebody else than the server's owner, from now on."""
        self._session.headers["Authorization"] = f"token {token}"

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        options.setdefault("timeout", SECONDS)
        return self._session.request(method, f"{self.base}/{path}", json=body, **options)

    def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        answer = self.call(method, path, body, **options)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def refused(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, dict[str, Any]]:
        """(status, error), after a look at its form."""
        answer = self.call(method, path, body, **options)
        assert not answer.ok, answer.text
        return answer.status_code, error_of(answer)

    @contextlib.contextmanager
    def events(self, path: str = "events", token: str = TOKEN, **query: str) -> Iterator[Events]:
        """After the hello."""
        text = "&".join(f"{name}={value}" for name, value in query.items())
        headers = [f"Authorization: token {token}"]
        socket = websocket.create_connection(f"{self._events}/{path}?{text}", timeout=SECONDS, header=headers)
        try:
            yield Events(socket)
        finally:
            socket.close()


def warm_client(lab: Lab) -> Client:
    """Once the server has started its default workspace, of which events tell."""
    client = Client(lab)

    def runs() -> bool:
        answer = client.call("GET", "workspaces/default?no_track_activity=1")
        return answer.ok and answer.json()["state"] == "active"

    wait_until(runs, SECONDS, "the default workspace runs")
    return client


class Events:
    def __init__(self, socket: websocket.WebSocket) -> None:
        self._socket = socket
        self.hello = self.next()
        assert self.hello["event"] == "hello"

    def next(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self._socket.recv())
        return event

    def until(self, **wanted: Any) -> list[dict[str, Any]]:
        """All events up to the first that has these values, it included."""
        seen = [self.next()]
        while not wanted.items() <= seen[-1].items():
            seen.append(self.next())
        return seen


def error_of(answer: requests.Response) -> dict[str, Any]:
    assert answer.headers["Content-Type"].startswith("application/json"), answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"code", "message", "hint", "retryable", "field"}
    return error
