"""Snapshots beside restic, borg and tar with zstd: one corpus, everything encrypted but tar.

One campaign for a kind of store gives all its rows; the first row of a run does it and leaves its figures in the lab
for the others. Tools take turns. The S3 server is a real one, on the same cores: what it needs itself is in the times
of both. Borg has no S3.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import statistics
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from syla_jupyter.testing.seaweed import Seaweed, running_seaweed

from .. import corpus
from ..measure import Bench
from ..model import OURS, Outcome, Row, Target
from ..savers import RESTIC, SAVERS, WITH_S3, Saver, Took, available

REPEATED = 3
LIMIT_SECONDS = 3600.0
WHOLE = f"{OURS}, whole command"
TIMES = ("first", "unchanged", "small_change", "restore")
FIGURES = (*TIMES, "bytes", "memory")
Samples = dict[str, dict[str, list[float]]]
"""By figure and tool."""


def campaign(lab: Path, quick: bool, s3: bool) -> dict[str, Any]:
    """All figures: samples, processor seconds, versions, notes."""
    notes: list[str] = []
    versions = available(WITH_S3 if s3 else tuple(SAVERS), notes)
    size = corpus.QUICK if quick else corpus.FULL
    samples: Samples = {figure: {name: [] for name in versions} for figure in FIGURES}
    cpu_seconds: Samples = {figure: {name: [] for name in versions} for figure in TIMES}
    for figure in TIMES:
        samples[figure][WHOLE] = []
    top, pristine = lab / "snapshots", lab / "corpus"
    corpus.make(pristine, size)
    with running_seaweed() if s3 else contextlib.nullcontext() as server:
        for repetition in range(1 if quick else REPEATED):
            shutil.rmtree(top, ignore_errors=True)
            top.mkdir()
            subprocess.run(["cp", "-a", pristine, top / "corpus"], check=True)
            names = list(versions)
            turned = names[repetition % len(names) :] + names[: repetition % len(names)]
            savers = _prepared(turned, top, repetition, server)
            os.sync()
            _measure(savers, samples, cpu_seconds, top, size)
    shutil.rmtree(top, ignore_errors=True)
    shutil.rmtree(pristine, ignore_errors=True)
    medians = {figure: _medians(values) for figure, values in cpu_seconds.items()}
    return {"samples": samples, "cpu_seconds": medians, "versions": versions, "notes": notes}


def _prepared(names: list[str], top: Path, repetition: int, server: Seaweed | None) -> dict[str, Saver]:
    made: dict[str, Saver] = {}
    for name in names:
        place = top / f"saver-{repetition}-{len(made)}"
        place.mkdir()
        made[name] = SAVERS[name][0](place, top / "corpus", server)
        made[name].prepare()
    return made


def _measure(savers: Mapping[str, Saver], samples: Samples, cpu: Samples, top: Path, size: corpus.Size) -> None:
    def each(figure: str, act: Callable[[Saver], Took]) -> None:
        for name, saver in savers.items():
            took = act(saver)
            samples[figure][name].append(took.seconds)
            cpu[figure][name].append(took.cpu_seconds)
            if name == OURS:
                samples[figure][WHOLE].append(took.whole_seconds)
            if figure == "first":
                samples["bytes"][name].append(saver.stored_bytes() / 1e6)
                samples["memory"][name].append(took.peak_bytes / 1e6)

    each("first", lambda saver: saver.save())
    each("unchanged", lambda saver: saver.save_unchanged())
    corpus.change(top / "corpus", size)
    os.sync()
    each("small_change", lambda saver: saver.save())

    def restored(saver: Saver) -> Took:
        target = saver.place / "restored"
        os.sync()
        took = saver.restore(target)
        subprocess.run(["diff", "-rq", "--no-dereference", top / "corpus", target], check=True)
        return took  # what was restored stays: ext4 is slow to give inodes again that were just freed

    each("restore", restored)


def _medians(values: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: round(statistics.median(found), 2) for name, found in values.items() if found}


def _row(figure: str, title: str, unit: str, target: Target, *, s3: bool = False) -> Row:
    async def measured(bench: Bench) -> Outcome:
        kept = bench.lab / ("snapshots_s3.json" if s3 else "snapshots.json")
        if not kept.exists():
            found = await asyncio.to_thread(campaign, bench.lab, bench.quick, s3)
            kept.write_text(json.dumps(found))
        found = json.loads(kept.read_text())
        extra = {"versions": found["versions"]}
        if figure in TIMES:
            extra["cpu_seconds"] = found["cpu_seconds"][figure]
        return Outcome(found["samples"][figure], extra=extra, notes=found["notes"])

    id = f"snapshot_s3_{figure}" if s3 else f"snapshot_{figure}"
    return Row(id, title, unit, measured, target, baseline=RESTIC, limit_seconds=LIMIT_SECONDS)


def _faster(times: float) -> Target:
    return Target(f"≥ {times:g}× restic's speed", lambda m, _: RESTIC in m and m[OURS] * times <= m[RESTIC])


SMALL_MEMORY = Target("≤ 400 MB", lambda m, _: m[OURS] <= 400)
FIRST = _row("first", "first save of 1.7 GB in 22,000 files", "s", _faster(4))
UNCHANGED = _row("unchanged", "save when nothing changed", "s", _faster(5))
SMALL_CHANGE = _row("small_change", "save of 1 % edited, 10 MB inserted, one renamed", "s", _faster(4))
RESTORE = _row("restore", "restore of all of it", "s", _faster(2))
BYTES = _row(
    "bytes", "stored for the first save", "MB",
    Target("≤ restic's", lambda m, _: RESTIC in m and m[OURS] <= m[RESTIC]),
)  # fmt: skip
MEMORY = _row("memory", "peak memory of the first save", "MB", SMALL_MEMORY)
S3_FIRST = _row("first", "first save, to an S3 server on the same cores", "s", _faster(2.5), s3=True)
S3_UNCHANGED = _row("unchanged", "save to S3 when nothing changed", "s", _faster(5), s3=True)
S3_SMALL_CHANGE = _row("small_change", "the same small change, to S3", "s", _faster(4), s3=True)
S3_RESTORE = _row("restore", "restore of all of it, from S3", "s", _faster(2), s3=True)
S3_MEMORY = _row("memory", "peak memory of the first save to S3", "MB", SMALL_MEMORY, s3=True)
ROWS = (
    FIRST, UNCHANGED, SMALL_CHANGE, RESTORE, BYTES, MEMORY,
    S3_FIRST, S3_UNCHANGED, S3_SMALL_CHANGE, S3_RESTORE, S3_MEMORY,
)  # fmt: skip
