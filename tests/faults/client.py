"""A program with a kernel, killed by the tests of this directory: takes the steps it is told and says each.

Steps: start execute restart shutdown  ·  fill KEY DESCRIPTION: makes a ready container, as a refill does
       survive: waits for a line, then says why the kernel ended, restarts it and runs a cell
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import time
from typing import Any

from jupyter_client import BlockingKernelClient, KernelManager
from traitlets.config import Config

from syla_jupyter import app
from syla_jupyter.config import load_settings
from syla_jupyter.workspaces import recipe

recipe.UNCLAIMED_SECONDS = 2.0  # of a container whose maker died before it said a word; 30 s are too long to wait


def say(*words: object) -> None:
    print(*words, flush=True)


def config() -> Config:
    made = Config()
    made.Syla.update(run_dir=os.environ["TEST_RUN_DIR"], lease_seconds=1.0, pool_size=0)
    return made


def fill(key: str, description: str) -> None:
    application = app.build(load_settings(config(), os.environ), dict(os.environ))
    say("filling")
    application.service.fill_pool(json.loads(description), key)
    say("filled")


def run(client: Any, code: str) -> str:
    text: list[str] = []
    client.execute_interactive(
        code, timeout=60, output_hook=lambda m: text.append(str(m["content"].get("text", "")))
    )  # fmt: skip
    return "".join(text).strip()


def nudge(client: Any) -> None:
    """Until output arrives: each of the five sockets reconnects when it does."""
    client.wait_for_ready(timeout=60)
    for _ in range(150):
        client.kernel_info()
        with contextlib.suppress(queue.Empty):
            client.get_iopub_msg(timeout=0.2)
            return
    raise RuntimeError("no output after a reconnect")


def main(steps: list[str]) -> None:
    if steps[0] == "fill":
        fill(*steps[1:])
        return
    manager = KernelManager(kernel_name="syla-python", config=config())
    say("launching")
    manager.start_kernel()
    say("started", manager.ip)
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    say("ready")
    for step in steps:
        if step == "execute":
            client.execute("import time\ntime.sleep(600)")
            while client.get_iopub_msg(timeout=30)["msg_type"] != "execute_input":
                pass
            say("executing")
            time.sleep(600)
        elif step == "restart":
            say("restarting")
            manager.restart_kernel(now=True)
            say("restarted")
        elif step == "shutdown":
            say("closing")
            manager.shutdown_kernel()
            say("closed")
        elif step == "survive":
            sys.stdin.readline()
            until = time.monotonic() + 30
            while manager.is_alive() and time.monotonic() < until:
                time.sleep(0.02)
            say("ended", not manager.is_alive(), manager.reason if hasattr(manager, "reason") else "")
            manager.restart_kernel(now=True)
            # Of its own session: two clients of one `KernelManager` share an identity, and the first loses its replies.
            fresh = BlockingKernelClient()
            fresh.load_connection_info(manager.get_connection_info(session=False))
            fresh.start_channels()
            fresh.wait_for_ready(timeout=60)
            say("again", run(fresh, "print(6 * 7)"))
            sys.stdin.readline()
            try:
                nudge(client)
                say("open", run(client, "print(6 * 7)"))
            except RuntimeError as exc:
                say("open", exc)
            fresh.stop_channels()
            client.stop_channels()
            manager.shutdown_kernel()


if __name__ == "__main__":
    main(sys.argv[1:])
