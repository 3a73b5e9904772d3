"""Code runs in a workspace's REPL kernel, by the Python API: what it gives, its limits, who else uses the kernel."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from syla_jupyter import AsyncSyla, Syla
from syla_jupyter.api import Workspace
from syla_jupyter.model.errors import (
    AgentTimeout,
    BadInput,
    Conflict,
    NameTaken,
    NotConfirmed,
    UnknownTemplate,
    UnknownWorkspace,
    WrongState,
)
from syla_jupyter.model.policy import Policy
from syla_jupyter.model.workspace import MIB, Limits
from syla_jupyter.workspaces.execution import BUNDLE_MAX, GRACE_SECONDS, OUTPUT_MAX
from tests.installation import Installation

Environ = dict[str, str]


@pytest.fixture(scope="module")
def environ(session_dir: Path, engine: Any) -> Iterator[Environ]:
    """Of an installation of this module's own, of which nothing is left afterwards."""
    home = session_dir / "execution"
    yield {**os.environ, "SYLA_HOME": str(home)}
    installation = Installation(home, engine)
    installation.end_workspaces()
    installation.drain()
    installation.assert_nothing_left()


@pytest.fixture(scope="module")
def syla(environ: Environ, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Syla]:
    with Syla(tmp_path_factory.mktemp("root"), environ) as opened:
        yield opened


@pytest.fixture(scope="module")
def workspace(syla: Syla) -> Workspace:
    """One that all tests use; a test that needs an empty kernel calls `fresh`."""
    return syla.create("shared", limits=Limits(2, 512 * MIB, 1 << 30))


def in_thread(call: Any) -> tuple[threading.Thread, list[Any]]:
    """Started; what it gives or raises is put into the list."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(call())
        except Exception as exc:
            found.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, found


def test_state_is_kept_between_executions(workspace: Workspace) -> None:
    """Output, the last expression's value, displays and times; the next one sees the variables."""
    heard: list[Mapping[str, Any]] = []
    first = workspace.execute("import sys\na = 1\nprint('out')\nprint('err', file=sys.stderr)", on_message=heard.append)
    assert (first.status, first.stdout, first.stderr, first.result) == ("ok", "out\n", "err\n", None)
    assert {m["execution"] for m in heard} == {first.id}
    for stream, text in (("stdout", "out\n"), ("stderr", "err\n")):
        assert "".join(m["text"] for m in heard if m["type"] == "stream" and m["name"] == stream) == text
    second = workspace.execute("from IPython.display import HTML\ndisplay(HTML('<b>x</b>'))\na + 1")
    assert second.result == {"text/plain": "2"}
    assert second.displays[0]["text/html"] == "<b>x</b>"
    assert first.started_at + first.seconds <= second.started_at + 0.01
    assert not first.truncated


def test_an_error_has_name_value_and_traceback(workspace: Workspace) -> None:
    """And the state stays."""
    ended = workspace.execute("a = 5\nraise ValueError('on purpose')")
    assert ended.status == "error"
    assert ended.error is not None
    assert (ended.error.name, ended.error.value) == ("ValueError", "on purpose")
    assert "on purpose" in "".join(ended.error.traceback)
    assert workspace.execute("a").result == {"text/plain": "5"}


def test_the_time_limit_interrupts(workspace: Workspace) -> None:
    """The kernel and its variables are still there, and what was printed before."""
    ended = workspace.execute("b = 7\nprint('on', flush=True)\nwhile True: pass", timeout_seconds=3)
    assert (ended.status, ended.stdout) == ("timeout", "on\n")
    assert 3 <= ended.seconds < 3 + GRACE_SECONDS
    assert workspace.execute("b").result == {"text/plain": "7"}


def test_code_that_does_not_listen_is_killed(workspace: Workspace) -> None:
    """After the grace; the next execution has a new kernel."""
    deaf = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nc = 1\ntime.sleep(600)"
    ended = workspace.execute(deaf, timeout_seconds=3)
    assert ended.status == "killed"
    assert ended.exit_code == 137
    assert ended.error is not None
    assert "variables" in ended.error.value
    assert workspace.execute("'c' in globals()").result == {"text/plain": "False"}


def test_a_kernel_that_dies_is_told(workspace: Workspace) -> None:
    """With the reason: here its memory limit."""
    ended = workspace.execute("x = bytearray(2 << 30)")
    assert ended.status == "died"
    assert ended.error is not None
    assert "memory limit of 512 MB" in ended.error.value
    assert ended.exit_code == 137
    workspace.refresh()
    workspace.change(limits=Limits(2, 768 * MIB, 1 << 30))  # while it runs
    try:
        again = workspace.execute("x = bytearray(2 << 30)")
        assert again.error is not None
        assert "memory limit of 768 MB" in again.error.value
    finally:
        workspace.refresh()
        workspace.change(limits=Limits(2, 512 * MIB, 1 << 30))
    assert workspace.execute("1").status == "ok"


def test_output_is_bounded_and_says_so(workspace: Workspace) -> None:
    """Of a stream the beginning is kept; of a large bundle its text; of a message too large nothing, and it ends."""
    ended = workspace.execute(f"print('x' * {3 * OUTPUT_MAX})")
    assert (ended.status, len(ended.stdout), ended.truncated) == ("ok", OUTPUT_MAX, True)
    bundle = workspace.execute(f"display({{'text/plain': 'small', 'x/large': 'y' * {BUNDLE_MAX}}}, raw=True)")
    assert (bundle.displays, bundle.truncated) == (({"text/plain": "small"},), True)
    large = workspace.execute("display({'x/large': 'y' * (20 << 20)}, raw=True)\nprint('after')", timeout_seconds=30)
    assert large.status == "ok"
    assert large.truncated
    assert not workspace.execute("1").truncated


def test_code_that_forges_messages_cannot_stop_its_execution(workspace: Workspace) -> None:
    """The kernel's own key signs nonsense and lies; the execution ends as it did, and not before."""
    forged = """
import json, time
kernel = get_ipython().kernel
session, parent = kernel.session, kernel.get_parent()
def say(kind, content): session.send(kernel.iopub_socket, kind, content, parent=parent)
say('stream', {'name': 'stdout', 'text': 7}); say('stream', {'name': 'elsewhere', 'text': 'x'}); say('stream', {})
say('display_data', {'data': [1]}); say('error', {'traceback': 'no list', 'ename': {}, 'evalue': None})
say('status', {'execution_state': ['idle']}); say('never heard of', {})
time.sleep(0.3)
print('end')
"""
    ended = workspace.execute(forged)
    assert ended.stdout == "end\n"
    assert workspace.execute("1").result == {"text/plain": "1"}


def test_two_callers_take_turns(environ: Environ, syla: Syla, workspace: Workspace) -> None:
    """A second one waits, hears so, and has its own output; one with too little time runs nothing."""
    workspace.execute("import os, time; log = []")
    go, runs = workspace.files / "go", threading.Event()
    heard: list[str] = []

    def running(message: Mapping[str, Any]) -> None:
        if message["type"] == "running":
            runs.set()

    def waiting(message: Mapping[str, Any]) -> None:
        heard.append(message["type"])
        if message["type"] == "waiting":
            go.touch()

    until_told = "while not os.path.exists('go'): time.sleep(0.01)\nlog.append('first'); print('first')"
    with Syla(environ=environ) as other:
        same = other.get(workspace.id)
        busy, first = in_thread(lambda: workspace.execute(until_told, on_message=running))
        assert runs.wait(60)
        with pytest.raises(Conflict, match="nothing was run"):
            same.execute("log.append('never')", timeout_seconds=0.5)
        second = same.execute("log.append('second'); print(log)", on_message=waiting)
    busy.join()
    assert first[0].stdout == "first\n"
    assert second.stdout == "['first', 'second']\n"
    assert "waiting" in heard


def test_a_kernel_is_started_once(environ: Environ, syla: Syla) -> None:
    """Of five that use a new workspace at once, all use the same kernel and container."""
    made = syla.create("raced")
    with Syla(environ=environ) as other:
        handles = [made, other.get("raced"), made, other.get("raced"), made]
        calls = [in_thread(lambda w=w: w.execute("import os; os.getpid()")) for w in handles]
        for thread, _ in calls:
            thread.join()
    pids = {str(found[0].result) for _, found in calls}
    assert len(pids) == 1, pids
    made.delete(confirmed=True)


def test_variables_are_listed_within_limits(workspace: Workspace) -> None:
    """Name, type, size and one line each; what does not answer costs its own line only."""
    workspace.execute(
        "import numpy as np, pandas as pd, time\n%reset -f\nimport numpy as np, pandas as pd\n"
        "n = 41\ntext = 'x' * 10_000\narray = np.zeros((3, 4))\ntable = pd.DataFrame({'a': range(5)})\n"
        "class Slow:\n    def __repr__(self):\n        while True: pass\n"
        "class Rude:\n    def __getattribute__(self, name): raise SystemExit\n"
        "slow, rude, _hidden = Slow(), Rude(), 1"
    )
    found = {v.name: v for v in workspace.variables()}
    assert set(found) == {"n", "text", "array", "table", "Slow", "Rude", "slow", "rude"}
    assert (found["n"].type, found["n"].repr) == ("int", "41")
    assert len(found["text"].repr) <= 80
    assert (found["array"].type, found["array"].size_bytes) == ("numpy.ndarray", 96)
    assert found["array"].repr == "float64 3 x 4"
    assert found["table"].type == "pandas.DataFrame"
    assert found["slow"].repr == found["rude"].repr == "?"
    assert workspace.execute("n").result == {"text/plain": "41"}  # the kernel is as it was


def test_many_variables_are_cut(workspace: Workspace) -> None:
    """At most five hundred."""
    workspace.execute("globals().update({f'v{n}': n for n in range(2000)})")
    assert len(workspace.variables()) == 500
    workspace.execute("%reset -f")


def wheel(directory: Path, name: str, *requires: str) -> Path:
    """A package that pip installs without any network."""
    path = directory / f"{name}-1.5-py3-none-any.whl"
    info = f"{name}-1.5.dist-info"
    needs = "".join(f"Requires-Dist: {r}\n" for r in requires)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", "value = 1\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n{needs}")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")
    return path


def test_packages_are_what_was_added_to_the_image(workspace: Workspace) -> None:
    """Read inside from the packages' own metadata: those asked for and those that came along, none of the image's."""
    assert workspace.packages() == []
    wheel(workspace.files, "beside")
    wheel(workspace.files, "wanted", "beside")
    install = ["python3", "-m", "pip", "install", "--user", "--no-index", "--find-links", ".", "-q", "wanted"]
    done = workspace.run(install)
    assert done.exit.code == 0, done.stderr
    found = [(p.name, p.version, p.requested) for p in workspace.packages()]
    assert found == [("beside", "1.5", False), ("wanted", "1.5", True)]
    assert workspace.execute("import wanted; wanted.value").result == {"text/plain": "1"}


def test_hostile_metadata_is_text(workspace: Workspace) -> None:
    """A package may call itself anything; links lead nowhere on the host; sizes are cut."""
    place = "~/.local/lib/python3*/site-packages"
    made = workspace.run(
        ["sh", "-c", f"cd {place} && mkdir evil-1.dist-info && ln -s /etc/passwd link-1.dist-info && cd evil-1.dist-info "
         r"&& printf 'Metadata-Version: 2.1\nName: %s\nVersion: \033[2J\n' $(head -c 5000 /dev/zero | tr '\0' x) > METADATA"]
    )  # fmt: skip
    assert made.exit.code == 0, made.stderr
    assert max(len(p.name) for p in workspace.packages()) <= 300
    workspace.run(["sh", "-c", f"cd {place} && rm -r evil-1.dist-info link-1.dist-info"])


def test_commands_are_bounded(workspace: Workspace) -> None:
    """Output is cut, time ends; a child that keeps the output open does not keep us."""
    assert workspace.run(["sh", "-c", "echo out; echo err >&2; exit 3"]).exit.code == 3
    assert len(workspace.run(["sh", "-c", "yes | head -c 40000000"]).stdout) == 16 << 20
    with pytest.raises(AgentTimeout):
        workspace.run(["sleep", "60"], timeout_seconds=0.5)
    began = time.monotonic()
    assert workspace.run(["sh", "-c", "sleep 20 & echo on"]).stdout == b"on\n"
    assert time.monotonic() - began < 10


def test_suspending_and_stopping_keep_variables(syla: Syla) -> None:
    """The verbs, with what `due` says; a suspended one is resumed by being used."""
    made = syla.create("life", type="session", labels={"a": "b"}, policy=Policy(idle_seconds=3600))
    assert made.variables() == []
    made.execute("a = 1")
    assert 0 < (made.due().deadline or 0) - time.time() <= 3600
    made.suspend()
    assert made.record.frozen
    assert made.execute("a").result == {"text/plain": "1"}
    made.suspend()
    assert made.resume() == "thawed"
    assert made.resume() == "running"
    execution = made.refresh().execution
    made.suspend(stop=True, execution=execution)
    assert made.resume() == "restarted"
    with pytest.raises(Conflict, match="meant for execution"):
        made.archive(execution=execution)
    assert made.execute("'a' in globals()").result == {"text/plain": "True"}
    made.touch(7200)
    made.change(labels={"c": "d"})
    assert made.refresh().labels == {"c": "d"}
    with pytest.raises(NotConfirmed):
        made.delete()
    made.archive()
    assert not made.files.exists()
    with pytest.raises(WrongState):
        made.execute("1")
    made.recover()
    assert made.files.exists()
    made.archive()
    made.delete()
    with pytest.raises(UnknownWorkspace):
        made.refresh()


def test_a_workspace_suspended_while_it_runs_goes_on(syla: Syla, workspace: Workspace) -> None:
    """Its code is not interrupted by the limit, whose caller hears why; resumed, it comes to its end."""
    go, on = workspace.files / "thawed", threading.Event()
    code = "import os, time\nprint('on', flush=True)\nwhile not os.path.exists('thawed'): time.sleep(0.01)\nd = 9"

    def told(message: Mapping[str, Any]) -> None:
        if message["type"] == "stream":
            on.set()

    running, ended = in_thread(lambda: workspace.execute(code, timeout_seconds=8, on_message=told))
    assert on.wait(60)
    workspace.suspend()
    running.join()
    assert isinstance(ended[0], WrongState), ended
    go.touch()
    assert workspace.execute("d").result == {"text/plain": "9"}


def test_bad_input_names_its_field(syla: Syla, workspace: Workspace) -> None:
    """Before anything is made."""
    for described, field, error in (
        ({"name": "../x"}, "name", BadInput),
        ({"name": "shared"}, "name", NameTaken),
        ({"name": "y", "type": "odd"}, "type", BadInput),
        ({"name": "y", "network": "all"}, "network", BadInput),
        ({"name": "y", "template": "nosuch"}, "template", UnknownTemplate),
    ):
        with pytest.raises(error, match=f"^{field}: "):
            syla.create(**described)
    for seconds in (0, -1, float("nan"), float("inf")):
        with pytest.raises(BadInput, match="^timeout_seconds: "):
            workspace.execute("1", timeout_seconds=seconds)
    with pytest.raises(BadInput, match="^code: "):
        workspace.execute("#" * (5 << 20))


async def test_the_same_verbs_as_coroutines(environ: Environ, tmp_path: Path) -> None:
    """Two workspaces work at the same time, and nothing blocks the event loop."""
    async with AsyncSyla(tmp_path, environ) as syla:
        both = await asyncio.gather(syla.create("one"), syla.create("two"))
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        results = await asyncio.gather(*(w.execute("import time; time.sleep(1); a = 6; a * 7") for w in both))
        ticking.cancel()
        assert [r.result for r in results] == [{"text/plain": "42"}] * 2
        assert ticks > 20
        assert [v.name for v in await both[0].variables()] == ["a"]
        for workspace in both:
            await workspace.delete(confirmed=True)
