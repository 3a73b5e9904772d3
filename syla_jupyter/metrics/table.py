"""Every metric there is: name with its unit, what it says, and its labels with all their values.

What happens is counted and timed as it happens; what is, is looked at when somebody asks (`gauges`).
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

VERBS = ("create", "start", "suspend", "resume", "stop", "archive", "recover", "restore", "delete")
TIMED = (*VERBS, "claim", "snapshot")
CLAIMS = ("hit", "empty", "refused", "ended")
"""Of the pool: got a ready container; nothing was ready; what was ready said no; it had ended by itself."""
REASONS = ("manual", "timer", "suspend", "archive", "pre_restore", "clone", "import")
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

CHANGES = "syla_workspace_changes"  # the client library adds _total
DURATION = "syla_workspace_duration_seconds"
POOL = "syla_pool_claims"
SNAPSHOTS = "syla_snapshots"
SNAPSHOT_BYTES = "syla_snapshot_bytes"
SNAPSHOT_KINDS = ("saved", "new", "stored")
"""Content of versions; what of it no earlier one had; what of that was stored. Deduplication is 1 - new / saved."""
OBJECT_REQUESTS = "syla_object_requests"
OBJECT_SECONDS = "syla_object_request_seconds"
OBJECT_BYTES = "syla_object_bytes"
OPERATIONS = ("put", "get", "head", "list", "delete")
DIRECTIONS = ("sent", "received")
GAUGES = {
    "syla_workspaces": ("Workspaces by type and state, deleted ones not.", ("type", "state")),
    "syla_workspace_disk_bytes": ("Files and homes on disk, as last measured.", ("type",)),
    "syla_workspace_memory_bytes": ("Memory of the containers this server is connected to.", ("type",)),
    "syla_workspace_cpu_cores": ("Cores those containers use, since they were looked at last.", ("type",)),
}


class Metrics:
    """The metrics that count what happens, in one registry of the client library."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.changes = Counter(CHANGES, "Verbs done on workspaces.", ("verb", "type"), registry=registry)
        self.duration = Histogram(
            DURATION, "How long a verb took, by this server.", ("verb",), buckets=SECONDS, registry=registry
        )
        self.claims = Counter(POOL, "Claims of ready containers, by any process.", ("result",), registry=registry)
        self.snapshots = Counter(SNAPSHOTS, "Versions saved by this server.", ("reason",), registry=registry)
        self.snapshot_bytes = Counter(SNAPSHOT_BYTES, "Content of those versions.", ("kind",), registry=registry)
        self.object_requests = Counter(
            OBJECT_REQUESTS, "Requests to the object stores.", ("operation", "result"), registry=registry
        )
        self.object_seconds = Histogram(
            OBJECT_SECONDS, "How long one took.", ("operation",), buckets=SECONDS, registry=registry
        )
        self.object_bytes = Counter(
            OBJECT_BYTES, "Of objects, to and from the stores.", ("direction",), registry=registry
        )
        for operation in OPERATIONS:
            self.object_requests.labels(operation, "ok")
            self.object_seconds.labels(operation)
        for direction in DIRECTIONS:
            self.object_bytes.labels(direction)
        for reason in REASONS:
            self.snapshots.labels(reason)
        for kind in SNAPSHOT_KINDS:
            self.snapshot_bytes.labels(kind)
        for verb in TIMED:
            self.duration.labels(verb)  # there from the start, so that a rate has a beginning
        for result in CLAIMS:
            self.claims.labels(result)
