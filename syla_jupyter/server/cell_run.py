"""One cell that is run by the server, from the request to its end: what it has put out, and what it waits for.

All that happens to it is a row, which is written down before it counts (`run_log`): whoever reads the rows again, in a
server after this one, has the run as it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ..workspaces.execution import Execution, ExecutionError
from .captures import Captures
from .cell_outputs import OUTPUT_TYPES, CellOutputs
from .cell_queue import Asked
from .frames import SIGNATURE_BYTES
from .run_log import SIGNATURES_MAX, Row, RunLog
from .shared_cell import clean

ASIDE_MAX = 16 << 20
"""Characters of each stream that are kept apart from the document."""
PROMPT_MAX = 1000
NEXT_MAX = 1 << 20
OF_THE_RUN = (*OUTPUT_TYPES, "status", "execute_input", "execute_reply", "input_request")
MASK = "········"
"""What a password is shown as, by JupyterLab too."""


class Run:
    """`log`: None where nothing is to be kept."""

    def __init__(self, asked: Asked, log: RunLog | None, aside: str = "") -> None:
        self.asked, self.log = asked, log
        self.outputs = CellOutputs(aside)
        self.captures = Captures(aside)
        self.times: dict[str, str] = {}
        self.count: int | None = None
        self.status = ""
        """`ok`, `error`, or `aborted`; empty while it has not ended."""
        self.sent = self.replied = self.idle = False
        self.question: dict[str, Any] | None = None
        """Content of the request for input that is not answered yet."""
        self.question_from: Mapping[str, Any] = {}
        self.next_input: Mapping[str, Any] | None = None
        """What `%load` has for its cell, or for the next: the page that asked writes it, if its person may."""
        self.vouched: Sequence[Mapping[str, Any]] = ()
        """What it displayed when that was last noted as its person's."""
        self.aside: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self.over = asyncio.Event()
        """The kernel has nothing more to say, or is gone."""
        self.finished = asyncio.Event()
        """The document says so."""
        self._aside_size = dict.fromkeys(self.aside, 0)
        self._taken: dict[str, None] = {}

    @classmethod
    def read(cls, log: RunLog, rows: Sequence[Row], aside: Callable[[str], str]) -> Run:
        """As it was. ValueError, TypeError, KeyError when the rows are not of this version."""
        asked = Asked(**rows[0]["asked"])
        run = cls(asked, log, aside(asked.id))
        for row in rows[1:]:
            run._apply(row)
        return run

    @staticmethod
    def head(asked: Asked) -> Row:
        return {"asked": dataclasses.asdict(asked)}

    @property
    def size(self) -> int:
        return self.outputs.size + self.captures.size

    def execution(self) -> Execution:
        """As any code that was run in a workspace is shown; text in full, as far as it is kept."""
        values = [one.value for one in self.outputs.outputs]
        result = next((dict(v["data"]) for v in values if v["output_type"] == "execute_result"), None)
        error = next((v for v in values if v["output_type"] == "error"), None)
        return Execution(
            id=self.asked.id,
            status="ok" if self.status == "ok" else "error",
            stdout="".join(self.aside["stdout"]),
            stderr="".join(self.aside["stderr"]),
            result=result,
            displays=[dict(v["data"]) for v in values if v["output_type"] == "display_data"],
            error=ExecutionError(error["ename"], error["evalue"], error["traceback"]) if error else None,
            started_at=self.asked.asked_at,
            seconds=0.0,
            truncated=any(size >= ASIDE_MAX for size in self._aside_size.values()) or bool(self.outputs.left_out),
        )

    # -- what happens to it --------------------------------------------------------------------------------------

    def take(self, message: Mapping[str, Any], signature: bytes, size: int) -> bool:
        """A message of the kernel about this run; False for one that changes nothing, or was taken before."""
        type, text = str(message["msg_type"]), signature.decode("ascii", "replace")[:SIGNATURE_BYTES]
        if type not in OF_THE_RUN or text in self._taken:
            return False
        date = message["header"].get("date")
        row = {"type": type, "content": message["content"], "size": size, "signature": text}
        self.note({**row, "date": date.isoformat() if isinstance(date, datetime) else ""})
        return True

    def hear_widget(self, content: Mapping[str, Any], signature: bytes) -> bool:
        """A row of `Captures.hear`, of a message; False for one that was heard before."""
        text = signature.decode("ascii", "replace")[:SIGNATURE_BYTES]
        if text in self._taken:
            return False
        self.note({"type": "widget", "content": content, "signature": text})
        return True

    def update(self, content: Mapping[str, Any], size: int) -> bool:
        """Of a display of any cell; whether one is here."""
        return any([self.outputs.update(content, size), self.captures.update(content, size)])

    def note(self, row: Row) -> None:
        if self.log is not None:
            try:
                self.log.note(self._shortened(row))
            except OSError:
                pass  # the disk is full: it is not there after a restart
        self._apply(row)
        if self.log is not None and self.log.is_long:
            with contextlib.suppress(OSError):
                self.log.replace([self.head(self.asked), self._snapshot()])

    def _shortened(self, row: Row) -> Row:
        """Of a stream that is kept nowhere, the number of characters is enough."""
        if row["type"] != "stream" or not self._outputs_now.cut_characters:
            return row
        name, text = row["content"].get("name"), row["content"].get("text")
        if name not in self.aside or self._aside_size[name] < ASIDE_MAX:
            return row
        return {**row, "type": "cut", "content": {"characters": len(text) if isinstance(text, str) else 0}}

    def _apply(self, row: Row) -> None:
        type, content = row["type"], row.get("content", {})
        if signature := row.get("signature"):
            self._taken[signature] = None
            if len(self._taken) > SIGNATURES_MAX:
                del self._taken[next(iter(self._taken))]
        if type in OUTPUT_TYPES:
            self._take_output(type, content, row["size"])
            self._put_aside(type, content)
        else:
            getattr(self, f"_apply_{type}")(content, str(row.get("date", "")))

    def _apply_status(self, content: Mapping[str, Any], date: str) -> None:
        state = content.get("execution_state")
        if state in ("busy", "idle"):
            self.times[f"iopub.status.{state}"] = date
        if state == "idle":
            self.idle = True
            self._check_over()

    def _apply_execute_input(self, content: Mapping[str, Any], date: str) -> None:
        self.times["iopub.execute_input"] = date
        self._count(content)

    def _apply_execute_reply(self, content: Mapping[str, Any], date: str) -> None:
        self.times["shell.execute_reply"] = date
        self._count(content)
        status = content.get("status")
        self.status = status if status in ("ok", "aborted") else "error"
        self.replied, self.question = True, None
        payload = content.get("payload")
        for one in payload if isinstance(payload, list) else []:
            if isinstance(one, dict) and one.get("source") == "page":  # what `?` shows
                self.outputs.take("display_data", one)
            elif isinstance(one, dict) and one.get("source") == "set_next_input":
                self.next_input = _next_input(one)
        self._check_over()

    def _apply_input_request(self, content: Mapping[str, Any], date: str) -> None:
        self.question = question_of(content)

    def _apply_unasked(self, content: Mapping[str, Any], date: str) -> None:
        self.question = None

    def _apply_answered(self, content: Mapping[str, Any], date: str) -> None:
        """`shown`: as the page that asks itself shows it."""
        self.question = None
        self.outputs.say("stdin", content["shown"])

    def _apply_sent(self, content: Mapping[str, Any], date: str) -> None:
        self.sent = True

    def _apply_cut(self, content: Mapping[str, Any], date: str) -> None:
        self._outputs_now.cut_characters += content["characters"]

    def _apply_widget(self, content: Mapping[str, Any], date: str) -> None:
        self.captures.hear(content)

    def _apply_widgets_sent(self, content: Mapping[str, Any], date: str) -> None:
        self.captures.sent()

    def _apply_widget_silent(self, content: Mapping[str, Any], date: str) -> None:
        """Nobody says what it had before: what it took stays where everybody sees it."""
        self.outputs.fill(self.captures.give_up(content["widget"]))

    def _apply_failed(self, content: Mapping[str, Any], date: str) -> None:
        """Of the server: it was not run, or not to its end."""
        if content["reason"]:
            self.outputs.say("stderr", f"{content['reason']}\n")
        self.status, self.question = content["status"], None
        self.over.set()

    def _apply_ended(self, content: Mapping[str, Any], date: str) -> None:
        self.status = self.status or content["status"]
        self.question = None
        self.over.set()

    def _apply_snapshot(self, content: Mapping[str, Any], date: str) -> None:
        self.outputs = CellOutputs.of(content["outputs"], self.outputs.aside)
        self.times, self.count, self.sent = content["times"], content["count"], True
        self.question = content["question"]
        self._taken = dict.fromkeys(content["taken"])
        self.captures.restore(content["captures"])
        for name, text in content["aside"].items():
            self._put_aside("stream", {"name": name, "text": text})

    # -- parts ---------------------------------------------------------------------------------------------------

    @property
    def _outputs_now(self) -> CellOutputs:
        """Where the next output goes."""
        taker = self.captures.taker
        return self.outputs if taker is None else taker.outputs

    def _take_output(self, type: str, content: Mapping[str, Any], size: int) -> None:
        if type == "update_display_data":
            self.update(content, size)
        elif not self.captures.take(type, content, size):
            self.outputs.take(type, content, size)

    def _snapshot(self) -> Row:
        content = {
            "outputs": self.outputs.saved(),
            "times": self.times,
            "count": self.count,
            "question": self.question,
            "taken": list(self._taken),
            "captures": self.captures.saved(),
            "aside": {name: "".join(parts) for name, parts in self.aside.items()},
        }
        return {"type": "snapshot", "content": content}

    def _count(self, content: Mapping[str, Any]) -> None:
        count = content.get("execution_count")
        if isinstance(count, int):
            self.count = count

    def _check_over(self) -> None:
        if self.replied and self.idle:
            self.over.set()

    def _put_aside(self, type: str, content: Mapping[str, Any]) -> None:
        name, text = content.get("name"), content.get("text")
        if type == "stream" and name in self.aside and isinstance(text, str):
            text = text[: ASIDE_MAX - self._aside_size[name]]
            self._aside_size[name] += len(text)
            if text:
                self.aside[name].append(text)


def question_of(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"prompt": str(content.get("prompt", ""))[:PROMPT_MAX], "password": content.get("password") is True}


def _next_input(payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    text = payload.get("text")
    if not isinstance(text, str) or len(text) > NEXT_MAX:
        return None
    return {"text": clean(text), "replace": payload.get("replace") is True}
