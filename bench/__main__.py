"""`scripts/bench [--only ID,…] [--quick] [--json] [--readme]`: every row in a process of its own, then the report.

Exit code 1 when a row could not be measured. A target that is missed is said in the table and changes nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from . import report
from .lab import Lab
from .model import Row, failed
from .processes import adopt_orphans, die_with_parent
from .rows import ROWS

QUICK_PART = 3  # of the time a row may take


def measure(row: Row, lab: Lab, quick: bool) -> dict[str, Any]:
    """The JSON row, whatever happens to its process; nothing of it is left afterwards."""
    result, log = lab.path / f"{row.id}.json", lab.path / f"{row.id}.log"
    limit = row.limit_seconds / (QUICK_PART if quick else 1)
    load = os.getloadavg()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", row.id, str(result), str(os.getpid()), *(["quick"] * quick)],
            env={**lab.environ, **row.environ}, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            preexec_fn=die_with_parent,
        )  # fmt: skip
    why = ""
    try:
        code = process.wait(limit)
        why = f"its process ended with {code}" if code else ""
    except subprocess.TimeoutExpired:
        why = f"not done within {limit:.0f} s"
    finally:
        process.kill()
        process.wait()
        left = lab.sweep()
    figures: dict[str, Any]
    try:
        figures = json.loads(result.read_text())
    except (OSError, ValueError):
        figures = failed(row, f"{why or 'no result'}: {_last_line(log)}")
    figures["load_before"] = round(load[0], 2)
    figures["quick"] = quick
    figures["left_behind"] = left
    if figures.get("error"):
        sys.stderr.write(log.read_text(errors="replace")[-6000:])
    return figures


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"


def chosen(text: str | None) -> list[Row]:
    if text is None:
        return list(ROWS)
    wanted = [name for name in text.split(",") if name]
    known = {row.id: row for row in ROWS}
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        sys.exit(f"bench: no row {', '.join(unknown) or 'chosen'}; there are {', '.join(known)}")
    return [row for row in ROWS if row.id in wanted]


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure the product beside its alternatives.")
    parser.add_argument("--only", metavar="ID,…", help="these rows: " + ", ".join(row.id for row in ROWS))
    parser.add_argument("--quick", action="store_true", help="5 samples a row instead of 20 or more")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--readme", action="store_true", help="rewrite the table in README.md")
    options = parser.parse_args()
    rows = chosen(options.only)
    if options.readme:
        try:
            report.check_readme()
        except report.NoMarkers as exc:
            sys.exit(f"bench: {exc}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    adopt_orphans()
    progress = Console(stderr=True)
    about, date = report.machine(), report.stamp()
    measured = []
    lab = Lab()
    os.environ.clear()
    os.environ.update(lab.environ)
    try:
        for row in rows:
            progress.print(f"{row.id}: {row.title} …", markup=False)
            figures = {**measure(row, lab, options.quick), "date": date}
            measured.append(figures)
            for line in figures["left_behind"] + figures["notes"]:
                progress.print(f"  {line}", markup=False)
    finally:
        lab.sweep()
        lab.remove()
    paths = report.write(measured, about, date)
    if options.json:
        print(json.dumps({"date": date, "machine": about, "rows": measured}, indent=1, ensure_ascii=False))
    else:
        report.show(measured, Console(width=None if sys.stdout.isatty() else 200))
    progress.print(f"written: {', '.join(str(path) for path in paths)}", markup=False)
    if options.readme:
        latest = json.loads(paths[-1].read_text())
        report.write_readme(report.markdown(latest["rows"], about))
    return 1 if any(figures.get("error") for figures in measured) else 0


if __name__ == "__main__":
    sys.exit(main())
