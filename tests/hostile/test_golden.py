"""The engine's own description of every kind of container, compared with `golden/container.json`."""

from __future__ import annotations

import difflib
import json
import os
from pathlib import Path
from typing import Any

from syla_jupyter.model.runtime import HOME_DIR, WORKSPACE_DIR, MountVia
from syla_jupyter.workspaces.placement import default_workspace

from .conftest import Host, wait_until

GOLDEN = Path(__file__).parent.parent / "golden" / "container.json"
HOST_CONFIG = """
AutoRemove Binds CapAdd CapDrop CgroupParent CpuPeriod CpuQuota CpusetCpus DeviceCgroupRules DeviceRequests
Devices Dns ExtraHosts GroupAdd Init IpcMode Links LogConfig Memory MemoryReservation MemorySwap Mounts NanoCpus
NetworkMode OomKillDisable OomScoreAdj PidMode PidsLimit PortBindings Privileged PublishAllPorts ReadonlyRootfs
RestartPolicy Runtime SecurityOpt ShmSize StorageOpt Sysctls Tmpfs UTSMode Ulimits UsernsMode VolumesFrom
"""
CONFIG = """
AttachStderr AttachStdin AttachStdout Cmd Entrypoint Env ExposedPorts Healthcheck Hostname Labels OpenStdin
StopSignal Tty User Volumes WorkingDir
"""


def policy(inspect: dict[str, Any], host: Host) -> dict[str, Any]:
    """The parts of an inspection that are promises, with ids and paths of this run replaced by their names."""
    found = {"Config": {k: inspect["Config"].get(k) or None for k in CONFIG.split()}}
    found["HostConfig"] = {k: inspect["HostConfig"].get(k) or None for k in HOST_CONFIG.split()}
    found["Networks"] = sorted(inspect["NetworkSettings"]["Networks"])
    found["Ports"] = inspect["NetworkSettings"]["Ports"] or None
    config = found["Config"]
    config["Cmd"] = [json.loads(config["Cmd"][0])]
    config["Env"] = sorted(e for e in config["Env"] if not e.startswith(("PATH=", "PYTHON", "GPG_KEY=", "LANG=")))
    assert config["User"].split(":")[0] != "0"
    config["User"] = "<user>"
    labels = config["Labels"]
    run = labels["syla.run"]
    for name in ("syla.run", "syla.execution", "syla.home", "syla.owner"):
        labels[name] = f"<{name}>"
    config["Labels"] = {name: value for name, value in labels.items() if name.startswith("syla.")}
    mounts = found["HostConfig"]["Mounts"]
    if host.app.runtime.mount_via is MountVia.BIND:  # these are attached later where the host can
        mounts = [mount for mount in mounts if mount["Target"] not in (WORKSPACE_DIR, HOME_DIR)]
    assert all(m.get("ReadOnly") for m in mounts if m["Target"].startswith("/etc/"))
    found["HostConfig"]["Mounts"] = [mount for mount in mounts if not mount["Target"].startswith("/etc/")]
    assert {"/proc/kcore", "/proc/keys", "/sys/firmware"} <= set(inspect["HostConfig"]["MaskedPaths"])
    assert {"/proc/sys", "/proc/sysrq-trigger"} <= set(inspect["HostConfig"]["ReadonlyPaths"])
    text = json.dumps(found, indent=2, sort_keys=True).replace(str(host.run_dir / run), "<run>")
    text = text.replace(str(host.app.settings.data_dir), "<data>")
    for path in (host.app.settings.data_dir / "agent").iterdir():
        text = text.replace(path.name, "<digest>")
    result: dict[str, Any] = json.loads(text)
    return result


def test_golden_policy(hostile_host: Host) -> None:
    """Every kind of container is created exactly as `golden/container.json` says: a change is seen in review."""
    service = hostile_host.service
    found = {}
    with hostile_host.box(hostile_host.spec("rw", hostile_host.directory())) as box:
        box.kernel()
        service.settle(box.workspace)
        found["ephemeral"] = policy(hostile_host.inspect(box.workspace), hostile_host)
    root = hostile_host.directory()
    default_spec, _ = default_workspace(hostile_host.app.settings, root, "python", Path("/nonexistent"))
    default = service.start(default_spec)
    service.settle(default)
    found["default"] = policy(hostile_host.inspect(default), hostile_host)
    default.close()
    kept = {"pooled": hostile_host.spec("rw", root)}
    if hostile_host.app.runtime.mount_via is MountVia.ATTACH:
        kept["pooled for a home"] = default_spec
    for kind, spec in kept.items():
        key, description = service._recipe.key(spec)
        hostile_host.app.pool.want(key, description)
        service.fill_pool(description, key)
        (name,) = wait_until(lambda: [n for n in hostile_host.containers() if "pool" in n])
        inspected = hostile_host.app.runtime.client().api.inspect_container(name)
        found[kind] = policy(inspected, hostile_host)
        assert service.drain() == 1
        wait_until(lambda: not hostile_host.containers(), what="the end of what was ready")
    text = json.dumps(found, indent=2, sort_keys=True) + "\n"
    if os.environ.get("SYLA_WRITE_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text)
    expected = GOLDEN.read_text()
    if "pooled for a home" not in found:  # root's alone
        expected = (
            json.dumps({k: v for k, v in json.loads(expected).items() if k in found}, indent=2, sort_keys=True) + "\n"
        )
    diff = difflib.unified_diff(expected.splitlines(), text.splitlines(), "golden", "found", lineterm="")
    assert text == expected, "the containers changed (SYLA_WRITE_GOLDEN=1 accepts it):\n" + "\n".join(diff)
