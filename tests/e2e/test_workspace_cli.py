"""`syla workspace`, and `syla exec` and `syla console` in one: real commands, real containers, one installation."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pexpect
import pytest

from tests.installation import Installation, syla

SECONDS = 60


FILES = {
    "main.py": "import helper, sys\nx = helper.value\nprint(__name__, __file__, sys.argv[1:])\n",
    "helper.py": "value = 41\n",
    "test.py": "import os\nprint(x + 1, os.getcwd())\nexit(3)\n",
    "bad.py": "def f():\n    raise ValueError('on purpose')\nkept = 1\nf()\n",
    "slow.py": "import time\nprint(kept, flush=True)\ntime.sleep(100)\n",
    "loop.py": "import time\nfor n in range(1000):\n    print(n)\n    time.sleep(0.1)\n",
    "who.py": "import os\nprint(os.path.exists('/workspace/main.py'))\n",
    "after.py": "print('console said', said)\n",
}
"""In workspace `demo`."""


ONE_PROCESS = """
import contextlib, io, json, sys
from syla_jupyter.cli.main import main
found = []
for words in json.loads(sys.argv[1]):
    out, err, code = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO()), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words, prog_name="syla")
        except SystemExit as exc:
            code = exc.code or 0
        out.flush(), err.flush()
    found.append([code, out.buffer.getvalue().decode(), err.buffer.getvalue().decode()])
print(json.dumps(found))
"""


class Ended(NamedTuple):
    code: int
    stdout: str
    stderr: str


@dataclasses.dataclass(frozen=True)
class Shell:
    """A terminal session in a root directory."""

    home: Path
    root: Path
    session: str = "first"

    @property
    def environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "SYLA_HOME": str(self.home),
            "SYLA_ROOT": str(self.root),
            "SYLA_SESSION": self.session,
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "",  # as for any user: else each command compiles all it imports
        }

    def __call__(self, *words: str, code: int = 0, **options: Any) -> str:
        """What it prints; fails when the exit code is another one."""
        ended = self.ended(*words, **options)
        assert ended.returncode == code, (words, ended.stdout, ended.stderr)
        return ended.stdout

    def ended(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        options = {"cwd": self.root, "stdin": subprocess.DEVNULL, **options}
        return syla(*words, home=self.home, env=self.environ, check=False, **options)

    def refused(self, *words: str, code: int) -> str:
        """It fails with this exit code and prints one line; that line."""
        ended = self.ended(*words)
        assert (ended.returncode, ended.stdout) == (code, ""), (words, ended)
        assert ended.stderr.startswith("syla: ")
        assert ended.stderr.count("\n") == 1, ended.stderr
        return ended.stderr

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json"))

    def row(self, *commands: tuple[str, ...]) -> list[Ended]:
        """Commands one after the other in one process, which spares each the imports."""
        given = [list(words) for words in commands]
        ended = subprocess.run(
            [sys.executable, "-c", ONE_PROCESS, json.dumps(given)],
            env=self.environ,
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return [Ended(*one) for one in json.loads(ended.stdout)]

    def done(self, *commands: tuple[str, ...]) -> list[str]:
        """`row` of commands that succeed; what they print."""
        ended = self.row(*commands)
        assert [one.code for one in ended] == [0] * len(ended), ended
        return [one.stdout for one in ended]

    def started(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "syla_jupyter.cli.main", *words],
            env=self.environ,
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def files(self, name: str) -> Path:
        return self.root / "workspaces" / name

    @contextlib.contextmanager
    def terminal(self, *words: str, code: int) -> Iterator[pexpect.spawn]:
        child = pexpect.spawn(
            sys.executable,
            ["-m", "syla_jupyter.cli.main", *words],
            encoding="utf-8",
            timeout=SECONDS,
            dimensions=(40, 120),
            env=self.environ,
            cwd=self.root,
        )
        try:
            yield child
            child.expect(pexpect.EOF, timeout=20)
        finally:
            child.close(force=True)
        assert (child.exitstatus, child.signalstatus) == (code, None)


@pytest.fixture(scope="module")
def shell(session_dir: Path, engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """One installation for the module, of which nothing is left afterwards; `demo` is there and in use."""
    made = Shell(session_dir / "cli", tmp_path_factory.mktemp("root"))
    assert "workspaces/demo" in made(
        "workspace", "create", "--type", "persistent", "--label", "team=a", "--use", "demo"
    )
    demo = made.files("demo")
    (demo / "sub").mkdir()
    for name, text in FILES.items():
        (demo / name).write_text(text)
    yield made
    installation = Installation(made.home, engine)
    installation.end_workspaces()
    installation.drain()
    installation.assert_nothing_left()


def test_state_is_preserved_between_files(shell: Shell) -> None:
    """`exec main.py`, then `exec test.py`: names, arguments, modules beside it, the directory one stands in."""
    assert shell("exec", "main.py", "a", "--b") == "__main__ /workspace/main.py ['a', '--b']\n"
    assert shell("exec", "../test.py", code=3, cwd=shell.files("demo") / "sub") == "42 /workspace/sub\n"
    assert shell("exec", "workspaces/demo/test.py", code=3) == "42 /workspace\n"
    fresh = shell.ended("exec", "--fresh", "test.py")
    assert fresh.returncode == 1
    assert "NameError" in fresh.stderr


def test_errors_and_time_limits(shell: Shell) -> None:
    """An exception is exit code 1 and its traceback; a limit is 124, and ends nothing else."""
    bad = shell.ended("exec", "bad.py")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert "File /workspace/bad.py:2, in f()" in bad.stderr
    assert "\x1b" not in bad.stderr
    assert shell("exec", "--timeout", "1", "slow.py", code=124) == "1\n"
    assert shell("exec", "--timeout", "1", "--", "sleep", "100", code=124) == ""
    assert shell("exec", "--", "sh", "-c", "pwd; exit 4", code=4) == "/workspace\n"
    assert "kept" in {v["name"] for v in shell.json("workspace", "variables")["variables"]}


def test_output_comes_while_it_runs_and_ctrl_c_interrupts(shell: Shell) -> None:
    """The first line is there before the last; the interrupt is exit code 130 and leaves the variables."""
    (shell.files("demo") / "loop.py").write_text(
        "import time\nfor n in range(1000):\n    print(n)\n    time.sleep(0.1)\n"
    )
    child = shell.started("exec", "loop.py")
    assert child.stdout is not None
    assert [child.stdout.readline() for _ in range(3)] == ["0\n", "1\n", "2\n"]
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate(timeout=20)
    assert (child.returncode, "KeyboardInterrupt" in stderr) == (130, True)
    assert "n" in {v["name"] for v in shell.json("workspace", "variables")["variables"]}


def test_each_terminal_has_its_own_workspace(shell: Shell) -> None:
    """Two sessions at once, and --workspace before both."""
    second = dataclasses.replace(shell, session="second")
    refused, *_ = second.row(("workspace", "show"), ("workspace", "create", "other"), ("workspace", "use", "other"))
    assert refused.code == 64
    assert "no workspace is in use" in refused.stderr
    (shell.files("other") / "who.py").write_text(FILES["who.py"])
    assert second("exec", "who.py") == "False\n"
    assert shell("exec", "who.py") == "True\n"
    there, none, refused = second.row(
        ("exec", "--workspace", "demo", "who.py"), ("workspace", "use", "--none"), ("workspace", "suspend")
    )
    assert (there.stdout, none.code, refused.code) == ("True\n", 0, 64)


def test_a_command_counts_as_activity(shell: Shell) -> None:
    """Of a workspace that runs already, the beginning and the end of what a command runs in it is noted."""
    show = ("workspace", "show", "--json")
    _, before, _, after = shell.done(("exec", "main.py"), show, ("exec", "--", "sleep", "1"), show)
    began, ended = (datetime.fromisoformat(json.loads(one)["last_activity_at"]) for one in (before, after))
    assert (ended - began).total_seconds() >= 1


def test_suspend_and_resume(shell: Shell) -> None:
    """Frozen, and thawed by being used; stopped, and started anew: with its variables each time."""
    _, frozen, seen, resumed = shell.done(
        ("exec", "main.py"),
        ("workspace", "suspend"),
        ("workspace", "show", "--json"),
        ("workspace", "resume", "--json"),
    )
    assert "suspended (frozen)" in frozen
    assert json.loads(seen)["frozen"] is True
    assert json.loads(resumed)["level"] == "thawed"
    shell("workspace", "suspend")
    assert shell("exec", "test.py", code=3).startswith("42 ")
    stopped, resumed = shell.done(("workspace", "suspend", "--stop"), ("workspace", "resume", "--json"))
    assert "suspended (stopped)" in stopped
    assert json.loads(resumed)["level"] == "restarted"
    assert shell("exec", "test.py", code=3).startswith("42 ")


def test_show_and_list(shell: Shell) -> None:
    """A deadline with its reason, limits, packages; filters, sorting and pages, for people and for programs."""
    _, seen, listed, none = shell.done(
        ("exec", "main.py"),
        ("workspace", "show", "demo"),
        ("workspace", "list", "--type", "persistent", "--state", "active", "--name", "DEM"),
        ("workspace", "list", "--older-than", "1h"),
    )
    assert re.search(r"^next +suspended in 59 min$", seen, re.MULTILINE), seen
    assert re.search(r"^because +idle for \d+ s \(suspended after 1 h\)$", seen, re.MULTILINE), seen
    assert re.search(r"^packages +none besides the image's$", seen, re.MULTILINE), seen
    assert "2 cores, 4 GB of memory, 20 GB on disk" in seen
    assert re.search(r"^\* +demo +active +persistent +\d\d:\d\d +suspended in \d+ min", listed, re.MULTILINE), listed
    assert none == "No workspaces found.\n"
    pages = ("workspace", "list", "--label", "kind", "--limit", "2", "--sort", "name", "--descending", "--json")
    made = [("workspace", "create", "--label", "kind=page", name) for name in ("page-b", "page-a", "page-c")]
    first = json.loads(shell.done(*made, pages)[-1])
    assert [w["name"] for w in first["workspaces"]] == ["page-c", "page-b"]
    assert first["total"] == 3
    rest = json.loads(shell.done((*pages, "--after", first["next"]))[0])
    assert ([w["name"] for w in rest["workspaces"]], rest["next"]) == (["page-a"], "")


def test_values_are_changed(shell: Shell) -> None:
    """Limits of the running container too; times, labels; `touch` puts off what its policy does."""
    words = [
        "demo",
        "--memory",
        "1g",
        "--idle",
        "2h",
        "--ttl",
        "never",
        "--label",
        "x=y",
        "--unlabel",
        "team",
        "--json",
    ]
    limit = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null; true"
    changed, touched = shell.done(("workspace", "set", *words), ("workspace", "touch", "demo", "--for", "3h"))
    seen = json.loads(changed)
    assert (seen["limits"]["memory_bytes"], seen["policy"]["idle_seconds"]) == (1 << 30, 7200)
    assert seen["labels"] == {"x": "y"}
    assert str(1 << 30) in shell("exec", "--", "sh", "-c", limit)
    assert "in 2 h 59 min" in touched


def test_bad_input_is_one_line(shell: Shell) -> None:
    """It names the field and the way out, in the exit code of its kind; nothing was done."""
    cases: list[tuple[tuple[str, ...], int, str]] = [
        (("create", "../x"), 64, "name: "),
        (("create", "demo"), 64, "name: "),
        (("create", "y", "--memory", "1k"), 64, "--memory: '1k' is out of range. memory_bytes must be at least 64 MB"),
        (("create", "y", "--template", "nosuch"), 64, "template: "),
        (("create", "y", "--root", "/nosuch"), 66, "--root: "),
        (("create", "y", "--from", "https://u:geheim@/x"), 64, "URL: "),
        (("create", "y", "--type", "odd"), 2, "--type"),
        (("create",), 2, "NAME"),
        (("list", "--state", "odd"), 2, "--state"),
        (("list", "--after", "nonsense"), 64, "after: "),
        (("show", "nosuch"), 64, "workspace: "),
        (("set", "demo", "--idle", "soon"), 64, "--idle: "),
        (("use",), 64, "NAME: "),
        (("recover", "nosuch"), 64, "workspace: "),
        (("delete", "demo"), 64, "--force: "),
        (("suspend", "demo", "--stop", "--execution", "00000000"), 75, "00000000"),
        (("clone-repo", "ftp://u:geheim@h/x"), 64, "URL: "),
        (("clone-repo", "https://h/x", "../out"), 64, "DIRECTORY: "),
    ]
    execs: list[tuple[tuple[str, ...], int, str]] = [
        (("--workspace", "nosuch", "--", "true"), 64, "--workspace: there is no workspace 'nosuch'"),
        (("--mount", "ro", "--", "true"), 64, "--mount: "),
        (("--timeout", "0", "--", "true"), 64, "--timeout: "),
        (("--template", "bash", "--", "true"), 64, "--template: "),
        (("--watch", "--", "true"), 64, "--watch: "),
        (("-e", "A=b", "main.py"), 64, "--env: "),
        (("--workspace", "shells", "main.py"), 64, "FILE: "),
        (("nosuch.py",), 66, "FILE: "),
        (("/etc/passwd",), 66, "FILE: "),
    ]
    shell("workspace", "create", "--template", "bash", "shells")
    (shell.files("shells") / "main.py").touch()
    cases = [(("workspace", *words), *rest) for words, *rest in cases]
    cases += [(("exec", *words), *rest) for words, *rest in execs]
    for (words, code, field), ended in zip(cases, shell.row(*(case[0] for case in cases)), strict=True):
        assert (ended.code, ended.stdout) == (code, ""), (words, ended)
        assert ended.stderr.startswith("syla: "), (words, ended)
        assert ended.stderr.count("\n") == 1, (words, ended)
        assert field in ended.stderr, (words, ended)
        assert "geheim" not in ended.stderr, (words, ended)


def test_archive_recover_delete(shell: Shell) -> None:
    """Deleting says what is lost; it asks on a terminal, and elsewhere wants --force."""
    shell("workspace", "create", "gone")
    (shell.files("gone") / "file").write_bytes(b"x" * 2048)
    (shell.files("gone") / "link").symlink_to("/etc/services")
    archived, refused = shell.row(("workspace", "archive", "gone"), ("exec", "--workspace", "gone", "v.py"))
    assert archived.code == 0
    assert not shell.files("gone").exists()
    assert refused.code in (64, 66, 75)
    shell("workspace", "recover", "gone")
    assert (shell.files("gone") / "file").stat().st_size == 2048
    (shell.files("gone") / "v.py").write_text("a = b = 1\n")
    _, dry = shell.done(("exec", "--workspace", "gone", "v.py"), ("workspace", "delete", "gone", "--dry-run"))
    assert re.search(r"would lose 3 files \(2(\.\d)? KB\), its home \(.*\) and 2 variables", dry), dry
    with shell.terminal("workspace", "delete", "gone", code=64) as child:
        child.expect("for good, with 3 files .* 2 variables.*N")
        child.sendline("n")
        child.expect("is kept")
    with shell.terminal("workspace", "delete", "gone", code=0) as child:
        child.expect("for good")
        child.sendline("y")
        child.expect("is deleted")
    assert not shell.files("gone").exists()
    made, deleted, again = shell.row(
        ("workspace", "create", "gone"),
        ("workspace", "delete", "gone", "--force", "--json"),
        ("workspace", "delete", "gone", "--force"),
    )
    assert made.code == 0
    assert json.loads(deleted.stdout)["lost"]["files"] == 0
    assert (again.code, "no workspace 'gone'" in again.stderr) == (64, True)


def test_the_console_shares_the_kernel(shell: Shell) -> None:
    """It sees what files left and the other way round; Ctrl-C interrupts; a suspended workspace is resumed by a cell."""
    shell("exec", "main.py")
    with shell.terminal("console", code=0) as child:
        child.expect(r"In .*\[")
        child.send("print('seen', x + 1)\r")
        child.expect("seen 42")
        child.expect(r"In .*\[")
        child.send("import time; print('on'); time.sleep(100)\r")
        child.expect("on\r")
        child.sendintr()
        child.expect("KeyboardInterrupt")
        child.expect(r"In .*\[")
        shell("workspace", "suspend")
        child.send("said = 'hello'; print(said * 2)\r")
        child.expect("hellohello")
        child.expect(r"In .*\[")
        child.send("exit\r")
    assert shell("exec", "after.py") == "console said hello\n"


def test_watching_runs_a_file_again(shell: Shell) -> None:
    """When it changes, also while it runs; what it writes beside itself does not; Ctrl-C ends."""
    script = shell.files("demo") / "watched.py"
    script.write_text("open('written.txt', 'a').write('.')\nprint('one')\n")
    child = shell.started("exec", "--watch", "watched.py")
    assert child.stdout is not None
    assert child.stderr is not None
    try:
        assert child.stdout.readline() == "one\n"
        while "waiting" not in child.stderr.readline():
            pass
        script.write_text("import time\nprint('two', flush=True)\ntime.sleep(100)\n")
        assert child.stdout.readline() == "two\n"
        script.write_text("print('three')\n")
        assert child.stdout.readline() == "three\n"
        child.send_signal(signal.SIGINT)
        rest, _ = child.communicate(timeout=20)
        assert (child.returncode, rest) == (130, "")
    finally:
        child.kill()


# -- git -----------------------------------------------------------------------------------------------------------------

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
    request.addfinalizer(lambda: serving.terminate() or serving.communicate(timeout=20))
    url = "http://anna:geheim%2F1@127.0.0.1:8123/origin.git"
    shell("exec", "--", "python3", "-c", WAIT_FOR_SERVER, timeout=30)
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
