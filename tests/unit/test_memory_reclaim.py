"""Memory of what stands still: when it is worth moving, what is written in version 2 of control groups, and the sweep."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import pytest

from syla_jupyter.model.errors import WorkspaceLost
from syla_jupyter.model.record import State, WorkspaceRecord
from syla_jupyter.model.workspace import GIB, MIB
from syla_jupyter.runtimes.control_groups import ContainerGroup
from syla_jupyter.runtimes.memory_reclaim import reclaim, swap_free_bytes, worth_moving
from syla_jupyter.workspaces.memory_watch import FROZEN_SECONDS_MIN, MemoryWatch

from .clocks import HandClock
from .records import a_record

ID = "a" * 64


def group(tmp_path: Path, *, frozen: int, resident: int, swap_free: int) -> Path:
    """A container's group in version 2, and `/proc/meminfo` beside it."""
    directory = tmp_path / "system.slice" / f"docker-{ID}.scope"
    directory.mkdir(parents=True)
    files = {
        "cgroup.freeze": str(frozen), "cgroup.events": f"populated 1\nfrozen {frozen}\n",
        "memory.current": f"{resident}\n", "memory.reclaim": "", "memory.swap.max": "0\n",
    }  # fmt: skip
    for name, text in files.items():
        (directory / name).write_text(text)
    (tmp_path / "meminfo").write_text(f"MemTotal: 1 kB\nSwapFree:       {swap_free >> 10} kB\n")
    return directory


def test_version_2_is_asked_by_steps_and_may_swap_only_meanwhile(tmp_path: Path) -> None:
    directory = group(tmp_path, frozen=1, resident=300 * MIB, swap_free=GIB)
    assert reclaim(ID, tmp_path, tmp_path / "meminfo") == 0  # these files move nothing
    assert (directory / "memory.reclaim").read_text() == str(64 * MIB)
    assert (directory / "memory.swap.max").read_text() == "0"


@pytest.mark.parametrize(
    ("frozen", "resident", "swap_free"),
    [(0, 300 * MIB, GIB), (1, MIB, GIB), (1, 300 * MIB, 0), (1, 300 * MIB, 200 * MIB)],
    ids=["runs", "small", "no swap", "little swap"],
)
def test_nothing_is_asked(tmp_path: Path, frozen: int, resident: int, swap_free: int) -> None:
    directory = group(tmp_path, frozen=frozen, resident=resident, swap_free=swap_free)
    assert reclaim(ID, tmp_path, tmp_path / "meminfo") == 0
    assert (directory / "memory.reclaim").read_text() == ""
    assert (directory / "memory.swap.max").read_text() == "0\n"


def test_a_container_that_is_elsewhere_or_no_name_of_one(tmp_path: Path) -> None:
    assert reclaim(ID, tmp_path) == reclaim("../../x", tmp_path) == 0


def test_a_thaw_takes_back_what_a_server_that_was_killed_had_lifted(tmp_path: Path) -> None:
    directory = group(tmp_path, frozen=1, resident=300 * MIB, swap_free=GIB)
    (directory / "memory.swap.max").write_text("max")
    (directory / "cgroup.events").write_text("frozen 0\n")  # what the kernel would say after the write
    found = ContainerGroup.of(ID, tmp_path)
    assert found is not None
    found.thaw()
    assert (directory / "memory.swap.max").read_text() == "0"


def test_the_host_is_never_left_without_swap() -> None:
    assert worth_moving(16 * MIB, 17 * MIB)
    assert not worth_moving(16 * MIB, 16 * MIB)
    assert not worth_moving(16 * MIB - 1, GIB)


def test_swap_that_is_not_told_is_none(tmp_path: Path) -> None:
    assert swap_free_bytes(tmp_path / "missing") == 0
    (tmp_path / "odd").write_text("SwapFree:\n")
    assert swap_free_bytes(tmp_path / "odd") == 0


# -- the sweep ---------------------------------------------------------------------------------------------------


class Swept:
    def __init__(self, moved: int = 200 * MIB) -> None:
        self.clock, self.moved, self.asked = HandClock(), moved, list[str]()
        self.records: list[WorkspaceRecord] = []
        self.watch = MemoryWatch(running=self.running, reclaim=self.reclaim, clock=self.clock)

    def running(self) -> Iterable[WorkspaceRecord]:
        return list(self.records)

    def reclaim(self, record: WorkspaceRecord) -> int:
        self.asked.append(record.id)
        if self.moved < 0:
            raise WorkspaceLost("it has ended")
        return self.moved

    def frozen(self, id: str = "a" * 12) -> WorkspaceRecord:
        return a_record(State.SUSPENDED, at=self.clock.now(), id=id, execution=f"e-{id}")


def test_once_after_a_minute_and_again_only_after_it_was_used() -> None:
    swept = Swept()
    swept.records = [swept.frozen()]
    assert swept.watch.sweep() == []
    swept.clock.move(FROZEN_SECONDS_MIN)
    (line,) = swept.watch.sweep()
    assert "moved to swap, frozen for 1 min" in line
    swept.clock.move(FROZEN_SECONDS_MIN)
    assert swept.watch.sweep() == []
    swept.records = [swept.frozen()]  # since now
    swept.clock.move(FROZEN_SECONDS_MIN)
    assert len(swept.watch.sweep()) == 1
    assert len(swept.asked) == 2


def test_what_runs_is_left_alone_and_what_fails_keeps_nobody() -> None:
    swept = Swept(moved=-1)
    swept.records = [
        dataclasses.replace(swept.frozen(), state=State.ACTIVE),
        swept.frozen("b" * 12),
        swept.frozen("c" * 12),
    ]
    swept.clock.move(FROZEN_SECONDS_MIN)
    assert swept.watch.sweep() == []
    assert swept.asked == ["b" * 12, "c" * 12]
