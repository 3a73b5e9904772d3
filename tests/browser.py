"""A person's side of JupyterLab: a page in Debian's Chromium, and what one does with notebooks and the panel on it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from syla_jupyter.testing.chromium import FLAGS

from .installation import wait_until
from .lab import HEADERS, TOKEN, Lab

ROOT = Path(__file__).parent.parent
SHOTS = os.environ.get("SYLA_SHOTS", "")
"""A directory in which pictures are kept for a person to look at; empty: none are taken."""
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
START_MS = 60_000
ACTION_MS = 20_000
PANEL = "#syla-workspaces-panel"


@contextlib.contextmanager
def running_browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("tests in a browser need Chromium: apt-get install chromium", pytrace=False)
    with sync_playwright() as playwright:
        expect.set_options(timeout=ACTION_MS)
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Tab:
    """One page; `errors` has what its scripts threw, `refused` which requests had no success."""

    lab: Lab
    page: Page
    errors: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def note(self, status: int, method: str, url: str) -> None:
        if status >= 400:
            self.refused.append(f"{status} {method} {url}")

    @property
    def panel(self) -> Locator:
        return self.page.locator(PANEL)

    def row(self, name: str) -> Locator:
        return self.panel.locator(f'.syla-Row:has(h3[title="{name}"])')

    def state(self, name: str, state: str, seconds: float = 20) -> None:
        """Wait until the panel shows a workspace so."""
        expect(self.row(name).locator(".syla-Badge")).to_have_text(state, timeout=seconds * 1000)

    def show_panel(self) -> None:
        if not self.panel.is_visible():
            self.page.locator('[data-id="syla-workspaces-panel"]').click()
        expect(self.panel).to_be_visible()

    def panel_width(self, pixels: int) -> None:
        """Drag the border of the left bar there; again while the page was still moving under the mouse."""

        def right_so() -> bool:
            return abs(self._panel_box()["width"] - pixels) < 10

        for _ in range(5):
            box = self._panel_box()
            right, middle = box["x"] + box["width"], box["y"] + box["height"] / 2
            self.page.mouse.move(right + 2, middle)
            self.page.mouse.down()
            self.page.mouse.move(right + 2 + pixels - box["width"], middle, steps=4)
            self.page.mouse.up()
            with contextlib.suppress(AssertionError):
                wait_until(right_so, 2, f"a panel of {pixels} pixels")
                return
        raise AssertionError(f"the panel has {self._panel_box()['width']} pixels instead of {pixels}")

    def _panel_box(self) -> Any:
        box = self.panel.bounding_box()
        assert box is not None
        return box

    def fits(self, part: Locator, name: str) -> None:
        """Wait until nothing of it is cut off at its sides."""
        wait_until(lambda: part.evaluate("node => node.scrollWidth <= node.clientWidth"), 5, f"{name} is not cut off")

    def act(self, name: str, label: str) -> None:
        """Press one of a row's buttons."""
        self.show_panel()
        self.row(name).locator(".syla-Actions").get_by_title(re.compile(f"^{label}")).click()

    def notice(self, text: str) -> Locator:
        return self.page.locator(".Toastify__toast").filter(has_text=text)

    def command(self, id: str, **args: Any) -> None:
        script = "async ([id, args]) => { await window.jupyterapp.commands.execute(id, args) }"
        self.page.evaluate(script, [id, args])

    def new_notebook(self) -> None:
        """In the folder of the file browser; returns when its kernel is idle."""
        self.command("notebook:create-new", kernelName="syla-python")
        self.kernel_ready()

    def kernel_ready(self) -> None:
        self.kernel_is("Idle")

    def kernel_is(self, status: str) -> None:
        """A regular expression for what the status bar says of the notebook in front."""
        bar = self.page.locator("#jp-main-statusbar")
        expect(bar).to_contain_text(re.compile(rf"\| {status}"), timeout=START_MS)

    def close_tab(self, title: str) -> None:
        tab = self.page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab", has_text=title)
        tab.locator(".lm-TabBar-tabCloseIcon").click()

    def run(self, code: str) -> Locator:
        """Run a new last cell; its outputs."""
        cells = self.page.locator(".jp-NotebookPanel:visible .jp-CodeCell")
        cells.last.locator(".cm-content").click()
        self.page.keyboard.type(code)
        expect(cells.last.locator(".cm-content")).to_have_text(code)
        number = cells.count()
        self.page.keyboard.press("Shift+Enter")
        return cells.nth(number - 1).locator(".jp-OutputArea-output")

    def dark(self, dark: bool = True) -> None:
        theme = "JupyterLab Dark" if dark else "JupyterLab Light"
        self.command("apputils:change-theme", theme=theme)
        expect(self.page.locator("body")).to_have_attribute("data-jp-theme-light", str(not dark).lower())

    def findings(self, *selectors: str) -> list[Any]:
        """Of axe: rule, weight, and the first elements of each."""
        self.page.evaluate(AXE.read_text())
        include = json.dumps({"include": [[selector] for selector in selectors]})
        found = self.page.evaluate(f"axe.run({include}, {{resultTypes: ['violations']}})")
        return [(v["id"], v["impact"], [n["html"] for n in v["nodes"]][:3]) for v in found["violations"]]

    def shot(self, name: str) -> None:
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{SHOTS}/{name}.png", animations="disabled")


@contextlib.contextmanager
def open_tab(
    browser: Browser, lab: Lab, *, token: str = TOKEN, width: int = 1280, height: int = 800, path: str = "lab"
) -> Iterator[Tab]:
    """A page of JupyterLab with a fresh layout, when it is drawn. What its scripts threw fails the test at the end."""
    quiet("@jupyterlab/apputils-extension:notification", '{"fetchNews": "false"}', lab)
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(ACTION_MS)
    tab = Tab(lab, context.new_page())
    tab.page.on("pageerror", lambda error: tab.errors.append(error.stack or str(error)))
    tab.page.on("response", lambda answer: tab.note(answer.status, answer.request.method, answer.url))
    tab.page.goto(f"http://127.0.0.1:{lab.port}/{path}?reset&token={token}")
    expect(tab.page.locator("#jupyterlab-splash")).to_have_count(0, timeout=START_MS)
    expect(tab.page.locator('[data-id="syla-workspaces-panel"]')).to_be_visible(timeout=START_MS)
    tab.page.evaluate("() => window.jupyterapp.restored")  # which may still open one of its own panels
    yield tab
    context.close()
    errors = [error for error in tab.errors if not is_of_jupyterlab(error)]
    assert not errors, errors


def is_of_jupyterlab(error: str) -> bool:
    """Thrown in its own files without ours being on the way: its debugger asks dead kernels, for one."""
    return "/static/lab/" in error and "/extensions/syla-jupyter/" not in error


def quiet(plugin: str, settings: str, lab: Lab) -> None:
    """Settings of a person who does not want to be asked for news."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{lab.port}/lab/api/settings/{plugin}",
        method="PUT",
        headers={**HEADERS, "Content-Type": "application/json"},
        data=json.dumps({"raw": settings}).encode(),
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 204
