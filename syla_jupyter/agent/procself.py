"""What a process of the container says about itself to the Linux kernel. Imports nothing of ours: the zygote
loads it by path."""

from __future__ import annotations

import ctypes

OOM_SCORE = 500  # kernels and commands are killed before the agent and the zygote, oom_score_adj in proc(5)
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36


def set_dumpable(yes: bool) -> None:
    """Whether processes of the same user may trace this one and read its memory, prctl(2)."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1 if yes else 0, 0, 0, 0)


def reap_orphans() -> None:
    """Become the parent of descendants whose own parent died; process 1 is that anyway."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(signal_number: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def set_oom_score(score: int) -> None:
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(score))
    except OSError:
        pass
