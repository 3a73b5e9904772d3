"""`python -m tests.galata [file of specs…]`: without a file those of chosen.txt, and the result is kept in RESULT.md.

Exit code 1 where a spec passes on the stock server and not on ours, and explained.txt does not say why; or where it
says so of one that passes on both.
"""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import docker

from ..e2e.upstream import deselected
from .compare import Outcome, beside, faults
from .report import page
from .servers import running_server
from .specs import pictures, run_specs
from .suite import prepared

HERE = Path(__file__).parent
BUILD = HERE.parent.parent / "build"
CHOSEN, EXPLAINED, RESULT = HERE / "chosen.txt", HERE / "explained.txt", HERE / "RESULT.md"


def main(files: list[str]) -> int:
    suite = prepared(BUILD / "galata")
    out = BUILD / "galata-results"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    chosen = files or chosen_files(CHOSEN)
    explained = {id: why for id, why in deselected(EXPLAINED).items() if id.partition(" › ")[0] in chosen}
    results: dict[str, dict[str, Outcome]] = {}
    for name in ("ours", "stock"):
        directory = Path(tempfile.mkdtemp(prefix="galata-", dir="/tmp"))  # short: sockets are somewhere below
        try:
            with running_server(directory, docker.from_env(), ours=name == "ours") as server:
                print(f"== {name}: {server.url}", flush=True)
                results[name] = run_specs(suite, chosen, server.url, out / name)
        finally:
            shutil.copy(directory / "lab.log", out / f"{name}.log")
            shutil.rmtree(directory, ignore_errors=True)
    rows = beside(results["stock"], results["ours"], explained)
    text = page(rows, title(), pictures(suite, chosen))
    print(text)
    if not files:
        RESULT.write_text(text)
    found = faults(rows)
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


def chosen_files(file: Path) -> list[str]:
    """A path below `galata/test` in each line; `#` begins a remark."""
    return [line for line in file.read_text().splitlines() if line and not line.startswith("#")]


def title() -> str:
    version = importlib.metadata.version
    parts = [f"JupyterLab {version('jupyterlab')}", f"jupyter_server {version('jupyter_server')}"]
    parts += [f"syla-jupyter {version('syla-jupyter')}", f"Python {platform.python_version()}"]
    return f"JupyterLab's own specs, {datetime.now(UTC):%Y-%m-%d}: {', '.join(parts)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
