"""What it costs to ask whether somebody may: of the guard, as each request asks it, with its look at the store."""

from __future__ import annotations

from collections.abc import Callable

from syla_jupyter.access.decide import decide
from syla_jupyter.access.roles import role_named
from syla_jupyter.access.service import Caller
from syla_jupyter.model.people import Permission, Principal, SubjectKind

from ..client import now_ms
from ..measure import Bench, Sample, interleave
from ..model import OURS, Outcome, Row, Target

ASKED = 2000
CHANGES = 20
DECIDE_US = 50
WHO, PURE, CHANGED = "and who he is", "the decision alone", "after a change"


async def _decide(bench: Bench) -> Outcome:
    """`after a change`: of a role, so that nothing that was remembered counts."""
    access = bench.application.access()
    owner = Caller(Principal(access.owner, admin=True))
    root = bench.lab / "work" / "decided"
    root.mkdir()
    workspace = bench.application.registry().create("decided", root=root).id
    access.people.add_user(owner, "ben")

    def share() -> None:
        access.sharing.share(owner, workspace, SubjectKind.USER, "ben", role_named("editor"))

    share()
    guard, ben = access.guard, access.guard.principal("ben")
    assert ben is not None
    known = guard.access(workspace)

    def sample(ask: Callable[[], object]) -> Sample:
        async def one() -> float:
            begin = now_ms()
            for _ in range(ASKED):
                ask()
            return 1000 * (now_ms() - begin) / ASKED

        return one

    async def changed() -> float:
        took = 0.0
        for _ in range(CHANGES):
            share()
            begin = now_ms()
            guard.decide(ben, Permission.WRITE, workspace)
            took += now_ms() - begin
        return 1000 * took / CHANGES

    def with_who() -> None:
        guard.principal("ben")
        guard.decide(ben, Permission.WRITE, workspace)

    variants: dict[str, Sample] = {
        OURS: sample(lambda: guard.decide(ben, Permission.WRITE, workspace)),
        WHO: sample(with_who),
        PURE: sample(lambda: decide(ben, Permission.WRITE, known)),
        CHANGED: changed,
    }
    return Outcome(await interleave(variants, bench.n))


DECIDE = Row(
    "decide_cost",
    "whether somebody may write in a workspace, remembered",
    "µs",
    _decide,
    Target(f"< {DECIDE_US} µs", lambda m, _: m[OURS] < DECIDE_US),
)
