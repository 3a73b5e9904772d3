"""The comparison as a page of Markdown: how many of each file pass where, then every test that does not pass on both.

*Pictures* are the comparisons with a picture in a file, which are left out on both sides (see the package).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from .compare import PASSED, Row


def page(rows: list[Row], title: str, pictures: Mapping[str, int]) -> str:
    lines = [f"# {title}", "", "| specs | tests | pass on stock | pass on ours | pictures, not compared |"]
    lines += ["| --- | ---: | ---: | ---: | ---: |"]
    total = [0, 0, 0]
    for file, group in groupby(sorted(rows, key=lambda row: _file(row)), _file):
        tests = list(group)
        counts = [len(tests), sum(_passed(r.stock) for r in tests), sum(_passed(r.ours) for r in tests)]
        total = [a + b for a, b in zip(total, counts, strict=True)]
        lines.append(f"| {file} | {counts[0]} | {counts[1]} | {counts[2]} | {pictures.get(file, 0)} |")
    lines += [
        f"| **all** | **{total[0]}** | **{total[1]}** | **{total[2]}** | {sum(pictures.values())} |",
        "",
        "## Not passed on both",
        "",
    ]
    lines += ["| test | stock | ours | why |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {row.id.replace('|', '/')} | {row.stock.status} | {row.ours.status} | {row.reason or _why(row)} |"
        for row in rows
        if not (_passed(row.stock) and _passed(row.ours))
    ]
    return "\n".join([*lines, ""])


def _file(row: Row) -> str:
    return row.id.partition(" › ")[0]


def _passed(outcome: object) -> bool:
    return getattr(outcome, "status", "") == PASSED


def _why(row: Row) -> str:
    return "the same on both" if not row.differs else "**not explained**"
