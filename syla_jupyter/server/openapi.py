"""OpenAPI 3.1 of a route table. Pure: what it says comes from the table and the models alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from . import event_wire, wire

if TYPE_CHECKING:
    from .route import Route

REFERENCE = "#/components/schemas/{model}"
NAMES = {
    "workspace": "Its id, or its name.",
    "user": "A name; of a team where `kind` says so.",
    "team": "Its name.",
    "token": "Its id.",
    "invitation": "Its id.",
    "execution_id": "As `execute` gave it.",
    "operation": "Its id, as the list has it.",
    "version": "Number of a snapshot.",
    "a": "Number of a snapshot.",
    "b": "Number of another one.",
}
"""What stands for a name in an address."""
NUMBERS = {"version", "a", "b"}


def document(routes: Sequence[Route], prefix: str) -> dict[str, Any]:
    """`prefix`: what all addresses begin with, `/syla/v1`, below the server's base."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(f"/{route.path}", {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Syla workspaces",
            "version": version("syla-jupyter"),
            "description": "Workspaces of a Jupyter server. Errors have one shape, `ErrorAnswer`.",
            "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
        },
        "servers": [{"url": prefix}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(routes),
            "securitySchemes": {
                "token": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`token <the server's token>`; a browser's login counts as well.",
                }
            },
        },
    }


def refusals(route: Route) -> tuple[int, ...]:
    """Every status of an error that the route may answer with."""
    always = (500,) if route.public else (400, 403, 429, 500)
    with_body = (413, 415) if route.body is not None else ()
    long = (409,) if route.long else ()
    return tuple(sorted({*always, *with_body, *long, *route.refusals}))


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)],
        "responses": _responses(route),
        "x-action": route.action,
        "x-resource": route.resource,
    }
    if route.public:
        operation["security"] = []
    if route.body is not None:
        required = any(field.is_required() for field in route.body.model_fields.values())
        operation["requestBody"] = {"required": required, "content": _json(route.body)}
    return operation


def _responses(route: Route) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if route.binary:
        answer["content"] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    elif route.answer is not None:
        answer["content"] = _json(route.answer)
    elif route.status == 200:
        answer["content"] = {"application/json": {"schema": {"type": "object"}}}
    if route.status == 101:
        answer["description"] = "A websocket; each of its messages is an `Event`"
    if route.tagged:
        answer["headers"] = {"ETag": {"schema": {"type": "string"}, "description": "The version, for `If-Match`."}}
    if route.status == 201:
        answer.setdefault("headers", {})["Location"] = {"schema": {"type": "string"}}
    refused = {
        str(status): {"description": HTTPStatus(status).phrase, "content": _json(wire.ErrorAnswer)}
        for status in refusals(route)
    }
    return {str(route.status): answer, **refused}


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": NAMES[name],
            "schema": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
            if name in NUMBERS
            else {"type": "string", "minLength": 1},
        }
        for name in re.findall(r"{(\w+)}", route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = _inlined(route.query)
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": field.pop("description", ""),
            "schema": field,
        }
        for name, field in schema["properties"].items()
    ]


def _header_parameters(route: Route) -> list[dict[str, Any]]:
    if not route.matches:
        return []
    described = "ETags: refuse (`412`) when the workspace is of another version by now."
    form = {"type": "string", "pattern": r'^(\*|(W/)?"[^"]{0,64}"( *, *(W/)?"[^"]{0,64}")*)$'}
    return [{"name": "If-Match", "in": "header", "required": False, "description": described, "schema": form}]


def _inlined(model: type[BaseModel]) -> dict[str, Any]:
    """A parameter's schema has no place for definitions of its own."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def resolved(part: Any) -> Any:
        if isinstance(part, Mapping):
            if "$ref" in part:
                return resolved(definitions[part["$ref"].rpartition("/")[2]])
            return {key: resolved(value) for key, value in part.items()}
        return [resolved(value) for value in part] if isinstance(part, list) else part

    inlined: dict[str, Any] = resolved(schema)
    return inlined


def _schemas(routes: Sequence[Route]) -> dict[str, Any]:
    models: set[type[BaseModel]] = {
        model for route in routes for model in (route.body, route.answer) if model is not None
    }
    models.add(wire.ErrorAnswer)
    requests = {route.body for route in routes}
    both: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [
        (model, "validation" if model in requests else "serialization") for model in models
    ]
    _, schema = models_json_schema(both, ref_template=REFERENCE)
    event = TypeAdapter(event_wire.Event).json_schema(ref_template=REFERENCE, mode="serialization")
    definitions = {**schema["$defs"], **event.pop("$defs"), "Event": event}
    return dict(sorted(definitions.items()))


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REFERENCE.format(model=model.__name__)}}}


def _operation_id(route: Route) -> str:
    name = "_".join(part for part in re.split(r"[/{}.]", route.path) if part and part != "workspace")
    return f"{route.method.lower()}_{name}" if "{workspace}" not in route.path else f"{route.method.lower()}_one_{name}"
