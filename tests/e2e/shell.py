"""`syla` as a person types it: real commands in a terminal session of their own."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pexpect

from tests.installation import syla

SECONDS = 60

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
            child.expect(pexpect.EOF)
        finally:
            child.close(force=True)
        assert (child.exitstatus, child.signalstatus) == (code, None)
