"""The tools of the snapshot rows: each saves one tree into its store, and brings it back.

Ours is timed inside its process, as a server has one where everything is imported and the store is open; the others
are whole commands, as they are used. `whole_seconds` is the command for ours too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from syla_jupyter.testing.seaweed import Seaweed

from .model import OURS

RESTIC, BORG, TAR = "restic", "borg", "tar, zstd -1"


@dataclass(frozen=True)
class Took:
    seconds: float
    cpu_seconds: float
    """User and system time, of this side alone."""
    peak_bytes: int
    whole_seconds: float


# A small process starts the tool, because what started a process counts in its peak.
STARTER = """
import json, resource, subprocess, sys, time
begin = time.perf_counter()
ended = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
seconds = time.perf_counter() - begin
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([ended.returncode, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]))
"""


def run(command: list[str], environ: Mapping[str, str], cwd: Path) -> Took:
    """A whole command: its time, and its largest resident memory."""
    starter = [sys.executable, "-I", "-S", "-c", STARTER]
    ended = subprocess.run(
        [*starter, *command], cwd=cwd, env={**os.environ, **environ}, capture_output=True, check=True, text=True
    )
    code, seconds, cpu_seconds, peak = json.loads(ended.stdout)
    if code:
        raise RuntimeError(f"{command[0]} ended with {code}: {ended.stderr[-2000:]}")
    return Took(seconds, cpu_seconds, peak, seconds)


class Saver:
    """One way of saving `files`; what it keeps is in `place`, or in a bucket of `server` of the name of `place`."""

    def __init__(self, place: Path, files: Path, server: Seaweed | None = None) -> None:
        self.place, self.files, self.server = place, files, server
        self.environ: dict[str, str] = {} if server is None else {**server.environment}

    def prepare(self) -> None: ...

    def save(self) -> Took:
        raise NotImplementedError

    def save_unchanged(self) -> Took:
        return self.save()

    def restore(self, target: Path) -> Took:
        raise NotImplementedError

    def stored_bytes(self) -> int:
        if self.server is None:
            found = subprocess.run(["du", "-sb", self.place / "store"], capture_output=True, check=True, text=True)
            return int(found.stdout.split()[0])
        pages = self.server.client().get_paginator("list_objects_v2").paginate(Bucket=self.place.name)
        return sum(entry["Size"] for page in pages for entry in page.get("Contents", ()))


class Ours(Saver):
    def prepare(self) -> None:
        self._store = str(self.place / "store") if self.server is None else self.server.make_bucket(self.place.name)
        self._run("create")

    def _run(self, *verbs: str) -> Took:
        """The last verb's figures."""
        said = self.place / "figures.json"
        whole = run(
            [sys.executable, "-m", "bench.snapshot_ours", str(said), self._store, str(self.files), *verbs],
            self.environ, self.place,
        )  # fmt: skip
        return Took(**json.loads(said.read_text()), whole_seconds=whole.seconds)

    def save(self) -> Took:
        return self._run("save")

    def save_unchanged(self) -> Took:
        """As a server does it that has done it before; `whole_seconds` is of a command that does it once."""
        return replace(self._run("save", "save"), whole_seconds=self._run("save").whole_seconds)

    def restore(self, target: Path) -> Took:
        return self._run(f"restore:{target}")


class Restic(Saver):
    def prepare(self) -> None:
        store = self.place / "store" if self.server is None else f"s3:{self.server.url}/{self.place.name}"
        self.environ |= {
            "RESTIC_PASSWORD": "bench", "RESTIC_REPOSITORY": str(store), "RESTIC_CACHE_DIR": str(self.place / "cache"),
        }  # fmt: skip
        run(["restic", "init"], self.environ, self.files)

    def save(self) -> Took:
        return run(["restic", "backup", "."], self.environ, self.files)

    def restore(self, target: Path) -> Took:
        return run(["restic", "restore", "latest", "--target", str(target)], self.environ, self.place)


class Borg(Saver):
    def prepare(self) -> None:
        self.environ = {
            "BORG_PASSPHRASE": "bench",
            "BORG_BASE_DIR": str(self.place),
            "BORG_REPO": str(self.place / "store"),
        }
        self._count = 0
        run(["borg", "init", "--encryption", "repokey-blake2"], self.environ, self.place)

    def save(self) -> Took:
        self._count += 1
        return run(["borg", "create", f"::{self._count}", "."], self.environ, self.files)

    def restore(self, target: Path) -> Took:
        target.mkdir()
        return run(["borg", "extract", f"::{self._count}"], self.environ, target)


class Tar(Saver):
    def prepare(self) -> None:
        (self.place / "store").mkdir()

    def save(self) -> Took:
        out = self.place / "store/archive.tar.zst"
        return run(["tar", "-c", "-I", "zstd -1 -T2", "-f", str(out), "."], {}, self.files)

    def restore(self, target: Path) -> Took:
        target.mkdir()
        return run(["tar", "-x", "-I", "zstd", "-f", str(self.place / "store/archive.tar.zst")], {}, target)


SAVERS: dict[str, tuple[type[Saver], str, list[str]]] = {
    OURS: (Ours, sys.executable, ["--version"]),
    RESTIC: (Restic, "restic", ["version"]),
    BORG: (Borg, "borg", ["--version"]),
    TAR: (Tar, "zstd", ["--version"]),
}
"""Class, program, and how that says its version."""
WITH_S3 = (OURS, RESTIC)
PACKAGES = {RESTIC: "restic", BORG: "borgbackup", TAR: "zstd"}


def available(names: Collection[str], notes: list[str]) -> dict[str, str]:
    """Version by tool; what is not there is installed from the distribution, or left out and said."""
    found: dict[str, str] = {}
    wanted = {name: SAVERS[name] for name in names}
    missing = [PACKAGES[name] for name, (_, program, _) in wanted.items() if shutil.which(program) is None]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(
            ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing],
            capture_output=True, check=False, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )  # fmt: skip
    for name, (_, program, words) in wanted.items():
        if shutil.which(program) is None:
            notes.append(f"{name} left out: {program} is not installed")
            continue
        ended = subprocess.run([program, *words], capture_output=True, text=True, check=False)
        found[name] = (ended.stdout or ended.stderr).strip().splitlines()[0][:80]
    return found
