"""What is mounted below a directory of this host, by `/proc/self/mountinfo`; proc(5) has its format."""

from __future__ import annotations

import os
import re
from pathlib import Path

_MOUNTINFO = Path("/proc/self/mountinfo")


def mounts_below(path: Path) -> list[str]:
    """Absolute paths of mounts that are not `path` itself; a link at its end is not followed."""
    above = os.path.join(os.path.realpath(path.parent), path.name, "")
    text = _MOUNTINFO.read_text(errors="surrogateescape")
    places = [plain(fields[4]) for line in text.splitlines() if len(fields := line.split(" ")) > 4]
    return sorted({place for place in places if place.startswith(above)})


def plain(text: str) -> str:
    """A path of that file: blanks and the like are written as octal numbers there."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
