"""The one table of routes: what is served below `/syla/v1`, for whom, and what it may answer.

Handlers, OpenAPI and tests are made from it. `action` and `resource` are what Jupyter's authorizer is asked. No address
contains `api/workspaces` or `api/sessions`, which are Jupyter's own.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from ..model.people import Permission
from . import (
    handlers,
    operation_handlers,
    operation_wire,
    queue_handlers,
    queue_wire,
    running,
    snapshot_handlers,
    snapshot_wire,
    trust_handlers,
    trust_wire,
    usage_wire,
    wire,
)
from .gates import Level
from .handlers import Call, Reply
from .openapi import document
from .people_routes import PEOPLE_ROUTES
from .route import ENGINE, OBJECTS, PREFIX, STORE, Route, socket_route


def _describe(call: Call) -> Reply:
    return Reply(_document(call.services.base_url.rstrip("/")))


@functools.cache
def _document(base: str) -> Mapping[str, Any]:
    return document(ROUTES, f"{base}{PREFIX}")


ONE = "workspaces/{workspace}"
MANY = f"{ONE}/snapshots"
VERSION = f"{MANY}/{{version}}"

ROUTES: tuple[Route, ...] = (
    Route("GET", "workspaces", handlers.list_workspaces, "Your workspaces, by filters, in pages",
          query=wire.ListQuery, answer=wire.WorkspaceList, refusals=STORE),
    Route("POST", "workspaces", handlers.create_workspace, "Make one; its container comes with the first use",
          action="write", body=wire.CreateWorkspace, answer=wire.Workspace, status=201, refusals=(409, *STORE),
          tagged=True),
    Route("GET", ONE, handlers.get_workspace, "One, by id or name",
          answer=wire.Workspace, refusals=(404, *STORE), tagged=True),
    Route("PATCH", ONE, handlers.change_workspace, "Other limits, policy or labels",
          action="write", needs=Permission.ADMIN,
          body=wire.ChangeWorkspace, answer=wire.Workspace, refusals=(404, 409, 412, *ENGINE),
          matches=True, tagged=True),
    Route("DELETE", ONE, handlers.delete_workspace, "Delete it for good; from the archive, or by force",
          action="write", needs=Permission.DELETE, query=wire.DeleteQuery, status=204, refusals=(404, 409, *ENGINE),
          long=True),
    Route("POST", f"{ONE}/suspend", handlers.suspend_workspace, "Freeze it, or end its container",
          action="write", body=wire.SuspendWorkspace, answer=wire.Workspace, refusals=(404, 409, *ENGINE),
          tagged=True, long=True),
    Route("POST", f"{ONE}/resume", handlers.resume_workspace, "Have it running",
          action="write", needs=Permission.EXECUTE,
          body=wire.Nothing, answer=wire.ResumedWorkspace, refusals=(404, 409, *ENGINE),
          tagged=True, long=True),
    Route("POST", f"{ONE}/archive", handlers.archive_workspace, "Save it in the object store and free this machine",
          action="write", needs=Permission.ADMIN,
          body=wire.ArchiveWorkspace, answer=wire.Workspace, refusals=(404, 409, *ENGINE),
          tagged=True, long=True),
    Route("POST", f"{ONE}/recover", handlers.recover_workspace, "Bring it back from the archive",
          action="write", body=wire.Nothing, answer=wire.RecoveredWorkspace, refusals=(404, 409, *ENGINE),
          tagged=True, long=True),
    Route("POST", f"{ONE}/touch", handlers.touch_workspace, "Put off what its policy does next",
          action="write", needs=Permission.EXECUTE,
          body=wire.TouchWorkspace, answer=wire.Workspace, refusals=(404, 409, *STORE), tagged=True),
    Route("POST", f"{ONE}/execute", running.execute, "Run code in it; its output goes to the events too",
          action="execute", body=wire.ExecuteCode, answer=wire.ExecutionShown, refusals=(404, 409, *ENGINE), long=True),
    Route("GET", f"{ONE}/executions/{{execution_id}}", running.get_execution, "What some code did, while it is kept",
          answer=wire.ExecutionShown, refusals=(404, *STORE)),
    Route("GET", f"{ONE}/queue", queue_handlers.list_queue, "Cells of shared notebooks that run or wait",
          answer=queue_wire.RunQueue, refusals=(404, *STORE)),
    Route("DELETE", f"{ONE}/queue/{{execution_id}}", queue_handlers.cancel, "Cancel a cell of yours that waits",
          action="execute", status=204, refusals=(404, 409, *STORE)),
    Route("POST", f"{ONE}/queue/{{execution_id}}/input", queue_handlers.answer, "Answer what a cell of yours asks",
          action="execute", body=queue_wire.AnswerInput, status=204, refusals=(404, 409, *STORE)),
    Route("GET", f"{ONE}/variables", running.list_variables, "Of its long-lived kernel",
          answer=wire.VariableList, refusals=(404, 409, *ENGINE), long=True),
    Route("GET", f"{ONE}/packages", running.list_packages, "Installed in it, on top of its image",
          answer=wire.PackageList, refusals=(404, 409, *ENGINE), long=True),
    Route("GET", MANY, snapshot_handlers.list_snapshots, "Its versions, oldest first",
          answer=snapshot_wire.SnapshotList, refusals=(404, *OBJECTS)),
    Route("POST", MANY, snapshot_handlers.take, "Save it as it is now", action="write", body=snapshot_wire.TakeSnapshot,
          answer=snapshot_wire.TakenSnapshot, refusals=(404, 409, *ENGINE), long=True),
    Route("GET", VERSION, snapshot_handlers.get_snapshot, "One version, with packages and variables",
          answer=snapshot_wire.SnapshotDetails, refusals=(404, *OBJECTS)),
    Route("PATCH", VERSION, snapshot_handlers.change_snapshot, "Other tags",
          action="write", body=snapshot_wire.ChangeSnapshot, answer=wire.Snapshot, refusals=(404, 409, *OBJECTS)),
    Route("DELETE", VERSION, snapshot_handlers.delete_snapshot, "Let it go for good", action="write", status=204,
          refusals=(404, 409, *OBJECTS)),
    Route("POST", f"{VERSION}/restore", snapshot_handlers.restore, "Go back to it, after saving what is overwritten",
          action="write", body=snapshot_wire.RestoreSnapshot, answer=snapshot_wire.RestoredSnapshot,
          refusals=(404, 409, *ENGINE), long=True),
    Route("GET", f"{MANY}/{{a}}/diff/{{b}}", snapshot_handlers.diff, "What changed from one version to another",
          answer=snapshot_wire.SnapshotDiff, refusals=(404, 409, *OBJECTS), long=True),
    Route("GET", f"{MANY}/{{a}}/diff/{{b}}/file", snapshot_handlers.file_diff, "What changed in a file that both have",
          query=snapshot_wire.FileQuery, answer=snapshot_wire.FileDiff, refusals=(404, 409, *OBJECTS), long=True),
    Route("POST", f"{ONE}/clone", snapshot_handlers.clone, "A workspace that is as this one, and goes its own way",
          action="write", needs=Permission.READ,
          body=snapshot_wire.CloneWorkspace, answer=snapshot_wire.RestoredSnapshot,
          refusals=(404, 409, *ENGINE), long=True),
    Route("POST", f"{ONE}/export", snapshot_handlers.export, "All of it as one file, which is not encrypted",
          action="write", needs=Permission.READ,
          body=snapshot_wire.ExportWorkspace, refusals=(404, 409, *ENGINE), long=True, binary=True),
    Route("POST", f"{ONE}/verify", snapshot_handlers.verify, "Check that every version can be brought back",
          body=snapshot_wire.VerifySnapshots, answer=snapshot_wire.VerifyShown, refusals=(404, 409, *OBJECTS),
          long=True),
    Route("POST", f"{ONE}/repair", snapshot_handlers.repair, "Save what can be saved of damaged versions",
          action="write", body=wire.Nothing, answer=snapshot_wire.RepairShown, refusals=(404, 409, *OBJECTS),
          long=True),
    Route("POST", f"{ONE}/prune", snapshot_handlers.prune, "Free what no version needs; let versions go by rules",
          action="write", body=snapshot_wire.PruneSnapshots, answer=snapshot_wire.PruneShown,
          refusals=(404, 409, *OBJECTS), long=True),
    Route("GET", f"{ONE}/events", socket_route, "Websocket: its events, one JSON object a message",
          query=wire.EventsQuery, status=101, refusals=(404, 426, *STORE)),
    Route("GET", "events", socket_route, "Websocket: events of all your workspaces",
          query=wire.EventsQuery, status=101, refusals=(426, *STORE)),
    Route("DELETE", f"{ONE}/operations/{{operation}}", operation_handlers.cancel, "Take back what is under way",
          action="write", needs=Permission.READ, status=204, refusals=(404, 409, *STORE)),
    Route("GET", "operations", operation_handlers.list_operations, "What takes long and is under way, oldest first",
          query=operation_wire.OperationsQuery, answer=operation_wire.OperationList, refusals=STORE),
    Route("POST", "trust", trust_handlers.add, "Say that you trust outputs: scripts of them run in your pages",
          action="write", needs=Level.USER, body=trust_wire.Outputs, status=204, refusals=STORE),
    Route("POST", "trust/known", trust_handlers.known, "Which outputs you trust: you ran them, or said so",
          needs=Level.USER, body=trust_wire.Outputs, answer=trust_wire.KnownOutputs, refusals=STORE),
    Route("GET", "templates", handlers.list_templates, "What workspaces can be made of", answer=wire.TemplateList),
    Route("GET", "usage", handlers.get_usage, "What running workspaces hold, and how much there is",
          answer=usage_wire.Usage, refusals=STORE),
    Route("GET", "openapi.json", _describe, "This description"),
    Route("GET", "healthz", handlers.get_health, "That the server answers", answer=wire.Health, public=True),
    *PEOPLE_ROUTES,
)  # fmt: skip
