"""The specs of the installed JupyterLab, and what runs them, ready in one directory.

JupyterLab's source distribution has its specs, what they open, and galata, the library they are written with; of it
that folder is unpacked and nothing else. From npm come Playwright and four small libraries that galata needs, as
`page/yarn.lock` has them. A browser is not installed: this machine's is used.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath

PAGE = Path(__file__).with_name("page")
SECONDS = 300


def prepared(directory: Path) -> Path:
    """`directory`, with `galata/` of the installed version and `node_modules/`; quick when it has them already.

    `CalledProcessError` when pip or npm cannot give them; what they said is on standard error.
    """
    version = importlib.metadata.version("jupyterlab")
    marker = directory / "version"
    if not marker.is_file() or marker.read_text() != version:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        _unpack(version, directory)
        marker.write_text(version)
    for path in PAGE.iterdir():
        shutil.copy(path, directory)
    _run(["jlpm", "install", "--immutable"], directory)
    return directory


def _unpack(version: str, directory: Path) -> None:
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "download", "--no-deps"]
    _run([*pip, "--no-build-isolation", "--no-binary", ":all:", f"jupyterlab=={version}"], directory)
    (archive,) = directory.glob("jupyterlab-*.tar.gz")
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11.2, Debian 12's, has none
    with tarfile.open(archive) as opened:
        wanted = [member for member in opened if PurePosixPath(member.name).parts[1:2] == ("galata",)]
        opened.extractall(directory, wanted, **safely)
    (top,) = directory.glob("jupyterlab-*/")
    (top / "galata").rename(directory / "galata")
    top.rmdir()
    archive.unlink()


def _run(command: list[str], directory: Path) -> None:
    ended = subprocess.run(
        command, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS
    )
    if ended.returncode:
        print(ended.stdout[-2000:], ended.stderr[-2000:], sep="\n", file=sys.stderr)
        ended.check_returncode()
