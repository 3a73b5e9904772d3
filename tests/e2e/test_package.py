"""The package as people get it: installed without Node, both parts enabled, and gone without a trace.

Where it is installed is an environment with nothing in it but what the package says that it needs, for JupyterLab: each
of these libraries is a link into the environment the tests run in, their commands are made anew. So what is needed and
not declared is found missing, without asking the network.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
NAME = "syla-jupyter"
COMMAND = """#!{python}
import sys
from {module} import {name}
sys.exit({attribute}())
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist and the wheel, and in `again/` the wheel that the sdist becomes without Node."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-d", str(out), cwd=ROOT)
    (sdist,) = out.glob("*.tar.gz")
    pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "-w", str(out / "again"), str(sdist))
    return out


@pytest.mark.parametrize("built_from", ["checkout", "sdist"])
def test_installed_and_gone(packages: Path, tmp_path: Path, built_from: str) -> None:
    """Wheel and sdist: JupyterLab and the server have their part at once; after that nothing is left."""
    (package,) = packages.glob("*.whl" if built_from == "checkout" else "again/*.whl")
    environment = tmp_path / "env"
    python, commands = made(environment), environment / "bin"
    before = files(environment)
    with pytest.raises(AssertionError, match="No module named 'syla_jupyter'"):
        run(python, "-c", "import syla_jupyter")

    pip(python, "install", "--no-deps", "--no-index", str(package))
    listed = run(str(commands / "jupyter"), "labextension", "list")
    assert f"{environment}/share/jupyter/labextensions" in listed
    assert re.search(rf"{NAME} v\S+ enabled OK", listed), listed
    listed = run(str(commands / "jupyter"), "server", "extension", "list")
    assert re.search(r"syla_jupyter enabled", listed), listed
    assert re.search(r"syla_jupyter \S+ OK", listed), listed
    assert "syla-python" in run(str(commands / "jupyter"), "kernelspec", "list")
    assert "workspace" in run(str(commands / "syla"), "--help")
    assert str(environment) in run(python, "-c", "import syla_jupyter; print(syla_jupyter.__file__)")

    pip(python, "uninstall", "--yes", NAME)
    assert files(environment) == before


def made(environment: Path) -> str:
    """Its Python."""
    venv.create(environment, symlinks=True)
    python = str(environment / "bin" / "python")
    (site,) = environment.glob("lib/python*/site-packages")
    for library in needed(Requirement(f"{NAME}[lab]")):
        for path in library.files or ():
            if path.parts[0] not in ("..", "__pycache__") and not (site / path.parts[0]).exists():
                (site / path.parts[0]).symlink_to(library.locate_file(path.parts[0]))
        for command in library.entry_points.select(group="console_scripts"):
            file = environment / "bin" / command.name
            name = command.attr.partition(".")[0]
            file.write_text(COMMAND.format(python=python, module=command.module, name=name, attribute=command.attr))
            file.chmod(0o755)
    return python


def needed(wanted: Requirement) -> Iterator[importlib.metadata.Distribution]:
    """What installing it would bring along, the package itself excepted."""
    seen: set[tuple[str, str]] = set()
    open = [wanted]
    while open:
        requirement = open.pop()
        library = importlib.metadata.distribution(requirement.name)
        for extra in ("", *requirement.extras):
            key = (canonicalize_name(requirement.name), extra)
            if key in seen:
                continue
            seen.add(key)
            if not extra and key[0] != NAME:
                yield library
            rows = [Requirement(line) for line in library.requires or ()]
            open += [row for row in rows if row.marker is None or row.marker.evaluate({"extra": extra})]


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
