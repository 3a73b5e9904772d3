"""The quotas of ext4 and XFS, for real: in a virtual machine, whose kernel has them, on disks of its own.

One machine for all; what is done in it stands in `disk_quota_guest`. Where there can be no machine, the reason is shown
and the tests are skipped. Emulated it takes two or three minutes, nearly all of it the machine's own start and imports.
"""

from __future__ import annotations

import compileall
import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from .. import vm
from .disk_quota_guest import BY_DEVICE

SECONDS = 280.0
DISK_BYTES = 512 << 20
MAKERS = {
    "/dev/vda": ("mkfs.ext4", "-q", "-F", "-O", "quota,project", "-E", "quotatype=prjquota"),
    "/dev/vdb": ("mkfs.xfs", "-q", "-f"),
}
CASES = [
    pytest.param(device, check.__name__, id=f"{MAKERS[device][0].removeprefix('mkfs.')}-{check.__name__}")
    for device, checks in BY_DEVICE.items()
    for check in checks
]
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Checked:
    problems: dict[tuple[str, str], str]
    """(device, check) -> what went wrong; empty: nothing."""
    in_time: bool


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    if why := vm.missing():
        pytest.skip(why)
    directory = tmp_path_factory.mktemp("disks")
    disks = [directory / device.rpartition("/")[2] for device in MAKERS]
    for disk, maker in zip(disks, MAKERS.values(), strict=True):
        with disk.open("wb") as file:
            os.truncate(file.fileno(), DISK_BYTES)
        subprocess.run([vm.tool(maker[0]), *maker[1:], str(disk)], check=True)
    for package in ("syla_jupyter", "tests"):  # here it takes a second, emulated half a minute
        compileall.compile_dir(ROOT / package, quiet=1)
    python = shlex.join([sys.executable, "-m", "tests.e2e.disk_quota_guest"])
    command = f"cd {shlex.quote(str(ROOT))} && PYTHONDONTWRITEBYTECODE=1 exec {python}"
    ended = vm.run(command, disks, seconds=SECONDS)
    found: dict[tuple[str, str], str] = {}
    for line in ended.output.splitlines():
        if line.startswith("{"):
            said = json.loads(line)
            found[said["device"], said["check"]] = said["problem"]
    if ended.code != 0:
        print(f"ended with {ended.code}", ended.output[-4000:], ended.console, sep="\n")
    return Checked(found, ended.in_time)


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize(("device", "check"), CASES)
def test_in_a_machine(device: str, check: str, checked: Checked) -> None:
    if (device, check) not in checked.problems and not checked.in_time:
        pytest.skip(f"emulated, the virtual machine was not done with it within {SECONDS:g} s")
    assert not checked.problems[device, check], checked.problems[device, check]
