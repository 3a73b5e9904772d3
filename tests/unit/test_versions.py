"""Versions of workspaces in a real object store, with real agents as plain processes: all but containers."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import logging
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from syla_jupyter.metadata.sql import open_store
from syla_jupyter.model.clock import SystemClock
from syla_jupyter.model.errors import (
    BadInput,
    BadPath,
    Cancelled,
    Conflict,
    KeyRefused,
    NotConfirmed,
    ObjectsFailed,
    SnapshotDamaged,
    SylaError,
    UnknownVersion,
    UnknownWorkspace,
    WrongState,
)
from syla_jupyter.model.policy import MINUTE, Policy
from syla_jupyter.model.record import State, WorkspaceRecord
from syla_jupyter.model.retention import Retention
from syla_jupyter.model.snapshot import Reason
from syla_jupyter.objects.base import ObjectStore
from syla_jupyter.objects.local import LocalObjects
from syla_jupyter.runtimes.removal import remove_tree
from syla_jupyter.snapshots.keys import KeyRing, LocalKey, MasterKey
from syla_jupyter.testing.faulty_objects import Call, Fault, FaultyObjects, at
from syla_jupyter.testing.memory_objects import MemoryObjects
from syla_jupyter.workspaces.entries import Entries, Entry
from syla_jupyter.workspaces.inventory import packages
from syla_jupyter.workspaces.replica import replicate
from syla_jupyter.workspaces.snapshot_timer import SnapshotTimer
from syla_jupyter.workspaces.vault import Saved, Watch

from ..local_installation import PLENTY, Local, connect, local_installation
from .clocks import HandClock


@pytest.fixture
def shared() -> Iterator[Path]:
    """What two installations share: a store, and a master key beside it."""
    with tempfile.TemporaryDirectory(prefix="st", dir="/tmp") as directory:
        yield Path(directory) / "store"


@pytest.fixture
def local(shared: Path) -> Iterator[Local]:
    with local_installation(SystemClock(), snapshot_store=str(shared)) as made:
        yield made


def filled(local: Local, name: str = "proj", large: int = 3 << 20) -> WorkspaceRecord:
    record: WorkspaceRecord = local.create(name)
    (record.files / "a.txt").write_text("first")
    (record.files / "sub").mkdir()
    (record.files / "sub" / "b.bin").write_bytes(os.urandom(large))
    (record.files / "link").symlink_to("/etc/passwd")
    home = local.places.home(record)
    (home / ".local/lib/python3.11/site-packages/numpy-2.1.0.dist-info").mkdir(parents=True)
    (home / ".bashrc").write_text("alias ll='ls -l'\n")
    return record


def contents(record: WorkspaceRecord, local: Local) -> dict[str, object]:
    found: dict[str, object] = {}
    for top in (record.files, local.places.home(record)):
        for path in sorted(top.rglob("*")):
            at = f"{top.name if top is record.files else 'home'}/{path.relative_to(top)}"
            found[at] = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
    return found


def on_disk(record: WorkspaceRecord, local: Local) -> list[Path]:
    places = (record.files, local.places.home(record), local.places.archived(record))
    return [place for place in places if os.path.lexists(place)]


# -- take and go back ----------------------------------------------------------------------------------------------


def test_take_break_restore(local: Local) -> None:
    """All of it is as it was; what was overwritten is a version too, and can be had back."""
    record = filled(local)
    before = contents(record, local)
    taken = local.versions.take(record.id, author="ann", message="before", tags=["good"])
    assert taken.version is not None
    assert (taken.version.number, taken.version.tags, taken.consistent) == (1, ("good",), True)
    assert taken.version.details["packages"] == {"numpy": "2.1.0"}
    assert len(list(local.vault.objects.list(f"workspaces/{record.id}/log/"))) == 1  # never without its tags
    (record.files / "a.txt").write_text("broken")
    (record.files / "link").unlink()
    (record.files / "new").write_text("new")
    rewound = local.versions.restore(record.id, 1, author="ann")
    assert contents(record, local) == before
    assert rewound.before is not None
    assert (rewound.before.reason, rewound.before.number) == (Reason.PRE_RESTORE, 2)
    local.versions.restore(record.id, 2, author="ann")
    assert (record.files / "a.txt").read_text() == "broken"
    difference = local.versions.diff(record.id, 1, 2)
    assert [c.path for c in difference.files.changed] == ["files/a.txt"]
    assert [c.path for c in difference.files.added] == ["files/new"]
    assert [c.path for c in difference.files.removed] == ["files/link"]
    lines = local.versions.file_diff(record.id, 1, 2, "files/a.txt").lines
    assert [(line.sign, line.text) for line in lines] == [("removed", "first"), ("added", "broken")]
    for path in ("files/new", "files/sub", "files/link", "../a", "files/\udcff"):
        with pytest.raises(BadPath):
            local.versions.file_diff(record.id, 1, 2, path)
    assert local.versions.verify(record.id, data=True).ok


def test_paths_go_back_beneath_a_container_that_runs_on(local: Local) -> None:
    record = filled(local)
    local.registry.open(record.id)
    local.versions.take(record.id, author="ann")
    (record.files / "a.txt").write_text("broken")
    (record.files / "sub" / "b.bin").write_text("kept")
    execution = local.store.get(record.id).execution
    local.versions.restore(record.id, 1, author="ann", paths=["a.txt", "home/.bashrc"])
    assert (record.files / "a.txt").read_text() == "first"
    assert (record.files / "sub" / "b.bin").read_text() == "kept"
    now = local.store.get(record.id)
    assert (now.state, now.execution) == (State.ACTIVE, execution)
    with pytest.raises(SylaError):
        local.versions.restore(record.id, 1, author="ann", paths=["../../etc/passwd"])


def test_a_running_workspace_stands_still_for_a_moment_only(local: Local) -> None:
    """It is frozen while it is saved and runs afterwards; a whole version ends its container, and says so."""
    record = filled(local)
    local.registry.open(record.id)
    local.runtime.calls.clear()
    assert local.versions.take(record.id, author="ann").consistent
    assert [call for call in local.runtime.calls if call in ("freeze", "thaw")] == ["freeze", "thaw"]
    assert local.store.get(record.id).state is State.ACTIVE
    with local.registry.standing_still(record.id, seconds=60) as standing:
        local.registry.open(record.id)  # somebody has a message for it
        assert not standing.still()
    assert not local.registry.finish()
    rewound = local.versions.restore(record.id, 1, author="ann")
    assert (rewound.record.state, rewound.record.execution) == (State.SUSPENDED, "")
    assert rewound.record.reason == "version 1 was restored"


def test_the_default_workspace_is_not_exchanged(local: Local) -> None:
    record, _ = local.registry.catalog.default(local.root, "python")
    (local.root / "notes.txt").write_text("mine")
    local.create("other")
    taken = local.versions.take(record.id, author="ann")
    assert taken.version is not None
    assert taken.version.files == 1  # what is another workspace's is not in it
    with pytest.raises(BadInput, match="paths"):
        local.versions.restore(record.id, 1, author="ann")
    (local.root / "notes.txt").unlink()
    local.versions.restore(record.id, 1, author="ann", paths=["notes.txt"])
    assert (local.root / "notes.txt").read_text() == "mine"


def test_a_save_that_is_taken_back_leaves_nothing(local: Local) -> None:
    record = filled(local)
    with pytest.raises(Cancelled):
        local.versions.take(record.id, author="ann", watch=Watch(cancelled=lambda: True))
    assert local.versions.all(record.id) == []
    assert local.versions.take(record.id, author="ann").version is not None


def test_every_version_is_told_whoever_had_it_taken(local: Local, tmp_path: Path) -> None:
    """By hand, by a stop, before a restore, by an archive, by an import; where nothing changed, nobody."""
    told: list[tuple[str, str, int]] = []

    def fails(saved: Saved) -> None:
        raise RuntimeError("on purpose")

    local.vault.listeners = [
        fails,
        lambda saved: told.append((saved.record.name, saved.version.reason.value, saved.report.stats.new_chunks)),
    ]
    record = filled(local)
    for text, verb in (
        ("1", lambda: local.versions.take(record.id, author="ann")),
        ("1", lambda: local.versions.take(record.id, author="ann", if_changed=True)),
        ("2", lambda: (local.registry.open(record.id), local.registry.suspend(record.id, stop=True))),
        ("3", lambda: local.versions.restore(record.id, 1, author="ann")),
        ("4", lambda: local.registry.archive(record.id)),
    ):
        if (record.files / "a.txt").read_text() != text:
            (record.files / "a.txt").write_text(text)
        verb()
    with (tmp_path / "file").open("w+b") as file:
        local.copies.export(record.id, file, author="ann")
        file.seek(0)
        local.copies.receive(file, root=local.root, author="ann", name="imported")
    assert [(name, reason) for name, reason, _ in told] == [
        ("proj", "manual"), ("proj", "suspend"), ("proj", "pre_restore"), ("proj", "archive"), ("imported", "import"),
    ]  # fmt: skip
    assert all(chunks for _, _, chunks in told)


# -- archive and back ----------------------------------------------------------------------------------------------


def test_an_archive_frees_the_machine_and_recover_brings_all_back(local: Local) -> None:
    record = filled(local)
    before = contents(record, local)
    local.registry.open(record.id)
    assert local.registry.archive(record.id).state is State.ARCHIVED
    assert on_disk(record, local) == []
    assert local.registry.archive(record.id).state is State.ARCHIVED
    with pytest.raises(WrongState):
        local.versions.take(record.id, author="ann")
    with pytest.raises(WrongState, match="all there is of it"):
        local.versions.delete(record.id, [1])
    record.files.mkdir()
    (record.files / "somebody's").write_text("other")
    with pytest.raises(NotConfirmed):
        local.registry.recover(record.id)
    local.registry.finish()
    assert (record.files / "somebody's").exists()
    (record.files / "somebody's").unlink()
    assert local.registry.recover(record.id).state is State.SUSPENDED
    assert contents(record, local) == before
    assert local.registry.resume(record.id)[1] == "restarted"


def test_the_newest_version_is_not_deleted_while_it_becomes_all_there_is(local: Local) -> None:
    """Who asks during an archive gets the answer of after it."""
    record = filled(local)
    refused: list[SylaError] = []

    def delete() -> None:
        try:
            local.versions.delete(record.id, [1])
        except SylaError as exc:
            refused.append(exc)

    asking = threading.Thread(target=delete, name="deleting")
    local.registry._reach = lambda verb, step: asking.start() if (verb, step) == ("archive", "saved") else None
    local.registry.archive(record.id)
    asking.join(60)
    assert [type(exc) for exc in refused] == [WrongState]
    assert local.registry.recover(record.id).state is State.SUSPENDED


def test_resume_recovers_an_archived_workspace(local: Local) -> None:
    record = filled(local)
    local.registry.archive(record.id)
    assert local.registry.resume(record.id)[1] == "recovered"
    assert (record.files / "a.txt").read_text() == "first"


def test_what_is_written_while_it_is_archived_is_saved_too(local: Local) -> None:
    record = filled(local)

    def reach(verb: str, step: str) -> None:
        if (verb, step) == ("archive", "container"):
            (record.files / "late.txt").write_text("late")

    local.registry._reach = reach
    local.registry.archive(record.id)
    assert on_disk(record, local) == []
    local.registry.recover(record.id)
    assert (record.files / "late.txt").read_text() == "late"


def test_a_store_that_does_not_answer_refuses_the_archive_and_loses_nothing(shared: Path) -> None:
    """Whatever call it is that fails, the workspace runs on as it was; the next try is complete."""
    faults: list[int] = []
    counted = [0]

    def plan(call: Call) -> Fault | None:
        counted[0] += 1
        return Fault.ERROR if faults and counted[0] == faults[0] else None

    objects = FaultyObjects(LocalObjects(shared), plan)
    with local_installation(SystemClock(), snapshot_store=str(shared), objects=objects) as local:
        record = filled(local, large=1000)
        local.registry.open(record.id)
        before = contents(record, local)
        for number in range(1, 200):
            faults[:] = [number]
            counted[0] = 0
            try:
                local.registry.archive(record.id)
                refused = False
            except (ObjectsFailed, SnapshotDamaged):
                refused = True
            done = counted[0] < number
            faults.clear()
            now = local.store.get(record.id)
            if now.state is State.ARCHIVED:
                local.registry.finish()
                assert on_disk(record, local) == []
                local.registry.recover(record.id)
                local.registry.open(record.id)
            else:
                assert refused
                assert now.state is State.ACTIVE
                assert not local.registry.open(record.id).frozen
            assert contents(record, local) == before
            if done:
                break
        else:
            raise AssertionError("an archive takes more requests than this test looks at")


def test_stopping_saves_a_version_or_says_that_it_could_not(shared: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken: list[bool] = []
    objects = FaultyObjects(LocalObjects(shared), lambda call: Fault.TIMEOUT if broken else None)
    with local_installation(SystemClock(), snapshot_store=str(shared), objects=objects) as local:
        record = filled(local)
        local.registry.open(record.id)
        local.registry.suspend(record.id, stop=True)
        assert [v.reason for v in local.versions.all(record.id)] == [Reason.SUSPEND]
        local.registry.open(record.id)
        broken.append(True)
        assert local.registry.suspend(record.id, stop=True).state is State.SUSPENDED
        assert "no version of it was saved" in caplog.text
        with pytest.raises(ObjectsFailed):
            local.registry.delete(record.id, confirmed=True)
        assert local.store.get(record.id).state is State.DELETED
        broken.clear()
        local.registry.finish()
        with pytest.raises(UnknownWorkspace):
            local.store.get(record.id)
        assert list(LocalObjects(shared).list("")) == []


def test_files_that_are_gone_make_no_version_without_them(local: Local) -> None:
    """As of a disk that is not mounted: only going back is possible, and brings them."""
    record = filled(local)
    before = contents(record, local)
    local.versions.take(record.id, author="ann")
    record.files.rename(record.files.with_name("unmounted"))
    for verb in (lambda: local.versions.take(record.id, author="ann"), lambda: local.registry.archive(record.id)):
        with pytest.raises(BadPath, match="is not there"):
            verb()
    assert [v.number for v in local.versions.all(record.id)] == [1]
    local.versions.restore(record.id, 1, author="ann")
    assert contents(record, local) == before
    local.versions.restore(record.id, 2, author="ann")  # what there was: the home alone
    assert contents(record, local) == before


def test_what_somebody_mounted_in_a_workspace_is_not_removed_with_it(local: Local) -> None:
    """Archive, restore and delete refuse it before anything has changed, and say where it is."""
    if os.geteuid():
        pytest.skip("only root mounts")
    record = filled(local)
    local.versions.take(record.id, author="ann")
    with mounted(record.files / "sub"):
        (record.files / "sub" / "precious").touch()
        for verb in (
            lambda: local.registry.archive(record.id),
            lambda: local.versions.restore(record.id, 1, author="ann"),
            lambda: local.registry.delete(record.id, confirmed=True),
        ):
            with pytest.raises(BadPath, match="sub is mounted inside"):
                verb()
        remove_tree(record.files)
        assert (record.files / "sub" / "precious").exists()
        assert local.store.get(record.id).state is State.CREATED
        local.versions.restore(record.id, 1, author="ann", paths=["a.txt"])
    assert local.registry.archive(record.id).state is State.ARCHIVED
    assert on_disk(record, local) == []


@contextlib.contextmanager
def mounted(place: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


# -- another machine -------------------------------------------------------------------------------------------------


def test_a_workspace_moves_with_the_store_and_the_key_alone(local: Local, shared: Path) -> None:
    """The other installation has it then: the first one can neither save nor erase what it left."""
    record = filled(local)
    before = contents(record, local)
    local.registry.change(record.id, labels={"course": "ml"})
    local.versions.take(record.id, author="ann")
    with local_installation(SystemClock(), snapshot_store=str(shared)) as other:
        assert [entry.record.name for _, entry in other.copies.elsewhere() if isinstance(entry, Entry)] == ["proj"]
        with pytest.raises(NotConfirmed):
            other.copies.adopt("proj", root=other.root)
        local.registry.archive(record.id)
        adopted = other.copies.adopt("proj", root=other.root)
        assert (adopted.state, adopted.labels, adopted.id) == (State.ARCHIVED, {"course": "ml"}, record.id)
        moved = other.registry.recover(adopted.id)
        assert contents(moved, other) == before
        assert other.copies.elsewhere() == []
        local.registry.delete(record.id)
        assert len(other.versions.all(moved.id)) >= 1
        assert other.versions.verify(moved.id, data=True).ok
        other.registry.archive(moved.id)
        assert contents(other.registry.recover(moved.id), other) == before
    with pytest.raises(UnknownWorkspace):
        local.copies.adopt("nosuch", root=local.root)


def test_who_lost_a_workspace_to_another_saves_no_more_versions_of_it(local: Local, shared: Path) -> None:
    record = filled(local)
    local.versions.take(record.id, author="ann")
    with local_installation(SystemClock(), snapshot_store=str(shared)) as other:
        other.copies.adopt("proj", root=other.root, confirmed=True)
        with pytest.raises(Conflict, match="another installation"):
            local.registry.archive(record.id)
        assert (record.files / "a.txt").exists()


def test_another_master_key_is_refused(local: Local, shared: Path) -> None:
    record = filled(local)
    local.versions.take(record.id, author="ann")
    with local_installation(SystemClock(), objects=LocalObjects(shared)) as other:  # a key of its own
        ((id, entry),) = other.copies.elsewhere()
        assert id == record.id
        assert isinstance(entry, KeyRefused)
        with pytest.raises(UnknownWorkspace):
            other.copies.adopt(id, root=other.root)


def test_a_new_master_key_takes_the_place_of_the_old_one(local: Local, shared: Path, tmp_path: Path) -> None:
    """Cut at any call of the store, both keys together open everything; done again, the new one alone does."""
    records = [filled(local, name, large=1000) for name in ("one", "two")]
    new, store, backup = LocalKey(bytes(32)), LocalObjects(shared), LocalObjects(tmp_path / "backup")
    old, local.vault.backup = local.vault.master, backup
    for record in records:
        local.versions.take(record.id, author="ann")

    def use(key: MasterKey, objects: ObjectStore = store) -> None:
        local.vault.objects, local.vault.master, local.vault.entries = objects, key, Entries(objects, key)

    def assert_whole() -> None:
        assert [entry.record.id for _, entry in local.vault.entries.all() if isinstance(entry, Entry)] == sorted(
            record.id for record in records
        )
        assert all(local.versions.get(record.id).number == 1 for record in records)

    ring = KeyRing(new, [old])
    for call in itertools.count():
        use(ring, FaultyObjects(store, at(call, Fault.STOP)))
        with contextlib.suppress(ObjectsFailed):
            if not local.versions.rekey().refused:
                break
        use(ring)
        assert_whole()
    assert call > 6
    use(ring)
    assert local.versions.rekey().changed == 0
    use(new)
    assert_whole()
    for record in records:
        (record.files / "a.txt").write_text("second")
        local.versions.take(record.id, author="ann")
        assert local.versions.verify(record.id, data=True).ok
        with local.vault.repository(record.id, from_backup=True) as repository:
            assert [version.number for version in repository.versions()] == [1, 2]
    use(old)
    with pytest.raises(KeyRefused):
        local.versions.all(records[0].id)
    assert set(local.versions.rekey().refused) == {record.id for record in records}


def test_an_entry_that_was_changed_is_refused(local: Local, shared: Path) -> None:
    one, two = filled(local), filled(local, "two")
    for record in (one, two):
        local.versions.take(record.id, author="ann")
    objects = LocalObjects(shared)
    objects.put(f"catalog/{one.id}", objects.get(f"catalog/{two.id}"))
    with pytest.raises(SylaError):
        local.vault.entries.read(one.id)
    objects.put(f"catalog/{two.id}", b"[" * 5000)
    with pytest.raises(SnapshotDamaged):
        local.vault.entries.read(two.id)
    local.registry.delete(one.id, confirmed=True)  # whose it is nobody can say: its versions are left alone
    assert any(info.key.startswith(f"workspaces/{one.id}/") for info in objects.list("workspaces/"))


# -- copies ----------------------------------------------------------------------------------------------------------


def test_a_clone_goes_its_own_way(local: Local) -> None:
    record = filled(local)
    before = contents(record, local)
    clone = local.copies.clone(record.id, "copy", root=local.root, author="ann").record
    assert contents(clone, local) == {path.replace("proj/", "copy/"): data for path, data in before.items()}
    (clone.files / "a.txt").write_text("clone")
    assert (record.files / "a.txt").read_text() == "first"
    old = local.copies.clone(record.id, "old", root=local.root, author="ann", number=1).record
    assert (old.files / "a.txt").read_text() == "first"
    with pytest.raises(UnknownVersion):
        local.copies.clone(record.id, "none", root=local.root, author="ann", number=77)
    with pytest.raises(UnknownWorkspace):
        local.registry.catalog.get("none")
    assert not (local.root / "workspaces" / "none").exists()


def test_export_and_import(local: Local, shared: Path, tmp_path: Path) -> None:
    """As one file to an installation that shares nothing; the configuration alone where that is asked for."""
    record = local.registry.change(filled(local).id, labels={"a": "b"}, policy=Policy(idle_seconds=5 * MINUTE))
    with (tmp_path / "proj.syla").open("w+b") as file, local_installation(SystemClock()) as other:
        local.copies.export(record.id, file, author="ann")
        file.seek(0)
        made = other.copies.receive(file, root=other.root, author="bob").record
        assert contents(made, other) == contents(record, local)
        assert (made.labels, made.policy) == ({"a": "b"}, Policy(idle_seconds=5 * MINUTE))
        assert [v.reason for v in other.versions.all(made.id)] == [Reason.IMPORT]
        file.seek(1000)
        file.write(b"\0" * 64)
        file.seek(0)
        with pytest.raises(SylaError):
            other.copies.receive(file, root=other.root, author="bob", name="broken")
        assert not (other.root / "workspaces" / "broken").exists()
        alone = io.BytesIO()
        local.copies.export_config(record.id, alone)
        alone.seek(0)
        empty = other.copies.receive(alone, root=other.root, author="bob", name="empty").record
        assert (os.listdir(empty.files), empty.labels) == ([], {"a": "b"})


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../x"}, {"name": 5}, {"type": "root"}, {"limits": {"cpus": -1}}, {"limits": {"cpus": "all"}},
        {"policy": {"idle_seconds": "x"}}, {"labels": {"a": 5}}, {"labels": 3}, {"template": None},
    ],
)  # fmt: skip
def test_a_configuration_of_anybody_is_checked(local: Local, change: dict[str, object]) -> None:
    from syla_jupyter.snapshots.archive_file import export_config
    from syla_jupyter.workspaces.copies import config

    given = io.BytesIO()
    export_config({**config(filled(local)), **change}, given)
    given.seek(0)
    with pytest.raises(BadInput):
        local.copies.receive(given, root=local.root, author="ann")


# -- backup, rules, timer --------------------------------------------------------------------------------------------


def test_a_damaged_store_is_read_from_the_backup(shared: Path, tmp_path: Path) -> None:
    backup = LocalObjects(tmp_path / "backup")
    with local_installation(SystemClock(), snapshot_store=str(shared), backup=backup) as local:
        record = filled(local)
        before = contents(record, local)
        local.registry.archive(record.id)
        for info in list(local.vault.objects.list(f"workspaces/{record.id}/packs/")):
            content = bytearray(local.vault.objects.get(info.key))
            content[len(content) // 2] ^= 1
            local.vault.objects.put(info.key, content)
        assert not local.versions.verify(record.id, data=True).ok
        told: list[str] = []
        local.registry.recover(record.id, watch=Watch(note=told.append))
        assert contents(record, local) == before
        assert "backup" in told[0]
        local.registry.delete(record.id, confirmed=True)
        assert [info.key for info in backup.list("")] == []


def test_repair_takes_from_the_backup_what_is_whole_there(shared: Path, tmp_path: Path) -> None:
    """Packs, the index, a log record, each gone or changed; what the backup gives damaged is not taken."""
    with local_installation(SystemClock(), snapshot_store=str(shared), backup=LocalObjects(tmp_path / "b")) as local:
        record = filled(local)
        for text in ("first", "second"):
            (record.files / "a.txt").write_text(text)
            (record.files / "new").write_bytes(os.urandom(1 << 20))
            local.versions.take(record.id, author="ann")
        place = shared / "workspaces" / record.id
        largest, *others = sorted(place.glob("packs/*/*"), key=lambda pack: -pack.stat().st_size)
        for gone in (others[0], next(place.glob("index/*")), place / "log" / "00000001"):
            gone.unlink()
        for store in (shared, tmp_path / "b"):
            spoiled = store / largest.relative_to(shared)
            data = bytearray(spoiled.read_bytes())
            data[len(data) // 2] ^= 1
            spoiled.write_bytes(data)
        report = local.versions.repair(record.id)
        assert len(report.healed) == 3
        assert [damage.key for damage in report.damage] == [str(largest.relative_to(place))]
        assert report.lost_files == {1: ("files/sub/b.bin",), 2: ("files/sub/b.bin",)}
        local.versions.restore(record.id, 1, author="ann", paths=["a.txt"])  # saves first, what is lost as well
        assert local.versions.verify(record.id, data=True).ok
        assert (record.files / "a.txt").read_text() == "first"


def test_an_index_that_is_only_on_this_machine_is_no_index(local: Local) -> None:
    """What the store has lost of it is said, and nothing is archived on its word; repair writes it anew."""
    record = filled(local)
    local.versions.take(record.id, author="ann")
    lost = next(info.key for info in local.vault.objects.list(f"workspaces/{record.id}/index/"))
    local.vault.objects.delete([lost])
    found = local.versions.verify(record.id)
    assert [(damage.key, damage.problem) for damage in found.damage] == [(lost.split("/", 2)[2], "missing")]
    with pytest.raises(SnapshotDamaged, match="not whole"):
        local.registry.archive(record.id)
    assert record.files.exists()
    assert not local.versions.repair(record.id).lost
    local.registry.archive(record.id)
    local.registry.recover(record.id)
    assert (record.files / "a.txt").read_text() == "first"


def test_a_partial_restore_loses_nothing_that_was_there(shared: Path) -> None:
    """A file whose stored content is damaged, and that the workspace still has, is stored again before."""
    with local_installation(SystemClock(), snapshot_store=str(shared)) as local:
        record = filled(local)
        local.versions.take(record.id, author="ann")
        before = contents(record, local)
        max((shared / "workspaces" / record.id).glob("packs/*/*"), key=lambda pack: pack.stat().st_size).unlink()
        local.versions.restore(record.id, 1, author="ann", partial=True)
        assert contents(record, local) == before


def test_a_backup_that_does_not_answer_stops_no_save_and_is_completed_by_the_next(
    shared: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = [True]
    second = LocalObjects(tmp_path / "backup")
    backup = FaultyObjects(second, lambda call: Fault.SLOW_DOWN if broken else None)
    with local_installation(SystemClock(), snapshot_store=str(shared), backup=backup) as local:
        record = filled(local)
        local.versions.take(record.id, author="ann")
        assert "is behind" in caplog.text
        broken.clear()
        (record.files / "a.txt").write_text("second")
        local.versions.take(record.id, author="ann")
        local.versions.tag(record.id, 1, ["kept"])
        with local.vault.repository(record.id, from_backup=True) as repository:
            assert [(version.number, version.tags) for version in repository.versions()] == [(1, ("kept",)), (2, ())]
            assert repository.verify(data=True).ok


def test_a_store_that_is_lost_is_made_again_from_the_backup(shared: Path, tmp_path: Path) -> None:
    """And the backup's own key is never written over by that of an empty store."""
    backup = LocalObjects(tmp_path / "backup")
    with local_installation(SystemClock(), snapshot_store=str(shared), backup=backup) as local:
        record = filled(local)
        local.versions.take(record.id, author="ann")
        config = backup.get(f"workspaces/{record.id}/config")
        shutil.rmtree(shared)
        (record.files / "a.txt").write_text("second")
        local.versions.take(record.id, author="ann")
        assert backup.get(f"workspaces/{record.id}/config") == config
        assert [v.number for v in local.versions.all(record.id)] == [1, 2]
        assert local.versions.verify(record.id, data=True).ok
        other = LocalObjects(tmp_path / "other")
        other.put(f"workspaces/{record.id}/config", b"another")
        with pytest.raises(Conflict):
            replicate(local.vault.objects, other, f"workspaces/{record.id}/")
        shutil.rmtree(shared)
        local.registry.archive(record.id)
        shutil.rmtree(shared)
        local.registry.recover(record.id)
        assert (record.files / "a.txt").read_text() == "second"


def test_prune_lets_go_what_no_rule_keeps(local: Local) -> None:
    record = filled(local)
    for number in range(5):
        (record.files / "sub" / "b.bin").write_bytes(os.urandom(2 << 20))
        local.versions.take(record.id, author="ann", tags=["paper"] if number == 1 else [])
    rules = Retention(2, 0, 0, 0, 0)
    before = len(list(local.vault.objects.list("")))
    assert [v.version.number for v in local.versions.judged(record.id, rules) if not v.kept] == [1, 3]
    assert local.versions.prune(record.id, rules, dry_run=True).bytes_freed > 3 << 20
    assert (len(local.versions.all(record.id)), len(list(local.vault.objects.list("")))) == (5, before)
    local.versions.prune(record.id, rules)
    assert [v.number for v in local.versions.all(record.id)] == [2, 4, 5]
    assert local.versions.verify(record.id, data=True).ok
    local.versions.tag(record.id, 2, [])
    local.versions.delete(record.id, [2])
    with pytest.raises(UnknownVersion):
        local.versions.get(record.id, 2)


def test_a_workspace_in_use_is_saved_by_itself() -> None:
    """After its time, where somebody worked since, once; what it takes goes again by the installation's rules."""
    clock = HandClock()
    with local_installation(clock, retention=Retention(2, 0, 0, 0, 0)) as local:
        timer = SnapshotTimer(registry=local.registry, versions=local.versions, clock=clock, run=lambda work: work())
        record = local.create("proj", policy=Policy(snapshot_seconds=10 * MINUTE))
        quiet = local.create("quiet", policy=Policy())
        local.registry.open(record.id)
        local.registry.open(quiet.id)
        numbers = []
        for sweep in range(12):
            clock.move(5 * MINUTE)
            if sweep < 7:
                (record.files / "a.txt").write_text(str(sweep))
                local.store.touch_activity(record.id, clock.now())
            timer.sweep()
            numbers.append([v.number for v in local.versions.all(record.id)])
        assert numbers[:5] == [[], [1], [1], [1, 2], [1, 2]]
        assert numbers[5] == [2, 3]
        assert numbers[-1] == [3, 4]
        assert local.versions.all(quiet.id) == []


def test_a_save_by_itself_that_fails_is_tried_more_and_more_seldom(caplog: pytest.LogCaptureFixture) -> None:
    """Told once, until one has succeeded; what was not saved is saved when it can be."""
    clock, away = HandClock(), True
    objects = FaultyObjects(MemoryObjects(), lambda call: Fault.ERROR if away else None)
    with local_installation(clock, objects=objects) as local:
        timer = SnapshotTimer(registry=local.registry, versions=local.versions, clock=clock, run=lambda work: work())
        record = local.create("proj", policy=Policy(snapshot_seconds=MINUTE))
        local.registry.open(record.id)
        clock.move(2 * MINUTE)
        (record.files / "a.txt").write_text("x")
        local.store.touch_activity(record.id, clock.now())
        with caplog.at_level(logging.DEBUG, "syla.snapshots"):
            for _ in range(30):
                timer.sweep()
                clock.move(MINUTE)
        told = [r.levelno for r in caplog.records if "not saved by itself" in r.message]
        assert told == [logging.WARNING, *[logging.DEBUG] * 4]  # after 0, 1, 3, 7 and 15 minutes
        away = False
        for _ in range(2):
            timer.sweep()
            clock.move(2 * MINUTE)
        assert [v.number for v in local.versions.all(record.id)] == [1]


def test_packages_are_read_by_name_and_through_no_link(tmp_path: Path) -> None:
    home = tmp_path / "home"
    place = home / ".local/lib/python3.12/site-packages"
    place.mkdir(parents=True)
    for name in ("Zed_lib-1.0.dist-info", "a-2.dist-info", "x\n-1.dist-info", "no.egg-info"):
        (place / name).mkdir()
    assert packages(home) == {"a": "2", "zed-lib": "1.0"}
    other = tmp_path / "other"
    (other / ".local").mkdir(parents=True)
    (other / ".local" / "lib").symlink_to(home / ".local" / "lib")
    assert packages(other) == {}


def test_a_second_process_finds_what_the_first_saved(local: Local) -> None:
    record = filled(local)
    local.versions.take(record.id, author="ann")
    settings = dataclasses.replace(local.settings)
    store = open_store(local.settings.data_dir / "workspaces.db")
    second = connect(settings, local.clock, local.runtime, store, PLENTY)
    assert [v.number for v in second.versions.all(record.id)] == [1]
    second.versions.take(record.id, author="ann")
    assert [v.number for v in local.versions.all(record.id)] == [1, 2]
    store.close()
