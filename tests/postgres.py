"""A real PostgreSQL server of the machine's own binaries, in a temporary directory, on a unix socket.

The server refuses to run as root: then it runs as `postgres`, or `nobody`. Its durability is switched off; its ways to
lock and to refuse are the real ones.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .installation import wait_until

DEBIAN = Path("/usr/lib/postgresql")
START_SECONDS = 60
STOP_SECONDS = 30
SUPERUSER = "syla"
SETTINGS = {"listen_addresses": "", "fsync": "off", "max_connections": "400", "shared_buffers": "128MB"}


class NoPostgres(Exception):
    """Why there can be none here."""


@dataclass(frozen=True)
class Postgres:
    bin: Path
    directory: Path
    """Of the socket."""

    def url(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}@/{database}?host={self.directory}"

    def make_database(self, name: str) -> str:
        """An empty one; its URL."""
        self.run("createdb", "--template=template0", "--encoding=UTF8", name)
        return self.url(name)

    def run(self, program: str, *arguments: str) -> str:
        command = [self.bin / program, f"--host={self.directory}", f"--username={SUPERUSER}", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def find_binaries() -> Path:
    """Of the newest version installed."""
    found = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: float(path.parent.parent.name))
    on_path = shutil.which("initdb")
    if not found and not on_path:
        raise NoPostgres(f"no PostgreSQL server is installed (no initdb in {DEBIAN} or on PATH)")
    return found[-1].parent if found else Path(str(on_path)).parent


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server; it ends when the block does, or when this process does. `NoPostgres` where there can be none."""
    binaries = find_binaries()
    user = _server_user()
    directory = Path(tempfile.mkdtemp(prefix="syla-pg-", dir="/tmp"))
    try:
        os.chown(directory, user.pw_uid, user.pw_gid)
        identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        options: dict[str, object] = {**identity, "cwd": directory, "env": {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}}
        data = directory / "data"
        subprocess.run(
            [binaries / "initdb", f"--pgdata={data}", f"--username={SUPERUSER}", "--auth=trust", "--encoding=UTF8", "--no-sync"],
            check=True, capture_output=True, timeout=START_SECONDS, **options,
        )  # fmt: skip
        settings = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-k", directory, *settings],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_end_with_parent, **options,
            )  # fmt: skip
        server = Postgres(binaries, directory)
        try:
            wait_until(lambda: process.poll() is not None or _ready(server), START_SECONDS, "PostgreSQL answers")
            assert process.poll() is None, (directory / "log").read_text()
            yield server
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nothing is kept
            try:
                process.wait(STOP_SECONDS)
            finally:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _server_user() -> pwd.struct_passwd:
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoPostgres("PostgreSQL does not run as root, and there is no other user")


def _ready(server: Postgres) -> bool:
    try:
        server.run("pg_isready", "--quiet")
    except subprocess.CalledProcessError:
        return False
    return True


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGINT, 0, 0, 0)  # PR_SET_PDEATHSIG
