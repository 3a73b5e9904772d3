"""JupyterLab with workspaces as a person sees it: Chromium, a real `jupyter lab`, the real engine.

One server and one page for the journeys, in order; with `SYLA_SHOTS=directory` they leave pictures to look at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Route, expect

from ..browser import PANEL, Tab, open_tab, running_browser
from ..conftest import StartLab
from ..installation import wait_until
from ..lab import HEADERS, Lab
from .rest_client import Client, warm_client
from .slow import SLOW

MANY = 500
LONG = "a-workspace-with-a-very-long-name-that-does-not-fit-anywhere-xx"
RESUME = re.compile("/workspaces/[^/]+/resume")
SESSIONS = re.compile(r"/api/sessions(\?|$)")
NOTEBOOK: Any = {
    "cells": [{"cell_type": "code", "execution_count": None, "id": "c", "metadata": {}, "outputs": [], "source": ""}],
    "metadata": {"kernelspec": {"display_name": "Python 3 (Syla)", "language": "python", "name": "syla-python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}
HEBREW = "מרחב-עבודה"
LAYOUT = "fetch('/lab/api/workspaces/default').then(answer => answer.text())"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def client(lab_server: Lab) -> Client:
    client = warm_client(lab_server)
    # Its warning is due after half of the time, and goes out with the janitor's next sweep: test_a_deadline.
    client.ok("POST", "workspaces", {"name": "soon", "policy": {"archive_seconds": 40.0}})
    return client


@pytest.fixture(scope="module")
def tab(browser: Browser, lab_server: Lab, client: Client) -> Iterator[Tab]:
    with open_tab(browser, lab_server) as tab:
        yield tab


def test_a_new_workspace_runs_a_cell(tab: Tab) -> None:
    """Two clicks make a workspace and open its folder; a notebook there runs in it, and says so."""
    tab.show_panel()
    tab.panel.get_by_title("Make a workspace").click()
    dialog = tab.page.get_by_role("dialog")
    expect(dialog.get_by_label("Name")).to_have_value("workspace-1")
    tab.shot("new")
    dialog.get_by_role("button", name="Create").click()
    tab.state("workspace-1", "not started")
    expect(tab.page.locator("#filebrowser")).to_be_visible()
    tab.show_panel()
    tab.new_notebook()
    tab.state("workspace-1", "active")
    expect(tab.run("x = 41; x + 1")).to_have_text("42")
    expect(tab.row("workspace-1")).to_have_attribute("aria-current", "true")
    toolbar = tab.page.locator(".jp-NotebookPanel-toolbar .syla-StateItem")
    expect(toolbar).to_contain_text("workspace-1")
    expect(tab.page.locator("#jp-main-statusbar .syla-StateItem")).to_contain_text("workspace-1")


def test_suspending_keeps_the_variables(tab: Tab) -> None:
    """Suspended by one click, resumed by another, or by running a cell: variables are there."""
    tab.kernel_ready()  # what the page still asks of a kernel resumes its workspace
    tab.act("workspace-1", "Suspend")
    tab.state("workspace-1", "suspended")
    tab.act("workspace-1", "Resume")
    tab.state("workspace-1", "active")
    expect(tab.run("x + 2")).to_have_text("43")
    tab.act("workspace-1", "Suspend")
    tab.state("workspace-1", "suspended")
    expect(tab.run("x + 3")).to_have_text("44")
    tab.state("workspace-1", "active")
    tab.shot("jupyterlab")


def test_kernels_say_their_workspace(tab: Tab) -> None:
    """In the picker, those that could be started and those that run; above the launcher, where its kernels run."""
    elsewhere = {"path": "n.ipynb", "name": "n", "type": "notebook", "kernel": {"name": "syla-python"}}
    url = f"http://127.0.0.1:{tab.lab.port}/api/sessions"
    made = requests.post(url, json=elsewhere, headers=HEADERS, timeout=60)
    assert made.ok, made.text
    for kind in ("kernels", "sessions"):
        tab.page.evaluate(f"window.jupyterapp.serviceManager.{kind}.refreshRunning()")
    tab.page.locator(".jp-NotebookPanel:visible .jp-KernelName").click()
    picker = tab.page.get_by_role("dialog").locator("select")
    for words in (
        r"^Python 3 \(Syla\) – in workspace-1, template python$",
        r"^Untitled.ipynb \(.*\) – in workspace-1, template python$",
        r"^n \(.*\) – in default, template python$",
    ):
        expect(picker.locator("option", has_text=re.compile(words))).to_have_count(1)
    tab.shot("picker")
    tab.page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert requests.delete(f"{url}/{made.json()['id']}", headers=HEADERS, timeout=60).ok
    tab.command("launcher:create")
    expect(tab.page.locator(".jp-Launcher-body:visible")).to_be_visible()
    expect(tab.page.locator(".syla-Where:visible")).to_contain_text("run in workspace workspace-1 (template python)")
    tab.shot("launcher")
    tab.command("application:close")


def test_opening_a_notebook_starts_its_workspace(tab: Tab, client: Client) -> None:
    """Which is said for as long as it takes; then the notebook has a kernel."""
    client.ok("POST", "workspaces", {"name": "asleep"})
    (tab.lab.root / "workspaces/asleep/n.ipynb").write_text(json.dumps(NOTEBOOK))
    tab.state("asleep", "not started")
    held: list[Route] = []
    tab.page.route(SESSIONS, lambda one: held.append(one) if one.request.method == "POST" else one.continue_())
    with tab.page.expect_request(lambda one: one.method == "POST" and bool(SESSIONS.search(one.url))):
        tab.command("docmanager:open", path="workspaces/asleep/n.ipynb")
    expect(tab.notice("Starting asleep")).to_be_visible()
    held[0].continue_()
    tab.page.unroute(SESSIONS)
    tab.kernel_ready()
    tab.state("asleep", "active")
    expect(tab.notice("Starting asleep")).to_have_count(0)
    tab.command("docmanager:save")  # its kernel's language is in it now
    tab.close_tab("n.ipynb")
    client.ok("DELETE", "workspaces/asleep?force=true&confirm=asleep")


def test_refusals_say_what_to_do(tab: Tab, client: Client) -> None:
    """A name that is taken, or a limit out of bounds, is said in the dialog, which keeps what was typed. What one action
    mends has a button for it."""
    tab.panel.get_by_title("Make a workspace").click()
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Workspace-1")
    dialog.get_by_label("CPU cores").fill("0.5")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_contain_text("already")
    expect(dialog.get_by_label("Name")).to_have_value("Workspace-1")
    expect(dialog.get_by_label("CPU cores")).to_have_value("0.5")
    dialog.get_by_label("Name").fill("too-big")
    dialog.get_by_label("Memory (GiB)").fill("0.01")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Memory: give at least 64 MB")
    dialog.get_by_role("button", name="Create").focus()
    tab.page.keyboard.press("Tab")
    expect(dialog.get_by_label("Name")).to_be_focused()
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    client.ok("POST", "workspaces", {"name": "too-big", "limits": {"memory_bytes": 1 << 50}})
    tab.act("too-big", "Resume")
    expect(dialog).to_contain_text("It never fits: ask for")
    tab.shot("too-big")
    dialog.get_by_role("button", name="Change limits").click()
    expect(dialog.get_by_label("Memory (GiB)")).to_have_value(str(1 << 20))
    expect(dialog.get_by_label("Processes")).to_have_value("512")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    client.ok("DELETE", "workspaces/too-big?force=true&confirm=too-big")


def test_what_takes_long_is_cancelled(tab: Tab, client: Client) -> None:
    """It says what it does; who cancels it has his page at once, and the workspace as it was when it is finished."""
    client.ok("POST", "workspaces/workspace-1/suspend", {})
    tab.state("workspace-1", "suspended")
    held: list[Route] = []
    tab.page.route(RESUME, lambda one: held.append(one))
    tab.act("workspace-1", "Resume")
    tab.notice("Resuming workspace-1").get_by_text("Cancel", exact=True).click()
    expect(tab.notice("Cancelled, and undone")).to_be_visible()
    tab.shot("cancelled")
    version = client.ok("GET", "workspaces/workspace-1")["version"]
    held[0].continue_()
    tab.page.unroute(RESUME)
    expect(tab.notice("Cancelled, and undone")).to_have_count(0)
    tab.state("workspace-1", "suspended")
    assert client.ok("GET", "workspaces/workspace-1")["version"] > version + 1  # it was resumed, and suspended again
    tab.act("workspace-1", "Resume")
    tab.state("workspace-1", "active")
    tab.kernel_ready()


def test_out_of_memory(tab: Tab, client: Client) -> None:
    """A kernel that passes its memory limit is told of in the cell and in a notice, with the way to raise it."""
    client.ok("PATCH", "workspaces/workspace-1", {"limits": {"memory_bytes": 256 << 20}})
    tab.run("much = bytearray(1 << 30)")
    expect(tab.notice("passed its memory limit")).to_be_visible(timeout=60_000)
    tab.shot("memory")
    tab.page.get_by_role("dialog").get_by_role("button", name="Ok").click()  # JupyterLab's own word of it
    tab.notice("passed its memory limit").get_by_text("Change limits").click()
    dialog = tab.page.get_by_role("dialog")
    expect(dialog.get_by_label("Memory (GiB)")).to_have_value("0.25")
    dialog.get_by_label("Memory (GiB)").fill("1")
    dialog.get_by_role("button", name="Change").click()
    expect(dialog).to_have_count(0)

    def limits() -> tuple[int, float]:
        found = client.ok("GET", "workspaces/workspace-1")["limits"]
        return found["memory_bytes"], found["cpus"]

    wait_until(lambda: limits() == (1 << 30, 2.0), 20, "the other limits")
    tab.kernel_ready()  # and says so, before anything is run


def test_archive_recover_delete(tab: Tab, client: Client) -> None:
    """What loses something asks first and says what; deleting what is not archived wants its name."""
    client.ok("POST", "workspaces", {"name": "old"})
    tab.act("old", "Archive")
    dialog = tab.page.get_by_role("dialog")
    expect(dialog).to_contain_text("deleted for good after 30 days")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    dialog.get_by_role("button", name="Archive").click()
    tab.state("old", "archived")
    tab.act("old", "Recover")
    tab.state("old", "stopped")
    tab.command("filebrowser:go-to-path", path="/workspaces/old", dontShowBrowser=True)
    crumbs = tab.page.locator(".jp-BreadCrumbs")
    expect(crumbs).to_contain_text("old")
    for typed, left in (("new", 1), ("old", 0)):
        tab.act("old", "Delete")
        expect(dialog).to_contain_text("Lost for good")
        tab.shot("delete")
        dialog.get_by_role("textbox").fill(typed)
        dialog.get_by_role("button", name="Delete").click()
        expect(dialog).to_have_count(0)
        expect(tab.row("old")).to_have_count(left)
    expect(crumbs).not_to_contain_text("old")  # whose folder is gone
    expect(dialog).to_have_count(0)


def test_folders_have_the_menu(tab: Tab) -> None:
    """A workspace's folder has an icon of its own and says its state; its context menu acts on the workspace. Other
    folders have none of it."""
    tab.page.locator('[data-id="filebrowser"]').click()
    tab.command("filebrowser:go-to-path", path="/workspaces")
    item = tab.page.locator(".jp-DirListing-item", has_text="workspace-1")
    drawing = "svg[data-icon='syla-jupyter:workspaces']"
    expect(item.locator(drawing)).to_be_visible()
    expect(item.locator(".jp-DirListing-itemText")).to_have_attribute("data-syla-words", "active")
    tab.shot("folders")
    item.click(button="right")
    expect(tab.page.locator('.lm-Menu [data-command="syla:suspend"]')).to_be_visible()
    tab.page.keyboard.press("Escape")
    tab.command("filebrowser:go-to-path", path="/")
    above = tab.page.locator(".jp-DirListing-item", has_text="workspaces")
    expect(above).to_be_visible()
    expect(above.locator(drawing)).to_have_count(0)
    above.click(button="right")
    expect(tab.page.locator('.lm-Menu [data-command="syla:suspend"]')).to_be_hidden()
    tab.page.keyboard.press("Escape")
    tab.show_panel()


def test_keyboard(tab: Tab, client: Client) -> None:
    """Arrows, Home and End go from row to row, Tab into a row's buttons and out of the list, Enter opens, Delete asks.
    Whoever pressed a button that is gone afterwards is still in its row, and hears what has become of it."""
    client.ok("POST", "workspaces", {"name": "keys"})
    rows, press = tab.panel.locator(".syla-Row"), tab.page.keyboard.press
    rows.first.focus()
    press("ArrowDown")
    expect(rows.nth(1)).to_be_focused()
    press("End")
    expect(rows.last).to_be_focused()
    press("Home")
    expect(rows.first).to_be_focused()
    press("Tab")
    assert tab.page.evaluate("document.activeElement.closest('.syla-Row') !== null")
    tab.panel.get_by_label("State of the workspaces shown").focus()
    press("Tab")
    expect(rows.first).to_be_focused()
    tab.row("keys").focus()
    press("Shift+F10")
    expect(tab.page.locator('.lm-Menu [data-command="syla:delete"]')).to_be_visible()
    press("Escape")
    press("Delete")
    dialog = tab.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Delete keys for good?")
    expect(dialog.get_by_role("textbox")).to_be_focused()
    press("Escape")
    expect(dialog).to_have_count(0)
    expect(tab.row("keys")).to_be_focused()
    tab.row("keys").get_by_title("Resume Workspace").press("Enter")
    tab.state("keys", "active")
    tab.row("keys").get_by_title("Suspend Workspace").press("Enter")
    tab.state("keys", "suspended")
    expect(tab.row("keys")).to_be_focused()
    expect(tab.panel.locator(".syla-Spoken")).to_have_text("keys: suspended.")
    tab.row("workspace-1").focus()
    press("Enter")
    expect(tab.panel).to_be_hidden()  # its folder is shown
    press("Control+Alt+w")
    expect(tab.panel).to_be_visible()
    client.ok("DELETE", "workspaces/keys?force=true&confirm=keys")


def test_a_deadline(tab: Tab) -> None:
    """Before something happens by itself there is a notice, and Extend puts it off."""
    notice = tab.notice("Workspace soon")
    expect(notice).to_contain_text("Archived in", timeout=100_000)
    tab.shot("deadline")
    notice.get_by_text("Extend", exact=True).click()
    expect(notice).to_have_count(0)
    expect(tab.row("soon").locator(".syla-Deadline")).to_contain_text(re.compile("Archived in (1 h|59 min)"))


def test_variables(tab: Tab) -> None:
    """The list follows what cells do, and does not wake a workspace that sleeps."""
    tab.run("x = 41")
    tab.command("syla:variables")
    table = tab.page.locator("#syla-variables-panel")
    expect(table.get_by_role("row", name="x")).to_contain_text("41")
    tab.run("words = ['a', 'b']")
    expect(table.get_by_role("row", name="words")).to_contain_text("length 2")
    tab.shot("variables")
    tab.act("workspace-1", "Suspend")
    tab.state("workspace-1", "suspended")
    table.get_by_role("button", name="Refresh").click()
    expect(table).to_contain_text("not running")
    tab.state("workspace-1", "suspended")
    tab.act("workspace-1", "Resume")
    expect(table.get_by_role("row", name="words")).to_be_visible()
    tab.page.locator('[data-id="syla-variables-panel"]').click()
    expect(table).to_be_hidden()


def test_snapshots(tab: Tab, lab_server: Lab) -> None:
    """Taken with a message, compared, a file and the whole brought back with a report, cloned, exported."""
    table = lab_server.root / "workspaces" / "workspace-1" / "table.csv"
    notes = table.with_name("notes.ipynb")
    notes.write_text(cells(a="one", b="two\nlines", c="three"))
    tab.run("open('table.csv', 'w').write('good\\n'); x = 43")
    tab.act("workspace-1", "Snapshots")
    view = tab.page.locator(".syla-Versions:visible")
    view.get_by_label("What the snapshot is").fill("before cleaning")
    view.get_by_role("button", name="Take snapshot").click()
    first = view.locator(".syla-Version", has_text="before cleaning")
    expect(first).to_be_visible(timeout=60_000)
    table.write_text("bad and longer\n")
    notes.write_text(cells(c="three", a="one", b="two\nrows", d="four"))
    tab.row("workspace-1").click(button="right")
    tab.page.locator('.lm-Menu [data-command="syla:take-snapshot"]').click()
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("after cleaning")
    dialog.get_by_role("button", name="Take").click()
    expect(view.locator(".syla-Version")).to_have_count(2, timeout=60_000)
    for number in (1, 2):
        view.get_by_label(f"Compare v{number}", exact=True).click()
    difference = view.locator(".syla-Comparison")
    line = difference.locator("li", has_text="table.csv")
    expect(line).to_contain_text("5 B → 15 B")
    line.get_by_label("What changed in files/table.csv").press("Enter")
    expect(line.locator("ol > li")).to_have_text(["−removed:good", "+added:bad and longer"])
    book = difference.locator("li:has(> details)", has_text="notes.ipynb")
    book.get_by_label("What changed in files/notes.ipynb").press("Enter")
    expect(book.locator("h5")).to_have_text(["Cell 1 moved, was 3", "Cell 3 changed", "Cell 4 added (code)"])
    expect(book.locator("ol").first.locator("li")).to_have_text(["two", "−removed:lines", "+added:rows"])
    tab.shot("snapshots")

    line.get_by_role("button", name="Restore").click()
    expect(dialog.get_by_role("textbox")).to_have_value("files/table.csv")
    tab.shot("restore")
    dialog.get_by_role("button", name="Restore").click()
    expect(tab.notice("files/table.csv of workspace-1 is as in v1 again")).to_be_visible(timeout=60_000)
    assert table.read_text() == "good\n"

    with tab.page.expect_download(timeout=60_000) as download:
        first.get_by_title("Export").click()
    assert download.value.suggested_filename == "workspace-1.syla"
    assert Path(download.value.path()).read_bytes()[:4] == b"\x28\xb5\x2f\xfd"

    first.get_by_title("Clone").click()
    dialog.get_by_label("Name").fill("variant")
    dialog.get_by_role("button", name="Clone").click()
    expect(dialog).to_contain_text("variant is a clone of v1 of workspace-1", timeout=60_000)
    dialog.get_by_role("button", name="Ok").click()
    expect(tab.row("variant")).to_be_visible()
    assert (lab_server.root / "workspaces" / "variant" / "table.csv").read_text() == "good\n"

    table.write_text("bad again\n")
    first.get_by_title("Restore").click()
    expect(dialog).to_contain_text("its container ends")
    dialog.get_by_role("button", name="Restore").click()
    expect(dialog).to_contain_text("workspace-1 is as in v1 again", timeout=60_000)
    expect(dialog).to_contain_text("Untitled.ipynb: ")  # its variables
    tab.shot("restored")
    dialog.get_by_role("button", name="Ok").click()
    tab.state("workspace-1", "stopped")
    assert table.read_text() == "good\n"
    tab.close_tab("Snapshots: ")
    tab.kernel_is("Disconnected")
    tab.act("workspace-1", "Resume")  # and its notebook has a kernel again
    tab.kernel_ready()
    expect(tab.run("x")).to_have_text("43")


def cells(**sources: str) -> str:
    """A notebook: by id what is in each."""
    parts = [{**NOTEBOOK["cells"][0], "id": id, "source": source} for id, source in sources.items()]
    return json.dumps({**NOTEBOOK, "cells": parts})


def test_a_snapshot_is_cancelled(tab: Tab, client: Client, lab_server: Lab) -> None:
    """What takes long says how far it is, after the page was loaded again too, and is taken back by one click."""
    go = lab_server.root / "workspaces" / "workspace-1" / "go"
    client.ok("POST", "workspaces/workspace-1/execute", {"code": SLOW})
    before = client.ok("GET", "workspaces/workspace-1/snapshots")["snapshots"]
    notice = tab.notice("Taking a snapshot of workspace-1")

    def take() -> None:
        go.unlink(missing_ok=True)
        tab.row("workspace-1").click(button="right")
        tab.page.locator('.lm-Menu [data-command="syla:take-snapshot"]').click()
        tab.page.get_by_role("dialog").get_by_role("button", name="Take").click()

    take()
    notice.get_by_text("Cancel", exact=True).click()
    expect(tab.notice("Cancelling: ")).to_be_visible()
    tab.shot("cancelling")
    go.touch()
    expect(tab.notice("Cancelled: no snapshot of workspace-1 was taken")).to_be_visible()
    take()
    expect(notice.get_by_text("Cancel", exact=True)).to_be_visible()
    tab.page.reload()
    notice.get_by_text("Cancel", exact=True).click(timeout=60_000)
    expect(tab.notice("Cancelling: ")).to_be_visible()
    go.touch()
    expect(tab.notice("Cancelling: ")).to_have_count(0)
    wait_until(lambda: not client.ok("GET", "operations")["operations"], 30, "nothing is under way")
    assert client.ok("GET", "workspaces/workspace-1/snapshots")["snapshots"] == before
    client.ok("POST", "workspaces/workspace-1/execute", {"code": "del slow_1, slow_2, slow_3, slow_4, slow_5"})
    tab.show_panel()
    tab.kernel_ready()


def test_the_server_is_restarted(tab: Tab, lab_server: Lab, start_lab: StartLab) -> None:
    """Under an open tab: the panel says so, goes on by itself, and the notebook's variables are there."""
    expect(tab.run("y = 7; y")).to_have_text("7")
    lost = tab.page.get_by_role("dialog").filter(has_text="Server Connection Error")  # JupyterLab's, now or later
    tab.page.add_locator_handler(lost, lambda: tab.page.keyboard.press("Escape"))
    lab_server.stop()
    expect(tab.panel.locator(".syla-Notice")).to_contain_text("does not answer", timeout=30_000)
    tab.shot("stopped")
    again = start_lab(again=lab_server)
    expect(tab.panel.locator(".syla-Notice")).to_have_count(0, timeout=60_000)
    tab.kernel_ready()
    expect(tab.run("y + 1")).to_have_text("8", timeout=30_000)
    tab.kernel_ready()
    Client(again).ok("POST", "workspaces", {"name": "afterwards"})
    tab.state("afterwards", "not started")


def test_the_server_has_no_workspaces(browser: Browser, tab: Tab) -> None:
    """Where the server part is missing, or older, the panel says so with the command that mends it."""
    with open_tab(browser, tab.lab) as other:
        other.page.route("**/syla/v1/**", lambda route: route.fulfill(status=404, body="<html>Not Found</html>"))
        other.page.reload()
        other.show_panel()
        expect(other.panel.get_by_role("alert")).to_contain_text("jupyter server extension enable syla_jupyter")
        other.shot("missing")
        other.page.unroute("**/syla/v1/**")
        other.page.route("**/openapi.json*", lambda route: route.fulfill(json={"info": {"version": "0.0.1"}}))
        other.panel.get_by_role("button", name="Try again").click()
        expect(other.panel.get_by_role("alert")).to_contain_text("pip install --upgrade syla-jupyter")


def test_five_hundred(tab: Tab, record_property: Any) -> None:
    """Of a long list only what is in sight is drawn; it scrolls, filters and follows events at once."""
    client = Client(tab.lab)
    for name in (LONG, HEBREW):
        client.ok("POST", "workspaces", {"name": name})
    for number in range(MANY - client.ok("GET", "workspaces")["total"]):
        client.ok("POST", "workspaces", {"name": f"many-{number:03}"})
    tab.command("syla:snapshots", workspace=client.ok("GET", "workspaces/workspace-1")["id"])
    wait_until(lambda: "syla-snapshots:" in tab.page.evaluate(LAYOUT), 20, "the layout is kept")
    tab.page.reload()
    expect(tab.panel.locator(".syla-Row").first).to_have_attribute("aria-setsize", str(MANY), timeout=60_000)
    expect(tab.page.locator(".syla-Versions:visible")).to_contain_text("before cleaning")
    tab.close_tab("Snapshots: ")
    assert tab.panel.locator(".syla-Row").count() < 30
    tab.panel.locator(".syla-Scroll").evaluate("node => node.scrollTo(0, node.scrollHeight)")
    expect(tab.row("workspace-1")).to_be_visible()
    client.ok("POST", "workspaces/workspace-1/suspend", {"stop": True})
    tab.state("workspace-1", "stopped")
    tab.panel.get_by_label("Filter workspaces").fill("many-49")
    expect(tab.row("many-490")).to_be_visible()
    tab.panel.get_by_label("Filter workspaces").fill("")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_accessibility(tab: Tab, dark: bool) -> None:
    """No finding of axe on what is ours, in either theme."""
    tab.dark(dark)
    tab.command("syla:variables")
    tab.command("syla:snapshots", workspace=Client(tab.lab).ok("GET", "workspaces/workspace-1")["id"])
    for number in (1, 2):
        tab.page.get_by_label(f"Compare v{number}", exact=True).click()
    tab.page.get_by_label("What changed in files/notes.ipynb").click()
    expect(tab.page.locator(".syla-Cells")).to_contain_text("Cell 3 changed")
    tab.shot("versions-dark" if dark else "versions-light")
    assert tab.findings(PANEL, ".syla-Versions", "#syla-variables-panel") == []
    tab.close_tab("Snapshots: ")
    assert tab.findings(".syla-StateItem") == []
    tab.shot("dark" if dark else "light")


def test_narrow_and_wide(tab: Tab) -> None:
    """Nothing is cut off at 400 pixels of panel, whatever names are like."""
    tab.dark(False)
    tab.panel_width(400)
    for name in (LONG, HEBREW):
        tab.panel.get_by_label("Filter workspaces").fill(name)
        row = tab.row(name)
        expect(row).to_be_visible()
        tab.fits(row, "a row")
        tab.command("syla:snapshots", workspace=row.get_attribute("data-workspace"))
        view = tab.page.locator(".syla-Versions:visible")
        expect(view).to_contain_text("no snapshots yet")
        tab.fits(view, "a view")
        tab.shot("long" if name == LONG else "hebrew")
        tab.close_tab("Snapshots: ")
    tab.panel.get_by_label("Filter workspaces").fill("")
    expect(tab.panel.locator(".syla-Row").first.locator(".syla-Badge")).to_have_text(re.compile("."))
