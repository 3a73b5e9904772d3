"""Two people and more in JupyterLab: sharing, invitations, and what a role means on the page. Each has a window of
Chromium with cookies of its own, on one real server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from playwright.sync_api import Locator, Page, expect

from ..browser import PANEL, START_MS, Tab, open_tab, running_browser
from ..installation import wait_until
from ..lab import Lab
from .rest_client import Client, warm_client

MEMBERS = "workspaces/class/members"
NOTEBOOK = "workspaces/class/n.ipynb"
WORDS = "print(6 * 7)"
LAYOUT = "fetch('/lab/api/workspaces/default').then(answer => answer.text())"


@dataclass
class Room:
    """Workspace `class` of the server's owner, and the windows of those who are there."""

    client: Client
    lab: Lab
    owner: Tab
    viewer: Tab
    guest: Tab
    """Of nobody, until she is invited."""

    def role(self, name: str, role: str) -> None:
        self.client.ok("PUT" if role else "DELETE", f"{MEMBERS}/{name}", {"role": role} if role else None)

    @property
    def saved(self) -> str:
        """What the notebook says on disk; nothing while it is being written."""
        cells = json.loads((self.lab.root / NOTEBOOK).read_text() or '{"cells": []}')["cells"]
        return "\n".join("".join(cell["source"]) for cell in cells)


@pytest.fixture(scope="module")
def room(lab_server: Lab) -> Iterator[Room]:
    client = warm_client(lab_server)
    client.ok("POST", "workspaces", {"name": "class"})
    (lab_server.root / NOTEBOOK).write_text(json.dumps(notebook()))
    tokens = {}
    for name in ("vic", "gus"):
        client.ok("POST", "users", {"name": name})
        tokens[name] = client.ok("POST", f"users/{name}/tokens", {})["secret"]
    with ExitStack() as stack:
        browser = stack.enter_context(running_browser())
        tabs = [stack.enter_context(open_tab(browser, lab_server))]
        tabs += [stack.enter_context(open_tab(browser, lab_server, token=token)) for token in tokens.values()]
        yield Room(client, lab_server, *tabs)


def notebook() -> Any:
    cell = {"cell_type": "code", "execution_count": None, "id": "c1", "metadata": {}, "outputs": [], "source": WORDS}
    spec = {"display_name": "Python 3 (Syla)", "language": "python", "name": "syla-python"}
    return {"cells": [cell], "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}


def banner(tab: Tab) -> Locator:
    return tab.page.locator(".jp-NotebookPanel .syla-Banner:visible")


def button(tab: Tab, item: str) -> Locator:
    return tab.page.locator(f'.jp-NotebookPanel-toolbar [data-jp-item-name="{item}"]').locator("button")


def cell(tab: Tab) -> Locator:
    return tab.page.locator(".jp-NotebookPanel:visible .jp-CodeCell .cm-content").first


def press(tab: Tab, *keys: str) -> None:
    for key in keys:
        tab.page.keyboard.press(key)


def shown_at_left(page: Page) -> object:
    layout = json.loads(page.evaluate(LAYOUT)).get("data", {}).get("layout-restorer:data", {})
    return layout.get("left", {}).get("current")


def test_everybody_can_use_the_page(room: Room) -> None:
    """Whoever is no admin has a page without a failing request; her layout and settings are kept for her alone."""
    for tab in (room.viewer, room.guest):
        tab.show_panel()
        expect(tab.panel).to_contain_text("There are no workspaces yet")
        tab.dark()
        wait_until(lambda page=tab.page: shown_at_left(page) == PANEL[1:], 20, "the layout is kept")
    for tab in (room.viewer, room.guest):
        tab.page.reload()
        expect(tab.page.locator("body")).to_have_attribute("data-jp-theme-light", "false")
        expect(tab.panel).to_be_visible()  # the layout
        tab.dark(False)
        assert tab.refused == []
    expect(room.owner.page.locator("body")).to_have_attribute("data-jp-theme-light", "true")


def test_the_dialog_shares(room: Room) -> None:
    """By name, with a role; who does not exist is said there, and what was typed stays."""
    room.owner.act("class", "Share Workspace")
    dialog = room.owner.page.get_by_role("dialog")
    people = dialog.get_by_role("list", name="People")
    expect(people).to_contain_text("(you)")
    dialog.get_by_role("button", name="Close").last.focus()
    press(room.owner, "Tab")
    expect(dialog.locator(".syla-Sharing :focus")).to_have_count(1)
    name = dialog.get_by_label("Name of whom to share it with")
    name.fill("nobody")
    press(room.owner, "Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("nobody")
    expect(name).to_have_value("nobody")
    name.fill("vic")
    press(room.owner, "Enter")
    expect(dialog.get_by_label("Role of vic")).to_have_value("viewer")
    expect(dialog.get_by_role("alert")).to_have_count(0)
    expect(room.viewer.row("class")).to_contain_text("viewer of")
    expect(room.viewer.notice("has made you viewer of class")).to_be_visible()
    room.owner.shot("share")
    room.viewer.act("class", "Share Workspace")
    theirs = room.viewer.page.get_by_role("dialog")
    expect(theirs.get_by_role("button", name="Leave the workspace")).to_be_visible()
    expect(theirs.get_by_role("textbox")).to_have_count(0)
    theirs.get_by_role("button", name="Close").last.click()


def test_an_invitation_link(room: Room) -> None:
    """Whoever opens it is in, once, sees the workspace, and its owner is told."""
    dialog = room.owner.page.get_by_role("dialog")
    dialog.get_by_label("Role of who comes by the link").select_option("runner")
    dialog.get_by_role("button", name="Make a link").click()
    link = dialog.get_by_label("The link", exact=True).input_value()
    expect(dialog.get_by_role("button", name="Make a link")).to_be_focused()  # it was switched off meanwhile
    expect(dialog.get_by_role("list", name="Invitations")).to_contain_text("one use left")
    room.guest.page.goto(link)
    expect(room.guest.row("class")).to_contain_text("runner of")
    expect(room.guest.row("class")).to_have_attribute("aria-current", "true")
    assert "syla-join" not in room.guest.page.url
    expect(room.owner.notice("gus has joined class as runner")).to_be_visible()
    expect(dialog.get_by_label("Role of gus")).to_have_value("runner")
    expect(dialog.get_by_role("list", name="Invitations")).to_contain_text("used up")
    room.owner.shot("invited")
    assert room.owner.findings(".syla-Sharing") == []
    room.owner.dark()
    assert room.owner.findings(".syla-Sharing") == []
    room.owner.dark(False)
    dialog.get_by_role("button", name="Close").last.click()
    room.viewer.command("syla:join", secret=link.partition("=")[2])
    expect(room.viewer.page.locator("body")).to_contain_text("no such invitation")
    room.viewer.refused.clear()  # that one
    press(room.viewer, "Escape")


def test_an_invitation_survives_the_login(room: Room) -> None:
    """Whoever opens the link before she has logged in is in afterwards; its secret is in no request's address or
    referrer, and does not stay in the tab."""
    room.client.ok("POST", "users", {"name": "ina"})
    token = room.client.ok("POST", "users/ina/tokens", {})["secret"]
    secret = room.client.ok("POST", "workspaces/class/invitations", {"role": "viewer"})["secret"]
    address = f"http://127.0.0.1:{room.lab.port}"
    browser = room.owner.page.context.browser
    assert browser is not None
    context = browser.new_context()
    context.set_default_timeout(START_MS)
    page = context.new_page()
    told: list[str] = []
    page.on("request", lambda one: told.append(f"{one.url.partition('#')[0]} {one.headers} {one.post_data or ''}"))
    page.goto(f"{address}/syla/join#syla-join={secret}")
    page.get_by_label("Password or token").fill("wrong")
    page.get_by_role("button", name="Log in", exact=True).click()
    page.get_by_label("Password or token").fill(token)
    page.get_by_role("button", name="Log in", exact=True).click()
    row = page.locator(f"{PANEL} .syla-Row", has_text="class")
    expect(row).to_contain_text("viewer of", timeout=START_MS)
    assert page.evaluate("sessionStorage.getItem('syla-join')") is None
    assert secret not in page.url
    joined = [line for line in told if secret in line]
    assert len(joined) == 1
    assert joined[0].startswith(f"{address}/syla/v1/join")
    context.close()
    room.role("ina", "")


def test_a_viewer_cannot_type_or_run(room: Room) -> None:
    """The notebook opens without a question and without a kernel; editors, buttons and keys do nothing, and it is said
    why."""
    tab = room.viewer
    tab.command("docmanager:open", path=NOTEBOOK)
    expect(banner(tab)).to_contain_text("You are a viewer of class")
    expect(cell(tab)).to_have_text(WORDS)
    for item in ("run", "insert", "save", "restart"):
        expect(button(tab, item)).to_be_disabled()
    cell(tab).click()
    tab.page.keyboard.type("x = 1")
    press(tab, "Shift+Enter", "Escape", "b", "d", "d", "Control+s")
    tab.page.locator(".jp-NotebookPanel:visible").get_by_text("No Kernel").wait_for()
    expect(cell(tab)).to_have_text(WORDS)
    expect(tab.page.locator(".jp-NotebookPanel:visible .jp-Cell")).to_have_count(1)
    expect(tab.page.get_by_role("dialog")).to_have_count(0)
    assert tab.refused == []
    assert tab.page.evaluate("fetch('/api/sessions').then(answer => answer.json())") == []
    tab.shot("viewer")
    assert tab.findings(".jp-NotebookPanel:not(.lm-mod-hidden) .syla-Banner") == []


def test_a_role_counts_at_once(room: Room) -> None:
    """On the open page: an editor types, runs and saves; a viewer again, she does not; taken out, it is gone."""
    tab = room.viewer
    room.role("vic", "editor")
    expect(banner(tab)).to_have_count(0)
    tab.kernel_ready()
    expect(button(tab, "run")).to_be_enabled()
    cell(tab).click()
    press(tab, "Control+End")
    tab.page.keyboard.type("; x = 1")
    press(tab, "Control+Enter")
    expect(tab.page.locator(".jp-NotebookPanel:visible .jp-OutputArea-output")).to_have_text("42")
    with tab.page.expect_response(re.compile("/checkpoints")):  # the last thing that saving does
        press(tab, "Control+s")
    wait_until(lambda: room.saved == f"{WORDS}; x = 1", 20, "the notebook is saved")
    room.role("vic", "viewer")
    expect(banner(tab)).to_contain_text("You are a viewer of class")
    expect(button(tab, "run")).to_be_disabled()
    cell(tab).click()
    tab.page.keyboard.type("more")
    press(tab, "Shift+Enter")
    expect(cell(tab)).to_have_text(f"{WORDS}; x = 1")
    tab.shot("viewer-again")
    assert tab.refused == []
    tab.close_tab("n.ipynb")
    expect(tab.page.locator(".jp-NotebookPanel")).to_have_count(0)  # without being asked to save
    room.role("vic", "")
    expect(tab.row("class")).to_have_count(0)


def test_what_is_open_by_link_stays_in_the_panel(room: Room) -> None:
    """Of whoever has opened something in it, on her next page too, until she leaves or it is closed to her."""
    tab, mode = room.viewer, "workspaces/class/access"
    room.client.ok("PATCH", mode, {"mode": "link"})
    tab.command("docmanager:open", path=NOTEBOOK)
    expect(tab.row("class")).to_contain_text(re.compile("viewer of .* by link"))
    expect(banner(tab)).to_contain_text("You are a viewer of class")
    tab.page.reload()
    expect(tab.row("class")).to_contain_text("by link", timeout=START_MS)
    tab.command("docmanager:open", path=NOTEBOOK)
    expect(banner(tab)).to_contain_text("You are a viewer of class")
    tab.shot("by-link")
    tab.show_panel()
    tab.row("class").click(button="right")
    tab.page.locator('.lm-Menu [data-command="syla:leave"]').click()
    dialog = tab.page.get_by_role("dialog").filter(has_text="Leave class?")
    expect(dialog).to_contain_text("It goes from your list")
    dialog.get_by_role("button", name="Leave").click()
    expect(tab.row("class")).to_have_count(0)
    expect(tab.page.locator(".jp-NotebookPanel")).to_have_count(0)
    tab.command("docmanager:open", path=NOTEBOOK)
    expect(tab.row("class")).to_contain_text("by link")
    tab.close_tab("n.ipynb")
    room.client.ok("PATCH", mode, {"mode": "members"})
    expect(tab.row("class")).to_have_count(0)
    tab.refused.clear()  # what was under way when nothing was allowed any more


def test_a_runner_runs_and_does_not_save(room: Room) -> None:
    """What she types stays hers: the banner says so, and where it can be kept."""
    tab = room.guest
    tab.command("docmanager:open", path=NOTEBOOK)
    expect(banner(tab)).to_contain_text("What you type stays in this page")
    tab.kernel_ready()
    before = room.saved
    tab.command("notebook:insert-cell-below")
    expect(tab.run("x + 1")).to_have_text("2")  # of the kernel that they share
    expect(button(tab, "save")).to_be_disabled()
    press(tab, "Control+s")
    banner(tab).get_by_role("button", name="Save a Copy").click()
    expect(tab.page.get_by_role("dialog")).to_contain_text(re.compile("Save", re.I))
    tab.page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    tab.shot("runner")
    assert room.saved == before
    assert tab.refused == []


def test_who_is_refused_asks_and_is_let_in(room: Room) -> None:
    """She follows a link to a file, is offered to ask, the owner grants it from a notice, and her file opens."""
    tab, owner = room.viewer, room.owner
    expect(tab.row("class")).to_have_count(0)
    tab.page.goto(f"http://127.0.0.1:{room.lab.port}/lab/tree/{NOTEBOOK}")
    dialog = tab.page.get_by_role("dialog").filter(has_text="You have no access to")
    expect(dialog).to_contain_text("class")
    tab.shot("ask")
    dialog.get_by_role("combobox").select_option(label="runner: also runs code")
    dialog.get_by_role("button", name="Ask for Access").click()
    cannot = tab.page.get_by_role("dialog").filter(has_text="Cannot open")  # JupyterLab's own word of it
    expect(cannot).to_be_visible()
    press(tab, "Escape")
    expect(cannot).to_have_count(0)
    expect(tab.notice("Asked for access to class")).to_be_visible()
    tab.show_panel()
    shared = owner.row("class").locator(".syla-Actions").get_by_title(re.compile("^Share Workspace"))
    expect(shared).to_have_accessible_name(re.compile("one person asks for access"))
    expect(shared).to_have_text("1")
    note = owner.notice("vic asks to use class as runner")
    note.get_by_role("button", name="Grant").click()
    owner.shot("asked")
    granting = owner.page.get_by_role("dialog").filter(has_text="Let vic use class")
    granting.get_by_role("combobox").select_option(label="editor: also changes files")
    granting.get_by_role("button", name="Grant").click()
    expect(note).to_have_count(0)
    expect(tab.row("class")).to_contain_text("editor of")
    tab.notice("You may use class now").get_by_role("button", name="Open").click()
    expect(cell(tab)).to_contain_text(WORDS)
    tab.refused.clear()  # those before


def test_who_is_refused_for_good_is_told(room: Room) -> None:
    """The answer reaches her; she may ask again in vain, and the owner is not asked a second time."""
    tab, owner = room.viewer, room.owner
    room.client.ok("POST", "workspaces", {"name": "closed"})
    for word in ("no", ""):
        tab.page.evaluate("void window.jupyterapp.commands.execute('syla:ask', { path: 'workspaces/closed' })")
        tab.page.get_by_role("dialog").get_by_role("button", name="Ask for Access").click()
        expect(tab.notice("Asked for access to closed").last).to_be_visible()
        if word:
            owner.notice("vic asks to use closed as viewer").get_by_role("button", name="Refuse").click()
            told = tab.page.get_by_role("dialog").filter(has_text="No access to closed")
            expect(told).to_be_visible()
            told.get_by_role("button", name="Ok").click()
    room.client.ok("GET", "workspaces/closed")
    assert room.client.ok("GET", "access-requests")["requests"] == []
    expect(owner.notice("vic asks to use closed")).to_have_count(0)


def test_who_asks_stands_in_the_sharing_dialog(room: Room) -> None:
    """At once, counted on the row's button; answered there with the role that is chosen, or refused, by keys alone."""
    owner, guest = room.owner, room.guest
    room.client.ok("POST", "users", {"name": "ned"})
    token = room.client.ok("POST", "users/ned/tokens", {})["secret"]
    owner.act("closed", "Share Workspace")
    sharing = owner.page.get_by_role("dialog").filter(has=owner.page.locator(".syla-Sharing"))
    asking = sharing.get_by_role("list", name="Asking for access")
    expect(sharing.get_by_role("list", name="People")).to_be_visible()
    expect(asking).to_have_count(0)
    guest.page.evaluate("void window.jupyterapp.commands.execute('syla:ask', { path: 'workspaces/closed' })")
    guest.page.get_by_role("dialog").get_by_role("button", name="Ask for Access").click()
    url = f"http://127.0.0.1:{room.lab.port}/syla/v1/workspaces/closed/access-requests"
    answer = requests.post(url, json={"role": "editor"}, headers={"Authorization": f"token {token}"}, timeout=60)
    assert answer.status_code == 202, answer.text
    expect(asking.get_by_role("listitem")).to_have_count(2)
    expect(asking.get_by_label("Role to give to ned")).to_have_value("editor")
    expect(owner.row("closed").locator(".syla-Count")).to_have_text("2")
    owner.shot("asking")
    assert owner.findings(".syla-Sharing", ".syla-Count") == []
    asking.get_by_label("Role to give to gus").select_option("runner")
    asking.get_by_role("button", name="Grant gus a role").press("Enter")
    expect(sharing.get_by_label("Role of gus")).to_have_value("runner")
    expect(guest.row("closed")).to_contain_text("runner of")
    asking.get_by_role("button", name="Refuse ned").press("Enter")
    expect(asking).to_have_count(0)
    expect(owner.page.locator(".syla-Count")).to_have_count(0)
    sharing.get_by_role("button", name="Close").last.click()
