"""jupyter-collaboration's own Python tests, with our extension in their servers, users, and rooms that are ours.

`collaboration_plugin` does that. They come with the distribution of its part for the server. Many of them sleep for a
tenth of a second and then look, so what fails is tried again; what is wrong fails each time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.upstream import OPTIONS, deselected, pip, unpacked
from tests.installation import Installation

SECONDS = 300
TRIES = 4
HERE = Path(__file__).parent
DESELECTED = HERE / "collaboration_deselected.txt"
NEEDED = ("pytest_jupyter", "pytest-console-scripts", "flaky", "httpx-ws>=0.9", "wsproto>=1.2", "dirty-equals")


@pytest.fixture(scope="module")
def suite(session_dir: Path) -> Path:
    found = unpacked(session_dir / "collaboration-suite", "jupyter_server_ydoc", version("jupyter_server_ydoc"))
    pip("install", "--no-deps", "--target", str(found), *NEEDED, cwd=found)
    return found


@pytest.fixture
def home(engine: Any, tmp_path: Path) -> Iterator[Path]:
    """Of an installation of its own, as this one has users; no container is started in it."""
    made = Installation(tmp_path / "home", engine)
    yield made.home
    made.assert_nothing_left()


def test_every_deselection_has_a_reason() -> None:
    """A test that is left out is left out for a reason that is written down."""
    for name, reason in deselected(DESELECTED).items():
        assert name.startswith("tests/test_"), name
        assert len(reason) > 20, name


@pytest.mark.timeout(SECONDS + 60)
def test_suite(suite: Path, home: Path) -> None:
    """All pass but those that are deselected, and each of these exists."""
    path = os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    environ = {**os.environ, "PYTHONPATH": path, "SYLA_HOME": str(home)}
    options = [*OPTIONS, "-W", "ignore::DeprecationWarning", "-p", "collaboration_plugin", "--timeout=60"]
    options += ["--force-flaky", f"--max-runs={TRIES}", "--no-success-flaky-report"]
    command = [sys.executable, "-m", "pytest", *options, "--color=no", "--show-capture=no", "--tb=short", "tests"]
    listed = subprocess.run([*command, "--collect-only"], cwd=suite, env=environ, capture_output=True, text=True)
    for node in deselected(DESELECTED):
        assert node in listed.stdout, f"{node} does not exist (any more)"
    command += [f"--deselect={node}" for node in deselected(DESELECTED)]
    ended = subprocess.run(command, cwd=suite, env=environ, capture_output=True, text=True, timeout=SECONDS)
    assert ended.returncode == 0, f"{ended.stdout[-20_000:]}\n{ended.stderr[-2000:]}"
    print(ended.stdout.splitlines()[-1])
