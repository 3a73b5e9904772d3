"""One terminal: a pseudo-terminal of ours, whose far end a shell in the container runs on.

The near end belongs to the event loop and never blocks. The far end is handed over by a thread, because starting a
workspace takes a while; what is typed until then waits, and a start that fails says why in the terminal, which stays
until that was read.

Everything has a bound, whatever runs inside: what is kept for who connects later, what waits for a slow reader (then
nothing is read, and the program inside waits), what waits for a program that does not read, and how often the loop
is woken. A program that writes without end costs the server a few percent of a core.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import logging
import os
import termios
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from ..model.clock import Clock
from ..model.errors import AgentError, AgentRefused, SylaError, WorkspaceLost
from ..model.runtime import Exit
from ..workspaces.live import RunningProcess

log = logging.getLogger("syla.terminals")

READ_BYTES = 64 * 1024  # at one go
DRAIN_BYTES = 1024 * 1024  # of a shell that has ended, while something it left may still be writing
HISTORY_MAX = 256 * 1024  # characters for who connects later
PIECE_MAX = 4096  # characters; what is kept is forgotten in pieces, the oldest first
BACKLOG_MAX = 512 * 1024  # characters a reader may be behind
SLOW_SECONDS = 10.0  # for a reader to catch up, then it is disconnected and has to connect anew
INPUT_MAX = 256 * 1024  # bytes that wait for the program inside to read
INPUT_SECONDS = 5.0  # then what was typed is dropped, with a bell
END_SECONDS = 5.0  # for a session to end; the agent kills what is left after one
LAST_WORD_SECONDS = 600.0  # for somebody to read why there is no shell: JupyterLab closes the tab with the terminal
ROWS_COLUMNS = (24, 80)
SIDE_MAX = 1000
IUTF8 = 0o40000  # asm-generic/termbits.h: erase whole characters; not in the termios module


class Client(Protocol):
    """Somebody who looks at a terminal; all calls come from the event loop."""

    size: tuple[int, int] | None
    """(rows, columns)"""
    backlog: int
    """Characters that were sent and have not left; `Terminal.proceed` is called when it falls."""

    def send(self, *message: Any) -> None: ...

    def close(self) -> None: ...


class History:
    """The newest `HISTORY_MAX` characters, give or take a piece."""

    def __init__(self) -> None:
        self._pieces: deque[str] = deque()
        self._length = 0

    def append(self, text: str) -> None:
        if self._pieces and len(self._pieces[-1]) + len(text) <= PIECE_MAX:
            self._pieces[-1] += text
        else:
            self._pieces.append(text)
        self._length += len(text)
        while self._length > HISTORY_MAX and len(self._pieces) > 1:
            self._length -= len(self._pieces.popleft())

    def text(self) -> str:
        return "".join(self._pieces)


class Terminal:
    """`pause` says how many seconds the loop is left alone after each read; `wake` makes a frozen workspace run, and is
    called in a thread, when somebody types; `on_end` is called once.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        pause: Callable[[], float],
        wake: Callable[[], object],
        on_end: Callable[[Terminal], None],
    ) -> None:
        self.name = name
        self.clients: list[Client] = []
        self.process: RunningProcess | None = None
        self.last_output: float | None = None
        """Seconds since the epoch."""
        self._clock, self._pause, self._wake, self._on_end = clock, pause, wake, on_end
        self._last_used = clock.now()
        self._loop = asyncio.get_running_loop()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._history = History()
        self._input = bytearray()
        self._room, self._ended = asyncio.Event(), asyncio.Event()
        self._pausing: asyncio.TimerHandle | None = None
        self._waiting_for_slow: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._is_over = False
        self._near, self._far = _open_pty()
        self.proceed()

    @property
    def last_activity(self) -> datetime:
        """Newest output or input, as Jupyter's models and its culler want it."""
        return datetime.fromtimestamp(max(self._last_used, self.last_output or 0.0), UTC)

    # -- start and end -----------------------------------------------------------------------------------------

    def launch(self, start: Callable[[int], RunningProcess]) -> None:
        """Have `start` run a shell on the far end, in a thread."""
        near = os.dup(self._near)  # the thread's own: the terminal may be closed meanwhile
        name = f"syla-terminal-{self.name}"
        threading.Thread(target=self._launch, args=(start, near), name=name, daemon=True).start()

    def _launch(self, start: Callable[[int], RunningProcess], near: int) -> None:
        try:
            process = start(self._far)
            guard_session(process, near)
        except SylaError as exc:
            self._in_loop(self._start_failed, str(exc))
        except Exception as exc:
            log.exception("terminal %s did not start", self.name)
            self._in_loop(self._start_failed, f"internal error: {type(exc).__name__}")
        else:
            if self._in_loop(self._started, process):
                process.done.add_done_callback(lambda done: self._in_loop(self._process_ended, done.result()))
            else:
                end_session(process)
        finally:
            os.close(self._far)
            os.close(near)

    def _in_loop(self, callback: Callable[..., None], *arguments: Any) -> bool:
        """False when the loop is closed: the server has ended."""
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            return False
        return True

    def _started(self, process: RunningProcess) -> None:
        self.process = process
        if self._ended.is_set():  # closed while it started
            self._loop.run_in_executor(None, end_session, process)

    def _start_failed(self, reason: str) -> None:
        self._over(f"No terminal: {reason}")

    def _process_ended(self, ended: Exit) -> None:
        if self._ended.is_set():
            return
        data, _ = self._read(DRAIN_BYTES)
        self._show(self._decoder.decode(data, final=True))
        if self._closing is not None:
            self._finish()
        elif ended.out_of_memory and self.process:
            self._over(self.process.why().replace("The kernel", "The shell"))
        elif ended.code is None and ended.signal is None:
            self._over(f"The terminal ended with its container: {ended.detail}.")
        else:
            self._finish()

    def _over(self, why: str) -> None:
        """There is no shell; it stays until that was read."""
        if self._ended.is_set():
            return
        self._is_over = True
        self._loop.remove_reader(self._near)
        self._send(f"\r\n{why}\r\nPress Enter to close the terminal.\r\n")
        self._loop.call_later(LAST_WORD_SECONDS, self._finish)

    async def close(self) -> None:
        """End everything that was started in it; returns when it has ended, in any case within `END_SECONDS` twice."""
        if self._closing is None:
            self._closing = self._loop.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        process = self.process
        ends = process is not None and process.exit is None and await asyncio.to_thread(end_session, process)
        if ends:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), END_SECONDS)
        self._finish()

    def _finish(self) -> None:
        if self._ended.is_set():
            return
        self._ended.set()
        self._room.set()
        for timer in (self._pausing, self._waiting_for_slow):
            if timer is not None:
                timer.cancel()
        self._loop.remove_reader(self._near)
        self._loop.remove_writer(self._near)
        os.close(self._near)  # hangs up what is left in the session
        for client in self.clients:
            client.send("disconnect", 1)
            client.close()
        self.clients.clear()
        self._on_end(self)

    # -- clients -----------------------------------------------------------------------------------------------

    def attach(self, client: Client) -> None:
        """It gets what was shown lately, and from now on everything."""
        self.clients.append(client)
        client.send("setup", {})
        if shown := self._history.text():
            client.send("stdout", shown)

    def detach(self, client: Client) -> None:
        if client in self.clients:
            self.clients.remove(client)
            self.resize()
            self.proceed()

    def resize(self) -> None:
        """To the smallest of its clients; the kernel tells the program in the foreground."""
        sizes = [client.size for client in self.clients if client.size is not None]
        if not sizes or self._ended.is_set():
            return
        wanted = (min(rows for rows, _ in sizes), min(columns for _, columns in sizes))
        if termios.tcgetwinsize(self._near) != wanted:
            termios.tcsetwinsize(self._near, wanted)

    # -- output ------------------------------------------------------------------------------------------------

    def proceed(self) -> None:
        """Read on, unless it is too early or somebody is behind."""
        if self._ended.is_set() or self._is_over or self._pausing is not None:
            return
        if any(client.backlog > BACKLOG_MAX for client in self.clients):
            if self._waiting_for_slow is None:
                self._waiting_for_slow = self._loop.call_later(SLOW_SECONDS, self._drop_slow)
            return
        if self._waiting_for_slow is not None:
            self._waiting_for_slow.cancel()
            self._waiting_for_slow = None
        self._loop.add_reader(self._near, self._readable)

    def _readable(self) -> None:
        self._loop.remove_reader(self._near)
        data, closed = self._read(READ_BYTES)
        self._show(self._decoder.decode(data))
        if closed:  # nobody has the far end: the shell has ended, which its exit will say in a moment, or closed it
            self._pausing = self._loop.call_later(END_SECONDS, self._abandoned)
            return
        self._pausing = self._loop.call_later(self._pause(), self._pause_over)

    def _pause_over(self) -> None:
        self._pausing = None
        self.proceed()

    def _abandoned(self) -> None:
        if self._closing is None:
            self._closing = self._loop.create_task(self._close())

    def _drop_slow(self) -> None:
        self._waiting_for_slow = None
        for client in [c for c in self.clients if c.backlog > BACKLOG_MAX]:
            self.clients.remove(client)
            client.close()
        self.resize()
        self.proceed()

    def _read(self, limit: int) -> tuple[bytes, bool]:
        """(what is there, whether nobody is left to write more)."""
        data = bytearray()
        while len(data) < limit:
            try:
                piece = os.read(self._near, limit - len(data))
            except BlockingIOError:
                return bytes(data), False
            except OSError:
                return bytes(data), True
            data += piece
        return bytes(data), False

    def _show(self, text: str) -> None:
        if text:
            self.last_output = self._clock.now()
            self._send(text)

    def _send(self, text: str) -> None:
        self._history.append(text)
        for client in self.clients:
            client.send("stdout", text)

    # -- input -------------------------------------------------------------------------------------------------

    async def write(self, text: str) -> None:
        """Type; returns when there is room for more."""
        self._last_used = self._clock.now()
        if self._is_over:
            if "\r" in text:
                self._finish()
            return
        if self.process is not None and self.process.workspace.frozen:
            try:
                await self._loop.run_in_executor(None, self._wake)
            except SylaError as exc:
                self._send(f"\r\n{exc}\r\n")
                return
        if len(self._input) > INPUT_MAX:
            try:
                await asyncio.wait_for(self._room.wait(), INPUT_SECONDS)
            except TimeoutError:
                self._send("\a")
                return
        if not self._ended.is_set():
            self._input += text.encode(errors="replace")
            self._flush()

    def _flush(self) -> None:
        try:
            while self._input:
                del self._input[: os.write(self._near, self._input[:READ_BYTES])]
        except BlockingIOError:
            self._loop.add_writer(self._near, self._flush)
        except OSError:
            self._input.clear()
        if not self._input:
            self._loop.remove_writer(self._near)
        if len(self._input) > INPUT_MAX:
            self._room.clear()
        else:
            self._room.set()


def guard_session(process: RunningProcess, near: int) -> None:
    """Have everything that is started from it end with this server too, however that ends."""
    with contextlib.suppress(AgentError, WorkspaceLost):  # one of an earlier version; or it has ended, as will be told
        process.workspace.agent.call("guard_session", process=process.id, fds=(near,))


def end_session(process: RunningProcess) -> bool:
    """Hang up, then kill everything that was started from it, in whatever session it is; blocks for one call.

    False when its end will not be heard of: the container has ended, or is frozen, and obeys when it is thawed.
    """
    workspace = process.workspace
    try:
        if workspace.frozen:
            workspace.agent.submit("end_session", process=process.id)
            return False
        workspace.agent.call("end_session", process=process.id, timeout=END_SECONDS)
    except AgentRefused:  # one of an earlier version
        process.signal(9)
    except (AgentError, WorkspaceLost):
        return False
    return True


def _open_pty() -> tuple[int, int]:
    near, far = os.openpty()
    os.set_blocking(near, False)
    attributes = termios.tcgetattr(far)
    attributes[0] |= IUTF8
    termios.tcsetattr(far, termios.TCSANOW, attributes)
    termios.tcsetwinsize(far, ROWS_COLUMNS)
    return near, far
