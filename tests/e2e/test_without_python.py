"""Workspaces in an image that has no Python at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from syla_jupyter.runtimes.image_name import image_reference
from syla_jupyter.runtimes.templates import Templates

IMAGE = "syla-test-without-python:1"
REMOVE = "rm -rf /usr/bin/python3* /usr/local/bin/* /usr/lib/python3* /usr/local/lib/python3*"


@pytest.fixture
def image_without_python(syla_home: Path) -> Iterator[str]:
    """Our own image with every Python taken out."""
    client: Any = docker.from_env()
    source = image_reference(Templates(syla_home).get("python"))
    container = client.containers.create(source, ["sh", "-c", REMOVE], user="0:0", network_mode="none")
    try:
        container.start()
        assert container.wait(timeout=60)["StatusCode"] == 0
        container.commit(*IMAGE.split(":"), conf={"Cmd": ["sh"]})
    finally:
        container.remove(force=True)
    yield IMAGE
    client.images.remove(IMAGE, force=True)
    client.close()


def test_a_command_runs_where_there_is_no_python(
    engine: Any, image_without_python: str, syla_home: Path, tmp_path: Path
) -> None:
    """An image without Python serves as it is: files, exit code and limits are those of any workspace."""
    templates = syla_home / "templates"
    templates.mkdir(parents=True, exist_ok=True)
    template = templates / "bare.toml"
    template.write_text(f'language = "sh"\nimage = "{image_without_python}"\nkernel_argv = ["sh"]\n')
    try:
        script = "command -v python3 && exit 1; cat /workspace/given; echo made > /workspace/new; exit 5"
        (tmp_path / "given").write_text("from outside")
        done = subprocess.run(
            [sys.executable, "-m", "syla_jupyter.cli.main", "exec", "--template", "bare", "--", "sh", "-c", script],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stdout) == (5, "from outside"), done.stderr
        assert (tmp_path / "new").read_text() == "made\n"
    finally:
        template.unlink()
