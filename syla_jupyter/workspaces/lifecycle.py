"""Which verb leads from which state to which: one table, and nothing else decides it.

    phase      start   suspend  resume  stop     archive   recover  delete    lost
    created    active  -        active  =        archived  -        deleted*  =
    active     =       frozen   =       stopped  archived  -        deleted*  created
    frozen     active  =        active  stopped  archived  -        deleted*  stopped
    stopped    active  =        active  =        archived  =        deleted*  =
    archived   -       -        -       -        =         stopped  deleted   =
    deleted    -       -        -       -        -         -        =         =

`=` is no change and no error: asking twice is asking once. `-` is refused. `*` only when confirmed: it skips the
archive. Frozen and stopped are the two ways of being `suspended`, with and without a container. `lost`: the container
ended and nobody asked for it (killed, out of memory, lease expired, engine gone). `create` leads from no record to
`created`, and from nowhere else.

The default workspace is neither archived nor deleted. The shared mark is no state: every transition keeps it.
A caller that decided on what it read of one container names its execution; against another one the verb is refused.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from ..model.errors import Conflict, NotConfirmed, WrongState
from ..model.record import State, WorkspaceRecord


class Verb(enum.StrEnum):
    CREATE = "create"
    START = "start"
    SUSPEND = "suspend"
    RESUME = "resume"
    STOP = "stop"
    ARCHIVE = "archive"
    RECOVER = "recover"
    DELETE = "delete"
    LOST = "lost"


class Phase(enum.StrEnum):
    """A state, with `suspended` in its two ways and with no record at all."""

    ABSENT = "absent"
    CREATED = "created"
    ACTIVE = "active"
    FROZEN = "frozen"
    STOPPED = "stopped"
    ARCHIVED = "archived"
    DELETED = "deleted"

    @property
    def state(self) -> State:
        """`ABSENT` has none."""
        return State.SUSPENDED if self in (Phase.FROZEN, Phase.STOPPED) else State(self.value)


TABLE: Mapping[Phase, Mapping[Verb, Phase]] = {
    # Of two verbs in a row that lead to the same, the first is the one to offer.
    Phase.ABSENT: {Verb.CREATE: Phase.CREATED},
    Phase.CREATED: {
        Verb.START: Phase.ACTIVE,
        Verb.RESUME: Phase.ACTIVE,
        Verb.STOP: Phase.CREATED,
        Verb.ARCHIVE: Phase.ARCHIVED,
        Verb.DELETE: Phase.DELETED,
        Verb.LOST: Phase.CREATED,
    },
    Phase.ACTIVE: {
        Verb.START: Phase.ACTIVE,
        Verb.RESUME: Phase.ACTIVE,
        Verb.SUSPEND: Phase.FROZEN,
        Verb.STOP: Phase.STOPPED,
        Verb.ARCHIVE: Phase.ARCHIVED,
        Verb.DELETE: Phase.DELETED,
        Verb.LOST: Phase.CREATED,
    },
    Phase.FROZEN: {
        Verb.RESUME: Phase.ACTIVE,
        Verb.START: Phase.ACTIVE,
        Verb.SUSPEND: Phase.FROZEN,
        Verb.STOP: Phase.STOPPED,
        Verb.ARCHIVE: Phase.ARCHIVED,
        Verb.DELETE: Phase.DELETED,
        Verb.LOST: Phase.STOPPED,
    },
    Phase.STOPPED: {
        Verb.RESUME: Phase.ACTIVE,
        Verb.START: Phase.ACTIVE,
        Verb.SUSPEND: Phase.STOPPED,
        Verb.STOP: Phase.STOPPED,
        Verb.ARCHIVE: Phase.ARCHIVED,
        Verb.RECOVER: Phase.STOPPED,
        Verb.DELETE: Phase.DELETED,
        Verb.LOST: Phase.STOPPED,
    },
    Phase.ARCHIVED: {
        Verb.RECOVER: Phase.STOPPED,
        Verb.ARCHIVE: Phase.ARCHIVED,
        Verb.DELETE: Phase.DELETED,
        Verb.LOST: Phase.ARCHIVED,
    },
    Phase.DELETED: {Verb.DELETE: Phase.DELETED, Verb.LOST: Phase.DELETED},
}

TARGETS = {
    Verb.CREATE: State.CREATED,
    Verb.START: State.ACTIVE,
    Verb.SUSPEND: State.SUSPENDED,
    Verb.RESUME: State.ACTIVE,
    Verb.STOP: State.SUSPENDED,
    Verb.ARCHIVE: State.ARCHIVED,
    Verb.RECOVER: State.SUSPENDED,
    Verb.DELETE: State.DELETED,
    Verb.LOST: State.CREATED,
}
"""What a verb is for, as a refusal names it."""
NEVER_FOR_DEFAULT = frozenset({Phase.ARCHIVED, Phase.DELETED})
"""Where the default workspace cannot be brought."""


def phase(record: WorkspaceRecord | None) -> Phase:
    if record is None:
        return Phase.ABSENT
    if record.state is State.SUSPENDED:
        return Phase.FROZEN if record.execution else Phase.STOPPED
    return Phase(record.state.value)


def next_state(
    record: WorkspaceRecord | None, verb: Verb, *, execution: str | None = None, confirmed: bool = False
) -> State:
    """The state that the verb leads to; where nothing is to be done, the present one.

    Parameters
    ----------
    execution : of the container that the caller means (empty: none); None: whichever it is.
    confirmed : somebody was told what is lost, and wants it.

    Errors: `WrongState`, `Conflict` (another execution, and something to do), `NotConfirmed`.
    """
    now = phase(record)
    target = TABLE[now].get(verb)
    if record is None or target is None:
        if record is None and target is not None:
            return target.state
        raise WrongState(f"{_subject(record)}; {verb} would make it {TARGETS[verb]}", _way_out(record))
    if target is now:
        return target.state
    if record.is_default and target in NEVER_FOR_DEFAULT:
        raise WrongState(
            f"{_subject(record)} and the default workspace, which cannot become {target}", _way_out(record)
        )
    if execution is not None and execution != record.execution:
        raise Conflict(
            f"{verb} was meant for {_container(execution)} of {record.name!r}, "
            f"which has {_container(record.execution)} now",
            "Look at it again, then decide",
        )
    if target is Phase.DELETED and now is not Phase.ARCHIVED and not confirmed:
        raise NotConfirmed(
            "confirmed",
            f"{_subject(record)}, and only an archived one becomes deleted unasked: its files, packages, history and "
            "variables are lost for good",
            "Archive it instead, or confirm (--force)",
        )
    return target.state


def allowed(record: WorkspaceRecord | None) -> tuple[Verb, ...]:
    """What a person can ask for and would change something; deletion past the archive is not among it."""
    now = phase(record)
    verbs: dict[Phase, Verb] = {}
    for verb, target in TABLE[now].items():
        if target is now or verb is Verb.LOST:
            continue
        if target is Phase.DELETED and now is not Phase.ARCHIVED:
            continue
        if record is not None and record.is_default and target in NEVER_FOR_DEFAULT:
            continue
        verbs.setdefault(target, verb)
    return tuple(verbs.values())


def _subject(record: WorkspaceRecord | None) -> str:
    return "there is no such workspace" if record is None else f"{record.name!r} is {record.state}"


def _way_out(record: WorkspaceRecord | None) -> str:
    verbs = allowed(record)
    return f"Possible now: {', '.join(verbs)}" if verbs else "Nothing is possible any more: make a new one"


def _container(execution: str) -> str:
    return f"execution {execution!r}" if execution else "no container"
