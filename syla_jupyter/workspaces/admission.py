"""Whether one more workspace may run: what it wants against what is there, per user and per server.

The caller makes it atomic: it reads the allocations and stores the start under one transaction or lock. What a
frozen workspace holds counts, because its memory is still there; what a stopped one holds does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ..metadata.base import Allocation
from ..model.errors import InsufficientResources
from ..model.quota import Capacity, Quotas
from ..model.workspace import Limits, readable_bytes

HOLDERS_SHOWN = 3
ROUNDING = 1e-9
"""Cores that are lost when fractions are added up."""


@dataclass(frozen=True)
class _Bound:
    """One thing that has an end: how much is wanted and given, for whom, and how its amounts are written."""

    what: str
    mine_only: bool
    """Counts what the asking user holds, not what everybody does."""
    wanted: float
    limit: float | None
    held: Callable[[Allocation], float]
    written: Callable[[float], str]


def admit(
    wanted: Limits,
    owner: str,
    allocations: Iterable[Allocation],
    capacity: Capacity,
    quotas: Quotas,
    *,
    show_owners: bool = False,
) -> None:
    """Return where one more workspace with these limits fits, else raise `InsufficientResources`.

    The error names all that is missing and the biggest holders of each: by name with `show_owners`, else as "you"
    and "other users". To change the limits of a running one, hand in the allocations without it.
    """
    held = _by_owner(allocations)
    missing = [b for b in _bounds(wanted, capacity, quotas) if not _fits(b, owner, held)]
    if not missing:
        return
    first = missing[0]
    lines = "; ".join(_shortage(b, owner, held) + _holders(b, owner, held, show_owners) for b in missing)
    if first.limit is not None and first.wanted > first.limit + ROUNDING:
        way_out = f"It never fits: ask for {first.written(first.limit)} or less"
    elif first.mine_only or _amount(first, owner, held, mine_only=True) > 0:
        way_out = "Stop or archive one of yours, or ask for less"
    else:
        way_out = "Try again when somebody has stopped one, or ask for less"
    raise InsufficientResources(lines, way_out)


def _bounds(wanted: Limits, capacity: Capacity, quotas: Quotas) -> tuple[_Bound, ...]:
    """In the order in which they are named: a user's own before the server's."""

    def workspaces(limit: int | None, mine_only: bool) -> _Bound:
        return _Bound("workspaces", mine_only, 1, limit, lambda a: a.workspaces, lambda n: f"{n:g}")

    def cpus(limit: float | None, mine_only: bool) -> _Bound:
        return _Bound("CPU", mine_only, wanted.cpus, limit, lambda a: a.cpus, lambda n: f"{n:g}")

    def memory(limit: int | None, mine_only: bool) -> _Bound:
        return _Bound(
            "memory", mine_only, wanted.memory_bytes, limit, lambda a: a.memory_bytes, lambda n: readable_bytes(int(n))
        )

    return (
        workspaces(quotas.workspaces_per_user, True),
        cpus(quotas.cpus_per_user, True),
        memory(quotas.memory_bytes_per_user, True),
        workspaces(quotas.workspaces_per_server, False),
        cpus(capacity.cpus_offered, False),
        memory(capacity.memory_bytes, False),
    )


def _by_owner(allocations: Iterable[Allocation]) -> Sequence[Allocation]:
    sums: dict[str, Allocation] = {}
    for one in allocations:
        sum_ = sums.get(one.owner, Allocation(one.owner, 0, 0, 0))
        sums[one.owner] = Allocation(
            one.owner,
            sum_.workspaces + one.workspaces,
            sum_.cpus + one.cpus,
            sum_.memory_bytes + one.memory_bytes,
        )
    return list(sums.values())


def _amount(bound: _Bound, owner: str, held: Sequence[Allocation], *, mine_only: bool) -> float:
    return sum(bound.held(a) for a in held if a.owner == owner or not mine_only)


def _fits(bound: _Bound, owner: str, held: Sequence[Allocation]) -> bool:
    if bound.limit is None:
        return True
    return _amount(bound, owner, held, mine_only=bound.mine_only) + bound.wanted <= bound.limit + ROUNDING


def _shortage(bound: _Bound, owner: str, held: Sequence[Allocation]) -> str:
    assert bound.limit is not None  # what has no limit fits
    free = max(0.0, bound.limit - _amount(bound, owner, held, mine_only=bound.mine_only))
    whose = "per user" if bound.mine_only else "on this server"
    return (
        f"not enough {bound.what} {whose}: {bound.written(bound.wanted)} wanted, "
        f"{bound.written(free)} of {bound.written(bound.limit)} free"
    )


def _holders(bound: _Bound, owner: str, held: Sequence[Allocation], show_owners: bool) -> str:
    """`, held by …`, the biggest first; whoever is not named is counted and added up at the end."""
    amounts = {a.owner: bound.held(a) for a in held if bound.held(a) > 0}
    mine = amounts.pop(owner, 0)
    others = [] if bound.mine_only else sorted(amounts.items(), key=lambda item: (-item[1], item[0]))
    named = others[:HOLDERS_SHOWN] if show_owners else []
    unnamed = [amount for _, amount in others[len(named) :]]
    shown = sorted([("you", mine), *named] if mine else named, key=lambda item: -item[1])
    if unnamed:
        shown.append(("1 other user" if len(unnamed) == 1 else f"{len(unnamed)} other users", sum(unnamed)))
    return ", held by " * bool(shown) + ", ".join(f"{who} ({bound.written(amount)})" for who, amount in shown)
