"""What every adapter of the metadata port has to do; a subclass gives the fixtures and adds nothing.

Lists are compared with what a plain scan of the records gives (`records.scan`): all filters, all orders, page by page.
"""

from __future__ import annotations

import dataclasses
import math
import os
import random
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ..metadata.base import PAGE_MAX, SESSIONS_MAX, TOTAL_MAX, Allocation, Count, Look, Query, WorkspaceStore
from ..model.errors import BadInput, Conflict, InsufficientResources, NameTaken, SylaError, UnknownWorkspace
from ..model.policy import Policy
from ..model.record import State
from ..model.workspace import GIB, Limits, Network, WorkspaceType
from .records import DAY, LIMITS, NOW, listed, make_record, pages, scan, some_query, some_records


class StoreContract:
    """Fixtures to give: `store`, empty; `open_again() -> WorkspaceStore`, on the same data."""

    OpenAgain = Callable[[], WorkspaceStore]

    # -- records -----------------------------------------------------------------------------------------------

    def test_a_record_comes_back_as_it_was(self, store: WorkspaceStore, open_again: OpenAgain) -> None:
        """Every field, with text of any script and numbers to the last digit, for whoever opens the store."""
        record = make_record(
            "Straße 'ß\" %_\\ 数据 🧪",
            type=WorkspaceType.COLLABORATIVE,
            state=State.SUSPENDED,
            limits=Limits(0.1 + 0.2, 3 * GIB, 1 << 61, pids=77),
            network=Network.EGRESS,
            policy=Policy(ttl_seconds=0.1, ttl_extended_by_activity=True, retention_seconds=7 * DAY),
            files=Path("/srv/über uns"),
            created_at=NOW + 1e-6,
            masked=("workspaces", "ö"),
            is_default=True,
            shared=True,
            labels={"course": "stat-101", "näme": ""},
            execution="0123abcd",
            extended_until=NOW + 5,
            warned_at=NOW - 1,
            reason="no line\nfeed is lost",
            disk_bytes=(1 << 62) + 1,
        )
        stored = store.insert(record)
        assert stored == dataclasses.replace(record, version=1)
        assert store.get(record.id) == stored
        assert store.find("ana", record.name) == stored
        other = open_again()
        assert other.get(record.id) == stored
        assert listed(other, Query(labels=record.labels)) == [stored]

    def test_a_name_is_an_owners_once(self, store: WorkspaceStore) -> None:
        """Case and Unicode form do not make another name; another owner does."""
        first = store.insert(make_record("Café Straße"))
        for name in ("Café Straße", "CAFÉ STRASSE", "cafe\u0301 straße"):
            with pytest.raises(NameTaken) as raised:
                store.insert(make_record(name))
            assert raised.value.field == "name"
            assert store.find("ana", name) == first
        store.insert(make_record("Café Straße", owner="ben"))
        other = store.insert(make_record("other"))
        with pytest.raises(NameTaken):
            store.replace(dataclasses.replace(other, name="café STRASSE", labels={"a": "b"}))
        assert store.get(other.id) == other
        assert store.list(Query(labels={"a": ""})).total == 0
        renamed = store.replace(dataclasses.replace(first, name="CAFÉ STRASSE"))
        assert store.find("ana", "café straße") == renamed
        assert store.find("carla", "Café Straße") is None

    def test_a_directory_is_one_workspaces(self, store: WorkspaceStore) -> None:
        """Whoever owns it; it has to be named like it, and be there."""
        files = Path("/srv/notebooks/workspaces/project")
        record = store.insert(make_record(files=files, owner="ben"))
        store.insert(make_record(files=Path("/srv/other/workspaces/project")))
        assert store.at(files) == record
        for other in (files.parent, files / "project", Path("/"), Path("/srv/\udc80"), Path("/srv/" + "x" * 300)):
            assert store.at(other) is None
        store.replace(dataclasses.replace(record, state=State.DELETED))
        assert store.at(files) is None

    def test_an_id_is_given_once(self, store: WorkspaceStore) -> None:
        first = store.insert(make_record())
        with pytest.raises(Conflict):
            store.insert(make_record("other", id=first.id))
        assert store.get(first.id) == first

    def test_what_is_not_there_is_said_so(self, store: WorkspaceStore) -> None:
        """Whatever is asked for: the name comes from outside."""
        for id in ("0" * 12, "", "\0", "\ud800", "x" * 100_000, "'; --", "%"):
            with pytest.raises(UnknownWorkspace):
                store.get(id)
            assert store.find("ana", id) is None
            assert store.find(id, "project") is None
            assert store.active(id, id) is None
            assert store.remove(id, 1) is False
            store.touch_activity(id, NOW)
        with pytest.raises(UnknownWorkspace):
            store.replace(make_record(version=1))

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", "a\0b"), ("name", "\ud800"), ("name", "x" * 256), ("owner", "ö" * 128), ("reason", "\0"),
            ("files", Path("/\udc80")), ("labels", {"a": "\0"}), ("labels", {"": "a"}), ("labels", {"a": "x" * 256}),
            ("labels", {str(n): "" for n in range(65)}), ("disk_bytes", -1), ("disk_bytes", 1 << 63),
            ("created_at", math.nan), ("last_activity_at", math.inf), ("masked", ("\0",)),
        ],
    )  # fmt: skip
    def test_what_cannot_be_stored_is_refused(self, store: WorkspaceStore, field: str, value: Any) -> None:
        """`BadInput` names the field, the same with every database, and nothing is stored."""
        kept = store.insert(make_record())
        with pytest.raises(BadInput) as inserting:
            store.insert(make_record("other", **{field: value}))
        with pytest.raises(BadInput) as replacing:
            store.replace(dataclasses.replace(kept, **{field: value}))
        assert inserting.value.field == replacing.value.field == field
        assert listed(store, Query()) == [kept]

    def test_who_read_an_old_version_is_refused(self, store: WorkspaceStore) -> None:
        """The version counts up; a replacement of another one has changed nothing."""
        first = store.insert(make_record())
        second = store.replace(dataclasses.replace(first, state=State.ACTIVE, labels={"a": "1"}))
        assert second.version == 2
        with pytest.raises(Conflict):
            store.replace(dataclasses.replace(first, name="late", labels={"b": "2"}))
        assert store.get(first.id) == second
        assert listed(store, Query(labels={"b": ""})) == []
        third = store.replace(dataclasses.replace(second, labels={"c": "3"}))
        assert listed(store, Query(labels={"a": ""})) == []
        assert listed(store, Query(labels={"c": "3"})) == [third]

    def test_activity_moves_forward_only(self, store: WorkspaceStore) -> None:
        """`touch_activity` leaves all else, and a replacement of what was read before does not undo it."""
        read = store.insert(make_record(warned_at=NOW + 1))
        store.touch_activity(read.id, NOW)
        assert store.get(read.id) == read
        store.touch_activity(read.id, NOW + 10)
        assert store.get(read.id) == dataclasses.replace(read, last_activity_at=NOW + 10)
        stored = store.replace(dataclasses.replace(read, reason="asked to"))
        assert (stored.last_activity_at, stored.reason) == (NOW + 10, "asked to")
        assert store.get(read.id) == stored
        stored = store.replace(dataclasses.replace(stored, last_activity_at=NOW + 20))
        assert stored.last_activity_at == NOW + 20

    def test_what_is_removed_leaves_nothing(self, store: WorkspaceStore) -> None:
        """Only in its last version; labels, sessions and plans go with it, and its name is free."""
        first = store.insert(make_record(labels={"a": "b"}, execution="x", state=State.ACTIVE))
        record = store.replace(first)
        store.set_active("ana", "tty1", record.id, NOW)
        with pytest.raises(Conflict):
            store.remove(record.id, first.version)
        assert store.get(record.id) == record
        assert store.remove(record.id, record.version) is True
        assert store.remove(record.id, record.version) is False
        assert store.active("ana", "tty1") is None
        assert listed(store, Query(labels={"a": ""})) == []
        assert list(store.due(math.inf)) == []
        assert dict(store.executions()) == {}
        store.insert(make_record())

    # -- lists -------------------------------------------------------------------------------------------------

    def test_lists_are_what_a_scan_gives(self, store: WorkspaceStore) -> None:
        """Any filters together, in any order, in pages of any length: the same rows, each once, and their number."""
        chance = random.Random(7)
        records = [store.insert(record) for record in some_records(chance, 60)]
        for _ in range(100):
            query = some_query(chance)
            expected = scan(records, query)
            found = list(pages(store, query))
            assert [r.id for page in found for r in page] == [r.id for r in expected], query
            assert all(len(page) == query.limit for page in found[:-1])
            assert store.list(query).total == len(expected)

    def test_pages_are_stable_while_others_write(self, store: WorkspaceStore) -> None:
        """Rows made or removed between two pages move no other row over the edge; equal values have an order too."""
        records = [store.insert(make_record(f"n{n:02}", created_at=NOW - n % 2)) for n in range(20)]
        for query in (Query(limit=7), Query(sort="created", limit=7), Query(sort="size", descending=True, limit=7)):
            before = scan(records, query)
            page = store.list(query)
            made = [store.insert(make_record(name, created_at=NOW + days)) for name, days in (("a", -1), ("z", 1))]
            gone = page.records[-1]
            assert store.remove(gone.id, gone.version)
            rest = listed(store, dataclasses.replace(query, after=page.next))
            seen = [r.id for r in (*page.records, *rest) if r not in made]
            assert seen == [r.id for r in before]
            assert store.list(dataclasses.replace(query, after=page.next)).total == page.total == len(before)
            for record in made:
                assert store.remove(record.id, 1)
            records = [store.insert(gone) if record.id == gone.id else record for record in records]

    def test_totals_are_counted_so_far(self, store: WorkspaceStore) -> None:
        for n in range(TOTAL_MAX + 5):
            store.insert(make_record(f"n{n}", owner="ana" if n % 2 else "ben"))
        assert store.list(Query(limit=1)).total == TOTAL_MAX
        assert store.list(Query(limit=PAGE_MAX)).total == TOTAL_MAX
        assert store.list(Query(owner="ana", limit=1)).total == (TOTAL_MAX + 5) // 2

    def test_only_its_own_pages_go_on(self, store: WorkspaceStore) -> None:
        """`after` is refused when it was made up, or comes from another list."""
        for n in range(3):
            store.insert(make_record(f"n{n}"))
        after = store.list(Query(limit=1)).next
        assert len(listed(store, Query(limit=1, after=after))) == 2
        for bad in ("x", "é", after[:-2], after + "AAAA", "bnVsbA", "W10", "WyJhIiwxLCIiLDFd", "A" * 100_000, "\0"):
            with pytest.raises(BadInput) as raised:
                store.list(Query(limit=1, after=bad))
            assert raised.value.field == "after"
        for other in (Query(sort="created"), Query(descending=True), Query(owner="ana"), Query(labels={"a": "b"})):
            with pytest.raises(BadInput):
                store.list(dataclasses.replace(other, after=after))

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("limit", 0), ("limit", PAGE_MAX + 1), ("limit", -1), ("sort", "colour"), ("now", math.nan),
            ("idle_for_seconds", math.inf), ("older_than_seconds", -1), ("name_part", "\0"), ("owner", "\ud800"),
            ("labels", {"\0": ""}),
        ],
    )  # fmt: skip
    def test_a_query_without_sense_is_refused(self, store: WorkspaceStore, field: str, value: Any) -> None:
        with pytest.raises(BadInput) as raised:
            store.list(dataclasses.replace(Query(), **{field: value}))
        assert raised.value.field == field

    # -- policies ----------------------------------------------------------------------------------------------

    def test_who_is_due(self, store: WorkspaceStore) -> None:
        """New and replaced records at once, others when they were planned, the longest overdue first."""
        a, b, c = (store.insert(make_record(name)) for name in "abc")
        deleted = store.insert(make_record("d", state=State.DELETED))
        assert {r.id for r in store.due(NOW)} == {a.id, b.id, c.id}
        store.plan_look([Look(a.id, 1, NOW + 20), Look(b.id, 1, NOW + 10), Look(c.id, 1, None), Look("gone", 1, 1.0)])
        store.plan_look([])
        assert list(store.due(NOW)) == []
        assert [r.id for r in store.due(NOW + 10)] == []
        assert list(store.due(NOW + 30)) == [b, a]
        assert list(store.due(NOW + 30, limit=1)) == [b]
        assert deleted.id not in {r.id for r in store.due(math.inf)}
        c = store.replace(dataclasses.replace(c, state=State.ACTIVE))
        assert list(store.due(NOW)) == [c]
        assert store.get(a.id) == a

    def test_a_plan_of_an_old_version_does_not_count(self, store: WorkspaceStore) -> None:
        """Who replaces a record while its deadline is worked out is not forgotten."""
        read = store.insert(make_record())
        now = store.replace(dataclasses.replace(read, state=State.ACTIVE))
        store.plan_look([Look(read.id, read.version, None)])
        assert list(store.due(NOW)) == [now]
        store.plan_look([Look(now.id, now.version, None)])
        assert list(store.due(math.inf)) == []

    def test_what_runs_and_what_it_holds(self, store: WorkspaceStore) -> None:
        """Active and frozen ones hold their limits; stopped and archived ones nothing."""
        small, big = Limits(0.5, GIB, GIB), Limits(2, 3 * GIB, GIB)
        store.insert(make_record("active", state=State.ACTIVE, execution="e1", limits=small))
        store.insert(make_record("frozen", state=State.SUSPENDED, execution="e2", limits=big))
        store.insert(make_record("stopped", state=State.SUSPENDED, limits=big))
        store.insert(make_record("archived", state=State.ARCHIVED, limits=big))
        store.insert(make_record("starting", state=State.ACTIVE, owner="ben", limits=small))
        ids = {r.name: r.id for r in listed(store, Query())}
        assert dict(store.executions()) == {"e1": ids["active"], "e2": ids["frozen"]}
        assert list(store.allocations()) == [Allocation("ana", 2, 2.5, 4 * GIB), Allocation("ben", 1, 0.5, GIB)]

    def test_counts_by_type_and_state(self, store: WorkspaceStore) -> None:
        """All but deleted ones, with their disk space."""
        session, persistent = WorkspaceType.SESSION, WorkspaceType.PERSISTENT
        for n, (type_, state) in enumerate([(session, State.ACTIVE)] * 2 + [(persistent, State.ARCHIVED)]):
            store.insert(make_record(f"n{n}", type=type_, state=state, disk_bytes=10 + n))
        store.insert(make_record("deleted", state=State.DELETED))
        expected = {Count(session, State.ACTIVE, 2, 21), Count(persistent, State.ARCHIVED, 1, 12)}
        assert set(store.counts()) == expected

    def test_admission_sees_all_others_and_can_refuse(self, store: WorkspaceStore) -> None:
        store.insert(make_record("other", state=State.ACTIVE, owner="ben"))
        record = store.insert(make_record(state=State.ACTIVE))
        seen: list[Sequence[Allocation]] = []
        record = store.replace(record, admit=seen.append)
        assert list(seen[-1]) == [Allocation("ben", 1, LIMITS.cpus, LIMITS.memory_bytes)]

        def refuse(_held: Sequence[Allocation]) -> None:
            raise InsufficientResources("nothing is left")

        with pytest.raises(InsufficientResources):
            store.replace(dataclasses.replace(record, reason="late"), admit=refuse)
        assert store.get(record.id) == record

        assert store.replace(record).version == record.version + 1

    # -- sessions ----------------------------------------------------------------------------------------------

    def test_each_session_points_at_its_own(self, store: WorkspaceStore) -> None:
        a, b = (store.insert(make_record(name)) for name in "ab")
        store.set_active("ana", "tty1", a.id, NOW)
        store.set_active("ana", "tty2", b.id, NOW)
        store.set_active("ben", "tty1", b.id, NOW)
        assert [store.active(*who) for who in (("ana", "tty1"), ("ana", "tty2"), ("ben", "tty1"))] == [a.id, b.id, b.id]
        store.set_active("ana", "tty1", b.id, NOW + 1)
        store.set_active("ana", "tty2", None, NOW + 1)
        store.set_active("ana", "tty3", None, NOW + 1)
        assert [store.active("ana", tty) for tty in ("tty1", "tty2", "tty3")] == [b.id, None, None]
        for unknown in ("0" * 12, "\0"):
            with pytest.raises(UnknownWorkspace):
                store.set_active("ana", "tty1", unknown, NOW)
        assert store.active("ana", "tty1") == b.id
        with pytest.raises(BadInput):
            store.set_active("ana", "\0", a.id, NOW)

    def test_sessions_are_not_kept_for_ever(self, store: WorkspaceStore) -> None:
        record = store.insert(make_record())
        for n in range(SESSIONS_MAX + 2):
            store.set_active("ana", f"tty{n}", record.id, NOW + n)
        kept = [store.active("ana", f"tty{n}") is not None for n in (0, 1, 2, SESSIONS_MAX + 1)]
        assert kept == [False, False, True, True]

    # -- processes ---------------------------------------------------------------------------------------------

    def test_closed_is_not_the_end(self, store: WorkspaceStore) -> None:
        record = store.insert(make_record())
        store.close()
        assert store.get(record.id) == record

    def test_a_child_goes_on_by_itself(self, store: WorkspaceStore) -> None:
        """After a fork both use the store, and the child's end does the parent's connections no harm."""
        record = store.insert(make_record())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
            pid = os.fork()
        if pid == 0:
            try:
                store.insert(make_record("of-the-child"))
                store.replace(store.get(record.id))
                store.close()
                os._exit(0)
            except SylaError as exc:
                os.write(2, f"{exc}\n".encode())
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert store.get(record.id).version == 2
        assert store.find("ana", "of-the-child") is not None
        store.insert(make_record("of-the-parent"))
