"""Terminals of a real server: shells in the workspace's container, reached as JupyterLab reaches them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.conftest import StartLab
from tests.installation import wait_until_async
from tests.lab import HEADERS, MARKER, Lab

TERMINALS_MAX = 64
CONTROLS = re.compile(r"\x1b\[[?>=]?[0-9;]*[a-zA-Z]|\x1b\][^\x07]*\x07|\r")


@dataclass
class Screen:
    """A terminal as its websocket shows it."""

    lab: Lab
    name: str
    socket: WebSocketClientConnection
    text: str = ""
    ended: bool = False
    _prompts: int = 0

    async def read(self) -> None:
        async for kind, value in self._messages():
            assert kind in ("setup", "stdout", "disconnect")
            self.ended |= kind == "disconnect"
            if kind == "stdout":
                self.text = CONTROLS.sub("", self.text + value)

    async def _messages(self) -> AsyncIterator[list[Any]]:
        while (text := await self.socket.read_message()) is not None:
            yield json.loads(text)

    async def send(self, *message: Any) -> None:
        await self.socket.write_message(json.dumps(message))

    async def sees(self, pattern: str, seconds: float = 40) -> str:
        """The first group of what matches."""
        found = await wait_until_async(lambda: re.search(pattern, self.text), seconds, f"{pattern!r} in {self.text!r}")
        return str(found[1] if found.groups() else found[0])

    async def run(self, command: str) -> str:
        """What a command shows."""
        self._prompts += 1
        begin, end = f"<{self._prompts}", f"{self._prompts}>"
        await self.send(
            "stdin", f"printf '%s\\n' '<''{self._prompts}'; {command}\nprintf '%s\\n' '{self._prompts}''>'\n"
        )
        await self.sees(rf"(?m)^{end}$")
        shown = self.text.split(f"\n{begin}\n", 1)[1].split(f"\n{end}\n", 1)[0]
        return "\n".join(line for line in shown.splitlines() if "printf" not in line).strip()


@contextlib.asynccontextmanager
async def watching(lab: Lab, name: str) -> AsyncIterator[Screen]:
    url = f"ws://127.0.0.1:{lab.port}/terminals/websocket/{name}"
    screen = Screen(lab, name, await websocket_connect(HTTPRequest(url, headers=HEADERS)))
    reader = asyncio.create_task(screen.read())
    try:
        yield screen
    finally:
        screen.socket.close()
        await reader


@contextlib.asynccontextmanager
async def terminal(lab: Lab, **body: Any) -> AsyncIterator[Screen]:
    """A new one with its shell at the prompt; shut down afterwards."""
    status, model = await lab.fetch("/api/terminals", "POST", body)
    assert status == 200, model
    assert model.keys() == {"name", "last_activity"}
    try:
        async with watching(lab, model["name"]) as screen:
            await screen.sees(r"\$ $")
            yield screen
    finally:
        if lab.process.poll() is None:
            status, _ = await lab.fetch(f"/api/terminals/{model['name']}", "DELETE")
            assert status in (204, 404)


async def names(lab: Lab) -> list[str]:
    status, rows = await lab.fetch("/api/terminals")
    assert status == 200
    return sorted(row["name"] for row in rows)


def commands(lab: Lab) -> list[str]:
    """Of all processes in the server's containers; those that wait for their first use are nobody's yet."""
    used = [one for one in lab.installation.containers() if not one.name.startswith("syla-pool-")]
    return [row[-1] for container in used for row in container.top()["Processes"]]


async def test_a_shell_in_the_container(lab_server: Lab) -> None:
    """A login shell of the container's user, in its files, with its environment; nothing of the host."""
    (lab_server.root / "beside.txt").write_text("seen inside\n")
    async with terminal(lab_server) as screen:
        assert await screen.run("id -u") == str(os.geteuid() or 1000)
        assert await screen.run("hostname") != socket.gethostname()
        assert await screen.run("pwd; cat beside.txt") == "/workspace\nseen inside"
        assert await screen.run("shopt -q login_shell && echo login") == "login"
        assert await screen.run("echo $HISTFILE") == "/home/syla/.bash_history"
        assert await screen.run("echo reopened >/dev/stderr") == "reopened"
        environment = await screen.run("env; cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'")
        assert "TERM=xterm-256color" in environment
        for secret in (MARKER, "SERVER_SECRET", "SYLA_HOME", "JUPYTER_", "token-of-the-tests", "OLDPWD"):
            assert secret not in environment
        assert await screen.run("echo from inside >written.txt") == ""
        written = lab_server.root / "written.txt"
        assert (written.read_text(), written.stat().st_uid) == ("from inside\n", os.geteuid())


async def test_keys_and_sizes(lab_server: Lab) -> None:
    """The program in the foreground gets interrupts and sizes; who connects again sees what was shown."""
    async with terminal(lab_server) as screen:
        await screen.send("set_size", 30, 100, 600, 800)
        assert await screen.run("stty size") == "30 100"
        await screen.send("stdin", 'python3 -c \'import time; print("sle" + "eps"); time.sleep(100)\'\n')
        await screen.sees("(?m)^sleeps$")
        await screen.send("set_size", 40, 120, 600, 800)
        await screen.send("stdin", "\x03")
        await screen.sees("KeyboardInterrupt")
        assert await screen.run("stty size") == "40 120"
        async with watching(lab_server, screen.name) as second:
            assert "KeyboardInterrupt" in await second.sees(r"(?s).*KeyboardInterrupt.*\$ $")
            await screen.socket.write_message("not a message")
            await screen.send("set_size", "many", -1)
            await screen.send({"stdin": 1})
            await second.send("stdin", "echo to''gether\n")
            await screen.sees("(?m)^together$")
            await second.sees("(?m)^together$")


async def test_models_and_names(lab_server: Lab) -> None:
    """Terminals are numbered or named, listed, and gone after `exit`; an unknown one is not found, and not made."""
    async with terminal(lab_server, name="mine") as mine, terminal(lab_server) as numbered:
        assert numbered.name == "1"
        assert await names(lab_server) == ["1", "mine"]
        before = (await lab_server.fetch("/api/terminals/mine"))[1]
        assert (await lab_server.fetch("/api/terminals", "POST", {"name": "mine"}))[0] == 409
        await mine.run("true")
        after = (await lab_server.fetch("/api/terminals/mine"))[1]
        assert after["last_activity"] > before["last_activity"]
        await mine.send("stdin", "exit\n")
        await wait_until_async(lambda: mine.ended, 20, "the end")
        assert await names(lab_server) == ["1"]
    assert await names(lab_server) == []
    assert (await lab_server.fetch("/api/terminals/mine"))[0] == 404
    assert (await lab_server.fetch("/api/terminals/mine", "DELETE"))[0] == 404
    with pytest.raises(HTTPClientError, match="404"):
        async with watching(lab_server, "mine"):
            pass


async def test_a_directory_is_entered_inside(lab_server: Lab) -> None:
    """API path and host path; what is not there, or is a link to the host, leads nowhere else than inside."""
    (lab_server.root / "a b").mkdir(exist_ok=True)
    (lab_server.root / "etc-of-host").symlink_to("/etc")
    for cwd, place in {
        "a b": "/workspace/a b",
        str(lab_server.root / "a b"): "/workspace/a b",
        "/etc": "/workspace",
        "gone": "/workspace",
        "etc-of-host": "/workspace",
    }.items():
        async with terminal(lab_server, cwd=cwd) as screen:
            assert await screen.run("pwd") == place, cwd
            assert await screen.run("hostname") == "syla"


@pytest.mark.parametrize(
    "body",
    [
        {"shell_command": ["touch", "{mark}"]},
        {"extra_env": {"PROMPT_COMMAND": "touch {mark}"}},
        {"cwd": "../../etc"},
        {"cwd": "a/../../b"},
        {"cwd": ["/etc"]},
        {"name": "../x"},
        {"name": 7},
        {"self": 1},
        {"name": "ok", "term_settings": {}},
        ["shell_command"],
    ],
    ids=str,
)
async def test_what_a_client_may_not_say(lab_server: Lab, tmp_path: Path, body: Any) -> None:
    """Refused with 400, and a sentence that names the field; nothing was started, here or there."""
    mark = tmp_path / "mark"
    body = json.loads(json.dumps(body).replace("{mark}", str(mark)))
    status, answer = await lab_server.fetch("/api/terminals", "POST", body)
    assert status == 400, answer
    assert re.match(r"(shell_command|extra_env|cwd|name|self|term_settings|body): ", answer["message"])
    assert await names(lab_server) == []
    assert not mark.exists()


async def test_shutting_down_ends_everything(lab_server: Lab) -> None:
    """Whatever was started in a terminal is gone when its deletion is answered."""
    async with terminal(lab_server) as screen:
        await screen.run("setsid sleep 4711 & nohup sleep 4712 & (setsid sh -c 'trap \"\" HUP; sleep 4713' &)")
        await wait_until_async(lambda: len([c for c in commands(lab_server) if "sleep 471" in c]) >= 3, 20, "all three")
        assert (await lab_server.fetch(f"/api/terminals/{screen.name}", "DELETE"))[0] == 204
        assert [c for c in commands(lab_server) if "sleep 471" in c or "bash" in c] == []
        await wait_until_async(lambda: screen.ended, 20, "the word to the client")
    assert await names(lab_server) == []


async def test_history_is_kept_at_home(lab_server: Lab) -> None:
    """What was typed in a terminal that was shut down is there in the next."""
    async with terminal(lab_server) as first:
        await first.run(": typed once")
    async with terminal(lab_server) as second:
        assert await second.run("history | grep -o ': typed [o]nce'") == ": typed once"


async def test_a_terminal_that_cannot_start(lab_server: Lab) -> None:
    """It says why, and is gone when that was read."""
    (lab_server.root / "workspaces" / "none").mkdir(parents=True, exist_ok=True)
    status, model = await lab_server.fetch("/api/terminals", "POST", {"cwd": "workspaces/none"})
    assert status == 200
    async with watching(lab_server, model["name"]) as screen:
        await screen.sees("(?s)No terminal: .*workspaces/none.*Press Enter")
        await screen.send("stdin", "\r")
        await wait_until_async(lambda: screen.ended, 20, "the end")
    assert await names(lab_server) == []


async def test_a_server_has_so_many_terminals(lab_server: Lab) -> None:
    """One more than the limit is refused with the way out; the server answers all the while."""
    answers = await asyncio.gather(*(lab_server.fetch("/api/terminals", "POST") for _ in range(TERMINALS_MAX)))
    assert {status for status, _ in answers} == {200}
    status, refused = await lab_server.fetch("/api/terminals", "POST")
    assert 400 <= status < 500
    assert "64 terminals are open" in refused["message"]
    assert "terminals_max" in refused["message"]
    async with watching(lab_server, "64") as screen:
        await screen.sees(r"\$ $", 60)
    deletions = [lab_server.fetch(f"/api/terminals/{name}", "DELETE") for name in await names(lab_server)]
    assert {status for status, _ in await asyncio.gather(*deletions)} == {204}
    await wait_until_async(  # of one that was still starting the end comes after the answer
        lambda: not [c for c in commands(lab_server) if "bash" in c], 20, "the end of all shells"
    )


async def test_a_server_that_is_killed_ends_them(start_lab: StartLab) -> None:
    """Nothing that was started in its terminals goes on, in whatever session it is."""
    lab = start_lab()
    async with terminal(lab) as screen:
        await screen.run("setsid sleep 4731 & nohup sleep 4732 & (setsid sh -c 'trap \"\" HUP; sleep 4733' &)")
        await wait_until_async(lambda: len([c for c in commands(lab) if "sleep 473" in c]) >= 3, 20, "all three")
        lab.stop(signal.SIGKILL)
        (container,) = lab.installation.containers()
        await wait_until_async(
            lambda: not [c for c in commands(lab) if "sleep 473" in c or "bash" in c], 15, "the end of all three"
        )
        assert container.name in {c.name for c in lab.installation.containers()}, "it was its container that ended"


async def test_the_server_ends_them(start_lab: StartLab) -> None:
    """A server that is asked to end takes all terminals with it, detached processes too, one that starts included."""
    lab = start_lab()
    async with terminal(lab) as screen:
        await screen.run("setsid sleep 4721 & nohup sleep 4722 &")
        await wait_until_async(lambda: len([c for c in commands(lab) if "sleep 472" in c]) >= 2, 20, "both")
        assert (await lab.fetch("/api/terminals", "POST"))[0] == 200
        lab.stop(signal.SIGTERM)
        await wait_until_async(lambda: screen.ended, 20, "the word to the client")
        await wait_until_async(
            lambda: not [c for c in commands(lab) if "sleep 472" in c or "bash" in c], 15, "the end of all"
        )
