"""A start that failed because the workspace has no process left to give says so, and what to do.

What fails then fails in many ways: the fork itself, a library that cannot start its threads, a kernel that aborts.
So nobody reads messages: the host kernel counts how often it refused the container a process or thread, and where
that number has grown during a start that failed, the limit is the reason worth telling.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..model.errors import AgentError, AgentRefused, AgentTimeout, InsufficientResources, StartFailed, WorkspaceLost
from ..runtimes.control_groups import ProcessCount, process_count

if TYPE_CHECKING:
    from .live import LiveWorkspace

COMMAND = "command"
"""The slot of what is no kernel."""
ASK_SECONDS = 2.0


@contextlib.contextmanager
def told(live: LiveWorkspace) -> Iterator[None]:
    """`InsufficientResources` in place of a failed start's error, where the limit was met meanwhile."""
    before = process_count(live.container.pid)
    try:
        yield
    except (AgentRefused, AgentTimeout, StartFailed) as exc:
        now = process_count(live.container.pid)
        if not (isinstance(exc, AgentRefused) and exc.code != StartFailed.code) and was_met(before, now):
            assert now is not None and now.limit is not None
            raise _error(live, now.limit) from exc
        raise


def was_met(before: ProcessCount | None, now: ProcessCount | None) -> bool:
    """Whether a process or thread was refused between two looks; None: not known."""
    return before is not None and now is not None and now.limit is not None and now.refused > before.refused


def _error(live: LiveWorkspace, limit: int) -> InsufficientResources:
    spec = live.spec
    message = f"workspace {spec.name!r} has no room: it may have {limit} processes and threads{_users(live)}"
    if spec.home is None:
        return InsufficientResources(message, "End what is not needed in it, or use a workspace with a higher limit")
    raising = f"(Change limits… in JupyterLab, or `syla workspace set {spec.name} --pids {2 * limit}`)"
    return InsufficientResources(message, f"Shut down notebooks that are not needed, or raise the limit {raising}")


def _users(live: LiveWorkspace) -> str:
    """`, used by 41 kernels and 2 terminals or commands`; empty where the agent does not say."""
    try:
        running = live.agent.call("processes", timeout=ASK_SECONDS).get("running")
    except (AgentError, WorkspaceLost):
        return ""
    if not isinstance(running, list) or not running:
        return ""
    commands = sum(1 for id in running if str(id).startswith(f"{COMMAND}."))
    counts = [
        (len(running) - commands, "kernel", "kernels"),
        (commands, "terminal or command", "terminals or commands"),
    ]
    return ", used by " + " and ".join(f"{n} {one if n == 1 else many}" for n, one, many in counts if n)
