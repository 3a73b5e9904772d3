"""Our item in a notebook's toolbar is the last: where there is no room for all, the last ones go into the "…" menu."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
OURS = ROOT / "labextension/schema/workspaces.json"
JUPYTERLABS = Path(sys.prefix) / "share/jupyter/lab/schemas/@jupyterlab/notebook-extension/panel.json"


def ranks(schema: Path) -> dict[str, float]:
    """Name of an item of the notebook's toolbar -> its rank."""
    rows: list[dict[str, Any]] = json.loads(schema.read_text())["jupyter.lab.toolbars"]["Notebook"]
    return {row["name"]: row["rank"] for row in rows}


def test_ours_gives_way_first() -> None:
    others = ranks(JUPYTERLABS)
    assert "kernelName" in others
    assert ranks(OURS)["sylaWorkspace"] > max(others.values())
