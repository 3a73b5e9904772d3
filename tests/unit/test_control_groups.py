"""What control groups say of a frozen process, in both versions, and when they say nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from syla_jupyter.runtimes.control_groups import (
    ContainerGroup,
    ProcessCount,
    is_frozen,
    memory_limit_bytes,
    process_count,
)

V1 = "9:freezer:/docker/abc\n4:memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/system.slice\n"
V2 = "0::/system.slice/docker-abc.scope\n"


def written(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


@pytest.mark.parametrize(("state", "frozen"), [("THAWED\n", False), ("FREEZING\n", True), ("FROZEN\n", True)])
def test_version_1(tmp_path: Path, state: str, frozen: bool) -> None:
    written(tmp_path, "proc/7/cgroup", V1)
    written(tmp_path, "groups/freezer/docker/abc/freezer.state", state)
    assert is_frozen(7, tmp_path / "proc", tmp_path / "groups") is frozen


@pytest.mark.parametrize(("state", "frozen"), [("frozen 0", False), ("frozen 1", True)])
def test_version_2(tmp_path: Path, state: str, frozen: bool) -> None:
    written(tmp_path, "proc/7/cgroup", V2)
    written(tmp_path, "groups/system.slice/docker-abc.scope/cgroup.events", f"populated 1\n{state}\n")
    assert is_frozen(7, tmp_path / "proc", tmp_path / "groups") is frozen


def test_what_cannot_be_read_is_not_frozen(tmp_path: Path) -> None:
    """A process that is gone, and groups that are somebody else's or of no form we know."""
    assert is_frozen(7, tmp_path) is False
    written(tmp_path, "7/cgroup", "nonsense\n")
    assert is_frozen(7, tmp_path, tmp_path) is False
    written(tmp_path, "7/cgroup", V2)
    assert is_frozen(7, tmp_path, tmp_path) is False
    assert is_frozen(os.getpid()) is False


@pytest.mark.parametrize(("text", "limit"), [("536870912\n", 512 << 20), ("9223372036854771712\n", None), ("x", None)])
def test_the_memory_limit_in_version_1(tmp_path: Path, text: str, limit: int | None) -> None:
    written(tmp_path, "proc/7/cgroup", V1)
    written(tmp_path, "groups/memory/docker/abc/memory.limit_in_bytes", text)
    assert memory_limit_bytes(7, tmp_path / "proc", tmp_path / "groups") == limit


@pytest.mark.parametrize(("text", "limit"), [("536870912\n", 512 << 20), ("max\n", None)])
def test_the_memory_limit_in_version_2(tmp_path: Path, text: str, limit: int | None) -> None:
    written(tmp_path, "proc/7/cgroup", V2)
    written(tmp_path, "groups/system.slice/docker-abc.scope/memory.max", text)
    assert memory_limit_bytes(7, tmp_path / "proc", tmp_path / "groups") == limit
    assert memory_limit_bytes(8, tmp_path / "proc", tmp_path / "groups") is None


ID = "ab" * 32


@pytest.mark.parametrize("place", ["docker/{}", "system.slice/docker-{}.scope"])
def test_a_container_of_version_1_is_frozen_by_one_write(tmp_path: Path, place: str) -> None:
    """A plain file gives back what was written, which is what the kernel's does when all stands still."""
    state = f"freezer/{place.format(ID)}/freezer.state"
    written(tmp_path, state, "THAWED\n")
    group = ContainerGroup.of(ID, tmp_path)
    assert group is not None
    assert not group.frozen
    assert not group.freeze()  # it said FROZEN without the end of line, so it is no answer: it goes on
    assert (tmp_path / state).read_text() == "THAWED"
    written(tmp_path, state, "FROZEN\n")
    assert group.frozen


@pytest.mark.parametrize("place", ["docker/{}", "system.slice/docker-{}.scope"])
def test_a_container_of_version_2(tmp_path: Path, place: str) -> None:
    directory = place.format(ID)
    written(tmp_path, f"{directory}/cgroup.freeze", "0\n")
    written(tmp_path, f"{directory}/cgroup.events", "populated 1\nfrozen 1\n")
    group = ContainerGroup.of(ID, tmp_path)
    assert group is not None
    assert group.freeze()
    assert (tmp_path / directory / "cgroup.freeze").read_text() == "1"
    written(tmp_path, f"{directory}/cgroup.events", "populated 1\nfrozen 0\n")
    group.thaw()
    assert (tmp_path / directory / "cgroup.freeze").read_text() == "0"
    assert not group.freeze()  # what does not stand still in time goes on
    assert (tmp_path / directory / "cgroup.freeze").read_text() == "0"


def test_a_container_that_is_elsewhere_or_ends(tmp_path: Path) -> None:
    """The engine is asked then."""
    assert ContainerGroup.of(ID, tmp_path) is None
    written(tmp_path, "freezer/docker/x/freezer.state", "THAWED\n")
    assert ContainerGroup.of("x", tmp_path) is None  # an id, not a path
    assert ContainerGroup.of("../x", tmp_path) is None
    written(tmp_path, f"docker/{ID}/cgroup.freeze", "0\n")
    group = ContainerGroup.of(ID, tmp_path)
    assert group is not None
    with pytest.raises(OSError, match="cgroup.events"):
        group.freeze()


@pytest.mark.parametrize(("cgroup", "group"), [(V1, "pids/docker/abc"), (V2, "system.slice/docker-abc.scope")])
def test_processes(tmp_path: Path, cgroup: str, group: str) -> None:
    """The limit, and how often it was met, in both versions; nothing of what is gone or has another form."""
    written(tmp_path, "proc/7/cgroup", cgroup.replace("9:freezer", "10:pids:/docker/abc\n9:freezer"))
    assert process_count(7, tmp_path / "proc", tmp_path / "groups") is None
    written(tmp_path, f"groups/{group}/pids.max", "512\n")
    written(tmp_path, f"groups/{group}/pids.events", "max 3\n")
    assert process_count(7, tmp_path / "proc", tmp_path / "groups") == ProcessCount(512, 3)
    written(tmp_path, f"groups/{group}/pids.max", "max\n")
    assert process_count(7, tmp_path / "proc", tmp_path / "groups") == ProcessCount(None, 3)
    assert process_count(8, tmp_path / "proc", tmp_path / "groups") is None
