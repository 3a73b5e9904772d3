"""What takes long, over REST: seen by whom, cancelled by whom, and from a terminal elsewhere; a real server.

A variable that waits for a file before it is saved makes a save last as long as a test needs; that a verb is taken back
in the middle of its files is looked at elsewhere (`unit/test_cancelling`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
import requests

from tests.installation import wait_until
from tests.lab import HEADERS

from .rest_client import Client
from .school import API, School
from .slow import SLOW

SECONDS = 60
HERE = f"{API}/workspaces/class"
DOWNLOAD_BYTES = 64 << 20  # more than sockets hold


async def begun(school: School, who: str, verb: str) -> dict[str, Any]:
    """The operation of that kind that somebody sees, once there is one."""
    found: list[dict[str, Any]] = []
    client = Client(school.lab)
    client.be(school.tokens[who])

    def look() -> bool:
        found[:] = [row for row in client.ok("GET", "operations")["operations"] if row["verb"] == verb]
        return bool(found)

    await asyncio.to_thread(wait_until, look, SECONDS, f"a {verb} is under way")
    return found[0]


async def versions(school: School) -> list[int]:
    return [one["version"] for one in (await school.made("owner", "GET", f"{HERE}/snapshots"))["snapshots"]]


@pytest.fixture
async def slow(school: School) -> AsyncIterator[School]:
    """The workspace has a kernel whose variables take long: until `go` is there."""
    go(school).unlink(missing_ok=True)
    await school.made("owner", "POST", f"{HERE}/execute", {"code": SLOW})
    yield school
    go(school).touch()


def go(school: School) -> Path:
    return school.lab.root / "workspaces" / "class" / "go"


async def test_a_save_is_cancelled_by_who_may_save(slow: School) -> None:
    """Who may look on sees it; of others than who asked for it an editor takes it back. Nothing is left of it."""
    before = await versions(slow)
    me = (await slow.made("owner", "GET", "/api/me"))["identity"]["username"]
    saving = asyncio.ensure_future(slow.ask("owner", "POST", f"{HERE}/snapshots"))
    one = await begun(slow, "vic", "snapshot")
    assert (one["user"], one["workspace"], one["cancellable"]) == (me, "class", True)
    mine = [len((await slow.made(who, "GET", f"{API}/operations?mine=true"))["operations"]) for who in ("owner", "eve")]
    seen = len((await slow.made("sam", "GET", f"{API}/operations"))["operations"])
    assert (mine, seen) == ([1, 0], 0)
    address = f"{HERE}/operations/{one['id']}"
    assert [await slow.status(who, "DELETE", address) for who in ("sam", "vic", "rob", "eve")] == [403, 403, 403, 204]
    go(slow).touch()
    answer = await saving
    assert (answer.code, b'"cancelled"' in answer.body) == (409, True)
    assert await versions(slow) == before
    assert await slow.status("owner", "DELETE", address) == 404
    assert (await slow.made("owner", "GET", f"{API}/operations"))["operations"] == []


async def test_a_terminal_elsewhere_takes_its_save_back(slow: School, tmp_path: Path) -> None:
    """By Ctrl-C, which the server is told of; the program says what came of it."""
    before = await versions(slow)
    environ = {**os.environ, "HOME": str(tmp_path), "SYLA_SERVER": slow.url("/"), "SYLA_TOKEN": slow.tokens["eve"]}
    arguments = ["-m", "syla_jupyter.cli.main", "snapshot", "take", (await slow.made("eve", "GET", HERE))["id"]]
    child = pexpect.spawn(sys.executable, arguments, env=environ, cwd=tmp_path, encoding="utf-8", timeout=SECONDS)
    try:
        await begun(slow, "eve", "snapshot")
        child.kill(signal.SIGINT)
        await asyncio.to_thread(child.expect, "Taking it back")
        await asyncio.to_thread(wait_until, lambda: cancelled(slow), SECONDS, "the server knows")
        go(slow).touch()
        await asyncio.to_thread(child.expect, "Cancelled")
        await asyncio.to_thread(child.expect, pexpect.EOF)
    finally:
        child.close(force=True)
    assert (child.exitstatus, await versions(slow)) == (130, before)


def cancelled(school: School) -> bool:
    rows = Client(school.lab).ok("GET", "operations")["operations"]
    return [row["cancelled"] for row in rows if row["verb"] == "snapshot"] == [True]


async def test_a_download_that_is_cancelled_is_no_file(school: School) -> None:
    """It ends in the middle, so that nobody takes it for the whole, and the server keeps nothing of it."""
    (school.lab.root / "workspaces" / "class" / "large").write_bytes(os.urandom(DOWNLOAD_BYTES))
    number = (await school.made("owner", "POST", f"{HERE}/snapshots"))["snapshot"]["version"]

    def read() -> int:
        url = school.url(f"{HERE}/export")
        with requests.post(url, json={"version": number}, headers=HEADERS, stream=True, timeout=SECONDS) as answer:
            assert answer.status_code == 200
            (one,) = Client(school.lab).ok("GET", "operations")["operations"]
            assert (one["verb"], one["bytes_done"] > 0) == ("export", True)
            Client(school.lab).ok("DELETE", f"workspaces/class/operations/{one['id']}")
            total = int(answer.headers["Content-Length"])
            with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
                for _ in answer.iter_content(1 << 20):
                    pass
            return total

    assert await asyncio.to_thread(read) > DOWNLOAD_BYTES
    links = Path(f"/proc/{school.lab.process.pid}/fd")

    def kept() -> list[str]:
        targets = [os.readlink(link) for link in links.iterdir() if link.is_symlink()]
        return [target for target in targets if target.startswith(str(school.lab.data_dir)) and "deleted" in target]

    await asyncio.to_thread(wait_until, lambda: not kept(), SECONDS, "no temporary file is open")
    assert Client(school.lab).ok("GET", "operations")["operations"] == []
