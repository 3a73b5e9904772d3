"""A real Jupyter server with workspaces in its root and secrets around them, and every door that leads to files.

<base>/outside/secret.txt, .ipynb, dir/     what no link may reach
<root>/private.txt …                        the default workspace's
<root>/workspaces/a, b                      two workspaces; the attacker owns a, and in other tests the default one
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from tests.installation import wait_until

TOKEN = "token-of-the-attacked"
SECRET = "the-secret-that-no-link-may-reach"
ANSWER_SECONDS = 30  # a lease on a file would hold it up for 45
OURS = "syla_jupyter.server.contents.WorkspaceContentsManager"
JUPYTERS = "jupyter_server.services.contents.largefilemanager.AsyncLargeFileManager"


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def leaks(self) -> bool:
        encoded = b"dGhlLXNlY3JldC10aGF0LW5vLWxpbmst"  # the same in base64
        return SECRET.encode() in self.body or encoded in self.body


@dataclass(frozen=True)
class Served:
    base: Path
    port: int

    @property
    def root(self) -> Path:
        return self.base / "root"

    @property
    def outside(self) -> Path:
        return self.base / "outside"

    def workspace(self, name: str) -> Path:
        return self.root / "workspaces" / name if name else self.root

    def ask(self, verb: str, path: str, body: Any = None) -> Answer:
        """One request; fails when there is no answer within ANSWER_SECONDS."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        with contextlib.closing(connection):
            headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
            connection.request(verb, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())

    def contents(self, verb: str, path: str, body: Any = None, **query: str) -> Answer:
        text = f"?{urllib.parse.urlencode(query)}" if query else ""
        return self.ask(verb, f"/api/contents/{urllib.parse.quote(path)}{text}", body)

    def make(self) -> None:
        """The files anew."""
        for directory in (self.root, self.outside):
            shutil.rmtree(directory, ignore_errors=True)
        for directory in (self.outside, self.root, self.workspace("a"), self.workspace("b")):
            (directory / "dir").mkdir(parents=True)
            secret = SECRET if directory != self.workspace("a") else "mine"
            (directory / "dir" / "inner.txt").write_text(secret)
            for name, text in (("secret.txt", secret), ("inner.txt", secret), ("secret.ipynb", notebook(secret))):
                (directory / name).write_text(text)
            (directory / f"{secret}.txt").touch()  # a listing tells it
            (directory / ".ipynb_checkpoints").mkdir()
            (directory / ".ipynb_checkpoints" / "secret-checkpoint.txt").write_text(secret)

    def secrets_in(self, workspace: str) -> list[Path]:
        """Files of a workspace, links not followed, that got the secret."""
        found = [Path(here) / name for here, _, names in os.walk(self.workspace(workspace)) for name in names]
        texts = {path: path.read_bytes() for path in found if stat.S_ISREG(path.lstat().st_mode)}
        return [path for path, text in texts.items() if SECRET.encode() in text or SECRET in path.name]

    def around(self, workspace: str) -> dict[str, Any]:
        """All that is not the workspace's: whether it changes shows whether a link was followed out of it."""
        found: dict[str, Any] = {}
        for directory, directories, names in os.walk(self.base):
            here = Path(directory)
            directories[:] = [name for name in directories if here / name != self.workspace(workspace or "-")]
            if not workspace and (here == self.root or (self.root in here.parents and "workspaces" not in here.parts)):
                continue
            for name in [*directories, *names]:
                info = (here / name).lstat()
                text = (here / name).read_bytes() if name in names else b""
                found[str(here / name)] = (info.st_ino, info.st_mode, info.st_nlink, text)
        return found


def notebook(text: str) -> str:
    return str(nbformat.writes(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])))


@contextlib.contextmanager
def serving(base: Path, manager: str = OURS) -> Iterator[Served]:
    """`base` is made, and gone afterwards, with what the server keeps beside it."""
    kept = base.with_suffix(".server")
    kept.mkdir(parents=True)
    (base / "root").mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        served = Served(base, probe.getsockname()[1])
    variables = {**os.environ, **{f"JUPYTER_{name}_DIR": str(kept / name) for name in ("CONFIG", "DATA", "RUNTIME")}}
    command = [sys.executable, "-m", "jupyter", "server", "--no-browser", "--allow-root", "--ServerApp.port_retries=0"]
    command += [
        f"--ServerApp.port={served.port}",
        f"--ServerApp.root_dir={served.root}",
        f"--IdentityProvider.token={TOKEN}",
    ]
    command += [f"--ServerApp.contents_manager_class={manager}", "--SylaExtension.warm_start=False"]
    if manager != OURS:  # with our extension this server would not start
        variables["JUPYTER_PREFER_ENV_PATH"] = "0"  # a virtual environment's configuration would say that it is on
        off = kept / "CONFIG" / "jupyter_server_config.d" / "syla_jupyter.json"
        off.parent.mkdir(parents=True)
        off.write_text(json.dumps({"ServerApp": {"jpserver_extensions": {"syla_jupyter": False}}}))
    with (kept / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=variables, cwd=base, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )  # fmt: skip

    def up() -> bool:
        assert process.poll() is None, (kept / "log").read_text()
        with contextlib.suppress(OSError):
            return served.ask("GET", "/api/status").status == 200
        return False

    try:
        wait_until(up, 60, "the server's answer")
        served.make()
        yield served
        assert process.poll() is None, (kept / "log").read_text()[-5000:]
    finally:
        process.terminate()
        process.wait(20)
        for directory in (base, kept):
            shutil.rmtree(directory, ignore_errors=True)


FLIP = """
import ctypes, os, sys
exchange = ctypes.CDLL(None).renameat2
one, other = map(os.fsencode, sys.argv[1:3])
print(flush=True)
while sys.argv[3] == "exchange":
    exchange(-100, one, -100, other, 2)
while True:
    exchange(-100, one, -100, other, 0)
    exchange(-100, other, -100, one, 0)
"""


@contextlib.contextmanager
def flipping(one: Path, other: Path, how: str = "exchange") -> Iterator[None]:
    """A process exchanges the two names as fast as it can, or moves what there is to and fro; one is under attack."""
    process = subprocess.Popen([sys.executable, "-I", "-c", FLIP, str(one), str(other), how], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.communicate()


# -- doors -------------------------------------------------------------------------------------------------------

TEXT = {"type": "file", "format": "text", "content": "written by the attack"}
NOTEBOOK = {"type": "notebook", "format": "json", "content": json.loads(notebook("written by the attack"))}
Door = Callable[[Served, str, str], Answer]
"""(server, path of a file or directory that may be a link, prefix of the attacker's workspace) -> answer"""

READING: dict[str, Door] = {
    "get": lambda s, p, w: s.contents("GET", p),
    "get as base64": lambda s, p, w: s.contents("GET", p, format="base64", type="file"),
    "get as text": lambda s, p, w: s.contents("GET", p, format="text", type="file"),
    "get as notebook": lambda s, p, w: s.contents("GET", p, type="notebook"),
    "get as directory": lambda s, p, w: s.contents("GET", p, type="directory"),
    "get hash": lambda s, p, w: s.contents("GET", p, content="0", hash="1"),
    "list inside": lambda s, p, w: s.contents("GET", f"{p}/dir"),
    "get metadata inside": lambda s, p, w: s.contents("GET", f"{p}/inner.txt", content="0"),
    "get inside": lambda s, p, w: s.contents("GET", f"{p}/inner.txt"),
    "files": lambda s, p, w: s.ask("GET", f"/files/{urllib.parse.quote(p)}"),
    "files inside": lambda s, p, w: s.ask("GET", f"/files/{urllib.parse.quote(p)}/inner.txt"),
    "files download": lambda s, p, w: s.ask("GET", f"/files/{urllib.parse.quote(p)}?download=1"),
    "files head": lambda s, p, w: s.ask("HEAD", f"/files/{urllib.parse.quote(p)}"),
    "view": lambda s, p, w: s.ask("GET", f"/view/{urllib.parse.quote(p)}"),
    "nbconvert": lambda s, p, w: s.ask("GET", f"/nbconvert/html/{urllib.parse.quote(p)}"),
    "trust": lambda s, p, w: s.contents("POST", f"{p}/trust"),
    "make a checkpoint": lambda s, p, w: s.contents("POST", f"{p}/checkpoints"),
    "make a checkpoint inside": lambda s, p, w: s.contents("POST", f"{p}/inner.txt/checkpoints"),
    "copy": lambda s, p, w: s.contents("POST", w, {"copy_from": p}),
    "copy inside": lambda s, p, w: s.contents("POST", w, {"copy_from": f"{p}/inner.txt"}),
}
WRITING: dict[str, Door] = {
    "save": lambda s, p, w: s.contents("PUT", p, TEXT),
    "save as notebook": lambda s, p, w: s.contents("PUT", p, NOTEBOOK),
    "save as directory": lambda s, p, w: s.contents("PUT", p, {"type": "directory"}),
    "save inside": lambda s, p, w: s.contents("PUT", f"{p}/inner.txt", TEXT),
    "save new inside": lambda s, p, w: s.contents("PUT", f"{p}/new.txt", TEXT),
    "make a directory inside": lambda s, p, w: s.contents("PUT", f"{p}/newdir", {"type": "directory"}),
    "first chunk": lambda s, p, w: s.contents("PUT", p, {**TEXT, "chunk": 1}),
    "second chunk": lambda s, p, w: s.contents("PUT", p, {**TEXT, "chunk": 2}),
    "last chunk": lambda s, p, w: s.contents("PUT", p, {**TEXT, "chunk": -1}),
    "second chunk inside": lambda s, p, w: s.contents("PUT", f"{p}/new.txt", {**TEXT, "chunk": 2}),
    "new file inside": lambda s, p, w: s.contents("POST", p, {"type": "file"}),
    "new notebook inside": lambda s, p, w: s.contents("POST", p, {"type": "notebook"}),
    "new directory inside": lambda s, p, w: s.contents("POST", p, {"type": "directory"}),
    "copy into": lambda s, p, w: s.contents("POST", p, {"copy_from": f"{w}/mine.txt"}),
    "copy a directory into": lambda s, p, w: s.contents("POST", p, {"copy_from": f"{w}/dir"}),
    "move inside": lambda s, p, w: s.contents("PATCH", f"{w}/mine.txt", {"path": f"{p}/new.txt"}),
    "move over": lambda s, p, w: s.contents("PATCH", f"{w}/mine.txt", {"path": p}),
    "take away": lambda s, p, w: s.contents("PATCH", f"{p}/inner.txt", {"path": f"{w}/taken.txt"}),
    "take a directory away": lambda s, p, w: s.contents("PATCH", f"{p}/dir", {"path": f"{w}/taken"}),
    "delete inside": lambda s, p, w: s.contents("DELETE", f"{p}/inner.txt"),
    "delete a directory inside": lambda s, p, w: s.contents("DELETE", f"{p}/dir"),
    "list checkpoints inside": lambda s, p, w: s.contents("GET", f"{p}/secret.txt/checkpoints"),
    "restore a checkpoint": lambda s, p, w: s.contents("POST", f"{p}/checkpoints/checkpoint"),
    "restore a checkpoint inside": lambda s, p, w: s.contents("POST", f"{p}/secret.txt/checkpoints/checkpoint"),
    "delete a checkpoint inside": lambda s, p, w: s.contents("DELETE", f"{p}/secret.txt/checkpoints/checkpoint"),
}
ON_THE_LINK: dict[str, Door] = {
    "metadata": lambda s, p, w: s.contents("GET", p, content="0"),
    "rename": lambda s, p, w: s.contents("PATCH", p, {"path": f"{w}/renamed"}),
    "delete": lambda s, p, w: s.contents("DELETE", p),
}
