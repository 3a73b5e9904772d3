"""jupyter_server's own tests of contents, checkpoints and downloads, with our contents manager in the place of its own.

They come from the source distribution of the installed version, through pip; without it this is skipped and says so.
Where the suite tests two managers, plain and asynchronous, ours stands for the asynchronous one and the other is left
out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import jupyter_server
import pytest

SECONDS = 600
DESELECTED = Path(__file__).with_name("contents_deselected.txt")
FILES = [f"tests/services/contents/test_{name}.py" for name in ("manager", "api", "checkpoints", "largefilemanager")]
FILES += ["tests/test_files.py", "tests/test_view.py"]
PLUGIN = """
from jupyter_server.base import handlers
from jupyter_server.services.contents import filemanager, largefilemanager
from syla_jupyter.server.contents import WorkspaceContentsManager
from syla_jupyter.server.downloads import WorkspaceFileHandler

filemanager.AsyncFileContentsManager = largefilemanager.AsyncLargeFileManager = WorkspaceContentsManager
handlers.AuthenticatedFileHandler = WorkspaceFileHandler
"""
THE_PLAIN_ONE = "(FileContentsManager and not AsyncFileContentsManager) or contents_manager0 or contents_manager1"
# pytest-asyncio would compete with pytest_jupyter, which runs the coroutines here.
OPTIONS = (
    "-p",
    "no:asyncio",
    "-p",
    "no:cacheprovider",
    "-p",
    "ours",
    "-c",
    "pyproject.toml",
    "-q",
    "-ra",
    "--timeout=60",
)


def deselected() -> dict[str, str]:
    """Node id -> reason."""
    lines = [line.strip() for line in DESELECTED.read_text().splitlines()]
    rows = [line.partition("  # ") for line in lines if line and not line.startswith("#")]
    return {name: reason for name, _, reason in rows}


def pip(*arguments: str, cwd: Path) -> None:
    command = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *arguments]
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    if ended.returncode:
        pytest.skip(f"jupyter_server's tests cannot be had: pip {arguments[0]}: {ended.stderr.strip()[-500:]}")


@pytest.fixture(scope="module")
def suite(session_dir: Path) -> Path:
    """A directory with the tests of the installed version, ready to be run; the package itself is taken out."""
    directory = session_dir / "contents-suite"
    directory.mkdir()
    pip("download", "--no-deps", "--no-binary", ":all:", f"jupyter_server=={jupyter_server.__version__}", cwd=directory)
    (archive,) = directory.glob("jupyter_server-*.tar.gz")
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11.2, Debian 12's, has none
    with tarfile.open(archive) as opened:
        opened.extractall(directory, **safely)
    unpacked = directory / archive.name.removesuffix(".tar.gz")
    assert (unpacked / "tests" / "services" / "contents").is_dir(), "the source distribution has no tests any more"
    (unpacked / "jupyter_server").rename(directory / "not_imported")
    pip("install", "--no-deps", "--target", str(unpacked), "pytest_jupyter", cwd=directory)
    (unpacked / "ours.py").write_text(PLUGIN)
    return unpacked


def test_every_deselection_has_a_reason() -> None:
    """A test that is left out is left out for a reason that is written down."""
    for name, reason in deselected().items():
        assert name.startswith("tests/"), name
        assert len(reason) > 20, name


@pytest.mark.timeout(SECONDS + 60)
def test_suite(suite: Path) -> None:
    """All tests of these files pass but those that are deselected, and each of these exists."""
    environ = {**os.environ, "HOME": str(suite.parent), "PYTHONPATH": str(suite)}
    command = [sys.executable, "-m", "pytest", *OPTIONS, "-o", "addopts=", "-o", "log_cli=false"]
    command += ["-k", f"not ({THE_PLAIN_ONE})", *FILES]
    listed = subprocess.run([*command, "--collect-only"], cwd=suite, env=environ, capture_output=True, text=True)
    for node in deselected():
        assert node in listed.stdout, f"{node} does not exist (any more)\n{listed.stderr[-2000:]}"
    assert listed.stdout.count("::") > 200, listed.stdout[-2000:]
    command += [f"--deselect={node}" for node in deselected()]
    ended = subprocess.run(command, cwd=suite, env=environ, capture_output=True, text=True, timeout=SECONDS)
    assert ended.returncode == 0, f"{ended.stdout[-20_000:]}\n{ended.stderr[-2000:]}"
