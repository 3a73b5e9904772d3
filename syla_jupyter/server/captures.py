"""Outputs of a cell that an `Output` widget of ipywidgets takes, so that the cell does not have them. Pure.

    with out: print(1)   the widget's state names the request whose outputs it takes from here on (`msg_id`), and
                         names none at the end; the one that came last takes, until it ends

Who shows the widget is to put them into its `outputs`, and to tell the kernel. A page does so for requests of its own
and can for no others; of a cell that the server runs nobody but the server has them, and it does.

What the widget had before is the beginning of what it has then. Where that is not known (the widget is older than our
connection to the kernel, or a page has written to it), the kernel is asked, who answers when the cell is over. What the
kernel itself appends meanwhile comes after what was taken until then; whatever else it sets replaces all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .cell_outputs import CellOutputs
from .shared_cell import clean

WIDGETS_MAX = 100
"""Widgets that take outputs of one cell: those of any further one are the cell's."""
STATE_MAX = 16 << 20
"""Bytes of a widget's message: what a larger one says of outputs is not kept."""
STATES_MAX = 64 << 20
SIZE_MAX = 32 << 20
"""Of all that the widgets of one cell have: beyond it they take no more, and say so."""
ID_MAX = 100
TARGET, MODEL = "jupyter.widget", "OutputModel"
Rows = list[Any]


@dataclass(frozen=True)
class News:
    """What a message says of a widget."""

    id: str
    opened: bool = False
    """It is an `Output` widget; of others that is not known."""
    closed: bool = False
    msg_id: str | None = None
    outputs: Rows | None = None


def news_of(message: Mapping[str, Any]) -> News | None:
    """None: nothing that matters here."""
    type, content = message["msg_type"], message["content"]
    id, data = content.get("comm_id"), content.get("data")
    if not isinstance(id, str) or not 0 < len(id) <= ID_MAX or not isinstance(data, dict):
        return None
    if type == "comm_close":
        return News(id, closed=True)
    state = data.get("state")
    if not isinstance(state, dict):
        return None
    opened = type == "comm_open" and content.get("target_name") == TARGET and state.get("_model_name") == MODEL
    if not opened and (type != "comm_msg" or data.get("method") not in ("update", "echo_update")):
        return None
    msg_id, outputs = state.get("msg_id"), state.get("outputs", [] if opened else None)
    return News(
        id,
        opened=opened,
        msg_id=msg_id if isinstance(msg_id, str) else None,
        outputs=clean(outputs) if isinstance(outputs, list) else None,
    )


class States:
    """`outputs` of widgets as their kernel has them, as far as they are known: the newest, within limits."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, tuple[Rows, int, bool]] = OrderedDict()

    def __contains__(self, id: str) -> bool:
        return id in self._of

    def get(self, id: str) -> Rows | None:
        found = self._of.get(id)
        return found[0] if found else None

    def is_to_clear(self, id: str) -> bool:
        """When its next output comes."""
        return id in self._of and self._of[id][2]

    def put(self, id: str, rows: Rows, size: int, to_clear: bool = False) -> None:
        before = self._of.pop(id, None)
        if size <= STATE_MAX:
            same = before is not None and before[0] == rows  # an echo
            self._of[id] = rows, size + 1000, to_clear or (same and before is not None and before[2])
        while sum(size for _, size, _ in self._of.values()) > STATES_MAX:
            self._of.popitem(last=False)

    def forget(self, id: str) -> None:
        self._of.pop(id, None)


@dataclass
class Captured:
    """`known`: as the kernel has it; None: it is to be asked."""

    outputs: CellOutputs
    known: Rows | None
    unsent: bool = False
    untold: bool = False
    """Pages have not been told of the last."""

    def hear(self, rows: Rows) -> None:
        """The kernel says what it has, or has set."""
        if self.known is None:
            self.outputs.come_after(rows)
        elif rows[: len(self.known)] == self.known:
            self.outputs.fill(rows[len(self.known) :])
        else:
            self.outputs.clear()
            self.outputs.fill(rows)
        self.known, self.untold = rows, True

    def take(self, type: str, content: Mapping[str, Any], size: int) -> None:
        self.outputs.take(type, content, size)
        self.unsent = self.untold = True

    def rows(self) -> Rows:
        return [clean(row) for row in self.outputs.plain()]


class Captures:
    """Of one run. `aside` as `CellOutputs` has it."""

    def __init__(self, aside: str = "") -> None:
        self.widgets: dict[str, Captured] = {}
        self._aside = aside
        self._taking: list[str] = []

    @property
    def taker(self) -> Captured | None:
        return self.widgets[self._taking[-1]] if self._taking else None

    @property
    def size(self) -> int:
        return sum(one.outputs.size for one in self.widgets.values())

    def take(self, type: str, content: Mapping[str, Any], size: int) -> bool:
        """Whether an output is for a widget."""
        taker = self.taker
        if taker is None:
            return False
        goes = taker.outputs.size if taker.outputs.is_to_clear else 0
        if self.size - goes + size > SIZE_MAX and type != "clear_output":
            taker.outputs.left_out += 1
            taker.unsent = taker.untold = True
        else:
            taker.take(type, content, size)
        return True

    def takes(self, id: str) -> bool:
        return id in self._taking

    @property
    def waiting(self) -> list[str]:
        """Those that the kernel is to be asked about."""
        return [id for id, one in self.widgets.items() if one.known is None and one.unsent]

    @property
    def unsent(self) -> list[str]:
        return [id for id, one in self.widgets.items() if one.unsent]

    @property
    def untold(self) -> list[str]:
        return [id for id, one in self.widgets.items() if one.untold and one.known is not None]

    def hear(self, content: Mapping[str, Any]) -> None:
        """A row: `widget`; `takes`, whether it begins or ends; `known` and `to_clear` for one that begins for the first
        time; `outputs`, which its kernel has set; `gone`, closed or another run's."""
        id, takes, outputs = content["widget"], content.get("takes"), content.get("outputs")
        gone = content.get("gone")
        if (takes is not None or gone) and id in self._taking:
            self._taking.remove(id)
        has_room = self.size < SIZE_MAX
        if takes and id not in self.widgets and len(self.widgets) < WIDGETS_MAX and has_room:
            known = content.get("known")
            self.widgets[id] = Captured(CellOutputs(self._aside), known)
            self.widgets[id].outputs.fill(known or [])
            if content.get("to_clear"):
                self.widgets[id].outputs.take("clear_output", {"wait": True})
        if takes and id in self.widgets:
            self._taking.append(id)
        if outputs is not None and id in self.widgets and has_room:
            self.widgets[id].hear(outputs)
        if gone:
            self.widgets.pop(id, None)

    def update(self, content: Mapping[str, Any], size: int) -> bool:
        """Of a display; whether it is here."""
        found = [one for one in self.widgets.values() if one.outputs.update(content, size)]
        for one in found:
            one.unsent = one.untold = True
        return bool(found)

    def sent(self) -> None:
        """The kernel has it all, and pages have. Those that take nothing any more need not be remembered."""
        self.widgets = {id: one for id, one in self.widgets.items() if id in self._taking}
        for one in self.widgets.values():
            one.known, one.unsent, one.untold = one.rows(), False, False

    def give_up(self, id: str) -> Rows:
        """What it took of this run, which will not be in the widget."""
        if id in self._taking:
            self._taking.remove(id)
        return self.widgets.pop(id).outputs.plain()

    def saved(self) -> dict[str, Any]:
        """For `restore`, as JSON."""
        rows = {
            id: {"outputs": one.outputs.saved(), "known": one.known, "unsent": one.unsent}
            for id, one in self.widgets.items()
        }
        return {"widgets": rows, "taking": self._taking}

    def restore(self, saved: Mapping[str, Any]) -> None:
        for id, row in saved["widgets"].items():
            outputs = CellOutputs.of(row["outputs"], self._aside)
            self.widgets[id] = Captured(outputs, row["known"], row["unsent"], True)
        self._taking = list(saved["taking"])
