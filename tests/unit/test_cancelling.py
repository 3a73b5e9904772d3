"""What takes long is taken back in the middle of it: a real object store, real agents as plain processes, no containers.

The middle is when so many packs were written or read; the operation is the one that a request has.
"""

from __future__ import annotations

import asyncio
import io
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from syla_jupyter.api_async import taken_back
from syla_jupyter.cli.progress import watched
from syla_jupyter.model.clock import SystemClock
from syla_jupyter.model.errors import Busy, Cancelled, UnknownOperation, UnknownWorkspace, WrongState
from syla_jupyter.model.people import Permission
from syla_jupyter.model.record import State, WorkspaceRecord
from syla_jupyter.objects.base import Data
from syla_jupyter.objects.local import LocalObjects
from syla_jupyter.server.operations import Download, Operation, Operations, Underway
from syla_jupyter.snapshots.progress import Progress
from syla_jupyter.workspaces.vault import Watch

from ..local_installation import Local, local_installation
from .clocks import HandClock
from .records import a_record

LARGE_BYTES = 48 << 20  # of random content: some packs
PACKS = {"write": 2, "read": 4}  # so many, and it is the middle


class CountedObjects(LocalObjects):
    """Calls `meanwhile` once, when as many packs as `left` says were written, or parts of packs read."""

    left = 0

    def meanwhile(self) -> None: ...

    def put(self, key: str, data: Data, *, if_absent: bool = False) -> None:
        super().put(key, data, if_absent=if_absent)
        self._count(key)

    def get(self, key: str, **which: Any) -> bytes:
        found = super().get(key, **which)
        self._count(key)
        return found

    def _count(self, key: str) -> None:
        if "/packs/" in key and self.left:
            self.left -= 1
            if not self.left:
                self.meanwhile()


@pytest.fixture
def objects() -> Iterator[CountedObjects]:
    with tempfile.TemporaryDirectory(prefix="st", dir="/tmp") as directory:
        yield CountedObjects(Path(directory) / "store")


@pytest.fixture
def local(objects: CountedObjects) -> Iterator[Local]:
    directory = Path(objects.description)
    with local_installation(SystemClock(), snapshot_store=str(directory), objects=objects) as made:
        yield made


def tree(local: Local, record: WorkspaceRecord) -> dict[str, bytes | None]:
    """Everything of an installation's workspaces, what is half restored included."""
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for top in (record.files.parent, local.places.home(record).parent)
        for path in sorted(top.rglob("*"))
    }


def stored(local: Local) -> set[str]:
    """Without what an abandoned save is known by while it lives."""
    return {info.key for info in local.vault.objects.list("workspaces/")}


Verb = Callable[[Local, WorkspaceRecord, Watch], object]
VERBS: dict[str, tuple[str, State, Verb]] = {
    # (what the middle is of, state before and after, the verb)
    "snapshot": ("write", State.ACTIVE, lambda lo, r, w: lo.versions.take(r.id, author="ann", watch=w)),
    "archive": ("write", State.ACTIVE, lambda lo, r, w: lo.registry.archive(r.id, watch=w)),
    "restore": ("read", State.ACTIVE, lambda lo, r, w: lo.versions.restore(r.id, 1, author="ann", watch=w)),
    "restore paths": (
        "read", State.ACTIVE, lambda lo, r, w: lo.versions.restore(r.id, 1, author="ann", paths=["large"], watch=w),
    ),
    "recover": ("read", State.ARCHIVED, lambda lo, r, w: lo.registry.recover(r.id, watch=w)),
    "export": (
        "read", State.ACTIVE, lambda lo, r, w: lo.copies.export(r.id, io.BytesIO(), author="ann", number=1, watch=w),
    ),
    "clone": (
        "read",
        State.ACTIVE,
        lambda lo, r, w: lo.copies.clone(r.id, "twin", root=lo.root, author="ann", number=1, watch=w),
    ),
}  # fmt: skip


def prepared(local: Local, verb: str) -> WorkspaceRecord:
    """A running workspace with a version, and something large to write or to read."""
    of, state, _ = VERBS[verb]
    record: WorkspaceRecord = local.create("proj")
    (record.files / "a.txt").write_text("first")
    if of == "read":
        (record.files / "large").write_bytes(os.urandom(LARGE_BYTES))
    local.registry.open(record.id)
    local.versions.take(record.id, author="ann")
    (record.files / "a.txt").write_text("second")
    (record.files / "large").unlink(missing_ok=True)
    if of == "write":
        (record.files / "large").write_bytes(os.urandom(LARGE_BYTES))
    if state is State.ARCHIVED:
        local.versions.restore(record.id, 1, author="ann")
        local.registry.archive(record.id)
    return local.store.get(record.id)


@pytest.mark.parametrize("verb", VERBS)
def test_taken_back_in_the_middle_it_leaves_nothing(verb: str, local: Local, objects: CountedObjects) -> None:
    """Files, home, record, container, versions and objects are those of before; done again, it is done."""
    of, state, do = VERBS[verb]
    record = prepared(local, verb)
    before = (tree(local, record), stored(local), [v.number for v in local.versions.all(record.id)])
    underway = begun(record)
    objects.meanwhile, objects.left = underway.cancel, PACKS[of]  # type: ignore[method-assign]
    with pytest.raises(Cancelled):
        do(local, record, underway.watch())
    assert objects.left == 0, "it came to its end before the middle"
    assert (tree(local, record), stored(local), [v.number for v in local.versions.all(record.id)]) == before
    now = local.store.get(record.id)
    assert (now.state, now.execution, now.version) == (state, record.execution, record.version)
    with pytest.raises(UnknownWorkspace):
        local.registry.catalog.get("twin")
    assert local.registry.finish() == []  # nothing is left for anybody to complete
    if state is State.ACTIVE:
        assert not local.registry.open(record.id).frozen
        assert local.store.get(record.id).execution == record.execution
    do(local, record, Watch())
    assert local.store.get(record.id).state is {"archive": State.ARCHIVED, "restore": State.SUSPENDED}.get(
        verb, State.SUSPENDED if verb == "recover" else State.ACTIVE
    )


@pytest.mark.parametrize("verb", VERBS)
def test_too_late_it_says_so_and_goes_through(verb: str, local: Local) -> None:
    """From when it is decided on nobody is told that it was taken back; each verb but a download comes to that."""
    record = prepared(local, verb)
    refused: list[str] = []

    def tell(one: Operation) -> None:
        if not one.cancellable and not one.ended:
            with pytest.raises(WrongState) as raised:
                underway.cancel()
            refused.append(str(raised.value))

    underway = Operations(SystemClock(), tell).begin(record, verb, "ann", Permission.WRITE)
    VERBS[verb][2](local, record, underway.watch())
    assert (len(refused) > 0) == (verb != "export")
    assert all("cannot be taken back" in said for said in refused)
    if verb.startswith("restore"):
        assert (record.files / "large").stat().st_size == LARGE_BYTES


async def test_a_task_that_is_cancelled_takes_its_verb_back(local: Local, objects: CountedObjects) -> None:
    record = prepared(local, "snapshot")
    before, loop = stored(local), asyncio.get_running_loop()
    task = asyncio.ensure_future(taken_back(local.versions.take, record.id, author="ann"))
    cancelled = asyncio.Event()

    def meanwhile() -> None:
        loop.call_soon_threadsafe(lambda: (task.cancel(), cancelled.set()))
        asyncio.run_coroutine_threadsafe(cancelled.wait(), loop).result(60)

    objects.meanwhile, objects.left = meanwhile, PACKS["write"]  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stored(local) == before  # it ended when that was done
    assert len(local.versions.all(record.id)) == 1


def test_control_c_before_and_after_it_is_decided() -> None:
    """The first takes it back, in time only; the second does not wait in either case."""
    with watched("Saving", quiet=True) as watch:
        signal.raise_signal(signal.SIGINT)
        assert watch.cancelled()
        with pytest.raises(Cancelled):
            watch.decided()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with watched("Saving", quiet=True) as watch:
        watch.decided()
        signal.raise_signal(signal.SIGINT)
        assert not watch.cancelled()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


# -- the operation itself ------------------------------------------------------------------------------------------


def begun(record: WorkspaceRecord) -> Underway:
    return Operations(SystemClock(), lambda one: None).begin(record, "verb", "ann", Permission.WRITE)


def test_news_come_twice_a_second_and_what_counts_at_once() -> None:
    told: list[Operation] = []
    clock = HandClock()
    operations = Operations(clock, told.append)
    underway = operations.begin(a_record(), "snapshot", "ann", Permission.WRITE)
    for done in range(20):
        clock.move(0.1)
        underway.progress(Progress(done, None, done * 10, None, 1.0))
    assert [one.progress.files_done for one in told if one.progress] == [4, 9, 14, 19]
    underway.cancel()
    underway.cancel()  # by two pages
    underway.end(Cancelled("Cancelled"))
    underway.end()
    assert [(one.cancelled, one.ended) for one in told[-2:]] == [(True, False), (True, True)]
    assert isinstance(told[-1].error, Cancelled)
    assert operations.all() == []


def test_it_is_found_by_its_workspace_alone() -> None:
    operations = Operations(HandClock(), lambda one: None)
    record = a_record()
    underway = operations.begin(record, "snapshot", "ann", Permission.WRITE)
    assert operations.find(record.id, underway.now.id) is underway
    for workspace, id in (("other", underway.now.id), (record.id, "none")):
        with pytest.raises(UnknownOperation):
            operations.find(workspace, id)
    underway.end()
    with pytest.raises(UnknownOperation):
        operations.find(record.id, underway.now.id)


def test_who_finds_a_workspace_busy_hears_who_is_at_work_on_it() -> None:
    operations, record = Operations(HandClock(), lambda one: None), a_record()

    def refused() -> str:
        with pytest.raises(Busy) as raised, operations.watched(record, "suspend", "eve", Permission.WRITE):
            raise Busy(f"workspace {record.id} is being changed by somebody else", "Try again")
        return str(raised.value)

    assert refused() == f"{record.name!r} is being changed by somebody else. Try again"
    operations.begin(record, "archive", "ann", Permission.ADMIN)
    assert refused() == f"{record.name!r} is busy: ann archives it. Wait until that is finished, or cancel it"


def test_a_download_is_under_way_until_its_file_is_closed() -> None:
    operations = Operations(HandClock(), lambda one: None)
    record = a_record()
    file = io.BytesIO(b"content")
    download = Download(file, operations.begin(record, "export", "ann", Permission.WRITE), 7)
    assert download.read(4) == b"cont"
    operations.find(record.id, operations.all()[0].id).cancel()
    with pytest.raises(Cancelled):
        download.read(4)
    download.close()
    assert (file.closed, operations.all()) == (True, [])
