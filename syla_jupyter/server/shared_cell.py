"""A code cell in a shared notebook: its source is read, its outputs are written, with the least edits that do.

What was written is remembered, by the document it was written to. Where that is not what is there now (the document
was loaded anew, somebody cleared the cell, it was moved), all outputs are written once more. A cell that is not there
takes nothing; it may come back, as one that is moved does.

pycrdt ends a process's call in a panic for text that is no UTF-8 and for numbers beyond 64 bits, counts text in bytes,
and has one kind of number: `clean` and the lengths here are for that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .cell_outputs import CellOutputs, Output, Text
from .optional_crdt import crdt

DEPTH_MAX = 100
EXACT_MAX = 1 << 53
RUNNING, IDLE = "running", "idle"


@dataclass
class _Written:
    output: Output
    changes: int
    settled: int = 0
    """Parts of the text that are there and do not change."""
    settled_bytes: int = 0
    line: str = ""


class SharedCell:
    def __init__(self, id: str) -> None:
        self.id = id
        self._document: Any = None
        self._place = 0
        self._written: list[_Written] = []
        self._notice: Mapping[str, Any] | None = None

    # -- what is there -------------------------------------------------------------------------------------------

    def find(self, document: Any) -> Any | None:
        """The code cell as a `pycrdt.Map`; None: there is none of that id."""
        cells = document.ycells
        if self._place < len(cells) and cells[self._place].get("id") == self.id:
            return cells[self._place]
        for place, cell in enumerate(cells):
            if cell.get("id") == self.id and cell.get("cell_type") == "code":
                self._place = place
                return cell
        return None

    def place(self, document: Any) -> int:
        return self._place if self.find(document) is not None else -1

    def source(self, document: Any) -> str:
        """Empty for a cell that is not there."""
        cell = self.find(document)
        return "" if cell is None else str(cell["source"])

    def tags(self, document: Any) -> Sequence[str]:
        cell = self.find(document)
        metadata = cell.get("metadata") if cell is not None else None
        tags = metadata.get("tags") if metadata is not None else None
        return [str(tag) for tag in tags] if tags is not None and not isinstance(tags, str) else []

    # -- what is written -----------------------------------------------------------------------------------------

    def begin(self, document: Any) -> None:
        """It waits for its turn: nothing of the former run stays, as in JupyterLab."""
        cell = self.find(document)
        if cell is None:
            return
        with document.ydoc.transaction():
            outputs = cell.get("outputs")
            if isinstance(outputs, crdt().Array):
                outputs.clear()
            cell["execution_count"] = None
            cell["execution_state"] = RUNNING
            metadata = cell.get("metadata")
            if isinstance(metadata, crdt().Map) and "execution" in metadata:
                del metadata["execution"]
        self._document, self._written, self._notice = document, [], None

    def show(
        self, document: Any, outputs: CellOutputs, count: int | None, execution: Mapping[str, str], *, ended: bool
    ) -> None:
        cell = self.find(document)
        if cell is None:
            return
        state = IDLE if ended else RUNNING
        number = count if ended else None  # with a number a page takes it for ended
        with document.ydoc.transaction():
            self._show_outputs(document, cell, outputs)
            if number != cell.get("execution_count"):
                cell["execution_count"] = number
            if cell.get("execution_state") != state:
                cell["execution_state"] = state
            metadata = cell.get("metadata")
            if ended and execution and isinstance(metadata, crdt().Map):
                metadata["execution"] = clean(dict(execution))

    def _show_outputs(self, document: Any, cell: Any, outputs: CellOutputs) -> None:
        array = cell.get("outputs")
        there = len(self._written) + bool(self._notice)
        if self._document is document and isinstance(array, crdt().Array) and not len(array) and there:
            outputs.clear()  # somebody did
            self._written, self._notice = [], None
        elif not isinstance(array, crdt().Array):
            cell["outputs"] = crdt().Array([])
            array = cell["outputs"]
            self._document, self._written, self._notice = document, [], None
        elif self._document is not document or len(array) != there:
            array.clear()  # the same one: pages look at no other
            self._document, self._written, self._notice = document, [], None
        same = 0
        while same < min(len(self._written), len(outputs.outputs)) and (
            self._written[same].output is outputs.outputs[same]
        ):
            same += 1
        notice = outputs.notice()
        if self._notice and (self._notice != notice or not same == len(self._written) == len(outputs.outputs)):
            del array[len(array) - 1]
            self._notice = None
        if same < len(self._written):
            del array[same : len(self._written)]
            del self._written[same:]
        for place, written in enumerate(self._written):
            self._update(array, place, written)
        for output in outputs.outputs[same:]:
            array.append(self._made(output))
            self._written.append(_written(output))
        if notice and not self._notice:
            array.append(crdt().Map({**notice, "text": crdt().Text(notice["text"])}))
            self._notice = notice

    def _update(self, array: Any, place: int, written: _Written) -> None:
        output = written.output
        if output.text is not None:
            _write_text(array[place]["text"], output.text, written)
        elif output.changes != written.changes:
            array[place] = self._made(output)
            written.changes = output.changes

    def _made(self, output: Output) -> Any:
        if output.text is None:
            return crdt().Map(clean(output.value))
        return crdt().Map({**clean(output.value), "text": crdt().Text(clean(str(output.text)))})


def _written(output: Output) -> _Written:
    made = _Written(output, output.changes)
    if output.text is not None:
        made.settled = len(output.text.settled)
        made.settled_bytes = _size("".join(output.text.settled))
        made.line = clean(output.text.line)
    return made


def _write_text(shared: Any, text: Text, written: _Written) -> None:
    """Of the last line what is different, and what came after it."""
    new = text.settled[written.settled :]
    line = clean(text.line)
    tail = clean("".join(new)) + line
    if tail == written.line:
        return
    same = _same(written.line, tail)
    begin = written.settled_bytes + _size(written.line[:same])
    end = written.settled_bytes + _size(written.line)
    if end > begin:
        del shared[begin:end]
    if len(tail) > same:
        shared.insert(begin, tail[same:])
    written.settled = len(text.settled)
    written.settled_bytes += _size("".join(new))
    written.line = line


def _same(a: str, b: str) -> int:
    """Characters that both begin with."""
    if b.startswith(a):
        return len(a)
    return next(place for place, (x, y) in enumerate(zip(a, f"{b}\0", strict=False)) if x != y)


def _size(text: str) -> int:
    return len(text.encode(errors="replace"))


def clean(value: Any, depth: int = 0) -> Any:
    """JSON that every reader of the document can take."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode(errors="replace").decode()
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < EXACT_MAX else float(min(max(value, -(10**300)), 10**300))
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth > DEPTH_MAX:
        return None
    if isinstance(value, Mapping):
        return {clean(str(name)): clean(part, depth + 1) for name, part in value.items()}
    return [clean(part, depth + 1) for part in value] if isinstance(value, list | tuple) else None
