"""What the comparison of two runs of JupyterLab's specs calls a fault, and how it reads a report of Playwright's."""

from __future__ import annotations

from typing import Any

import pytest

from ..e2e.upstream import deselected
from ..galata.__main__ import CHOSEN, EXPLAINED, chosen_files
from ..galata.compare import ABSENT, FAILED, PASSED, SKIPPED, Outcome, beside, faults, outcomes
from ..galata.report import page

ID = "jupyterlab/kernel.test.ts › Kernel › starts"
WHY = "a reason that is long enough to be one"


@pytest.mark.parametrize(
    ("stock", "ours", "why", "fault"),
    [
        (PASSED, PASSED, "", ""),
        (FAILED, FAILED, "", ""),
        (SKIPPED, SKIPPED, "", ""),
        (FAILED, PASSED, "", ""),
        (PASSED, FAILED, WHY, ""),
        (PASSED, SKIPPED, WHY, ""),
        (PASSED, FAILED, "", "failed on ours only: no such kernel"),
        (PASSED, SKIPPED, "", "skipped on ours only"),
        (PASSED, PASSED, WHY, "there is none: passed and passed"),
        (FAILED, FAILED, WHY, "there is none: failed and failed"),
        (PASSED, ABSENT, "", "did not run the same specs"),
        (ABSENT, PASSED, "", "did not run the same specs"),
        (ABSENT, ABSENT, WHY, "there is no such spec"),
    ],
)
def test_what_is_a_fault(stock: str, ours: str, why: str, fault: str) -> None:
    """What passes on the stock server only, unless it is explained; and what is explained and is not so."""
    sides = [{} if status == ABSENT else {ID: Outcome(status, error="no such kernel")} for status in (stock, ours)]
    rows = beside(*sides, {ID: why} if why else {})
    found = faults(rows)
    if not fault:
        assert found == []
    else:
        (line,) = found
        assert line.startswith(ID)
        assert fault in line
    assert ("**not explained**" in page(rows, "title", {})) == (stock != ours and not why)


def test_a_report_is_read() -> None:
    """Describes nest; what passed in a later try has passed; the error is the last try's."""

    def spec(title: str, status: str, *errors: str) -> dict[str, Any]:
        results = [{"error": {"message": error}} if error else {} for error in errors]
        return {"title": title, "tests": [{"status": status, "results": results}]}

    inner = {"title": "Notebook", "specs": [spec("runs", "flaky", "first", ""), spec("saves", "unexpected", "a", "b")]}
    top = {"title": "f.test.ts", "specs": [spec("opens", "expected", "")], "suites": [inner]}
    assert outcomes({"suites": [top]}) == {
        "f.test.ts › opens": Outcome(PASSED, 1),
        "f.test.ts › Notebook › runs": Outcome(PASSED, 2),
        "f.test.ts › Notebook › saves": Outcome(FAILED, 2, "b"),
    }


def test_every_explanation_is_one_and_of_a_chosen_spec() -> None:
    chosen = chosen_files(CHOSEN)
    for id, reason in deselected(EXPLAINED).items():
        assert id.partition(" › ")[0] in chosen, id
        assert len(reason) > 20, id
