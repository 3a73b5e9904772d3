"""What a version says of itself beyond its files: packages in the home, the image, variables. Read on the host.

The home was written by a container: directories are opened name by name, no link is followed, and names alone are
looked at, so many and no more.
"""

from __future__ import annotations

import collections
import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

PACKAGES_MAX = 5000
PYTHONS_MAX = 8
LINES_MAX = 30
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_METADATA = re.compile(r"([A-Za-z0-9][A-Za-z0-9._]{0,120})-([A-Za-z0-9][A-Za-z0-9.!+_]{0,60})\.dist-info")


def packages(home: Path) -> dict[str, str]:
    """Name -> version of what is installed in a home, on top of the image; nothing where it cannot be read."""
    found: dict[str, str] = {}
    with _below(home, ".local", "lib") as lib:
        pythons = sorted(name for name in _names(lib) if re.fullmatch(r"python3\.[0-9]{1,3}", name))
        for python in pythons[:PYTHONS_MAX]:
            with _below(home, ".local", "lib", python, "site-packages") as place:
                for name in _names(place):
                    match = _METADATA.fullmatch(name)
                    if match and len(found) < PACKAGES_MAX:
                        found[match[1].replace("_", "-").lower()] = match[2]
    return dict(sorted(found.items()))


def variables(details: object) -> dict[str, str]:
    """`REPL: table` -> `DataFrame, 1200 bytes, saved`, of what `VariablesReport.details` gave."""
    found = {}
    for kernel in _kernels(details):
        place = str(kernel.get("session") or "a kernel")
        for variable in _mappings(kernel.get("variables")):
            words = f"{variable.get('type')}, {variable.get('size_bytes')} bytes, {variable.get('status')}"
            found[f"{place}: {variable.get('name')}"] = words
    return found


def variable_lines(details: object) -> list[str]:
    """For a person: how many of each kernel are saved, and each one that is not as it was, with the reason."""
    lines = []
    for kernel in _kernels(details):
        place, listed = str(kernel.get("session") or "a kernel"), _mappings(kernel.get("variables"))
        counts = collections.Counter(str(variable.get("status")) for variable in listed)
        if counts:
            lines.append(f"{place}: {', '.join(f'{count} {status}' for status, count in counts.most_common())}")
        if kernel.get("error"):
            lines.append(f"{place}: {kernel['error']}")
        for variable in listed:
            if variable.get("status") != "saved":
                why = f": {variable['reason']}" if variable.get("reason") else ""
                lines.append(
                    f"{place}: {variable.get('name')} ({variable.get('type')}) is {variable.get('status')}{why}"
                )
    more = len(lines) - LINES_MAX
    return [*lines[:LINES_MAX], f"and {more} more"] if more > 0 else lines


def with_due(now: Mapping[str, Any], due: Iterable[str], before: object) -> dict[str, Any]:
    """Details of variables for a version: what was saved now, and what lies in the home from earlier and is still due.

    `before`: the details of the version before, which may know more of those than their keys.
    """
    kernels = [dict(kernel) for kernel in _kernels(now)]
    here = {kernel.get("key") for kernel in kernels}
    known = {kernel.get("key"): kernel for kernel in _kernels(before)}
    kernels += [dict(known.get(key, {"key": key})) for key in due if key not in here]
    return {"kernels": kernels} if kernels else {}


def _kernels(details: object) -> list[Mapping[str, Any]]:
    return _mappings(details.get("kernels")) if isinstance(details, Mapping) else []


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value[:PACKAGES_MAX] if isinstance(one, Mapping)] if isinstance(value, list | tuple) else []


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """`numpy 1.26 -> 2.1`, `+ pandas 2.2`, `- polars 1.0`; of two values of `packages`, or of variables by name."""
    lines = []
    for name in sorted({*before, *after}):
        if name not in before:
            lines.append(f"+ {name} {after[name]}")
        elif name not in after:
            lines.append(f"- {name} {before[name]}")
        elif before[name] != after[name]:
            lines.append(f"{name} {before[name]} -> {after[name]}")
    return lines


@contextlib.contextmanager
def _below(top: Path, *names: str) -> Iterator[int | None]:
    """A descriptor; None when one of the names is no directory."""
    with contextlib.ExitStack() as stack:
        here: int | None
        try:
            here = os.open(top, _OPEN)
            stack.callback(os.close, here)
            for name in names:
                here = os.open(name, _OPEN, dir_fd=here)
                stack.callback(os.close, here)
        except OSError:
            here = None
        yield here


def _names(directory: int | None) -> list[str]:
    """In no order; of a directory with more than it should have, the first."""
    if directory is None:
        return []
    names = []
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            names.append(entry.name)
            if len(names) >= 10 * PACKAGES_MAX:
                break
    return names
