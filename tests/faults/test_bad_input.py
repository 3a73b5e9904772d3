"""What is wrong is said in one line with the way out; the exit code is not 0, nothing is left, nothing runs locally."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import NoSuchKernel
from nbclient import NotebookClient

from syla_jupyter.config import default_run_dir
from syla_jupyter.workspaces.pool import pool_key

from ..hostile.conftest import Host, wait_until

BIN = Path(sys.executable).parent


@pytest.fixture
def place(tmp_path: Path, hostile_host: Host) -> Iterator[dict[str, str]]:
    """An environment whose installation is empty; at the end no container of it may be there."""
    environ = {k: v for k, v in hostile_host.environ.items() if not k.startswith(("SYLA_", "DOCKER_"))}
    environ |= {
        "SYLA_HOME": str(tmp_path / "home"),
        "PATH": f"{BIN}:{environ['PATH']}",
        "JUPYTER_CONFIG_DIR": "/nowhere",
    }
    (tmp_path / "work").mkdir()
    (tmp_path / "home" / "pool").mkdir(parents=True)
    (tmp_path / "home" / "pool" / "paused").touch()  # a refill after a failed start is not what is looked at here
    yield environ
    wait_until(lambda: left(environ["SYLA_HOME"]) == [], 15, "containers and run directories gone")


def left(home: str) -> list[str]:
    """Containers and run directories of this installation alone: others come and go meanwhile."""
    containers = subprocess.run(
        ["docker", "ps", "-aq", f"--filter=label=syla.home={pool_key(home)[:12]}"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    found = []
    for path in default_run_dir(os.environ, os.geteuid()).glob("*/data_dir"):
        with contextlib.suppress(OSError):
            found += [str(path)] if path.read_text() == home else []
    return containers + found


def exec_line(
    environ: dict[str, str],
    *arguments: str,
    prefix: tuple[str, ...] = (),
    cwd: Path | None = None,
    command: tuple[str, ...] = (str(BIN / "syla"),),
) -> str:
    """`syla exec …` fails: its exit code is not 0, it prints one line to standard error and nothing else; that line."""
    done = subprocess.run(
        [*prefix, *command, "exec", *arguments],
        env=environ, capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL,
        cwd=cwd or Path(environ["SYLA_HOME"]).parent / "work",
    )  # fmt: skip
    assert done.returncode not in (0, 1), (done.returncode, done.stderr)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("syla: ")
    assert "Traceback" not in lines[0]
    return lines[0]


def execute(environ: dict[str, str], kernel: str = "syla-python") -> str:
    """`jupyter execute` of a notebook fails and the notebook's code has not run anywhere; what it said."""
    work = Path(environ["SYLA_HOME"]).parent / "work"
    code = f"open({str(work / 'ran-locally')!r}, 'w').close()"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbformat.write(notebook, work / "nb.ipynb")
    done = subprocess.run(
        [str(BIN / "jupyter"), "execute", f"--kernel_name={kernel}", "nb.ipynb"],
        env=environ, capture_output=True, text=True, timeout=90, cwd=work,
    )  # fmt: skip
    assert done.returncode != 0
    assert not (work / "ran-locally").exists(), "the code ran outside of a container"
    return done.stderr


TRUE = ("--", "true")
MISSING_IMAGE = 'image = "syla-test/no-such-image:1"\ndisplay_name = "x"\n'


def template(environ: dict[str, str], text: str, name: str = "python") -> None:
    directory = Path(environ["SYLA_HOME"]) / "templates"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}.toml").write_text(text)


CONFIGURATIONS = [
    ({"SYLA_MOUNT": "everything"}, "SYLA_MOUNT", "Use rw, ro or none"),
    ({"SYLA_MEMORY": "lots"}, "'lots' is not a size", "Write it like 512m or 4g"),
    ({"SYLA_MEMORY": "-1g"}, "not a size", "512m"),
    ({"SYLA_MEMORY": "1k"}, "memory_bytes must be at least", ""),
    ({"SYLA_CPUS": "many"}, "'many' is not a number of cores", "Write it like 0.5 or 2"),
    ({"SYLA_CPUS": "nan"}, "cpus", ""),
    ({"SYLA_CPUS": "inf"}, "cpus", ""),
    ({"SYLA_MEMORY": "9" * 400 + "g"}, "memory", ""),
    ({"SYLA_WORKSPACE": "nowhere"}, "there is no workspace 'nowhere'", "`syla workspace list` names them"),
    ({"DOCKER_HOST": "unix:///nonexistent/docker.sock"}, "the Docker engine is not running", "Start it"),
    ({"DOCKER_HOST": "tcp://192.0.2.9:2375"}, "another machine", "unset DOCKER_HOST"),
    ({"DOCKER_HOST": "nonsense://x"}, "", ""),
]


@pytest.mark.parametrize(("change", "what", "way_out"), CONFIGURATIONS, ids=lambda value: str(value)[:40])
def test_environment(change: dict[str, str], what: str, way_out: str, place: dict[str, str]) -> None:
    """A variable that says nonsense is named, with the right form: by `syla exec` and by `jupyter execute`."""
    place.update(change)
    line = exec_line(place, *TRUE)
    assert what in line
    assert way_out in line
    said = execute(place)
    assert what in said
    assert way_out in said


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (MISSING_IMAGE, "no-such-image"),
        ("not toml = = =", "cannot be read as TOML"),
        ("packages = 7\n", "packages: must be a list of strings"),
        ('pakages = ["x"]\n', "pakages: is not a key of a template"),
        ('preload = ["os; import x"]\n', "is not the name of a module"),
        ("\0\1\2", "cannot be read as TOML"),
    ],
    ids=["missing image", "no toml", "wrong type", "unknown key", "bad module", "binary"],
)
def test_template_file(text: str, what: str, place: dict[str, str]) -> None:
    """A template with a mistake, or whose image is missing, is named with its file and key, or with how to build."""
    template(place, text)
    line = exec_line(place, *TRUE)
    assert what in line
    assert ("syla image build" if text is MISSING_IMAGE else "python.toml") in line
    assert what in execute(place)


def test_unknown_names(place: dict[str, str]) -> None:
    """An unknown template or kernel is named together with those that are known; a path that is not there is named."""
    assert "there is none named 'nosuch'" in exec_line(place, "--template=nosuch", *TRUE)
    assert "there is none named '../../etc/passwd'" in exec_line(place, "--template=../../etc/passwd", *TRUE)
    assert "nosuch.py does not exist" in exec_line(place, "nosuch.py")
    assert "is outside of" in exec_line(place, "/etc/passwd")
    assert "hides the script" in exec_line(place, "--mount=none", str(Path(__file__)))
    assert "is not a time" in exec_line(place, "--timeout=-1", *TRUE)
    assert "is not set here" in exec_line(place, "-eNOT_SET_AT_ALL", *TRUE)
    assert "syla-nosuch" in execute(place, "syla-nosuch")
    with pytest.raises(NoSuchKernel):
        NotebookClient(nbformat.v4.new_notebook(), kernel_name="syla-nosuch").execute()


def test_command_that_is_not_there(place: dict[str, str]) -> None:
    """A command the image does not have is said as such."""
    assert "nosuch-command" in exec_line(place, "--mount=none", "--", "nosuch-command")


def test_directory_that_is_gone(place: dict[str, str], tmp_path: Path) -> None:
    """Started from a directory that was removed meanwhile: one line, no traceback."""
    gone = tmp_path / "gone"
    gone.mkdir()
    leave = f"import os, sys; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); os.execv(sys.argv[1], sys.argv[1:])"
    module = (sys.executable, "-P", "-m", "syla_jupyter.cli.main")  # the script may start with a shell, which complains
    exec_line(place, *TRUE, prefix=(sys.executable, "-c", leave), command=module)


def as_nobody() -> tuple[str, ...]:
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv, to become somebody without rights")
    return ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def at_work(home: str) -> list[str]:
    """Processes whose environment names this directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            found += [path.parent.name] if home.encode() in path.read_bytes() else []
    return found


def test_engine_without_rights(place: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """A user whom the engine does not serve is told the command that changes it."""
    prefix = as_nobody()
    home = Path("/tmp") / f"syla-nobody-{os.getpid()}"
    home.mkdir(mode=0o777)
    os.chown(home, 65534, 65534)
    (home / "data" / "pool").mkdir(parents=True)
    (home / "data" / "pool" / "paused").touch()
    for path in home.rglob("*"):
        os.chown(path, 65534, 65534)
    place.update(SYLA_HOME=str(home / "data"), HOME=str(home), XDG_RUNTIME_DIR=str(home))
    try:
        if subprocess.run([*prefix, str(BIN / "syla"), "--version"], capture_output=True, env=place).returncode:
            pytest.skip("this Python is not readable for other users")
        line = exec_line(place, *TRUE, prefix=prefix, cwd=home)
        assert "no permission to use the Docker engine" in line
        assert "usermod -aG docker" in line
    finally:
        wait_until(lambda: not at_work(str(home)), 30, "the end of what was started in the background")
        shutil.rmtree(home)


@contextlib.contextmanager
def engine_that(answer: bytes, tmp_path: Path) -> Iterator[str]:
    """A socket that takes connections and answers each request with these bytes, like an engine that is ill."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "engine"))
    listener.listen()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                with peer, contextlib.suppress(OSError):
                    request = peer.recv(65536)
                    peer.sendall(VERSION if b"/version" in request.split(b"\r\n")[0] else answer)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"unix://{tmp_path}/engine"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def http(status: str, message: str) -> bytes:
    body = json.dumps({"message": message})
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


VERSION = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 22\r\n\r\n{"ApiVersion": "1.41"}'


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (http("500 Internal Server Error", "write /var/lib/docker/x: no space left on device"), "disk is full"),
        (http("500 Internal Server Error", "it is broken"), "it is broken"),
        (http("403 Forbidden", "authorization denied by plugin"), "authorization denied"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", ""),
        (b"\x00\x01garbage", ""),
        (b"", ""),
    ],
    ids=["full disk", "broken", "forbidden", "no engine", "garbage", "closes"],
)
def test_engine_that_is_ill(answer: bytes, what: str, place: dict[str, str], tmp_path: Path) -> None:
    """An engine that refuses, is full or talks nonsense gives one line, and the kernel does not start elsewhere."""
    with engine_that(answer, tmp_path) as url:
        place["DOCKER_HOST"] = url
        assert what in exec_line(place, *TRUE)
        assert what in execute(place)


def test_no_disk(place: dict[str, str], tmp_path: Path) -> None:
    """With no space left for our own records, that is what is said."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a full disk")
    small = tmp_path / "home"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "x", str(small)], check=True)
    try:
        with contextlib.suppress(OSError), (small / "fill").open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        line = exec_line(place, *TRUE)
        assert "space" in line or "disk" in line
        assert "space" in execute(place).lower()
    finally:
        subprocess.run(["umount", str(small)], check=True)


def run_dir_program(run_dir: str) -> tuple[str, ...]:
    """`syla` under a configuration that names a run directory."""
    return (sys.executable, "-c", (
        "import sys; from traitlets.config import Config; from syla_jupyter import app\n"
        "from syla_jupyter.model.errors import SylaError\n"
        f"c = Config(); c.Syla.update(run_dir={run_dir!r}, pool_size=0)\n"
        "try: app.shared(c)\n"
        "except SylaError as exc: print('syla:', exc, file=sys.stderr); sys.exit(exc.exit_code)\n"
        "sys.argv = ['syla', *sys.argv[2:]]\n"
        "from syla_jupyter.cli.main import main; main()"
    ))  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    [
        "too long",
        "open to others",
        "a file",
        "cannot be made",
    ],
)
def test_run_directory(kind: str, place: dict[str, str], tmp_path: Path) -> None:
    """A run directory that cannot serve is named, with what is wrong about it."""
    path = {
        "too long": tmp_path / ("x" * 90),
        "open to others": tmp_path / "r",
        "a file": tmp_path / "f",
        "cannot be made": Path("/proc/nowhere/syla"),
    }[kind]
    if kind == "open to others":
        path.mkdir()
        path.chmod(0o777)
    elif kind == "a file":
        path.write_text("")
    line = exec_line(place, *TRUE, prefix=run_dir_program(str(path)))
    assert str(path) in line
    if kind == "open to others":
        assert "chmod 700" in line


def test_doctor_says_what_is_missing(place: dict[str, str]) -> None:
    """`syla doctor` ends with a code of its own and the command that mends it."""
    place["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"
    done = subprocess.run([str(BIN / "syla"), "doctor"], env=place, capture_output=True, text=True, timeout=60)
    assert done.returncode == 69
    assert "Traceback" not in done.stderr
    assert "docker" in done.stdout
