"""A row of the table of routes: what is served at an address, for whom, and what it may answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from ..model.people import Permission
from .gates import Ask, Level, Rule, Source
from .handlers import Call, Reply

PREFIX = "/syla/v1"
RESOURCE = "syla-workspaces"

STORE = (503,)
ENGINE = (502, 503, 504, 507)
OBJECTS = (502, 503)


def socket_route(call: Call) -> Reply:
    raise NotImplementedError("served by a websocket handler")


@dataclass(frozen=True)
class Route:
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    run: Callable[[Call], Reply]
    summary: str
    action: Literal["read", "write", "execute"] = "read"
    resource: str = RESOURCE
    needs: Permission | Level | None = None
    """What it takes to pass; None: the permission named like `action` where the address has a workspace, a name
    where it has none."""
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    status: int = 200
    """Of the answer when all is well."""
    refusals: tuple[int, ...] = ()
    """Besides those that every route has (`openapi`)."""
    matches: bool = False
    """Takes `If-Match`."""
    tagged: bool = False
    """Gives an `ETag`."""
    long: bool = False
    """Waits for code in the container, or moves much data."""
    binary: bool = False
    """Answers with a file."""
    public: bool = False
    """For anybody, logged in or not."""

    @property
    def rule(self) -> Rule:
        """What the doorkeeper asks for."""
        if self.public:
            return Level.PUBLIC
        if isinstance(self.needs, Level):
            return self.needs
        if "{workspace}" not in self.path:
            return Level.USER
        return (Ask(self.needs or Permission(self.action), Source.WORKSPACE),)

    @property
    def socket(self) -> bool:
        return self.run is socket_route
