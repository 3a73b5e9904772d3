"""What is said of a kernel that has ended: nothing where it ended with its workspace, which was asked for."""

from __future__ import annotations

from ..model.errors import UnknownWorkspace
from ..model.record import State
from ..workspaces.catalog import Catalog
from .announcer import Announcer
from .event_wire import WarningKind


def tell_end(catalog: Catalog, announcer: Announcer, id: str, message: str, kind: WarningKind) -> None:
    """Blocks. Announce a kernel's end, unless it ended with its workspace, which was asked for."""
    if not why_not_restart(catalog, id):
        announcer.warned(catalog.get(id), message, kind)


def why_not_restart(catalog: Catalog, id: str) -> str:
    """Why a kernel that has ended with the container of that workspace is to stay so; empty: it is not."""
    try:
        record = catalog.get(id)
    except UnknownWorkspace:
        return "The kernel ended because its workspace was deleted."
    if record.state in (State.CREATED, State.ACTIVE):
        return ""
    return f"The kernel ended because workspace {record.name!r} is {record.state}: {record.reason}."
