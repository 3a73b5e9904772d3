"""What every object store has to do, adapter or wrapper; a subclass gives the fixture and adds nothing.

Keys of a test begin with `area`: an empty part of the store, so that one server serves all tests.
"""

from __future__ import annotations

import os
import secrets
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..model.errors import BadInput, ObjectExists, ObjectMissing, ObjectsFailed
from ..objects.base import ObjectStore

BAD_KEYS = (
    "", "/", "a//b", "/a", "a/", "..", "a/../b", "./a", "A", "a b", "ä", "a\0", "a\n", "a" * 201, "a/" * 500 + "a",
)  # fmt: skip
RACERS = 4
ROUNDS = 2
WAIT_SECONDS = 60.0

OpenAgain = Callable[[], ObjectStore]


class ObjectsContract:
    """Fixture to give: `open_again() -> ObjectStore`, each time another instance on the same store."""

    @pytest.fixture
    def objects(self, open_again: OpenAgain) -> ObjectStore:
        return open_again()

    @pytest.fixture
    def area(self) -> str:
        return f"area/{secrets.token_hex(8)}"

    def test_what_is_put_is_got_whole_and_in_parts(
        self, objects: ObjectStore, open_again: OpenAgain, area: str
    ) -> None:
        """By whoever asks; a part ends where the object does, and a negative start counts from there."""
        data, key = bytes(range(256)) * 40, f"{area}/a"
        objects.put(key, data)
        for reader in (objects, open_again()):
            assert reader.get(key) == data
            assert reader.get(key, start=100) == data[100:]
            assert reader.get(key, start=100, length=50) == data[100:150]
            assert reader.get(key, length=7) == data[:7]
            assert reader.get(key, start=len(data) - 3, length=50) == data[-3:]
            assert reader.get(key, start=len(data)) == b""
            assert reader.get(key, start=len(data) + 9, length=5) == b""
            assert reader.get(key, start=5, length=0) == b""
            assert reader.get(key, start=-10) == data[-10:]
            assert reader.get(key, start=-10, length=4) == data[-10:-6]
            assert reader.get(key, start=-len(data) - 99) == data
            assert reader.head(key).size_bytes == len(data)

    def test_nothing_is_something(self, objects: ObjectStore, area: str) -> None:
        """An empty object is there and has no bytes, from whatever end."""
        objects.put(f"{area}/a", b"")
        assert [objects.get(f"{area}/a", start=start) for start in (0, 5, -5)] == [b""] * 3
        assert objects.head(f"{area}/a").size_bytes == 0

    def test_any_bytes_like_data_is_written(self, objects: ObjectStore, area: str) -> None:
        """Also part of a buffer, and one that is changed afterwards."""
        buffer = bytearray(b"0123456789")
        objects.put(f"{area}/a", memoryview(buffer)[2:5])
        objects.put(f"{area}/b", buffer)
        buffer[:] = b"x" * 10
        assert (objects.get(f"{area}/a"), objects.get(f"{area}/b")) == (b"234", b"0123456789")

    def test_large_objects_are_whole(self, objects: ObjectStore, area: str) -> None:
        """Several megabytes, of a size that no block has."""
        data = os.urandom(5_000_003)
        objects.put(f"{area}/a", memoryview(data))
        assert objects.get(f"{area}/a") == data
        assert objects.get(f"{area}/a", start=4_999_000, length=2000) == data[4_999_000:]

    def test_a_second_put_replaces_and_a_conditional_one_does_not(self, objects: ObjectStore, area: str) -> None:
        """`if_absent` writes where nothing is, and says ObjectExists where something is, whatever it is."""
        key = f"{area}/a"
        objects.put(key, b"one", if_absent=True)
        for data in (b"one", b"two"):
            with pytest.raises(ObjectExists) as raised:
                objects.put(key, data, if_absent=True)
            assert key in str(raised.value)
        assert objects.get(key) == b"one"
        objects.put(key, b"three")
        assert objects.get(key) == b"three"
        objects.delete([key])
        objects.put(key, b"four", if_absent=True)
        assert objects.get(key) == b"four"

    def test_of_several_writers_of_a_new_key_one_wins(self, open_again: OpenAgain, area: str) -> None:
        """And what it wrote is there."""
        stores = [open_again() for _ in range(RACERS)]
        assert all(store.conditional for store in stores)
        for round_ in range(ROUNDS):
            barrier, key = threading.Barrier(RACERS), f"{area}/{round_}"

            def write(racer: int, key: str = key, barrier: threading.Barrier = barrier) -> bool:
                barrier.wait(WAIT_SECONDS)
                try:
                    stores[racer].put(key, b"%d" % racer, if_absent=True)
                except ObjectExists:
                    return False
                return True

            with ThreadPoolExecutor(RACERS) as pool:
                won = list(pool.map(write, range(RACERS)))
            assert won.count(True) == 1
            assert stores[0].get(key) == b"%d" % won.index(True)

    def test_what_is_missing_is_said(self, objects: ObjectStore, area: str) -> None:
        """By every way to read; to delete it is no error."""
        key = f"{area}/a"
        asked = (
            lambda: objects.get(key),
            lambda: objects.get(key, start=5, length=0),
            lambda: objects.get(key, start=-5),
            lambda: objects.head(key),
        )
        for ask in asked:
            with pytest.raises(ObjectMissing) as raised:
                ask()
            assert key in str(raised.value)
        objects.delete([key, f"{area}/b/c/d"])
        objects.delete([])

    def test_bad_keys_are_refused(self, objects: ObjectStore) -> None:
        """By every method, before anything is done."""
        for key in BAD_KEYS:
            for ask in (
                objects.get,
                objects.head,
                lambda key: objects.put(key, b""),
                lambda key: objects.delete([key]),
            ):
                with pytest.raises(BadInput):
                    ask(key)
        for prefix in ("../", "a/../b", "/a", "A/b"):
            with pytest.raises(BadInput):
                list(objects.list(prefix))
        with pytest.raises(BadInput):
            objects.get("a", length=-1)

    def test_more_than_expected_is_not_read(self, objects: ObjectStore, area: str) -> None:
        """`max_bytes` is of what would be given, not of what there is."""
        objects.put(f"{area}/a", b"x" * 1000)
        with pytest.raises(ObjectsFailed) as raised:
            objects.get(f"{area}/a", max_bytes=999)
        assert not raised.value.retryable
        assert len(objects.get(f"{area}/a", max_bytes=1000)) == 1000
        assert objects.get(f"{area}/a", start=10, length=20, max_bytes=20) == b"x" * 20

    def test_lists_are_in_order_and_begin_where_asked(self, objects: ObjectStore, area: str) -> None:
        """By key, as bytes sort; a prefix need not end at a slash; what others have is not there."""
        names = ("a", "b-c", "b.c", "b/0", "b/c/d", "b/c0", "b0", "c", "log/00000001", "log/00000002", "log/00000010")
        for name in reversed(names):
            objects.put(f"{area}/x/{name}", name.encode())
        objects.put(f"{area}/y", b"")

        def found(prefix: str, after: str = "") -> list[str]:
            listed = objects.list(f"{area}/x/{prefix}", after=f"{area}/x/{after}" if after else "")
            return [entry.key.removeprefix(f"{area}/x/") for entry in listed]

        assert found("") == list(names)
        for prefix in ("b", "b/", "b/c", "b/c/", "log/0000000", "z", "z/"):
            assert found(prefix) == [name for name in names if name.startswith(prefix)]
        for after in (*names, "b", "b/", "b/c/e", "log/00000005", "zz"):
            assert found("", after) == [name for name in names if name > after]
            assert found("b", after) == [name for name in names if name > after and name.startswith("b")]
        sizes = [entry.size_bytes for entry in objects.list(f"{area}/x/")]
        assert sizes == [len(name) for name in names]

    def test_times_are_the_stores_own_and_do_not_go_back(self, objects: ObjectStore, area: str) -> None:
        """`head` and `list` agree to the second; a later object is not older."""
        for name in ("a", "b"):
            objects.put(f"{area}/{name}", b"")
        first, second = objects.list(f"{area}/")
        assert int(first.modified_at) == int(objects.head(f"{area}/a").modified_at)
        assert int(first.modified_at) <= int(second.modified_at)

    def test_deleted_is_gone_and_leaves_nothing(self, objects: ObjectStore, open_again: OpenAgain, area: str) -> None:
        """Only what was named; doing it again is fine, also with some that are left and one that is named twice."""
        keys = [f"{area}/{first}/{second}" for first in "abc" for second in "012"]
        for key in keys:
            objects.put(key, b"x")
        objects.delete(iter(keys[:5]))
        assert [entry.key for entry in open_again().list(f"{area}/")] == keys[5:]
        objects.delete([*keys[4:], keys[-1]])
        assert list(open_again().list(f"{area}/")) == []

    def test_threads_share_a_store(self, objects: ObjectStore, area: str) -> None:
        """They write, read and delete beside each other, in directories that appear and go."""

        def work(number: int) -> None:
            for round_ in range(4):
                key, data = f"{area}/{number % 2}/{number}", b"%d %d" % (number, round_)
                objects.put(key, data)
                assert objects.get(key) == data
                objects.delete([key])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        assert list(objects.list(f"{area}/")) == []

    def test_a_forked_process_goes_on(self, objects: ObjectStore, area: str) -> None:
        """With the same instance, and so does the one it came from."""
        objects.put(f"{area}/a", b"parent")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            code = 1
            try:
                objects.put(f"{area}/b", objects.get(f"{area}/a") + b" and child")
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert objects.get(f"{area}/b") == b"parent and child"

    def test_it_says_where_it_is(self, objects: ObjectStore) -> None:
        """On one line."""
        assert objects.description
        assert "\n" not in objects.description
