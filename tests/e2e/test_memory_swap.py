"""A suspended workspace gives its memory back to the host, with a real kernel, engine and swap."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from syla_jupyter import Syla, app
from syla_jupyter.config import load_settings
from syla_jupyter.model.workspace import MIB
from syla_jupyter.runtimes.control_groups import ContainerGroup, is_frozen
from syla_jupyter.runtimes.memory_reclaim import memory_directory, resident_bytes, swap_free_bytes
from syla_jupyter.workspaces.engine import Engine

from ..installation import Installation

SWAP_BYTES, HELD_BYTES = 1024 * MIB, 200 * MIB
MAKE = f"import os; held = bytearray(os.urandom({MIB})) * {HELD_BYTES // MIB}; mark = held[12345::{MIB}]"


@pytest.fixture
def swap(tmp_path: Path) -> Iterator[None]:
    """So much of it is free, in a file of ours where there was less; it is gone afterwards."""
    if swap_free_bytes() >= SWAP_BYTES:
        yield
        return
    file = tmp_path / "swap"
    with file.open("wb") as opened:
        os.posix_fallocate(opened.fileno(), 0, SWAP_BYTES)
    file.chmod(0o600)
    for command in ("mkswap", "swapon"):
        ended = subprocess.run([f"/sbin/{command}", str(file)], capture_output=True, text=True, check=False)
        if ended.returncode:
            pytest.skip(f"this machine gives no swap to test with: {command}: {ended.stderr.strip()}")
    yield
    subprocess.run(["/sbin/swapoff", str(file)], check=True)


def test_memory_of_a_frozen_kernel_goes_to_swap_and_comes_back(swap: None, idle_after: Installation) -> None:
    """Nearly all of it goes, the host has it back, and after the resume each byte is what it was."""
    settings = load_settings(None, os.environ)
    application = app.build(settings, os.environ)
    with Syla() as syla:
        workspace = syla.create("sleeper", type="session")
        try:
            assert workspace.execute(MAKE).error is None
            (record,) = [one for one in application.registry().catalog.running() if one.name == "sleeper"]
            engine = Engine(application.runtime, settings.run_dir)
            id = engine._id(record)
            if ContainerGroup.of(id) is None:
                pytest.skip("who is not root moves no memory of containers")
            memory = memory_directory(id)
            assert memory is not None, "the kernel of this host has neither memory.reclaim nor memory.force_empty"
            assert engine.reclaim(record) == 0, "it runs"
            workspace.suspend()
            before = resident_bytes(memory)
            assert before > HELD_BYTES
            moved = engine.reclaim(record)
            after = resident_bytes(memory)
            assert moved > 0.8 * before, (before, moved, after)
            assert after < 0.2 * before, (before, moved, after)
            workspace.resume()
            assert not is_frozen(int((memory / "cgroup.procs").read_text().split()[0]))
            same = workspace.execute(f"len(held), held[12345::{MIB}] == mark").result
            assert same == {"text/plain": f"({HELD_BYTES}, True)"}
        finally:
            workspace.delete(confirmed=True)
    application.store().close()
