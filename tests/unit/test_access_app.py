"""What is served, against what takes it: our own routes have gates, each of the level that its row says."""

from __future__ import annotations

import pytest

from syla_jupyter.model.people import Permission
from syla_jupyter.server.endpoint import gates
from syla_jupyter.server.event_socket import SOCKETS
from syla_jupyter.server.gates import Ask, Gates, Level, Source, rule_of
from syla_jupyter.server.route import PREFIX, Route
from syla_jupyter.server.routes import ROUTES

GATES = Gates(gates(ROUTES, SOCKETS), "/")
LEVELS = {
    # Those without a workspace in their address, or that answer who may not know of it as if there were none.
    ("GET", "workspaces"): Level.USER, ("POST", "workspaces"): Level.USER, ("GET", "events"): Level.USER,
    ("GET", "templates"): Level.USER, ("GET", "usage"): Level.USER, ("GET", "openapi.json"): Level.USER,
    ("GET", "shared"): Level.USER, ("GET", "healthz"): Level.PUBLIC, ("POST", "join"): Level.USER, ("GET", "users"): Level.HOST,
    ("POST", "users"): Level.HOST, ("PATCH", "users/{user}"): Level.HOST, ("GET", "users/{user}/tokens"): Level.USER,
    ("POST", "users/{user}/tokens"): Level.USER, ("DELETE", "users/{user}/tokens/{token}"): Level.USER,
    ("GET", "teams"): Level.USER, ("POST", "teams"): Level.HOST, ("DELETE", "teams/{team}"): Level.HOST,
    ("PUT", "teams/{team}/members/{user}"): Level.HOST, ("DELETE", "teams/{team}/members/{user}"): Level.USER,
    ("GET", "audit"): Level.HOST, ("GET", "participants"): Level.USER, ("GET", "operations"): Level.USER,
    ("GET", "access-requests"): Level.USER, ("POST", "workspaces/{workspace}/access-requests"): Level.USER,
    ("POST", "trust"): Level.USER, ("POST", "trust/known"): Level.USER,
}  # fmt: skip
STRONGER = {
    # Of a workspace, where the permission is not the one named like the action.
    ("PATCH", ""): "admin", ("DELETE", ""): "delete", ("POST", "/resume"): "execute", ("POST", "/archive"): "admin",
    ("POST", "/touch"): "execute", ("POST", "/clone"): "read", ("POST", "/export"): "read",
    ("PUT", "/members/{user}"): "share", ("DELETE", "/members/{user}"): "read", ("PATCH", "/access"): "admin",
    ("POST", "/transfer"): "read", ("GET", "/invitations"): "share", ("POST", "/invitations"): "share",
    ("DELETE", "/invitations/{invitation}"): "share", ("DELETE", "/access-requests/{user}"): "share",
    ("DELETE", "/operations/{operation}"): "read",  # of what one has asked for; else its handler asks for as much
}  # fmt: skip


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_of_ours_has_the_gate_that_was_meant(route: Route) -> None:
    """A row without a workspace is in one list here, one with a permission of its own in the other: a new one fails."""
    path = f"{PREFIX}/{route.path}".replace("{workspace}", "a%20b")
    for name in ("user", "team", "token", "invitation", "version", "a", "b", "execution_id"):
        path = path.replace(f"{{{name}}}", "x")
    handler = SOCKETS[route.path].__name__ if route.path in SOCKETS else "Endpoint"
    rule = rule_of(GATES.find(handler, path), route.method)
    if "{workspace}" not in route.path or (route.method, route.path) in LEVELS:
        assert rule is LEVELS[route.method, route.path]
        return
    rest = route.path.removeprefix("workspaces/{workspace}")
    permission = Permission(STRONGER.get((route.method, rest), route.action))
    assert rule == (Ask(permission, Source.WORKSPACE),)


def test_no_method_besides() -> None:
    assert rule_of(GATES.find("Endpoint", f"{PREFIX}/users"), "PUT") is Level.HOST
    assert rule_of(GATES.find("Endpoint", f"{PREFIX}/nothing"), "GET") is Level.HOST
