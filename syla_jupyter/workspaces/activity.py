"""Whether somebody uses a workspace: what runs in it counts, what looks at it does not.

Idle means that the kernels are idle. A busy kernel, a cell that ran since the last look, a process that the user
started, and a terminal that printed something count as activity. An open tab alone does not: people leave them open for
weeks; nor does an idle kernel.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Signals:
    """Counts of one workspace, as of one look at it; *since* is since the look before."""

    kernels_busy: int = 0
    kernels_idle: int = 0
    user_processes: int = 0
    """Started by the user and running: commands of `syla exec`, children of a terminal's shell, not the shell."""
    terminals_with_output: int = 0
    """That printed something since."""
    open_tabs: int = 0
    """Websockets to its kernels and terminals."""
    executions: int = 0
    """Finished since, however short they were."""


def is_active(signals: Signals) -> tuple[bool, str]:
    """(counts as activity, why: a few words for a person)."""
    reasons = [
        _count(signals.kernels_busy, "busy kernel"),
        _count(signals.executions, "execution"),
        _count(signals.user_processes, "running process", "running processes"),
        _count(signals.terminals_with_output, "terminal with output", "terminals with output"),
    ]
    seen = ", ".join(filter(None, reasons))
    if seen:
        return True, seen
    unused = ", ".join(
        filter(None, [_count(signals.kernels_idle, "idle kernel"), _count(signals.open_tabs, "open tab")])
    )
    return False, f"only {unused}" if unused else "nothing runs"


def _count(number: int, one: str, many: str = "") -> str:
    if number <= 0:
        return ""
    return f"1 {one}" if number == 1 else f"{number} {many or one + 's'}"
