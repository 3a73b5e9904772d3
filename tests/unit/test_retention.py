"""Which versions stay: the rules, alone and together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syla_jupyter.model.retention import Retention
from syla_jupyter.model.snapshot import Reason, Version
from syla_jupyter.workspaces.retention import judge

NOTHING = Retention(0, 0, 0, 0, 0)
NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)


def version(number: int, at: datetime, reason: Reason = Reason.TIMER, tags: Sequence[str] = ()) -> Version:
    return Version(number, at.timestamp(), "ann", "", reason, number - 1, (), tags=tuple(tags))


def kept(versions: Sequence[Version], rules: Retention, **how: bool) -> list[int]:
    return [verdict.version.number for verdict in judge(versions, rules, **how) if verdict.kept]


def test_no_rule_keeps_the_newest_and_what_is_tagged() -> None:
    versions = [version(n, NOON + timedelta(minutes=n), tags=["paper"] if n == 2 else []) for n in range(1, 6)]
    assert kept(versions, NOTHING) == [2, 5]
    assert kept([], NOTHING) == []


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (Retention(3, 0, 0, 0, 0), [46, 47, 48]),
        (Retention(0, 2, 0, 0, 0), [47, 48]),
        (Retention(0, 0, 2, 0, 0), [35, 48]),
        (Retention(0, 0, 100, 0, 0), [11, 35, 48]),
        (Retention(2, 0, 2, 0, 0), [35, 47, 48]),
    ],
)
def test_the_newest_of_each_period_stays(rules: Retention, expected: list[int]) -> None:
    """One each hour for two days, the first at 13:00 of the first day."""
    versions = [version(n, NOON + timedelta(hours=n)) for n in range(1, 49)]
    assert kept(versions, rules) == expected


def test_weeks_and_months_are_those_of_the_calendar() -> None:
    """The last days of a year are of the first week of the next one."""
    days = [datetime(2024, 12, 27, tzinfo=UTC) + timedelta(days=n) for n in range(10)]
    versions = [version(n + 1, day) for n, day in enumerate(days)]
    assert kept(versions, Retention(0, 0, 0, 100, 0)) == [3, 10]
    assert kept(versions, Retention(0, 0, 0, 0, 100)) == [5, 10]


def test_what_a_person_took_is_not_let_go_of_by_itself() -> None:
    versions = [
        version(1, NOON, Reason.MANUAL), version(2, NOON, Reason.TIMER), version(3, NOON, Reason.IMPORT),
        version(4, NOON, Reason.PRE_RESTORE), version(5, NOON, Reason.SUSPEND),
    ]  # fmt: skip
    assert kept(versions, NOTHING, automatic_only=True) == [1, 3, 5]
    assert kept(versions, NOTHING) == [5]


@given(
    st.lists(st.integers(0, 10_000_000), max_size=60),
    st.tuples(*[st.integers(0, 8)] * 5),
)
def test_more_generous_rules_keep_more(seconds: list[int], counts: tuple[int, ...]) -> None:
    """The newest always stays; raising any count lets nothing go; deciding twice is deciding once."""
    versions = [version(n + 1, NOON + timedelta(seconds=s)) for n, s in enumerate(sorted(seconds))]
    rules = Retention(*counts)
    stay = kept(versions, rules)
    assert not versions or versions[-1].number in stay
    assert set(stay) <= set(kept(versions, Retention(*(count + 1 for count in counts))))
    left = [v for v in versions if v.number in stay]
    assert kept(left, rules) == stay
    assert kept(list(reversed(versions)), rules) == stay
