"""A stopped workspace in a container that was ready before anybody knew whose it would be, seen by real kernels.

What is in the home decides as it does in a container made for it: nothing that came before the claim has looked.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from syla_jupyter import app
from syla_jupyter.model.errors import StartFailed
from syla_jupyter.model.record import State, WorkspaceRecord
from syla_jupyter.model.runtime import MountVia
from syla_jupyter.model.workspace import MIB, Limits, Network
from syla_jupyter.runtimes.image_name import image_reference
from syla_jupyter.workspaces.live import LiveWorkspace
from syla_jupyter.workspaces.recipe import START_CPUS

from .conftest import Box, Host, wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can attach a home to a container that runs")
LIMITS = Limits(1, 512 * MIB, 1 << 30)


class House:
    """Workspaces of one installation, and containers made ready for them."""

    def __init__(self, host: Host) -> None:
        assert host.app.runtime.mount_via is MountVia.ATTACH
        self.host, self.registry = host, host.app.registry()

    def made(self, name: str, **described: Any) -> WorkspaceRecord:
        return self.registry.create(name, root=self.host.root, **{"limits": LIMITS, **described})

    def home(self, record: WorkspaceRecord) -> Path:
        home = self.host.app.settings.data_dir / "homes" / record.id
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return home

    def fill(self, record: WorkspaceRecord) -> str:
        """Name of a container that is ready for workspaces like that one."""
        service, before = self.host.service, set(self.host.containers())
        key, description = service._recipe.key(record.spec(self.home(record)))
        self.host.app.pool.want(key, description)
        service.fill_pool(json.loads(json.dumps(description, default=str)), key)
        (name,) = set(self.host.containers()) - before
        return name

    def claimed(self, record: WorkspaceRecord) -> LiveWorkspace:
        """It runs, in a container that was ready."""
        ready = self.fill(record)
        live = self.registry.open(record.id)
        assert live.container.name == ready
        return live


@pytest.fixture
def house(hostile_host: Host) -> Iterator[House]:
    made = House(hostile_host)
    yield made
    for record in made.registry.catalog.all():
        made.registry.delete(record.id, confirmed=True)
    hostile_host.service.drain()
    wait_until(lambda: not hostile_host.containers(), what="no container left")


PLATFORMDIRS = """
import shutil, site, platformdirs
place = site.getusersitepackages()
shutil.copytree(platformdirs.__path__[0], place + '/platformdirs')
open(place + '/platformdirs/__init__.py', 'a').write("\\nWHOSE = 'the user'\\n")
open(place + '/more.pth', 'w').write('/workspace/more\\n')
result = platformdirs.__file__
"""
SEEN = """
import os, sys, platformdirs, in_pth, in_path, matplotlib
ip = get_ipython()
result = {
    "config": from_config,
    "startup": from_startup,
    "float_format": ip.display_formatter.formatters["text/plain"](3.14159),
    "package": platformdirs.WHOSE,
    "pth": in_pth.__file__,
    "path": in_path.__file__,
    "matplotlibrc": matplotlib.rcParams["lines.linewidth"],
    "colour": os.environ["COLOUR"],
    "history": [text for _, _, text in ip.history_manager.get_tail(5, include_latest=False)],
    "file": open("/workspace/given").read(),
    "masked": os.listdir("/workspace"),
    "user": (os.getuid(), os.stat(os.path.expanduser("~")).st_uid),
}
"""


def test_a_claimed_home_decides(house: House) -> None:
    """Settings, startup files, history, packages that shadow imported ones, .pth files, PYTHONPATH and matplotlibrc of
    the home are those of the kernel, though its zygote was there before the home."""
    record = house.made("mine")
    live = house.registry.open(record.id)
    assert "pool" not in live.container.name
    box = Box(live)
    assert box.in_kernel(PLATFORMDIRS).startswith("/usr/")  # the image's
    box.cell("remembered = 'the first session'")
    house.registry.suspend(record.id, stop=True)

    home, files = house.home(record), record.files
    profile = home / ".ipython" / "profile_default"
    profile.joinpath("ipython_kernel_config.py").write_text(
        "c = get_config()\nc.IPKernelApp.exec_lines = ['from_config = 1']\nc.PlainTextFormatter.float_precision = '%.2f'\n"
    )
    profile.joinpath("startup", "00-mine.py").write_text("from_startup = 2\n")
    (home / ".config" / "matplotlib").mkdir(parents=True, exist_ok=True)
    (home / ".config" / "matplotlib" / "matplotlibrc").write_text("lines.linewidth: 7\n")
    for place, module in (("more", "in_pth"), ("lib", "in_path")):
        (files / place).mkdir()
        (files / place / f"{module}.py").touch()
    (files / "given").write_text("of the workspace")

    live = house.claimed(record)
    box = Box(live, env={"PYTHONPATH": "/workspace/lib", "COLOUR": "green"})
    seen = box.in_kernel(SEEN)
    assert seen == {
        "config": 1,
        "startup": 2,
        "float_format": "3.14",
        "package": "the user",
        "pth": "/workspace/more/in_pth.py",
        "path": "/workspace/lib/in_path.py",
        "matplotlibrc": 7.0,
        "colour": "green",
        "history": seen["history"],
        "file": "of the workspace",
        "masked": seen["masked"],
        "user": [1000, 1000],
    }
    assert "remembered = 'the first session'" in seen["history"]
    assert sorted(seen["masked"]) == ["given", "lib", "more"]
    house.registry.suspend(record.id, stop=True)
    with sqlite3.connect(profile / "history.sqlite") as history:
        sources = [text for (text,) in history.execute("SELECT source FROM history ORDER BY session, line")]
    assert any("from_startup" in text for text in sources), "what the claimed kernel ran is in the home's history"


def test_nothing_is_opened_before_the_claim(house: House) -> None:
    """A container that waits for a home has an agent and a zygote: no spare, no socket of a kernel, nothing written
    where the home will be. After the claim it has the limits of the record."""
    record = house.made("waits")
    name = house.fill(record)
    inspected = house.host.app.runtime.client().api.inspect_container(name)
    assert inspected["HostConfig"]["CpuQuota"] == START_CPUS * inspected["HostConfig"]["CpuPeriod"]
    top = subprocess.run(["docker", "top", name], check=True, capture_output=True, text=True).stdout
    assert len(top.splitlines()) == 3, top  # a heading, the agent, the zygote
    inside = house.host.run_dir / inspected["Config"]["Labels"]["syla.run"] / "c"
    assert os.listdir(inside) == ["agent"]
    mounts = Path(f"/proc/{inspected['State']['Pid']}/mounts").read_text()
    assert any(line.split()[1:3] == ["/home/syla", "tmpfs"] for line in mounts.splitlines())
    assert os.listdir(f"/proc/{inspected['State']['Pid']}/root/home/syla") == []

    live = house.registry.open(record.id)
    assert live.container.name == name
    box = Box(live)
    code = "import os; result = [open('/sys/fs/cgroup/' + n).read().strip() for n in ('memory.max', 'pids.max')]"
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        assert box.in_kernel(code) == [str(LIMITS.memory_bytes), str(LIMITS.pids)]
    box.kernel()
    house.host.service.settle(live)
    quota = house.host.inspect(live)["HostConfig"]
    assert quota["CpuQuota"] == LIMITS.cpus * quota["CpuPeriod"]


def test_another_kind_is_made_anew(house: House) -> None:
    """Who has other limits, another network or type of start than what is ready gets a container of its own, and the
    ready one is left for whom it fits; one that would have a home in memory does not get it either."""
    record = house.made("fits")
    ready = house.fill(record)
    others = [
        house.made("more-memory", limits=dataclasses.replace(LIMITS, memory_bytes=768 * MIB)),
        house.made("no-network", network=Network.NONE),
    ]
    for other in others:
        live = house.registry.open(other.id)
        assert live.container.name != ready
        assert house.host.inspect(live)["HostConfig"]["Memory"] == other.limits.memory_bytes
    assert sorted(house.host.inspect(live)["NetworkSettings"]["Networks"]) == ["none"]
    in_memory = dataclasses.replace(record.spec(house.home(record)), home=None)
    ephemeral = house.host.service.ephemeral(in_memory)
    assert ephemeral.container.name != ready
    ephemeral.close()
    assert house.registry.open(record.id).container.name == ready
    assert sorted(house.host.inspect(house.registry.open(record.id))["NetworkSettings"]["Networks"]) == ["syla-egress"]


def test_a_claimed_container_is_its_record_s(house: House) -> None:
    """Other processes find, freeze, thaw, change and stop it by the record; `reconcile` and the janitor's `finish` leave
    it alone while it runs; nothing of it is left afterwards."""
    host, registry = house.host, house.registry
    record = house.made("whose")
    live = house.claimed(record)
    box = Box(live)
    assert box.in_kernel("x = 42; result = x") == 42
    assert host.app.store().executions() == {live.run.id: record.id}
    assert host.service.reconcile() == []
    assert registry.finish() == []
    assert live.run.owner_alive() is None

    other = app.build(host.app.settings, host.environ)
    try:
        theirs = other.registry()
        assert theirs.open(record.id).container.id == live.container.id
        assert theirs.suspend(record.id).frozen
        assert live.frozen
        assert theirs.finish() == []
        assert theirs.resume(record.id)[1] == "thawed"
        more = dataclasses.replace(LIMITS, memory_bytes=640 * MIB)
        theirs.change(record.id, limits=more)
        assert host.inspect(live)["HostConfig"]["Memory"] == more.memory_bytes
        assert box.in_kernel("result = x") == 42
        stopped = theirs.suspend(record.id, stop=True)
    finally:
        other.store().close()
    assert (stopped.state, stopped.execution) == (State.SUSPENDED, "")
    wait_until(lambda: live.lost, what="the end of the container")
    assert not live.run.path.exists()
    assert host.containers() == []


def test_two_for_one_ready_container(house: House) -> None:
    """Of two workspaces that are started at once one gets what is ready, the other one of its own; neither sees the
    other's home."""
    records = [house.made(f"two-{n}") for n in range(2)]
    for record in records:
        (house.home(record) / "whose").write_text(record.name)
    ready = house.fill(records[0])
    with ThreadPoolExecutor(2) as both:
        lives = list(both.map(lambda record: house.registry.open(record.id), records))
    assert sorted(live.container.name == ready for live in lives) == [False, True]
    for live, record in zip(lives, records, strict=True):
        assert Box(live).run("cat", "/home/syla/whose").out == record.name


def test_a_ready_container_that_died_costs_nothing(house: House) -> None:
    """The workspace is started all the same, and a directory that is not there is said before anything is claimed."""
    record = house.made("unlucky")
    ready = house.fill(record)
    record.files.rmdir()
    with pytest.raises(StartFailed, match="is not a directory"):
        house.host.service.start(record.spec(house.home(record)))
    assert house.host.containers() == [ready]
    record.files.mkdir()
    house.host.app.runtime.remove(ready)
    live = house.registry.open(record.id)
    assert live.container.name != ready
    assert Box(live).run("true").exit.code == 0


def test_a_stop_has_one_made_ready(hostile_host: Host, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped workspace's like is wanted from then on; where nothing is to be kept ready, it is not."""
    asked: list[int] = []
    record = house.made("again")
    key, _ = house.host.service._recipe.key(record.spec(house.home(record)))
    monkeypatch.setattr(house.host.service, "_request_refill", lambda: asked.append(1))
    house.registry.open(record.id)
    house.registry.suspend(record.id, stop=True)
    assert asked == []
    settings = house.host.app.settings
    some = dataclasses.replace(settings, pool=dataclasses.replace(settings.pool, size=1))
    monkeypatch.setattr(house.host.service, "_settings", some)
    house.registry.open(record.id)
    house.registry.suspend(record.id, stop=True)
    assert asked == [1]
    (status,) = [status for status in house.host.app.pool.status() if status.key == key]
    assert status.description == "python · egress · any home"

    template = settings.data_dir / "templates" / "short-lived.toml"
    template.parent.mkdir(exist_ok=True)
    image = image_reference(house.host.app.templates.get("python"))
    template.write_text(f'display_name = "S"\nlanguage = "python"\nimage = "{image}"\n')
    gone = house.made("gone", template="short-lived")
    house.registry.open(gone.id)
    template.unlink()
    assert house.registry.suspend(gone.id, stop=True).state is State.SUSPENDED
    assert asked == [1]
