"""Which outputs of a cell an `Output` widget takes, what is in it then, and that it is so after a restart of the server.

How ipywidgets sets `msg_id`, and what a page then does, is compared with nbclient's mimic in tests/e2e/test_cells_widgets.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from syla_jupyter.server.captures import SIZE_MAX, STATE_MAX, WIDGETS_MAX, Captures, News, States, news_of
from syla_jupyter.server.cell_queue import Asked
from syla_jupyter.server.cell_run import Run
from syla_jupyter.server.run_log import RunLogs

ASKED = Asked(id="run", user="ann", room="json:notebook:1", cell="c", asked_at=1.0)
KERNEL = "a-kernel"


def stream(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def begins(id: str, known: Any = ()) -> dict[str, Any]:
    return {"widget": id, "takes": True, "known": None if known is None else [*known]}


def ends(id: str) -> dict[str, Any]:
    return {"widget": id, "takes": False}


class Told:
    """A run that is told, and read again from its file after each row."""

    def __init__(self, directory: Path) -> None:
        self._logs = RunLogs(directory)
        self.run = Run(ASKED, self._logs.begin(KERNEL, "run", Run.head(ASKED)))
        self._number = 0

    def output(self, type: str, **content: Any) -> None:
        self._number += 1
        message = {"msg_type": type, "header": {}, "content": content}
        assert self.run.take(message, b"%032d" % self._number, 10)
        self._check()

    def text(self, text: str) -> None:
        self.output("stream", name="stdout", text=text)

    def widget(self, **row: Any) -> None:
        self._number += 1
        assert self.run.hear_widget(row, b"%032d" % self._number)
        assert not self.run.hear_widget(row, b"%032d" % self._number)
        self._check()

    def sent(self) -> None:
        self.run.note({"type": "widgets_sent"})
        self._check()

    def in_widget(self, id: str) -> Any:
        return self.run.captures.widgets[id].rows()

    @property
    def in_cell(self) -> Any:
        return self.run.outputs.plain()

    def _check(self) -> None:
        ((log, rows),) = self._logs.unfinished(KERNEL)
        again = Run.read(log, rows, lambda id: "")
        assert again.captures.saved() == self.run.captures.saved()
        assert again.outputs.saved() == self.run.outputs.saved()
        snapshot = json.loads(json.dumps(self.run._snapshot()))
        again = Run.read(log, [rows[0], snapshot], lambda id: "")
        assert again.captures.saved() == self.run.captures.saved()


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_the_innermost_takes(told: Told) -> None:
    told.text("cell\n")
    told.widget(**begins("a", [stream("before\n")]))
    told.text("a\n")
    told.widget(**begins("b"))
    told.text("b\n")
    told.output("display_data", data={"text/plain": "x"}, metadata={}, transient={"display_id": "d"})
    told.widget(**ends("b"))
    told.text("a again\n")
    told.output("update_display_data", data={"text/plain": "y"}, metadata={}, transient={"display_id": "d"})
    told.widget(**ends("a"))
    told.text("cell again\n")
    shown = {"output_type": "display_data", "data": {"text/plain": "y"}, "metadata": {}}
    assert told.in_cell == [stream("cell\ncell again\n")]
    assert told.in_widget("a") == [stream("before\na\na again\n")]
    assert told.in_widget("b") == [stream("b\n"), shown]


def test_ended_in_another_order(told: Told) -> None:
    """As with widgets of several threads: who is left takes."""
    for id in ("a", "b", "c"):
        told.widget(**begins(id))
    told.widget(**ends("b"))
    told.text("c")
    told.widget(**ends("c"))
    told.text("a")
    told.widget(widget="a", gone=True)
    told.text("cell")
    assert told.in_widget("c") == [stream("c")]
    assert told.in_widget("b") == []
    assert told.in_cell == [stream("cell")]
    assert "a" not in told.run.captures.widgets


def test_clear_output_is_about_the_widget(told: Told) -> None:
    told.text("cell")
    told.widget(**begins("a", [stream("before")]))
    told.output("clear_output", wait=True)
    assert told.in_widget("a") == [stream("before")]
    told.text("a")
    assert told.in_widget("a") == [stream("a")]
    told.output("clear_output", wait=False)
    assert (told.in_widget("a"), told.in_cell) == ([], [stream("cell")])


def test_a_clear_that_waits_for_the_next_cell(told: Told) -> None:
    """It is known of the widget until something else is in it; not for longer."""
    states = States()
    states.put("a", [1], 10, True)
    states.put("a", [1], 10)
    assert states.is_to_clear("a")
    states.put("a", [2], 10)
    assert not states.is_to_clear("a")
    told.widget(**begins("a", [stream("before")]), to_clear=True)
    assert told.in_widget("a") == [stream("before")]
    told.text("next")
    assert told.in_widget("a") == [stream("next")]


def test_what_was_there_before_comes_first_when_it_is_known(told: Told) -> None:
    """Unless it was cleared meanwhile; what was taken before it is known is not lost."""
    for id in ("a", "b", "c"):
        told.widget(**begins(id, None))
        told.text(id)
        if id == "b":
            told.output("clear_output", wait=False)
            told.text("new")
        if id == "c":
            told.output("clear_output", wait=True)
        told.widget(**ends(id))
    assert told.run.captures.waiting == ["a", "b", "c"]
    assert told.run.captures.untold == []
    for id in ("a", "b", "c"):
        told.widget(widget=id, outputs=[stream("before ")])
    assert [told.in_widget(id) for id in ("a", "b", "c")] == [
        [stream("before a")], [stream("new")], [stream("before c")],
    ]  # fmt: skip
    assert told.run.captures.waiting == []
    told.run.captures.widgets["c"].take("stream", stream("next"), 1)
    assert told.in_widget("c") == [stream("next")]


def test_who_does_not_say_what_was_there_gets_nothing(told: Told) -> None:
    """The cell has it."""
    told.widget(**begins("a", None))
    told.text("a")
    told.run.note({"type": "widget_silent", "content": {"widget": "a"}})
    told._check()
    told.text("cell")
    assert told.in_cell == [stream("acell")]


def test_what_the_kernel_sets(told: Told) -> None:
    """Appended by it: comes after; anything else: instead. What it was sent is what it knows."""
    told.widget(**begins("a", [stream("1")]))
    told.text("2")
    told.widget(widget="a", outputs=[stream("1"), stream("3")])
    assert told.in_widget("a") == [stream("123")]
    told.sent()
    assert told.run.captures.unsent == []
    told.widget(widget="a", outputs=[stream("123")])  # its echo
    told.text("4")
    assert told.in_widget("a") == [stream("1234")]
    told.widget(widget="a", outputs=[stream("new")])
    told.widget(**ends("a"))
    assert told.in_widget("a") == [stream("new")]
    told.sent()
    assert told.run.captures.widgets == {}


def test_there_is_a_limit(told: Told) -> None:
    for number in range(WIDGETS_MAX + 1):
        told.widget(**begins(f"{number}"))
    told.text("x")
    assert told.in_widget(f"{WIDGETS_MAX - 1}") == [stream("x")]  # the last that may
    told.output("display_data", data={"text/plain": "y" * 10}, metadata={})
    part = {"data": {"text/plain": "z" * 10}, "metadata": {}}
    for number in range(3):  # it says that it is larger than it is
        told.run.take({"msg_type": "display_data", "header": {}, "content": part}, b"large %026d" % number, 12 << 20)
    assert "too many or too large" in told.in_widget(f"{WIDGETS_MAX - 1}")[-1]["text"]
    assert told.run.size < SIZE_MAX
    told.output("clear_output", wait=True)
    assert told.run.take({"msg_type": "display_data", "header": {}, "content": part}, b"the last", 12 << 20)
    assert [row["data"] for row in told.in_widget(f"{WIDGETS_MAX - 1}")] == [part["data"]]
    states = States()
    states.put("large", [], STATE_MAX + 1)
    assert "large" not in states
    for number in range(20):
        states.put(f"{number}", [number], STATE_MAX)
    assert [id for id in map(str, range(20)) if id in states] == ["17", "18", "19"]


def opened(**state: Any) -> dict[str, Any]:
    return {"comm_id": "a", "target_name": "jupyter.widget", "data": {"state": {"_model_name": "OutputModel", **state}}}


@pytest.mark.parametrize(
    ("type", "content", "news"),
    [
        ("comm_open", opened(outputs=[], msg_id=""), News("a", opened=True, msg_id="", outputs=[])),
        ("comm_open", opened(), News("a", opened=True, outputs=[])),
        ("comm_open", opened(_model_name="SliderModel", msg_id="run"), None),
        ("comm_open", {**opened(), "target_name": "other"}, None),
        ("comm_msg", {"comm_id": "a", "data": {"method": "update", "state": {"msg_id": "run"}}}, News("a", msg_id="run")),
        ("comm_msg", {"comm_id": "a", "data": {"method": "echo_update", "state": {"outputs": [1]}}}, News("a", outputs=[1])),
        ("comm_msg", {"comm_id": "a", "data": {"method": "custom", "state": {"msg_id": "run"}}}, None),
        ("comm_msg", {"comm_id": "a", "data": {"method": "update", "state": {"msg_id": 5, "outputs": {}}}}, News("a")),
        ("comm_msg", {"comm_id": "a", "data": {"method": "update", "state": [1]}}, None),
        ("comm_msg", {"comm_id": "x" * 1000, "data": {"method": "update", "state": {"msg_id": ""}}}, None),
        ("comm_msg", {"comm_id": ["a"], "data": 1}, None),
        ("comm_close", {"comm_id": "a", "data": {}}, News("a", closed=True)),
    ],
)  # fmt: skip
def test_what_a_message_says(type: str, content: Any, news: News | None) -> None:
    assert news_of({"msg_type": type, "content": content}) == news


def test_rows_of_any_form(told: Told) -> None:
    """What a kernel says is in a widget is as untrusted as what it prints."""
    rows = [1, None, [], {}, {"output_type": "stream"}, {"output_type": ["x"]}, {"output_type": "stream", "name": 1, "text": 2},
            {"output_type": "display_data", "data": 5}, {"output_type": "clear_output"}, {"output_type": "error"},
            {"output_type": "stream", "name": "stdout", "text": "\ud800"}, {**stream("x"), "more": float("nan")}]  # fmt: skip
    news = news_of({"msg_type": "comm_open", "content": opened(outputs=rows)})
    told.widget(**begins("a", news and news.outputs))
    told.text("y")
    assert told.in_widget("a") == [stream("?xy")]
    assert Captures().taker is None
