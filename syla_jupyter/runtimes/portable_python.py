"""A Python for the agent in images that need not have one: interpreter, standard library, C libraries in a directory.

Taken once from our own Python image, kept in the data directory under the name of that image, mounted read-only. It is
started through its own loader, so it needs nothing of the image around it, not even the same C library; what the agent
starts gets no trace of it in its environment.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ..model.errors import StartFailed, SylaError
from .docker_errors import translate

COPY_SECONDS = 120

# Runs in a container of the source image, the new directory at /out.
COPY = r"""
import glob, os, re, shutil, subprocess, sys, sysconfig
binary = os.path.realpath(sys.executable)
stdlib = sysconfig.get_path("stdlib")
version = "python%d.%d" % sys.version_info[:2]
target = "/out/lib/" + version
leave = shutil.ignore_patterns("site-packages", "dist-packages", "test", "tests", "idlelib", "ensurepip", "config-*")
shutil.copytree(stdlib, target, ignore=leave, dirs_exist_ok=True)
os.makedirs("/out/bin", exist_ok=True)
shutil.copy2(binary, "/out/bin/python3")
parts = [binary] + glob.glob(target + "/lib-dynload/*.so")
text = subprocess.run(["ldd"] + parts, capture_output=True, text=True).stdout
for path in sorted(set(re.findall(r"(/\S+) \(0x", text))):
    loader = os.path.basename(path).startswith("ld-")
    shutil.copy2(os.path.realpath(path), "/out/ld.so" if loader else "/out/lib/" + os.path.basename(path))
"""


def publish_python(api: Any, image: str, data_dir: Path) -> Path:
    """The directory to mount, made from `image` when it is not there; safe when several processes make it at once.

    `api` is the engine's low-level client. Files are copied by a container that runs as the caller.
    """
    target = data_dir / "python" / hashlib.sha256(image.encode()).hexdigest()[:16]
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=".new-"))
    try:
        _fill(api, image, fresh)
        fresh.chmod(0o755)
        try:
            fresh.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    except (SylaError, OSError):
        raise
    except Exception as exc:
        raise translate(exc, doing=f"take a Python for the agent from {image}") from exc
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def _fill(api: Any, image: str, directory: Path) -> None:
    body = {
        "Image": image,
        "Entrypoint": ["python3", "-c", COPY],
        "Cmd": [],
        "User": f"{os.geteuid()}:{os.getegid()}",
        "WorkingDir": "/",
        "HostConfig": {
            "NetworkMode": "none",
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "ReadonlyRootfs": True,
            "Mounts": [{"Type": "bind", "Source": str(directory), "Target": "/out"}],
        },
    }
    container = api.create_container_from_config(body)["Id"]
    try:
        api.start(container)
        if api.wait(container, timeout=COPY_SECONDS)["StatusCode"]:
            said = api.logs(container, tail=5).decode(errors="replace")
            raise StartFailed(f"no Python for the agent could be taken from {image}: {said}")
    finally:
        api.remove_container(container, force=True)
