"""One run of chosen specs against one server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from syla_jupyter.testing.chromium import FLAGS

from .compare import Outcome, outcomes


def pictures(suite: Path, files: list[str]) -> dict[str, int]:
    """How many comparisons with a picture are written in each file."""
    texts = {file: (suite / "galata/test" / file).read_text() for file in files}
    return {file: len(re.findall(r"\b(?:toMatchSnapshot|toHaveScreenshot)\(", text)) for file, text in texts.items()}


def run_specs(suite: Path, files: list[str], url: str, out: Path) -> dict[str, Outcome]:
    """Spec id -> what became of it; what the run leaves (pictures of failures, its report) is in `out`.

    `files` are below `galata/test`. RuntimeError when not all of them were run.
    """
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise RuntimeError("no Chromium here: apt-get install chromium")
    environ = {
        **os.environ,
        "GALATA_URL": url,
        "GALATA_CHROMIUM": json.dumps([program, *FLAGS]),
        "GALATA_OUT": str(out),
        "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD": "1",
    }
    command = ["node", "node_modules/@playwright/test/cli.js", "test", *(f"galata/test/{file}" for file in files)]
    ended = subprocess.run(command, cwd=suite, env=environ, stdin=subprocess.DEVNULL, check=False)
    report = out / "report.json"
    if ended.returncode not in (0, 1) or not report.is_file():  # 1: some failed; 130: it was interrupted
        raise RuntimeError(f"Playwright ended with {ended.returncode}; its message is above")
    found = outcomes(json.loads(report.read_text()))
    if not found:
        raise RuntimeError(f"there is no spec in {' '.join(files)}")
    return found
