"""The engine's socket with a witness: forwards bytes, and notes each HTTP request that goes towards the engine.

A request line is looked for wherever bytes arrive, over the seams of reads too; a body cannot hold one, because
Docker's bodies are JSON, where a line end is written as an escape.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

REQUEST = re.compile(rb"(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH) (/\S*) HTTP/1\.[01]\r\n")
LINE_MAX = 8192


def engine_socket() -> Path:
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        raise RuntimeError(f"DOCKER_HOST is {host}: no unix socket to listen in on")
    return Path(host.removeprefix("unix://"))


class Recorder:
    def __init__(self) -> None:
        self.requests: list[str] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(str(engine_socket()))
        tasks = [
            asyncio.create_task(self._forward(reader, up_writer, record=True)),
            asyncio.create_task(self._forward(up_reader, writer, record=False)),
        ]
        try:
            await asyncio.gather(*tasks)
        except OSError:
            pass
        finally:
            for task in tasks:
                task.cancel()
            for end in (writer, up_writer):
                end.close()

    async def _forward(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, record: bool) -> None:
        seam = b""
        while data := await source.read(65536):
            if record:
                text = seam + data
                end = 0
                for match in REQUEST.finditer(text):
                    self.requests.append(match[0].decode(errors="replace").strip())
                    end = match.end()
                seam = text[max(end, len(text) - LINE_MAX) :]
            target.write(data)
            await target.drain()
        if target.can_write_eof():
            with contextlib.suppress(OSError):
                target.write_eof()


@contextlib.asynccontextmanager
async def recording(path: Path) -> AsyncIterator[Recorder]:
    """Serve the engine at `path` meanwhile."""
    recorder = Recorder()
    server = await asyncio.start_unix_server(recorder.handle, str(path))
    try:
        yield recorder
    finally:
        server.close()
