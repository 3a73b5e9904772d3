"""The one place where a container's hardening is written down: `ContainerSpec` -> the body of the engine's
`POST /containers/create`.

Pure, so that the golden test reads it and a reviewer can too. Nothing of the host's environment, no engine
socket, no device, no capability; the root is read-only; what can be written is in memory or a named directory,
and everything has a limit. Reserved labels are set last and cannot be overridden.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from ..model.runtime import AGENT_DIR, HOME_DIR, PYTHON_DIR, RUN_DIR, WORKSPACE_DIR, ContainerSpec
from ..model.workspace import Limits, Network
from .base import LABEL_PREFIX

EGRESS_NETWORK = "syla-egress"
TMPFS_BASE = "rw,nosuid,nodev,exec"  # exec: pip builds in /tmp, and what it installs runs from the home
# Through its own loader: it needs nothing of the image around it.
PORTABLE_PYTHON = [f"{PYTHON_DIR}/ld.so", "--library-path", f"{PYTHON_DIR}/lib", f"{PYTHON_DIR}/bin/python3"]
CPU_PERIOD = 100_000  # microseconds, the kernel's default
AGENT_PARENT = AGENT_DIR.rpartition("/")[0]

# -I and -S: the agent is standard library only, and starts before anything is imported.
AGENT_START = f"import sys; sys.path.insert(0, {AGENT_PARENT!r}); from agent.__main__ import main; main()"


def cpu_limits(cpus: float) -> dict[str, int]:
    """The quota is microseconds of CPU per period, the unit of the kernel's bandwidth control."""
    return {"CpuPeriod": CPU_PERIOD, "CpuQuota": int(cpus * CPU_PERIOD)}


def live_limits(limits: Limits) -> dict[str, int]:
    """Those that a running container can be given, as the engine's create and update requests have them."""
    memory = {"Memory": limits.memory_bytes, "MemorySwap": limits.memory_bytes}
    return {**cpu_limits(limits.cpus), **memory, "PidsLimit": limits.pids}


def _tmpfs(limits: Limits, spec: ContainerSpec) -> dict[str, str]:
    own = f"uid={spec.user.uid},gid={spec.user.gid}"
    # Memory backs these, so they cannot hold more than the container's memory; half keeps the kernel alive.
    in_memory = min(limits.disk_bytes, limits.memory_bytes // 2)
    return {
        "/tmp": f"{TMPFS_BASE},mode=1777,size={limits.tmp_bytes}",
        HOME_DIR: f"{TMPFS_BASE},mode=0700,size={in_memory},{own}",
        WORKSPACE_DIR: f"{TMPFS_BASE},mode=0755,size={in_memory},{own}",
    }


def _binds(spec: ContainerSpec) -> list[dict[str, Any]]:
    binds: list[dict[str, Any]] = [
        {"Type": "bind", "Source": str(spec.run_dir), "Target": RUN_DIR},
        {"Type": "bind", "Source": str(spec.agent_dir), "Target": AGENT_DIR, "ReadOnly": True},
    ]
    if spec.python_dir is not None:
        binds.append({"Type": "bind", "Source": str(spec.python_dir), "Target": PYTHON_DIR, "ReadOnly": True})
    binds += [
        {"Type": "bind", "Source": str(mount.source), "Target": mount.target, "ReadOnly": mount.read_only}
        for mount in spec.mounts
        if mount.source is not None
    ]
    for bind in binds:
        bind["BindOptions"] = {"Propagation": "rprivate"}
    return binds


def environment(spec: ContainerSpec) -> dict[str, str]:
    cores = str(max(1, math.ceil(spec.limits.cpus)))
    return {
        **spec.environment,
        "HOME": HOME_DIR,
        "USER": "syla",
        "SHELL": "/bin/bash",
        # Thread pools sized by the limit, not by the host's cores.
        "OMP_NUM_THREADS": cores,
        "OPENBLAS_NUM_THREADS": cores,
        # pydevd warns about frozen modules, which debugging does not need.
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        # matplotlib reads it when it is imported, which may be in the zygote.
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }


def agent_config(spec: ContainerSpec) -> str:
    agent = spec.agent
    return json.dumps(
        {
            "dir": RUN_DIR,
            "zygote": agent.zygote,
            "preload": list(agent.preload),
            "spares": agent.spares,
            "lease_seconds": agent.lease_seconds,
            "deadline_seconds": agent.deadline_seconds,
            "open": agent.open,
        }
    )


def create_body(spec: ContainerSpec) -> dict[str, Any]:
    """The engine's create request for one workspace container."""
    limits = spec.limits
    binds = _binds(spec)
    masks = {m.target: "ro,nosuid,nodev,noexec,size=4096,mode=0555" for m in spec.mounts if m.source is None}
    bound = {bind["Target"] for bind in binds}
    tmpfs = {target: options for target, options in _tmpfs(limits, spec).items() if target not in bound}
    user_labels = {k: v for k, v in spec.labels.items() if not k.startswith(LABEL_PREFIX)}
    reserved = {k: v for k, v in spec.labels.items() if k.startswith(LABEL_PREFIX)}
    return {
        "Image": spec.image,
        "Entrypoint": [*(PORTABLE_PYTHON if spec.python_dir else ["python3"]), "-I", "-S", "-B", "-c", AGENT_START],
        "Cmd": [agent_config(spec)],
        "User": f"{spec.user.uid}:{spec.user.gid}",
        "WorkingDir": "/",
        "Env": [f"{name}={value}" for name, value in environment(spec).items()],
        "Labels": {**user_labels, **reserved},
        "Hostname": "syla",
        "AttachStdout": False,
        "AttachStderr": False,
        "StopSignal": "SIGKILL",
        "StopTimeout": 1,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "AutoRemove": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "Privileged": False,
            "ReadonlyRootfs": True,
            "NetworkMode": "none" if spec.network is Network.NONE else EGRESS_NETWORK,
            "IpcMode": "private",
            "PidMode": "",
            "Init": False,
            **live_limits(dataclasses.replace(limits, cpus=max(limits.cpus, spec.start_cpus))),
            "ShmSize": max(16 << 20, limits.memory_bytes // 8),
            "Ulimits": [
                {"Name": "nofile", "Soft": limits.open_files, "Hard": limits.open_files},
                {"Name": "fsize", "Soft": limits.disk_bytes, "Hard": limits.disk_bytes},
                {"Name": "core", "Soft": 0, "Hard": 0},
            ],
            "Tmpfs": {**tmpfs, **masks},
            "Mounts": binds,
            "LogConfig": {"Type": "none", "Config": {}},
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
            "Devices": [],
        },
    }
