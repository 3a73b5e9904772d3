"""What travels over the events' websocket: one JSON object a message; `wire` has what is in them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from ..model.people import Role
from .operation_wire import OperationShown
from .wire import ErrorBody, Snapshot, Wire, Workspace

WarningKind = Literal["policy", "disk", "memory", "kernel"]


class HelloEvent(Wire):
    """The first line: from here on nothing is missed. `reset`: events before are not kept, so read the list again."""

    event: Literal["hello"] = "hello"
    id: str
    reset: bool


class ChangeEvent(Wire):
    event: Literal["change"] = "change"
    id: str
    time: datetime
    verb: str
    actor: str = Field(description="Who did it; empty: it happened by itself.")
    changes: list[str] = Field(description="Of `change`: what is not as it was (limits, policy, labels).")
    workspace: Workspace
    seconds: float


class WarningEvent(Wire):
    """Something that somebody should look at."""

    event: Literal["warning"] = "warning"
    id: str
    time: datetime
    kind: WarningKind = Field(
        description="policy: it ends something soon; disk: nearly full; memory: a kernel passed the limit and was "
        "stopped; kernel: one ended by itself."
    )
    workspace: Workspace
    message: str


class SnapshotEvent(Wire):
    """A version was saved. That one was brought back is a change with verb `restore`."""

    event: Literal["snapshot"] = "snapshot"
    id: str
    time: datetime
    workspace: Workspace
    snapshot: Snapshot
    seconds: float


class ExecutionEvent(Wire):
    """What code does while `execute` runs it. Not kept, so it has no id; `executions/{id}` has all of it at the end."""

    event: Literal["execution"] = "execution"
    time: datetime
    workspace_id: str
    execution_id: str
    type: str = Field(description="waiting, running, stream, display, result, error, interrupted, ended")
    name: str | None = Field(default=None, description="stdout or stderr; of an error, its class.")
    text: str | None = Field(default=None, description="Of a stream.")
    data: dict[str, Any] | None = Field(default=None, description="MIME bundle of a display or a result.")
    value: str | None = Field(default=None, description="Of an error.")
    traceback: list[str] | None = None
    status: str | None = Field(default=None, description="When it has ended.")
    omitted: bool = Field(default=False, description="It was too large for an event.")


class PeopleEvent(Wire):
    """Who may do what has changed. Without an id it says no more than that something has, perhaps of another process:
    whoever has lost a workspace hears nothing of it any more, but this."""

    event: Literal["people"] = "people"
    id: str | None = None
    time: datetime
    workspace_id: str | None = None
    action: str | None = Field(default=None, description="As in the audit log: `workspace.join` and the like.")
    actor: str | None = None
    subject: str | None = Field(default=None, description="User or team that it is about; empty: all.")
    role: Role | None = Field(default=None, description="That the subject has now.")


class RunEvent(Wire):
    """A cell of a shared notebook, which the server runs; the outputs are in the notebook."""

    event: Literal["run"] = "run"
    id: str
    time: datetime
    what: str = Field(description="queued, started, input (it waits for who ran it), completed")
    workspace_id: str
    execution_id: str
    user: str = Field(description="Who asked for it.")
    room: str = Field(description="Of the document.")
    cell: str
    status: str = Field(description="ok, error, aborted; empty before it is completed.")


class PresenceEvent(Wire):
    """Somebody has come to a workspace's documents, or has left them for longer than a page takes to load again."""

    event: Literal["presence"] = "presence"
    id: str
    time: datetime
    what: Literal["joined", "left"]
    workspace_id: str
    user: str
    display_name: str
    role: Role | None = Field(description="What he may do here now; null: nothing any more.")


class AccessEvent(Wire):
    """Somebody asks for a role, or was refused one by one of them, to those who may give it; or to himself alone."""

    event: Literal["access"] = "access"
    id: str
    time: datetime
    what: Literal["asked", "refused", "answered"] = Field(description="`refused` is to who asked, `answered` is not.")
    workspace_id: str | None = Field(description="Not told to who was refused.")
    called: str = Field(description="As he named the workspace.")
    user: str
    role: Role = Field(description="That he asks for.")


class ConflictEvent(Wire):
    """A file was changed on disk beneath an open document; what was not saved yet is kept beside it."""

    event: Literal["conflict"] = "conflict"
    id: str
    time: datetime
    workspace_id: str
    path: str = Field(description="Of the file, as the contents API has it.")
    kept: str = Field(description="Of what was kept.")


class WhereEvent(Wire):
    """Who is where in a workspace is not as it was: somebody has come, gone, opened another file, or is awake again.
    Not kept; `participants` has it."""

    event: Literal["where"] = "where"
    time: datetime
    workspace_id: str


class OperationEvent(Wire):
    """How far something that takes long is, twice a second at most. Not kept; `operations` has what is under way."""

    event: Literal["operation"] = "operation"
    time: datetime
    ended: bool
    error: ErrorBody | None = Field(description="Why it came to nothing, once it has ended.")
    operation: OperationShown


class FilesEvent(Wire):
    """Files were changed. By way of this server, its contents and documents that are open: many at once are told as
    one, once a second at most. Or, `write`, by code, as far as a short look says after it has run: of a large tree what
    lies deep is not seen, of what was removed the directory is named. Terminals and other processes are not told."""

    event: Literal["files"] = "files"
    id: str
    time: datetime
    workspace_id: str
    action: str = Field(description="save, rename, copy, delete; write: by code in the workspace.")
    user: str = Field(description="Who did it; empty: nobody in particular.")
    count: int
    paths: list[str] = Field(description="As the contents API has them; some of many.")


Event = (
    HelloEvent
    | ChangeEvent
    | WarningEvent
    | SnapshotEvent
    | PeopleEvent
    | ExecutionEvent
    | RunEvent
    | PresenceEvent
    | WhereEvent
    | FilesEvent
    | AccessEvent
    | ConflictEvent
    | OperationEvent
)
