"""Admission: what still fits, and a refusal that says what is missing and who holds it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syla_jupyter.metadata.base import Allocation
from syla_jupyter.model.errors import InsufficientResources
from syla_jupyter.model.quota import Capacity, Quotas
from syla_jupyter.model.workspace import GIB, Limits
from syla_jupyter.workspaces.admission import admit

SERVER = Capacity(cpus=4, memory_bytes=16 * GIB, cpu_overcommit=2)
NO_QUOTAS = Quotas()
WANTED = Limits(cpus=2, memory_bytes=4 * GIB, disk_bytes=GIB)
HELD = [
    Allocation("ann", 1, 2, 4 * GIB),
    Allocation("bob", 1, 2, 6 * GIB),
    Allocation("cid", 1, 1, 1 * GIB),
    Allocation("dot", 1, 0.5, GIB),
    Allocation("eve", 1, 0.5, GIB),
]


def refusal(owner: str, quotas: Quotas = NO_QUOTAS, wanted: Limits = WANTED, **named: bool) -> InsufficientResources:
    with pytest.raises(InsufficientResources) as caught:
        admit(wanted, owner, HELD, SERVER, quotas, **named)
    return caught.value


def test_what_fits_is_admitted() -> None:
    """Up to the last byte and core, and with no quotas without end."""
    admit(WANTED, "ann", [], SERVER, Quotas())
    admit(WANTED, "ann", HELD[:3], Capacity(3.5, 15 * GIB, 2), Quotas(2, 4, 8 * GIB, 4))
    tenths = [Allocation("ann", 1, 0.1, GIB)] * 2  # and a third: 0.30000000000000004
    admit(Limits(0.1, GIB, GIB), "ann", tenths, Capacity(0.3, 3 * GIB, 1), Quotas())


def test_memory_of_the_server() -> None:
    """Memory is not overcommitted; other users are counted and not named."""
    error = refusal("ann")
    assert error.message == (
        "not enough memory on this server: 4 GB wanted, 3 GB of 16 GB free, held by you (4 GB), 4 other users (9 GB)"
    )
    assert error.hint == "Stop or archive one of yours, or ask for less"
    assert error.retryable


def test_owners_are_named_to_whoever_may_see_them() -> None:
    """The biggest three by name, the biggest first, the rest added up."""
    error = refusal("eve", show_owners=True)
    assert "held by bob (6 GB), ann (4 GB), you (1 GB), cid (1 GB), 1 other user (1 GB)" in error.message
    assert all(name not in refusal("eve").message for name in ("ann", "bob", "cid", "dot"))


def test_somebody_with_nothing_can_only_wait() -> None:
    """Who holds nothing is not told to stop what they have."""
    assert refusal("zoe").hint == "Try again when somebody has stopped one, or ask for less"


def test_cpus_may_be_overcommitted_up_to_the_factor() -> None:
    """Four cores offered twice: six are held, so three more are too many and two are not."""
    little = dict(memory_bytes=GIB, disk_bytes=GIB)
    admit(Limits(2, **little), "ann", HELD, SERVER, Quotas())
    error = refusal("ann", wanted=Limits(3, **little))
    assert "not enough CPU on this server: 3 wanted, 2 of 8 free" in error.message


@pytest.mark.parametrize(
    ("quotas", "text"),
    [
        (Quotas(workspaces_per_user=1), "not enough workspaces per user: 1 wanted, 0 of 1 free, held by you (1)"),
        (Quotas(cpus_per_user=3), "not enough CPU per user: 2 wanted, 1 of 3 free, held by you (2)"),
        (Quotas(memory_bytes_per_user=6 * GIB), "not enough memory per user: 4 GB wanted, 2 GB of 6 GB free"),
        (Quotas(workspaces_per_server=5), "not enough workspaces on this server: 1 wanted, 0 of 5 free"),
    ],
)
def test_each_quota_is_named(quotas: Quotas, text: str) -> None:
    """A user's own quotas name what that user holds, and nobody else."""
    message = refusal("ann", quotas, show_owners=True).message
    assert message.startswith(text)
    assert ("bob" in message.partition("held by ")[2].partition(";")[0]) == (quotas.workspaces_per_server is not None)


def test_everything_that_is_missing_is_named_at_once() -> None:
    """Nobody has to be refused three times to learn three limits."""
    message = refusal("ann", Quotas(1, 1, GIB, 1), wanted=Limits(8, 64 * GIB, GIB)).message
    assert message.count("not enough") == 6


def test_what_never_fits_is_told_so() -> None:
    """Asking for more than there is at all is not answered with waiting."""
    assert refusal("ann", wanted=Limits(1, 32 * GIB, GIB)).hint == "It never fits: ask for 16 GB or less"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Capacity(0, GIB),
        lambda: Capacity(1, 0),
        lambda: Capacity(1, GIB, 0.5),
        lambda: Capacity(float("nan"), GIB),
        lambda: Quotas(workspaces_per_user=-1),
        lambda: Quotas(cpus_per_user=float("nan")),
    ],
)
def test_capacities_and_quotas_that_make_no_sense_do_not_exist(make: object) -> None:
    """A value that exists is a usable one."""
    with pytest.raises(ValueError, match="must be"):
        make()  # type: ignore[operator]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 4), st.integers(1, 4)), max_size=8),
    st.integers(1, 8),
    st.integers(1, 8),
)
def test_admission_never_exceeds_what_there_is(held: list[tuple[str, int, int]], cpus: int, memory: int) -> None:
    """Admitted exactly when the sums with the new one stay within every bound."""
    allocations = [Allocation(owner, 1, c, m * GIB) for owner, c, m in held]
    quotas = Quotas(workspaces_per_user=3, cpus_per_user=9, memory_bytes_per_user=8 * GIB, workspaces_per_server=6)
    mine = [h for h in held if h[0] == "a"]
    fits = (
        len(mine) < 3
        and len(held) < 6
        and sum(c for _, c, _ in mine) + cpus <= 9
        and sum(m for _, _, m in mine) + memory <= 8
        and sum(c for _, c, _ in held) + cpus <= 8
        and sum(m for _, _, m in held) + memory <= 16
    )
    try:
        admit(Limits(cpus, memory * GIB, GIB), "a", allocations, SERVER, quotas)
        admitted = True
    except InsufficientResources:
        admitted = False
    assert admitted == fits
