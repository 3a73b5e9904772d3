"""Remove a directory tree that a container could write to: links are removed, never followed.

`shutil.rmtree` holds descriptors, not names. What it cannot do (deeper than it recurses, directories closed to us)
rm(1) and chmod(1) can, which do not follow links on their way down either.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def remove_tree(path: Path) -> None:
    """All of it; no error when it is not there. What resists is left."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        pass
    except (OSError, RecursionError):
        for command in (["chmod", "-R", "u+rwX", "--"], ["rm", "-rf", "--"]):
            subprocess.run([*command, str(path)], stderr=subprocess.DEVNULL, check=False)
