"""`syla workspace clone-repo`: git runs inside the container, and keeps nobody's password."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.installation import Installation

from .shell import Shell


@pytest.fixture(scope="module")
def shell(session_dir: Path, engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """One installation for the module, of which nothing is left afterwards; `demo` is there and in use."""
    made = Shell(session_dir / "clone", tmp_path_factory.mktemp("root"))
    made("workspace", "create", "--use", "demo")
    yield made
    installation = Installation(made.home, engine)
    installation.end_workspaces()
    installation.drain()
    installation.assert_nothing_left()


SERVER = """
import base64, http.server, os
class Guarded(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        wanted = "Basic " + base64.b64encode(b"anna:geheim/1").decode()
        if self.headers.get("Authorization") == wanted:
            return super().do_GET()
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Length", "0")
        self.end_headers()
os.chdir("/workspace/served")
http.server.ThreadingHTTPServer(("127.0.0.1", 8123), Guarded).serve_forever()
"""
WAIT_FOR_SERVER = """
import socket, time
while socket.socket().connect_ex(("127.0.0.1", 8123)):
    time.sleep(0.05)
"""


def give_git(shell: Shell, name: str) -> None:
    """This host's git with its own libraries, into the workspace: an image with git takes minutes to build."""
    real, core = shutil.which("git"), subprocess.check_output(["git", "--exec-path"], text=True).strip()
    assert real is not None
    kit = shell.files(name) / ".git-kit"
    kit.mkdir()
    programs = {"git": Path(real), "git-remote-http": Path(core) / "git-remote-http"}
    loader = ""
    for program, path in programs.items():
        shutil.copy(path.resolve(), kit / f"{program}.bin")
        for line in subprocess.check_output(["ldd", str(path)], text=True).splitlines():
            if found := re.search(r"(/\S+)", line):
                shutil.copy(Path(found[1]).resolve(), kit / Path(found[1]).name)
                loader = Path(found[1]).name if "ld-" in Path(found[1]).name else loader
    for program in programs:
        inside = "/workspace/.git-kit"
        text = f'#!/bin/sh\nGIT_EXEC_PATH={inside} exec {inside}/{loader} --library-path {inside} {inside}/{program}.bin "$@"\n'
        (kit / program).write_text(text)
        (kit / program).chmod(0o755)
    shell(
        "exec", "--workspace", name, "--", "sh", "-c", f"mkdir -p ~/.local/bin && ln -s {inside}/git ~/.local/bin/git"
    )


def test_cloning_a_repository(shell: Shell, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Inside the container, with credentials that stand nowhere afterwards; without git it is said how to get it."""
    line = shell.refused("workspace", "clone-repo", "https://anna:geheim%2F1@example.invalid/x", code=70)
    assert "no git in the image of template 'python'. syla image build python --debian-packages git" in line
    give_git(shell, "demo")
    origin, served = tmp_path / "origin", shell.files("demo") / "served" / "origin.git"
    for command in (
        ["init", "-q", str(origin)],
        [
            "-C",
            str(origin),
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "first",
        ],
        ["clone", "-q", "--bare", str(origin), str(served)],
        ["-C", str(served), "update-server-info"],
    ):
        subprocess.run(["git", *command], check=True, env={**os.environ, "GIT_CONFIG_NOSYSTEM": "1"})
    (shell.files("demo") / "serve.py").write_text(SERVER)
    serving = shell.started("exec", "--", "python3", "serve.py")
    request.addfinalizer(lambda: serving.terminate() or serving.communicate(timeout=60))
    url = "http://anna:geheim%2F1@127.0.0.1:8123/origin.git"
    shell("exec", "--", "python3", "-c", WAIT_FOR_SERVER, timeout=90)
    cloned = shell.ended("workspace", "clone-repo", url)
    assert "Cloned http://127.0.0.1:8123/origin.git into origin" in cloned.stdout
    assert "Cloning into 'origin'" in cloned.stderr
    assert "geheim" not in cloned.stdout + cloned.stderr
    config = (shell.files("demo") / "origin" / ".git" / "config").read_text()
    assert "url = http://127.0.0.1:8123/origin.git" in config
    kept = shell("exec", "--", "sh", "-c", "grep -rlE 'geheim|anna' ~ origin /workspace/origin || echo nowhere")
    assert kept == "nowhere\n"
    wrong = shell.ended("workspace", "clone-repo", "http://anna:falsch@127.0.0.1:8123/origin.git", "again")
    assert wrong.returncode == 70
    assert wrong.stderr.splitlines()[-1].startswith("syla: git could not clone http://127.0.0.1:8123/origin.git: fatal")
    assert "falsch" not in wrong.stderr
