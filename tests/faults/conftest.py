"""An installation of its own for each module that breaks things, and a client process that can be killed."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syla_jupyter.runtimes.rundir import KERNELS

from ..hostile.conftest import Host, hostile_engine, hostile_host, wait_until

__all__ = ["hostile_engine", "hostile_host"]

CLIENT = Path(__file__).parent / "client.py"


class Client:
    """`client.py` in a process of its own; it says where it is, one word a line."""

    def __init__(self, host: Host, *steps: str) -> None:
        environ = {**host.environ, "SYLA_HOME": str(host.app.settings.data_dir), "TEST_RUN_DIR": str(host.run_dir)}
        self.process = subprocess.Popen(
            [sys.executable, str(CLIENT), *steps],
            env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, bufsize=1, cwd=host.root,
        )  # fmt: skip

    def wait_for(self, word: str) -> str:
        """The line that starts with `word`; fails when the process ends before it says it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(word):
                return line.strip()
        raise AssertionError(f"the client ended with {self.process.wait()} before {word!r}")

    def say(self, text: str = "") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.close()

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self.process.wait(30)


@pytest.fixture
def client(hostile_host: Host) -> Iterator[Callable[..., Client]]:
    """Starts clients, and kills at the end of the test those that still run."""
    clients: list[Client] = []

    def start(*steps: str) -> Client:
        clients.append(Client(hostile_host, *steps))
        return clients[-1]

    yield start
    for one in clients:
        if one.process.poll() is None:
            one.kill()


def runs(host: Host) -> list[str]:
    return [path.name for path in host.run_dir.iterdir() if path.name != KERNELS]


def links(host: Host) -> list[str]:
    """Sockets that clients of kernels connect to."""
    return [path.name for path in (host.run_dir / KERNELS).glob("*")]


def records(host: Host) -> list[str]:
    """What the pool has on disk about containers."""
    pool = host.app.settings.data_dir / "pool"
    return [str(p.relative_to(pool)) for kind in ("ready", "taken") for p in pool.glob(f"*/{kind}/*")]


def nothing_left(host: Host, *, by_lease: bool = True) -> None:
    """No running container by the lease alone; after a `reconcile` none at all, no directory and no record.

    A container whose maker died between the engine's create and start runs nothing that could end it: `reconcile`'s.
    """
    if by_lease:
        wait_until(lambda: not host.containers(running=True), 25, "the lease ending the container")

    def all_gone() -> bool:
        host.service.reconcile()
        return not host.containers() and not runs(host)

    # What may just be changing hands, or has no owner yet, is passed over while it is new.
    wait_until(all_gone, 60, "no container and no run directory left")
    assert records(host) == []
    assert links(host) == []
