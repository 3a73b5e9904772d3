"""What counts as somebody's use of a workspace, and how full its disk is."""

from __future__ import annotations

import itertools

import pytest

from syla_jupyter.model.workspace import GIB, MIB
from syla_jupyter.workspaces.activity import Signals, is_active
from syla_jupyter.workspaces.sizes import DiskLevel, disk_verdict

COUNTS = ("kernels_busy", "executions", "user_processes", "terminals_with_output")
DOES_NOT_COUNT = ("kernels_idle", "open_tabs")


def test_the_truth_table() -> None:
    """Busy kernels, executions, processes and terminals that print are activity, each alone; tabs and idle kernels not."""
    for present in itertools.product((0, 1, 3), repeat=len(COUNTS) + len(DOES_NOT_COUNT)):
        signals = Signals(**dict(zip(COUNTS + DOES_NOT_COUNT, present, strict=True)))
        active, reason = is_active(signals)
        assert active == any(present[: len(COUNTS)]), signals
        assert reason


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        (Signals(), (False, "nothing runs")),
        (Signals(open_tabs=1), (False, "only 1 open tab")),
        (Signals(kernels_idle=2, open_tabs=3), (False, "only 2 idle kernels, 3 open tabs")),
        (Signals(kernels_busy=1, kernels_idle=2), (True, "1 busy kernel")),
        (Signals(user_processes=2), (True, "2 running processes")),
        (Signals(terminals_with_output=1, executions=4), (True, "4 executions, 1 terminal with output")),
        (Signals(kernels_busy=-1), (False, "nothing runs")),
    ],
)
def test_the_reason_says_what_runs(signals: Signals, expected: tuple[bool, str]) -> None:
    """The words a person reads in `show`."""
    assert is_active(signals) == expected


@pytest.mark.parametrize(
    ("used", "level"),
    [
        (0, "ok"),
        (16 * GIB - 1, "ok"),
        (16 * GIB, "warn"),
        (20 * GIB - 1, "warn"),
        (20 * GIB, "full"),
        (99 * GIB, "full"),
    ],
)
def test_the_disk_warns_at_eighty_percent_and_is_full_at_the_limit(used: int, level: str) -> None:
    """Each level begins at an exact byte, and the message says how much of how much."""
    verdict = disk_verdict(used, 20 * GIB)
    assert verdict.level is DiskLevel(level)
    assert "of 20 GB" in verdict.message


def test_the_disk_message_names_the_way_out() -> None:
    """What a user reads when it gets tight, and when it is over."""
    assert disk_verdict(850 * MIB, 1000 * MIB).message == (
        "850 MB of 1000 MB on disk used (85 %). At 100 % nothing more can be written"
    )
    assert (
        disk_verdict(2 * GIB, GIB).message == "full: 2 GB of 1 GB on disk used. Delete files, or have its limit raised"
    )
