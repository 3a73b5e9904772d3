"""A real JupyterLab server in a process of its own, and a notebook's side of it: REST and one websocket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from .installation import Installation, wait_until

TOKEN = "token-of-the-tests"
MARKER = "a-secret-of-the-server"
"""Value of a variable of the server's environment that no kernel may see."""
START_SECONDS = 120
STOP_SECONDS = 60
LOG_SHOWN = 5_000
"""Characters at its end, in the report of a failed test."""
HEADERS = {"Authorization": f"token {TOKEN}"}


@dataclass(frozen=True)
class Lab:
    installation: Installation
    root: Path
    data_dir: Path
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    environ: dict[str, str]

    async def fetch(self, path: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
        """(status, body) of a REST call."""
        request = HTTPRequest(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            headers=HEADERS,
            body=json.dumps(body or {}) if method in ("POST", "PATCH", "PUT") else None,
            request_timeout=60,
        )
        client = AsyncHTTPClient(force_instance=True, max_clients=64)
        try:
            answer = await client.fetch(request, raise_error=False)
        finally:
            client.close()
        return answer.code, json.loads(answer.body) if answer.body else None

    @contextlib.asynccontextmanager
    async def notebook(self, path: str = "test.ipynb", kernel: str = "syla-python") -> AsyncIterator[Notebook]:
        """A notebook as JupyterLab opens it; its session is shut down afterwards."""
        body = {"path": path, "name": Path(path).name, "type": "notebook", "kernel": {"name": kernel}}
        status, session = await self.fetch("/api/sessions", "POST", body)
        assert status == 201, session
        try:
            async with self.connected(session) as notebook:
                yield notebook
        finally:
            if self.process.poll() is None:
                status, _ = await self.fetch(f"/api/sessions/{session['id']}", "DELETE")
                assert status in (204, 404)

    @contextlib.asynccontextmanager
    async def connected(self, session: dict[str, Any], page: str = "") -> AsyncIterator[Notebook]:
        """A page's websocket to a session that is there already, as a reconnecting page opens it, or as another `page`."""
        kernel, page = session["kernel"]["id"], page or session["id"]
        url = f"ws://127.0.0.1:{self.port}/api/kernels/{kernel}/channels?session_id={page}"
        notebook = Notebook(self, session, await websocket_connect(HTTPRequest(url, headers=HEADERS)))
        reader = asyncio.create_task(notebook.read())
        try:
            yield notebook
        finally:
            notebook.socket.close()
            await reader

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the server with a signal; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)

    def describe(self) -> str:
        return self.log.read_text(errors="replace")[-LOG_SHOWN:] + self.installation.describe()


@dataclass
class Notebook:
    lab: Lab
    session: dict[str, Any]
    socket: WebSocketClientConnection
    messages: list[dict[str, Any]] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def kernel_id(self) -> str:
        return str(self.session["kernel"]["id"])

    @property
    def states(self) -> list[str]:
        """Execution states that belong to no cell: starting, restarting, dead."""
        rows = [m for m in self.messages if m["msg_type"] == "status"]
        return [
            m["content"]["execution_state"] for m in rows if m["content"]["execution_state"] not in ("busy", "idle")
        ]

    async def read(self) -> None:
        while (text := await self.socket.read_message()) is not None:
            self.messages.append(json.loads(text))
            self._news.set()

    async def until(self, condition: Callable[[], Any], seconds: float, what: str) -> Any:
        """Wait for messages until `condition` holds."""
        try:
            async with asyncio.timeout(seconds):
                while not (value := condition()):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"not within {seconds:g} s: {what}; messages: {self.messages[-20:]}") from None
        return value

    async def send(self, type: str, content: dict[str, Any], channel: str = "shell", parent: Any = None) -> str:
        header = {"msg_id": uuid.uuid4().hex, "username": "test", "session": "test", "msg_type": type}
        message = {"header": {**header, "version": "5.3", "date": ""}, "content": content, "channel": channel}
        message |= {"parent_header": parent or {}, "metadata": {}, "buffers": []}
        await self.socket.write_message(json.dumps(message))
        return header["msg_id"]

    async def begin(self, code: str) -> Cell:
        """Send a cell and go on."""
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": True}
        return Cell(self, await self.send("execute_request", {**content, "stop_on_error": True}))

    async def run(self, code: str, seconds: float = 30) -> Cell:
        """Send a cell and wait for its end."""
        return await (await self.begin(code)).ended(seconds)

    async def value(self, code: str) -> str:
        """What a cell's expression shows; the cell must not fail."""
        cell = await self.run(code)
        assert cell.status == "ok", cell.text
        return cell.result

    async def post(self, action: str) -> None:
        """`interrupt` or `restart`."""
        status, body = await self.lab.fetch(f"/api/kernels/{self.kernel_id}/{action}", "POST")
        assert status in (200, 204), body
        if action == "restart":
            await self.ready()

    async def ready(self, seconds: float = 30) -> None:
        """Wait until this websocket gets a new kernel's output, asking as JupyterLab does after a restart.

        What a kernel publishes before the server has subscribed to it again is lost, here as with any kernel.
        """
        asked: set[str] = set()

        def heard() -> bool:
            rows = [m for m in self.messages if m["parent_header"].get("msg_id") in asked]
            return {m["msg_type"] for m in rows} >= {"kernel_info_reply", "status"}

        async with asyncio.timeout(seconds):
            while True:
                asked.add(await self.send("kernel_info_request", {}))
                with contextlib.suppress(AssertionError):
                    return await self.until(heard, 0.5, "an answer")


@dataclass(frozen=True)
class Cell:
    notebook: Notebook
    id: str

    def messages(self, type: str) -> list[dict[str, Any]]:
        rows = self.notebook.messages
        return [m for m in rows if m["parent_header"].get("msg_id") == self.id and m["msg_type"] == type]

    @property
    def text(self) -> str:
        """All output, errors included."""
        streams = "".join(m["content"]["text"] for m in self.messages("stream"))
        return streams + "".join(f"{m['content']['ename']}: {m['content']['evalue']}" for m in self.messages("error"))

    @property
    def result(self) -> str:
        return "".join(m["content"]["data"]["text/plain"] for m in self.messages("execute_result"))

    @property
    def status(self) -> str:
        return "".join(m["content"]["status"] for m in self.messages("execute_reply"))

    async def ended(self, seconds: float = 30) -> Cell:
        def over() -> bool:
            idle = any(m["content"]["execution_state"] == "idle" for m in self.messages("status"))
            return idle and bool(self.status)

        await self.notebook.until(over, seconds, "the cell's end")
        return self

    async def says(self, text: str, seconds: float = 30) -> None:
        await self.notebook.until(lambda: text in self.text, seconds, f"{text!r} as output")


@contextlib.contextmanager
def running_lab(directory: Path, engine: Any, port: int = 0, **environ: str) -> Iterator[Lab]:
    """A server on a free port, with an installation of its own; whoever stops it early checks what is left.

    Again in the same directory and on the same `port`, it is the same server after a restart.
    """
    root, data_dir, log = directory / "root", directory / "data", directory / "lab.log"
    root.mkdir(exist_ok=True)
    installation = Installation(directory / "home", engine)
    if not port:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    variables = {
        **os.environ,
        "SYLA_HOME": str(installation.home),
        "JUPYTER_CONFIG_DIR": str(directory / "config"),
        "JUPYTER_DATA_DIR": str(data_dir),
        "JUPYTER_RUNTIME_DIR": str(directory / "runtime"),
        "SERVER_SECRET": MARKER,
        **environ,
    }
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--ServerApp.port={port}"]
    command += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={root}", "--ServerApp.port_retries=0"]
    command += ["--LabApp.expose_app_in_browser=True"]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=root
        )
    lab = Lab(installation, root, data_dir, port, process, log, environ)
    try:
        wait_until(lambda: _answers(lab), START_SECONDS, f"the server's answer; its log:\n{log.read_text()}")
        yield lab
    finally:
        if process.poll() is None:
            try:
                lab.stop()
            finally:
                process.kill()
                process.wait()


def _answers(lab: Lab) -> bool:
    assert lab.process.poll() is None, f"the server ended:\n{lab.log.read_text()}"
    request = urllib.request.Request(f"http://127.0.0.1:{lab.port}/api/status", headers=HEADERS)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
