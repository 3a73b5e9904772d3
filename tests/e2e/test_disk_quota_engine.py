"""A real workspace, in a container of a real engine, at the limit that its file system keeps: in a virtual machine.

Only where the processor helps: emulated, starting the engine alone takes longer than a test may.
"""

from __future__ import annotations

import compileall
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from .. import vm

SECONDS = 150.0
DISK_BYTES = 4 << 30
ROOT = Path(__file__).parents[2]
MAKER = ("-q", "-F", "-O", "quota,project", "-E", "quotatype=prjquota")


@pytest.mark.timeout(SECONDS + 60)
def test_a_workspace_at_its_limit(tmp_path: Path) -> None:
    """Its writes are refused, it cannot leave, more is granted while it runs, and nothing of it is left."""
    if why := vm.missing():
        pytest.skip(why)
    if not vm.has_kvm():
        pytest.skip("no KVM of the processor's own here: an emulated machine takes minutes to start an engine")
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        os.truncate(file.fileno(), DISK_BYTES)
    subprocess.run([vm.tool("mkfs.ext4"), *MAKER, str(disk)], check=True)
    for package in ("syla_jupyter", "tests"):
        compileall.compile_dir(ROOT / package, quiet=1)
    python = shlex.join([sys.executable, "-m", "tests.e2e.disk_quota_engine_guest", "/dev/vda"])
    ended = vm.run(f"cd {shlex.quote(str(ROOT))} && exec {python}", [disk], seconds=SECONDS, memory_mib=1536)
    assert ended.code == 0, f"{ended.output[-6000:]}\n{ended.console[-2000:]}"
