"""Variables of real kernels, saved and brought back in new ones: plain processes, no container."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client import BlockingKernelClient

from syla_jupyter.model.errors import AgentRefused

from .agent_process import RunningAgent, run_code, running_agent
from .variables_namespace import CELLS, HOSTILE, LOST, SHARED, VALUES

MIB = 1 << 20
CHECK = """
def _check(text):
    try: return bool(eval(text, globals()))
    except BaseException as exc: return repr(exc)
print('checked', __import__('json').dumps([_check(text) for text in {texts!r}]))
"""


@pytest.fixture(scope="module")
def agent() -> Iterator[RunningAgent]:
    with running_agent(spares=0) as running:
        yield running


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """One of the test's own."""
    return f"notebook-{request.node.name.encode().hex()[-30:]}"


class Kernel:
    """A kernel of a test, claimed with the variables saved under a key, or without."""

    def __init__(self, agent: RunningAgent, restore: str | None = None) -> None:
        name = f"k{time.monotonic_ns()}"
        self.answer = agent.start(name, restore_variables=restore)
        self._connection = agent.kernel(self.answer)
        self.client: BlockingKernelClient

    def __enter__(self) -> Kernel:
        self.client = self._connection.__enter__()
        self.client.wait_for_ready(30)
        return self

    def __exit__(self, *how: Any) -> None:
        self._connection.__exit__(*how)

    def run(self, code: str) -> str:
        return run_code(self.client, code)

    def ask(self, type: str, content: dict[str, Any]) -> dict[str, Any]:
        message = self.client.session.msg(f"{type}_request", content)
        self.client.control_channel.send(message)
        while True:
            answer = self.client.control_channel.get_msg(timeout=150)
            if answer["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                assert answer["msg_type"] == f"{type}_reply"
                return dict(answer["content"])

    def save(self, key: str, seconds: float = 120, stored_bytes: int = 1 << 32) -> dict[str, Any]:
        content = {"key": key, "seconds": seconds, "bytes": stored_bytes}
        answer = self.ask("syla_variables_save", content)
        answer["by_name"] = {one["name"]: one for one in answer.get("variables", [])}
        return answer

    def report(self) -> dict[str, dict[str, Any]]:
        return {one["name"]: one for one in self.ask("syla_variables_report", {})["variables"]}

    def failing(self, texts: list[str]) -> dict[str, Any]:
        """Of these expressions those that are not true, with what they are."""
        said = self.run(CHECK.format(texts=texts))
        found = json.loads(next(line for line in said.splitlines() if line.startswith("checked"))[8:])
        return {text: value for text, value in zip(texts, found, strict=True) if value is not True}


def saved_in(agent: RunningAgent, key: str) -> Path:
    return agent.directory / "home/.local/state/syla/variables" / key


def test_a_namespace_comes_back_and_what_does_not_is_named(agent: RunningAgent, key: str) -> None:
    """Values equal, shared objects shared, each loss named with its reason; twice in a row, and nothing new if nothing
    changed."""
    with Kernel(agent) as kernel:
        for cell in CELLS:
            kernel.run(cell)
        kernel.run(HOSTILE)
        everything = [*VALUES.values(), *SHARED]
        assert kernel.failing(everything) == {}
        first = kernel.save(key)
        assert first["status"] == "ok", first
        again = kernel.save(key)
        assert again["new_bytes"] <= 0.1 * MIB
    lost = {name: one["reason"] for name, one in first["by_name"].items() if one["status"] == "lost"}
    assert set(lost) == set(LOST)
    assert all(word in lost[name] for name, word in LOST.items()), lost
    assert first["by_name"]["bundle"]["status"] == "partial"
    assert first["by_name"]["conn"]["status"] == "recreated"
    assert again["total"] == first["total"] == len(first["by_name"])

    for last in (False, True):  # what was brought back can be saved as well
        with Kernel(agent, restore=key) as kernel:
            wrong = kernel.failing(list(VALUES.values()))
            assert len(wrong) <= 0.06 * len(VALUES), wrong
            assert wrong == {}
            assert kernel.failing(list(SHARED)) == {}
            assert {name for name, one in kernel.report().items() if one["status"] == "lost"} <= set(LOST)
            assert "generator" in kernel.run("print(bundle['gen'])")
            assert "was not saved" in kernel.run("try: next(bundle['gen'])\nexcept RuntimeError as e: print(e)")
            assert kernel.run("'bad_load' in globals()") == "False"
            assert last or kernel.save(key)["status"] == "ok"


def test_only_what_changed_is_new(agent: RunningAgent, key: str) -> None:
    with Kernel(agent) as kernel:
        kernel.run(
            "import numpy as np\nbig = np.random.default_rng(1).random(4_000_000); part = big[:5]; lst = [1]\n"
            "texts = np.array([str(i) for i in range(100_000)], dtype=object)"
        )
        assert kernel.save(key)["new_bytes"] > 31 * MIB
        assert kernel.save(key)["new_bytes"] == 0
        kernel.run("big[5] = 7.0")
        assert kernel.save(key)["new_bytes"] <= 4.1 * MIB
        kernel.run("lst.append(2)")
        answer = kernel.save(key)
        assert answer["new_bytes"] <= 0.1 * MIB
        on_disk = sum(path.stat().st_size for path in (saved_in(agent, key) / "blobs").rglob("*") if path.is_file())
        assert on_disk == answer["stored_bytes"] < 34 * MIB
        kernel.run("del big, part")
        assert kernel.save(key)["stored_bytes"] < 2 * MIB
    with Kernel(agent, restore=key) as kernel:
        assert kernel.run("print(lst, texts[77], 'big' in globals())") == "[1, 2] 77 False"


BREAKING = """
import ctypes, os, signal, sys, time
class Crashes:
    def __reduce__(self): os.kill(os.getpid(), signal.SIGSEGV)
class Hangs:
    def __reduce__(self): time.sleep(1000)
class CrashesLater:
    def __setstate__(self, state): os.kill(os.getpid(), signal.SIGSEGV)
class HangsLater:
    def __setstate__(self, state):
        while True:
            try: time.sleep(1000)
            except BaseException: pass
class Exits:
    def __reduce__(self): sys.exit(3)
m_crash, m_hang, m_crash_later, m_hang_later, m_exit = Crashes(), Hangs(), CrashesLater(), HangsLater(), Exits()
for each in (m_crash_later, m_hang_later): each.state = 1
del each
a_before = {'one': [1]}; z_after = a_before['one']; counts = list(range(100))
"""


def test_a_variable_that_crashes_or_hangs_costs_only_itself(agent: RunningAgent, key: str) -> None:
    """When it is pickled, and when it would be loaded; the kernel goes on meanwhile."""
    with Kernel(agent) as kernel:
        kernel.run(BREAKING)
        answer = kernel.save(key, seconds=24)
        assert answer["status"] == "ok", answer
        assert answer["pause_seconds"] < 1
        lost = {name: one["reason"] for name, one in answer["by_name"].items() if one["status"] == "lost"}
        assert set(lost) == {"m_crash", "m_hang", "m_crash_later", "m_hang_later", "m_exit"}
        assert "signal 11" in lost["m_crash"]
        assert "too long" in lost["m_hang"]
        assert "loading" in lost["m_crash_later"]
        assert "loading" in lost["m_hang_later"]
        assert kernel.run("z_after is a_before['one']") == "True"
    with Kernel(agent, restore=key) as kernel:
        assert kernel.run("print(z_after is a_before['one'], len(counts), 'm_crash' in globals())") == "True 100 False"


def test_a_kernel_that_what_it_loads_ends_is_tried_without_it(agent: RunningAgent, key: str) -> None:
    """Loads where it is tried, kills a kernel: the start fails, the next one leaves it out and says so."""
    with Kernel(agent) as kernel:
        kernel.run(
            "import os, sys\nclass Kills:\n    def __setstate__(self, s):\n"
            "        if 'ipykernel' in sys.modules: os._exit(9)\n"
            "killer = Kills(); killer.v = 1; kept = [1]"
        )
        assert kernel.save(key)["by_name"]["killer"]["status"] == "saved"
    with pytest.raises(AgentRefused):
        Kernel(agent, restore=key)
    for _ in range(2):
        with Kernel(agent, restore=key) as kernel:
            assert kernel.run("print(kept, 'killer' in globals())") == "[1] False"
            assert "ended" in kernel.report()["killer"]["reason"]


def test_without_memory_for_a_fork_it_says_so_and_saves_what_fits(
    agent: RunningAgent, key: str, tmp_path: Path
) -> None:
    (tmp_path / "memory.max").write_text(str(1 << 30))
    (tmp_path / "memory.current").write_text("0")
    with Kernel(agent) as kernel:
        kernel.run("import sys\na_first = [1, 2]")
        assert kernel.save(key)["status"] == "ok"
        kernel.run(f"sys.modules['_syla_cgroup'].ROOT = {str(tmp_path)!r}; a_first.append(3)")
        (tmp_path / "memory.current").write_text(str((1 << 30) - MIB))
        refused = kernel.save(key)
        assert refused["status"] == "error"
        assert "memory" in refused["reason"]
        (tmp_path / "memory.current").write_text("0")
        kernel.run(
            "class Fills:\n    def __reduce__(self):\n"
            f"        open({str(tmp_path / 'memory.current')!r}, 'w').write(str((1 << 30) - (1 << 20)))\n"
            "        __import__('time').sleep(0.1); return (list, ())\n"
            "b_fills = Fills(); c_late = [4]"
        )
        tight = kernel.save(key)
        (tmp_path / "memory.current").write_text("0")
    assert tight["status"] == "ok"
    assert "memory" in tight["by_name"]["c_late"]["reason"]


def test_a_save_that_is_killed_leaves_the_one_before(agent: RunningAgent, key: str) -> None:
    with Kernel(agent) as kernel:
        kernel.run("value = 1")
        assert kernel.save(key)["status"] == "ok"
        kernel.run(
            "value = 2\nimport os, signal\nclass Kills:\n"
            "    def __reduce__(self): os.kill(os.getppid(), signal.SIGKILL)\nkills = Kills()"
        )
        answer = kernel.save(key)
        assert answer["status"] == "error"
        assert "kept" in answer["reason"]
        assert kernel.run("value") == "2"
    with Kernel(agent, restore=key) as kernel:
        assert kernel.run("print(value, 'kills' in globals())") == "1 False"


def test_a_busy_kernel_is_saved_too_and_stands_still_for_the_fork_only(agent: RunningAgent, key: str) -> None:
    with Kernel(agent) as kernel:
        kernel.run("import time, threading\nkept = {'a': 1}; gaps = []; stop = threading.Event()")
        busy = threading.Event()
        cell = (
            "last = time.perf_counter()\nwhile not stop.is_set():\n"
            "    now = time.perf_counter(); gaps.append(now - last); last = now\n    time.sleep(0.001)"
        )
        asked = kernel.client.execute(cell)
        while not busy.is_set():
            message = kernel.client.get_iopub_msg(timeout=20)
            if message["parent_header"].get("msg_id") == asked and message["msg_type"] == "execute_input":
                busy.set()
        answer = kernel.save(key)
        kernel.client.stop_channels()
        assert answer["status"] == "ok"
        assert answer["busy"] is True
        assert answer["by_name"]["kept"]["status"] == "saved"
        assert answer["pause_seconds"] < 1
    with Kernel(agent, restore=key) as kernel:
        assert kernel.run("kept") == "{'a': 1}"


def test_limits_of_bytes_and_time_are_kept(agent: RunningAgent, key: str) -> None:
    with Kernel(agent) as kernel:
        kernel.run("import numpy as np\nbig = np.ones(1_000_000); small = [1]")
        answer = kernel.save(key, stored_bytes=MIB)
        assert answer["by_name"]["big"]["status"] == "lost"
        assert "7 MB are more than" in answer["by_name"]["big"]["reason"]
        assert answer["by_name"]["small"]["status"] == "saved"
        kernel.run("import time\nclass Slow:\n    def __reduce__(self): time.sleep(0.3); return (list, ())")
        kernel.run("for n in range(20): globals()['slow%02d' % n] = Slow()")
        began = time.monotonic()
        slow = kernel.save(key, seconds=2)
        assert time.monotonic() - began < 20
        assert any("time" in one["reason"] for one in slow["by_name"].values()), slow


def test_what_is_damaged_on_disk_costs_only_itself(agent: RunningAgent, key: str) -> None:
    with Kernel(agent) as kernel:
        kernel.run("import numpy as np\nbig = np.arange(1_000_000); words = ['x' * 1000, 'y']; kept = [1]")
        assert kernel.save(key)["status"] == "ok"
    manifest = json.loads((saved_in(agent, key) / "manifest.json").read_text())
    groups = {group["names"][0]: group for group in manifest["groups"]}

    def blob(described: dict[str, Any]) -> Path:
        return saved_in(agent, key) / "blobs" / described["chunks"][0][:2] / described["chunks"][0]

    blob(groups["big"]["buffers"][0]).write_bytes(b"short")
    words = blob(groups["words"]["stream"])
    words.write_bytes(words.read_bytes().replace(b"xx", b"zz"))
    with Kernel(agent, restore=key) as kernel:
        report = kernel.report()
        assert (report["big"]["status"], report["words"]["status"]) == ("lost", "lost")
        assert "damaged" in report["big"]["reason"]
        assert kernel.run("kept") == "[1]"
        assert kernel.save(key)["status"] == "ok"


@pytest.mark.parametrize("wrong", ["../../etc", "", "a/b", "NOTEBOOK", "x" * 100, 7, None])
def test_what_is_no_key_is_refused(agent: RunningAgent, wrong: Any) -> None:
    with Kernel(agent) as kernel:
        answer = kernel.ask("syla_variables_save", {"key": wrong, "seconds": 5, "bytes": 1000})
        assert answer["status"] == "error"
    started = Kernel(agent, restore=str(wrong)).answer
    assert started["ok"] is True
    assert not (started["restored"] or {}).get("saved")


def test_a_kernel_without_anything_to_restore_is_as_it_was(agent: RunningAgent) -> None:
    with Kernel(agent) as kernel:
        assert "restored" not in kernel.answer or kernel.answer["restored"] is None
        assert kernel.ask("syla_variables_report", {})["restored"] is False
    with Kernel(agent, restore="notebook-00") as kernel:
        assert kernel.ask("syla_variables_report", {})["restored"] is False
        assert kernel.run("len([n for n in globals() if n == 'cloudpickle'])") == "0"
