"""What is said of a kernel that has ended: nothing where it ended with its workspace, which was asked for."""

from __future__ import annotations

from collections.abc import Callable

from ..model.errors import SylaError, UnknownWorkspace
from ..model.record import State, WorkspaceRecord
from ..workspaces.catalog import Catalog
from .event_wire import WarningKind


def tell_end(
    catalog: Catalog, warned: Callable[[WorkspaceRecord, str, str], None], id: str, message: str, kind: WarningKind
) -> None:
    """Blocks. Announce a kernel's end, unless it ended with its workspace, which was asked for."""
    if not why_not_restart(catalog, id):
        warned(catalog.get(id), message, kind)


def why_not_restart(catalog: Catalog, id: str) -> str:
    """Why a kernel that has ended with the container of that workspace is to stay so; empty: it is not."""
    try:
        record = catalog.get(id)
    except UnknownWorkspace:
        return "The kernel ended because its workspace was deleted."
    if record.state in (State.CREATED, State.ACTIVE):
        return ""
    return f"The kernel ended because workspace {record.name!r} is {record.state}: {record.reason}."


def is_gone(catalog: Catalog, id: str) -> bool:
    """Whether there is no workspace of that id any more; not where that cannot be found out."""
    try:
        catalog.by_id(id)
    except UnknownWorkspace:
        return True
    except SylaError:
        return False
    return False
