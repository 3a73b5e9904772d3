"""What the routes about one's own trust do (`trust`)."""

from __future__ import annotations

from . import trust_wire as wire
from .handlers import Call, Reply


def add(call: Call) -> Reply:
    call.services.trust.add(call.caller.principal.name, call.body.digests)
    return Reply(None, 204)


def known(call: Call) -> Reply:
    found = call.services.trust.known(call.caller.principal.name, call.body.digests)
    return Reply(wire.KnownOutputs(digests=found))
