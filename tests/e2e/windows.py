"""Several people in one workspace, each in a window of Chromium of his own."""

from __future__ import annotations

from contextlib import ExitStack

from playwright.sync_api import Locator

from ..browser import Tab, open_tab, running_browser
from ..lab import Lab
from .rest_client import Client


def open_windows(stack: ExitStack, lab: Lab, client: Client, workspace: str, roles: dict[str, str]) -> list[Tab]:
    """The owner's, then one for each of `roles`: users that are made members of the workspace."""
    browser = stack.enter_context(running_browser())
    tabs = [stack.enter_context(open_tab(browser, lab))]
    for name, role in roles.items():
        client.ok("POST", "users", {"name": name})
        client.ok("PUT", f"workspaces/{workspace}/members/{name}", {"role": role})
        token = client.ok("POST", f"users/{name}/tokens", {})["secret"]
        tabs.append(stack.enter_context(open_tab(browser, lab, token=token)))
    return tabs


def cell_of(tab: Tab, number: int = 0) -> Locator:
    return tab.page.locator(".jp-NotebookPanel:visible .jp-CodeCell").nth(number)


def trust_notebook(tab: Tab) -> None:
    tab.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:trust') }")
    tab.page.get_by_role("dialog").get_by_role("button", name="Trust").click()
