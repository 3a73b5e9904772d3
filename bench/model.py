"""What a row is and what comes out of it. Pure: no clock, no files, no processes.

A row gives raw samples by variant. `ours` and `baseline` name the two that make the ratio; every other variant is a
column of its own. Figures are medians of the samples, a target is a sentence and a rule on those figures.
"""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .measure import Bench

OURS = "ours"
LOCAL = "local"
GATEWAY = "gateway"
GATEWAY_FAST = "gateway, poll 0.05 s"
NOOP = "no-op"


@dataclass
class Outcome:
    """What a row measured."""

    samples: dict[str, list[float]]
    extra: dict[str, Any] = field(default_factory=dict)
    """More fields for the JSON row, such as lost lines."""
    notes: list[str] = field(default_factory=list)
    """What a reader has to know: a column left out and why."""

    def medians(self) -> dict[str, float]:
        return {name: statistics.median(values) for name, values in self.samples.items() if values}


@dataclass(frozen=True)
class Target:
    text: str
    met: Callable[[Mapping[str, float], Mapping[str, Any]], bool]
    """(medians by variant, extra fields) -> reached."""


@dataclass(frozen=True)
class Row:
    id: str
    title: str
    unit: str
    run: Callable[[Bench], Awaitable[Outcome]]
    target: Target | None = None
    baseline: str = LOCAL
    environ: Mapping[str, str] = field(default_factory=dict)
    """Set for the row's process and all it starts."""
    limit_seconds: float = 900.0
    """The row's process is ended after this; a third of it with --quick."""


def figures(row: Row, outcome: Outcome) -> dict[str, Any]:
    """The JSON row."""
    medians = outcome.medians()
    if OURS not in medians:
        raise ValueError("nothing of ours was measured")
    ours, baseline = medians[OURS], medians.get(row.baseline)
    ratio = ours / baseline if baseline else None
    return {
        "id": row.id,
        "title": row.title,
        "ours": round(ours, 3),
        "baseline": None if baseline is None else round(baseline, 3),
        "baseline_name": row.baseline,
        "unit": row.unit,
        "n": len(outcome.samples[OURS]),
        "ratio": None if ratio is None else round(ratio, 4),
        "target": row.target.text if row.target else None,
        "met": row.target.met(medians, outcome.extra) if row.target else None,
        "others": {name: round(value, 3) for name, value in medians.items() if name not in (OURS, row.baseline)},
        **outcome.extra,
        "notes": outcome.notes,
        "samples": {name: [round(value, 3) for value in values] for name, values in outcome.samples.items()},
    }


def failed(row: Row, error: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "title": row.title,
        "ours": None,
        "baseline": None,
        "baseline_name": row.baseline,
        "unit": row.unit,
        "n": 0,
        "ratio": None,
        "target": row.target.text if row.target else None,
        "met": False if row.target else None,
        "others": {},
        "notes": [],
        "samples": {},
        "error": error,
    }


def times_baseline(most: float) -> Target:
    return Target(f"≤ {most:g}× local", lambda m, _: LOCAL in m and m[OURS] <= most * m[LOCAL])


def merged(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of an earlier run with those of a later one put in; a quick row never replaces a full one."""
    rows = {str(row["id"]): dict(row) for row in old}
    for row in new:
        before = rows.get(str(row["id"]))
        if before is None or before.get("quick") or not row.get("quick"):
            rows[str(row["id"])] = dict(row)
    return list(rows.values())
