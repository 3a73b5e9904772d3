"""The runtime contract for Docker as the user the tests run as, and for the fake that other tests trust."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from syla_jupyter.app import CONTAINER_USER
from syla_jupyter.model.runtime import AgentConfig, ContainerSpec, MountVia, User
from syla_jupyter.model.workspace import DEFAULT_LIMITS, Network, WorkspaceType
from syla_jupyter.runtimes.agent_files import publish_agent
from syla_jupyter.runtimes.base import LABEL_RUN
from syla_jupyter.runtimes.docker import DockerRuntime
from syla_jupyter.runtimes.image_name import image_reference
from syla_jupyter.runtimes.rundir import RunDir
from syla_jupyter.runtimes.templates import Templates
from syla_jupyter.testing.contracts import ContainerContract, RuntimeContract
from syla_jupyter.testing.fake_runtime import FakeRuntime

ROOT = os.geteuid() == 0
USER = CONTAINER_USER if ROOT else User(os.geteuid(), os.getegid())


class TestDocker(ContainerContract):
    @pytest.fixture
    def runtime(self, tmp_path: Path) -> DockerRuntime:
        runtime = DockerRuntime(
            environ=dict(os.environ), user=USER, mount_via=MountVia.ATTACH if ROOT else MountVia.BIND
        )
        if ROOT and not runtime.supports_attach(tmp_path):
            pytest.fail("this host cannot map ids on a mount, which root needs; see `syla doctor`")
        return runtime

    @pytest.fixture
    def make_spec(self, tmp_path: Path) -> Iterator[Callable[..., tuple[ContainerSpec, RunDir]]]:
        runs: list[RunDir] = []
        parent = Path("/run/syla") if ROOT else Path(f"/tmp/syla-{os.geteuid()}")

        def make(**changes: Any) -> tuple[ContainerSpec, RunDir]:
            run = RunDir.create(parent, USER)
            runs.append(run)
            spec = ContainerSpec(
                name=f"syla-contract-{run.id}",
                image=image_reference(Templates(tmp_path).get("python")),
                user=USER,
                limits=DEFAULT_LIMITS[WorkspaceType.EPHEMERAL],
                network=Network.NONE,
                run_dir=run.container_side,
                agent_dir=publish_agent(tmp_path),
                agent=AgentConfig(zygote=False, preload=(), spares=0, lease_seconds=30),
                labels={LABEL_RUN: run.id},
            )
            return dataclasses.replace(spec, **changes), run

        yield make
        for run in runs:
            run.remove()

    @pytest.mark.parametrize("who", ["engine", "we"])
    def test_whoever_has_frozen_it_it_is_thawed(
        self, who: str, runtime: DockerRuntime, make_spec: Callable[..., tuple[ContainerSpec, RunDir]]
    ) -> None:
        """And can be frozen again; the engine is left believing what is true, as far as it was told."""
        spec, run = make_spec()
        info, agent = self.started(runtime, spec, run)
        api = runtime.client().api
        for _ in range(2):
            api.pause(info.id) if who == "engine" else runtime.freeze(info.id)
            runtime.freeze(info.id)
            assert [container.frozen for container in runtime.find({LABEL_RUN: run.id})] == [True]
            runtime.thaw(info.id)
            assert agent.call("usage")["kernels"] == 0
            assert api.inspect_container(info.id)["State"]["Paused"] is False
        agent.close()
        runtime.remove(info.id)


class TestFake(RuntimeContract):
    @pytest.fixture
    def runtime(self, tmp_path: Path) -> Iterator[FakeRuntime]:
        runtime = FakeRuntime(tmp_path / "engine", environ=os.environ, images=["here:1"])
        yield runtime
        runtime.remove_all()

    @pytest.fixture
    def make_spec(self, tmp_path: Path, session_dir: Path) -> Callable[..., tuple[ContainerSpec, RunDir]]:
        def make(**changes: Any) -> tuple[ContainerSpec, RunDir]:
            run = RunDir.create(session_dir / "run", USER)
            spec = ContainerSpec(
                name=f"fake-{run.id}",
                image="here:1",
                user=USER,
                limits=DEFAULT_LIMITS[WorkspaceType.EPHEMERAL],
                network=Network.NONE,
                run_dir=run.container_side,
                agent_dir=tmp_path,
                agent=AgentConfig(zygote=False, preload=(), spares=0, lease_seconds=30),
                labels={LABEL_RUN: run.id},
            )
            return dataclasses.replace(spec, **changes), run

        return make
