"""A server with several users: its owner, who owns workspace `class`; the members of it; a user who is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse
from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.lab import TOKEN, Lab

API = "/syla/v1"
ROLES = {"eve": "editor", "rob": "runner", "vic": "viewer"}
PEOPLE = ("owner", "eve", "rob", "vic", "sam", "")
"""The server's owner, who owns the workspace; its members; a user who is none; nobody."""


@dataclass
class School:
    lab: Lab
    tokens: dict[str, str]

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.lab.port}{path}"

    def headers(self, who: str) -> dict[str, str]:
        return {"Authorization": f"token {self.tokens[who]}"} if who else {}

    async def ask(self, who: str, method: str, path: str, body: Any = None) -> HTTPResponse:
        content = json.dumps(body or {}) if method in ("POST", "PUT", "PATCH") else None
        headers = {**self.headers(who), "Content-Type": "application/json"}
        request = HTTPRequest(
            self.url(path), method=method, headers=headers, body=content, request_timeout=60, follow_redirects=False
        )
        return await AsyncHTTPClient(force_instance=True).fetch(request, raise_error=False)

    async def status(self, who: str, method: str, path: str, body: Any = None) -> int:
        return (await self.ask(who, method, path, body)).code

    async def made(self, who: str, method: str, path: str, body: Any = None) -> Any:
        answer = await self.ask(who, method, path, body)
        assert answer.code in (200, 201, 204), answer.body
        return json.loads(answer.body) if answer.body else None

    async def take_roles(self, roles: Mapping[str, str]) -> None:
        """On workspace `class`; empty: none."""
        for name, role in roles.items():
            member = f"{API}/workspaces/class/members/{name}"
            await self.made("owner", "PUT" if role else "DELETE", member, {"role": role})

    async def opens(self, who: str, path: str) -> int:
        """Status of a websocket's handshake."""
        try:
            socket = await self.connected(who, path)
        except HTTPClientError as exc:
            return exc.code
        socket.close()
        return 101

    async def opens_with(self, path: str, headers: Mapping[str, str]) -> int:
        """The same with headers of its own, as a page of some site makes it: with the cookie, which the browser adds."""
        try:
            (
                await websocket_connect(HTTPRequest(self.url(path).replace("http", "ws", 1), headers=dict(headers)))
            ).close()
        except HTTPClientError as exc:
            return exc.code
        return 101

    async def connected(self, who: str, path: str, *protocols: str) -> WebSocketClientConnection:
        request = HTTPRequest(self.url(path).replace("http", "ws", 1), headers=self.headers(who))
        return await websocket_connect(request, subprotocols=list(protocols) or None)


async def school_of(lab: Lab) -> School:
    """Workspaces `class`, which is shared, and `private`; a file in the first, and one of the server's owner."""
    school = School(lab, {"owner": TOKEN})
    await school.made("owner", "POST", f"{API}/workspaces", {"name": "class"})
    await school.made("owner", "POST", f"{API}/workspaces", {"name": "private"})
    for name in ("eve", "rob", "vic", "sam"):
        await school.made("owner", "POST", f"{API}/users", {"name": name})
        school.tokens[name] = (await school.made("owner", "POST", f"{API}/users/{name}/tokens"))["secret"]
    await school.take_roles(ROLES)
    (lab.root / "workspaces" / "class" / "a.txt").write_text("of the class")
    (lab.root / "secret.txt").write_text("of the owner")
    return school
