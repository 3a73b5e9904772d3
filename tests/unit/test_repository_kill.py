"""kill -9 of a process that saves, forgets and prunes without end: what it had said was saved is there, and is whole.

`python -m tests.unit.test_repository_kill DIRECTORY SEED` is that process; it writes a line for each version.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from syla_jupyter.objects.local import LocalObjects

from .repositories import assert_clean, content, create, reopen, save

KILLS = 5


def pieces(message: str) -> list[bytes]:
    source = random.Random(message)
    return [source.randbytes(source.choice([10, 1000, 300_000])) for _ in range(3)] + [b"always the same"]


def work(directory: Path, seed: str) -> None:
    repository, own = reopen(LocalObjects(directory)), list[int]()
    for n in range(10_000):
        message = f"{seed}-{n}"
        version = save(repository, pieces(message), message)
        print(f"+{version.number}", flush=True)
        own.append(version.number)
        if len(own) > 3:
            print(f"-{own[0]}", flush=True)
            repository.forget([own.pop(0)])
            repository.prune()


def test_kill_9_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    """A dead process on this machine is known to be dead: the next prune leaves nothing of its last save."""
    create(LocalObjects(tmp_path / "store"))
    there: set[int] = set()
    source = random.Random(9)
    for seed in range(KILLS):
        command = [sys.executable, "-m", __name__, str(tmp_path / "store"), str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            lines = [process.stdout.readline() for _ in range(source.randrange(5, 12))]
            process.kill()
            lines += process.stdout.readlines()
        assert process.returncode == -9, "it ended by itself"
        for line in lines:
            number = int(line[1:])
            there = there | {number} if line[0] == "+" else there - {number}
        repository = reopen(LocalObjects(tmp_path / "store"))
        assert there <= {version.number for version in repository.versions()}
        assert repository.verify(data=True).ok
        for version in repository.versions():
            assert content(repository, version) == pieces(version.message)
        repository.prune()
        repository.prune()
        assert_clean(LocalObjects(tmp_path / "store"), repository)


if __name__ == "__main__":
    work(Path(sys.argv[1]), sys.argv[2])
