"""Snapshots beside restic, borg and tar with zstd: one corpus, local store, everything encrypted but tar.

One campaign gives all rows; the first row of a run does it and leaves its figures in the lab for the others. Tools
take turns. Ours is timed inside its process, as a server would run it; the others are whole commands, as they are used.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import corpus
from ..measure import Bench
from ..model import OURS, Outcome, Row, Target

RESTIC, BORG, TAR = "restic", "borg", "tar, zstd -1"
REPEATED = 3
MIB = 1 << 20
LIMIT_SECONDS = 3600.0
FIGURES = ("first", "unchanged", "small_change", "restore", "bytes", "memory")


@dataclass(frozen=True)
class Took:
    seconds: float
    peak_bytes: int


# A small process starts the tool, because what started a process counts in its peak.
STARTER = """
import json, resource, subprocess, sys, time
begin = time.perf_counter()
ended = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
seconds = time.perf_counter() - begin
print(json.dumps([ended.returncode, seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024]))
"""


def run(command: list[str], environ: Mapping[str, str], cwd: Path) -> Took:
    """A whole command: its time, and its largest resident memory."""
    starter = [sys.executable, "-I", "-S", "-c", STARTER]
    ended = subprocess.run(
        [*starter, *command], cwd=cwd, env={**os.environ, **environ}, capture_output=True, check=True, text=True
    )
    code, seconds, peak = json.loads(ended.stdout)
    if code:
        raise RuntimeError(f"{command[0]} ended with {code}: {ended.stderr[-500:]}")
    return Took(seconds, peak)


class Tool:
    """One way of saving `files` into `place`."""

    def __init__(self, place: Path, files: Path) -> None:
        self.place, self.files = place, files
        self.environ: dict[str, str] = {}

    def prepare(self) -> None: ...

    def save(self) -> Took:
        raise NotImplementedError

    def restore(self, target: Path) -> Took:
        raise NotImplementedError

    def stored_bytes(self) -> int:
        found = subprocess.run(["du", "-sb", self.place / "store"], capture_output=True, check=True, text=True)
        return int(found.stdout.split()[0])


class Ours(Tool):
    def _run(self, verb: str) -> Took:
        ended = subprocess.run(
            [sys.executable, "-m", "bench.snapshot_ours", self.place, self.files, verb],
            capture_output=True, check=False, text=True,
        )  # fmt: skip
        if ended.returncode:
            raise RuntimeError(f"ours: {ended.stderr[-2000:]}")
        figures = json.loads(ended.stdout)
        return Took(figures["seconds"], figures["peak_bytes"])

    def save(self) -> Took:
        return self._run("save")

    def restore(self, target: Path) -> Took:
        return self._run(f"restore:{target}")

    def stored_bytes(self) -> int:
        found = subprocess.run(["du", "-sb", self.place / "objects"], capture_output=True, check=True, text=True)
        return int(found.stdout.split()[0])


class Restic(Tool):
    def prepare(self) -> None:
        self.environ = {
            "RESTIC_PASSWORD": "bench", "RESTIC_REPOSITORY": str(self.place / "store"),
            "RESTIC_CACHE_DIR": str(self.place / "cache"),
        }  # fmt: skip
        run(["restic", "init"], self.environ, self.files)

    def save(self) -> Took:
        return run(["restic", "backup", "."], self.environ, self.files)

    def restore(self, target: Path) -> Took:
        return run(["restic", "restore", "latest", "--target", str(target)], self.environ, self.place)


class Borg(Tool):
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


class Tar(Tool):
    def prepare(self) -> None:
        (self.place / "store").mkdir()

    def save(self) -> Took:
        out = self.place / "store/archive.tar.zst"
        return run(["tar", "-c", "-I", "zstd -1 -T2", "-f", str(out), "."], {}, self.files)

    def restore(self, target: Path) -> Took:
        target.mkdir()
        return run(["tar", "-x", "-I", "zstd", "-f", str(self.place / "store/archive.tar.zst")], {}, target)


TOOLS: dict[str, tuple[type[Tool], str, list[str]]] = {
    OURS: (Ours, sys.executable, ["--version"]),
    RESTIC: (Restic, "restic", ["version"]),
    BORG: (Borg, "borg", ["--version"]),
    TAR: (Tar, "zstd", ["--version"]),
}
PACKAGES = {RESTIC: "restic", BORG: "borgbackup", TAR: "zstd"}


def available(notes: list[str]) -> dict[str, str]:
    """Version by tool; what is not there is installed from the distribution, or left out and said."""
    found: dict[str, str] = {}
    missing = [package for name, package in PACKAGES.items() if shutil.which(TOOLS[name][1]) is None]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(
            ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing],
            capture_output=True, check=False, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )  # fmt: skip
    for name, (_, program, words) in TOOLS.items():
        if shutil.which(program) is None:
            notes.append(f"{name} left out: {program} is not installed")
            continue
        ended = subprocess.run([program, *words], capture_output=True, text=True, check=False)
        found[name] = (ended.stdout or ended.stderr).strip().splitlines()[0][:80]
    return found


def campaign(lab: Path, quick: bool) -> dict[str, Any]:
    """All figures: samples by figure and tool, versions, notes."""
    notes: list[str] = []
    tools = available(notes)
    size = corpus.QUICK if quick else corpus.FULL
    samples: dict[str, dict[str, list[float]]] = {figure: {name: [] for name in tools} for figure in FIGURES}
    top = lab / "snapshots"
    pristine = lab / "corpus"
    corpus.make(pristine, size)
    for repetition in range(1 if quick else REPEATED):
        shutil.rmtree(top, ignore_errors=True)
        top.mkdir()
        subprocess.run(["cp", "-a", pristine, top / "corpus"], check=True)
        made: dict[str, Tool] = {}
        for name in tools:
            place = top / f"tool{len(made)}"
            place.mkdir()
            made[name] = TOOLS[name][0](place, top / "corpus")
            made[name].prepare()
        names = list(made)
        order = names[repetition % len(names) :] + names[: repetition % len(names)]
        os.sync()
        _measure({name: made[name] for name in order}, samples, top, size)
    shutil.rmtree(top, ignore_errors=True)
    shutil.rmtree(pristine, ignore_errors=True)
    return {"samples": samples, "versions": tools, "notes": notes}


def _measure(
    tools: Mapping[str, Tool], samples: dict[str, dict[str, list[float]]], top: Path, size: corpus.Size
) -> None:
    def each(figure: str, act: Callable[[Tool], Took]) -> None:
        for name, tool in tools.items():
            took = act(tool)
            samples[figure][name].append(took.seconds)
            if figure == "first":
                samples["bytes"][name].append(tool.stored_bytes() / 1e6)
                samples["memory"][name].append(took.peak_bytes / 1e6)

    each("first", lambda tool: tool.save())
    each("unchanged", lambda tool: tool.save())
    corpus.change(top / "corpus", size)
    os.sync()
    each("small_change", lambda tool: tool.save())

    def restored(tool: Tool) -> Took:
        target = tool.place / "restored"
        os.sync()
        took = tool.restore(target)
        subprocess.run(["diff", "-rq", "--no-dereference", top / "corpus", target], check=True)
        return took  # what was restored stays: ext4 is slow to give inodes again that were just freed

    each("restore", restored)


def _row(figure: str, title: str, unit: str, target: Target) -> Row:
    async def measured(bench: Bench) -> Outcome:
        kept = bench.lab / "snapshots.json"
        if not kept.exists():
            found = await asyncio.to_thread(campaign, bench.lab, bench.quick)
            kept.write_text(json.dumps(found))
        found = json.loads(kept.read_text())
        return Outcome(found["samples"][figure], extra={"versions": found["versions"]}, notes=found["notes"])

    return Row(f"snapshot_{figure}", title, unit, measured, target, baseline=RESTIC, limit_seconds=LIMIT_SECONDS)


def _faster(times: float) -> Target:
    return Target(f"≥ {times:g}× restic's speed", lambda m, _: RESTIC in m and m[OURS] * times <= m[RESTIC])


FIRST = _row("first", "first save of 1.7 GB in 22,000 files", "s", _faster(4))
UNCHANGED = _row("unchanged", "save when nothing changed", "s", _faster(5))
SMALL_CHANGE = _row("small_change", "save of 1 % edited, 10 MB inserted, one renamed", "s", _faster(4))
RESTORE = _row("restore", "restore of all of it", "s", _faster(2))
BYTES = _row(
    "bytes", "stored for the first save", "MB",
    Target("≤ restic's", lambda m, _: RESTIC in m and m[OURS] <= m[RESTIC]),
)  # fmt: skip
MEMORY = _row("memory", "peak memory of the first save", "MB", Target("≤ 400 MB", lambda m, _: m[OURS] <= 400))
ROWS = (FIRST, UNCHANGED, SMALL_CHANGE, RESTORE, BYTES, MEMORY)
