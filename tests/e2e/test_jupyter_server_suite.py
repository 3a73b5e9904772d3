"""jupyter_server's own tests of kernels and sessions, with our extension and provisioner in their servers.

`jupyter_server_plugin` does that, and leaves out the kernel managers that we refuse.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jupyter_server
import pytest

from tests.e2e.upstream import OPTIONS, deselected, pip, unpacked
from tests.installation import Installation

SECONDS = 600
HERE = Path(__file__).parent
DESELECTED = HERE / "jupyter_server_deselected.txt"
# Of Tornado's, about what the suite itself calls.
WARNINGS = ("-W", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def suite(session_dir: Path) -> Path:
    found = unpacked(session_dir / "server-suite", "jupyter_server", jupyter_server.__version__)
    pip("install", "--no-deps", "--target", str(found), "pytest_jupyter", "pytest-console-scripts", "flaky", cwd=found)
    return found


@pytest.fixture
def ended_afterwards(installation: Installation) -> Iterator[Installation]:
    yield installation
    installation.end_workspaces()
    installation.assert_idle(30)


def test_every_deselection_has_a_reason() -> None:
    """A test that is left out is left out for a reason that is written down."""
    for name, reason in deselected(DESELECTED).items():
        assert name.startswith("tests/services/"), name
        assert len(reason) > 20, name


@pytest.mark.timeout(SECONDS + 60)
def test_suite(suite: Path, ended_afterwards: Installation) -> None:
    """All pass but those that are deselected, and each of these exists."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    options = [*OPTIONS, *WARNINGS, "-p", "jupyter_server_plugin", "--timeout=60"]
    options += ["--color=no", "--show-capture=no", "--tb=short"]
    command = [sys.executable, "-m", "pytest", *options, "tests/services/kernels", "tests/services/sessions"]
    listed = subprocess.run([*command, "--collect-only"], cwd=suite, env=environ, capture_output=True, text=True)
    for node in deselected(DESELECTED):
        assert node in listed.stdout, f"{node} does not exist (any more)"
    command += [f"--deselect={node}" for node in deselected(DESELECTED)]
    ended = subprocess.run(command, cwd=suite, env=environ, capture_output=True, text=True, timeout=SECONDS)
    assert ended.returncode == 0, f"{ended.stdout[-20_000:]}\n{ended.stderr[-2000:]}"
    print(ended.stdout.splitlines()[-1])
