"""Sizes on disk: what is counted, what a walk costs, and what the sweep does about them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from syla_jupyter.model.errors import NoSpace
from syla_jupyter.model.record import State, WorkspaceRecord
from syla_jupyter.model.workspace import GIB, MIB, Limits
from syla_jupyter.runtimes.base import LABEL_EXECUTION
from syla_jupyter.workspaces import disk
from syla_jupyter.workspaces.disk import DEPTH_MAX, DiskMeter, check_free, free_bytes, walked
from syla_jupyter.workspaces.disk_quota import DiskQuotas, facts_at
from syla_jupyter.workspaces.disk_watch import GRACE_SECONDS, DiskWatch
from syla_jupyter.workspaces.project_quota import DiskFacts, MountPoint, candidates, in_force, is_ours, mount_of

from ..local_installation import Local, local_installation
from .clocks import HandClock

LIMIT = 10 * MIB
MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
30 22 254:16 / /srv rw,relatime - xfs /dev/vdb rw,attr2,prjquota
31 22 254:32 / /mnt/with\\040space rw - ext4 /dev/vdc rw,prjquota
32 30 0:50 / /srv/tmp rw shared:3 master:1 - tmpfs tmpfs rw
33 22 254:48 / /counted rw - xfs /dev/vdd rw,pqnoenforce
nonsense
"""


class SteppingClock(HandClock):
    """Each look at it takes a while."""

    def __init__(self, step: float) -> None:
        super().__init__()
        self._step, self.looks = step, 0

    def monotonic(self) -> float:
        self._monotonic += self._step
        self.looks += 1
        return self._monotonic


def size(*roots: Path) -> int:
    return sum(walked(roots))


def written(path: Path, count: int) -> Path:
    path.write_bytes(b"x" * count)
    return path


# -- what is counted ---------------------------------------------------------------------------------------------


def test_allocated_blocks_are_counted_and_a_file_with_two_names_once(tmp_path: Path) -> None:
    empty = size(tmp_path)
    written(tmp_path / "a", MIB)
    os.link(tmp_path / "a", tmp_path / "b")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(GIB)
    assert MIB <= size(tmp_path) - empty < MIB + 16384


def test_no_link_is_followed_and_nothing_outside_counted(tmp_path: Path) -> None:
    """Links to files, to directories, in place of the root itself, and to what is not there."""
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    written(outside / "big", 5 * MIB)
    root.mkdir()
    for name, target in (("file", outside / "big"), ("dir", outside), ("up", ".."), ("loop", "loop"), ("no", "x")):
        (root / name).symlink_to(target)
    assert size(root) < MIB
    (tmp_path / "link").symlink_to(outside)
    assert size(tmp_path / "link") == 0
    assert size(tmp_path / "missing") == 0


def test_pipes_sockets_and_bad_names_stop_no_walk(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with open(os.path.join(os.fsencode(tmp_path), b"\xff\xfe"), "wb") as file:
        file.write(b"x" * MIB)
    assert size(tmp_path) >= MIB


def test_a_tree_too_deep_is_not_followed_to_its_end(tmp_path: Path) -> None:
    """It ends, and holds no more than one directory open at a time."""
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(DEPTH_MAX + 50):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    before = len(os.listdir("/proc/self/fd"))
    walk = walked([tmp_path])
    next(walk)
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    assert sum(walk) > 0


def test_more_directories_than_can_be_remembered_are_not_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many a container makes in one place, the walk holds so many names and ends."""
    monkeypatch.setattr(disk, "PENDING_MAX", 10)
    for number in range(30):
        (tmp_path / str(number)).mkdir()
        written(tmp_path / str(number) / "f", MIB)
    assert 10 * MIB <= size(tmp_path) < 11 * MIB


def test_a_directory_exchanged_for_a_link_during_the_walk_leads_nowhere(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    written(outside / "big", 5 * MIB)
    (root / "sub").mkdir(parents=True)
    walk = walked([root])
    counted = next(walk)  # `sub` was seen as a directory
    (root / "sub").rmdir()
    (root / "sub").symlink_to(outside)
    assert counted + sum(walk) < MIB


# -- a little at a time ------------------------------------------------------------------------------------------


def test_a_walk_stops_when_its_time_is_over_and_goes_on_from_there(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / str(number)).mkdir()
        written(tmp_path / str(number) / "f", 4096)
    clock = SteppingClock(0.1)
    meter = DiskMeter(clock=clock, budget_seconds=1.0)
    calls = 1
    while not (found := meter.measure({"w": [tmp_path]})):
        calls += 1
        assert calls < 100
    assert found["w"].bytes == size(tmp_path)
    assert calls >= 4
    assert clock.looks < 20 * calls


def test_whose_size_is_oldest_is_measured_next_and_growth_is_told(tmp_path: Path) -> None:
    places = {name: [tmp_path / name] for name in "abc"}
    for name in places:
        (tmp_path / name).mkdir()
    clock = HandClock()
    meter = DiskMeter(clock=clock)
    first = meter.measure(places)
    assert first.keys() == places.keys()
    assert [found.grown_bytes for found in first.values()] == [0, 0, 0]
    clock.move(60)
    written(tmp_path / "b" / "f", MIB)
    second = meter.measure(places)
    assert second["b"].grown_bytes >= MIB
    assert second["a"].grown_bytes == 0
    assert meter.measure({"a": places["a"]}).keys() == {"a"}
    assert meter.measure(places)["b"].grown_bytes == 0  # forgotten meanwhile: the first again


# -- what is done ------------------------------------------------------------------------------------------------


class Watched:
    def __init__(self, local: Local) -> None:
        self.local, self.clock = local, local.clock
        self.warnings: list[str] = []
        self.free = 100 * GIB
        self.watch = DiskWatch(
            registry=local.registry,
            places=local.places,
            clock=local.clock,
            floor_bytes=GIB,
            warned=lambda record, message: self.warnings.append(message),
            free=lambda place: (1, self.free),
        )

    def running(self, name: str = "proj") -> WorkspaceRecord:
        record = self.local.create(name, limits=Limits(1, 512 * MIB, LIMIT))
        self.local.registry.open(record.id)
        return self.now(record)

    def now(self, record: WorkspaceRecord) -> WorkspaceRecord:
        return self.local.store.get(record.id)

    def sweep(self) -> list[str]:
        self.clock.move(60)
        return self.watch.sweep()


@pytest.fixture
def watched() -> Iterator[Watched]:
    with local_installation(HandClock()) as local:
        yield Watched(local)


def test_a_warning_from_80_percent_on_once_and_suspension_at_the_limit(watched: Watched) -> None:
    """Files and home count together; the record and its reason say how much of what."""
    record = watched.running()
    home = watched.local.places.home(record)
    assert watched.sweep() == []
    written(record.files / "a", 5 * MIB)
    written(home / "b", 3 * MIB)
    assert len(watched.sweep()) == 1
    assert watched.sweep() == []
    assert len(watched.warnings) == 1
    assert "80 %" in watched.warnings[0]
    assert watched.now(record).state is State.ACTIVE
    assert watched.now(record).disk_bytes >= 8 * MIB
    written(home / "c", 2 * MIB)
    watched.sweep()
    now = watched.now(record)
    assert now.frozen
    assert "10 MB of 10 MB on disk used" in now.reason
    assert now.disk_bytes >= LIMIT


def test_a_full_one_that_is_resumed_has_time_to_delete(watched: Watched) -> None:
    """It is suspended again when it grows, or when it is full for long; not when it was emptied."""
    record = watched.running()
    written(record.files / "a", LIMIT)
    watched.sweep()
    resume = watched.local.registry.resume
    resume(record.id)
    watched.sweep()
    assert watched.now(record).state is State.ACTIVE
    written(record.files / "b", MIB)
    watched.sweep()
    assert watched.now(record).frozen
    resume(record.id)
    watched.sweep()
    watched.clock.move(GRACE_SECONDS)
    watched.sweep()
    assert watched.now(record).frozen
    resume(record.id)
    for name in "ab":
        (record.files / name).unlink()
    watched.clock.move(GRACE_SECONDS)
    watched.sweep()
    assert watched.now(record).state is State.ACTIVE


def test_the_users_own_files_in_the_default_workspace_do_not_count(watched: Watched) -> None:
    registry = watched.local.registry
    record, _ = registry.catalog.default(watched.local.root, watched.local.settings.template)
    registry.open(record.id)
    written(watched.local.root / "mine", 5 * MIB)
    watched.sweep()
    assert watched.now(record).disk_bytes < MIB


def test_when_the_host_runs_full_who_grew_is_suspended_and_nothing_starts(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    writer, reader, idle = watched.running("writer"), watched.running("reader"), watched.local.create("idle")
    watched.sweep()
    written(writer.files / "a", 6 * MIB)
    watched.free = GIB // 2
    watched.sweep()
    assert watched.now(writer).frozen
    assert "512 MB free" in watched.now(writer).reason
    assert watched.now(reader).state is State.ACTIVE
    watched.sweep()
    assert sum("no workspace is started" in message for message in caplog.messages) == 1
    assert idle.state is State.CREATED


def test_one_that_cannot_be_suspended_keeps_nobody_from_the_others(watched: Watched) -> None:
    first, second = watched.running("first"), watched.running("second")
    for record in (first, second):
        written(record.files / "a", LIMIT)
    (container,) = watched.local.runtime.find({LABEL_EXECUTION: first.execution})
    watched.local.runtime.refuses.add(container.id)
    watched.sweep()
    assert watched.now(first).state is State.ACTIVE
    assert watched.now(second).frozen


def test_a_start_below_the_floor_is_refused_with_a_way_out() -> None:
    with local_installation(HandClock(), disk_floor_bytes=1 << 60) as local:
        record = local.create("proj")
        with pytest.raises(NoSpace, match="stay reserved") as raised:
            local.registry.open(record.id)
        assert raised.value.hint
        assert local.runtime.find({}) == []
        assert local.store.get(record.id).state is State.CREATED


def test_free_space_is_that_of_what_is_there(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "yet")[0] == tmp_path.stat().st_dev
    check_free([tmp_path / "not" / "yet"], 0)
    with pytest.raises(NoSpace):
        check_free([tmp_path], 1 << 62)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("/home/ann", ("/", "ext4", False)),
        ("/srv/data", ("/srv", "xfs", True)),
        ("/srv/tmp/x", ("/srv/tmp", "tmpfs", False)),
        ("/mnt/with space/x", ("/mnt/with space", "ext4", True)),
        ("/mnt/without", ("/", "ext4", False)),
        ("/counted", ("/counted", "xfs", False)),
    ],
)
def test_project_quotas_are_seen_where_they_are_enforced(place: str, expected: tuple[str, str, bool]) -> None:
    mount = mount_of(Path(place), MOUNTS)
    assert mount is not None
    assert (str(mount.place), mount.type, mount.project_quota) == expected
    assert mount_of(Path("/x"), "") is None


ON = DiskFacts(MountPoint(Path("/srv"), "xfs", True), 0, privileged=True, answers=True, machine="x86_64")


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ({"mount": None}, "nothing is known"),
        ({"mount": MountPoint(Path("/"), "btrfs", False)}, "btrfs on / has no project quotas"),
        ({"mount": MountPoint(Path("/srv"), "ext4", False)}, "has no project quotas on"),
        ({"privileged": False}, "only root"),
        ({"machine": "riscv64"}, "on riscv64 nothing keeps"),
        ({"project": 78}, "project 78"),
        ({"answers": False}, "Linux 5.14"),
    ],
)
def test_a_quota_is_in_force_only_where_nothing_is_missing(missing: dict[str, object], words: str) -> None:
    assert in_force(ON).hard
    found = in_force(dataclasses.replace(ON, **missing))  # type: ignore[arg-type]
    assert not found.hard
    assert words in found.reason
    assert bool(found.mend) == (words == "has no project quotas on")


def test_numbers_of_projects_are_a_workspaces_own_and_above_those_of_others() -> None:
    found = {id: list(candidates(id)) for id in ("0123456789ab", "0123456789ac")}
    first, second = found.values()
    assert first == list(candidates("0123456789ab"))
    assert len({*first, *second}) == 32
    assert all(is_ours(number) for number in first + second)
    assert not any(is_ours(number) for number in (0, 77, 1 << 20, (1 << 30) - 1, 1 << 31, (1 << 32) - 1))


def test_where_there_are_no_quotas_nothing_is_held_and_everything_measured(tmp_path: Path) -> None:
    quotas = DiskQuotas(lambda place: in_force(dataclasses.replace(facts_at(place), mount=None)))
    assert not quotas.hold("ab", [tmp_path, tmp_path / "missing"], MIB)
    quotas.change("ab", [tmp_path], MIB)
    with quotas.lifted("ab", [tmp_path]):
        assert quotas.used_bytes("ab", [tmp_path]) is None
    quotas.release("ab", [tmp_path])
    assert quotas.disk_of("ab", tmp_path) == tmp_path


def test_this_machine_is_understood(tmp_path: Path) -> None:
    assert in_force(facts_at(tmp_path / "not" / "yet")).reason
    with contextlib.suppress(FileNotFoundError):
        assert mount_of(tmp_path, Path("/proc/self/mountinfo").read_text()) is not None
