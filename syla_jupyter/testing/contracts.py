"""What every adapter of a port has to do, as a suite its tests inherit.

An adapter without it does not exist: a subclass gives the fixtures and adds nothing.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from ..model.errors import ImageMissing, WorkspaceLost
from ..model.runtime import ContainerInfo, ContainerSpec, Mount, MountVia
from ..runtimes.agent_client import AgentClient, wait_for_agent
from ..runtimes.base import LABEL_RUN, Runtime
from ..runtimes.rundir import RunDir

WAIT_SECONDS = 30.0


class RuntimeContract:
    """Fixtures to give: `runtime`, `make_spec(**changes) -> (ContainerSpec, RunDir)` with a fresh run label each."""

    MakeSpec = Callable[..., tuple[ContainerSpec, RunDir]]

    def started(self, runtime: Runtime, spec: ContainerSpec, run: RunDir) -> tuple[ContainerInfo, AgentClient]:
        info = runtime.create(spec)
        agent = wait_for_agent(
            run.container_side / "agent", timeout=WAIT_SECONDS, gone=lambda: False, claim=True, hold_seconds=5
        )
        return dataclasses.replace(info, pid=agent.peer_pid), agent

    def output(self, agent: AgentClient, *argv: str) -> str:
        """What a command in the container printed, both streams."""
        reading, writing = os.pipe()
        with open(os.devnull, "rb") as nothing:
            fds = (nothing.fileno(), writing, writing)
            agent.call("command", process=secrets.token_hex(4), argv=list(argv), cwd="/", env={}, fds=fds)
        os.close(writing)
        with os.fdopen(reading, "rb") as file:
            return file.read().decode()

    def test_it_answers(self, runtime: Runtime) -> None:
        """A working engine answers a ping."""
        runtime.ping()

    def test_a_container_is_found_by_its_labels_and_gone_after_removal(
        self, runtime: Runtime, make_spec: MakeSpec
    ) -> None:
        """What was created is found by its labels, running; after `remove` it is not, and removing again is fine."""
        spec, run = make_spec()
        info, agent = self.started(runtime, spec, run)
        found = runtime.find({LABEL_RUN: run.id})
        assert [(c.id, c.running, c.labels[LABEL_RUN]) for c in found] == [(info.id, True, run.id)]
        agent.close()
        runtime.remove(info.id)
        assert runtime.find({LABEL_RUN: run.id}) == []
        runtime.remove(info.id)

    def test_a_missing_image_is_its_own_error_and_leaves_nothing(self, runtime: Runtime, make_spec: MakeSpec) -> None:
        """Creating from an image that is not there raises ImageMissing, with a way out, and leaves no container."""
        spec, run = make_spec(image="syla-no-such-image:0")
        assert not runtime.image_exists("syla-no-such-image:0")
        with pytest.raises(ImageMissing) as raised:
            runtime.create(spec)
        assert raised.value.hint
        assert runtime.find({LABEL_RUN: run.id}) == []

    def test_user_labels_cannot_take_reserved_names(self, runtime: Runtime, make_spec: MakeSpec) -> None:
        """Labels with the reserved prefix are those of the spec's maker."""
        spec, run = make_spec()
        spec = dataclasses.replace(spec, labels={"course": "stat-101", **spec.labels})
        info, agent = self.started(runtime, spec, run)
        labels = runtime.find({LABEL_RUN: run.id})[0].labels
        assert labels["course"] == "stat-101"
        assert labels[LABEL_RUN] == run.id
        agent.close()
        runtime.remove(info.id)

    def test_a_frozen_container_stands_still_and_goes_on(self, runtime: Runtime, make_spec: MakeSpec) -> None:
        """Frozen it is found as frozen and running, and answers after the thaw; doing either twice is fine."""
        spec, run = make_spec()
        info, agent = self.started(runtime, spec, run)
        runtime.thaw(info.id)  # it runs
        runtime.freeze(info.id)
        runtime.freeze(info.id)
        assert [(c.running, c.frozen) for c in runtime.find({LABEL_RUN: run.id})] == [(True, True)]
        asked = agent.submit("usage")
        with pytest.raises(TimeoutError):
            asked.result(0.3)
        runtime.thaw(info.id)
        assert asked.result(WAIT_SECONDS)["kernels"] == 0
        runtime.thaw(info.id)
        assert [(c.running, c.frozen) for c in runtime.find({LABEL_RUN: run.id})] == [(True, False)]
        agent.close()
        runtime.remove(info.id)

    def test_a_frozen_container_gives_memory_back_and_goes_on(self, runtime: Runtime, make_spec: MakeSpec) -> None:
        """Nothing of one that runs; what it had is there after the thaw."""
        spec, run = make_spec()
        info, agent = self.started(runtime, spec, run)
        assert runtime.reclaim(info.id) == 0
        runtime.freeze(info.id)
        assert runtime.reclaim(info.id) >= 0
        runtime.thaw(info.id)
        assert agent.call("usage")["kernels"] == 0
        agent.close()
        runtime.remove(info.id)
        assert runtime.reclaim(info.id) == 0

    def test_a_frozen_container_can_be_removed(self, runtime: Runtime, make_spec: MakeSpec) -> None:
        """Removal needs no thaw, and nothing is found afterwards."""
        spec, run = make_spec()
        info, agent = self.started(runtime, spec, run)
        runtime.freeze(info.id)
        runtime.remove(info.id)
        agent.close()
        assert runtime.find({LABEL_RUN: run.id}) == []

    def test_what_is_gone_cannot_be_frozen_thawed_or_changed(self, runtime: Runtime, make_spec: MakeSpec) -> None:
        """Each says that the container is lost."""
        spec, run = make_spec()
        info, agent = self.started(runtime, spec, run)
        agent.close()
        runtime.remove(info.id)
        for change in (runtime.freeze, runtime.thaw, lambda id: runtime.change_limits(id, spec.limits)):
            with pytest.raises(WorkspaceLost):
                change(info.id)

    def test_limits_of_a_running_or_frozen_container_change(self, runtime: Runtime, make_spec: MakeSpec) -> None:
        """Both ways, and it answers afterwards."""
        spec, run = make_spec()
        info, agent = self.started(runtime, spec, run)
        more = dataclasses.replace(spec.limits, cpus=1.0, memory_bytes=2 * spec.limits.memory_bytes)
        runtime.change_limits(info.id, more)
        runtime.freeze(info.id)
        runtime.change_limits(info.id, spec.limits)
        runtime.thaw(info.id)
        assert agent.call("usage")["kernels"] == 0
        agent.close()
        runtime.remove(info.id)


class ContainerContract(RuntimeContract):
    """For runtimes that isolate: directories and limits as well."""

    def test_directories_come_in_and_belong_to_the_caller(
        self, runtime: Runtime, make_spec: RuntimeContract.MakeSpec, tmp_path: Path
    ) -> None:
        """A directory is seen inside, written files belong to the caller outside, a mask is empty, read-only is."""
        shared, fixed = tmp_path / "shared", tmp_path / "fixed"
        (shared / "hidden").mkdir(parents=True)
        (shared / "hidden" / "secret").write_text("s")
        (shared / "given").write_text("from outside")
        fixed.mkdir()
        mounts = (
            Mount(shared, "/workspace"),
            Mount(None, "/workspace/hidden"),
            Mount(fixed, "/home/syla", read_only=True),
        )
        attaching = runtime.mount_via is MountVia.ATTACH
        spec, run = make_spec(mounts=() if attaching else mounts)
        info, agent = self.started(runtime, spec, run)
        try:
            if attaching:
                runtime.attach(info, mounts)
            script = (
                "cat /workspace/given; echo made > /workspace/new; ls -A /workspace/hidden; "
                "touch /workspace/hidden/x /home/syla/x 2>&1"
            )
            said = self.output(agent, "sh", "-c", script)
            assert said.startswith("from outside")
            assert "secret" not in said
            assert said.count("Read-only file system") == 2
            assert (shared / "new").read_text() == "made\n"
            assert (shared / "new").stat().st_uid == os.geteuid()
        finally:
            agent.close()
            runtime.remove(info.id)

    def test_cpus_come_down_to_the_limit(self, runtime: Runtime, make_spec: RuntimeContract.MakeSpec) -> None:
        """A container that started with more CPUs keeps running when it is brought down to its limit."""
        spec, run = make_spec()
        info, agent = self.started(runtime, dataclasses.replace(spec, start_cpus=2.0), run)
        runtime.limit_cpus(info.id, 0.5)
        text = "cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null"
        assert self.output(agent, "sh", "-c", text).split()[0] == "50000"
        agent.close()
        runtime.remove(info.id)

    def test_changed_limits_hold(self, runtime: Runtime, make_spec: RuntimeContract.MakeSpec) -> None:
        """What the container reads of its own limits is what was given last."""
        spec, run = make_spec()
        info, agent = self.started(runtime, spec, run)
        more = dataclasses.replace(spec.limits, cpus=1.5, memory_bytes=2 * spec.limits.memory_bytes, pids=99)
        runtime.change_limits(info.id, more)
        text = "cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null"
        assert self.output(agent, "sh", "-c", text).split()[0] == "150000"
        text = "cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null"
        assert self.output(agent, "sh", "-c", text).strip() == "99"
        assert agent.call("usage")["memory_limit_bytes"] == more.memory_bytes
        agent.close()
        runtime.remove(info.id)
