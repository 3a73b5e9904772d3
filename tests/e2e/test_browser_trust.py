"""Whose scripts run in whose page: three people with one notebook, each in a window of his own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from playwright.sync_api import expect

from syla_jupyter.server.trust import digest_of

from ..browser import Tab
from ..conftest import StartLab
from ..installation import wait_until
from ..lab import HEADERS, Lab
from .rest_client import warm_client
from .shared_page import config_of
from .windows import cell_of, open_windows, trust_notebook

DIRECTORY = "workspaces/class"
SPEC = {"display_name": "Python 3 (Syla)", "language": "python", "name": "syla-python"}
NOTEBOOK = """
const panel = [...window.jupyterapp.shell.widgets('main')].find(one => one.context?.path.endsWith(PATH));
const cells = panel.content.model.sharedModel.cells;
"""
RAN = "() => window.ran || []"
ASKED = """
window.asked = [];
const asks = window.fetch;
window.fetch = async (request, ...rest) => {
  if (request instanceof Request && request.url.includes('/trust/known')) {
    window.asked.push(...(await request.clone().json()).digests);
  }
  return asks(request, ...rest);
};
"""
"""Notes which outputs the page asks about."""


@dataclass
class Class:
    lab: Lab
    owner: Tab
    editor: Tab
    viewer: Tab

    def open(self, name: str, *cells: Any) -> str:
        """A notebook in all three windows."""
        path = f"{DIRECTORY}/{name}.ipynb"
        self.write(path, *cells)
        for tab in (self.owner, self.editor, self.viewer):
            open_anew(tab, path)
        return path

    def write(self, path: str, *cells: Any) -> None:
        notebook = {"cells": list(cells), "metadata": {"kernelspec": SPEC}, "nbformat": 4, "nbformat_minor": 5}
        (self.lab.root / path).write_text(json.dumps(notebook))


def markup(name: str) -> dict[str, Any]:
    """An output that shows that it is there, and says so by a script."""
    script = f"<b>shown {name}</b><script>(window.ran = window.ran || []).push('{name}')</script>"
    return {"output_type": "display_data", "data": {"text/html": script}, "metadata": {}}


def cell(*outputs: Any, source: str = "", **metadata: Any) -> dict[str, Any]:
    made = {"cell_type": "code", "execution_count": None, "id": "c1", "metadata": metadata}
    return {**made, "outputs": list(outputs), "source": source}


def display(name: str) -> str:
    return f"display({markup(name)['data']!r}, raw=True)"


def run(tab: Tab, source: str) -> None:
    code = cell_of(tab).locator(".cm-content")
    code.click()
    tab.page.keyboard.press("Control+a")
    tab.page.keyboard.insert_text(source)
    tab.page.keyboard.press("Control+Enter")


def shows(tab: Tab, name: str, *, trusted: bool) -> None:
    """Waits until that output is there, and its script has run; or until the page, having been told that it is not to,
    asks once more."""
    expect(cell_of(tab)).to_contain_text(f"shown {name}")
    if trusted:
        wait_until(lambda: name in tab.page.evaluate(RAN), 20, f"the script of {name}")
    else:
        digest = digest_of([markup(name)])
        there = "digest => window.asked.filter(one => one === digest).length > 1"
        tab.page.wait_for_function(there, arg=digest)
        assert name not in tab.page.evaluate(RAN)


def open_anew(tab: Tab, path: str) -> None:
    """A page that was just loaded, with nothing else in it."""
    tab.page.goto(f"http://127.0.0.1:{tab.lab.port}/lab/tree/{path}?reset")
    expect(cell_of(tab)).to_be_visible(timeout=60_000)


def in_notebook(tab: Tab, path: str, script: str) -> Any:
    return tab.page.evaluate(f"() => {{ const PATH = {json.dumps(path)}; {NOTEBOOK} {script} }}")


@pytest.fixture(scope="module")
def three(start_lab: StartLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Class]:
    lab = start_lab(JUPYTER_CONFIG_DIR=config_of(tmp_path_factory.mktemp("config")))
    client = warm_client(lab)
    client.ok("POST", "workspaces", {"name": "class"})
    with ExitStack() as stack:
        tabs = open_windows(stack, lab, client, "class", {"eve": "editor", "vic": "viewer"})
        for tab in tabs:
            tab.page.add_init_script(ASKED)
        yield Class(lab, *tabs)
    lab.process.kill()  # its documents are not what is looked at at the end
    lab.process.wait()


def test_who_runs_it_and_nobody_else(three: Class) -> None:
    """At once, and when the page is opened again; a cell that somebody else runs is his from then on."""
    path = three.open("run", cell())
    run(three.editor, display("hers"))
    shows(three.editor, "hers", trusted=True)
    for tab in (three.owner, three.viewer):
        shows(tab, "hers", trusted=False)
    open_anew(three.editor, path)
    shows(three.editor, "hers", trusted=True)
    for tab in (three.owner, three.viewer):
        open_anew(tab, path)
        shows(tab, "hers", trusted=False)
    run(three.owner, display("his"))
    shows(three.owner, "his", trusted=True)
    shows(three.editor, "his", trusted=False)
    run(three.editor, display("hers again"))
    shows(three.editor, "hers again", trusted=True)
    shows(three.owner, "hers again", trusted=False)


def test_a_run_that_ends_without_a_page(three: Class) -> None:
    """Whoever had it run sees it whole when he comes back."""
    path = three.open("away", cell())
    run(three.owner, f"import os, time\nwhile not os.path.exists('go'): time.sleep(0.02)\n{display('late')}")
    expect(cell_of(three.viewer).locator(".jp-InputPrompt")).to_contain_text("*")
    three.owner.page.goto("about:blank")
    (three.lab.root / DIRECTORY / "go").touch()
    shows(three.viewer, "late", trusted=False)
    open_anew(three.owner, path)
    shows(three.owner, "late", trusted=True)


def test_what_somebody_says_of_a_cell_does_not_count(three: Class) -> None:
    """In the document, by hand and under an open page; in the file; by the contents API."""
    path = three.open("claim", cell(markup("file"), trusted=True))
    for tab in (three.owner, three.editor, three.viewer):
        shows(tab, "file", trusted=False)
    in_notebook(three.editor, path, "cells[0].setMetadata('trusted', true)")
    wait_until(
        lambda: in_notebook(three.owner, path, "return cells[0].getMetadata('trusted')"), 20, "what she says is there"
    )
    open_anew(three.owner, path)
    shows(three.owner, "file", trusted=False)
    made = json.dumps({**cell(markup("new"), trusted=True), "id": "c0"})
    in_notebook(three.editor, path, f"panel.content.model.sharedModel.insertCell(0, {made})")
    shows(three.owner, "new", trusted=False)

    odd = {**markup("odd"), "output_type": "update_display_data"}
    in_notebook(three.editor, path, f"cells[0].setOutputs([{json.dumps(odd)}])")
    shows(three.owner, "odd", trusted=False)

    run(three.owner, "print('his own')")
    expect(cell_of(three.owner).locator(".jp-OutputArea-output")).to_have_text("his own")
    in_notebook(three.editor, path, f"cells[0].setOutputs([{json.dumps(markup('by hand'))}])")
    shows(three.owner, "by hand", trusted=False)

    saved = f"{DIRECTORY}/saved.ipynb"
    url = f"http://127.0.0.1:{three.lab.port}/api/contents/{saved}"
    notebook = {"cells": [cell(markup("saved"), trusted=True)], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    body = {"type": "notebook", "format": "json", "content": notebook}
    assert requests.put(url, json=body, headers=HEADERS, timeout=30).ok
    read = requests.get(url, headers=HEADERS, timeout=30).json()["content"]["cells"][0]
    assert "trusted" not in read["metadata"]
    open_anew(three.owner, saved)
    shows(three.owner, "saved", trusted=False)
    assert requests.post(f"{url}/trust", headers=HEADERS, timeout=30).status_code == 201
    open_anew(three.owner, saved)
    shows(three.owner, "saved", trusted=True)  # he has said so himself


def test_each_trusts_for_himself(three: Class) -> None:
    """Also who may only look; the document has nothing of it. It holds until the outputs are other ones."""
    path = three.open("say", cell(markup("one")))
    there = "return JSON.stringify(cells.map(one => one.toJSON()))"
    before = in_notebook(three.owner, path, there)
    for tab, other in ((three.viewer, three.owner), (three.owner, three.editor)):
        trust_notebook(tab)
        shows(tab, "one", trusted=True)
        expect(tab.page.get_by_role("dialog")).to_have_count(0)
        shows(other, "one", trusted=False)
        open_anew(tab, path)
        shows(tab, "one", trusted=True)
    assert in_notebook(three.editor, path, there) == before
    assert "trusted" not in before
    in_notebook(three.editor, path, f"cells[0].setOutputs([{json.dumps(markup('two'))}])")
    for tab in (three.owner, three.viewer):
        shows(tab, "two", trusted=False)
    in_notebook(three.editor, path, f"cells[0].setOutputs([{json.dumps(markup('one'))}])")
    open_anew(three.owner, path)
    shows(three.owner, "one", trusted=True)
