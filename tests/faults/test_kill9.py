"""Whoever is killed, and whenever: the lease ends the container, and `reconcile` leaves nothing."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from syla_jupyter.model.errors import WorkspaceLost

from ..hostile.conftest import Host, wait_until
from .conftest import Client, nothing_left, records, runs

Start = Callable[..., Client]


def in_ms(milliseconds: int, act: Callable[[], None]) -> None:
    """The moment is what is tested here, not waited for."""
    timer = threading.Timer(milliseconds / 1000, act)
    timer.start()
    timer.join()


def any_path(host: Host, pattern: str) -> bool:
    return any(True for _ in host.run_dir.glob(pattern))


STATES: dict[str, Callable[[Host], bool]] = {
    "run directory made": lambda host: bool(runs(host)),
    "container made": lambda host: bool(host.containers()),
    "agent listens": lambda host: any_path(host, "*/c/agent"),
    "agent connected": lambda host: any_path(host, "*/h/agent"),
    "kernel binds": lambda host: any_path(host, "*/c/k1-1"),
    "kernel linked": lambda host: any_path(host, "k/*-5"),
}


@pytest.mark.parametrize("state", STATES)
def test_client_killed_in_a_state_of_start(state: str, client: Start, hostile_host: Host) -> None:
    """kill -9 of the client as soon as a start has got so far: nothing is left."""
    one = client("start")
    one.wait_for("launching")
    until = time.monotonic() + 30
    while not STATES[state](hostile_host):  # as close to the moment as can be
        assert time.monotonic() < until
    one.kill()
    nothing_left(hostile_host)


@pytest.mark.parametrize("milliseconds", [0, 50, 120, 250, 400, 550, 700, 900, 1200, 1500])
def test_client_killed_after_a_time(milliseconds: int, client: Start, hostile_host: Host) -> None:
    """kill -9 of the client at any time from the start's first line on: nothing is left."""
    one = client("start", "execute")
    one.wait_for("launching")
    in_ms(milliseconds, one.kill)
    nothing_left(hostile_host)


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        (("start",), "started"),
        (("start",), "ready"),
        (("execute",), "executing"),
        (("restart", "execute"), "restarting"),
        (("restart", "execute"), "restarted"),
        (("shutdown", "execute"), "closing"),
        (("shutdown",), "closed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("milliseconds", [0, 30])
def test_client_killed_while_it_works(
    steps: tuple[str, ...], word: str, milliseconds: int, client: Start, hostile_host: Host
) -> None:
    """kill -9 of the client while it executes, restarts or shuts down: nothing is left."""
    one = client(*steps)
    one.wait_for(word)
    in_ms(milliseconds, one.kill)
    nothing_left(hostile_host)


def pooled(host: Host) -> tuple[str, str]:
    """(key, description) of the workspace that a client in `host.root` asks for."""
    key, description = host.service._recipe.key(host.spec("rw", host.root))
    host.app.pool.want(key, description)
    return key, json.dumps(description, default=str)


@pytest.mark.parametrize("milliseconds", [0, 10, 20, 40, 80, None])
def test_client_killed_while_it_claims(milliseconds: int | None, client: Start, hostile_host: Host) -> None:
    """kill -9 in the middle of a claim from the pool: the container is not claimed again, and nothing is left."""
    key, description = pooled(hostile_host)
    hostile_host.service.fill_pool(json.loads(description), key)
    (record,) = records(hostile_host)
    one = client("start")
    one.wait_for("launching")
    if milliseconds is None:
        wait_until(lambda: record not in records(hostile_host), what="the claim")
        one.kill()
    else:
        in_ms(milliseconds, one.kill)
    if record in records(hostile_host):
        assert hostile_host.service.drain() == 1  # killed before its claim: still good
    nothing_left(hostile_host, by_lease=False)


@pytest.mark.parametrize("state", ["container made", "agent connected", "record", "late"])
def test_refill_killed(state: str, client: Start, hostile_host: Host) -> None:
    """kill -9 of a refill: what it had made is either a good container of the pool or is removed by `reconcile`."""
    key, description = pooled(hostile_host)
    one = client("fill", key, description)
    one.wait_for("filling")
    looks = {**STATES, "record": lambda host: bool(records(host)), "late": lambda host: any_path(host, "*/c/k1-5")}
    wait_until(lambda: looks[state](hostile_host), 30, state)
    one.kill()

    def settled() -> bool:
        """A draft of a record counts as changing hands for some seconds; then `reconcile` removes what it was for."""
        hostile_host.service.reconcile()
        ready = {Path(name).name for name in records(hostile_host) if "/ready/" in name and "/." not in name}
        return ready == set(runs(hostile_host)) and len(hostile_host.containers()) == len(ready) == len(
            records(hostile_host)
        )

    wait_until(settled, 40, "as many containers and run directories as records")
    ready = len(runs(hostile_host))
    assert hostile_host.service.drain() == ready
    nothing_left(hostile_host)


def test_record_of_a_dead_claim_is_forgotten(hostile_host: Host) -> None:
    """What a killed claim or refill left among the pool's records is gone after `reconcile`."""
    key, _ = pooled(hostile_host)
    directory = hostile_host.app.settings.data_dir / "pool" / key
    files = [directory / name for name in ("taken/0a0a0a0a", "ready/0b0b0b0b", "ready/.0c0c0c0c")]
    for file in files:
        file.write_text("{}")
    try:
        hostile_host.service.reconcile()
        assert records(hostile_host) == []
    finally:
        for file in files:
            file.unlink(missing_ok=True)


def test_record_of_another_form_is_a_miss(hostile_host: Host) -> None:
    """A pool record that is not of our form costs the claim nothing but a cold start."""
    key, _ = pooled(hostile_host)
    for text in ("", "[]", "7", "{}"):
        (hostile_host.app.settings.data_dir / "pool" / key / "ready" / "0d0d0d0d").write_text(text)
        assert list(hostile_host.app.pool.take(key)) == []
    assert records(hostile_host) == []


def test_agent_killed_from_the_host(hostile_host: Host) -> None:
    """kill -9 of a container's first process: its processes are reported ended at once, and a new one can be had."""
    with hostile_host.box() as box:
        kernel, _ = box.kernel()
        name = box.workspace.container.name
        subprocess.run(["docker", "kill", name], check=True, capture_output=True)
        ended = kernel.done.result(10)
        assert ended.code is None
        assert "killed" in kernel.why()
        assert box.workspace.lost
        with pytest.raises(WorkspaceLost):
            box.workspace.start_kernel("n", key=b"k", cwd="/", env={}, timeout=5)
    with hostile_host.box() as box:
        assert box.cell("print(1)")[0] == "1\n"
    nothing_left(hostile_host)


def test_zygote_killed_from_inside(hostile_host: Host) -> None:
    """kill -9 of the zygote by a cell: the kernels that run go on, and the next start works."""
    with hostile_host.box() as box:
        kernel, _ = box.kernel()
        code = (
            "import os, signal\n"
            "def parent(p): return int(open(f'/proc/{p}/stat').read().rpartition(')')[2].split()[1])\n"
            "zygote = parent(os.getpid()); assert zygote != 1; os.kill(zygote, signal.SIGKILL)\n"
            "print('killed', zygote)"
        )
        for round in range(3):
            slot = f"k{round}"
            text, reply = box.cell(code, slot=slot)
            assert reply["status"] == "ok", reply
            assert text.startswith("killed")
            assert box.cell("print(6 * 7)", slot=f"n{round}")[0] == "42\n"
            assert box.cell("print(6 * 7)", slot=slot)[0] == "42\n"
        assert kernel.exit is None
        first = box.kernel("k0")[0]
        assert first.signal(9)  # its parent is the agent now, which reports it all the same
        assert first.done.result(10).signal == 9


@pytest.mark.parametrize("how", [["rm", "-f"], ["kill"], ["stop", "-t1"]], ids=lambda how: how[0])
def test_container_removed_under_a_kernel(how: list[str], client: Start, hostile_host: Host) -> None:
    """A container removed by somebody else: jupyter_client is told, and a restart makes another."""
    one = client("survive")
    one.wait_for("ready")
    (name,) = hostile_host.containers()
    subprocess.run(["docker", *how, name], check=True, capture_output=True)
    one.say()
    assert one.wait_for("ended").startswith("ended True")
    assert one.wait_for("again") == "again 42"
    wait_until(lambda: name not in hostile_host.containers(), 30, "the removal of the container")
    one.say()
    one.wait_for("open")
    one.close()
    nothing_left(hostile_host)


def test_open_client_goes_on_after_a_new_container(client: Start, hostile_host: Host) -> None:
    """A client that was connected reaches the kernel again after its container was replaced, and no directory stays."""
    one = client("survive")
    one.wait_for("ready")
    (name,) = hostile_host.containers()
    subprocess.run(["docker", "rm", "-f", name], check=True, capture_output=True)
    one.say()
    one.wait_for("again")
    left = runs(hostile_host)
    one.say()
    answer = one.wait_for("open")
    one.close()
    assert len(left) == 1, "the run directory of the lost container stays while its client lives"
    assert answer == "open 42"


def test_orphans_of_another_installation_are_left_alone(hostile_host: Host, tmp_path: Path) -> None:
    """`reconcile` removes nothing of another data directory that shares the run directory."""
    other = hostile_host.run_dir / "feedface"
    other.mkdir(mode=0o700)
    (other / "data_dir").write_text(str(tmp_path))
    assert not [line for line in hostile_host.service.reconcile() if "feedface" in line]
    assert other.is_dir()
    (other / "data_dir").unlink()
    other.rmdir()
