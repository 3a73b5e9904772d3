"""The second template: a kernel that is not forked from a zygote but started from its own command."""

from __future__ import annotations

import json
import time

import nbclient
import nbformat
import pytest

from tests.conftest import StartLab
from tests.installation import Installation, syla, wait_until, wait_until_async
from tests.lab import Lab, Notebook

KERNEL = "syla-bash"


@pytest.fixture(scope="module")
def bash_kernel(installation: Installation) -> str:
    """What `syla image build bash` says; its kernel is offered from then on."""
    return syla("image", "build", "bash", timeout=600).stdout


@pytest.fixture(scope="module")
def lab_server(bash_kernel: str, start_lab: StartLab) -> Lab:
    return start_lab()


async def run(notebook: Notebook, code: str) -> str:
    """All output of a cell that must not fail."""
    cell = await notebook.run(code)
    assert cell.status == "ok", cell.text
    return cell.text


def test_it_is_built_and_offered(bash_kernel: str) -> None:
    """Building the template says the image and the kernel; the second time it has nothing to do."""
    assert "is ready; its kernel is 'Bash (Syla)' (syla-bash)" in bash_kernel
    started = time.monotonic()
    assert syla("image", "build", "bash").stdout == bash_kernel
    assert time.monotonic() - started < 30


async def test_a_cell_runs(lab_server: Lab) -> None:
    """The kernel is in the server's list, runs commands, keeps variables, and sees the files beside the notebook."""
    _, offered = await lab_server.fetch("/api/kernelspecs")
    assert offered["kernelspecs"][KERNEL]["spec"]["language"] == "bash"
    (lab_server.root / "seen.txt").write_text("seen")
    async with lab_server.notebook(kernel=KERNEL) as notebook:
        assert await run(notebook, "echo hi") == "hi\n"
        assert await run(notebook, "x=41") == ""
        assert await run(notebook, "echo $((x + 1)); cat seen.txt; pwd") == "42\nseen/workspace\n"
        assert await run(notebook, "id -u") != "0\n"


async def test_interrupt(lab_server: Lab) -> None:
    """An interrupt ends a running command, and the shell goes on with its variables."""
    async with lab_server.notebook(kernel=KERNEL) as notebook:
        await run(notebook, "x=41")
        cell = await notebook.begin("touch started; sleep 100")
        await wait_until_async((lab_server.root / "started").exists, 30, "the command's start")
        await notebook.post("interrupt")
        await cell.ended(20)
        assert await run(notebook, "echo $((x + 1))") == "42\n"


async def test_restart_and_shutdown(lab_server: Lab) -> None:
    """A restart gives an empty shell to the same websocket; a shutdown ends it."""
    async with lab_server.notebook(kernel=KERNEL) as notebook:
        await run(notebook, "x=41")
        await notebook.post("restart")
        assert await run(notebook, "echo ${x:-nothing}") == "nothing\n"
    assert await lab_server.fetch("/api/kernels") == (200, [])


async def test_beside_python(lab_server: Lab) -> None:
    """A Bash and a Python notebook of one directory share its files, in a container each."""
    async with (
        lab_server.notebook("a.ipynb", kernel=KERNEL) as shell,
        lab_server.notebook("b.ipynb", kernel="syla-python") as python,
    ):
        await run(shell, "echo from bash > shared.txt")
        assert await python.value("open('shared.txt').read()") == r"'from bash\n'"
        images = {
            container.attrs["Config"]["Image"].partition(":")[0] for container in lab_server.installation.containers()
        }
        assert images == {"syla-bash", "syla-python"}


def test_without_a_server(bash_kernel: str, idle_after: Installation, here: object) -> None:
    """nbclient runs a Bash notebook in an ephemeral workspace, which is gone afterwards."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("echo hi; pwd")])
    executed = nbclient.NotebookClient(notebook, kernel_name=KERNEL).execute()
    assert "".join(output["text"] for output in executed.cells[0].outputs) == "hi\n/workspace\n"


def test_a_container_is_kept_ready(bash_kernel: str, idle_after: Installation, here: object) -> None:
    """After a start the pool keeps a container of this template ready, for the next start."""

    def ready() -> bool:
        rows = json.loads(syla("pool", "status", "--json").stdout)["keys"]
        return any(row["ready"] for row in rows if row["description"].startswith("bash"))

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("echo hi")])
    nbclient.NotebookClient(notebook, kernel_name=KERNEL).execute()
    wait_until(ready, 90, "a container of the Bash template in the pool")
