"""Many people in one notebook, on a server that is killed under them, twice: every edit that anybody was told of is
there, once, in every page and in the file. Real Yjs documents over the wire, most of them in Python, some in JavaScript
as pages have them; only their number and the time are chosen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from pycrdt import Doc
from tornado.httpclient import HTTPClientError

from tests.browser import ROOT
from tests.conftest import StartLab
from tests.lab import Lab

from .room_client import Page, page
from .school import API, School, school_of

WRITERS, IN_JAVASCRIPT = 30, 6
EDITS = 6
"""Of each: cells of its own, and words in one cell that all write into. The last is made after all kills."""
PATH = "workspaces/class/together.ipynb"
SEED = 20261122
KILLED_AT = (0.25, 0.6)
"""Of all edits, acknowledged."""
SCRIPT = Path(__file__).with_name("yjs_writers.mjs")


class Writer:
    """One page: it writes, loses its connection now and then, and connects again with the document that it has."""

    def __init__(self, number: int, chance: random.Random) -> None:
        self.number, self._chance = number, chance
        self.doc: Doc[Any] = Doc()
        self.said: list[str] = []
        self.acknowledged: list[str] = []

    async def work(self, course: Course) -> None:
        while len(self.acknowledged) < EDITS:
            try:
                if len(self.said) == len(self.acknowledged) == course.allowed:
                    await course.until_more()
                async with asyncio.timeout(20), page(course.school, "eve", PATH, "notebook", doc=self.doc) as one:
                    self.acknowledged = list(self.said)  # it said all that it had when it connected
                    await self._write(one, course)
            except (OSError, AssertionError, TimeoutError, HTTPClientError, json.JSONDecodeError):
                await course.up()

    async def _write(self, one: Page, course: Course) -> None:
        stays = self._chance.randint(1, 3)
        while len(self.said) < course.allowed and stays:
            name = f"w{self.number}e{len(self.said)}"
            self.said.append(name)
            with one.doc.transaction():
                one.add_cell(name, name)
                shared = one.cells[0]["source"]
                shared.insert(len(shared), f"{name} ")
            await self._acknowledged(one)
            await asyncio.sleep(self._chance.uniform(0.0, 0.3))
            stays -= 1

    async def _acknowledged(self, one: Page) -> None:
        before = one.answers
        one.ask()
        await one.until(lambda: one.answers > before or one.socket.close_code is not None, 20)
        if one.answers == before:
            raise OSError("closed")
        self.acknowledged = list(self.said)


class Scripted:
    """The writers in JavaScript, in one process of Node (`yjs_writers.mjs`)."""

    def __init__(self, process: asyncio.subprocess.Process, numbers: range) -> None:
        self._process, self._numbers = process, numbers
        self.acknowledged = dict.fromkeys(numbers, 0)
        self.sources: dict[int, list[str]] = {}

    def say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    async def until(self, condition: Callable[[], Any]) -> None:
        """Reads what they say until then."""
        assert self._process.stdout is not None
        while not condition():
            line = await self._process.stdout.readline()
            assert line, "Node ended; its standard error says why"
            row = json.loads(line)
            if "sources" in row:
                self.sources[row["writer"]] = row["sources"]
            else:
                self.acknowledged[row["writer"]] = row["acknowledged"]

    async def work(self) -> None:
        await self.until(lambda: min(self.acknowledged.values()) == EDITS)

    async def show(self) -> None:
        self.say("show")
        await self.until(lambda: len(self.sources) == len(self._numbers))


@contextlib.asynccontextmanager
async def scripted(school: School, numbers: range) -> AsyncIterator[Scripted]:
    assert (ROOT / "node_modules" / "ws").is_dir(), "scripts/test installs what JavaScript needs"
    given = {"url": school.url(""), "token": school.tokens["eve"], "path": PATH, "edits": EDITS, "seed": SEED}
    process = await asyncio.create_subprocess_exec(
        "node", SCRIPT, json.dumps({**given, "writers": list(numbers)}),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24,
    )  # fmt: skip
    try:
        yield Scripted(process, numbers)
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            process.kill()
        await process.wait()


class Course:
    def __init__(self, school: School) -> None:
        self.school = school
        self.allowed = 0
        """Edits of each, so far: so that nobody is done before the last kill."""
        self._up, self._more = asyncio.Event(), asyncio.Event()
        self._up.set()

    def allow(self, edits: int, javascript: Scripted) -> None:
        self.allowed = edits
        javascript.say(str(edits))
        self._more.set()

    async def until_more(self) -> None:
        self._more.clear()
        await self._more.wait()

    async def up(self) -> None:
        await asyncio.sleep(0.1)
        await self._up.wait()

    async def killed_and_started(self, start_lab: StartLab, lab: Lab) -> Lab:
        self._up.clear()
        await asyncio.to_thread(lab.stop, signal.SIGKILL)
        lab = await asyncio.to_thread(start_lab, lab)
        self.school = School(lab, self.school.tokens)
        self._up.set()
        return lab


@pytest.mark.timeout(400)
async def test_thirty_writers_and_a_server_that_is_killed_twice(start_lab: StartLab) -> None:
    chance = random.Random(SEED)
    lab = start_lab()
    course = Course(await school_of(lab))
    file: Path = lab.root / PATH
    cell = {"cell_type": "raw", "id": "shared", "metadata": {}, "source": ""}
    begin(file, cell)
    writers = [Writer(number, chance) for number in range(WRITERS - IN_JAVASCRIPT)]
    async with scripted(course.school, range(WRITERS - IN_JAVASCRIPT, WRITERS)) as javascript:
        course.allow(EDITS - 1, javascript)
        tasks = [asyncio.ensure_future(writer.work(course)) for writer in writers]
        tasks.append(asyncio.ensure_future(javascript.work()))

        def acknowledged() -> int:
            return sum(len(writer.acknowledged) for writer in writers) + sum(javascript.acknowledged.values())

        for part in KILLED_AT:
            while acknowledged() < part * WRITERS * EDITS:  # no event of it
                assert not any(task.done() and task.exception() for task in tasks)
                await asyncio.sleep(0.1)
            lab = await course.killed_and_started(start_lab, lab)
        course.allow(EDITS, javascript)
        async with asyncio.timeout(200):
            await asyncio.gather(*tasks)
            await javascript.show()
    expected = Counter(f"w{n}e{e}" for n in range(WRITERS) for e in range(EDITS))
    async with page(course.school, "vic", PATH, "notebook") as reader:
        assert said(reader.doc) == (expected, expected)
        shown = [str(cell["source"]) for cell in reader.cells]
        for writer in writers:
            async with page(course.school, "eve", PATH, "notebook", doc=writer.doc) as one:
                assert [str(c["source"]) for c in one.cells] == shown
        for sources in javascript.sources.values():
            assert sources == shown
        await course.school.made("owner", "POST", f"{API}/workspaces/class/snapshots", {"message": "have it on disk"})
        assert sources_of(file) == shown
    assert conflicts(file) == []


def begin(file: Path, cell: dict[str, Any]) -> None:
    file.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


def sources_of(file: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(file.read_text())["cells"]]


def conflicts(file: Path) -> list[Path]:
    return list(file.parent.glob("*conflict*"))


def said(doc: Doc[Any]) -> tuple[Counter[str], Counter[str]]:
    """(cells, words in the shared one)."""
    one = Page(socket=None, doc=doc, writes=False)  # type: ignore[arg-type]
    texts = [str(cell["source"]) for cell in one.cells]
    return Counter(texts[1:]), Counter(texts[0].split())
