"""What a cell's outputs become, message by message, and that a shared document shows exactly that."""

from __future__ import annotations

import random
from typing import Any

import pytest

from syla_jupyter.server.cell_outputs import BUNDLE_MAX, BUNDLES_MAX, OUTPUTS_MAX, CellOutputs

Message = tuple[str, dict[str, Any]]


def stream(text: str, name: str = "stdout") -> Message:
    return "stream", {"name": name, "text": text}


def display(text: str, id: str = "", type: str = "display_data") -> Message:
    transient = {"transient": {"display_id": id}} if id else {}
    return type, {"data": {"text/plain": text}, "metadata": {}, **transient}


def outputs_of(*messages: Message, **limits: Any) -> CellOutputs:
    outputs = CellOutputs(**limits)
    for type, content in messages:
        outputs.take(type, content, len(str(content)))
    return outputs


def texts(outputs: CellOutputs) -> list[str]:
    return [row.get("text") or row["data"]["text/plain"] for row in outputs.plain()]


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (["a\n", "b", "c\n"], "a\nbc\n"),
        (["10%\r", "20%\r30%\n", "x"], "30%\nx"),
        (["abc\rd\n"], "dbc\n"),
        (["abc", "\b\bX", "\n"], "aXc\n"),
        (["\b\b\r\n", "a\r\nb"], "\na\nb"),
        (["one\ntwo\rTWO\nthree"], "one\nTWO\nthree"),
        (["ab\r", "c", "\n", "d"], "cb\nd"),
    ],
)
def test_text_is_written_over_as_on_a_terminal(parts: list[str], text: str) -> None:
    assert texts(outputs_of(*map(stream, parts))) == [text]


def test_streams_are_joined_with_the_last_of_their_name_only() -> None:
    found = outputs_of(stream("a"), stream("b"), stream("c", "stderr"), stream("d"), display("x"), stream("e"))
    assert texts(found) == ["ab", "c", "d", "x", "e"]


def test_clear_output_now_and_with_the_next() -> None:
    clear = ("clear_output", {"wait": False})
    wait = ("clear_output", {"wait": True})
    assert texts(outputs_of(stream("a"), clear)) == []
    assert texts(outputs_of(stream("a"), wait)) == ["a"]
    assert texts(outputs_of(stream("a"), wait, stream("b"))) == ["b"]
    assert texts(outputs_of(stream("a"), wait, clear, stream("b"), stream("c"))) == ["bc"]


def test_displays_are_updated_by_their_id() -> None:
    update = display("new", "one", "update_display_data")
    found = outputs_of(display("a", "one"), display("b", "two"), display("c", "one"), update)
    assert texts(found) == ["new", "b", "new"]
    assert not outputs_of(display("a")).update(update[1])


def test_what_is_too_much_is_counted_and_told() -> None:
    found = outputs_of(
        stream("a" * 15), stream("b" * 20), display("x"), stream("c"), aside="; see there", stream_max=20
    )
    assert texts(found) == ["a" * 15 + "b" * 5, "x", "[16 more characters are not shown here; see there]\n"]
    many = outputs_of(*[display(str(n)) for n in range(OUTPUTS_MAX + 3)])
    assert (len(many.outputs), many.left_out) == (OUTPUTS_MAX, 3)
    assert "too many" in texts(many)[-1]
    many.take("clear_output", {}, 0)
    assert texts(many) == []


def test_one_that_is_too_large_is_left_out() -> None:
    """By itself, or with all before it; of whichever kind, and smaller ones after it are kept."""
    error: Message = "error", {"ename": "a", "evalue": "b", "traceback": ["c"]}
    found = CellOutputs()
    for type, content in (display("x"), display("x", type="execute_result"), error):
        found.take(type, content, BUNDLE_MAX + 1)
        found.take(type, content, BUNDLE_MAX)
    assert (len(found.outputs), found.left_out) == (3, 3)
    found.take(*error, BUNDLES_MAX - 3 * BUNDLE_MAX)
    found.take(*error, 1)
    assert (len(found.outputs), found.left_out) == (4, 4)
    found.take(*stream("more"))
    assert found.plain()[-2]["text"] == "more"


@pytest.mark.parametrize(
    "message",
    [
        ("stream", {}), ("stream", {"name": 1, "text": "a"}), ("stream", {"name": "stdout", "text": ["a"]}),
        ("display_data", {"data": []}), ("display_data", {"data": {}, "metadata": 1}), ("error", {"ename": "a"}),
        ("error", {"ename": "a", "evalue": "b", "traceback": "c"}), ("update_display_data", {"transient": {"display_id": []}}),
    ],
)  # fmt: skip
def test_what_has_a_wrong_form_is_left_out(message: Message) -> None:
    assert outputs_of(message).plain() == []


def random_messages(seed: int) -> list[Message]:
    dice = random.Random(seed)
    texts = ["a", "line\n", "two\nlines\n", "50%\r", "é\b", "😀 wide\n", "\r", "\ud800", "x" * 30]
    made: list[Message] = []
    for _ in range(60):
        made.append(
            dice.choice([
                stream(dice.choice(texts), dice.choice(["stdout", "stdout", "stderr"])),
                stream(dice.choice(texts)),
                display(dice.choice(texts), dice.choice(["", "one"])),
                display("new" + dice.choice(texts), "one", "update_display_data"),
                ("clear_output", {"wait": dice.random() < 0.7}),
                ("error", {"ename": "E", "evalue": "é", "traceback": ["1", "2"]}),
            ])
        )  # fmt: skip
    return made


@pytest.mark.parametrize("seed", range(40))
def test_a_document_shows_what_the_outputs_are(seed: int) -> None:
    """After each message; also when somebody clears the cell, and when the document is loaded anew."""
    pytest.importorskip("pycrdt")
    from jupyter_ydoc import YNotebook

    from syla_jupyter.server.shared_cell import SharedCell, clean

    def opened() -> Any:
        notebook = YNotebook()
        notebook.append_cell({"cell_type": "markdown", "id": "m", "source": "", "metadata": {}})
        notebook.append_cell({"cell_type": "code", "id": "c", "source": "1", "metadata": {}, "outputs": []})
        return notebook

    dice, notebook = random.Random(seed), opened()
    outputs, cell = CellOutputs(stream_max=dice.choice([20, 60, 300])), SharedCell("c")
    cell.begin(notebook)
    for type, content in random_messages(seed):
        outputs.take(type, content, 10)
        if dice.random() < 0.03:
            notebook.ycells[1]["outputs"].clear()  # somebody's click: what was there stays away
        elif dice.random() < 0.03:
            notebook = opened()
        if dice.random() < 0.6:
            cell.show(notebook, outputs, 3, {}, ended=False)
            assert notebook.get_cell(1)["outputs"] == clean(outputs.plain())
            assert notebook.get_cell(1).get("execution_count") is None
    cell.show(notebook, outputs, 3, {"executed_by": "ann"}, ended=True)
    shown = notebook.get_cell(1)
    assert (shown["outputs"], shown["execution_count"]) == (clean(outputs.plain()), 3)
    assert shown["metadata"]["execution"] == {"executed_by": "ann"}
    again = CellOutputs.of(outputs.saved(), "")
    assert again.plain() == outputs.plain()
