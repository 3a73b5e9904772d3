"""Behind a real JupyterHub: it says who asks, its groups are teams, and roles hold as anywhere."""

from __future__ import annotations

import html
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.installation import Installation, wait_until

API = "syla/v1"
OWNER, MEMBER, IN_GROUP, STRANGER, OUTSIDER = "ann", "bob", "gus", "cyd", "out"
USERS = (OWNER, MEMBER, IN_GROUP, STRANGER, OUTSIDER)
CONFIG = Path(__file__).parent.parent / "hub_config.py"
START_SECONDS = 120


def asked(url: str, method: str, token: str, body: Any = None) -> tuple[int, Any]:
    """(status, JSON or text)."""
    content = json.dumps(body).encode() if body is not None else None
    headers = {"Authorization": f"token {token}"} if token else {}
    request = urllib.request.Request(url, content, {**headers, "Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.build_opener(Stays).open(request, timeout=60) as answer:
            status, data = answer.status, answer.read()
    except urllib.error.HTTPError as exc:
        status, data = exc.code, exc.read()
    try:
        return status, json.loads(data)
    except ValueError:
        return status, data.decode(errors="replace")


class Stays(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True)
class HubServer:
    """The server of `OWNER`, as it is behind JupyterHub."""

    url: str
    tokens: dict[str, str]
    hub: str
    """Origin of the hub."""

    @property
    def origin(self) -> str:
        return self.url.partition("/user/")[0]

    def ask(self, who: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return asked(self.url + path, method, self.tokens.get(who, who), body)

    def status(self, who: str, method: str, path: str, body: Any = None) -> int:
        return self.ask(who, method, path, body)[0]

    def made(self, who: str, method: str, path: str, body: Any = None) -> Any:
        status, found = self.ask(who, method, path, body)
        assert status in (200, 201, 204), found
        return found


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, engine: Any) -> Iterator[HubServer]:
    directory = tmp_path_factory.mktemp("hub")
    installation = Installation(directory / "syla", engine)
    public_port, hub_port = free_ports(2)
    secret = secrets.token_hex(16)
    settings = {
        "directory": str(directory), "public_port": public_port, "hub_port": hub_port, "token": secret,
        "users": USERS, "owner": OWNER, "groups": {"class": [IN_GROUP]}, "visitors": [MEMBER, IN_GROUP, STRANGER],
        "environ": {"SYLA_HOME": str(installation.home), "PATH": os.environ["PATH"]},
    }  # fmt: skip
    log = directory / "hub.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(CONFIG)], cwd=directory, stdin=subprocess.DEVNULL,
            stdout=output, stderr=output, env={**os.environ, "HUB_SETTINGS": json.dumps(settings)},
        )  # fmt: skip
    base = f"http://127.0.0.1:{hub_port}/hub/api"

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return asked(f"{base}/", "GET", "")[0] == 200
        except OSError:
            return False

    def server_url() -> str:
        model = asked(f"{base}/users/{OWNER}", "GET", secret)[1]
        if not model.get("server"):
            return ""
        routes = asked(f"{base}/proxy", "GET", secret)[1]
        return next((r["target"] for path, r in routes.items() if path.startswith(f"/user/{OWNER}")), "")

    try:
        wait_until(answers, START_SECONDS, "JupyterHub's answer")
        assert asked(f"{base}/users/{OWNER}/server", "POST", secret)[0] in (201, 202), log.read_text()
        target = wait_until(server_url, START_SECONDS, f"the server of {OWNER}")
        tokens = {who: asked(f"{base}/users/{who}/tokens", "POST", secret, {})[1]["token"] for who in USERS}
        yield HubServer(f"{target}/user/{OWNER}/", tokens, base.removesuffix("/hub/api"))
        assert asked(f"{base}/users/{OWNER}/server", "DELETE", secret)[0] in (202, 204)
        wait_until(lambda: not server_url(), 60, "the end of the server")
        installation.end_workspaces()
        installation.drain()
        installation.assert_nothing_left()
    finally:
        process.terminate()
        process.wait(60)


def test_roles_hold_for_whom_the_hub_knows(hub: HubServer) -> None:
    """The owner may all; others what they were given, by name or as a group of the hub's; nobody without a token."""
    who = (OWNER, MEMBER, IN_GROUP, STRANGER, OUTSIDER, "")
    assert hub.made(OWNER, "GET", "api/me")["identity"]["username"] == OWNER
    made = hub.made(OWNER, "POST", f"{API}/workspaces", {"name": "project"})
    assert made["owner"] == OWNER
    file = "api/contents/workspaces/project/a.txt"
    hub.made(OWNER, "PUT", file, {"type": "file", "format": "text", "content": "x"})
    assert [hub.status(one, "GET", file) for one in who[:4]] == [200, 403, 403, 403]
    for name in (MEMBER, STRANGER):
        hub.made(OWNER, "POST", f"{API}/users", {"name": name})
    hub.made(OWNER, "POST", f"{API}/teams", {"name": "class"})
    members = f"{API}/workspaces/project/members"
    hub.made(OWNER, "PUT", f"{members}/{MEMBER}", {"role": "editor"})
    hub.made(OWNER, "PUT", f"{members}/class?kind=team", {"role": "viewer"})
    assert [hub.status(one, "GET", file) for one in who[:4]] == [200, 200, 200, 403]
    assert all(hub.status(one, "GET", file) in (302, 403) for one in who[4:])
    saved = {"type": "file", "format": "text", "content": "y"}
    assert [hub.status(one, "PUT", file, saved) for one in who[:4]] == [200, 200, 403, 403]
    assert [hub.status(one, "GET", "api/status") for one in who[:4]] == [200, 403, 403, 403]
    assert [row["name"] for row in hub.made(IN_GROUP, "GET", f"{API}/shared")["workspaces"]] == ["project"]
    hub.made(OWNER, "DELETE", f"{members}/{MEMBER}")
    assert hub.status(MEMBER, "GET", file) == 403


def test_our_tokens_are_none_there(hub: HubServer) -> None:
    """A token of `syla user token` names nobody where the hub says who asks."""
    hub.ask(OWNER, "POST", f"{API}/users", {"name": "dan"})
    secret = hub.made(OWNER, "POST", f"{API}/users/dan/tokens", {}).get("secret")
    assert hub.status(secret, "GET", f"{API}/shared") in (302, 403)


def test_a_kernel_runs_in_a_workspace(hub: HubServer) -> None:
    """The hub's variables, its token among them, are not in the kernel's environment."""
    ran = hub.made(OWNER, "POST", f"{API}/workspaces/project/execute", {"code": "import os; print(sorted(os.environ))"})
    assert "HOME" in json.dumps(ran)
    assert "JUPYTERHUB" not in json.dumps(ran)


class Browser:
    """Pages and forms, with cookies, as a person meets them; each path is asked of the process that a proxy in front of
    them would give it to."""

    def __init__(self, hub: HubServer) -> None:
        self._hub = hub
        self._opener = urllib.request.build_opener(Stays, urllib.request.HTTPCookieProcessor())

    def go(self, path: str, form: dict[str, str] | None = None) -> tuple[int, str, str]:
        """(status, path, page) after all redirections."""
        for _ in range(20):
            base = self._hub.hub if path.startswith("/hub/") else self._hub.origin
            content = urllib.parse.urlencode(form).encode() if form is not None else None
            try:
                answer = self._opener.open(urllib.request.Request(base + path, content), timeout=60)
            except urllib.error.HTTPError as exc:
                answer = exc
            with answer:
                status, page, to = answer.status, answer.read().decode(errors="replace"), answer.headers.get("Location")
            if status not in (301, 302, 303):
                return status, path, page
            form, parts = None, urllib.parse.urlsplit(urllib.parse.urljoin(base + path, to))
            path = parts.path + (f"?{parts.query}" if parts.query else "")
        raise AssertionError(f"it goes round and round: {path}")

    def log_in(self, who: str, path: str) -> tuple[int, str, str]:
        """By the hub's form; where it asks whether that server may know who one is, yes."""
        _, at, page = self.go(path)
        assert at.startswith("/hub/login"), at
        status, at, page = self.go(at, {"username": who, "password": "any", **hidden(page)})
        if at.startswith("/hub/api/oauth2/authorize"):
            status, at, page = self.go(at, hidden(page))
        return status, at, page


def hidden(page: str) -> dict[str, str]:
    """Values of a page's form that nobody types."""
    inputs = [tag for tag in re.findall(r"<input[^>]*>", page) if 'type="hidden"' in tag]
    found = {}
    for tag in inputs:
        named = dict(re.findall(r'(name|value)="([^"]*)"', tag))
        if "name" in named:
            found[named["name"]] = html.unescape(named.get("value", ""))
    return found


def test_logging_in_by_the_hubs_form(hub: HubServer) -> None:
    """Each gets through OAuth to the server, is known there by name, and has his role; no token is in his page."""
    hub.made(OWNER, "POST", f"{API}/workspaces", {"name": "forms"})
    file = "api/contents/workspaces/forms/a.txt"
    hub.made(OWNER, "PUT", file, {"type": "file", "format": "text", "content": "x"})
    known = {row["name"] for row in hub.made(OWNER, "GET", f"{API}/users")["users"]}
    if MEMBER not in known:
        hub.made(OWNER, "POST", f"{API}/users", {"name": MEMBER})
    hub.made(OWNER, "PUT", f"{API}/workspaces/forms/members/{MEMBER}", {"role": "viewer"})
    home = f"/user/{OWNER}/"
    for who, may_read, is_owner in ((OWNER, 200, 200), (MEMBER, 200, 403), (STRANGER, 403, 403)):
        browser = Browser(hub)
        status, at, page = browser.log_in(who, f"{home}lab")
        assert (status, at) == (200, f"{home}lab"), page
        assert not any(token in page for token in hub.tokens.values())
        assert json.loads(browser.go(f"{home}api/me")[2])["identity"]["username"] == who
        assert [browser.go(home + path)[0] for path in (file, "api/status")] == [may_read, is_owner]
    outsider = Browser(hub)
    assert outsider.log_in(OUTSIDER, f"{home}lab")[0] == 403
    assert outsider.go(f"{home}{file}")[0] == 403
