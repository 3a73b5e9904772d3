"""Where the figures go: a table on the terminal, files under `bench/results/`, the table in README.md."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import docker
from rich.console import Console
from rich.table import Table

from syla_jupyter.model.clock import SystemClock

from .lab import ROOT
from .model import merged

RESULTS = Path(__file__).parent / "results"
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
PACKAGES = ("syla-jupyter", "jupyter_client", "jupyter_server", "ipykernel", "pyzmq", "gateway_provisioners")


class NoMarkers(Exception):
    """README.md has no place for the table."""


def machine() -> dict[str, Any]:
    client = docker.from_env()
    try:
        engine = client.version()["Version"]
    finally:
        client.close()
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "class": f"{os.cpu_count()}cpu",
        "cpus": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "docker": engine,
        "packages": versions,
    }


def stamp() -> str:
    """UTC, fit for a file name."""
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime(SystemClock().now()))


def write(rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any], date: str) -> list[Path]:
    """This run under its own name; `latest.json` keeps the rows that this run did not measure."""
    RESULTS.mkdir(exist_ok=True)
    own = RESULTS / f"{date}-{about['class']}.json"
    latest = RESULTS / "latest.json"
    try:
        document = json.loads(latest.read_text())
        before = document["rows"] if document["machine"]["class"] == about["class"] else []
    except (OSError, ValueError, KeyError):
        before = []
    _dump(own, {"date": date, "machine": about, "rows": list(rows)})
    _dump(latest, {"date": date, "machine": about, "rows": merged(before, rows)})
    return [own, latest]


def _dump(path: Path, document: Mapping[str, Any]) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    fresh.rename(path)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def _cells(row: Mapping[str, Any]) -> list[str]:
    if row.get("error"):
        return [row["id"], "failed", "–", "–", row["unit"], "0", str(row["target"] or "–"), "–", row["error"][:160]]
    others = [f"{name} {_number(value)}" for name, value in row["others"].items()]
    if "lost_lines" in row:
        others += [f"{count} lines lost, {name}" for name, count in row["lost_lines"].items()]
    if "cgroup_mib_per_kernel" in row:
        others.append(f"by memory group {_number(row['cgroup_mib_per_kernel'])}")
    baseline = _number(row["baseline"])
    if row["baseline"] is not None and row["baseline_name"] != "local":
        baseline += f" ({row['baseline_name']})"
    met = {True: "yes", False: "no", None: "–"}[row["met"]]
    ratio = "–" if row["ratio"] is None else f"{row['ratio']:.3g}×"
    return [
        row["id"], _number(row["ours"]), baseline, ratio, row["unit"], str(row["n"]), row["target"] or "–", met,
        "; ".join(others + [note[:120] for note in row["notes"]]),
    ]  # fmt: skip


HEADINGS = ("row", "ours", "local", "ratio", "unit", "n", "target", "met", "beside")


def show(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    table = Table(*HEADINGS)
    for row in rows:
        style = "red" if row.get("error") or row["met"] is False else None
        table.add_row(*[cell.replace("[", "\\[") for cell in _cells(row)], style=style)
    console.print(table)


def markdown(rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    days = sorted({str(row["date"])[:8] for row in rows})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    lines = [
        f"Medians, ours and the baselines alternating in one run, on {about['cpus']} cores "
        f"(Linux {about['kernel']}, Docker {about['docker']}, Python {about['python']}), {when}: "
        "`scripts/bench --readme`.",
        "",
        "| " + " | ".join(HEADINGS) + " |",
        "|" + "---|" * len(HEADINGS),
    ]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(row)) + " |" for row in rows]
    return "\n".join(lines)


def check_readme() -> None:
    text = (ROOT / "README.md").read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise NoMarkers(f"README.md needs one line {BEGIN} and after it one line {END}")


def write_readme(table: str) -> None:
    check_readme()
    path = ROOT / "README.md"
    text = path.read_text()
    head, rest = text.split(BEGIN)
    path.write_text(f"{head}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}")
