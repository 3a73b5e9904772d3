"""Run code in a workspace's REPL kernel: what it printed, what it gave, how it ended, within limits of time and size.

    waiting ──► running ──► ok | error
                   │ time limit: interrupted ──► timeout       the kernel and its variables are still there
                   │                 │ grace over: killed ──► killed
                   └ the kernel ends by itself ──► died

All output is passed on while it comes (`on_message`); of what is kept there is at most `OUTPUT_MAX` per stream, and of
each MIME bundle `BUNDLE_MAX`: `truncated` says that there was more. What the kernel sends is untrusted: parts of a
wrong form are left out, text is given as it is, and whoever shows it to a terminal or a browser knows that.
"""

from __future__ import annotations

import json
import secrets
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..model.clock import Clock, SystemClock
from ..model.errors import BadInput, SylaError
from .live import LiveWorkspace
from .repl import Kernel, KernelStart, suspended, talk

if TYPE_CHECKING:
    from .kernel_client import KernelClient, Message

OUTPUT_MAX = 1 << 20  # characters of each stream
BUNDLE_MAX = 8 << 20  # characters of JSON
BUNDLES_MAX = 100
TRACEBACK_MAX = 200  # lines
LINE_MAX = 20_000  # characters of one line of a traceback, or of an error's value
CODE_MAX = 4 << 20
GRACE_SECONDS = 5.0
"""For interrupted code to come to an end."""
KILL_SECONDS = 5.0
SETTLE_SECONDS = 2.0
"""For the last output, once the reply is there; or for the reply, once the kernel is idle."""
SLICE_SECONDS = 0.5

Status = Literal["ok", "error", "timeout", "killed", "died"]
OnMessage = Callable[[Mapping[str, Any]], None]
"""Called with JSON objects, each with `type` and `execution` (the id) and by type:

    waiting                        the kernel is busy with something else
    running                        from here on an interrupt meets this code
    stream       name, text        name: stdout or stderr
    display      data              a MIME bundle that was displayed, or replaced one
    result       data              the MIME bundle of the last expression
    error        name, value, traceback
    interrupted                    the time limit was reached
"""


@dataclass(frozen=True)
class ExecutionError:
    name: str
    value: str
    traceback: Sequence[str]
    """Lines, with the colours of the kernel."""


@dataclass(frozen=True)
class Execution:
    id: str
    status: Status
    stdout: str
    stderr: str
    result: Mapping[str, Any] | None
    """MIME bundle of the last expression."""
    displays: Sequence[Mapping[str, Any]]
    """MIME bundles, in order."""
    error: ExecutionError | None
    started_at: float
    """Seconds since the epoch; when it began to run, after any wait."""
    seconds: float
    truncated: bool
    exit_code: int | None = None
    """Of a script that said `sys.exit`; of a kernel that ended, 128 + signal as in a shell; else None."""

    @property
    def size(self) -> int:
        """Characters, about."""
        bundles = sum(len(json.dumps(bundle)) for bundle in [self.result or {}, *self.displays])
        trace = sum(map(len, self.error.traceback)) if self.error else 0
        return len(self.stdout) + len(self.stderr) + bundles + trace


def execute(
    live: LiveWorkspace,
    code: str,
    *,
    timeout_seconds: float | None,
    on_message: OnMessage | None = None,
    start: KernelStart | None = None,
    clock: Clock | None = None,
    store_history: bool = True,
) -> Execution:
    """Run `code`; blocks until it has ended. Not to be called for a suspended workspace: open it first.

    Parameters
    ----------
    timeout_seconds : more than 0; first for a busy kernel to get free (`Conflict`: nothing was run), then again for the
        code itself. None: no limit.
    on_message : what it raises interrupts the code, and is raised.
    start : for a kernel that does not run yet; `repl.kernel_start` makes one.

    Errors: `BadInput`, `Conflict`, `WrongState` (suspended meanwhile), `WorkspaceLost`, `StartFailed`, `AgentError`.
    """
    if timeout_seconds is not None and not 0 < timeout_seconds < 1 << 31:
        raise BadInput("timeout_seconds", f"{timeout_seconds:g} is not a time limit", "Give seconds, more than 0")
    if len(code) > CODE_MAX:
        raise BadInput("code", f"{len(code)} characters are too many", f"Give {CODE_MAX} at most, or a file")
    clock = clock or SystemClock()
    id = secrets.token_hex(8)

    def tell(type: str, **values: Any) -> None:
        if on_message is not None:
            on_message({"type": type, "execution": id, **values})

    with talk(
        live,
        timeout_seconds=timeout_seconds,
        start=start or KernelStart(),
        clock=clock,
        on_wait=lambda: tell("waiting"),
    ) as (kernel, client):
        running = _Running(live, kernel, client, clock, tell)
        try:
            return running.run(id, code, timeout_seconds, store_history)
        except SylaError:
            raise
        except BaseException:
            if not live.frozen:  # it would get it when it is resumed
                kernel.process.signal(signal.SIGINT)
            raise


class _Running:
    """One request, from its sending to its end."""

    def __init__(
        self, live: LiveWorkspace, kernel: Kernel, client: KernelClient, clock: Clock, tell: Callable[..., None]
    ) -> None:
        self._live, self._kernel, self._client, self._clock, self._tell = live, kernel, client, clock, tell
        self._streams: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._room = {"stdout": OUTPUT_MAX, "stderr": OUTPUT_MAX}
        self._result: Mapping[str, Any] | None = None
        self._displays: list[Mapping[str, Any]] = []
        self._error: ExecutionError | None = None
        self._exit_code: int | None = None
        self._truncated = False
        self._replied = self._idle = False

    def run(self, id: str, code: str, timeout_seconds: float | None, store_history: bool) -> Execution:
        started_at, began = self._clock.now(), self._clock.monotonic()
        request = {
            "code": code,
            "silent": False,
            "store_history": store_history,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        self._tell("running")
        asked = self._client.send("execute_request", request)
        status = self._follow(asked, timeout_seconds)
        return Execution(
            id=id,
            status=status,
            stdout="".join(self._streams["stdout"]),
            stderr="".join(self._streams["stderr"]),
            result=self._result,
            displays=tuple(self._displays),
            error=self._error,
            started_at=started_at,
            seconds=self._clock.monotonic() - began,
            truncated=self._truncated or (self._client.missed and status not in ("killed", "died")),
            exit_code=self._exit_code,
        )

    def _follow(self, asked: str, timeout_seconds: float | None) -> Status:
        until = None if timeout_seconds is None else self._clock.monotonic() + timeout_seconds
        interrupted = False
        while not (self._replied and self._idle):
            now = self._clock.monotonic()
            if until is not None and now >= until:
                if self._replied or self._idle:  # the other half was too large, and is lost
                    self._truncated = True
                    break
                if self._live.frozen:
                    raise suspended(self._live)
                if interrupted:
                    return self._kill()
                interrupted, until = True, now + GRACE_SECONDS
                self._tell("interrupted")
                self._kernel.process.signal(signal.SIGINT)
            ended = self._kernel.process.done.done()
            wanted = SLICE_SECONDS if until is None else min(SLICE_SECONDS, max(0.0, until - now))
            message = self._client.receive(0 if ended else wanted)
            if message is not None and message.parent == asked:
                half = self._replied or self._idle
                self._take(message)
                if not half and (self._replied or self._idle):
                    until = self._clock.monotonic() + SETTLE_SECONDS
            elif message is None and ended:
                return self._died("killed" if interrupted else "died", self._kernel.process.why())
        if interrupted:
            return "timeout"
        return "error" if self._error is not None else "ok"

    def _kill(self) -> Status:
        self._kernel.process.signal(signal.SIGKILL)
        try:
            self._kernel.process.done.result(KILL_SECONDS)
        except FutureTimeout:
            pass  # it is dead, or its container is on its way
        return self._died("killed", "It did not end when it was interrupted: its kernel was ended with all variables")

    def _died(self, status: Status, why: str) -> Status:
        why = why or "The kernel has ended"
        ended = self._kernel.process.exit
        if ended is not None:
            self._exit_code = ended.returncode if ended.returncode >= 0 else 128 - ended.returncode
        self._error = ExecutionError("TimeLimit" if status == "killed" else "KernelDied", why, ())
        self._tell("error", name=self._error.name, value=why, traceback=[])
        return status

    # -- what the kernel says --------------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        content = message.content
        if message.channel == "shell":
            if message.type == "execute_reply":
                self._reply(content)
        elif message.type == "stream":
            self._stream(content.get("name"), content.get("text"))
        elif message.type in ("display_data", "update_display_data"):
            self._display(content.get("data"))
        elif message.type == "execute_result":
            data = self._bundle(content.get("data"))
            if data is not None:
                self._result = data
                self._tell("result", data=data)
        elif message.type == "error":
            self._fail(content)
        elif message.type == "status":
            self._idle = self._idle or content.get("execution_state") == "idle"

    def _reply(self, content: Mapping[str, Any]) -> None:
        self._replied = True
        if content.get("status") == "error" and self._error is None:
            self._fail(content)
        elif content.get("status") == "aborted":
            self._fail({"ename": "Aborted", "evalue": "The kernel gave up what was asked of it"})
        for item in payloads(content):
            code = item.get("exit_code")
            if isinstance(code, int):
                self._exit_code = code & 0xFF

    def _stream(self, name: object, text: object) -> None:
        if not (isinstance(name, str) and isinstance(text, str) and name in self._streams):
            return
        room = self._room[name]
        self._truncated = self._truncated or len(text) > room
        self._streams[name].append(text[:room])
        self._room[name] = room - len(text[:room])
        self._tell("stream", name=name, text=text)

    def _display(self, data: object) -> None:
        bundle = self._bundle(data)
        if bundle is None:
            return
        if len(self._displays) < BUNDLES_MAX:
            self._displays.append(bundle)
        else:
            self._truncated = True
        self._tell("display", data=bundle)

    def _bundle(self, data: object) -> Mapping[str, Any] | None:
        if not isinstance(data, dict):
            return None
        if len(json.dumps(data)) <= BUNDLE_MAX:
            return data
        self._truncated = True
        plain = data.get("text/plain")
        return {"text/plain": plain[:OUTPUT_MAX] if isinstance(plain, str) else ""}

    def _fail(self, content: Mapping[str, Any]) -> None:
        lines = content.get("traceback")
        lines = [line[:LINE_MAX] for line in lines if isinstance(line, str)] if isinstance(lines, list) else []
        name, value = str(content.get("ename"))[:LINE_MAX], str(content.get("evalue"))[:LINE_MAX]
        self._error = ExecutionError(name, value, lines[-TRACEBACK_MAX:])
        self._tell("error", name=name, value=value, traceback=lines[-TRACEBACK_MAX:])


def payloads(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a program of ours (`agent/repl.py`) has answered in a reply."""
    given = content.get("payload")
    return [p for p in given if isinstance(p, dict) and p.get("source") == "syla"] if isinstance(given, list) else []
