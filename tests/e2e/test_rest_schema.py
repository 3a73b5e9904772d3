"""Requests made from our own description, right and wrong ones: no 5xx, and no answer that it does not know."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from syla_jupyter.server.openapi import document
from syla_jupyter.server.route import PREFIX
from syla_jupyter.server.routes import ROUTES
from tests.lab import HEADERS, Lab

from .rest_client import warm_client

SECONDS = 1.5
"""For one operation; examples that are left then are not tried."""
EXAMPLES = 20
EXAMPLES_WITH_CONTAINERS = 4
ADDRESS_MAX = 60_000
"""Characters. Tornado ends a connection that sends more than 64 KiB before the body, and says nothing."""
STARTS = ("/resume", "/execute")
EXISTING = ("default", "fuzzed", "put%20away", "none")
CHECKS = [
    checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
DOCUMENT = document(ROUTES, PREFIX)
del DOCUMENT["security"]  # else many requests are made without a login; those are tested elsewhere
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = {operation.label: operation for operation in (found.ok() for found in SCHEMA.get_all_operations())}


@pytest.fixture(scope="module")
def base(lab_server: Lab) -> str:
    """Address of the interface of a server with workspaces in several states."""
    client = warm_client(lab_server)
    for name in ("fuzzed", "put away"):
        client.ok("POST", "workspaces", {"name": name, "type": "session"})
    client.ok("POST", "workspaces/put away/archive")
    return client.base


ASKED = [pytest.param(label, GenerationMode.POSITIVE, id=f"{label}, right") for label in OPERATIONS] + [
    pytest.param(f"{route.method} /{route.path}", GenerationMode.NEGATIVE, id=f"{route.method} /{route.path}, wrong")
    for route in ROUTES
    if route.body or route.query
]


@pytest.mark.parametrize(("label", "mode"), ASKED)
def test_answers_are_as_described(base: str, label: str, mode: GenerationMode) -> None:
    """Whatever is asked, right or wrong, the answer's status, headers and body are those of the description."""
    operation = OPERATIONS[label]
    until = time.monotonic() + SECONDS
    starts = label.endswith(STARTS) and mode is GenerationMode.POSITIVE

    @seed(20261122)
    @settings(
        max_examples=EXAMPLES_WITH_CONTAINERS if starts else EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=_cases(operation, mode))
    def ask(case: Any) -> None:
        if time.monotonic() > until:
            return
        if starts:
            case.body = {"code": case.body["code"], "timeout_seconds": 1} if "/execute" in label else {}
        if len(_address(case, base)) > ADDRESS_MAX:
            return
        answer = case.call(base_url=base, headers=HEADERS, timeout=30)
        case.validate_response(answer, checks=CHECKS)

    ask()


def _address(case: Any, base: str) -> str:
    sent = case.as_transport_kwargs(base_url=base)
    return str(requests.Request(sent["method"], sent["url"], params=sent.get("params")).prepare().url)


def _cases(operation: Any, mode: GenerationMode) -> Any:
    """About half of them of workspaces that there are."""
    anywhere = operation.as_strategy(generation_mode=mode)
    if "{workspace}" not in operation.path:
        return anywhere
    there = [operation.as_strategy(generation_mode=mode, path_parameters={"workspace": name}) for name in EXISTING]
    return st.one_of(*there, anywhere)
