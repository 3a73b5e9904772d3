"""Three people in one notebook, each in a window of Chromium of his own, on a real server that shares documents: what one
types the others see, the server runs the cells, a viewer looks on."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from playwright.sync_api import Locator, Route, expect

from ..browser import Tab
from ..conftest import StartLab
from ..installation import wait_until
from ..lab import Lab
from .rest_client import Client, warm_client
from .shared_page import config_of
from .windows import open_windows, trust_notebook

PATH = "workspaces/class/together.ipynb"
LONG = "workspaces/class/long.txt"
NOTES = "workspaces/class/notes.txt"
SESSIONS = "**/api/sessions?*"
EXECUTE = "**/api/kernels/*/execute?*"
EMPTY = {"cell_type": "code", "execution_count": None, "id": "c1", "metadata": {}, "outputs": [], "source": ""}


@dataclass
class Together:
    client: Client
    lab: Lab
    owner: Tab
    editor: Tab
    viewer: Tab

    @property
    def on_disk(self) -> str:
        cells = json.loads((self.lab.root / PATH).read_text() or '{"cells": []}')["cells"]
        return "\n".join("".join(cell["source"]) for cell in cells)

    @property
    def texts(self) -> list[str]:
        """Streams of the cells on disk."""
        cells = json.loads((self.lab.root / PATH).read_text())["cells"]
        return ["".join(row["text"]) for cell in cells for row in cell["outputs"] if row["output_type"] == "stream"]


@pytest.fixture(scope="module")
def together(start_lab: StartLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Together]:
    config = config_of(tmp_path_factory.mktemp("config"))
    lab = start_lab(JUPYTER_CONFIG_DIR=config)
    client = warm_client(lab)
    client.ok("POST", "workspaces", {"name": "class"})
    spec = {"display_name": "Python 3 (Syla)", "language": "python", "name": "syla-python"}
    notebook = {"cells": [EMPTY], "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
    (lab.root / PATH).write_text(json.dumps(notebook))
    with ExitStack() as stack:
        tabs = open_windows(stack, lab, client, "class", {"eve": "editor", "vic": "viewer"})
        for tab in tabs:
            tab.command("docmanager:open", path=PATH)
            expect(code(tab)).to_be_visible()
        yield Together(client, lab, *tabs)
    lab.process.kill()  # its documents are not what is looked at at the end
    lab.process.wait()


def code(tab: Tab) -> Locator:
    return tab.page.locator(".jp-NotebookPanel:visible .jp-CodeCell .cm-content").first


def run(tab: Tab, *source: str) -> None:
    """Put that into the first cell, by keys, and run it."""
    code(tab).click()
    tab.page.keyboard.press("Control+a")
    for part in source:
        tab.page.keyboard.type(part)
    tab.page.keyboard.press("Control+Enter")


def output(tab: Tab) -> Locator:
    return tab.page.locator(".jp-NotebookPanel:visible .jp-CodeCell").first.locator(".jp-OutputArea-output")


def test_what_one_types_the_others_see(together: Together) -> None:
    """In both directions, and on disk without anybody's saving."""
    owner, editor, viewer = together.owner, together.editor, together.viewer
    code(owner).click()
    owner.page.keyboard.type("a = 6")
    for tab in (editor, viewer):
        expect(code(tab)).to_have_text("a = 6")
    code(editor).click()
    editor.page.keyboard.press("Control+End")
    editor.page.keyboard.type("; print(a * 7)")
    for tab in (owner, viewer):
        expect(code(tab)).to_have_text("a = 6; print(a * 7)")
    wait_until(lambda: together.on_disk == "a = 6; print(a * 7)", 30, "what was typed is on disk")


def test_a_viewer_only_looks_on(together: Together) -> None:
    """Keys and buttons do nothing there, and nothing of it arrives anywhere."""
    viewer = together.viewer
    expect(viewer.page.locator(".jp-NotebookPanel .syla-Banner:visible")).to_contain_text("You are a viewer of class")
    code(viewer).click()
    viewer.page.keyboard.type("no")
    viewer.page.keyboard.press("Shift+Enter")
    expect(code(viewer)).to_have_text("a = 6; print(a * 7)")
    expect(code(together.owner)).to_have_text("a = 6; print(a * 7)")
    viewer.shot("together-viewer")


def person(tab: Tab, user: str) -> Locator:
    return tab.page.locator(f'#syla-people-panel [data-user="{user}"]')


def test_who_is_where(together: Together) -> None:
    """Without a click anywhere: people, roles and files in the list, their letters in the workspace's row."""
    owner = together.owner
    owner.command("syla:people")
    expect(person(owner, "eve")).to_contain_text("editor")
    expect(person(owner, "vic")).to_contain_text("viewer")
    expect(person(owner, "eve")).to_contain_text("together.ipynb")
    owner.show_panel()
    here = owner.row("class").get_by_role("button", name="3 people are there")
    expect(here).to_be_visible()
    owner.shot("people")
    assert owner.findings("#syla-people-panel", "#syla-workspaces-panel") == []
    person(owner, "eve").get_by_role("button", name="Open together.ipynb, where").press("Enter")
    expect(code(owner)).to_be_visible()


def test_somebody_is_followed(together: Together) -> None:
    """To her file, to her cursor far below, to the next file; it ends with Escape and with one's own scrolling."""
    owner, editor = together.owner, together.editor
    (together.lab.root / LONG).write_text("".join(f"line {n}\n" for n in range(400)))
    editor.command("docmanager:open", path=LONG)
    lines = ".jp-FileEditor:visible .cm-content"
    editor.page.locator(lines).click()
    follow = person(owner, "eve").get_by_role("button", name="Follow")
    expect(person(owner, "eve")).to_contain_text("long.txt")
    follow.click()
    note = owner.page.locator(".syla-Following")
    expect(note).to_contain_text("Following eve")
    expect(owner.page.locator(lines)).to_contain_text("line 0")
    editor.page.keyboard.press("Control+End")
    expect(owner.page.locator(lines)).to_contain_text("line 399")
    owner.shot("following")
    assert owner.findings(".syla-Following") == []
    editor.command("docmanager:open", path=PATH)
    code(editor).click()
    editor.page.keyboard.press("Control+End")
    expect(code(owner)).to_be_visible()
    expect(note).to_be_visible()
    owner.page.keyboard.press("Escape")
    expect(note).to_be_hidden()
    follow.press("Enter")
    expect(note).to_be_visible()
    expect(follow).to_have_attribute("aria-pressed", "true")
    box = code(owner).bounding_box()
    assert box is not None
    owner.page.mouse.move(box["x"] + 5, box["y"] + 5)

    def scrolled() -> bool:
        owner.page.mouse.wheel(0, 50)  # a person's hand sends more than one; her document may not be there at the first
        return note.is_hidden()

    wait_until(scrolled, 20, "one's own scrolling ends it")
    editor.close_tab("long.txt")
    owner.close_tab("long.txt")


def test_both_versions_are_shown(together: Together) -> None:
    """A file was written on disk beneath what somebody types: who has it open is shown both, who has not is left alone."""
    owner, editor = together.owner, together.editor
    file = together.lab.root / NOTES
    file.write_text("first")
    lines = ".jp-FileEditor:visible .cm-content"
    for tab in (owner, editor):
        tab.command("docmanager:open", path=NOTES)
        expect(tab.page.locator(lines)).to_have_text("first")

    def kept() -> bool:
        editor.page.locator(lines).click()
        editor.page.keyboard.type("x")
        file.write_text(f"of a program {time.monotonic_ns()}")
        expect(editor.page.locator(lines)).to_contain_text("of a program")
        return bool(list(file.parent.glob("notes (conflict *).txt")))

    wait_until(kept, 60, "what was typed is kept beside the file")
    for tab in (owner, editor):
        expect(tab.notice("notes.txt was changed on disk").first).to_be_visible()
    expect(together.viewer.notice("was changed on disk")).to_have_count(0)
    owner.notice("notes.txt was changed on disk").first.get_by_role("button", name="Compare").click()
    expect(owner.page.locator(lines)).to_have_count(2)
    owner.shot("conflict")
    for title in ("notes (conflict", "notes.txt"):
        owner.close_tab(title)
    editor.close_tab("notes.txt")


def test_the_server_runs_the_cell(together: Together) -> None:
    """Whoever presses Run, all see the output, once; who ran it is in the notebook."""
    editor = together.editor
    editor.kernel_ready()
    code(editor).click()
    with editor.page.expect_request(re.compile(r"/api/kernels/[^/]+/execute(\?|$)")):
        editor.page.keyboard.press("Control+Enter")
    for tab in (together.owner, editor, together.viewer):
        expect(output(tab)).to_have_text("42")

    def who() -> object:
        cells = json.loads((together.lab.root / PATH).read_text() or '{"cells": [{}]}')["cells"]
        return cells[0].get("metadata", {}).get("execution", {}).get("executed_by")

    wait_until(lambda: who() == "eve", 30, "who ran it is on disk")
    for tab in (together.owner, editor):
        tab.shot("together")
    assert [tab.errors + tab.refused for tab in (together.owner, editor, together.viewer)] == [[], [], []]


def test_a_cell_asks_who_ran_it(together: Together) -> None:
    """A question comes up on the page of who ran the cell, and the answer goes into the document."""
    editor = together.editor
    run(editor, "print('hello', input('who? '))")
    box = editor.page.get_by_role("dialog").get_by_role("textbox")
    box.fill("eve")
    box.press("Enter")
    for tab in (together.owner, together.viewer):
        expect(output(tab).last).to_contain_text("hello eve")
    expect(together.owner.page.get_by_role("dialog")).to_have_count(0)


def test_a_cell_that_is_run_before_its_kernel_is_there(together: Together) -> None:
    """It waits for it, and is run."""
    page, path = together.editor.page, "workspaces/class/early.ipynb"
    notebook = json.loads((together.lab.root / PATH).read_text())
    notebook["cells"] = [{**EMPTY, "source": "print('not lost')"}]
    (together.lab.root / path).write_text(json.dumps(notebook))
    held: list[Route] = []
    page.route(SESSIONS, lambda route: held.append(route) if route.request.method == "POST" else route.fallback())
    with page.expect_request(lambda asked: asked.method == "POST" and "/api/sessions" in asked.url):
        together.editor.command("docmanager:open", path=path)
    code(together.editor).click()
    page.keyboard.press("Control+Enter")
    expect(page.locator(".jp-NotebookPanel:visible .jp-InputPrompt").first).to_have_text("[*]:")
    for route in held:
        route.continue_()
    expect(output(together.editor)).to_have_text("not lost")
    page.unroute(SESSIONS)
    together.editor.command("docmanager:open", path=PATH)


def test_a_run_that_is_refused_is_told(together: Together) -> None:
    """Why, and once for all cells that it was the same for; what the cell showed stays."""
    editor = together.editor
    shown = output(editor).all_text_contents()
    error = {"code": "conflict", "message": "the kernel is dead: killed", "hint": "Restart it", "retryable": True}
    editor.page.route(EXECUTE, lambda route: route.fulfill(status=409, json={"error": {**error, "field": None}}))
    code(editor).click()
    for _ in range(2):
        with editor.page.expect_response(EXECUTE):
            editor.page.keyboard.press("Control+Enter")
    notice = editor.notice("The cell was not run. The kernel is dead: killed. Restart it.")
    expect(notice).to_have_count(1)
    notice.get_by_role("button", name="Hide notification").click()
    expect(notice).to_have_count(0)
    editor.page.unroute(EXECUTE)
    assert output(editor).all_text_contents() == shown


def test_what_a_cell_loads_is_in_it(together: Together) -> None:
    """`%load` puts a file's text in its place, for everybody."""
    editor = together.editor
    (together.lab.root / "workspaces/class/part.py").write_text("print('of a file')\n")
    run(editor, "%load part.py")
    for tab in (together.owner, editor, together.viewer):
        expect(code(tab)).to_contain_text("print('of a file')")


def test_scripts_run_for_whom_ran_the_cell(together: Together) -> None:
    """As in a page that runs cells itself: pages of others that are open show it without them."""
    editor, viewer = together.editor, together.viewer
    run(
        editor,
        "from IPython.display import Javascript, display\n",
        "display(Javascript('element.textContent = 6 * 7 + \" from a script\"')); print('shown')",
    )
    expect(output(editor)).to_have_text(["42 from a script", "shown"])
    expect(output(viewer).last).to_have_text("shown")
    expect(output(viewer).filter(has_text="42")).to_have_count(0)


def test_output_that_is_replaced_is_there_once(together: Together) -> None:
    """In every page, and in the file: JupyterLab takes a text that comes where one goes for more of the same."""
    editor = together.editor
    run(
        editor,
        "import time\nfrom IPython.display import clear_output",
        "\nfor n in range(9): clear_output(wait=True); print('step', n); time.sleep(0.1)",
    )
    for tab in (together.owner, editor, together.viewer):
        expect(output(tab)).to_have_text(["step 8"])
    wait_until(lambda: together.texts == ["step 8\n"], 20, "it is in the file so")
    run(editor, "for n in range(9): print('\\r', n, '%', sep='', end=''); time.sleep(0.1)")
    for tab in (together.owner, editor, together.viewer):
        expect(output(tab)).to_have_text(["8%"])


def test_output_that_changes_stays_where_it_is(together: Together) -> None:
    """In every page: JupyterLab puts whatever comes to the end. A notebook that is trusted shows what it showed before."""
    owner, editor, viewer = together.owner, together.editor, together.viewer
    run(
        editor,
        "shown = display('first', display_id=True); print('between'); time.sleep(0.5)",
        "; shown.update('second'); display({'text/html': 'last'}, raw=True)",
    )
    wanted = ["'second'", "between", "last"]
    for tab in (owner, editor, viewer):
        expect(output(tab)).to_have_text(wanted)
    trust_notebook(owner)
    expect(owner.page.get_by_role("dialog")).to_have_count(0)
    code(owner).click()
    owner.page.keyboard.press("Control+End")
    owner.page.keyboard.type("#")  # arrives after whatever that page had to say of it
    for tab in (owner, editor, viewer):
        expect(code(tab)).to_contain_text("#")
        expect(output(tab)).to_have_text(wanted)
    wait_until(lambda: together.texts == ["between\n"], 20, "it is in the file so")


def test_it_is_there_after_the_pages_were_closed(together: Together) -> None:
    """Of a cell that went on when its page was closed the output is in the notebook."""
    editor, owner = together.editor, together.owner
    run(editor, "import os, time\nwhile not os.path.exists('go'): time.sleep(0.02)\nprint('went on')")
    expect(owner.page.locator(".jp-NotebookPanel:visible .jp-CodeCell .jp-InputPrompt").first).to_contain_text("*")
    editor.page.close()
    (together.lab.root / "workspaces/class/go").touch()
    expect(output(owner).last).to_contain_text("went on")
