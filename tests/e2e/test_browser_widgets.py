"""ipywidgets as people use them, in notebooks whose cells the server runs: two pages with the real widgets of the registry."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from ..browser import Tab, open_tab, running_browser
from ..conftest import StartLab
from .rest_client import warm_client
from .shared_page import config_of
from .upstream import pip
from .windows import cell_of

PATH = "workspaces/class/widgets.ipynb"
PACKAGES = ("ipywidgets==8.1.*", "jupyterlab_widgets==3.0.*", "comm")
CELLS = [
    "import sys, time; sys.path.insert(0, 'lib')\nimport ipywidgets as w\nprint('imported')",
    "s = w.IntSlider(value=3, description='pick'); s",
    "out = w.Output(); out",
    "with out: print('taken', s.value)\nprint('cell')",
    "b = w.Button(description='press')\n@b.on_click\ndef _(_):\n    with out: print('clicked', s.value)\nb",
    "@w.interact(n=(0, 10))\ndef square(n=4): print('square', n * n)",
    "bar = w.IntProgress(max=3); display(bar)\nfor bar.value in range(4): time.sleep(0.05)\nprint('done')",
    "[row['text'] for row in out.outputs]",
]


@dataclass
class Two:
    runner: Tab
    other: Tab


def shown(tab: Tab, number: int) -> Locator:
    return cell_of(tab, number).locator(".jp-OutputArea-output").first


@pytest.fixture(scope="module")
def two(start_lab: StartLab, session_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """The same person in two windows, each with the notebook."""
    library = session_dir / "widgets"
    pip("install", "--no-deps", "--target", str(library), *PACKAGES, cwd=session_dir)
    config = config_of(tmp_path_factory.mktemp("config"))
    lab = start_lab(JUPYTER_CONFIG_DIR=config, JUPYTER_PATH=str(library / "share" / "jupyter"))
    client = warm_client(lab)
    client.ok("POST", "workspaces", {"name": "class"})
    for package in ("ipywidgets", "comm"):
        shutil.copytree(library / package, lab.root / "workspaces/class/lib" / package)
    cells = [
        {"cell_type": "code", "execution_count": None, "id": f"c{n}", "metadata": {}, "outputs": [], "source": source}
        for n, source in enumerate(CELLS)
    ]
    spec = {"display_name": "Python 3 (Syla)", "language": "python", "name": "syla-python"}
    notebook = {"cells": cells, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
    (lab.root / PATH).write_text(json.dumps(notebook))
    with ExitStack() as stack:
        browser = stack.enter_context(running_browser())
        tabs = [stack.enter_context(open_tab(browser, lab, height=1600)) for _ in range(2)]
        for tab in tabs:
            tab.command("docmanager:open", path=PATH)
            tab.kernel_ready()
        yield Two(*tabs)
    lab.process.kill()  # its documents are not what is looked at at the end
    lab.process.wait()


def test_who_runs_them_has_them(two: Two) -> None:
    """Drawn, filled by cells and by clicks, moved by hand; the kernel knows what the page has."""
    tab = two.runner
    tab.command("notebook:run-all-cells")
    expect(cell_of(tab, 7)).to_contain_text("taken 3")
    expect(shown(tab, 1).locator(".widget-readout")).to_have_text("3")
    expect(shown(tab, 2)).to_have_text("taken 3")
    expect(shown(tab, 3)).to_have_text("cell")
    expect(shown(tab, 5)).to_contain_text("square 16")
    expect(shown(tab, 6).locator(".progress-bar")).to_be_visible()
    shown(tab, 4).get_by_role("button", name="press").click()
    expect(shown(tab, 2)).to_contain_text("clicked 3")
    shown(tab, 5).locator(".widget-readout").click()
    tab.page.keyboard.press("Control+a")
    tab.page.keyboard.type("7")
    tab.page.keyboard.press("Enter")
    expect(shown(tab, 5)).to_contain_text("square 49")
    cell_of(tab, 7).locator(".cm-content").click()
    tab.page.keyboard.press("Control+Enter")
    expect(shown(tab, 7)).to_contain_text("clicked 3")
    tab.shot("widgets")


def test_another_page_of_the_same_person_has_them(two: Two) -> None:
    """What he ran he trusts in every page; and what both have seen of texts stays as it was."""
    tab, other = two.runner, two.other
    other.page.reload()  # widgets of before it was connected it asks for when it is loaded
    other.kernel_ready()
    for page in (tab, other):
        expect(shown(page, 0)).to_have_text("imported")
        expect(shown(page, 1).locator(".widget-readout")).to_have_text("3")
        expect(shown(page, 2)).to_contain_text("clicked 3")
        expect(shown(page, 5)).to_contain_text("square 49")
    shown(other, 4).get_by_role("button", name="press").click()
    for page in (tab, other):
        expect(shown(page, 2)).to_contain_text("clicked 3\nclicked 3")
