"""Which outputs somebody trusts: digests, and what is remembered of them."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syla_jupyter.model.errors import StoreFailed
from syla_jupyter.server import trust
from syla_jupyter.server.trust import TrustLedger, digest_of, digests_in, without_trust

from .clocks import HandClock

EXAMPLES = json.loads(Path(__file__).with_name("digests.json").read_text())
A, B, C = (name * 64 for name in "abc")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: HandClock) -> Iterator[TrustLedger]:
    made = TrustLedger(tmp_path / "trust.db", clock)
    yield made
    made.close()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one["name"])
def test_a_digest_is_what_the_page_has(example: Any) -> None:
    """The page's tests read the same examples (`digests.spec.ts`)."""
    text = example.get("canonical")
    assert digest_of(example["outputs"]) == ("" if text is None else hashlib.sha256(text.encode()).hexdigest())


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [1 << 60, float("nan"), float("inf"), "\ud800", nested(100_000)],
    ids=["number", "NaN", "infinite", "half a character", "deep"],
)
def test_what_has_no_canonical_form_has_no_digest(value: Any) -> None:
    assert digest_of([{"output_type": "display_data", "data": {"text/html": value}}]) == ""


def test_no_cell_says_of_itself_that_it_is_trusted() -> None:
    rest: list[Any] = [{"metadata": {}}, {}, {"metadata": 1}, [], None]
    notebook = {"cells": [{"metadata": {"trusted": True, "a": 1}}, *rest]}
    without_trust(notebook)
    assert notebook == {"cells": [{"metadata": {"a": 1}}, *rest]}


def test_what_is_no_notebook_has_no_digests() -> None:
    shown = {"output_type": "display_data", "data": {"text/html": "a"}, "metadata": {}}
    odd: list[Any] = [[1], {"outputs": 1}, {"outputs": [1]}, {"outputs": [{"output_type": "display_data", "data": 1}]}]
    assert digests_in({"cells": [*odd, {"outputs": [shown]}, {"outputs": [shown]}]}) == [digest_of([shown])]


def test_a_store_that_fails_is_told(tmp_path: Path, clock: HandClock) -> None:
    made = TrustLedger(tmp_path / "trust.db", clock)
    made.close()
    for ask in (lambda: made.add("ann", [A]), lambda: made.known("ann", [A])):
        with pytest.raises(StoreFailed, match="what is trusted is not kept"):
            ask()


def test_each_person_has_his_own(ledger: TrustLedger, tmp_path: Path, clock: HandClock) -> None:
    ledger.add("ann", [A, B])
    ledger.add("ann", [B])
    ledger.add("bob", [C])
    assert ledger.known("ann", [C, B, A]) == [B, A]
    assert ledger.known("bob", [A, B, C]) == [C]
    assert ledger.known("", [A]) == []
    again = TrustLedger(tmp_path / "trust.db", clock)
    assert again.known("ann", [A]) == [A]
    again.close()


def test_a_run_that_goes_on_has_one_place(ledger: TrustLedger) -> None:
    ledger.add("ann", [A])
    for digest in (A, B, C):
        ledger.replace("ann", "run-1", digest)
    assert ledger.known("ann", [A, B, C]) == [A, C]  # the first she had said herself


def test_the_oldest_go(ledger: TrustLedger, clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "KEPT_MAX", 8)
    digests = [f"{number:064x}" for number in range(9)]
    ledger.add("bob", [A])
    for digest in digests:
        clock.move(1)
        ledger.add("ann", [digest])
    assert ledger.known("ann", digests) == digests[-6:]
    assert ledger.known("bob", [A]) == [A]


def test_threads_take_turns(ledger: TrustLedger) -> None:
    def add(name: str) -> None:
        for number in range(50):
            ledger.add(name, [f"{number:064x}"])

    threads = [threading.Thread(target=add, args=(name,)) for name in ("ann", "bob", "ann")]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    every = [f"{number:064x}" for number in range(50)]
    assert ledger.known("ann", every) == ledger.known("bob", every) == every


def test_a_damaged_file_is_begun_anew(tmp_path: Path, clock: HandClock) -> None:
    """It is no reason for a server not to start: what is lost is asked for again."""
    file = tmp_path / "trust.db"
    file.write_bytes(b"this is no database" * 1000)
    made = TrustLedger(file, clock)
    made.add("ann", [A])
    assert made.known("ann", [A]) == [A]
    made.close()
    assert file.with_name("trust.db.damaged").read_bytes().startswith(b"this is no database")
    file.unlink()
    file.mkdir()  # nor can be one: that is said
    with pytest.raises(sqlite3.OperationalError):
        TrustLedger(file, clock)
