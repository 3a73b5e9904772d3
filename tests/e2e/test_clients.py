"""The same kernel with no server in the process: nbclient, papermill, nbconvert, execute, console, `syla exec`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pexpect
import pytest

from tests.installation import Installation, syla

pytestmark = pytest.mark.usefixtures("idle_after", "here")

# Where a kernel really was; nothing on the host looks like that.
INSIDE = "import os; print(os.getcwd(), os.path.isdir('/opt/syla/agent'))"
SECONDS = 60


def notebook(*cells: str, **metadata: Any) -> nbformat.NotebookNode:
    made = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "other", "language": "python"}}
    )
    made.cells = [nbformat.v4.new_code_cell(cell, metadata=metadata) for cell in cells]
    return made


def written(path: Path, *cells: str, **metadata: Any) -> Path:
    nbformat.write(notebook(*cells, **metadata), path)
    return path


def text(executed: nbformat.NotebookNode) -> str:
    return "".join(output.get("text", "") for cell in executed.cells for output in cell.get("outputs", []))


def jupyter(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jupyter", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ended


@contextlib.contextmanager
def terminal(module: str, *arguments: str, exit_code: int) -> Iterator[pexpect.spawn]:
    """A program on a terminal of 40 lines; it ends by itself, with this exit code."""
    command = ["-m", module, *arguments]
    child = pexpect.spawn(sys.executable, command, encoding="utf-8", timeout=SECONDS, dimensions=(40, 120))
    try:
        yield child
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)
    assert (child.exitstatus, child.signalstatus) == (exit_code, None)


# -- notebooks ---------------------------------------------------------------------------------------------------


def test_nbclient_executes_a_notebook(here: Path) -> None:
    """nbclient runs a notebook in a container; it sees the files beside it and what it writes is the user's."""
    (here / "data.txt").write_text("forty-two")
    made = notebook(INSIDE, "print(open('data.txt').read())", "open('made.txt', 'w').write('inside'); 1/2")
    executed = nbclient.NotebookClient(made, kernel_name="syla-python").execute()
    assert text(executed) == "/workspace True\nforty-two\n"
    assert executed.cells[2].outputs[0].data["text/plain"] == "0.5"
    assert (here / "made.txt").read_text() == "inside"


def test_nbclient_reports_an_error(here: Path) -> None:
    """An exception in a cell is nbclient's CellExecutionError, and the container still goes away."""
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="on purpose"):
        nbclient.NotebookClient(notebook("raise ValueError('on purpose')"), kernel_name="syla-python").execute()


async def test_nbclient_in_parallel() -> None:
    """Three notebooks at once are three containers that do not see each other's variables."""
    notebooks = [notebook(f"x = {n}", "import time; time.sleep(0.3)", "print(x)") for n in range(3)]
    clients = [nbclient.NotebookClient(made, kernel_name="syla-python") for made in notebooks]
    executed = await asyncio.gather(*(client.async_execute() for client in clients))
    assert [text(one) for one in executed] == ["0\n", "1\n", "2\n"]


def test_papermill_passes_a_parameter(here: Path) -> None:
    """`papermill -k syla-python -p` runs with the parameter given."""
    source = written(here / "in.ipynb", "x = 1", tags=["parameters"])
    nb = nbformat.read(source, 4)
    nb.cells.append(nbformat.v4.new_code_cell("print('x is', x)"))
    nbformat.write(nb, source)
    command = [sys.executable, "-m", "papermill", "in.ipynb", "out.ipynb", "-k", "syla-python", "-p", "x", "41"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    executed = nbformat.read(here / "out.ipynb", 4)
    assert text(executed) == "x is 41\n"
    assert executed.metadata.papermill.parameters == {"x": 41}


def test_nbconvert_executes(here: Path) -> None:
    """`jupyter nbconvert --execute` puts what the container said into the page."""
    written(here / "nb.ipynb", INSIDE)
    jupyter("nbconvert", "--execute", "--to", "html", "--ExecutePreprocessor.kernel_name=syla-python", "nb.ipynb")
    assert "/workspace True" in (here / "nb.html").read_text()


def test_jupyter_execute(here: Path) -> None:
    """`jupyter execute --kernel_name=syla-python` runs a notebook in place."""
    written(here / "nb.ipynb", INSIDE)
    jupyter("execute", "--kernel_name=syla-python", "--inplace", "nb.ipynb")
    assert text(nbformat.read(here / "nb.ipynb", 4)) == "/workspace True\n"


@pytest.mark.parametrize("console", [("jupyter", "console", "--kernel", "syla-python"), ("syla", "console")])
def test_console(here: Path, console: tuple[str, ...]) -> None:
    """A console keeps variables, sees the files of the current directory, and ends with `exit`."""
    (here / "seen.txt").touch()
    module = {"jupyter": "jupyter", "syla": "syla_jupyter.cli.main"}[console[0]]
    with terminal(module, *console[1:], exit_code=0) as child:
        child.expect(r"In.*\[.*1.*\]:")
        child.send("x=41\r")
        child.expect(r"In.*\[.*2.*\]:")
        child.send("x+1\r")
        child.expect(r"Out.*\[.*2.*\]:[^\n]*42")
        child.expect(r"In.*\[.*3.*\]:")
        child.send("import os; os.listdir()\r")
        child.expect(r"\['seen.txt'\]")
        child.expect(r"In.*\[.*4.*\]:")
        child.send("exit\r")


# -- syla exec ---------------------------------------------------------------------------------------------------


def run_syla(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return syla(*arguments, check=False, **options)


def test_exec_script(here: Path) -> None:
    """A script gets its arguments and input; its output, errors and exit code come back apart."""
    (here / "script.py").write_text(
        "import sys\nprint(sys.argv[1:], sys.stdin.read())\nprint('oh', file=sys.stderr)\nsys.exit(7)\n"
    )
    ended = run_syla("exec", "script.py", "a", "--b", "c d", input="typed")
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, "['a', '--b', 'c d'] typed\n", "oh\n")


def test_exec_command() -> None:
    """After `--` stands a command, whose exit code is ours; one that does not exist is told in one line."""
    assert run_syla("exec", "--", "sh", "-c", "exit 3").returncode == 3
    assert run_syla("exec", "--", "sh", "-c", "kill -9 $$").returncode == 128 + 9
    ended = run_syla("exec", "--", "no-such-command")
    assert ended.returncode != 0
    assert ended.stderr.startswith("syla: no-such-command: no such file or command")
    assert ended.stderr.count("\n") == 1


def test_exec_streams_many_bytes(here: Path) -> None:
    """Megabytes go in and out unchanged."""
    data = os.urandom(1 << 20).hex()
    ended = run_syla("exec", "--", "cat", input=data)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == data


def test_exec_timeout() -> None:
    """`--timeout` ends the command with exit code 124."""
    ended = run_syla("exec", "--timeout", "1", "--", "sleep", "100", timeout=30)
    assert ended.returncode == 124, ended.stderr


def test_exec_on_a_terminal() -> None:
    """On a terminal the command has a terminal too, of the same size, and its exit code comes back."""
    script = "for fd in 0 1 2; do test -t $fd && echo tty $fd; done; stty size; read x; echo got $x; exit 4"
    with terminal("syla_jupyter.cli.main", "exec", "--", "sh", "-c", script, exit_code=4) as child:
        child.expect("tty 0\r\ntty 1\r\ntty 2\r\n40 120\r\n")
        child.send("word\r")
        child.expect("got word")


def test_exec_is_interrupted() -> None:
    """Ctrl-C on a terminal interrupts the command: exit code 130, as in a shell."""
    code = "import time; print('ready', flush=True); time.sleep(100)"
    with terminal("syla_jupyter.cli.main", "exec", "--", "python3", "-c", code, exit_code=130) as child:
        child.expect("ready")
        child.sendintr()
        child.expect("KeyboardInterrupt")


# -- where files are ---------------------------------------------------------------------------------------------


def test_files_belong_to_the_user(here: Path) -> None:
    """What is made inside is the user's outside, with the modes any program gives; the user's is writable inside."""
    (here / "mine").write_text("1")
    ended = run_syla(
        "exec", "--", "sh", "-c", "umask 022; echo 2 >> mine; mkdir -p d/e; touch d/e/f; id -u; stat -c %u mine"
    )
    assert ended.returncode == 0, ended.stderr
    inside, owner_inside = ended.stdout.split()
    assert inside == owner_inside != "0"
    assert (here / "mine").read_text() == "12\n"
    for name, mode in {"mine": 0o644, "d": 0o755, "d/e": 0o755, "d/e/f": 0o644}.items():
        details = (here / name).stat()
        assert (details.st_uid, details.st_gid) == (os.geteuid(), os.getegid()), name
        assert stat.S_IMODE(details.st_mode) == mode, name
    shutil.rmtree(here / "d")


@pytest.mark.parametrize("through", ["variable", "option"])
def test_mount_read_only(here: Path, through: str) -> None:
    """With `ro` the files are there and nothing can be written to them."""
    (here / "seen.txt").write_text("seen")
    how = {"env": {"SYLA_MOUNT": "ro"}} if through == "variable" else {}
    option = [] if through == "variable" else ["--mount", "ro"]
    ended = run_syla("exec", *option, "--", "sh", "-c", "cat seen.txt; touch new; echo x > seen.txt", **how)
    assert ended.stdout == "seen"
    assert ended.stderr.lower().count("read-only file system") == 2
    assert sorted(path.name for path in here.iterdir()) == ["seen.txt"]
    assert (here / "seen.txt").read_text() == "seen"


def test_mount_none(here: Path) -> None:
    """With `none` /workspace is empty, and writing there leaves nothing outside."""
    (here / "hidden.txt").touch()
    ended = run_syla("exec", "--", "sh", "-c", "ls -A; touch new; ls", env={"SYLA_MOUNT": "none"})
    assert (ended.returncode, ended.stdout) == (0, "new\n"), ended.stderr
    assert [path.name for path in here.iterdir()] == ["hidden.txt"]


def test_mount_none_in_a_kernel(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel started by another program obeys SYLA_MOUNT as well."""
    (here / "hidden.txt").touch()
    written(here / "nb.ipynb", "import os; print(os.listdir('/workspace'))")
    monkeypatch.setenv("SYLA_MOUNT", "none")
    jupyter("execute", "--kernel_name=syla-python", "--inplace", "nb.ipynb")
    assert text(nbformat.read(here / "nb.ipynb", 4)) == "[]\n"


def test_default_workspace_keeps_its_home(here: Path, syla_home: Path, idle_after: Installation) -> None:
    """With SYLA_WORKSPACE=default the home outlives the container; an ephemeral one has a home of its own."""
    default = {"SYLA_WORKSPACE": "default"}
    assert run_syla("exec", "--", "sh", "-c", "echo kept > ~/kept; touch here", env=default).returncode == 0
    assert run_syla("exec", "--", "sh", "-c", "cat ~/kept", env=default).stdout == "kept\n"
    assert run_syla("exec", "--", "sh", "-c", "cat ~/kept").returncode == 1
    assert (here / "here").exists()
    (kept,) = syla_home.glob("homes/*/kept")
    assert kept.stat().st_uid == os.geteuid()
    idle_after.end_workspaces()


def test_default_workspace_of_a_kernel(here: Path, monkeypatch: pytest.MonkeyPatch, idle_after: Installation) -> None:
    """A kernel started by another program with SYLA_WORKSPACE=default works and leaves nothing running."""
    written(here / "nb.ipynb", INSIDE)
    monkeypatch.setenv("SYLA_WORKSPACE", "default")
    jupyter("execute", "--kernel_name=syla-python", "--inplace", "nb.ipynb")
    assert text(nbformat.read(here / "nb.ipynb", 4)) == "/workspace True\n"
    idle_after.end_workspaces()


def test_an_unknown_workspace_is_refused(idle_after: Installation) -> None:
    """A workspace nobody made is a one-line error with exit code 64."""
    ended = run_syla("exec", "--", "true", env={"SYLA_WORKSPACE": "elsewhere"})
    assert ended.returncode == 64
    assert ended.stderr == (
        "syla: SYLA_WORKSPACE: there is no workspace 'elsewhere'. `syla workspace list` names them\n"
    )


def test_the_pool_is_told(idle_after: Installation) -> None:
    """`syla pool status --json` says what is ready and which claims found nothing."""
    status = json.loads(run_syla("pool", "status", "--json").stdout)
    assert not status["paused"]
    assert all(row["description"] for row in status["keys"])
