"""What a server keeps from its kernels and leaves behind: nothing of its secrets, no host kernel, no container."""

from __future__ import annotations

import json
import os
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path

import platformdirs
import pytest

from syla_jupyter import app
from syla_jupyter.config import load_settings
from tests.conftest import StartLab
from tests.installation import wait_empty, wait_until
from tests.lab import MARKER, Lab

LEASE_SECONDS = 10.0


def wheel(directory: Path, name: str, version: str, files: dict[str, str]) -> str:
    """A pure-Python wheel; its file name."""
    made = directory / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(made, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
        archive.writestr(f"{info}/RECORD", "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"]))
    return made.name


# -- what is kept from kernels -----------------------------------------------------------------------------------


async def test_secrets_of_the_server(lab_server: Lab) -> None:
    """The server's environment is seen neither in a kernel, nor in any process beside it, nor by the engine."""
    environs = "\n".join(
        [
            "import glob, os",
            "found = repr(dict(os.environ))",
            "for name in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline'):",
            "    try: found += open(name).read()",
            "    except OSError: pass",
            "found += repr(get_ipython().run_line_magic('env', ''))",
            "print(len(found)); print(found)",
        ]
    )
    async with lab_server.notebook() as notebook:
        text = (await notebook.run(environs)).text
        assert "PATH" in text
        for secret in (MARKER, "SERVER_SECRET", "SYLA_HOME", "token-of-the-tests"):
            assert secret not in text
        for container in lab_server.installation.containers():
            assert MARKER not in json.dumps(container.attrs)
            assert container.attrs["Mounts"]


async def test_no_kernel_on_the_host(lab_server: Lab) -> None:
    """No kernelspec that would run on the host is offered, and asking for one by name is refused with a reason."""
    directory = lab_server.data_dir / "kernels" / "escape"
    directory.mkdir(parents=True)
    stanza = {"kernel_provisioner": {"provisioner_name": "local-provisioner"}}
    argv = ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Escape", "language": "python", "metadata": stanza}
    (directory / "kernel.json").write_text(json.dumps(spec))

    _, offered = await lab_server.fetch("/api/kernelspecs")
    assert offered["default"] == "syla-python"
    assert "escape" not in offered["kernelspecs"]
    for name, row in offered["kernelspecs"].items():
        provisioner = row["spec"]["metadata"].get("kernel_provisioner", {}).get("provisioner_name", "syla-provisioner")
        assert provisioner == "syla-provisioner", name
    assert (await lab_server.fetch("/api/kernelspecs/escape"))[0] == 404

    body = {"path": "x.ipynb", "name": "x.ipynb", "type": "notebook", "kernel": {"name": "escape"}}
    status, refused = await lab_server.fetch("/api/sessions", "POST", body)
    assert status >= 400, refused
    assert "escape" in refused["message"]
    status, _ = await lab_server.fetch("/api/kernels", "POST", {"name": "escape"})
    assert status >= 400
    assert await lab_server.fetch("/api/kernels") == (200, [])


async def test_an_ordinary_kernelspec_runs_inside(lab_server: Lab) -> None:
    """`python3`, as most notebooks name it, runs in the container too."""
    async with lab_server.notebook(kernel="python3") as notebook:
        assert await notebook.value("__import__('os').path.isdir('/opt/syla/agent')") == "True"


# -- packages of the user ----------------------------------------------------------------------------------------


async def test_pip_install(lab_server: Lab) -> None:
    """`pip install` in a cell works at once, without a restart, and survives one."""
    name = wheel(lab_server.root, "syla_test_pkg", "1.0", {"syla_test_pkg.py": "answer = 42\n"})
    async with lab_server.notebook() as notebook:
        cell = await notebook.run(f"!pip install --no-index ./{name}", 60)
        assert "Successfully installed" in cell.text
        assert await notebook.value("import syla_test_pkg; syla_test_pkg.answer") == "42"
        await notebook.post("restart")
        assert await notebook.value("import syla_test_pkg; syla_test_pkg.answer") == "42"
    async with lab_server.notebook("other.ipynb") as other:
        assert await other.value("import syla_test_pkg; syla_test_pkg.answer") == "42"


async def test_a_users_version_of_a_preloaded_module(start_lab: StartLab) -> None:
    """A package that every kernel has already imported is the user's own version after a restart."""
    lab = start_lab()
    source = Path(platformdirs.__file__).parent
    files = {f"platformdirs/{path.name}": path.read_text() for path in source.glob("*.py")}
    files["platformdirs/__init__.py"] += "\nUSERS_OWN = True\n"
    name = wheel(lab.root, "platformdirs", "999.0", files)
    own = "import platformdirs; getattr(platformdirs, 'USERS_OWN', False)"
    async with lab.notebook() as notebook:
        assert await notebook.value("'platformdirs' in __import__('sys').modules") == "True"
        assert "Successfully installed" in (await notebook.run(f"!pip install --no-index --no-deps ./{name}", 60)).text
        assert await notebook.value(own) == "False"
        await notebook.post("restart")
        assert await notebook.value(own) == "True"
        await notebook.run("!pip uninstall -y platformdirs", 60)
        await notebook.post("restart")
        assert await notebook.value(own) == "False"


# -- the server's end --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL], ids=["terminated", "killed"])
async def test_an_ended_server(start_lab: StartLab, ending: signal.Signals) -> None:
    """A server that has ended, however it did, leaves the containers in which kernels run and no process; without a
    kernel its container ends with the lease, and what is on disk is gone after reconciling."""
    lab = start_lab()
    async with lab.notebook() as notebook:
        assert await notebook.value("1 + 1") == "2"
    assert lab.installation.containers()
    lab.stop(ending)
    wait_empty(lab.installation.processes, 20, "a process of the server")
    assert not list(lab.log.parent.glob("runtime/kernel-*.json"))
    ended: Callable[[], bool] = lambda: not lab.installation.containers()  # noqa: E731
    wait_until(ended, LEASE_SECONDS + 10, "the end of the containers")
    environ = {**os.environ, "SYLA_HOME": str(lab.installation.home)}
    application = app.build(load_settings(None, environ), environ)
    application.registry().finish()  # as the next server does
    application.service.reconcile()
    application.store().close()
    lab.installation.assert_nothing_left()
