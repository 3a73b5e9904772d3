"""Test suites of the libraries below us, from the source distribution of the installed version, through pip.

What is left out of one stands in a file beside it: a node id and a reason a line.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

# pytest-asyncio would compete with pytest_jupyter, which runs the coroutines here.
OPTIONS = ("-p", "no:asyncio", "-p", "no:cacheprovider", "-c", "pyproject.toml", "-q", "-ra")


def deselected(file: Path) -> dict[str, str]:
    """Node id -> reason."""
    lines = [line.strip() for line in file.read_text().splitlines()]
    rows = [line.partition("  # ") for line in lines if line and not line.startswith("#")]
    return {name: reason for name, _, reason in rows}


def pip(*arguments: str, cwd: Path) -> None:
    """Skips the test, and says so, where it fails."""
    command = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *arguments]
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    if ended.returncode:
        pytest.skip(f"the suite cannot be had: pip {arguments[0]}: {ended.stderr.strip()[-500:]}")


def unpacked(directory: Path, package: str, version: str) -> Path:
    """The source distribution with its tests; the package itself is taken out, so that the installed one is tested."""
    directory.mkdir()
    # pip asks for its metadata; what makes that is among our own tools.
    pip("download", "--no-deps", "--no-build-isolation", "--no-binary", ":all:", f"{package}=={version}", cwd=directory)
    (archive,) = directory.glob(f"{package}-*.tar.gz")
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11.2, Debian 12's, has none
    with tarfile.open(archive) as opened:
        opened.extractall(directory, **safely)
    suite = directory / archive.name.removesuffix(".tar.gz")
    assert (suite / "tests").is_dir(), "the source distribution has no tests any more"
    (suite / package).rename(directory / "not_imported")
    return suite
