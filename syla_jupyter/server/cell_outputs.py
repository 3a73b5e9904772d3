"""What the outputs of a cell are, message by message, as JupyterLab has them. Pure.

    stream               joined to the last output of the same name; backspace and carriage return write over
    display, result      one more output
    update_display_data  changes every output that was displayed under that id
    clear_output         now, or (`wait`) when the next output comes
    error                one more output

What a kernel sends is untrusted: parts of a wrong form are left out, and what is kept has a limit. A stream beyond it
is counted; a last output says how much is missing, and where it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

STREAM_MAX = 1 << 20
"""Characters of text in the document, of all streams of a cell."""
BUNDLE_MAX = 16 << 20
"""Characters of JSON of one display."""
BUNDLES_MAX = 64 << 20
OUTPUTS_MAX = 1000
LINE_MAX = 10_000
"""Characters of a line that can still be written over: longer ones are no progress bars."""
TRACEBACK_MAX = 1000  # lines
KINDS = ("stream", "display_data", "execute_result", "error")
OUTPUT_TYPES = (*KINDS, "clear_output", "update_display_data")


class Text:
    """A stream's text: `settled` never changes any more but by more of it, `line` is the last line."""

    def __init__(self) -> None:
        self.settled: list[str] = []
        self.line = ""
        self.cursor = 0
        """Where the next character goes, in the last line."""

    def write(self, text: str) -> None:
        """As a terminal does, as far as JupyterLab does."""
        head, _, tail = text.rpartition("\n")
        if head and "\r" not in head and "\b" not in head and self.cursor == len(self.line):
            self._settle(f"{head}\n")
            text = tail
        for part in text.splitlines(keepends=True) if "\r" not in text and "\b" not in text else _parts(text):
            self._put(part)

    def _put(self, part: str) -> None:
        if part == "\r":
            self.cursor = 0
        elif part == "\b":
            self.cursor = max(0, self.cursor - 1)
        elif part.endswith("\n"):
            self._over(part[:-1])
            self._settle("\n")
        else:
            self._over(part)

    def _over(self, text: str) -> None:
        self.line = self.line[: self.cursor] + text + self.line[self.cursor + len(text) :]
        self.cursor += len(text)
        if len(self.line) > LINE_MAX:
            self._settle("")

    def _settle(self, text: str) -> None:
        self.settled.append(self.line + text)
        self.line, self.cursor = "", 0

    def settle(self, text: str) -> None:
        """Take up text that was written before, as it is."""
        head, end, self.line = text.rpartition("\n")
        self.settled = [head + end] if end else []

    def __str__(self) -> str:
        return "".join(self.settled) + self.line


def _parts(text: str) -> list[str]:
    """Lines with their ends, and each carriage return and backspace."""
    parts, begin = [], 0
    for place, character in enumerate(text):
        if character in "\r\b":
            parts += [text[begin:place], character]
            begin = place + 1
        elif character == "\n":
            parts.append(text[begin : place + 1])
            begin = place + 1
    return [part for part in [*parts, text[begin:]] if part]


@dataclass(eq=False)
class Output:
    value: dict[str, Any]
    """As the notebook format has it, but for the text of a stream."""
    text: Text | None = None
    display_id: str = ""
    changes: int = 0
    """How often `value` was replaced."""

    def plain(self) -> dict[str, Any]:
        return self.value if self.text is None else {**self.value, "text": str(self.text)}


@dataclass
class CellOutputs:
    """`aside`: where the whole of a stream is that was cut, for a person to read."""

    aside: str = ""
    stream_max: int = STREAM_MAX
    outputs: list[Output] = field(default_factory=list)
    cut_characters: int = 0
    left_out: int = 0
    """Outputs that were too large, or one too many."""
    was_cleared: bool = False
    _clear_next: bool = False
    _stream_size: int = 0
    _bundles_size: int = 0

    def take(self, type: str, content: Mapping[str, Any], size: int = 0) -> bool:
        """Whether it was for the outputs. `size`: of the content, as it came."""
        if type == "stream":
            self._stream(content.get("name"), content.get("text"))
        elif type in ("display_data", "execute_result"):
            self._display(type, content, size)
        elif type == "update_display_data":
            self.update(content, size)
        elif type == "error":
            self._error(content, size)
        elif type == "clear_output":
            if content.get("wait") is True:
                self._clear_next = True
            else:
                self.clear()
        else:
            return False
        return True

    def displays(self) -> list[Mapping[str, Any]]:
        """All but texts and errors, as they are now: one that changes is another one then."""
        return [one.value for one in self.outputs if one.value["output_type"] in ("display_data", "execute_result")]

    def clear(self) -> None:
        self.outputs = []
        self._clear_next, self.was_cleared = False, True
        self._stream_size = self._bundles_size = self.cut_characters = self.left_out = 0

    def update(self, content: Mapping[str, Any], size: int = 0) -> bool:
        """Of a display of any cell; whether one is here."""
        id, bundle = display_id(content), _bundle(content)
        found = False
        for output in self.outputs:
            if id and bundle and output.display_id == id and size <= BUNDLE_MAX:
                output.value = {**output.value, **bundle}
                output.changes += 1
                found = True
        return found

    def say(self, name: str, text: str) -> None:
        """Of the server, whatever the limits are."""
        self._append_text(name, text)

    def notice(self) -> dict[str, Any] | None:
        """What of it is missing, for a person, as a last output; None: nothing.

        Its stream is not that of the output before: a page would take it for more of the same.
        """
        if self.cut_characters:
            text = f"[{self.cut_characters} more characters are not shown here{self.aside}]\n"
        elif self.left_out:
            text = "[More outputs are not shown here: they are too many or too large]\n"
        else:
            return None
        after_errors = bool(self.outputs) and self.outputs[-1].value.get("name") == "stderr"
        return {"output_type": "stream", "name": "stdout" if after_errors else "stderr", "text": text}

    def come_after(self, rows: Sequence[Any]) -> None:
        """What was there before all of this, where it is known only now."""
        if not self.was_cleared:
            mine, clear_next = self.plain(), self._clear_next
            self.clear()
            self.fill([*rows, *mine])
            self._clear_next, self.was_cleared = clear_next, False

    def fill(self, rows: Sequence[Any]) -> None:
        """More outputs, as the notebook format has them; what is none is left out."""
        for row in rows:
            if isinstance(row, dict) and row.get("output_type") in KINDS:
                self.take(row["output_type"], row, len(str(row)))

    @property
    def is_to_clear(self) -> bool:
        """When the next output comes."""
        return self._clear_next

    @property
    def size(self) -> int:
        return self._stream_size + self._bundles_size

    def plain(self) -> list[dict[str, Any]]:
        """As the notebook format has them; with a notice, where something is missing."""
        rows = [output.plain() for output in self.outputs]
        notice = self.notice()
        return [*rows, notice] if notice else rows

    def saved(self) -> dict[str, Any]:
        """For `of`, as JSON."""
        rows = [
            {"value": one.plain(), "display_id": one.display_id, "cursor": one.text.cursor if one.text else 0}
            for one in self.outputs
        ]
        sizes = [self._stream_size, self._bundles_size, self.cut_characters, self.left_out]
        return {"outputs": rows, "sizes": sizes, "clear_next": self._clear_next, "was_cleared": self.was_cleared}

    @classmethod
    def of(cls, saved: Mapping[str, Any], aside: str) -> CellOutputs:
        found = cls(aside, was_cleared=saved.get("was_cleared", False), _clear_next=saved["clear_next"])
        found._stream_size, found._bundles_size, found.cut_characters, found.left_out = saved["sizes"]
        for row in saved["outputs"]:
            value, text = dict(row["value"]), None
            if value["output_type"] == "stream":
                text = Text()
                text.settle(value.pop("text"))
                text.cursor = row["cursor"]
            found.outputs.append(Output(value, text, row["display_id"]))
        return found

    # -- parts ---------------------------------------------------------------------------------------------------

    def _stream(self, name: Any, text: Any) -> None:
        if not isinstance(name, str) or not isinstance(text, str) or len(name) > 100:
            return
        self._clear_if_due()
        room = max(0, self.stream_max - self._stream_size)
        self.cut_characters += max(0, len(text) - room)
        if room:
            self._stream_size += min(len(text), room)
            self._append_text(name, text[:room])

    def _append_text(self, name: str, text: str) -> None:
        last = self.outputs[-1] if self.outputs else None
        if last is None or last.text is None or last.value["name"] != name:
            last = Output({"output_type": "stream", "name": name}, Text())
            if not self._add(last):
                return
        assert last.text is not None
        last.text.write(text)

    def _display(self, type: str, content: Mapping[str, Any], size: int) -> None:
        bundle = _bundle(content)
        if bundle is None:
            return
        self._clear_if_due()
        if not self._has_room(size):
            return
        count = content.get("execution_count")
        result = {"execution_count": count if isinstance(count, int) else None} if type == "execute_result" else {}
        self._add(Output({"output_type": type, **bundle, **result}, display_id=display_id(content)))

    def _error(self, content: Mapping[str, Any], size: int) -> None:
        name, value, trace = content.get("ename"), content.get("evalue"), content.get("traceback")
        if not isinstance(name, str) or not isinstance(value, str) or not isinstance(trace, list):
            return
        self._clear_if_due()
        if not self._has_room(size):
            return
        lines = [line for line in trace[:TRACEBACK_MAX] if isinstance(line, str)]
        self._add(Output({"output_type": "error", "ename": name, "evalue": value, "traceback": lines}))

    def _has_room(self, size: int) -> bool:
        fits = size <= BUNDLE_MAX and self._bundles_size + size <= BUNDLES_MAX
        self._bundles_size += size * fits
        self.left_out += not fits
        return fits

    def _add(self, output: Output) -> bool:
        if len(self.outputs) >= OUTPUTS_MAX:
            self.left_out += 1
            return False
        self.outputs.append(output)
        return True

    def _clear_if_due(self) -> None:
        if self._clear_next:
            self.clear()


def display_id(content: Mapping[str, Any]) -> str:
    transient = content.get("transient")
    id = transient.get("display_id") if isinstance(transient, dict) else None
    return id if isinstance(id, str) else ""


def _bundle(content: Mapping[str, Any]) -> dict[str, Any] | None:
    data, metadata = content.get("data"), content.get("metadata")
    if not isinstance(data, dict) or not isinstance(metadata, dict | None):
        return None
    return {"data": data, "metadata": metadata or {}}
