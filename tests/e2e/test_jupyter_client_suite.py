"""jupyter_client's own tests of kernel managers, restarters, provisioning and clients, with our provisioner as default.

They come from the source distribution of the installed version, through pip; without it this is skipped and says so.
Their kernels are modules of the suite, so the suite's directory is what workspaces see as /workspace; what those modules
need beyond the image (pytest) is put beside them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import jupyter_client
import pytest

from tests.installation import Installation

SECONDS = 900
DESELECTED = Path(__file__).with_name("jupyter_client_deselected.txt")
# pytest-asyncio would compete with pytest_jupyter, which runs the coroutines here.
OPTIONS = ("-p", "no:asyncio", "-p", "no:cacheprovider", "-c", "pyproject.toml", "-q", "-ra", "--timeout=120")


def deselected() -> dict[str, str]:
    """Node id -> reason."""
    lines = [line.strip() for line in DESELECTED.read_text().splitlines()]
    rows = [line.partition("  # ") for line in lines if line and not line.startswith("#")]
    return {name: reason for name, _, reason in rows}


def pip(*arguments: str, cwd: Path) -> None:
    command = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *arguments]
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    if ended.returncode:
        pytest.skip(f"jupyter_client's tests cannot be had: pip {arguments[0]}: {ended.stderr.strip()[-500:]}")


@pytest.fixture(scope="module")
def suite(session_dir: Path) -> Path:
    """A directory with the tests of the installed version, ready to be run; the package itself is taken out."""
    directory = session_dir / "suite"
    directory.mkdir()
    name = f"jupyter_client=={jupyter_client.__version__}"
    pip("download", "--no-deps", "--no-binary", ":all:", name, cwd=directory)
    (archive,) = directory.glob("jupyter_client-*.tar.gz")
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11.2, Debian 12's, has none
    with tarfile.open(archive) as opened:
        opened.extractall(directory, **safely)
    unpacked = directory / archive.name.removesuffix(".tar.gz")
    assert (unpacked / "tests").is_dir(), "the source distribution has no tests any more"
    (unpacked / "jupyter_client").rename(directory / "not_imported")
    pip("install", "--target", str(unpacked), "pytest", "pytest_jupyter", cwd=directory)
    return unpacked


@pytest.fixture(autouse=True)
def idle_afterwards(installation: Installation) -> Iterator[None]:
    yield
    installation.assert_idle(30)


def test_every_deselection_has_a_reason() -> None:
    """A test that is left out is left out for a reason that is written down."""
    for name, reason in deselected().items():
        assert name.startswith("tests/test_"), name
        assert len(reason) > 20, name


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("name", ["client", "kernelmanager", "multikernelmanager", "restarter", "provisioning"])
def test_suite(suite: Path, installation: Installation, name: str) -> None:
    """All tests of the file pass but those that are deselected, and each of these exists."""
    file = f"tests/test_{name}.py"
    ours = [node for node in deselected() if node.startswith(f"{file}::")]
    # Tornado gives a test 5 s, which three cold containers one after the other may need.
    environ = {**os.environ, "JUPYTER_DEFAULT_PROVISIONER_NAME": "syla-provisioner", "ASYNC_TEST_TIMEOUT": "60"}
    command = [sys.executable, "-m", "pytest", *OPTIONS, file]
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
