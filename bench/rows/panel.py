"""The panel of workspaces in JupyterLab with 500 of them, in Chromium: shown for the first time, following a change,
scrolled. Beside each the least that the same page takes: a panel of JupyterLab's own with nothing in it, the answer to
the change itself, frames in which nothing moves."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Page

from ..measure import Bench, Sample, interleave
from ..model import OURS, Outcome, Row
from ..page import CHANGE, FRAMES, OPEN, PANEL, chromium, lab_page, page_part_bytes
from ..server import Server, serving

MANY = 500
ROW = ".syla-Row"
RUNNING, SECTION = "jp-running-sessions", ".jp-RunningSessions-section"
STEP_PX = 977  # some eight rows, and no multiple of a row
EMPTY, ANSWER, STILL = "JupyterLab's running panel", "the answer", "nothing moves"


@asynccontextmanager
async def _many(bench: Bench) -> AsyncIterator[tuple[Browser, Server, str]]:
    """(…, id of one of them)"""
    async with serving(bench.lab, os.environ) as server, chromium() as browser:
        there = (await server.call("GET", "syla/v1/workspaces"))["total"]
        names = [f"a-{number:03}" for number in range(MANY - there)]
        made = [await server.call("POST", "syla/v1/workspaces", {"name": name}) for name in names]
        yield browser, server, made[0]["id"]


async def _open(bench: Bench) -> Outcome:
    async with _many(bench) as (browser, server, _):

        def shown(tab: str, item: str) -> Sample:
            async def one() -> float:
                async with lab_page(browser, server) as page:
                    return float(await page.evaluate(OPEN, [tab, item]))

            return one

        variants = {OURS: shown(PANEL, ROW), EMPTY: shown(RUNNING, SECTION)}
        samples = await interleave(variants, 3 if bench.quick else 7)
    return Outcome(samples, extra={"workspaces": MANY, **page_part_bytes()})


async def _follow(bench: Bench) -> Outcome:
    samples: dict[str, list[float]] = {OURS: [], ANSWER: []}
    async with _many(bench) as (browser, server, id), lab_page(browser, server) as page:
        await page.evaluate(OPEN, [PANEL, ROW])
        for turn in range(bench.n + 1):
            url = f"{server.url}syla/v1/workspaces/{id}"
            shown, answered = await page.evaluate(CHANGE, [url, server.token, id, 1.5 if turn % 2 else 1.25])
            if turn:  # the first warms up
                samples[OURS].append(shown)
                samples[ANSWER].append(answered)
            await _calm(page)
    return Outcome(samples, extra={"workspaces": MANY})


async def _scroll(bench: Bench) -> Outcome:
    async with _many(bench) as (browser, server, _), lab_page(browser, server) as page:
        await page.evaluate(OPEN, [PANEL, ROW])

        def frames(pixels: int) -> Sample:
            async def one() -> float:
                return float(await page.evaluate(FRAMES, pixels))

            return one

        samples = await interleave({OURS: frames(STEP_PX), STILL: frames(0)}, 3 if bench.quick else 10)
    return Outcome(samples, extra={"workspaces": MANY})


async def _calm(page: Page) -> None:
    """What an answer and its event still draw."""
    await page.evaluate("() => new Promise(done => setTimeout(done, 300))")


OPENED = Row(
    "panel_open", "The panel with 500 workspaces, from the click until it is drawn", "ms", _open, baseline=EMPTY
)
FOLLOWED = Row(
    "panel_event", "A change of one of 500 workspaces, from the request until its row shows it", "ms", _follow,
    baseline=ANSWER,
)  # fmt: skip
SCROLLED = Row(
    "panel_scroll", "Frames while 500 workspaces are scrolled, 95th percentile of 30", "ms", _scroll, baseline=STILL
)
