"""A real Jupyter Server in a process of its own, and what a frontend does with it over REST and websocket."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from .calm import until
from .client import REPLY_SECONDS, now_ms
from .lab import NOOP_KERNEL
from .processes import die_with_parent

CONNECTIONS_MAX = 100
STOP_SECONDS = 30.0
PLAIN = "--ServerApp.jpserver_extensions={'syla_jupyter': False}"


class Opened:
    """A session with its open websocket."""

    def __init__(self, id: str, kernel_id: str, socket: WebSocketClientConnection) -> None:
        self.id, self.kernel_id, self.socket = id, kernel_id, socket

    async def reply_to(self, code: str) -> None:
        request = uuid.uuid4().hex
        header = {"msg_id": request, "msg_type": "execute_request", "username": "", "session": "b", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {},
                   "allow_stdin": False, "stop_on_error": True}  # fmt: skip
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell",
                   "buffers": []}  # fmt: skip
        await self.socket.write_message(json.dumps(message))
        while True:
            text = await self.socket.read_message()
            if text is None:
                raise RuntimeError("the server closed the websocket")
            answer = json.loads(text)
            if answer["msg_type"] == "execute_reply" and answer["parent_header"].get("msg_id") == request:
                if answer["content"]["status"] != "ok":
                    raise RuntimeError(f"the kernel answered {answer['content']}")
                return


class Server:
    answered_ms: float
    """When its first answer had come."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url, token
        self._http = AsyncHTTPClient(force_instance=True, max_clients=CONNECTIONS_MAX)
        self._names = itertools.count(1)

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._http.fetch(
            HTTPRequest(
                self.url + path,
                method=method,
                headers={"Authorization": f"token {self.token}", "Content-Type": "application/json"},
                body=None if body is None else json.dumps(body),
                request_timeout=REPLY_SECONDS,
                allow_nonstandard_methods=True,
            )
        )
        return json.loads(answer.body) if answer.body else None

    async def open(self, kernel: str, directory: str = "") -> Opened:
        """A new notebook's session, as JupyterLab asks for it, and its websocket. `directory`: ends in `/`."""
        name = f"bench-{next(self._names)}.ipynb"
        asked = {"path": directory + name, "name": name, "type": "notebook", "kernel": {"name": kernel}}
        session = await self.call("POST", "api/sessions", asked)
        kernel_id = session["kernel"]["id"]
        url = self.url.replace("http", "ws", 1) + f"api/kernels/{kernel_id}/channels?session_id={session['id']}"
        socket = await websocket_connect(
            HTTPRequest(url, headers={"Authorization": f"token {self.token}"}, connect_timeout=REPLY_SECONDS)
        )
        return Opened(session["id"], kernel_id, socket)

    async def start_to_reply(self, kernel: str, directory: str = "") -> tuple[float, Opened]:
        """Milliseconds from the POST to the reply to the first execute request."""
        begin = now_ms()
        async with asyncio.timeout(REPLY_SECONDS):
            opened = await self.open(kernel, directory)
            await opened.reply_to("1+1")
        return now_ms() - begin, opened

    async def close(self, opened: Opened) -> None:
        opened.socket.close()
        await self.call("DELETE", f"api/sessions/{opened.id}")

    async def close_all(self) -> None:
        for session in await self.call("GET", "api/sessions"):
            with contextlib.suppress(HTTPClientError):  # its kernel has just ended: so has it
                await self.call("DELETE", f"api/sessions/{session['id']}")

    def disconnect(self) -> None:
        self._http.close()


@contextlib.asynccontextmanager
async def serving(
    lab: Path,
    environ: Mapping[str, str],
    *,
    plain: bool = False,
    root: Path | None = None,
    leave: bool = False,
    options: Sequence[str] = (),
) -> AsyncIterator[Server]:
    """A server with the installed extensions, on a free port, with an empty directory as its root.

    `plain`: without ours, which lets no kernel run outside of a workspace; for the baselines. `leave`: its sessions go
    on when it ends, for the next one at the same `root`. `options`: more of them on its command line.
    """
    process, token, log = _launch(lab, environ, [PLAIN, *options] if plain else options, root)
    server: Server | None = None
    try:
        record = lab / "runtime" / f"jpserver-{process.pid}.json"
        await until(lambda: _is_written(record) or process.poll() is not None, "Jupyter Server did not start")
        if process.poll() is not None:
            raise RuntimeError(f"Jupyter Server ended: {_tail(log)}")
        server = Server(json.loads(record.read_text())["url"], token)
        specs = (await _answer(server, process))["kernelspecs"]
        server.answered_ms = now_ms()
        if plain != (NOOP_KERNEL in specs):
            raise RuntimeError(f"the {'plain' if plain else 'Syla'} server offers {', '.join(specs)}")
        yield server
    except Exception as exc:
        exc.add_note(f"the server's log: {_tail(log)}")
        raise
    finally:
        if server is not None:
            try:
                if process.poll() is None and not leave:
                    with contextlib.suppress(OSError):  # it never listened
                        await server.close_all()
            finally:
                server.disconnect()
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)


def _is_written(record: Path) -> bool:
    """It is there for a moment before anything is in it."""
    return record.exists() and record.stat().st_size > 0


async def _answer(server: Server, process: subprocess.Popen[bytes]) -> Any:
    """The kernelspecs, once it listens: its record is written before."""
    deadline = time.perf_counter() + REPLY_SECONDS
    while True:
        try:
            return await server.call("GET", "api/kernelspecs")
        except OSError:
            if process.poll() is not None or time.perf_counter() > deadline:
                raise
        await asyncio.sleep(0.05)


def _launch(
    lab: Path, environ: Mapping[str, str], options: Sequence[str], root: Path | None
) -> tuple[subprocess.Popen[bytes], str, Path]:
    """(process, token, log file)"""
    token = secrets.token_hex(16)
    name = f"server-{secrets.token_hex(4)}"
    root, log = root or lab / "work" / name, lab / f"{name}.log"
    root.mkdir(exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", "--allow-root", "--ServerApp.open_browser=False",
             "--ServerApp.port=0", "--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={root}",
             "--ServerApp.log_level=WARN", *options],
            env={**environ, "JUPYTER_TOKEN": token}, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
    return process, token, log


def _tail(log: Path) -> str:
    return log.read_text(errors="replace").strip()[-1500:] or "(empty)"
