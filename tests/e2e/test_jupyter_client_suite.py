"""jupyter_client's own tests of kernel managers, restarters, provisioning and clients, with our provisioner as default.

They come from the source distribution of the installed version, through pip; without it this is skipped and says so.
Their kernels are modules of the suite, so the suite's directory is what workspaces see as /workspace; what those modules
need beyond the image (pytest) is put beside them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jupyter_client
import pytest

from tests.e2e.upstream import OPTIONS, deselected, pip, unpacked
from tests.installation import Installation

SECONDS = 900
DESELECTED = Path(__file__).with_name("jupyter_client_deselected.txt")


@pytest.fixture(scope="module")
def suite(session_dir: Path) -> Path:
    """A directory with the tests of the installed version, ready to be run."""
    found = unpacked(session_dir / "suite", "jupyter_client", jupyter_client.__version__)
    pip("install", "--target", str(found), "pytest", "pytest_jupyter", cwd=found)
    return found


@pytest.fixture(autouse=True)
def idle_afterwards(installation: Installation) -> Iterator[None]:
    yield
    installation.assert_idle(30)


def test_every_deselection_has_a_reason() -> None:
    """A test that is left out is left out for a reason that is written down."""
    for name, reason in deselected(DESELECTED).items():
        assert name.startswith("tests/test_"), name
        assert len(reason) > 20, name


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("name", ["client", "kernelmanager", "multikernelmanager", "restarter", "provisioning"])
def test_suite(suite: Path, installation: Installation, name: str) -> None:
    """All tests of the file pass but those that are deselected, and each of these exists."""
    file = f"tests/test_{name}.py"
    ours = [node for node in deselected(DESELECTED) if node.startswith(f"{file}::")]
    # Tornado gives a test 5 s, which three cold containers one after the other may need.
    environ = {**os.environ, "JUPYTER_DEFAULT_PROVISIONER_NAME": "syla-provisioner", "ASYNC_TEST_TIMEOUT": "60"}
    command = [sys.executable, "-m", "pytest", *OPTIONS, "--timeout=120", file]
    listed = subprocess.run([*command, "--collect-only"], cwd=suite, env=environ, capture_output=True, text=True)
    for node in ours:
        assert node in listed.stdout, f"{node} does not exist (any more)"
    command += [f"--deselect={node}" for node in ours]
    began = time.time()
    ended = subprocess.run(command, cwd=suite, env=environ, capture_output=True, text=True, timeout=SECONDS)
    assert ended.returncode == 0, f"{ended.stdout[-20_000:]}\n{ended.stderr[-2000:]}"
    if name != "provisioning":  # what is left of that one is about other provisioners beside ours
        wanted = [file.stat().st_mtime for file in installation.home.glob("pool/*/spec.json")]
        assert max(wanted, default=0) > began, "no workspace was asked for: did the kernels run elsewhere?"
