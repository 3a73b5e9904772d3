"""The agent as a process: kernels through the zygote, argv kernels, commands, leases, refusals."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from syla_jupyter.model.errors import AgentRefused, WorkspaceLost
from syla_jupyter.runtimes.agent_client import AgentClient

from ..installation import wait_until
from .agent_process import KEY, RunningAgent, descendants, run_code, running_agent


@pytest.fixture(scope="module")
def agent() -> Iterator[RunningAgent]:
    with running_agent(preload=["numpy", "no_such_module_anywhere"]) as running:
        yield running


def test_a_claimed_kernel_has_the_cwd_and_environment_of_its_claim(agent: RunningAgent) -> None:
    """A kernel started through the zygote runs in the asked directory with the asked variables, and leads its group."""
    answer = agent.start("cwd", env={"COLOUR": "green", "JPY_SESSION_NAME": "/workspace/a.ipynb"})
    with agent.kernel(answer) as client:
        first = client.execute_interactive("None", timeout=30)
        assert first["content"]["execution_count"] == 1  # what warmed it up left no trace
        code = "import os; print(os.getcwd(), os.environ['COLOUR'], os.getpgid(0) == os.getsid(0) == os.getpid())"
        assert run_code(client, code) == f"{agent.directory} green True"
        assert run_code(client, "__session__") == "'/workspace/a.ipynb'"
        assert run_code(client, "1 + 1") == "2"
        assert run_code(client, "[line for line in In if line][0]") == "'None'"


def test_a_missing_directory_is_refused_with_its_name(agent: RunningAgent) -> None:
    """A start in a directory that does not exist is refused, and the message names it."""
    with pytest.raises(AgentRefused, match="/no/such/place"):
        agent.start("nowhere", cwd="/no/such/place")


def test_kernels_have_generators_of_their_own(agent: RunningAgent) -> None:
    """Two kernels forked from one zygote with numpy loaded draw different numbers."""
    agent.wait_event("preload", module="numpy", ok=True)
    drawn = []
    for name in ("random-1", "random-2"):
        with agent.kernel(agent.start(name)) as client:
            code = (
                "import sys, random; print('numpy' in sys.modules, random.random(), __import__('numpy').random.rand())"
            )
            drawn.append(run_code(client, code).split())
    assert [d[0] for d in drawn] == ["True", "True"]
    assert drawn[0][1] != drawn[1][1]
    assert drawn[0][2] != drawn[1][2]


def test_numpy_computes_with_threads_after_the_fork(agent: RunningAgent) -> None:
    """A library that was loaded before the fork and uses threads of its own still works after it."""
    agent.wait_event("preload", module="numpy", ok=True)
    with agent.kernel(agent.start("blas")) as client:
        code = "import numpy as np; float((np.ones((600, 600)) @ np.ones((600, 600))).sum())"
        assert run_code(client, code) == "216000000.0"


def test_a_module_that_cannot_be_preloaded_is_said(agent: RunningAgent) -> None:
    """A wrong name on the preload list is skipped and reported with a reason; kernels start all the same."""
    event = agent.wait_event("preload", module="no_such_module_anywhere")
    assert event["ok"] is False
    assert "cannot be imported" in event["reason"]


def test_a_module_that_leaves_threads_is_not_preloaded(tmp_path: Path) -> None:
    """A module whose import starts a thread, crashes or leaves the interpreter is found out and kept out."""
    bad = {
        "starts_thread": "import threading, time; threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()",
        "crashes": "import os; os.abort()",
        "leaves": "import sys; sys.exit(0)",
    }
    for name, source in bad.items():
        (tmp_path / f"{name}.py").write_text(source)
    with running_agent(preload=[*bad, "wave"], environ={"PYTHONPATH": str(tmp_path)}) as agent:
        agent.client.call("ready", timeout=60)
        reasons = {e["module"]: e["reason"] for e in agent.events if e["event"] == "preload"}
        assert "leaves threads" in reasons["starts_thread"]
        assert "crashed" in reasons["crashes"]
        assert reasons["leaves"]
        assert reasons["wave"] == ""
        with agent.kernel(agent.start("after")) as client:
            code = "import sys; print([m in sys.modules for m in ('starts_thread', 'crashes', 'leaves', 'wave')])"
            assert run_code(client, code) == "[False, False, False, True]"


def test_output_and_exit_of_a_kernel_are_reported(agent: RunningAgent) -> None:
    """The end of a kernel is an event with its signal and the last of its standard error."""
    answer = agent.start("crash")
    with agent.kernel(answer) as client:
        client.execute("import os, signal; os.write(2, b'last words'); os.kill(os.getpid(), signal.SIGSEGV)")
        event = agent.wait_event("exit", process="crash")
    assert event["signal"] == signal.SIGSEGV
    assert event["out_of_memory"] is False


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "gone"


def test_signals_go_to_the_whole_process_group(agent: RunningAgent) -> None:
    """A signal reaches the kernel's children as well; for the dead it is not delivered and nothing happens."""
    answer = agent.start("group")
    with agent.kernel(answer) as client:
        child = int(run_code(client, "import subprocess; p = subprocess.Popen(['sleep', '1000']); p.pid"))
        assert agent.client.call("signal", process="group", number=9)["delivered"] is True
        agent.wait_event("exit", process="group", signal=9)
    wait_until(lambda: state(child) in ("gone", "Z"), 20, "the end of the child")
    assert agent.client.call("signal", process="group", number=9)["delivered"] is False


def test_an_argv_kernel_starts_without_the_zygote(agent: RunningAgent) -> None:
    """A kernel given by its argv gets a connection file and is ready when its sockets are."""
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    with agent.kernel(agent.start("argv", argv=argv)) as client:
        assert run_code(client, "40 + 2") == "42"


def test_an_argv_that_ends_at_once_says_why(agent: RunningAgent) -> None:
    """A kernel command that fails is refused with what it wrote to its standard error."""
    with pytest.raises(AgentRefused, match="broken on purpose"):
        agent.start("broken", argv=[sys.executable, "-c", "import sys; sys.exit('broken on purpose')"])
    with pytest.raises(AgentRefused, match="no such file or command"):
        agent.start("absent", argv=["/no/such/kernel"])


def test_a_command_runs_on_the_descriptors_it_is_given(agent: RunningAgent) -> None:
    """A command reads and writes the given descriptors; its exit code is an event."""
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    argv = ["sh", "-c", "cat; exit 7"]
    agent.client.call(
        "command", process="cmd", argv=argv, cwd="/", env={}, fds=(in_read, out_write, out_write), timeout=10
    )
    for fd in (in_read, out_write):
        os.close(fd)
    os.write(in_write, b"through the pipe")
    os.close(in_write)
    assert os.read(out_read, 100) == b"through the pipe"
    assert agent.wait_event("exit", process="cmd")["code"] == 7
    os.close(out_read)


def test_a_dead_zygote_is_replaced() -> None:
    """When the zygote is killed, running kernels go on and the next start works."""
    with running_agent() as agent, agent.kernel(agent.start("before")) as client:
        zygote = int(run_code(client, "import os; os.getppid()"))
        os.kill(zygote, signal.SIGKILL)
        agent.wait_event("zygote_died")
        assert run_code(client, "'alive'") == "'alive'"
        with agent.kernel(agent.start("after")) as after:
            assert run_code(after, "'new'") == "'new'"
        agent.client.call("signal", process="before", number=9)
        agent.wait_event("exit", process="before", signal=9)


def test_the_agent_ends_when_nobody_holds_it() -> None:
    """After the last holder let go, the agent ends within the time of the lease, with the exit code of a lease."""
    with running_agent(zygote=False, hold_seconds=0.3) as agent:
        agent.client.close()
        assert agent.process.wait(10) == 75


def test_the_deadline_ends_a_held_agent() -> None:
    """A deadline ends the agent even while it is held, and the holder is told first."""
    with running_agent(zygote=False) as agent:
        agent.client.call("deadline", seconds=0.2)
        assert agent.process.wait(10) == 76
        assert agent.wait_event("ending")["code"] == 76


def test_until_it_is_opened_an_agent_is_ready_without_a_spare() -> None:
    """Ready once its zygote is: nothing is preloaded or forked, and no socket made, before directories are in place."""
    with running_agent(open=False, preload=["wave"]) as agent:
        agent.client.call("ready", timeout=60)
        usage = agent.client.call("usage")
        assert (usage["kernels"], usage["spares_ready"]) == (0, 0)
        assert sorted(os.listdir(agent.directory)) == ["agent", "home"]
        assert len(descendants(agent.process.pid)) == 1
        assert agent.events == []
        agent.process.send_signal(signal.SIGSTOP)  # so that both are there when it looks
        opened = agent.client.submit("open")
        started = agent.client.submit("start", process="first", key=KEY.hex(), cwd=str(agent.directory), env={})
        agent.process.send_signal(signal.SIGCONT)
        assert opened.result(30)["ok"]
        with agent.kernel(dict(started.result(60))) as client:
            code = "import sys; print(type(sys.modules['ipykernel.debugger']).__name__)"
            assert run_code(client, code) == "StandIn"  # nothing was preloaded while the start waited
        agent.client.call("ready", timeout=60)  # now with a spare
        assert agent.client.call("usage")["spares_ready"] == 1
        assert agent.wait_event("preload", module="wave")["ok"]


def test_an_agent_is_claimed_once() -> None:
    """Only the first claim is accepted."""
    with running_agent(zygote=False) as agent:
        AgentClient(agent.directory / "agent", claim=True).close()
        with pytest.raises(AgentRefused, match="has been claimed"):
            AgentClient(agent.directory / "agent", claim=True)


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("nonsense", {}),
        ("start", {"process": 5, "cwd": "/", "key": "00"}),
        ("start", {"process": "x", "cwd": "/", "key": "not hexadecimal"}),
        ("start", {"process": "x", "cwd": "/", "key": "00", "env": {"A": 1}}),
        ("start", {"process": "x", "cwd": "/", "key": "00", "argv": []}),
        ("signal", {"process": "x", "number": 9999}),
        ("deadline", {"seconds": -1}),
        ("command", {"process": "x", "argv": ["true"], "cwd": "/"}),
    ],
)
def test_bad_requests_change_nothing(agent: RunningAgent, operation: str, arguments: dict[str, object]) -> None:
    """A request that is not of its form is refused, and the agent goes on."""
    with pytest.raises(AgentRefused):
        agent.client.call(operation, **arguments)
    assert "kernels" in agent.client.call("usage")


def test_usage_is_plain_numbers(agent: RunningAgent) -> None:
    """Usage is JSON with numbers or null, and counts kernels."""
    usage = dict(agent.client.call("usage"))
    json.dumps(usage)
    assert usage["kernels"] >= 0


def test_calls_on_a_lost_agent_fail_at_once() -> None:
    """When the agent is gone, every call says so instead of waiting."""
    with running_agent(zygote=False) as agent:
        agent.process.kill()
        agent.process.wait()
        with pytest.raises(WorkspaceLost):
            agent.client.call("usage", timeout=5)
