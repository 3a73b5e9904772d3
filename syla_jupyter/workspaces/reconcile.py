"""What nobody owns is removed: after a crash of anything, at any moment, beside processes that go on working.

A run directory is somebody's while its `owner` is a live process, while the pool has a record of it, or while it is the
execution of a workspace's record. It is handed over in one order only, so that at no moment it looks like nobody's:

    refill:  draft record -> no owner -> record ready          claim:  record taken -> owner -> no record
    start of a workspace with a record:  record names it -> no owner

Hence the question here: no owner, then no record, then *still* no owner.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from pathlib import Path

from ..runtimes.base import LABEL_HOME, LABEL_RUN, Runtime
from ..runtimes.rundir import KERNELS, RunDir, sweep_kernels
from .pool import Pool


def reconcile(
    *, runtime: Runtime, pool: Pool, run_dir: Path, data_dir: Path, home_label: str, kept: Callable[[], Set[str]]
) -> list[str]:
    """Remove containers whose owner died, ready ones that lost their record, stale directories, sockets and records.

    Only those of the installation in `data_dir`; `run_dir` may have others' as well. `kept` gives the executions of all
    workspace records, and is asked only when something looks like nobody's. Gives a line per thing removed.
    """
    removed = []
    recorded = pool.recorded()  # before the engine is asked: later records have containers we do not know of
    containers = {c.labels.get(LABEL_RUN, ""): c for c in runtime.find({LABEL_HOME: home_label})}
    for run_id, container in list(containers.items()):
        run = RunDir(run_dir / run_id)
        if _nobodys(run, pool, kept) or not (container.running or run.owner_alive()):
            runtime.remove(container.id)
            del containers[run_id]
            removed.append(f"container {container.name}: nobody owns it")
    for path in list(run_dir.iterdir()) if run_dir.is_dir() else []:
        if path.name == KERNELS or path.name in containers or _of_another(path, data_dir):
            continue
        run = RunDir(path)
        ended = path.name in recorded and not run.owner_alive()  # it had a container, and has none
        if ended or _nobodys(run, pool, kept):
            run.remove()
            removed.append(f"run directory {path.name}: its owner is gone")
    removed += [f"socket {name}: its container is gone" for name in sweep_kernels(run_dir)]
    for run_id in sorted(recorded - containers.keys()):
        pool.forget(run_id)
        removed.append(f"pool record {run_id}: its container is gone")
    return removed


def _nobodys(run: RunDir, pool: Pool, kept: Callable[[], Set[str]]) -> bool:
    if run.owner_alive() or run.id in pool.run_ids() or run.id in kept():
        return False
    return not run.owner_alive()


def _of_another(path: Path, data_dir: Path) -> bool:
    try:
        return (path / "data_dir").read_text() != str(data_dir)
    except OSError:
        return False  # killed before it said so: whose it is does not matter any more
