"""What two runs of the same specs say about each other. Pure: reports in, rows and faults out.

A fault is a difference that nobody has explained, or an explanation of what is not (any more) so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PASSED, FAILED, SKIPPED, ABSENT = "passed", "failed", "skipped", "absent"
OUTCOMES = {"expected": PASSED, "flaky": PASSED, "unexpected": FAILED, "skipped": SKIPPED}
"""Of Playwright's words; *flaky* passed in a later try."""


@dataclass(frozen=True)
class Outcome:
    status: str
    tries: int = 1
    error: str = ""
    """First lines of what the last try said."""


@dataclass(frozen=True)
class Row:
    id: str
    """file › describe › test"""
    stock: Outcome
    ours: Outcome
    reason: str = ""

    @property
    def differs(self) -> bool:
        return self.stock.status != self.ours.status


def outcomes(report: Mapping[str, Any]) -> dict[str, Outcome]:
    """Spec id -> outcome, of a report of Playwright's JSON reporter."""
    return {id: outcome for suite in report["suites"] for id, outcome in _of_suite(suite, ())}


def _of_suite(suite: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, Outcome]]:
    names = (*above, suite["title"])
    for spec in suite.get("specs", ()):
        (test,) = spec["tests"]
        tries = test["results"]
        error = (tries[-1].get("error") or {}).get("message", "") if tries else ""
        yield " › ".join((*names, spec["title"])), Outcome(OUTCOMES[test["status"]], len(tries), error)
    for inner in suite.get("suites", ()):
        yield from _of_suite(inner, names)


def beside(stock: Mapping[str, Outcome], ours: Mapping[str, Outcome], explained: Mapping[str, str]) -> list[Row]:
    """A row for each spec of either side and for each that is explained, in the order of the stock server's."""
    absent = Outcome(ABSENT, 0)
    ids = dict.fromkeys([*stock, *ours, *explained])
    return [Row(id, stock.get(id, absent), ours.get(id, absent), explained.get(id, "")) for id in ids]


def faults(rows: list[Row]) -> list[str]:
    """One line for each; none: the two pass the same, but for what is explained."""
    return [f"{row.id}: {why}" for row in rows if (why := _fault(row))]


def _fault(row: Row) -> str:
    stock, ours = row.stock.status, row.ours.status
    if stock == ours == ABSENT:
        return "explained, and there is no such spec"
    if ABSENT in (stock, ours):
        return f"{stock} on the stock server, {ours} on ours: the two did not run the same specs"
    lost = stock == PASSED and ours != PASSED
    if lost and not row.reason:
        return f"{ours} on ours only: {row.ours.error}"
    if not lost and row.reason:
        return f"explained as a difference ({row.reason}), and there is none: {stock} and {ours}"
    return ""
