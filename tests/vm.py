"""A small virtual machine with a kernel that has what this machine's may lack, on this machine's own files.

Debian's kernel and modules (`scripts/test` fetches them), an initial file system of busybox and the modules it takes,
and the root directory of this machine shared read-only below an overlay in memory: every program and path of here is
there too, and nothing written there is seen here. Disks are files. One command runs as root; its output is one serial
line, the kernel's the other. Every run has an end: a limit in seconds, after which the machine is gone.

With hardware's help (KVM) where it works, else emulated, which is some ten times slower.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

KERNELS = Path(__file__).parents[1] / ".venv" / "vm"
BUSYBOX = Path("/bin/busybox")
MODULES = (
    "virtio_pci", "virtio_blk", "9p", "9pnet_virtio", "overlay", "crc32c_generic", "ext4", "xfs", "quota_v2",
)  # fmt: skip
INIT = """\
#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
exec >/dev/ttyS0 2>&1
for m in $($b cat /modules); do $b insmod /m/$m; done
$b mkdir -p /proc /host /mem /new
$b mount -t proc proc /proc
$b mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=512000,cache=loose host /host || $b poweroff -f
$b mount -t tmpfs -o size=75% mem /mem
$b mkdir /mem/u /mem/w
$b mount -t overlay -o lowerdir=/host,upperdir=/mem/u,workdir=/mem/w new /new || $b poweroff -f
$b umount /proc
$b mount -t proc proc /new/proc
$b mount -t sysfs sys /new/sys
$b mount -t devtmpfs dev /new/dev
for d in run dev/shm; do $b mkdir -p /new/$d; $b mount -t tmpfs -o mode=1777 $d /new/$d; done
$b cp /command /then /new/run/
exec $b switch_root /new /bin/sh /run/then
"""
THEN = """\
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
/bin/sh /run/command </dev/null >/dev/ttyS1 2>&1
echo "ended with $?" >/dev/ttyS1
/bin/busybox poweroff -f
"""


@dataclass(frozen=True)
class Ended:
    code: int | None
    """None: it did not come to its end."""
    output: str
    console: str
    in_time: bool


def tool(name: str) -> str:
    """Where a program of the system is; empty where it is not."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin") or ""


def kernel() -> tuple[Path, Path] | None:
    """(image, directory of its modules)."""
    images = sorted(KERNELS.glob("boot/vmlinuz-*"))
    version = images[-1].name.removeprefix("vmlinuz-") if images else ""
    modules = KERNELS / "lib" / "modules" / version
    return (images[-1], modules) if images and modules.is_dir() else None


def missing() -> str:
    """Why there can be no virtual machine here; empty where there can be one."""
    if os.uname().machine != "x86_64":
        return "virtual machines are tested on x86_64"
    if os.geteuid() != 0:
        return "a virtual machine on this machine's files needs root"
    if kernel() is None or not BUSYBOX.exists() or not all(map(tool, ("qemu-system-x86_64", "mkfs.ext4", "mkfs.xfs"))):
        return "no virtual machine: scripts/test installs QEMU and fetches a kernel, where it can"
    return ""


def has_kvm() -> bool:
    """Of the processor itself: a device alone may be one that takes special kernels only."""
    flags = Path("/proc/cpuinfo").read_text().split()
    return os.access("/dev/kvm", os.R_OK | os.W_OK) and bool({"vmx", "svm"} & set(flags))


def _in_order(names: Sequence[str], modules: Path) -> list[Path]:
    """Files of these modules and all they depend on, which stands in them."""
    files = {path.stem.replace("-", "_"): path for path in modules.rglob("*.ko")}
    found: dict[str, Path] = {}

    def add(name: str) -> None:
        if name in found or name not in files:  # not a module but built in
            return
        depends = re.search(rb"\0depends=([^\0]*)\0", files[name].read_bytes())
        for other in depends[1].decode().split(",") if depends else ():
            add(other.replace("-", "_"))
        found[name] = files[name]

    for name in names:
        add(name.replace("-", "_"))
    return list(found.values())


def _archived(entries: Iterator[tuple[str, int, bytes]]) -> bytes:
    """(name, mode, content) as the kernel reads its initial file system: cpio, format newc."""
    out = bytearray()
    for number, (name, mode, content) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        out += b"\0" * (-len(out) % 4) + content
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def _initial(command: str, modules: Sequence[Path]) -> bytes:
    def entries() -> Iterator[tuple[str, int, bytes]]:
        for directory in ("bin", "m", "dev"):
            yield directory, 0o040755, b""
        yield "init", 0o100755, INIT.encode()
        yield "bin/busybox", 0o100755, BUSYBOX.read_bytes()
        yield "modules", 0o100644, "\n".join(path.name for path in modules).encode()
        yield "command", 0o100644, command.encode()
        yield "then", 0o100644, THEN.encode()
        for path in modules:
            yield f"m/{path.name}", 0o100644, path.read_bytes()

    return _archived(entries())


def run(command: str, disks: Sequence[Path] = (), *, seconds: float, memory_mib: int = 1024) -> Ended:
    """A shell's `command` in the machine, with these files as /dev/vda, /dev/vdb, …; ended after so many seconds."""
    found = kernel()
    assert found is not None
    with tempfile.TemporaryDirectory(prefix="vm") as directory:
        initial, console, output = (Path(directory) / name for name in ("initial", "console", "output"))
        initial.write_bytes(_initial(command, _in_order(MODULES, found[1])))
        argv = ["qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none", "-m", str(memory_mib)]
        argv += [*(["-accel", "kvm"] if has_kvm() else []), "-accel", "tcg", "-cpu", "max"]
        argv += ["-kernel", str(found[0]), "-initrd", str(initial)]
        argv += ["-append", "console=ttyS0 panic=-1 mitigations=off random.trust_cpu=on"]
        argv += ["-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"]
        argv += ["-serial", f"file:{console}", "-serial", f"file:{output}"]
        for disk in disks:
            argv += ["-drive", f"file={disk},format=raw,if=virtio,cache=unsafe"]
        in_time, said = True, ""
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, text=True)
            said = done.stderr
        except subprocess.TimeoutExpired:
            in_time = False
        text = output.read_text(errors="replace") if output.exists() else ""
        kernel_said = console.read_text(errors="replace") if console.exists() else ""
    text, ended, code = text.replace("\r\n", "\n").rpartition("ended with ")
    return Ended(int(code) if ended else None, text if ended else code, kernel_said[-8000:] + said, in_time)
