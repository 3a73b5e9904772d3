"""Code that takes all it can get: stopped at the limit, the agent lives, the host stays responsive."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from syla_jupyter.model.errors import AgentError, InsufficientResources, SylaError, WorkspaceLost
from syla_jupyter.model.workspace import MIB
from syla_jupyter.runtimes.agent_client import AgentClient
from syla_jupyter.runtimes.rundir import bound

from .conftest import Box, Host, wait_until

RESPONSIVE_SECONDS = 5.0  # a process started on the host, end to end; 0.05 s on an idle machine


@contextlib.contextmanager
def host_responsive() -> Iterator[None]:
    """Small operations of the host, one after another while the bomb goes off, none of them slow."""
    times: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            started = time.monotonic()
            subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True)
            times.append(time.monotonic() - started)
            over.wait(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    assert times
    assert max(times) < RESPONSIVE_SECONDS, f"the host took {max(times):.1f} s for a small process"


def usable(box: Box, slot: str = "after") -> None:
    """The same container starts another kernel, which runs a cell."""
    assert not box.workspace.lost
    assert box.cell("print(6 * 7)", slot=slot)[0] == "42\n"


def test_out_of_memory(hostile_host: Host) -> None:
    """A cell that allocates past the limit ends its kernel alone; the message names the limit and what to do."""
    with hostile_host.box(hostile_host.spec(memory_bytes=256 * MIB)) as box, host_responsive():
        agent = box.workspace.container.pid
        kernel, client = box.kernel()
        client.execute("hold = []\nwhile True: hold.append(bytearray(b'x' * 2**24))")
        ended = kernel.done.result(60)
        assert ended.out_of_memory
        assert ended.returncode == -9
        assert "256 MB" in kernel.why()
        assert "SYLA_MEMORY=512m" in kernel.why()
        assert os.path.exists(f"/proc/{agent}"), "the agent was killed"
        assert box.workspace.agent.call("usage")["oom_kills"] >= 1
        usable(box)
        ended = box.run("python3", "-c", "hold = []\nwhile True: hold.append(bytearray(b'x' * 2**24))").exit
        assert (ended.out_of_memory, ended.signal) == (True, 9)
        usable(box, "again")
        assert AgentClient(box.workspace.run.agent_socket).peer_pid == agent


def answers_within(box: Box, memory_bytes: int) -> bool:
    try:
        return bool(box.workspace.agent.call("usage")["memory_bytes"] <= memory_bytes)
    except (AgentError, WorkspaceLost):  # between two looks it ended, or is still busy with giving memory back
        return False


def test_memory_held_by_files(hostile_host: Host) -> None:
    """Every file in memory filled up at once: the workspace still answers, and can be ended."""
    with hostile_host.box(hostile_host.spec(memory_bytes=256 * MIB)) as box, host_responsive():
        code = (
            "for i in $(seq 40); do for d in /tmp /home/syla /workspace /dev/shm; do "
            "head -c 16M /dev/zero > $d/f$i; done; done; true"
        )
        with contextlib.suppress(SylaError, TimeoutError):  # who runs out may be the agent, which ends the workspace
            box.run("sh", "-c", code, timeout=90)
        wait_until(lambda: box.workspace.lost or answers_within(box, 256 * MIB), 60, "an answer or the end")
    assert box.workspace.lost
    wait_until(lambda: not box.workspace.run.path.exists(), 30, "the end of its run directory")


FORK_BOMB = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass"
ESCAPING = "import os\nwhile True:\n  try:\n    if os.fork() == 0: os.setsid()\n  except OSError: pass"


@pytest.mark.parametrize("code", [FORK_BOMB, ESCAPING], ids=["plain", "in new sessions"])
def test_fork_bomb(code: str, hostile_host: Host) -> None:
    """Processes stop at the limit; the host answers; the workspace ends when told, or serves on after the kill."""
    with hostile_host.box(hostile_host.spec(pids=64)) as box:
        with host_responsive():
            kernel, client = box.kernel()
            client.execute(code)
            full = wait_until(lambda: (u := box.workspace.agent.call("usage"))["pids"] >= 60 and u, 30, "the limit")
            assert full["pids"] <= 64
            assert not box.workspace.lost
            assert kernel.signal(9)
            assert kernel.done.result(20).signal == 9
        if code is FORK_BOMB:
            wait_until(lambda: box.workspace.agent.call("usage")["pids"] < 40, 20, "the group's end")
            usable(box)
        box.workspace.close()
        wait_until(lambda: not hostile_host.containers(), 40, "the container's end")
    with hostile_host.box() as box:
        usable(box)


def test_thread_bomb(hostile_host: Host) -> None:
    """Threads count as processes: the limit is met with an exception, and the kernel goes on."""
    with hostile_host.box(hostile_host.spec(pids=96)) as box, host_responsive():
        text, reply = box.cell(
            "import threading\nstop = threading.Event()\nn = 0\ntry:\n  while n < 5000:\n"
            "    threading.Thread(target=stop.wait).start(); n += 1\nexcept RuntimeError as exc: print(n, exc)\n"
            "finally: stop.set()"
        )
        assert reply["status"] == "ok", reply
        assert "can't start new thread" in text
        assert int(text.split()[0]) < 96
        assert box.cell("print(6 * 7)")[0] == "42\n"
        usable(box)


def test_descriptor_bomb(hostile_host: Host) -> None:
    """Open files stop at the limit with EMFILE; the agent and other kernels have their own."""
    with hostile_host.box() as box, host_responsive():
        text, _ = box.cell(
            "import os, errno\nheld = []\ntry:\n  while True: held.append(os.open('/dev/null', 0))\n"
            "except OSError as exc: name, n = errno.errorcode[exc.errno], len(held)\n"
            "for fd in held: os.close(fd)\nprint(name, n)"
        )
        name, count = text.split()
        assert name == "EMFILE"
        assert int(count) <= hostile_host.spec().limits.open_files
        usable(box)


def test_file_size_bomb(hostile_host: Host) -> None:
    """A file stops at the limit with OSError, inside and as the host sees it; the kernel goes on."""
    directory = hostile_host.directory()
    limit = 8 * MIB
    with hostile_host.box(hostile_host.spec("rw", directory, disk_bytes=limit)) as box, host_responsive():
        text, reply = box.cell(
            "import errno\ntry:\n  with open('/workspace/big', 'wb', buffering=0) as f:\n"
            "    while True: f.write(b'x' * 2**20)\nexcept OSError as exc: print(errno.errorcode[exc.errno])"
        )
        assert reply["status"] == "ok", reply
        assert text == "EFBIG\n"
        assert (directory / "big").stat().st_size <= limit
        assert box.cell("print(6 * 7)")[0] == "42\n"
        ended = box.run("sh", "-c", "head -c 100M /dev/zero > /workspace/other")
        assert ended.exit.code != 0 or ended.exit.signal
        assert (directory / "other").stat().st_size <= limit
        usable(box)


def test_tmp_fill(hostile_host: Host) -> None:
    """/tmp stops at its size with ENOSPC, and nothing of it is on the host's disk."""
    before = os.statvfs("/").f_bavail
    with hostile_host.box(hostile_host.spec(tmp_bytes=16 * MIB)) as box, host_responsive():
        text, _ = box.cell(
            "import errno, os\nn = 0\ntry:\n  while n < 100:\n"
            "    open(f'/tmp/{n}', 'wb').write(b'x' * 2**20); n += 1\nexcept OSError as exc:\n"
            "  print(errno.errorcode[exc.errno], n)"
        )
        name, count = text.split()
        assert name == "ENOSPC"
        assert int(count) <= 16
        assert box.cell("import glob\nfor f in glob.glob('/tmp/*'): os.remove(f)\nprint(6 * 7)")[0] == "42\n"
        usable(box)
    assert (before - os.statvfs("/").f_bavail) * os.statvfs("/").f_bsize < 200 * MIB  # others use this disk too


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_run_directory_fill(hostile_host: Host) -> None:
    """As root the run directory is a file system of its own, so small that filling it does not hurt the host."""
    place = Path(tempfile.mkdtemp(prefix="syla-bound-", dir="/run"))
    bound(place)
    try:
        bound(place)  # again: nothing happens
        assert os.path.ismount(place)
        with pytest.raises(OSError, match="No space left"), (place / "fill").open("wb") as file:
            for _ in range(100):
                file.write(b"0" * MIB)
        assert (place / "fill").stat().st_size <= 64 * MIB
    finally:
        subprocess.run(["umount", str(place)], check=True)
        place.rmdir()


def test_output_flood_of_a_command(hostile_host: Host) -> None:
    """`syla exec` carries half a gigabyte of output through without holding it, and to a reader that is slow."""
    environ = {**hostile_host.environ, "SYLA_HOME": str(hostile_host.root / "cli")}
    script = (
        "import sys; sys.argv = ['syla', 'exec', '--mount', 'none', '--', 'sh', '-c', "
        "'head -c 512M /dev/zero; echo end >&2']\n"
        "import atexit; atexit.register(lambda: print(open('/proc/self/status').read()"
        ".partition('VmHWM:')[2].split()[0], file=sys.stderr, flush=True))\n"
        "from traitlets.config import Config; from syla_jupyter import app\n"
        f"c = Config(); c.Syla.update(pool_size=0, lease_seconds=1.0, run_dir={str(hostile_host.run_dir)!r}); app.shared(c)\n"
        "from syla_jupyter.cli.main import main; main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], env=environ, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        count = 0
        while data := process.stdout.read(1 << 20):
            count += len(data)
        errors = process.stderr.read().split()
    assert process.returncode == 0, errors
    assert count == 512 * MIB
    assert errors[0] == b"end"
    assert int(errors[-1]) < 200 * 1024, "the host held the output"


def test_output_flood_of_a_kernel(hostile_host: Host) -> None:
    """A kernel that writes to its own standard error past its sockets does not fill the agent."""
    with hostile_host.box() as box:
        agent = f"/proc/{box.workspace.container.pid}/statm"
        _, reply = box.cell("import os\nfor _ in range(20000): os.write(2, b'x' * 4096)", timeout=120)
        assert reply["status"] == "ok"
        with open(agent) as file:
            assert int(file.read().split()[1]) * resource.getpagesize() < 64 * MIB, "the agent held the output"
        usable(box)


def test_a_start_at_the_limit_of_processes_says_so(hostile_host: Host) -> None:
    """Whatever fails first, it is told as the limit, with who uses it; room that is made is used."""
    with hostile_host.box(hostile_host.spec(pids=64)) as box:
        box.kernel("first")
        with pytest.raises(
            InsufficientResources, match=r"may have 64 processes and threads, used by \d kernels?\."
        ) as no:
            for number in range(10):
                box.kernel(f"more{number}")
        assert "End what is not needed" in str(no.value)
        assert not box.workspace.lost
        assert box.cell("print(6 * 7)", slot="first")[0] == "42\n"
        hostile_host.app.runtime.change_limits(
            box.workspace.container.id, dataclasses.replace(box.workspace.spec.limits, pids=256)
        )
        usable(box)


def test_a_command_at_the_limit_of_processes_says_so(hostile_host: Host) -> None:
    with hostile_host.box(hostile_host.spec(pids=64)) as box:
        box.kernel()
        box.cell(
            "import threading\nstop = threading.Event()\ntry:\n"
            "  while True: threading.Thread(target=stop.wait).start()\nexcept RuntimeError: pass"
        )
        with pytest.raises(InsufficientResources, match="used by 1 kernel"):
            box.run("true")
        box.cell("stop.set()")
        wait_until(lambda: box.workspace.agent.call("usage")["pids"] < 40, 20, "the threads' end")
        assert box.run("true").exit.code == 0
