"""A workspace's REPL kernel: one per container, whoever uses it, so that what one command leaves the next one finds.

It is started at the first use and found again by any process of this host, by what the run directory notes of it. Who
wants it to run something takes its *turn*, a file lock that ends with its process: two requests never lie in the
kernel's queue at once, so giving up while waiting leaves nothing behind that would run later, and an interrupt meets
the code that it is meant for. What other clients send (a console) is waited for as well.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..model.clock import Clock
from ..model.errors import Conflict, WorkspaceLost, WrongState
from ..model.runtime import WORKSPACE_DIR
from ..model.settings import Settings
from ..model.template import Template
from ..runtimes.rundir import RunDir
from .live import LiveWorkspace, RunningProcess
from .placement import kernel_environment

if TYPE_CHECKING:
    from .kernel_client import KernelClient

TURN = "turn"
TURN_SECONDS = 0.05  # between two looks whether it is ours
NOTICE_SECONDS = 1.0  # of waiting, until the caller hears of it


@dataclass(frozen=True)
class KernelStart:
    """How a REPL kernel is started where there is none yet."""

    argv: Sequence[str] = ()
    """Empty: forked from the zygote."""
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float = 60.0


@dataclass(frozen=True)
class Kernel:
    process: RunningProcess
    key: bytes
    slot: str


def kernel_start(settings: Settings, template: Template, environ: Mapping[str, str]) -> KernelStart:
    """`environ`: of the process that asks; only what the settings allow of it goes in."""
    variables = kernel_environment(settings, {}, environ, "")
    return KernelStart(template.kernel_argv, variables, settings.start_timeout_seconds)


def find(live: LiveWorkspace) -> Kernel | None:
    """The REPL kernel, if it runs. `WrongState` of a suspended workspace, which could not say."""
    if live.frozen:
        raise suspended(live)
    slot = _slot(live)
    found = live.find_kernel(slot)
    return None if found is None or found[0].exit is not None else Kernel(*found, slot)


def is_repl(process_id: str, execution: str) -> bool:
    """Whether the agent calls the REPL kernel of that container so."""
    return process_id.startswith(f"{_slot_of(execution)}.")


def is_taken(run: RunDir) -> bool:
    """Whether it is somebody's turn, in any process: the kernel runs something, or is about to."""
    try:
        fd = os.open(run.path / "h" / TURN, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False  # nobody has ever run anything
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def ensure(live: LiveWorkspace, start: KernelStart, clock: Clock) -> Kernel:
    """The REPL kernel, started where none runs; waits for a start of somebody else, and for no code."""
    found = find(live)
    if found is not None:
        return found
    with _turn(live, _until(live, clock, start.timeout_seconds, lambda: None)):
        return find(live) or _start(live, start)


@contextlib.contextmanager
def talk(
    live: LiveWorkspace,
    *,
    timeout_seconds: float | None,
    start: KernelStart,
    clock: Clock,
    on_wait: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Kernel, KernelClient]]:
    """The REPL kernel, idle and listening to nobody else until the end of the block.

    Parameters
    ----------
    timeout_seconds : to wait for it, None: as long as it takes. `Conflict` when it was busy all the time.
    on_wait : called when it is busy with something else.
    """
    from .kernel_client import KernelClient  # a tenth of a second, for those who need it

    with _turn(live, _until(live, clock, timeout_seconds, on_wait)):
        found = find(live)
        kernel = found or _start(live, start)
        keep_waiting = _until(live, clock, timeout_seconds, on_wait if found else lambda: None)

        def also_while_it_lives() -> None:
            if kernel.process.done.done():
                raise WorkspaceLost(kernel.process.why() or "the kernel has ended", "Run it again: it starts anew")
            keep_waiting()

        with KernelClient(live.run.client_prefix(kernel.slot), kernel.key, clock) as client:
            client.hear(keep_waiting=also_while_it_lives)
            yield kernel, client


def _slot(live: LiveWorkspace) -> str:
    return _slot_of(live.run.id)


def _slot_of(execution: str) -> str:
    """Slots of all containers are in one directory."""
    return f"main{execution}"


def _start(live: LiveWorkspace, start: KernelStart) -> Kernel:
    slot, key = _slot(live), secrets.token_hex(32).encode()
    process = live.start_kernel(
        slot,
        key=key,
        cwd=WORKSPACE_DIR,
        env=start.environment,
        argv=start.argv,
        timeout=start.timeout_seconds,
    )
    return Kernel(process, key, slot)


@contextlib.contextmanager
def _turn(live: LiveWorkspace, keep_waiting: Callable[[], None]) -> Iterator[None]:
    try:
        fd = os.open(live.run.path / "h" / TURN, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise WorkspaceLost(f"workspace {live.spec.name!r} has no container any more", "Try again") from exc
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                keep_waiting()
                time.sleep(TURN_SECONDS)  # a lock of another process cannot be waited for with a time limit
        yield
    finally:
        os.close(fd)


def _until(
    live: LiveWorkspace, clock: Clock, timeout_seconds: float | None, on_wait: Callable[[], None]
) -> Callable[[], None]:
    """Raises when it is called too late, counted from now."""
    began, told = clock.monotonic(), False

    def keep_waiting() -> None:
        nonlocal told
        waited = clock.monotonic() - began
        if live.lost:
            raise WorkspaceLost(f"the container of workspace {live.spec.name!r} has ended", "Try again")
        if timeout_seconds is not None and waited >= timeout_seconds:
            if live.frozen:
                raise suspended(live)
            raise Conflict(
                f"the kernel of workspace {live.spec.name!r} was busy for {timeout_seconds:g} s; nothing was run",
                "Try again later, or interrupt what it does",
            )
        if waited >= NOTICE_SECONDS and not told:
            told = True
            on_wait()

    return keep_waiting


def suspended(live: LiveWorkspace) -> WrongState:
    return WrongState(
        f"workspace {live.spec.name!r} is suspended, and what runs in it with it",
        "All goes on when it is resumed",
    )
