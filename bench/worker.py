"""One row in a process of its own: `python -m bench.worker <id> <file for the result> <main process> [quick]`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import traceback
from pathlib import Path

from traitlets.config import Config

from syla_jupyter import app

from .calm import Calm
from .measure import Bench
from .model import Row, failed, figures
from .rows import ROWS


async def measure(row: Row, root: int, quick: bool) -> dict[str, object]:
    pool_size = {"Syla": {"pool_size": 0}} if row.id == "start_cold" else {}
    application = app.shared(Config(pool_size))
    tag = os.environ["SYLA_BENCH_TAG"]
    calm = Calm(application, tag, root)
    try:
        bench = Bench(quick, Path(os.environ["SYLA_BENCH_LAB"]), tag, application, calm)
        return figures(row, await row.run(bench))
    finally:
        calm.close()
        # A refill that starts at our end finds nothing to do.
        application.pool.pause(True)


def main(row_id: str, result: str, root: str, *flags: str) -> None:
    logging.basicConfig(level=logging.WARNING)
    row = next(row for row in ROWS if row.id == row_id)
    os.chdir(Path(os.environ["SYLA_BENCH_LAB"]) / "work")
    try:
        outcome = asyncio.run(measure(row, int(root), "quick" in flags))
    except Exception as exc:
        traceback.print_exc()
        reason = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
        outcome = failed(row, " ".join([reason, *getattr(exc, "__notes__", [])])[:2000])
    Path(result).write_text(json.dumps(outcome))


if __name__ == "__main__":
    main(*sys.argv[1:])
