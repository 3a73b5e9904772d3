"""A workspace record for tests of pure rules: what a test does not name does not matter to it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from syla_jupyter.model.policy import DEFAULT_POLICIES
from syla_jupyter.model.record import State, WorkspaceRecord
from syla_jupyter.model.workspace import DEFAULT_LIMITS, Network, WorkspaceType

NOW = 1_800_000_000.0
EXECUTION = "0123abcd"


def a_record(state: State = State.ACTIVE, *, at: float = NOW, **changes: Any) -> WorkspaceRecord:
    """A persistent workspace that was made, brought into its state and used last at one moment."""
    record = WorkspaceRecord(
        id="0123456789ab",
        owner="ann",
        name="proj",
        type=WorkspaceType.PERSISTENT,
        state=state,
        template="python",
        limits=DEFAULT_LIMITS[WorkspaceType.PERSISTENT],
        network=Network.EGRESS,
        policy=DEFAULT_POLICIES[WorkspaceType.PERSISTENT],
        files=Path("/srv/workspaces/proj"),
        created_at=at,
        state_since=at,
        last_activity_at=at,
        execution=EXECUTION if state is State.ACTIVE else "",
    )
    return dataclasses.replace(record, **changes)
