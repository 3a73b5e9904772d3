"""The end of a terminal's session as the agent brings it about: everything that was started in it, wherever it went."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from syla_jupyter.agent.process import below
from syla_jupyter.runtimes.agent_client import AgentClient
from tests.installation import wait_until

from .agent_process import RunningAgent, running_agent

# In a session and group of their own, deaf to hanging up, orphaned, stopped: none of that helps.
ESCAPES = {
    "background": "sleep 300 &",
    "nohup": "nohup sleep 300 >/dev/null 2>&1 &",
    "setsid": "setsid sleep 300 &",
    "setsid of a subshell that ended": "(setsid sleep 300 &)",
    "daemon": "setsid sh -c '(trap \"\" HUP TERM; sleep 300; sleep 300) & exit' &",
    "stopped": "sleep 300 & until grep -q sleep /proc/$!/comm; do :; done; kill -STOP $!",
}


@pytest.fixture(scope="module")
def agent() -> Iterator[RunningAgent]:
    with running_agent(zygote=False, spares=0) as running:
        yield running


@contextlib.contextmanager
def shell(agent: RunningAgent, name: str, script: str) -> Iterator[tuple[int, int]]:
    """(pid, near end of its terminal) of an interactive shell that has run `script`."""
    near, far = os.openpty()
    try:
        request = {"process": name, "argv": ["bash", "--norc", "--noprofile"], "cwd": str(agent.directory)}
        answer = agent.client.call("command", env={"PS1": "$ "}, tty=True, fds=(far, far, far), **request)
        os.close(far)
        os.write(near, f"{script}\necho rea''dy\n".encode())
        shown = b""
        while b"ready" not in shown:
            shown += os.read(near, 65536)
        yield int(answer["pid"]), near
    finally:
        os.close(near)


def sleepers(pid: int) -> set[int]:
    """Below `pid`, those that have become `sleep`."""

    def program(one: int) -> str:
        try:
            return Path(f"/proc/{one}/comm").read_text()
        except OSError:
            return ""

    return {one for one in below(pid) if program(one) == "sleep\n"}


def alive(pids: set[int]) -> list[str]:
    def state(pid: int) -> str:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return "gone"

    return [f"{pid} {state(pid)}" for pid in sorted(pids) if state(pid) not in ("gone", "Z")]


@pytest.mark.parametrize("escape", ESCAPES)
def test_everything_started_in_it_ends_with_a_session(agent: RunningAgent, escape: str) -> None:
    """What was put into the background, detached or stopped is gone when the end of the shell is told."""
    with shell(agent, escape, ESCAPES[escape]) as (pid, _):
        started = wait_until(lambda: sleepers(pid), 5, "what was started")
        assert agent.client.call("end_session", process=escape)["ending"] is True
        agent.wait_event("exit", process=escape, timeout=5)
        wait_until(lambda: not alive(started), 2, f"the end of all: {alive(started)}")


def test_a_session_ends_against_a_fork_bomb(agent: RunningAgent) -> None:
    """A tree that forks as fast as it can is caught."""
    bomb = "(trap '' HUP; while :; do (while :; do sleep 0.01; done) & sleep 0.01; done) &"
    with shell(agent, "bomb", bomb) as (pid, _):
        wait_until(lambda: len(below(pid)) > 20, 10, "some processes")
        agent.client.call("end_session", process="bomb")
        agent.wait_event("exit", process="bomb", timeout=10)
        # What was killed dies when it is next scheduled; what had escaped would go on, in the same session.
        wait_until(lambda: not alive(set(below(pid))), 5, "the end of all")


def test_a_shell_may_save_its_history(agent: RunningAgent) -> None:
    """The shell is hung up, not killed, and has the time to write its history."""
    history = agent.directory / "history"
    with shell(agent, "history", f"HISTFILE={history}; set -o history; : remember this"):
        agent.client.call("end_session", process="history")
        event = agent.wait_event("exit", process="history", timeout=5)
        assert event["signal"] != signal.SIGKILL
    assert ": remember this" in history.read_text()


def test_a_shell_that_ignores_hanging_up_is_killed(agent: RunningAgent) -> None:
    """Within two grace periods."""
    with shell(agent, "deaf", "trap '' HUP TERM"):
        agent.client.call("end_session", process="deaf")
        assert agent.wait_event("exit", process="deaf", timeout=5)["signal"] == signal.SIGKILL


def test_everything_ends_with_the_host_that_was_killed() -> None:
    """A host process that dies takes its end of the terminal with it; what was detached ends all the same."""
    with running_agent(zygote=False, spares=0, hold_seconds=60) as other:
        host = AgentClient(other.directory / "agent", hold_seconds=60)
        near, far = os.openpty()
        request = {"process": "guarded", "argv": ["bash", "--norc"], "cwd": str(other.directory), "env": {}}
        pid = int(host.call("command", tty=True, fds=(far, far, far), **request)["pid"])
        os.close(far)
        assert host.call("guard_session", process="guarded", fds=(near,))["guarded"] is True
        os.write(near, b"setsid sleep 300 & (setsid nohup sleep 301 &)\n")
        started = wait_until(lambda: len(found := sleepers(pid)) == 2 and found, 5, "what was started")
        os.close(near)  # as the kernel does for a process that is killed: first the one, then the other
        host.close()
        other.wait_event("exit", process="guarded", timeout=5)
        wait_until(lambda: not alive(started), 2, f"the end of all: {alive(started)}")
        kept = [os.readlink(fd) for fd in Path(f"/proc/{other.process.pid}/fd").iterdir()]
        assert not [one for one in kept if "ptmx" in one]


def test_a_process_that_has_ended_is_not_guarded(agent: RunningAgent) -> None:
    """Its terminal is not kept."""
    near, far = os.openpty()
    try:
        assert agent.client.call("guard_session", process="nobody", fds=(near,))["guarded"] is False
    finally:
        os.close(near)
        os.close(far)


def test_after_exit_what_was_detached_goes_on(agent: RunningAgent) -> None:
    """A shell that ends by itself leaves `nohup` and `setsid` what they ask for; ending it then finds nothing."""
    with shell(agent, "left", "setsid nohup sleep 300 >/dev/null 2>&1 &") as (pid, near):
        started = wait_until(lambda: sleepers(pid), 5, "what was started")
        os.write(near, b"exit\n")
        agent.wait_event("exit", process="left", code=0)
        assert agent.client.call("end_session", process="left")["ending"] is False
        assert alive(started)
        for one in started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
