"""The transition table: every pair of state and verb, who may skip what, and which container was meant."""

from __future__ import annotations

import dataclasses

import pytest

from syla_jupyter.model.errors import Conflict, NotConfirmed, SylaError, WrongState
from syla_jupyter.model.record import State, WorkspaceRecord
from syla_jupyter.workspaces.lifecycle import TABLE, TARGETS, Phase, Verb, allowed, next_state, phase

from .records import EXECUTION, a_record

RECORDS: dict[Phase, WorkspaceRecord | None] = {
    Phase.ABSENT: None,
    Phase.CREATED: a_record(State.CREATED),
    Phase.ACTIVE: a_record(State.ACTIVE),
    Phase.FROZEN: a_record(State.SUSPENDED, execution=EXECUTION),
    Phase.STOPPED: a_record(State.SUSPENDED),
    Phase.ARCHIVED: a_record(State.ARCHIVED),
    Phase.DELETED: a_record(State.DELETED),
}

# One row per phase, one column per verb, written out a second time and in another form than the table itself:
# the state it leads to; `.` stays as it is; `-` WrongState; `!` NotConfirmed, and DELETED once confirmed.
COLUMNS = ("create", "start", "suspend", "resume", "stop", "archive", "recover", "delete", "lost")
EXPECTED = {
    "absent": "created - - - - - - - -",
    "created": "- active - active . archived - ! .",
    "active": "- . suspended . suspended archived - ! created",
    "frozen": "- active . active suspended archived - ! suspended",
    "stopped": "- active . active . archived . ! .",
    "archived": "- - - - - . suspended deleted .",
    "deleted": "- - - - - - - . .",
}
CELLS = [
    (Phase(row), Verb(column), cell)
    for row, cells in EXPECTED.items()
    for column, cell in zip(COLUMNS, cells.split(), strict=True)
]


def test_the_expectations_cover_every_state_and_verb() -> None:
    """A new state, phase or verb without a cell here fails."""
    assert {(p, v) for p, v, _ in CELLS} == {(p, v) for p in Phase for v in Verb}
    assert {p.state for p in Phase if p is not Phase.ABSENT} == set(State)
    assert set(TABLE) == set(Phase)
    assert set(TARGETS) == set(Verb)
    for row, record in RECORDS.items():
        assert phase(record) is row


@pytest.mark.parametrize(("row", "verb", "cell"), CELLS, ids=lambda v: str(v))
def test_every_state_and_verb(row: Phase, verb: Verb, cell: str) -> None:
    """Each cell: the state it leads to, or the refusal, which names both states and what is possible instead."""
    record = RECORDS[row]
    if cell == "-":
        for confirmed in (False, True):
            with pytest.raises(WrongState) as refused:
                next_state(record, verb, confirmed=confirmed)
        assert TARGETS[verb] in refused.value.message
        assert record is None or str(record.state) in refused.value.message
        for possible in allowed(record):
            assert possible in refused.value.hint
        assert refused.value.hint
    elif cell == "!":
        assert record is not None
        with pytest.raises(NotConfirmed, match=f"is {record.state}.*archived.*deleted.*variables.*Archive it.*--force"):
            next_state(record, verb)
        assert next_state(record, verb, confirmed=True) is State.DELETED
    elif cell == ".":
        assert record is not None
        assert next_state(record, verb) is record.state
    else:
        assert next_state(record, verb) is State(cell)


@pytest.mark.parametrize(("row", "verb", "cell"), CELLS, ids=lambda v: str(v))
def test_a_decision_on_another_container_changes_nothing(row: Phase, verb: Verb, cell: str) -> None:
    """An execution that is not the record's is a conflict that names both, wherever something would be done."""
    record = RECORDS[row]
    if record is None:
        return
    if cell in "-.":
        expected = WrongState if cell == "-" else None
    else:
        expected = Conflict
        assert next_state(record, verb, execution=record.execution, confirmed=True) is not None
    if expected is None:
        assert next_state(record, verb, execution="ffffffff", confirmed=True) is record.state
        return
    with pytest.raises(expected) as refused:
        next_state(record, verb, execution="ffffffff", confirmed=True)
    if expected is Conflict:
        assert "ffffffff" in str(refused.value)
        assert (record.execution or "no container") in str(refused.value)


def test_a_container_that_is_gone_is_another_one_too() -> None:
    """Deciding on a stopped workspace and finding it started is a conflict as well."""
    with pytest.raises(Conflict, match=f"no container.*{EXECUTION}"):
        next_state(RECORDS[Phase.ACTIVE], Verb.ARCHIVE, execution="")


@pytest.mark.parametrize("row", [p for p in Phase if p is not Phase.ABSENT])
def test_the_default_workspace_is_never_archived_or_deleted(row: Phase) -> None:
    """Not even when confirmed; everything else is as with any other."""
    record = RECORDS[row]
    assert record is not None
    default = dataclasses.replace(record, is_default=True, name="default")
    for verb, target in TABLE[row].items():
        if target in (Phase.ARCHIVED, Phase.DELETED) and target is not row:
            with pytest.raises(WrongState, match=f"'default' is {record.state}.*default workspace.*{target}"):
                next_state(default, verb, confirmed=True)
            assert verb not in allowed(default)
        else:
            assert next_state(default, verb) is target.state


@pytest.mark.parametrize("row", list(Phase))
def test_what_is_allowed_is_what_works_and_changes_something(row: Phase) -> None:
    """Every verb that is offered is accepted unconfirmed and leads elsewhere; no two lead to the same place."""
    record = RECORDS[row]
    targets = [TABLE[row][verb] for verb in allowed(record)]
    assert row not in targets
    assert len(set(targets)) == len(targets)
    for verb in allowed(record):
        assert verb is not Verb.LOST
        next_state(record, verb)
    left_out = set(Verb) - set(allowed(record)) - {Verb.LOST}
    for verb in left_out:
        try:
            next_state(record, verb)
        except SylaError:
            continue
        target = TABLE[row][verb]
        assert target is row or target in targets


def test_what_is_offered_for_each_state() -> None:
    """The verbs of the user interface, in the order of its menu."""
    offered = {row.value: " ".join(allowed(record)) for row, record in RECORDS.items()}
    assert offered == {
        "absent": "create",
        "created": "start archive",
        "active": "suspend stop archive",
        "frozen": "resume stop archive",
        "stopped": "resume archive",
        "archived": "recover delete",
        "deleted": "",
    }


def test_the_shared_mark_is_no_state() -> None:
    """A shared workspace goes exactly the ways of one that is not shared."""
    for row, record in RECORDS.items():
        if record is None:
            continue
        shared = dataclasses.replace(record, shared=True)
        assert phase(shared) is row
        assert allowed(shared) == allowed(record)
        for verb in TABLE[row]:
            assert next_state(shared, verb, confirmed=True) is next_state(record, verb, confirmed=True)
