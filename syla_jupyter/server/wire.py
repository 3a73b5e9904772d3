"""What travels over REST: the shapes of requests and answers, and nothing else.

Sizes are whole bytes, durations seconds, CPU is in cores, times are RFC 3339 in UTC. A request with a field that is not
named here is refused. A field that a request leaves out stays as it is, or gets the default of the workspace's type;
`null` is no way to leave one out, it is a value: in a policy it means never.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ..metadata.base import PAGE_MAX, Sort
from ..model.record import State
from ..model.snapshot import Reason
from ..model.workspace import Network, WorkspaceType

CODE_MAX = 1 << 20  # characters
LABELS_MAX = 64
EXECUTE_SECONDS_MAX = 3600.0
SECONDS_MAX = 100 * 365 * 86400.0
YEAR_SECONDS = 365 * 86400.0

Whole = Annotated[int, BeforeValidator(lambda value: int(value) if _is_whole(value) else value)]
"""JSON has one kind of number: 2.0 is as whole as 2."""
Seconds = Annotated[float, Field(ge=0, le=SECONDS_MAX)]
Bytes = Annotated[int, Field(ge=0, lt=1 << 62)]
Text = Annotated[str, Field(max_length=255)]
Execution = Annotated[str, Field(max_length=64, description="Act on this container only; empty: on none.")]


def left_out(**constraints: Any) -> Any:
    """The default of a field whose absence says something."""
    return Field(default=None, json_schema_extra=_no_default, **constraints)


def _is_whole(value: object) -> bool:
    return isinstance(value, float) and value.is_integer()


def _no_default(schema: dict[str, Any]) -> None:
    del schema["default"]


class Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    def given(self) -> dict[str, Any]:
        """What the request did not leave out."""
        return {name: getattr(self, name) for name in self.model_fields_set}


# -- requests --------------------------------------------------------------------------------------------------------


class LimitsChange(Wire):
    cpus: float = left_out(ge=0.05, le=4096)
    memory_bytes: Whole = left_out(ge=64 << 20, le=1 << 50)
    disk_bytes: Whole = left_out(ge=1 << 20, le=1 << 50)
    pids: Whole = left_out(ge=32, le=1 << 22)
    tmp_bytes: Whole = left_out(ge=1 << 20, le=1 << 50)


class PolicyChange(Wire):
    ttl_seconds: Seconds | None = left_out()
    ttl_extended_by_activity: bool = left_out()
    ttl_ends_in_delete: bool = left_out()
    idle_seconds: Seconds | None = left_out()
    stop_seconds: Seconds | None = left_out()
    archive_seconds: Seconds | None = left_out()
    retention_seconds: Seconds | None = left_out()
    hard_cap_seconds: Seconds | None = left_out()
    snapshot_seconds: Seconds | None = left_out()
    warning_seconds: Seconds = left_out()


Labels = Annotated[dict[Annotated[str, Field(min_length=1, max_length=255)], Text], Field(max_length=LABELS_MAX)]


class CreateWorkspace(Wire):
    name: str = Field(min_length=1, max_length=1000)
    type: WorkspaceType = Field(default=WorkspaceType.PERSISTENT, strict=False)
    template: Text = left_out(min_length=1)
    network: Network = left_out(strict=False)
    limits: LimitsChange = Field(default=LimitsChange(), json_schema_extra=_no_default)
    policy: PolicyChange = Field(default=PolicyChange(), json_schema_extra=_no_default)
    labels: Labels = {}


class ChangeWorkspace(Wire):
    limits: LimitsChange = Field(default=LimitsChange(), json_schema_extra=_no_default)
    policy: PolicyChange = Field(default=PolicyChange(), json_schema_extra=_no_default)
    labels: Labels = left_out(description="Replaces all labels.")
    version: Whole = left_out(ge=0, lt=1 << 62, description="Refuse when the workspace is of another version by now.")


class Nothing(Wire):
    """An empty object, or no body at all."""


class SuspendWorkspace(Wire):
    stop: bool = Field(default=False, description="End its container; the next kernels have the variables.")
    execution: Execution = left_out()


class ArchiveWorkspace(Wire):
    execution: Execution = left_out()


class TouchWorkspace(Wire):
    seconds: float = Field(gt=0, le=YEAR_SECONDS, description="No policy acts for that long, up to the hard cap.")


class ExecuteCode(Wire):
    code: str = Field(max_length=CODE_MAX)
    timeout_seconds: float = Field(
        default=60.0, gt=0, le=EXECUTE_SECONDS_MAX, description="Then it is interrupted, and killed if that is no help."
    )


class Query(Wire):
    """Parameters in an address: texts, so `strict` cannot be asked for."""

    model_config = ConfigDict(strict=False)


class ListQuery(Query):
    state: list[State] = []
    type: list[WorkspaceType] = []
    label: list[Annotated[str, Field(min_length=1, max_length=511)]] = Field(
        default=[], description="`name=value`, or `name` for any value. All of them.", max_length=LABELS_MAX
    )
    name: Text = Field(default="", description="Part of the name, whatever the case.")
    idle_for_seconds: Seconds = left_out()
    older_than_seconds: Seconds = left_out()
    sort: Sort = "name"
    descending: bool = False
    limit: int = Field(default=100, ge=1, le=PAGE_MAX)
    after: str = Field(default="", max_length=8192, description="`next` of the page before.")


class DeleteQuery(Query):
    force: bool = Field(default=False, description="Also when it is not archived; needs `confirm`.")
    confirm: str = Field(default="", max_length=1000, description="The workspace's name: all of it is lost for good.")
    execution: Execution = left_out()


class EventsQuery(Query):
    last_event_id: str = Field(default="", max_length=64, description="Events after this one, as far as they are kept.")


# -- answers ---------------------------------------------------------------------------------------------------------


class LimitsShown(Wire):
    cpus: float
    memory_bytes: Bytes
    disk_bytes: Bytes
    pids: int
    tmp_bytes: Bytes
    open_files: int


class PolicyShown(Wire):
    ttl_seconds: float | None
    ttl_extended_by_activity: bool
    ttl_ends_in_delete: bool
    idle_seconds: float | None
    stop_seconds: float | None
    archive_seconds: float | None
    retention_seconds: float | None
    hard_cap_seconds: float | None
    snapshot_seconds: float | None
    warning_seconds: float


class NextAction(Wire):
    """What its policy does next by itself."""

    action: str = Field(description="suspend, stop, archive, delete; none")
    at: datetime | None = Field(description="Not before that; null: never.")
    reason: str


class Workspace(Wire):
    id: str
    owner: str
    name: str
    type: WorkspaceType
    state: State
    frozen: bool = Field(description="Suspended with its variables in memory.")
    reason: str = Field(description="Why it is in its state.")
    allowed: list[str] = Field(
        description="Verbs that would change something now; `start` is a `resume`, `stop` a `suspend` with `stop`."
    )
    next: NextAction
    template: str
    network: Network
    limits: LimitsShown
    policy: PolicyShown
    labels: dict[str, str]
    path: str | None = Field(description="Of its files, as the contents API knows it; null: not below the root.")
    is_default: bool
    shared: bool
    execution: str = Field(description="Of its container; empty: it has none.")
    created_at: datetime
    state_since: datetime
    last_activity_at: datetime
    extended_until: datetime | None
    warned_at: datetime | None
    disk_bytes: Bytes
    version: int


class WorkspaceList(Wire):
    workspaces: list[Workspace]
    next: str = Field(description="`after` of the next page; empty on the last one.")
    total: int = Field(description="As of the first page; 1000 means that many or more.")


class ResumedWorkspace(Workspace):
    notes: list[str] = Field(description="Of one that was archived: what did not come back as it was, and why.")
    level: Literal["running", "thawed", "restarted", "recovered"] = Field(description="Where it came from.")


class RecoveredWorkspace(Workspace):
    notes: list[str] = Field(description="What did not come back as it was, and why; for a person.")


class Snapshot(Wire):
    """A version of a workspace."""

    version: int
    created_at: datetime
    author: str
    message: str
    reason: Reason
    parent: int | None = Field(description="The version it was compared with.")
    files: int
    bytes_total: Bytes
    bytes_new: Bytes = Field(description="Content that no earlier version had.")
    tags: list[str] = Field(description="While it has any, no rule lets it go.")


class ExecutionError(Wire):
    name: str
    value: str
    traceback: list[str]


class ExecutionShown(Wire):
    id: str
    status: Literal["ok", "error", "timeout", "killed", "died"] = Field(
        description="timeout: interrupted at the time limit; killed: that was no help; died: its kernel ended."
    )
    stdout: str
    stderr: str
    result: dict[str, Any] | None = Field(description="MIME bundle of the last expression.")
    displays: list[dict[str, Any]] = Field(description="MIME bundles, in order.")
    error: ExecutionError | None
    exit_code: int | None = Field(description="Of code that said `sys.exit`.")
    started_at: datetime
    seconds: float
    truncated: bool = Field(description="There was more output than is kept.")


class VariableShown(Wire):
    name: str
    type: str
    size_bytes: int | None = Field(description="null: it did not say in time.")
    repr: str


class VariableList(Wire):
    variables: list[VariableShown]


class PackageShown(Wire):
    name: str
    version: str
    requested: bool = Field(description="By name; else it came with another one.")


class PackageList(Wire):
    packages: list[PackageShown] = Field(description="Installed in the workspace, on top of its image.")


class TemplateShown(Wire):
    name: str
    display_name: str
    language: str
    packages: list[str]
    debian_packages: list[str]
    preload: list[str]
    is_default: bool


class TemplateList(Wire):
    templates: list[TemplateShown]


class Health(Wire):
    status: Literal["ok"]


class ErrorBody(Wire):
    code: str
    message: str
    hint: str
    retryable: bool
    field: str | None = Field(description="What of the request was wrong, where one thing was.")


class ErrorAnswer(Wire):
    error: ErrorBody
