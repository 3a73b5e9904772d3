"""What travels about operations: what takes long and is under way."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from .wire import Bytes, Query, Wire


class OperationsQuery(Query):
    mine: bool = Field(default=False, description="Only what you have asked for.")


class OperationShown(Wire):
    id: str
    workspace_id: str
    workspace: str = Field(description="Its name.")
    verb: str = Field(description="snapshot, restore, archive, recover, export, clone, suspend, stop, resume, delete")
    user: str = Field(description="Who asked for it.")
    started_at: datetime
    cancellable: bool = Field(description="Not before it is decided; from then on it goes through.")
    cancelled: bool = Field(description="It is being taken back.")
    files_done: int | None = Field(description="null: nothing is known yet.")
    files_total: int | None = Field(description="null: it is being counted.")
    bytes_done: Bytes | None
    bytes_total: Bytes | None


class OperationList(Wire):
    operations: list[OperationShown]
