"""Documents that are open lose nothing: while somebody types on, when a kernel or a restore writes the file, when the
server is killed, when they are moved, and when their workspace is deleted. Real servers, real Yjs documents."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pycrdt import Map

from syla_jupyter.server.histories import Histories
from tests.conftest import StartLab

from .room_client import page
from .school import API, School, school_of

TO_DISK_SECONDS = 5.0
FOLDER = "workspaces/class"
SLACK = 3
"""For a machine that does other things too."""


def at(school: School, name: str) -> Path:
    return school.lab.root / FOLDER / name


def new_file(school: School, name: str, text: str = "") -> str:
    at(school, name).write_text(text)
    return f"{FOLDER}/{name}"


def conflicts(school: School, name: str) -> list[Path]:
    stem, _, extension = name.rpartition(".")
    return sorted(at(school, name).parent.glob(f"{stem} (conflict *).{extension}"))


async def eventually(condition: Callable[[], Any], seconds: float = 30) -> Any:
    async with asyncio.timeout(seconds):
        while not (value := condition()):  # noqa: ASYNC110 # files say nothing
            await asyncio.sleep(0.05)
    return value


async def test_whoever_types_on_is_saved_meanwhile(school: School) -> None:
    path = new_file(school, "typed.txt")
    async with page(school, "eve", path) as editor:
        began = time.monotonic()
        while "0" not in at(school, "typed.txt").read_text():
            editor.text.insert(len(editor.text), "0")
            await asyncio.sleep(0.2)
            assert time.monotonic() - began < TO_DISK_SECONDS * SLACK
    assert conflicts(school, "typed.txt") == []


async def test_what_a_kernel_writes_and_what_is_typed_are_both_kept(school: School) -> None:
    """The file as it is on disk is what everybody sees then; what was typed meanwhile is beside it."""
    path = new_file(school, "both.txt", "begin\n")
    async with page(school, "eve", path) as editor, page(school, "vic", path) as viewer:
        at(school, "both.txt").write_text("of a kernel\n")
        await viewer.until(lambda: str(viewer.text) == "of a kernel\n")
        assert conflicts(school, "both.txt") == [], "nobody had typed anything"
        editor.text.insert(0, "typed ")
        await editor.synced()
        at(school, "both.txt").write_text("of a kernel again\n")
        await viewer.until(lambda: str(viewer.text) == "of a kernel again\n")
        (kept,) = conflicts(school, "both.txt")
        assert kept.read_text() == "typed of a kernel\n"
        assert at(school, "both.txt").read_text() == "of a kernel again\n"
        old = at(school, "both.txt").stat().st_mtime - 1000
        at(school, "both.txt").write_text("older\n")
        os.utime(at(school, "both.txt"), (old, old))
        await viewer.until(lambda: str(viewer.text) == "older\n")


async def test_a_page_is_told_what_is_saved(school: School) -> None:
    """That nothing is unsaved, where it says so without a change; and that a save has failed, if the file has gone."""
    path = new_file(school, "told.txt", "begin\n")
    async with page(school, "eve", path) as editor:
        state = editor.doc.get("state", type=Map)
        state["dirty"] = True
        await editor.until(lambda: state["dirty"] is False)
        state["dirty"] = True
        await editor.synced()
        at(school, "told.txt").write_text("of a kernel\n")
        await editor.until(lambda: str(editor.text) == "of a kernel\n")
        assert conflicts(school, "told.txt") == [], "nobody had typed anything"
        assert await editor.save(1) == "success"
        at(school, "told.txt").unlink()
        assert await editor.save(2) == "failed"


async def test_a_restore_of_an_open_document(school: School) -> None:
    """What was typed before a version was taken is in it; what is restored is not overwritten by an open page."""
    path = new_file(school, "n.txt", "first\n")
    base = f"{API}/workspaces/class/snapshots"
    async with page(school, "eve", path) as editor:
        editor.text.insert(0, "typed before it was taken, ")
        await editor.synced()
        await school.made("eve", "POST", base, {"message": "one"})
        version = (await school.made("eve", "GET", base))["snapshots"][-1]["version"]
        editor.text.insert(0, "typed later, ")
        await editor.synced()
        await school.made("eve", "POST", f"{base}/{version}/restore", {"paths": ["n.txt"]})
        await editor.until(lambda: str(editor.text) == "typed before it was taken, first\n", 60)
    assert at(school, "n.txt").read_text() == "typed before it was taken, first\n"
    assert conflicts(school, "n.txt") == [], "the restore saved what it overwrote"


async def test_moved_while_it_is_open(school: School) -> None:
    """It is saved where it is now, never where it was; into another workspace, who is no member there is out."""
    path = new_file(school, "old.txt", "text")
    async with page(school, "eve", path) as editor, page(school, "owner", path) as owner:
        editor.text.insert(0, "a")
        await school.made("eve", "PATCH", f"/api/contents/{path}", {"path": f"{FOLDER}/new.txt"})
        editor.text.insert(0, "b")
        await eventually(lambda: at(school, "new.txt").read_text() == "batext")
        assert not at(school, "old.txt").exists()
        away = "workspaces/private/away.txt"
        await school.made("owner", "PATCH", f"/api/contents/{FOLDER}/new.txt", {"path": away})
        await eventually(lambda: editor.socket.close_code == 1008)
        owner.text.insert(0, "c")
        await eventually(lambda: (school.lab.root / away).read_text() == "cbatext")


async def test_a_namesake_of_a_deleted_workspace_is_new(school: School) -> None:
    """Neither the room that is still open, nor what it had not saved, nor its history is the namesake's."""
    await school.made("owner", "POST", f"{API}/workspaces", {"name": "twice"})
    path = "workspaces/twice/a.txt"
    (school.lab.root / path).write_text("of the first")
    async with page(school, "owner", path) as first:
        first.text.insert(0, "secret ")
        await first.synced()
        await eventually(lambda: "secret" in (school.lab.root / path).read_text())
        await school.made("owner", "DELETE", f"{API}/workspaces/twice?force=true&confirm=twice")
        first.text.insert(0, "typed on ")
        await first.synced()
        await school.made("owner", "POST", f"{API}/workspaces", {"name": "twice"})
        (school.lab.root / path).write_text("of the second")
        async with page(school, "owner", path) as second:
            assert str(second.text) == "of the second"
            await eventually(lambda: first.socket.close_code is not None)
            second.text.insert(0, "new ")
            await eventually(lambda: (school.lab.root / path).read_text() == "new of the second")
    assert not list((school.lab.root / "workspaces/twice").glob("*conflict*"))


async def test_its_history_goes_with_a_workspace(school: School) -> None:
    """Not when it is archived; for good when it is deleted."""
    made = await school.made("owner", "POST", f"{API}/workspaces", {"name": "history"})
    path = "workspaces/history/a.txt"
    (school.lab.root / path).write_text("of it")
    async with page(school, "owner", path) as one:
        one.text.insert(0, "typed ")
        await one.synced()
        await eventually(lambda: "typed" in (school.lab.root / path).read_text())
    kept = Histories(school.lab.installation.home / "collaboration")
    await school.made("owner", "POST", f"{API}/workspaces/history/archive")
    assert made["id"] in kept.workspaces()
    await school.made("owner", "DELETE", f"{API}/workspaces/history")
    assert made["id"] not in kept.workspaces()


async def test_no_link_leads_the_server_out(school: School) -> None:
    """What rooms keep is not in the server's root directory, whose names a container can exchange."""
    async with page(school, "owner", new_file(school, "x.txt", "x")):
        pass
    assert not (school.lab.root / ".jupyter").exists()
    assert not list(school.lab.root.glob(".jupyter_ystore*"))


# -- the server is killed -----------------------------------------------------------------------------------------


def notebook_of(cells: list[str]) -> str:
    rows = [{"cell_type": "raw", "id": f"c{n}", "metadata": {}, "source": text} for n, text in enumerate(cells)]
    return json.dumps({"cells": rows, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def sources(file: Path) -> list[str]:
    """Empty while it is being written."""
    with contextlib.suppress(ValueError):
        return ["".join(cell["source"]) for cell in json.loads(file.read_text())["cells"]]
    return []


async def test_a_server_that_ends_has_lost_nothing(start_lab: StartLab) -> None:
    """Asked to, or killed at any moment: what it had heard is there, once, whether the page that said it is still open
    or not, and on disk soon after; when it was asked to, on disk at once."""
    lab = start_lab()
    school = await school_of(lab)
    alone = (await school.ask("owner", "GET", "/lab")).body
    assert b'"disableRTC": true' in alone, "nobody else was there"
    assert b"collaboration-extension" not in alone
    path = f"{FOLDER}/n.ipynb"
    at(school, "n.ipynb").write_text(notebook_of(["begin"]))
    expected = ["begin"]
    for turn, (number, wait) in enumerate(((signal.SIGTERM, 0.0), (signal.SIGKILL, 0.0), (signal.SIGKILL, 1.3))):
        async with page(school, "eve", path, "notebook") as editor:
            for n in range(3):
                expected.append(f"{turn}.{n}")
                editor.add_cell(f"t{turn}n{n}", expected[-1])
            await editor.synced()
            await asyncio.sleep(wait)  # before it is saved, and while it may be
            lab.stop(number)
            if number == signal.SIGTERM:
                assert sources(at(school, "n.ipynb")) == expected
            expected.append(f"{turn} typed while it was away")
            editor.writes = False
            editor.add_cell(f"t{turn}away", expected[-1])
        lab = start_lab(again=lab)
        school = School(lab, school.tokens)
        several = (await school.ask("eve", "GET", "/lab")).body
        assert b'"disableRTC": false' in several
        assert b"collaboration-extension" in several
        async with page(school, "rob", path, "notebook") as reader:
            said = [str(cell["source"]) for cell in reader.cells]
            assert said == expected[:-1], "without the page that typed it"
            async with page(school, "eve", path, "notebook", doc=editor.doc) as again:
                await again.until(lambda: [str(c["source"]) for c in again.cells] == expected)
                again.add_cell(f"t{turn}end", f"{turn} end")
                expected.append(f"{turn} end")
                await reader.until(lambda: [str(c["source"]) for c in reader.cells] == expected)
        await eventually(lambda wanted=list(expected): sources(at(school, "n.ipynb")) == wanted)  # noqa: B023
    assert conflicts(school, "n.ipynb") == []
