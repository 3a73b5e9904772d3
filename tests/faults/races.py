"""An installation on which several processes race, and what must be true of it whenever a race is over."""

from __future__ import annotations

import itertools
import json
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syla_jupyter.model.record import State
from syla_jupyter.runtimes.base import LABEL_EXECUTION, LABEL_HOME, Runtime
from syla_jupyter.runtimes.rundir import KERNELS
from syla_jupyter.workspaces.registry import Registry
from syla_jupyter.workspaces.service import WorkspaceService

HANG_SECONDS = 60.0  # no verb waits longer than that for its lock and the engine
REPOSITORY = Path(__file__).parents[2]
Call = tuple[str, str, dict[str, Any]]
numbers = itertools.count(1)


class Racer:
    """`racer.py` in a process of its own."""

    def __init__(self, *arguments: str, environ: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.racer", *arguments],
            env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=REPOSITORY,
        )  # fmt: skip
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, name="syla-racer", daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def tell(self, words: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(words) + "\n")

    def hear(self, seconds: float = HANG_SECONDS) -> Any:
        """What it says next; fails when it says nothing for so long that it hangs."""
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"a process says nothing for {seconds:g} s") from None
        assert line, f"a process ended with {self.process.wait(10)}"
        return json.loads(line)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True)
class Race:
    outcomes: list[tuple[str, dict[str, Any]]]
    """(verb, outcome) of each call."""
    changes: Counter[str]
    """How often each verb changed something, over all processes."""

    def of(self, verb: str) -> Counter[str]:
        """How often it gave what: a value, or the name of an error."""
        return Counter(str(one["ok"] if "ok" in one else one["error"]) for of, one in self.outcomes if of == verb)

    def won(self, verb: str) -> int:
        return sum("ok" in one for of, one in self.outcomes if of == verb)

    def lost(self, verb: str) -> set[str]:
        return {one["error"] for of, one in self.outcomes if of == verb and "error" in one}


@dataclass
class Field:
    """An installation, three processes that race on it, and our own view of it."""

    racers: Sequence[Racer]
    registry: Registry
    containers: WorkspaceService
    runtime: Runtime
    data_dir: Path
    run_dir: Path
    root: Path
    described: dict[str, Any]

    def create(self) -> str:
        """The id of a fresh workspace, with something in its files."""
        record = self.registry.create(f"w{next(numbers)}", root=self.root, **self.described)
        (record.files / "kept").write_text(record.id)
        return record.id

    def race(self, *calls: Call) -> Race:
        """All at once, dealt out over the processes; every one answers in time."""
        hands = [calls[number :: len(self.racers)] for number in range(len(self.racers))]
        at = time.monotonic() + 0.1
        for racer, hand in zip(self.racers, hands, strict=True):
            racer.tell({"calls": hand, "at": at})
        answers = [(racer.hear(), racer.hear())[1] for racer in self.racers]
        outcomes = [
            (call[0], outcome)
            for hand, answer in zip(hands, answers, strict=True)
            for call, outcome in zip(hand, answer["outcomes"], strict=True)
        ]
        assert max(outcome["seconds"] for _, outcome in outcomes) < HANG_SECONDS
        return Race(outcomes, Counter(verb for answer in answers for verb in answer["changes"]))

    def during(self, first: Call, step: str, *later: Call) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Outcomes of a verb that stays at a step until the later ones have been called, and of those."""
        self.racers[0].tell({"calls": [first], "hold": [first[0] if first[0] != "open" else "start", step]})
        assert self.racers[0].hear() == "held"
        for racer, call in zip(self.racers[1:], later, strict=False):
            racer.tell({"calls": [call]})
            assert racer.hear() == "calling"
        self.racers[0].tell("go on")
        outcome = self.racers[0].hear()["outcomes"][0]
        return outcome, [racer.hear()["outcomes"][0] for racer, _ in zip(self.racers[1:], later, strict=False)]

    def consistent(self) -> None:
        """Records, containers, run directories, files and locks are of one mind."""
        records = {record.id: record for record in self.registry.catalog.all()}
        wanted = {r.execution: r.state is State.SUSPENDED for r in records.values() if r.execution}

        def running() -> dict[str, bool]:
            found = self.runtime.find({LABEL_HOME: self.containers.home_label})
            return {c.labels[LABEL_EXECUTION]: c.frozen for c in found if c.running}

        assert running() == wanted
        runs = (
            {path.name for path in self.run_dir.iterdir() if path.name != KERNELS} if self.run_dir.is_dir() else set()
        )
        ours = {run for run in runs if (self.run_dir / run / "data_dir").read_text() == str(self.data_dir)}
        assert ours == set(wanted)
        for record in records.values():
            assert record.state is not State.DELETED
            assert record.files.exists() is (record.state is not State.ARCHIVED)
        names = {record.name for record in records.values() if record.state is not State.ARCHIVED}
        assert {path.name for path in listed(self.root / "workspaces") if not path.name.startswith(".")} == names
        assert {path.name for path in listed(self.data_dir / "homes")} <= records.keys()
        assert {path.name for path in listed(self.data_dir / "locks")} <= records.keys()

    def clear(self) -> None:
        for record in self.registry.catalog.all():
            self.registry.delete(record.id, confirmed=True)
        self.registry.detach()
        self.consistent()


def listed(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []
