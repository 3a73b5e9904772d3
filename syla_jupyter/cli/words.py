"""What people write and read: durations, sizes, labels in; moments, texts of unknown origin out. Pure.

Whatever a container could have had a hand in is printed by way of `printable`: a terminal obeys some characters.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from ..config import parse_bytes
from ..model.errors import BadInput
from ..model.policy import DAY, HOUR, MINUTE, Policy
from ..model.workspace import GIB, MIB, Limits
from ..workspaces.policies import readable_duration

UNITS = {"s": 1.0, "m": MINUTE, "min": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
NEVER = "never"
DURATION_MAX = 100 * 365 * DAY
ANSI = re.compile(r"\x1b\[[0-9;:]*m")


def parse_seconds(field: str, text: str) -> float:
    """`90s`, `30m`, `2h`, `1d12h`, `1w` -> seconds, more than 0."""
    parts = re.findall(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(min|[smhdw])", text.strip().lower())
    whole = "".join(number + unit for number, unit in parts)
    if not parts or whole != text.strip().lower():
        raise BadInput(field, f"{text[:40]!r} is not a duration", "Write it like 90s, 30m, 2h or 1d12h")
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    if not 0 < seconds <= DURATION_MAX:
        raise BadInput(field, f"{text[:40]!r} is out of range", "Give more than 0, a hundred years at most")
    return seconds


def parse_labels(field: str, items: Sequence[str]) -> dict[str, str]:
    """`name=value` each."""
    labels = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not name or not equals:
            raise BadInput(field, f"{item[:80]!r} is not a label", "Write it like project=alpha")
        labels[name] = value
    return labels


def changed_limits(
    limits: Limits, *, cpus: str | None, memory: str | None, disk: str | None, pids: str | None
) -> Limits:
    """`limits` with what was given put in; `BadInput` names the option."""
    given = {
        "--cpus": ("cpus", cpus, _cores),
        "--memory": ("memory_bytes", memory, parse_bytes),
        "--disk": ("disk_bytes", disk, parse_bytes),
        "--pids": ("pids", pids, _count),
    }
    for option, (field, text, parse) in given.items():
        if text is not None:
            try:
                value: Any = parse(option, text)
                limits = dataclasses.replace(limits, **{field: value})
            except ValueError as exc:
                why = re.sub("[0-9]{5,}", lambda found: size(int(found[0])), str(exc))
                raise BadInput(option, f"{text[:40]!r} is out of range", why) from exc
    return limits


def changed_policy(policy: Policy, given: Mapping[str, str | None]) -> Policy:
    """`policy` with durations put in; `given`: option such as `--idle` -> a duration, `never`, or None."""
    fields = {"--ttl": "ttl_seconds", "--idle": "idle_seconds", "--archive-after": "archive_seconds"}
    fields |= {"--retention": "retention_seconds", "--snapshot-every": "snapshot_seconds"}
    changes: dict[str, Any] = {}
    for option, text in given.items():
        if text is not None:
            changes[fields[option]] = None if text == NEVER else parse_seconds(option, text)
    return dataclasses.replace(policy, **changes)


def _cores(field: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInput(field, f"{text[:40]!r} is not a number of cores", "Write it like 0.5 or 2") from None


def _count(field: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise BadInput(field, f"{text[:40]!r} is not a number of processes", "Write it like 1024")
    return int(text)


def printable(text: str, *, lines: bool = False) -> str:
    """What a terminal would obey, made visible; `lines`: may be several lines."""
    if text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(
        c if c in kept or not unicodedata.category(c).startswith("C") else c.encode("unicode_escape").decode()
        for c in text.encode(errors="replace").decode()
    )


def without_colours(text: str) -> str:
    return ANSI.sub("", text)


def clock_time(at: float, now: float, zone: tzinfo | None = None) -> str:
    """`10:05` of today, else with its date; in local time."""
    moment, today = datetime.fromtimestamp(at, zone), datetime.fromtimestamp(now, zone)
    if moment.date() == today.date():
        return moment.strftime("%H:%M")
    return moment.strftime("%d %b %H:%M" if moment.year == today.year else "%d %b %Y")


def coming(at: float | None, now: float) -> str:
    """`in 42 min`, `now`, `never`."""
    if at is None:
        return NEVER
    return "now" if at <= now else f"in {readable_duration(at - now)}"


def past(at: float, now: float) -> str:
    return "just now" if now - at < 1 else f"{readable_duration(now - at)} ago"


def rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def size(count: int) -> str:
    """`0 B`, `812 KB`, `3.4 MB`, `1.2 GB` (powers of 1024)."""
    for unit, name in ((GIB, "GB"), (MIB, "MB"), (1024, "KB")):
        if count >= unit:
            return f"{count / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{count} B"


def plural(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
