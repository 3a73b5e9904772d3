"""A run that is read again from its file is as it was, wherever the server was killed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from syla_jupyter.server.cell_queue import Asked
from syla_jupyter.server.cell_run import ASIDE_MAX, Run
from syla_jupyter.server.run_log import RunLogs

ASKED = Asked(id="run", user="ann", room="json:notebook:1", cell="c", asked_at=1.0)
KERNEL = "a-kernel"


def message(type: str, **content: Any) -> dict[str, Any]:
    return {"msg_type": type, "header": {}, "content": content}


MESSAGES = [
    message("status", execution_state="busy"),
    message("execute_input", execution_count=3),
    *[message("stream", name="stdout", text=f"{n}\n") for n in range(50)],
    message("display_data", data={"text/plain": "x"}, metadata={}, transient={"display_id": "d"}),
    message("clear_output", wait=True),
    message("stream", name="stderr", text="50%\r"),
    message("input_request", prompt="?", password=False),
    message("execute_reply", status="ok", execution_count=3),
    message("status", execution_state="idle"),
]


def state(run: Run) -> Any:
    return copy.deepcopy((
        run.outputs.saved(), run.times, run.count, run.status, run.sent, run.question, run.over.is_set(), run.asked,
        run.captures.saved(),
    ))  # fmt: skip


def read(logs: RunLogs) -> Run:
    ((log, rows),) = logs.unfinished(KERNEL)
    return Run.read(log, rows, lambda id: "")


def test_after_each_message(tmp_path: Path) -> None:
    """Also when the last row was cut; and what is in the file is not taken again."""
    logs = RunLogs(tmp_path)
    run = Run(ASKED, logs.begin(KERNEL, "run", Run.head(ASKED)))
    run.note({"type": "sent"})
    before = state(run)
    for number, one in enumerate(MESSAGES):
        assert run.take(one, b"%032d" % number, 10)
        whole = run.log.path.read_bytes() if run.log else b""
        again = read(logs)
        assert state(again) == state(run)
        assert not again.take(one, b"%032d" % number, 10)
        assert again.log is not None
        again.log.path.write_bytes(whole[:-5])
        assert state(read(logs)) == before
        again.log.path.write_bytes(whole)
        before = state(run)


def test_a_long_one_becomes_short(tmp_path: Path) -> None:
    logs = RunLogs(tmp_path)
    run = Run(ASKED, logs.begin(KERNEL, "run", Run.head(ASKED)))
    run.note({"type": "sent"})
    assert run.log is not None
    run.log._compact_at = 2000
    for number in range(500):
        text = message("stream", name="stdout", text=f"{number:04d}\r")
        assert run.take(text, b"%032d" % number, 10)
    assert state(read(logs)) == state(run)
    assert not read(logs).take(text, b"%032d" % 499, 10)
    assert [row["text"] for row in run.outputs.plain()] == ["0499"]


def test_the_full_text_of_what_is_cut_is_kept(tmp_path: Path) -> None:
    """Up to its own limit, and what is beyond it is counted."""
    logs = RunLogs(tmp_path)
    run = Run(ASKED, logs.begin(KERNEL, "run", Run.head(ASKED)))
    run.note({"type": "sent"})
    part = "0123456789" * 200_000
    for number in range(ASIDE_MAX // len(part) + 3):
        assert run.take(message("stream", name="stdout", text=part), b"%032d" % number, len(part))
    assert run.log is not None
    for _ in range(2):
        again = read(logs)
        assert state(again) == state(run)
        full, kept = (run.execution(), again.execution())
        assert (len(kept.stdout), kept.stdout == full.stdout, kept.truncated) == (ASIDE_MAX, True, True)
        run.log.replace([Run.head(ASKED), run._snapshot()])
    assert len(run.outputs.plain()[0]["text"]) < ASIDE_MAX / 10


def test_the_identity_stays(tmp_path: Path) -> None:
    logs = RunLogs(tmp_path)
    first = logs.session_of(KERNEL)
    assert RunLogs(tmp_path).session_of(KERNEL) == first != logs.session_of("another-kernel")
    logs.forget(KERNEL)
    assert logs.session_of(KERNEL) != first
