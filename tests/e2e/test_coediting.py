"""Many people in one notebook, on a server that is killed under them: every edit that anybody was told of is there, once,
in every page and in the file. Real Yjs documents over the wire; only their number and the time are chosen."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pycrdt import Doc
from tornado.httpclient import HTTPClientError

from tests.conftest import StartLab
from tests.lab import Lab

from .room_client import Page, page
from .school import API, School, school_of

WRITERS = 30
EDITS = 6
"""Of each: cells of its own, and words in one cell that all write into."""
PATH = "workspaces/class/together.ipynb"
SEED = 20261122


class Writer:
    """One page: it writes, loses its connection now and then, and connects again with the document that it has."""

    def __init__(self, number: int, chance: random.Random) -> None:
        self.number, self._chance = number, chance
        self.doc: Doc[Any] = Doc()
        self.said: list[str] = []
        self.acknowledged: list[str] = []

    async def work(self, course: Course) -> None:
        while len(self.acknowledged) < EDITS or len(self.acknowledged) < len(self.said):
            try:
                async with asyncio.timeout(20), page(course.school, "eve", PATH, "notebook", doc=self.doc) as one:
                    self.acknowledged = list(self.said)  # it said all that it had when it connected
                    await self._write(one)
            except (OSError, AssertionError, TimeoutError, HTTPClientError, json.JSONDecodeError):
                await course.up()

    async def _write(self, one: Page) -> None:
        stays = self._chance.randint(1, 3)
        while len(self.said) < EDITS and stays:
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


class Course:
    def __init__(self, school: School) -> None:
        self.school = school
        self._up = asyncio.Event()
        self._up.set()

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
async def test_thirty_writers_and_a_server_that_is_killed(start_lab: StartLab) -> None:
    chance = random.Random(SEED)
    lab = start_lab()
    course = Course(await school_of(lab))
    file: Path = lab.root / PATH
    cell = {"cell_type": "raw", "id": "shared", "metadata": {}, "source": ""}
    begin(file, cell)
    writers = [Writer(number, chance) for number in range(WRITERS)]
    tasks = [asyncio.ensure_future(writer.work(course)) for writer in writers]
    while sum(len(writer.acknowledged) for writer in writers) < WRITERS * EDITS // 3:  # no event of it
        assert not any(task.done() and task.exception() for task in tasks)
        await asyncio.sleep(0.1)
    lab = await course.killed_and_started(start_lab, lab)
    async with asyncio.timeout(200):
        await asyncio.gather(*tasks)
    expected = Counter(f"w{n}e{e}" for n in range(WRITERS) for e in range(EDITS))
    async with page(course.school, "vic", PATH, "notebook") as reader:
        assert said(reader.doc) == (expected, expected)
        for writer in writers:
            async with page(course.school, "eve", PATH, "notebook", doc=writer.doc) as one:
                assert [str(c["source"]) for c in one.cells] == [str(c["source"]) for c in reader.cells]
        shown = [str(cell["source"]) for cell in reader.cells]
        await course.school.made("owner", "POST", f"{API}/workspaces/class/snapshots", {"message": "have it on disk"})
        assert sources(file) == shown
    assert conflicts(file) == []


def begin(file: Path, cell: dict[str, Any]) -> None:
    file.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


def sources(file: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(file.read_text())["cells"]]


def conflicts(file: Path) -> list[Path]:
    return list(file.parent.glob("*conflict*"))


def said(doc: Doc[Any]) -> tuple[Counter[str], Counter[str]]:
    """(cells, words in the shared one)."""
    one = Page(socket=None, doc=doc, writes=False)  # type: ignore[arg-type]
    texts = [str(cell["source"]) for cell in one.cells]
    return Counter(texts[1:]), Counter(texts[0].split())
