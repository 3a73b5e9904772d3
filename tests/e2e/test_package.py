"""The package as people get it: installed without Node, both parts enabled, and gone without a trace.

Where it is installed is an environment of its own that only reads the libraries of the one the tests run in.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
NAME = "syla-jupyter"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist and the wheel."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-d", str(out), cwd=ROOT)
    return out


@pytest.mark.parametrize("ending", ["whl", "tar.gz"])
def test_installed_and_gone(packages: Path, tmp_path: Path, ending: str) -> None:
    """Wheel and sdist: JupyterLab and the server have their part at once; after that nothing is left."""
    (package,) = packages.glob(f"*.{ending}")
    environment = tmp_path / "env"
    venv.create(environment, symlinks=True)
    python = str(environment / "bin" / "python")
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "tests.pth").write_text(sysconfig.get_path("purelib"))
    before = files(environment)

    pip(python, "install", "--no-deps", "--ignore-installed", "--no-build-isolation", str(package))
    listed = run(python, "-m", "jupyterlab.labextensions", "list")
    assert f"{environment}/share/jupyter/labextensions" in listed
    assert re.search(rf"{NAME} v\S+ enabled OK", listed), listed
    listed = run(python, "-m", "jupyter_server.extension.serverextension", "list")
    assert re.search(r"syla_jupyter enabled", listed), listed
    assert re.search(r"syla_jupyter \S+ OK", listed), listed
    assert str(site) in run(python, "-c", "import syla_jupyter; print(syla_jupyter.__file__)")

    pip(python, "uninstall", "--yes", NAME)
    assert files(environment) == before


def files(directory: Path) -> set[Path]:
    return {path for path in directory.rglob("*") if not path.is_dir() or "syla" in path.name}


def pip(python: str, *arguments: str) -> None:
    run(sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", *arguments)


def run(*command: str, cwd: Path = Path("/")) -> str:
    """Its output, without colours. Nothing is on its PATH: no Node."""
    environ = {**os.environ, "PATH": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, env=environ, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return re.sub(r"\x1b\[\d*m", "", done.stdout + done.stderr)
