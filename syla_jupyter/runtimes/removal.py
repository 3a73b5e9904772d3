"""Remove a directory tree that a container could write to: links are removed, never followed.

`shutil.rmtree` holds descriptors, not names. What it cannot do (deeper than it recurses, directories closed to us)
rm(1) and chmod(1) can, which do not follow links on their way down either. A tree in which somebody has mounted
something is left as it is: what is mounted there is not ours.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
from pathlib import Path

from .mounts import mounts_below

log = logging.getLogger("syla.runtimes")


def remove_tree(path: Path) -> None:
    """All of it; no error when it is not there. What resists is left."""
    if path.is_symlink():  # chmod(1) would follow this one
        path.unlink(missing_ok=True)
        return
    if mounted := mounts_below(path):
        log.warning("%s is left: %s is mounted there", path, mounted[0])
        return
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        pass
    except (OSError, RecursionError):
        for command in (["chmod", "-R", "u+rwX", "--"], ["rm", "-rf", "--"]):
            subprocess.run([*command, str(path)], stderr=subprocess.DEVNULL, check=False)
