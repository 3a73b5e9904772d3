"""What happens to workspaces as events of Jupyter's own (`jupyter_events`), for handlers and extensions on this server
that know nothing of ours: which workspace, and what was done; no person, no name, no reason.

Jupyter lets whoever may post to `/api/events` emit any event of any schema. Not those: they are refused to everybody.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from inspect import isawaitable
from typing import Any

from tornado import web

from ..model.happening import Happening, Kind

SCHEMA_ID = "urn:syla-jupyter:workspace:v1"
SCHEMA: dict[str, Any] = {
    "$id": SCHEMA_ID,
    "version": "1",
    "title": "Something was done with a workspace",
    "personal-data": False,
    "type": "object",
    "required": ["workspace_id", "kind", "action"],
    "properties": {
        "workspace_id": {"type": "string"},
        "kind": {"type": "string", "enum": [Kind.WORKSPACE.value, Kind.SNAPSHOT.value]},
        "action": {"type": "string", "description": "A verb of the life cycle; of a snapshot: take."},
    },
    "additionalProperties": False,
}
log = logging.getLogger("syla.server")


def signals(server: Any) -> Callable[[Happening], None]:
    """Registers the schema; gives what is to be told. From any thread."""
    logger, loop = server.event_logger, server.io_loop.asyncio_loop
    if SCHEMA_ID not in logger.schemas:
        logger.register_event_schema(SCHEMA)

    def emit(one: Happening) -> None:
        data = {"workspace_id": one.workspace, "kind": str(one.kind), "action": one.action}
        try:
            logger.emit(schema_id=SCHEMA_ID, data=data)
        except Exception:  # of whoever listens
            log.warning("a listener of Jupyter's events failed", exc_info=True)

    def signal(one: Happening) -> None:
        if one.kind in (Kind.WORKSPACE, Kind.SNAPSHOT) and not loop.is_closed():
            loop.call_soon_threadsafe(emit, one)

    return signal


class NoForgery:
    """In front of Jupyter's `EventHandler`, behind the doorkeeper."""

    async def prepare(self: Any) -> None:
        if self.request.method == "POST" and _schema_of(self.request.body) == SCHEMA_ID:
            raise web.HTTPError(403, "the server alone says what happens to workspaces")
        done = super().prepare()  # type: ignore[misc]
        if isawaitable(done):
            await done


def _schema_of(body: bytes) -> str:
    """As Jupyter reads it."""
    try:
        return str(json.loads(body.decode("utf-8").strip())["schema_id"])
    except (ValueError, KeyError, TypeError):
        return ""
