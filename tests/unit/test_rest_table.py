"""The table of routes, the map of errors and the description made from them."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator

import pytest
from jsonschema import Draft202012Validator
from tornado.web import HTTPError, RequestHandler

from syla_jupyter.model import errors as tree
from syla_jupyter.server import endpoint, errors, wire
from syla_jupyter.server.event_socket import SOCKETS, EventSocket
from syla_jupyter.server.openapi import document, refusals
from syla_jupyter.server.route import PREFIX, RESOURCE, Route
from syla_jupyter.server.routes import ROUTES

DOCUMENT = document(ROUTES, PREFIX)
RULES = endpoint.rules(ROUTES, None, SOCKETS)  # type: ignore[arg-type]


def subclasses(cls: type) -> Iterator[type]:
    yield cls
    for child in cls.__subclasses__():
        yield from subclasses(child)


# -- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [c for c in subclasses(tree.SylaError) if c.__module__ == tree.__name__])
def test_every_error_has_a_status(cls: type[tree.SylaError]) -> None:
    """Each class of the tree has a status of its own, and is answered in the one shape, its field named."""
    assert cls in errors.STATUS
    made = cls("memory", "too much", "Ask for less") if issubclass(cls, tree.BadInput) else cls("too much", "Less")
    status, answer = errors.describe(made)
    assert status == errors.STATUS[cls]
    assert (answer.error.code, answer.error.retryable) == (cls.code, cls.retryable)
    assert answer.error.hint == made.hint
    assert answer.error.field == ("memory" if issubclass(cls, tree.BadInput) else None)


def test_an_agents_own_code_is_not_shown() -> None:
    """The code of an answer is one of ours, whatever a container made up."""
    error = tree.AgentRefused("no \ud800")
    error.code = "made up"  # type: ignore[misc]
    status, answer = errors.describe(error)
    assert (status, answer.error.code, answer.error.message) == (502, "agent_refused", "no ?")


def test_a_bug_says_nothing_of_itself() -> None:
    """What is not of the tree is answered as 500, without its text."""
    status, answer = errors.describe(KeyError("secret"))
    assert (status, answer.error.code) == (500, "internal")
    assert "secret" not in answer.model_dump_json()


@pytest.mark.parametrize(
    ("status", "code"), [(403, "forbidden"), (404, "not_found"), (418, "i'm_a_teapot"), (599, "error")]
)
def test_refusals_of_jupyter(status: int, code: str) -> None:
    """Jupyter's own refusals have our shape; texts with a percent sign are given as they are."""
    assert errors.describe(HTTPError(status))[1].error.code == code
    assert errors.describe(HTTPError(status, "100 %% of %s", "it"))[1].error.message == "100 % of it"
    assert errors.describe(HTTPError(status, "100 % of it"))[1].error.message == "100 % of it"


# -- the table ---------------------------------------------------------------------------------------------------


def test_no_route_is_taken_for_one_of_jupyters() -> None:
    """No address of ours contains what JupyterLab knows as its own, and none is there twice."""
    for route in ROUTES:
        assert not re.search("api/(workspaces|sessions)", f"{PREFIX}/{route.path}")
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_is_guarded(route: Route) -> None:
    """Each names its action and resource, and Jupyter's authorizer is asked for exactly these, whoever comes first."""
    handler = next(handler for pattern, handler, _ in RULES if pattern == endpoint.pattern(route.path))
    method = getattr(handler, route.method.lower())
    if route.public:
        assert route.path == "healthz"
        return
    assert route.resource == RESOURCE
    assert not getattr(method, "__allow_unauthenticated", False)
    asked = {}
    while hasattr(method, "__wrapped__"):
        asked |= inspect.getclosurevars(method).nonlocals
        method = method.__wrapped__
    assert (asked["action"], asked["resource"]) == (route.action, route.resource)


@pytest.mark.parametrize(("pattern", "handler", "_"), RULES)
def test_methods_that_no_route_has(pattern: str, handler: type[RequestHandler], _: object) -> None:
    """A handler offers the methods of its routes and no other."""
    here = {r.method for r in ROUTES if endpoint.pattern(r.path) == pattern}
    offered = {
        m for m in handler.SUPPORTED_METHODS if getattr(handler, m.lower()) is not RequestHandler._unimplemented_method
    }
    assert offered - {"OPTIONS"} == here
    assert handler is EventSocket or set(getattr(handler, "METHODS", ())) == here


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/syla/v1/workspaces/a%20b/suspend", "workspaces/{workspace}/suspend"),
        ("/syla/v1/openapi.json", "openapi.json"),
        ("/syla/v1/openapiXjson", None),
        ("/syla/v1/workspaces/", None),
        ("/syla/v1/workspaces/a/b", None),
        ("/syla/v2/workspaces", None),
        ("/syla", None),
    ],
)
def test_addresses(path: str, taken: str | None) -> None:
    """What is no address of a route is taken by the one that answers 404."""
    pattern, handler, _ = next(row for row in RULES if re.fullmatch(row[0], path))
    assert pattern == endpoint.pattern(taken) if taken else handler is endpoint.NoRoute


# -- the description ---------------------------------------------------------------------------------------------


def test_the_description_holds_every_route() -> None:
    """Each row is an operation with all that it may answer; every reference leads somewhere; all of it is JSON."""
    operations = {
        (method.upper(), path[1:]): row for path, rows in DOCUMENT["paths"].items() for method, row in rows.items()
    }
    assert set(operations) == {(route.method, route.path) for route in ROUTES}
    for route in ROUTES:
        operation = operations[(route.method, route.path)]
        assert {int(status) for status in operation["responses"]} == {route.status, *refusals(route)}
        in_path = [p["name"] for p in operation["parameters"] if p["in"] == "path"]
        assert in_path == re.findall(r"{(\w+)}", route.path)
    assert len({row["operationId"] for row in operations.values()}) == len(operations)
    for reference in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(DOCUMENT)):
        assert reference in DOCUMENT["components"]["schemas"]


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["schemas"]))
def test_schemas_are_schemas(name: str) -> None:
    """What is described is JSON Schema of the dialect of OpenAPI 3.1; nothing that may be left out has a default of null."""
    schema = DOCUMENT["components"]["schemas"][name]
    Draft202012Validator.check_schema(schema)
    for field in schema.get("properties", {}).values():
        assert "default" not in field or field["default"] is not None or "null" in json.dumps(field.get("anyOf"))


def test_requests_refuse_what_they_do_not_know() -> None:
    """Every model of a request says that it has no other fields."""
    for route in ROUTES:
        for model in (route.body, route.query):
            if model is not None:
                assert issubclass(model, wire.Wire)
                assert model.model_json_schema()["additionalProperties"] is False
