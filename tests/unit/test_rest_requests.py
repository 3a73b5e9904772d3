"""Requests into models and values into answers: what is refused, and with which field named."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from tornado.web import HTTPError

from syla_jupyter.metadata.base import Allocation
from syla_jupyter.model.errors import BadInput
from syla_jupyter.model.quota import Capacity, Quotas
from syla_jupyter.model.record import State
from syla_jupyter.model.workspace import GIB
from syla_jupyter.server import shown, wire
from syla_jupyter.server.endpoint import parsed_body, parsed_query
from syla_jupyter.server.handlers import _check_match
from syla_jupyter.workspaces.execution import Execution, ExecutionError

from .records import EXECUTION, NOW, a_record

JSON = "application/json; charset=utf-8"


def body(model: type[wire.Wire], value: Any) -> Any:
    return parsed_body(model, value if isinstance(value, bytes) else json.dumps(value).encode(), JSON)


# -- bodies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "value", "field"),
    [
        (wire.CreateWorkspace, {}, "name"),
        (wire.CreateWorkspace, {"name": "x", "colour": "red"}, "colour"),
        (wire.CreateWorkspace, {"name": 1}, "name"),
        (wire.CreateWorkspace, {"name": None}, "name"),
        (wire.CreateWorkspace, {"name": "x", "type": "eternal"}, "type"),
        (wire.CreateWorkspace, {"name": "x", "template": None}, "template"),
        (wire.CreateWorkspace, {"name": "x", "limits": {"cpus": "2"}}, "limits.cpus"),
        (wire.CreateWorkspace, {"name": "x", "limits": {"cpus": 0}}, "limits.cpus"),
        (wire.CreateWorkspace, b'{"name": "x", "limits": {"cpus": NaN}}', "limits.cpus"),
        (wire.CreateWorkspace, {"name": "x", "limits": {"memory_bytes": 1.5}}, "limits.memory_bytes"),
        (wire.CreateWorkspace, {"name": "x", "limits": {"memory_bytes": 10**30}}, "limits.memory_bytes"),
        (wire.CreateWorkspace, {"name": "x", "limits": {"gpus": 1}}, "limits.gpus"),
        (wire.CreateWorkspace, {"name": "x", "policy": {"idle_seconds": -1}}, "policy.idle_seconds"),
        (wire.CreateWorkspace, {"name": "x", "policy": {"warning_seconds": None}}, "policy.warning_seconds"),
        (wire.CreateWorkspace, {"name": "x", "labels": {"k": 1}}, "labels.k"),
        (wire.CreateWorkspace, {"name": "x", "labels": {str(n): "" for n in range(65)}}, "labels"),
        (wire.SuspendWorkspace, {"stop": "yes"}, "stop"),
        (wire.TouchWorkspace, {"seconds": 1e300}, "seconds"),
        (wire.ExecuteCode, {"code": "1", "timeout_seconds": 0}, "timeout_seconds"),
        (wire.ExecuteCode, b'{"code": "\\ud800"}', "body"),
        (wire.Nothing, {"execution": "x"}, "execution"),
        (wire.Nothing, [], "body"),
        (wire.Nothing, b"{", "body"),
        (wire.Nothing, b"\xff", "body"),
        (wire.Nothing, b"[" * 100_000, "body"),
    ],
)
def test_a_wrong_body_names_its_field(model: type[wire.Wire], value: Any, field: str) -> None:
    """Whatever is wrong with a body is bad input, with the field that it is about."""
    with pytest.raises(BadInput) as raised:
        body(model, value)
    assert raised.value.field == field


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"memory_bytes": 1 << 20}, "limits.memory_bytes: give at least 64 MB"),
        ({"cpus": 0}, "limits.cpus: give at least 0.05"),
        ({"pids": 1 << 30}, "limits.pids: give at most 4194304"),
    ],
)
def test_a_number_out_of_its_bounds_names_them(limits: Any, said: str) -> None:
    with pytest.raises(BadInput, match=f"^{said}.$"):
        body(wire.CreateWorkspace, {"name": "x", "limits": limits})


def test_what_was_sent_is_not_repeated() -> None:
    """An error shows neither values nor long names of what was sent."""
    with pytest.raises(BadInput) as raised:
        body(wire.SuspendWorkspace, {"execution": ["secret"]})
    assert "secret" not in str(raised.value)
    with pytest.raises(BadInput) as raised:
        body(wire.SuspendWorkspace, {"x" * 100_000: 1})
    assert len(str(raised.value)) < 500


def test_no_body_is_an_empty_one() -> None:
    """A verb without anything to say needs no body; with one, it is JSON and says so."""
    assert parsed_body(wire.SuspendWorkspace, b"", "") == wire.SuspendWorkspace()
    with pytest.raises(HTTPError) as raised:
        parsed_body(wire.SuspendWorkspace, b"{}", "text/plain")
    assert raised.value.status_code == 415


def test_whole_numbers() -> None:
    """2.0 is a whole number in JSON, as the description's `integer` has it."""
    assert body(wire.ChangeWorkspace, b'{"version": 2.0, "limits": {"pids": 1e2}}').given()["version"] == 2


def test_what_was_left_out_is_told_from_null() -> None:
    """In a policy null means never; what is not there stays as it is."""
    asked = body(wire.ChangeWorkspace, {"policy": {"idle_seconds": None, "ttl_seconds": 5}})
    assert asked.policy.given() == {"idle_seconds": None, "ttl_seconds": 5}
    assert asked.limits.given() == {}


# -- addresses ---------------------------------------------------------------------------------------------------


def test_parameters() -> None:
    """Lists are repeated parameters; what JupyterLab adds to every address is let by."""
    given = {
        "state": [b"active", b"suspended"],
        "descending": [b"true"],
        "limit": [b"7"],
        "1700000000000": [b""],
        "token": [b"t"],
    }
    asked = parsed_query(wire.ListQuery, given)
    assert (asked.state, asked.descending, asked.limit) == ([State.ACTIVE, State.SUSPENDED], True, 7)
    assert parsed_query(None, {"_xsrf": [b"x"]}) is None


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"limit": [b"0"]}, "limit"),
        ({"limit": [b"1", b"2"]}, "limit"),
        ({"state": [b"gone"]}, "state.0"),
        ({"sort": [b"colour"]}, "sort"),
        ({"idle_for_seconds": [b"nan"]}, "idle_for_seconds"),
        ({"name": [b"\xff"]}, "name"),
        ({"colour": [b"red"]}, "colour"),
        ({"123": [b"4"]}, "123"),
    ],
)
def test_a_wrong_parameter_is_named(given: dict[str, list[bytes]], field: str) -> None:
    with pytest.raises(BadInput) as raised:
        parsed_query(wire.ListQuery, given)
    assert raised.value.field == field


@pytest.mark.parametrize(
    ("header", "refused"),
    [("*", None), ('"3"', None), ('"2", "3"', None), ('"2"', 412), ('W/"3"', 412), ("3", BadInput), ('"3', BadInput)],
)
def test_if_match(header: str, refused: Any) -> None:
    """A version matches by its strong tag only (RFC 9110, 13.1.1)."""
    record = a_record(version=3)
    if refused is None:
        _check_match(header, record)
        return
    with pytest.raises(HTTPError if refused == 412 else BadInput) as raised:
        _check_match(header, record)
    assert refused is BadInput or (raised.value.status_code, "version 3 now" in str(raised.value)) == (412, True)


# -- answers -----------------------------------------------------------------------------------------------------


def test_a_workspace_is_shown_with_its_deadline_and_the_reason() -> None:
    """Times are RFC 3339 in UTC, sizes whole bytes, the path as the contents API has it."""
    record = a_record(files=Path("/srv/workspaces/ä"), labels={"k": "v"}, disk_bytes=5)
    answer = json.loads(shown.workspace(record, root=Path("/srv"), now=NOW).model_dump_json())
    assert answer["created_at"] == "2027-01-15T08:00:00Z"
    assert answer["next"] == {
        "action": "suspend",
        "at": "2027-01-15T09:00:00Z",
        "reason": "idle for 0 s (suspended after 1 h)",
    }
    assert answer["allowed"] == ["suspend", "stop", "archive"]
    assert (answer["path"], answer["execution"], answer["frozen"]) == ("workspaces/ä", EXECUTION, False)
    assert (answer["extended_until"], answer["limits"]["memory_bytes"]) == (None, 4 << 30)


def test_files_outside_of_the_root_have_no_path() -> None:
    """A host directory that the contents API does not serve is not told."""
    for root, files, path in (
        ("/srv", "/elsewhere/x", None),
        ("/srv", "/srvx", None),
        ("/srv", "/srv", ""),
        ("/", "/", ""),
        ("/", "/srv/x", "srv/x"),
    ):
        answer = shown.workspace(a_record(files=Path(files)), root=Path(root), now=NOW)
        assert answer.path == path
        assert path is not None or files not in answer.model_dump_json()


def test_usage_says_what_there_is_beside_what_is_held() -> None:
    held = [Allocation("ann", 2, 3.0, GIB), Allocation("bob", 1, 1.0, GIB)]
    usage = shown.usage(held, "ann", Capacity(2, 8 * GIB, cpu_overcommit=4), Quotas(workspaces_per_user=5), [])
    assert (usage.mine.workspaces, usage.mine.cpus, usage.everybody.memory_bytes) == (2, 3.0, 2 * GIB)
    assert (usage.offered.cpus, usage.offered.memory_bytes) == (8, 8 * GIB)
    assert (usage.quotas.workspaces_per_user, usage.quotas.cpus_per_user) == (5, None)


@pytest.mark.parametrize("seconds", [1e18, 1 << 40])
def test_a_time_beyond_the_calendar(seconds: float) -> None:
    """What a policy may say is later than any date is the last one, not an error."""
    assert shown.time(seconds).year == 9999


def test_what_a_kernel_sent_can_be_sent_on() -> None:
    """Half surrogate pairs, NaN and deep nesting, which JSON of a kernel may hold, do not break the answer."""
    deep: Any = "end"
    for _ in range(500):
        deep = [deep]
    bundle = {"text/plain": "\ud800", "application/json": {"n": math.nan, "i": 10**30, "deep": deep, "t": True}}
    error = ExecutionError("E\udfff", "v", ["\udc00"])
    done = Execution("id", "error", "\ud800", "", bundle, [bundle], error, NOW, 0.1, False)
    answer = json.loads(shown.execution(done).model_dump_json())
    assert (answer["stdout"], answer["result"]["text/plain"], answer["error"]["name"]) == ("?", "?", "E?")
    assert answer["result"]["application/json"]["n"] is None
    assert answer["displays"][0]["application/json"]["i"] == 10**30
