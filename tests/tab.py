"""A kernel that is handed from server to server (`tests.adopting_server`), and a tab's side of its websocket."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import websocket
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1, serialize_msg_to_ws_v1

from syla_jupyter.server.seen import OUTPUT, Seen

from .adopting_server import TOKEN

V1 = "v1.kernel.websocket.jupyter.org"
SECONDS = 60
HEADERS = {"Authorization": f"token {TOKEN}"}


class ServedKernel:
    """`start` and `kill` are of the server; the kernel at `prefix` is somebody else's."""

    def __init__(self, directory: Path, prefix: str, key: bytes) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.id, self.log = str(uuid.uuid4()), directory / "server.log"
        (directory / "root").mkdir()
        connection = {"transport": "ipc", "ip": prefix, "key": key.decode(), "signature_scheme": "hmac-sha256"}
        connection |= {f"{name}_port": n for n, name in enumerate(("shell", "iopub", "stdin", "control", "hb"), 1)}  # type: ignore[misc]
        self._wanted = {"port": self.port, "kernel": self.id, "root": str(directory / "root"), "connection": connection}
        self._wanted["seen"] = str(directory / "seen")
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.adopting_server", json.dumps(self._wanted)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", self.log.read_text()[-5000:]

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def has_noted(self) -> None:
        """Return when what the server has written so far is noted, which it does in the same turn of its loop."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/api/status", headers=HEADERS)
        urllib.request.urlopen(request, timeout=SECONDS).close()

    def seen(self) -> bytes | None:
        """What the servers have noted as the last output that left for a tab."""
        seen = Seen(Path(str(self._wanted["seen"])))
        try:
            return seen.last(OUTPUT)
        finally:
            seen.close()

    def tab(self, session: str, protocol: str = "v1", before: Tab | None = None, reading: bool = True) -> Tab:
        """A websocket as a tab opens it; `before` is the same tab's last one."""
        connection = websocket.create_connection(
            f"ws://127.0.0.1:{self.port}/api/kernels/{self.id}/channels?session_id={session}",
            header=HEADERS,
            subprotocols=[V1] if protocol == "v1" else None,
            timeout=SECONDS,
        )
        return Tab(connection, session, protocol, before, reading)


@dataclass
class Cell:
    """What a tab has received for one request, kept up to date: tests look at it after every message."""

    texts: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    line_count: int = 0
    idle: bool = False
    replies: int = 0

    @property
    def lines(self) -> list[str]:
        return "".join(self.texts).splitlines()

    @property
    def ended(self) -> bool:
        return self.idle and self.replies > 0

    def add(self, message: dict[str, Any]) -> None:
        type, content = message["msg_type"], message["content"]
        self.idle = self.idle or content.get("execution_state") == "idle"
        self.replies += type == "execute_reply"
        if type == "stream":
            self.texts.append(content["text"])
            self.line_count += content["text"].count("\n")
        elif type == "execute_result":
            self.results.append(content["data"]["text/plain"])


class Tab:
    """`cells` outlive the websocket, as a tab's do: hand them on."""

    def __init__(self, connection: Any, session: str, protocol: str, before: Tab | None, reading: bool) -> None:
        self.ids: list[str] = before.ids if before else []
        self.cells: dict[str, Cell] = before.cells if before else {}
        self._last: tuple[str, ...] = ()
        self._socket, self._session, self._v1 = connection, session, protocol == "v1"
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        if reading:
            self._reader.start()

    def cell(self, request: str) -> Cell:
        return self.cells.setdefault(request, Cell())

    def _read(self) -> None:
        """All that the server has handed to the system, also after its death."""
        try:
            while data := self._socket.recv_data()[1]:
                message = self._parsed(data)
                with self._changed:
                    self.ids.append(message["header"]["msg_id"])
                    self.cell(message["parent_header"].get("msg_id", "")).add(message)
                    self._last = (*self._last, str(message)[:300])[-10:]
                    self._changed.notify_all()
        except (OSError, websocket.WebSocketException):
            pass

    def _parsed(self, raw: Any) -> dict[str, Any]:
        if not self._v1:
            return dict(json.loads(raw))
        channel, parts = deserialize_msg_from_ws_v1(raw)  # type: ignore[no-untyped-call]
        header, parent, _, content = map(json.loads, parts[:4])
        return {"channel": channel, "header": header, "parent_header": parent, "content": content, "msg_type": header["msg_type"]}  # fmt: skip

    def send(self, type: str, content: dict[str, Any]) -> str:
        header = {"msg_id": os.urandom(8).hex(), "session": self._session, "msg_type": type, "username": "test"}
        header |= {"version": "5.3", "date": ""}
        if self._v1:
            parts = [json.dumps(part).encode() for part in (header, {}, {}, content)]
            self._socket.send_binary(serialize_msg_to_ws_v1(parts, "shell"))  # type: ignore[no-untyped-call]
        else:
            message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
            self._socket.send(json.dumps(message | {"buffers": []}))
        return header["msg_id"]

    def execute(self, code: str) -> Cell:
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        request = self.send("execute_request", {**content, "stop_on_error": True})
        with self._changed:
            return self.cell(request)

    def value(self, code: str) -> str:
        cell = self.execute(code)
        self.until(lambda: cell.ended)
        return "".join(cell.results)

    def until(self, condition: Callable[[], Any]) -> None:
        """Wait for messages until `condition` holds; looked at now and then too, for what is no message."""
        until = time.monotonic() + SECONDS
        with self._changed:
            while not condition():
                assert time.monotonic() < until, f"{len(self.ids)} messages, and then none; the last: {self._last}"
                self._changed.wait(0.1)

    def closed(self) -> None:
        """The server has gone, and all that came from it has been read."""
        self._reader.join(SECONDS)
        assert not self._reader.is_alive()
        self._socket.shutdown()

    def read_rest(self) -> None:
        """Of a websocket that nobody has read so far: what its pipes hold."""
        self._reader.start()
        self.closed()

    def close(self) -> None:
        self._socket.sock.shutdown(socket.SHUT_RDWR)  # wakes the reader, which a close does not
        self.closed()
