"""Runs the real agent as a plain process, no container: quick, and everything but the isolation is real."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client import BlockingKernelClient

import syla_jupyter.agent
from syla_jupyter.runtimes.agent_client import AgentClient, wait_for_agent

PACKAGE = Path(syla_jupyter.agent.__file__).parent
KEY = b"0123456789abcdef"


@dataclass
class RunningAgent:
    directory: Path
    process: subprocess.Popen[bytes]
    client: AgentClient
    events: list[dict[str, Any]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def start(self, name: str, **more: Any) -> dict[str, Any]:
        request = {"key": KEY.hex(), "cwd": str(self.directory), "env": {}, **more}
        return dict(self.client.call("start", process=name, timeout=60, **request))

    def wait_event(self, kind: str, timeout: float = 30, **fields: Any) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return [e for e in self.events if e["event"] == kind and fields.items() <= e.items()]

        with self.changed:
            assert self.changed.wait_for(found, timeout), f"no {kind} {fields} among {self.events}"
            return found()[0]

    @contextlib.contextmanager
    def kernel(self, answer: dict[str, Any]) -> Iterator[BlockingKernelClient]:
        client = BlockingKernelClient()
        prefix = str(self.directory / answer["prefix"])
        info = {"transport": "ipc", "ip": prefix, "key": KEY, "signature_scheme": "hmac-sha256"}
        ports = {"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5}
        client.load_connection_info({**info, **ports})
        client.start_channels()
        try:
            yield client
        finally:
            client.stop_channels()


def run_code(client: BlockingKernelClient, code: str) -> str:
    """What the code printed and evaluated to; an assertion when it failed."""
    texts: list[str] = []

    def output(message: dict[str, Any]) -> None:
        content = message["content"]
        texts.append(content.get("text") or content.get("data", {}).get("text/plain", "") or content.get("evalue", ""))

    reply = client.execute_interactive(code, output_hook=output, timeout=30)
    assert reply["content"]["status"] == "ok", texts
    return "".join(texts).strip()


def descendants(pid: int) -> list[int]:
    """Children of `pid`, their children, and so on."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *descendants(child)]
    return found


@contextlib.contextmanager
def running_agent(environ: dict[str, str] | None = None, **config: Any) -> Iterator[RunningAgent]:
    directory = Path(tempfile.mkdtemp(prefix="sy"))
    settings = {"dir": str(directory), "zygote": True, "preload": [], "spares": 1, "lease_seconds": 20, "open": True}
    settings.update(config)
    home = directory / "home"
    home.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "agent", json.dumps(settings)],
        cwd=PACKAGE.parent,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "IPYTHONDIR": str(home / "ipython"), **(environ or {})},
    )
    events: list[dict[str, Any]] = []
    changed = threading.Condition()

    def on_event(event: Any) -> None:
        with changed:
            events.append(dict(event))
            changed.notify_all()

    client = wait_for_agent(
        directory / "agent",
        timeout=20,
        gone=lambda: process.poll() is not None,
        on_event=on_event,
        hold_seconds=config.get("hold_seconds", 20),
    )
    try:
        yield RunningAgent(directory, process, client, events, changed)
    finally:
        everybody = descendants(process.pid)  # in a container they would end with process 1
        client.close()
        process.kill()
        process.wait()
        for pid in everybody:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(directory, ignore_errors=True)
