"""Two states of a notebook, cell by cell, in words: nbdime, in a process of its own with an end.

Notebooks come from containers, and comparing two hostile ones can take for ever and all memory.
"""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys

from ..model.errors import BadInput, InsufficientResources

NOTEBOOK_MAX_BYTES = 16 << 20
DIFF_MAX_BYTES = 4 << 20
TIME_LIMIT_SECONDS = 30.0
MEMORY_BYTES = 2 << 30
NOT_INSTALLED = 3


def notebook_diff(old: bytes, new: bytes) -> str:
    """Text for people, empty when nothing differs.

    Raises `BadInput` for what is no notebook, too big, or cannot be compared in time.
    """
    if max(len(old), len(new)) > NOTEBOOK_MAX_BYTES:
        raise BadInput("notebook", f"is longer than {NOTEBOOK_MAX_BYTES >> 20} MiB", "Download both and compare them")
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "syla_jupyter.snapshots.notebook_diff"],
            input=b"%d\n%s%s" % (len(old), old, new), capture_output=True, timeout=TIME_LIMIT_SECONDS, check=False,
            env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
    except subprocess.TimeoutExpired as exc:
        raise BadInput("notebook", f"could not be compared within {TIME_LIMIT_SECONDS:g} s") from exc
    if ended.returncode == NOT_INSTALLED:
        hint = "pip install 'syla-jupyter[diff]'"
        raise InsufficientResources("Notebooks are compared by nbdime, which is not installed", hint)
    if ended.returncode:
        raise BadInput("notebook", "is no notebook that can be compared")
    text = ended.stdout[:DIFF_MAX_BYTES].decode("utf-8", "replace")
    return "".join(c for c in text if c.isprintable() or c in "\n\t")


def main() -> None:
    """In that process: length and both notebooks on standard input, text on standard output."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]  # jsonschema's; seconds, for URLs in no notebook
    try:
        from nbdime import diff_notebooks
        from nbdime.prettyprint import PrettyPrintConfig, pretty_print_notebook_diff
        from nbformat import reads
    except ImportError:
        sys.exit(NOT_INSTALLED)
    length = int(sys.stdin.buffer.readline())
    texts = (sys.stdin.buffer.read(size).decode() for size in (length, -1))
    old, new = (reads(text, as_version=4) for text in texts)  # type: ignore[no-untyped-call]
    out = io.StringIO()
    config = PrettyPrintConfig(out=out, use_git=False, use_diff=False, use_color=False)
    changes = diff_notebooks(old, new)
    if changes:
        pretty_print_notebook_diff("before", "after", old, changes, config)
    sys.stdout.write(out.getvalue())


if __name__ == "__main__":
    main()
