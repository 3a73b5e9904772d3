"""A real workspace at its limit: an engine, a container and a quota, in a virtual machine (`test_disk_quota_engine`).

The image is busybox alone; the agent runs on a Python that is taken from this machine's own.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import docker
from traitlets.config import Config

from syla_jupyter import app
from syla_jupyter.config import load_settings
from syla_jupyter.model.workspace import MIB, Limits, Network
from syla_jupyter.runtimes.docker_spec import PORTABLE_PYTHON
from syla_jupyter.runtimes.image_name import image_reference
from syla_jupyter.runtimes.portable_python import COPY
from syla_jupyter.workspaces.live import LiveWorkspace
from syla_jupyter.workspaces.project_quota import candidates

from .disk_quota_guest import number, of

ROOT = Path("/mnt")
ENGINE_SECONDS = 120
CONTAINERD = Path("/run/containerd/containerd.sock")
LEAVE = """
import fcntl, os
for place in ('/workspace', '/workspace/x', '/home/syla'):
    fd = os.open(place, os.O_RDONLY)
    for request, content in ((0x401C5820, bytes(28)), (0x40086602, bytes(8))):
        try:
            fcntl.ioctl(fd, request, content)
            print('LEFT', place)
        except PermissionError:
            print('refused')
"""


def started_engine() -> None:
    subprocess.run(["mount", "-t", "cgroup2", "cgroup", "/sys/fs/cgroup"], check=True)
    with (ROOT / "dockerd.log").open("wb") as log:  # not by dockerd, which has not the patience for an emulated machine
        subprocess.Popen(["containerd", "--root", str(ROOT / "containerd")], stdout=subprocess.DEVNULL, stderr=log)
    until = time.monotonic() + ENGINE_SECONDS
    while not CONTAINERD.exists() and time.monotonic() < until:
        time.sleep(0.2)
    subprocess.Popen(
        ["dockerd", "--containerd", str(CONTAINERD), "--data-root", str(ROOT / "docker"), "--bridge=none", "--iptables=false", "--ip-forward=false"],
        stdout=subprocess.DEVNULL, stderr=(ROOT / "dockerd.log").open("ab"),
    )  # fmt: skip
    until = time.monotonic() + ENGINE_SECONDS
    while True:
        try:
            client = docker.from_env()
            client.ping()
            break
        except Exception:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
        for name in ("sh", "dd"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    client.api.import_image_from_data(content.getvalue(), repository="bare", tag="1")


def ran(live: LiveWorkspace, *argv: str) -> str:
    """What a command printed in the container."""
    nothing, (reader, writer) = os.open(os.devnull, os.O_RDONLY), os.pipe()
    process = live.start_command(list(argv), cwd="/workspace", env={}, stdio=(nothing, writer, writer), tty=False)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    process.done.result(60)
    return text


def a_workspace_at_its_limit() -> None:
    started_engine()
    config = Config()
    config.Syla.update(data_dir=str(ROOT / "data"), run_dir="/run/s", pool_size=0)
    environ = dict(os.environ)
    application = app.build(load_settings(config, environ), environ)
    templates = ROOT / "data" / "templates"
    templates.mkdir(parents=True)
    (templates / "bare.toml").write_text('language = "sh"\nimage = "bare:1"\nkernel_argv = ["sh"]\n')
    python = image_reference(application.templates.get(application.settings.template))
    target = ROOT / "data" / "python" / hashlib.sha256(python.encode()).hexdigest()[:16]
    target.mkdir(parents=True)
    subprocess.run([sys.executable, "-c", COPY.replace("/out", str(target))], check=True)
    registry = application.registry()
    record = registry.create(
        "proj", root=ROOT / "root", template="bare", limits=Limits(1, 256 * MIB, 16 * MIB), network=Network.NONE
    )
    ours = next(candidates(record.id))
    live = registry.open(record.id)
    full = ran(live, "dd", "if=/dev/zero", "of=/workspace/x", "bs=1M", "count=64")
    assert "Disk quota exceeded" in full or "No space left on device" in full, full
    assert 14 * MIB < (record.files / "x").stat().st_size <= 16 * MIB
    left = ran(live, *PORTABLE_PYTHON, "-I", "-S", "-c", LEAVE)
    assert left.split() == ["refused"] * 6, left
    assert number(record.files / "x") == ours
    registry.change(record.id, limits=Limits(1, 256 * MIB, 32 * MIB))
    more = ran(live, "dd", "if=/dev/zero", "of=/home/syla/y", "bs=1M", "count=10")
    assert "10+0 records out" in more, more
    registry.delete(record.id, confirmed=True)
    assert of(ours).limit_bytes == 0


if __name__ == "__main__":
    subprocess.run(["mount", "-o", "prjquota", sys.argv[1], str(ROOT)], check=True)
    try:
        a_workspace_at_its_limit()
    except BaseException:
        print((ROOT / "dockerd.log").read_text()[-3000:])
        raise
