"""The variables of a workspace's kernels: saved into its home before its container ends, and what came back of them.

Each kernel does it itself, in the container (`agent/variables`): it forks, and the child writes files below the home.
The host asks, waits with time limits, and moves these files as it moves all others; it never opens one. What kernels
say is untrusted: texts are cut and shown as text, sizes and numbers are checked, and more than so many are not listed.

After a save the keys are noted as due (`variables_due`): the next start of such a kernel in another container gets
them back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from ..model.clock import Clock, SystemClock
from ..model.workspace import GIB
from .kernel_control import ControlClient
from .live import LiveWorkspace
from .repl import suspended
from .variables_due import REPL, Due, is_key

SAVE_SECONDS = 60.0
STORED_BYTES = 4 * GIB
ANSWER_SECONDS = 5.0
"""For a kernel to answer at all."""
AFTER_SECONDS = 7.0
"""For its saver to come to an end after its time."""
AT_ONCE = 4
KERNELS_MAX = 100
VARIABLES_MAX = 500
LINES_MAX = 50
TEXT_MAX = 300
NOTES_MAX = 5
STATUSES = ("saved", "partial", "recreated", "lost")

SAVE, REPORT = "syla_variables_save", "syla_variables_report"


@dataclass(frozen=True)
class SavedVariable:
    name: str
    type: str
    status: str
    """`saved`; `partial`: parts are replaced by placeholders; `recreated`: made anew from what describes it; `lost`."""
    size_bytes: int
    reason: str
    """Why it is lost, or which parts are."""
    notes: tuple[str, ...]


@dataclass(frozen=True)
class KernelVariables:
    key: str
    session: str
    """Its notebook's path in the container, `REPL`, or empty."""
    variables: tuple[SavedVariable, ...] = ()
    """Lost ones first, at most `VARIABLES_MAX`."""
    total: int = 0
    pause_seconds: float = 0.0
    """For how long the kernel stood still."""
    seconds: float = 0.0
    new_bytes: int = 0
    stored_bytes: int = 0
    busy: bool = False
    """It ran a cell meanwhile: what that cell was just changing may be half changed."""
    error: str = ""
    """Why nothing was saved or brought back; what was saved before is as it was."""
    saved_at: float = 0.0
    """Of what was brought back: seconds since the epoch."""
    changed: tuple[str, ...] = ()
    """Packages that are of another version than when it was saved, a line each."""

    def lines(self) -> Iterator[str]:
        """For people: what is not as it was."""
        place = self.session or "a kernel"
        if self.error:
            yield f"{place}: {self.error}"
        for variable in self.variables:
            if variable.status == "lost":
                yield f"{place}: {variable.name} ({variable.type}) is lost: {variable.reason}"
            elif variable.status == "partial":
                yield f"{place}: {variable.name} ({variable.type}) is kept in part: {variable.reason}"
            elif variable.status == "recreated":
                yield f"{place}: {variable.name} ({variable.type}): {'; '.join(variable.notes)}"
        for line in self.changed:
            yield f"{place}: {line}"


@dataclass(frozen=True)
class VariablesReport:
    kernels: tuple[KernelVariables, ...] = ()

    def lines(self) -> list[str]:
        every = [line for kernel in self.kernels for line in kernel.lines()]
        more = len(every) - LINES_MAX
        return [*every[:LINES_MAX], f"and {more} more"] if more > 0 else every

    def details(self) -> dict[str, Any]:
        """As JSON, for a version's record; `variables_due.keys_of` reads it."""
        return {"kernels": [asdict(kernel) for kernel in self.kernels]}


def save(
    live: LiveWorkspace, *, seconds: float = SAVE_SECONDS, stored_bytes: int = STORED_BYTES, clock: Clock | None = None
) -> VariablesReport:
    """Save the variables of all kernels, and note them as due elsewhere; a kernel that cannot is reported.

    Parameters
    ----------
    seconds : for each kernel, from when it is asked; the whole takes little longer for up to `AT_ONCE` of them.
    stored_bytes : for all of them together, on disk.

    Errors: `WrongState` of a suspended workspace; `WorkspaceLost`, `AgentError`.
    """
    home = live.spec.home
    if home is None:
        return VariablesReport()
    due, share = Due(home), max(1, len(live.saved_kernels()))

    def one(client: ControlClient, kernel: KernelVariables) -> KernelVariables:
        asked = {"key": kernel.key, "seconds": seconds, "bytes": stored_bytes // share}
        answer = client.ask(SAVE, asked, seconds=seconds + AFTER_SECONDS)
        saved = _kernel(kernel, answer)
        if not saved.error:
            due.note(kernel.key, live.run.id)
        return saved

    return _each(live, one, clock or SystemClock())


def restored(live: LiveWorkspace, *, clock: Clock | None = None) -> VariablesReport:
    """What came back in each kernel that was started with variables; errors as of `save`."""

    def one(client: ControlClient, kernel: KernelVariables) -> KernelVariables | None:
        answer = client.ask(REPORT, {}, seconds=ANSWER_SECONDS)
        return _kernel(kernel, answer) if answer is None or answer.get("restored") is True else None

    return _each(live, one, clock or SystemClock())


def _each(
    live: LiveWorkspace, one: Callable[[ControlClient, KernelVariables], KernelVariables | None], clock: Clock
) -> VariablesReport:
    if live.frozen:
        raise suspended(live)

    def ask(slot: str, noted: Mapping[str, str]) -> KernelVariables | None:
        session = "REPL" if noted["variables"] == REPL else noted.get("session", "")
        kernel = KernelVariables(noted["variables"], session)
        with ControlClient(live.run.client_prefix(slot), noted["key"].encode("ascii"), clock) as client:
            # One that does not know the question stays silent, and answers the next.
            known = client.first_of({REPORT: {}, "kernel_info": {}}, seconds=ANSWER_SECONDS)
            if REPORT not in known:
                why = "it keeps no variables" if known else f"it did not answer within {ANSWER_SECONDS:g} s"
                return _failed(kernel, why)
            return one(client, kernel)

    kernels = [(slot, noted) for slot, noted in live.saved_kernels() if is_key(noted["variables"])]
    if not kernels:
        return VariablesReport()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="syla-variables") as pool:
        answers = list(pool.map(lambda kernel: ask(*kernel), kernels[:KERNELS_MAX]))
    return VariablesReport(tuple(answer for answer in answers if answer is not None))


def _failed(kernel: KernelVariables, why: str) -> KernelVariables:
    return KernelVariables(kernel.key, kernel.session, error=why)


def _kernel(kernel: KernelVariables, said: Mapping[str, Any] | None) -> KernelVariables:
    """The kernel's word, which may be anything."""
    if said is None:
        return _failed(kernel, "it did not come to an end in time")
    if said.get("status") != "ok":
        return _failed(kernel, _text(said.get("reason")) or "it could not")
    listed = said.get("variables")
    variables = [_variable(one) for one in listed[:VARIABLES_MAX]] if isinstance(listed, list) else []
    changed = said.get("changed")
    return KernelVariables(
        kernel.key,
        kernel.session,
        tuple(variable for variable in variables if variable is not None),
        int(_number(said.get("total"))),
        _number(said.get("pause_seconds")),
        _number(said.get("seconds")),
        int(_number(said.get("new_bytes"))),
        int(_number(said.get("stored_bytes"))),
        said.get("busy") is True,
        _text(said.get("failed")),
        _number(said.get("saved_at")),
        _texts(changed, LINES_MAX),
    )


def _variable(said: object) -> SavedVariable | None:
    if not isinstance(said, Mapping):
        return None
    name, type, reason = (_text(said.get(key)) for key in ("name", "type", "reason"))
    status = said.get("status")
    if not name or status not in STATUSES:
        return None
    size = int(_number(said.get("bytes")))
    return SavedVariable(name, type, status, size, reason, _texts(said.get("notes"), NOTES_MAX))


def _texts(given: object, most: int) -> tuple[str, ...]:
    return tuple(filter(None, map(_text, given[:most]))) if isinstance(given, list) else ()


def _text(given: object) -> str:
    """One line, cut; control characters would reach a terminal."""
    if not isinstance(given, str):
        return ""
    return "".join(c if c.isprintable() else " " for c in given[:TEXT_MAX])


def _number(given: object) -> float:
    """0 for what is no size or duration."""
    fits = isinstance(given, int | float) and not isinstance(given, bool) and 0 <= given < 1 << 62
    return given if fits and isinstance(given, int | float) else 0.0
