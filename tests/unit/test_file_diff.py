"""What changed in one file: lines, cells, and contents that somebody made to be compared for ever."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syla_jupyter.cli.versions import file_lines
from syla_jupyter.snapshots.cell_diff import CellChange, cells_of, changes_of
from syla_jupyter.snapshots.file_diff import CELLS_MAX, LINES_MAX, compared, file_diff
from syla_jupyter.snapshots.line_diff import AROUND, LINE_MAX, Line, lines_of

TEXTS = st.lists(st.sampled_from(["a", "b", "c", "", "d e"]), max_size=30).map("\n".join)


def applied(lines: list[Line], old: str) -> tuple[str, int]:
    """What a person makes of it with the text before at hand; and how many lines he reads."""
    left, made = old.split("\n") if old else [], list[str]()
    for line in lines:
        if line.sign == "added":
            made.append(line.text)
            continue
        taken, left = left[: line.number], left[line.number :]
        assert line.sign == "skipped" or taken == [line.text]
        made += taken if line.sign != "removed" else []
    return "\n".join(made + left), sum(line.sign != "skipped" for line in lines)


@given(TEXTS, TEXTS)
def test_lines_make_one_text_of_the_other(old: str, new: str) -> None:
    """Whatever the texts are; of what is the same no more than a few lines around each change."""
    lines = lines_of(old, new)
    assert bool(lines) == (old != new)
    if lines:
        made, shown = applied(lines, old)
        assert made == new
        changes = sum(line.sign in ("added", "removed") for line in lines)
        assert shown <= changes * (1 + 2 * AROUND) + 2


def test_what_is_far_from_a_change_is_counted() -> None:
    before = [str(number) for number in range(100)]
    lines = lines_of("\n".join(before), "\n".join(["top", *before[:50], *before[51:]]))
    assert lines[0] == Line("added", "top")
    assert [line.number for line in lines if line.sign == "skipped"] == [44, 46]
    assert Line("removed", "50") in lines


def test_nothing_in_a_line_is_hidden() -> None:
    """Marks that turn the direction, control characters and half pairs are shown as escapes; letters stay letters."""
    odd = "x = '\u202e'\n\x1b[31m\r\nשלום می\u200cخواهم 日本\u3000\t!\n\ud800\n" + "y" * 5000
    shown = [line.text for line in lines_of("", odd) if line.sign == "added"]
    assert shown[:4] == ["x = '\\u202e'", "\\x1b[31m\\r", "שלום می\u200cخواهم 日本\u3000\t!", "\\ud800"]
    assert shown[4] == "y" * LINE_MAX + "…"


# -- cells -----------------------------------------------------------------------------------------------------------


def cell(source: Any, id: str = "", type: str = "code", outputs: Any = ()) -> dict[str, Any]:
    return {"cell_type": type, "source": source, "outputs": list(outputs)} | ({"id": id} if id else {})


def notebook(*cells: Any, **other: Any) -> str:
    return json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5, "metadata": {}, **other})


def changes(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[CellChange]:
    return changes_of(cells_of(notebook(*old)), cells_of(notebook(*new)))


def told(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[tuple[str, int | None, int | None]]:
    return [(one.change, one.before, one.after) for one in changes(old, new)]


def test_cells_are_told_by_what_became_of_them() -> None:
    a, b, c, d = (cell(name * 3, name) for name in "abcd")
    assert told([a, b, c], [a, b, c]) == []
    assert told([a, b, c], [a, cell("new", "e"), b, c]) == [("added", None, 2)]
    assert told([a, b, c], [a, c]) == [("removed", 2, None)]
    assert told([a, b, c, d], [d, a, b, c]) == [("moved", 4, 1)]
    assert told([a, b], [cell("aaa\nmore", "a"), b]) == [("changed", 1, 1)]
    assert told([a, b], [b, cell("other", "a")]) == [("changed", 1, 2)]
    assert told([], [a]) == [("added", None, 1)]
    assert told([a], []) == [("removed", 1, None)]


def test_a_cell_that_moved_and_changed_is_both() -> None:
    a, b, c = (cell(name, name) for name in "abc")
    (one,) = changes([a, b, c], [b, c, cell(["x\n", "y"], "a", "markdown", [1])])
    assert (one.change, one.moved, one.outputs) == ("changed", True, True)
    assert (one.type_before, one.type) == ("code", "markdown")
    assert [(line.sign, line.text) for line in one.lines] == [("removed", "a"), ("added", "x"), ("added", "y")]


def test_outputs_alone() -> None:
    """They count, the number of the execution does not; nor does what is no list."""
    result = {"output_type": "execute_result", "execution_count": 1, "data": {"text/plain": "1"}}
    a, again = cell("f()", "a", outputs=[result]), cell("f()", "a", outputs=[{**result, "execution_count": 9}])
    other = cell("f()", "a", outputs=[{**result, "data": {}}])
    assert changes([a], [again]) == []
    (one,) = changes([a], [other])
    assert (one.change, one.outputs, one.lines) == ("changed", True, [])
    assert changes([{**a, "outputs": 1}], [{**a, "outputs": None}]) == []


def test_cells_without_ids() -> None:
    """Are found by what is in them, and where they are; the same where ids are there twice."""
    for twice in ("", "a"):
        x, y, z = (cell(word, twice) for word in ("import x", "import y", "import z"))
        assert told([x, y, z], [x, z]) == [("removed", 2, None)]
        assert told([x, y, z], [z, x, y]) == [("moved", 3, 1)]
        assert told([x, y, z], [x, cell("import yy", twice), z]) == [("changed", 2, 2)]
        assert told([x, y], [x, cell("0123456789", twice)]) == [("removed", 2, None), ("added", None, 2)]


# -- what may be in it -------------------------------------------------------------------------------------------------

BAD = [
    "",
    "[" * 100_000,
    '{"cells": 1, "nbformat": 4}',
    '{"cells": [1], "nbformat": 4}',
    '{"cells": [], "nbformat": 3}',
    notebook({"cell_type": "code", "source": 1}),
    notebook({"cell_type": [], "source": ""}),
    notebook(cell([1])),
    notebook(cell("", "a", outputs=[1])).replace("[1]", "[" * 5000 + "]" * 5000),
    "9" * 10_000,
]


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_what_is_no_notebook_is_a_text(bad: str) -> None:
    found = compared(notebook().encode(), bad.encode(), notebook=True)
    assert (found["kind"], found["why"]) == ("text", "")


def test_long_ones_are_cut_off_and_counted() -> None:
    text = "\n".join(map(str, range(LINES_MAX + 7))).encode()
    found = compared(b"", text, notebook=False)
    assert (len(found["lines"]), found["omitted"]) == (LINES_MAX, 7)
    cells = [cell("a\nb\nc\nd\ne", str(number)) for number in range(CELLS_MAX + 3)]
    found = compared(notebook().encode(), notebook(*cells).encode(), notebook=True)
    assert len(found["cells"]) == CELLS_MAX
    assert sum(len(one["lines"]) for one in found["cells"]) == LINES_MAX
    assert found["omitted"] == 3 + 5 * (CELLS_MAX + 3) - LINES_MAX


def test_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is the same; it ends when its time is over, and says so."""
    old, new = notebook(cell("a", "a")).encode(), notebook(cell("b\n", "a")).encode()
    found = file_diff(old, new, notebook=True)
    assert (found.kind, found.bytes_before, found.bytes) == ("notebook", len(old), len(new))
    assert found.cells == changes_of(cells_of(old.decode()), cells_of(new.decode()))
    assert file_diff(old, b"\x89PNG\0", notebook=False).why == "no_text"
    assert file_diff(old, b"\xff\xfe", notebook=True).why == "no_text"
    monkeypatch.setattr("syla_jupyter.snapshots.apart.TIME_LIMIT_SECONDS", 0.0)
    late = file_diff(old, new, notebook=True)
    assert (late.kind, late.why, late.bytes) == ("none", "too_slow", len(new))


def test_a_terminal_says_the_same() -> None:
    def notebook(*cells: tuple[str, str]) -> bytes:
        rows = [
            {"cell_type": "code", "id": id, "source": source, "metadata": {}, "outputs": []} for id, source in cells
        ]
        return json.dumps({"cells": rows, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()

    before = notebook(("a", "1"), ("b", "two\nlines"), ("c", "3"), ("e", "5"))
    after = notebook(("e", "5"), ("b", "two\nrows"), ("c", "3"), ("d", "a new cell"))
    assert file_lines(file_diff(before, after, notebook=True)) == [
        "Cell 1 removed (code)", "  - 1", "Cell 1 moved, was 4", "Cell 2 changed", "    two", "  - lines", "  + rows",
        "Cell 4 added (code)", "  + a new cell",
    ]  # fmt: skip
    assert file_lines(file_diff(b"a\n", b"a\n", notebook=False)) == ["No difference."]
    text = b"".join(b"%d\n" % n for n in range(20))
    assert file_lines(file_diff(text, text.replace(b"19", b"x"), notebook=False))[0] == "  … 16 lines"
    assert "Neither a text" in file_lines(file_diff(b"\0", b"", notebook=False))[0]
