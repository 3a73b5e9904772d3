"""A page of JupyterLab in Chromium with the panel of workspaces. Times are the page's own clock; what they wait for is
in its document, and drawn: two frames later than it was put there."""

from __future__ import annotations

import contextlib
import gzip
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from syla_jupyter.testing.chromium import FLAGS

from .server import Server

PANEL = "syla-workspaces-panel"
START_MS = 120_000
PAGE_PART = Path(__file__).resolve().parent.parent / "syla_jupyter" / "_labextension" / "static"

OPEN = """async ([tab, item]) => {
  const drawn = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())));
  const began = performance.now();
  const there = new Promise(done => {
    const look = () => { const found = document.querySelector(item); return found && found.offsetParent !== null; };
    const observer = new MutationObserver(() => { if (look()) { observer.disconnect(); done(); } });
    observer.observe(document.body, { childList: true, subtree: true, attributes: true });
  });
  const node = document.querySelector(`[data-id="${tab}"]`);
  const { x, y } = node.getBoundingClientRect();
  for (const type of ['pointerdown', 'pointerup']) {
    const at = { clientX: x + 5, clientY: y + 5, bubbles: true, cancelable: true, button: 0 };
    node.dispatchEvent(new PointerEvent(type, at));
  }
  await Promise.race([there, new Promise((_, failed) => setTimeout(() => failed(new Error('not shown')), 60000))]);
  await drawn();
  return performance.now() - began;
}"""
CHANGE = """async ([url, token, id, cpus]) => {
  const row = document.querySelector(`[data-workspace="${id}"]`);
  const began = performance.now();
  const shown = new Promise((done, failed) => {
    setTimeout(() => failed(new Error('not shown')), 60000);
    const observer = new MutationObserver(() => { observer.disconnect(); done(performance.now() - began); });
    observer.observe(row, { childList: true, subtree: true, attributes: true, characterData: true });
  });
  const answered = fetch(url, {
    method: 'PATCH',
    headers: { Authorization: `token ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ limits: { cpus } })
  }).then(answer => answer.text()).then(() => performance.now() - began);
  return [await shown, await answered];
}"""
FRAMES = """async pixels => {
  const box = document.querySelector('.syla-Scroll');
  const frames = [];
  let last = await new Promise(requestAnimationFrame);
  for (let number = 0; number < 30; number += 1) {
    box.scrollTop += pixels;
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - last);
    last = now;
  }
  box.scrollTop = 0;
  return frames.sort((a, b) => a - b)[Math.floor(0.95 * frames.length)];
}"""


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise RuntimeError("there is no Chromium: apt-get install chromium")
    if not PAGE_PART.is_dir():
        raise RuntimeError("the page part is not built: scripts/lab --setup-only")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        await browser.close()


@contextlib.asynccontextmanager
async def lab_page(browser: Browser, server: Server) -> AsyncIterator[Page]:
    """With a fresh layout, when the list of workspaces has come."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(START_MS)
    page = await context.new_page()
    async with page.expect_response(lambda answer: "/syla/v1/workspaces?" in answer.url):
        await page.goto(f"{server.url}lab?reset&token={server.token}")
    await page.locator("#jupyterlab-splash").wait_for(state="detached")
    await page.locator(f'[data-id="{PANEL}"]').wait_for()
    yield page
    await context.close()


def page_part_bytes() -> dict[str, int]:
    """Of the scripts that every page loads, as they are and as a server may send them."""
    scripts = [file.read_bytes() for file in PAGE_PART.glob("*.js")]
    return {"bytes": sum(map(len, scripts)), "gzip_bytes": sum(len(gzip.compress(text)) for text in scripts)}
